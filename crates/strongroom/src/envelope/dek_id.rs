//! The public name of a sealing key.

use std::fmt;
use std::str::FromStr;

use crate::id::{IdError, parse_hex};

/// The id of a data key or root key: 16 bytes derived from the key, in the clear at the start of every record that it
/// sealed. As text, 32 lowercase hexadecimal digits.
///
/// ```
/// let kept = "00112233445566778899aabbccddeeff"; // what `Vault::root_id` showed
/// let options = strongroom::VaultOptions::default().expect_root_id(kept.parse()?);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DekId([u8; 16]);

impl DekId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for DekId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex("a key's id", text).map(Self)
    }
}

impl fmt::Display for DekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DekId({self})")
    }
}
