//! Versions of a document.

use crate::clock::Timestamp;
use crate::id::DocumentId;
use crate::model::{Expected, Metadata, Revision, StoredDefinition};

/// One version of a value, credential or definition: who wrote it and when, not what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Version {
    /// The document that it is a version of.
    pub id: DocumentId,
    /// Which version: what [`Org::value_version`](crate::Org::value_version) and its siblings take.
    pub revision: Revision,
    /// When the document was added.
    pub created_at: Timestamp,
    /// When this version was written.
    pub written_at: Timestamp,
    /// Whether this version notes that the document was deleted.
    pub deleted: bool,
    /// Who wrote it, and why.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
    /// Why this version cannot be read, and which row it is, in the words of the error from opening it. Then only its
    /// revision is known, and whether it notes that the document was deleted. For the present version even those are
    /// unverified, and for a missing one nothing is known. `None` for a version that can be read.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub unreadable: Option<String>,
}

impl Version {
    /// The version that undoes the last change: among versions as [`Org::value_history`](crate::Org::value_history)
    /// lists them, the newest first, the newest former one that is not a deletion. `None` if there is none, if it
    /// cannot be read, or if a version in between was not kept, so that an older one is not the previous state.
    ///
    /// If the first one is damaged or missing, its own claims count for nothing: then this is the newest former version
    /// that can be read.
    #[must_use]
    pub fn to_undo(versions: &[Self]) -> Option<&Self> {
        let (newest, former) = versions.split_first()?;
        if newest.unreadable.is_some() {
            return former.iter().find(|version| !version.deleted && version.unreadable.is_none());
        }
        let place = former.iter().position(|version| !version.deleted)?;
        let between = former.get(..=place)?;
        let adjoin = |(newer, older): (&Self, &Self)| older.revision.next() == newer.revision;
        let without_gap = std::iter::once(newest).chain(between).zip(between).all(adjoin);
        between.last().filter(|version| without_gap && version.unreadable.is_none())
    }

    /// The version with this revision that can be brought back, among versions as a history lists them. The claims of a
    /// damaged present row hide no version.
    #[must_use]
    pub fn to_restore(versions: &[Self], revision: Revision) -> Option<&Self> {
        let mut asked = versions.iter().filter(|version| version.revision == revision && !version.deleted);
        let first = asked.next()?;
        if first.unreadable.is_none() { Some(first) } else { asked.next().or(Some(first)) }
    }

    /// For the newest of some versions: the condition for a write that brings one of them back, so that it overwrites
    /// nothing written since they were listed. For a damaged or missing one this is [`Expected::Unreadable`]: its
    /// content is lost with the write, so ask first.
    #[must_use]
    pub fn as_expected(&self) -> Expected {
        match self {
            Self { unreadable: Some(_), .. } => Expected::Unreadable,
            Self { deleted: true, .. } => Expected::Deleted(self.revision),
            Self { .. } => Expected::Revision(self.revision),
        }
    }

    pub(crate) fn of_definition(stored: &StoredDefinition) -> Self {
        Self {
            id: DocumentId::from(*stored.id.as_bytes()),
            revision: stored.revision,
            created_at: stored.created_at,
            written_at: stored.updated_at,
            deleted: stored.metadata.is_deletion(),
            metadata: stored.metadata.clone(),
            unreadable: None,
        }
    }

    pub(crate) fn damaged(revision: Revision, deleted: bool, why: String) -> Self {
        Self {
            id: DocumentId::from([0; 12]),
            revision,
            created_at: Timestamp::from_ms(0),
            written_at: Timestamp::from_ms(0),
            deleted,
            metadata: Metadata::default(),
            unreadable: Some(why),
        }
    }
}
