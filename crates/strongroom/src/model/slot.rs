//! Key slots as `list` returns them.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::envelope::Argon2Params;
use crate::id::{IdError, parse_hex};
use crate::model::{ProviderKey, Revision};

/// The id of a key slot: 16 random bytes, in text 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId([u8; 16]);

impl SlotId {
    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for SlotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex("a key slot's id", text).map(Self)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotId({self})")
    }
}

/// A key slot, without anything that would help to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotInfo {
    /// Stays the same until the slot is removed.
    pub id: SlotId,
    /// What opens it.
    pub kind: SlotKind,
    /// How often it was written.
    pub revision: Revision,
    /// When its key was added; unknown for slots from the first release.
    pub since: Option<Timestamp>,
    /// Whether it can open the vault, as far as that can be checked without its key: its row can be read, its
    /// parameters are within bounds, and the sealed `store` row lists it.
    pub is_usable: bool,
    /// Whether this process opened the vault with this slot, so that its key opens it unless somebody has changed the
    /// slot since. In a vault that this process restored, no slot is known to be its own.
    pub is_own: bool,
}

/// What opens a key slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotKind {
    /// 32 raw bytes.
    RawKey,
    /// A passphrase, at this cost.
    Passphrase(Argon2Params),
    /// A key provider.
    Provider {
        /// The kind of provider.
        kind: String,
        /// Its key.
        key: ProviderKey,
    },
    /// The slot's row cannot be read.
    Unreadable,
    /// The sealed `store` row lists the slot, but its own row is missing: the store lost it, or hides it.
    Missing,
}
