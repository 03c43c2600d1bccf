//! Versions of a document.

use crate::clock::Timestamp;
use crate::id::DocumentId;
use crate::model::{Metadata, Revision};

/// One version of a value, without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Version {
    /// The document that it is a version of.
    pub id: DocumentId,
    /// Which version: what [`Org::value_version`](crate::Org::value_version) takes.
    pub revision: Revision,
    /// When the document was added.
    pub created_at: Timestamp,
    /// When this version was written.
    pub written_at: Timestamp,
    /// Whether this version says that the value was deleted.
    pub deleted: bool,
    /// Who wrote it, and why.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
}
