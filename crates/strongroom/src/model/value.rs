//! Scoped values and credentials, and what a write answers.

use crate::clock::Timestamp;
use crate::id::{CredentialKey, DefinitionId, DocumentId, IntegrationId};
use crate::random::{self, RandomError};
use crate::scope::Scope;
use crate::secret::Secret;

/// An opaque mark of one version of a document; it changes with every write of the document.
///
/// The first one is drawn at random, so that a mark read before a delete never fits a document made after it.
///
/// The store marks its rows by itself, with [`RowRevision`](crate::store::RowRevision): no verb takes or gives that
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Revision(u64);

impl Revision {
    /// The mark as a number, for a host that must carry it as text.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Of a document that was not written yet.
    pub(crate) const UNWRITTEN: Self = Self(0);

    /// The mark that [`as_u64`](Self::as_u64) gave.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The first mark of a new document.
    pub(crate) fn first() -> Result<Self, RandomError> {
        let mut bytes = [0; 8];
        random::fill(&mut bytes)?;
        Ok(Self(u64::from_be_bytes(bytes) >> 1))
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What must hold of a document for a write to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Any,
    /// There is none yet.
    Absent,
    /// It stands at this revision.
    Revision(Revision),
}

impl Expected {
    pub(crate) fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// What an upsert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Upsert {
    /// There was none; one was made.
    Added,
    /// There was one; it was changed.
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
    /// Of which definition.
    pub definition_id: DefinitionId,
    /// Where it stands.
    pub scope: Scope,
    /// Changes with every update.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
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

/// What there is to know of a credential without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CredentialInfo {
    /// Kept by every update.
    pub id: DocumentId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Its key name.
    pub key_name: CredentialKey,
    /// Changes with every update.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// What setting a value answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ValueWritten {
    /// Whether the value was added or updated.
    pub action: Upsert,
    /// The value's document id.
    pub id: DocumentId,
    /// Of which definition.
    pub definition_id: DefinitionId,
    /// Where it stands.
    pub scope: Scope,
    /// Its new revision.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last set: now.
    pub updated_at: Timestamp,
    /// The value as ciphertext in base64, fit to be shown to a client; only of an encrypted definition and only
    /// when it was asked for.
    pub ciphertext: Option<String>,
}
