//! Scoped values and credentials, and what a write returns.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::id::{ConnectionId, CredentialKey, DefinitionId, DocumentId, IntegrationId};
use crate::model::Metadata;
use crate::random::{self, RandomError};
use crate::scope::Scope;
use crate::secret::Secret;

/// An opaque mark of one version of a document. Every write of the document changes it.
///
/// The first one is random, so that a mark from before a delete does not match a document that was created after it.
///
/// It is not the store's [`RowRevision`](crate::store::RowRevision), which no verb takes or returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(u64);

/// As a decimal number. Serialised, it is this text: a number over 2^53 does not survive JavaScript.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Revision {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

#[cfg(feature = "serde")]
text_serde!(Revision);

impl Revision {
    /// The mark as a number, for a host that has to pass it on as text.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The revision of a document that was never written.
    pub(crate) const UNWRITTEN: Self = Self(0);

    /// The mark that [`as_u64`](Self::as_u64) returned.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The first mark of a new document.
    pub(crate) fn first() -> Result<Self, RandomError> {
        let mut bytes = [0; 8];
        random::fill(&mut bytes)?;
        // Half of the range stays free, so that no document can count up to the wrap.
        Ok(Self(u64::from_be_bytes(bytes) >> 1))
    }

    /// The revision of the version `count` writes earlier.
    pub(crate) fn before(self, count: u64) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// A revision above all that other writers can have reached since this one was read.
    pub(crate) fn leap(self) -> Self {
        Self(self.0.wrapping_add(1 << 32))
    }

    /// The mark of some credentials together: it differs if one of them is added, changed or deleted. `None` if there
    /// are none.
    pub(crate) fn of_all<'k>(credentials: impl Iterator<Item = (&'k CredentialKey, Self)>) -> Option<Self> {
        let (mut hash, mut is_empty) = (Sha256::new(), true);
        for (key_name, revision) in credentials {
            is_empty = false;
            hash.update(key_name.as_str());
            // No key name contains it, so no two lists give the same bytes.
            hash.update([0]);
            hash.update(revision.0.to_be_bytes());
        }
        let first = hash.finalize().first_chunk().copied().map(u64::from_be_bytes);
        first.filter(|_| !is_empty).map(Self)
    }
}

/// The condition for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Any,
    /// There is none yet.
    Absent,
    /// It is at this revision.
    Revision(Revision),
    /// It was deleted with its history kept, its deletion has this revision, and it was not set since. Only writes of
    /// values and credentials can check this; for all others the condition does not hold.
    Deleted(Revision),
    /// The document, or the note of its deletion, cannot be opened, or its row is gone although no deletion is noted;
    /// and one of its former versions can be opened. The write replaces what is damaged or gone and continues the
    /// document with its history. Only writes of values and credentials, and the restoring of a definition, can check
    /// this; for all others the condition does not hold. A record has no versions: it holds for one that cannot be
    /// opened, and the write replaces or deletes it. A later release may be able to open it
    /// ([`Error::UnknownVersion`](crate::Error::UnknownVersion)): look at the error of a read first.
    Unreadable,
}

impl Expected {
    pub(crate) fn holds(self, found: Standing) -> bool {
        match (self, found) {
            (Self::Any, _) | (Self::Unreadable, Standing::Unreadable) => true,
            (Self::Absent, found) => matches!(found, Standing::Absent | Standing::Deleted(_)),
            (Self::Revision(revision), Standing::At(found)) => revision == found,
            (Self::Deleted(revision), Standing::Deleted(found)) => revision == found,
            (Self::Revision(_) | Self::Deleted(_) | Self::Unreadable, _) => false,
        }
    }
}

/// What a write finds at the place of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Absent,
    At(Revision),
    /// It was deleted with its history kept.
    Deleted(Revision),
    Unreadable,
}

impl Standing {
    /// The revision of the document, if there is one that can be read.
    pub(crate) fn revision(self) -> Option<Revision> {
        match self {
            Self::At(revision) => Some(revision),
            Self::Absent | Self::Deleted(_) | Self::Unreadable => None,
        }
    }
}

impl From<Option<Revision>> for Standing {
    fn from(found: Option<Revision>) -> Self {
        found.map_or(Self::Absent, Self::At)
    }
}

/// What an upsert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Upsert {
    /// There was none, so one was added.
    Added,
    /// There was one, and it was changed.
    Updated,
}

impl Upsert {
    /// `added` or `updated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
        }
    }
}

/// The value of a definition at one scope.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ScopedValue {
    /// Kept by every update.
    pub id: DocumentId,
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// Its scope.
    pub scope: Scope,
    /// Changes with every update.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// Who wrote this version, and why.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
    /// The plaintext; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

/// One credential of an integration of a linked account.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Credential {
    /// Everything but the plaintext.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub info: CredentialInfo,
    /// The plaintext; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

/// A credential without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CredentialInfo {
    /// Kept by every update.
    pub id: DocumentId,
    /// The integration that it belongs to.
    pub integration: IntegrationId,
    /// Which connection of it; `None` for the default one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub connection: Option<ConnectionId>,
    /// Its key name.
    pub key_name: CredentialKey,
    /// Changes with every update.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
    /// Who wrote this version, and why.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
}

/// What setting a credential returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CredentialWritten {
    /// Whether the credential was added or updated.
    pub action: Upsert,
    /// The credential as it is now; its revision is what the next condition needs.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub info: CredentialInfo,
}

/// What setting a value returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ValueWritten {
    /// Whether the value was added or updated.
    pub action: Upsert,
    /// The value's document id.
    pub id: DocumentId,
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// Its scope.
    pub scope: Scope,
    /// Its new revision.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set: now.
    pub updated_at: Timestamp,
    /// The value as ciphertext in base64, which may be shown to a client. Only for an encrypted definition, and only
    /// if [`WriteOptions::with_ciphertext`](crate::WriteOptions::with_ciphertext) asked for it.
    pub ciphertext: Option<String>,
}
