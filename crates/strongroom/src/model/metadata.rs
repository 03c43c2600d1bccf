//! What is kept with one version of a document.

use std::collections::BTreeSet;

use crate::clock::Timestamp;

/// The metadata of one version of a value, credential or definition, set when it was written. It belongs to that
/// version only: the next write of the document starts without it.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{Scope, WriteOptions};
/// let noted = WriteOptions::default().by("user:alice".parse()?).note("moved to the new host");
/// org.set_value_with("PORT", Scope::Org, "8080", noted).await?;
/// let metadata = org.value("PORT", Scope::Org).await?.unwrap().metadata;
/// assert_eq!(metadata.author(), Some("user:alice"));
/// assert_eq!(metadata.note(), Some("moved to the new host"));
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Metadata(
    // Boxed, since most versions have none and every resolved value carries one.
    Option<Box<Entries>>,
);

/// The entries of [`Metadata`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub(crate) struct Entries {
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(crate) author: Option<String>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(crate) request_id: Option<String>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(crate) note: Option<String>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeSet::is_empty"))]
    pub(crate) labels: BTreeSet<String>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(crate) expires_at: Option<Timestamp>,
    /// Set only for a version that notes that the document was deleted.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) deletion: bool,
}

impl Metadata {
    /// Nothing.
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn of(entries: Entries) -> Self {
        Self((entries != Entries::default()).then(|| Box::new(entries)))
    }

    pub(crate) fn entries(&self) -> Option<&Entries> {
        self.0.as_deref()
    }

    /// This metadata with another author.
    pub(crate) fn authored(&self, author: Option<String>) -> Self {
        Self::of(Entries { author, ..self.entries().cloned().unwrap_or_default() })
    }

    /// This metadata for a version that notes that the document was deleted. It does not expire.
    pub(crate) fn deletion(&self) -> Self {
        let entries = self.entries().cloned().unwrap_or_default();
        Self::of(Entries { deletion: true, expires_at: None, ..entries })
    }

    pub(crate) fn is_deletion(&self) -> bool {
        self.entries().is_some_and(|entries| entries.deletion)
    }

    /// Whether there is no metadata.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Who wrote the version.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.entries()?.author.as_deref()
    }

    /// The host's id of the request in which it was written.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.entries()?.request_id.as_deref()
    }

    /// Why it was written, for people.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.entries()?.note.as_deref()
    }

    /// Its labels, in the order of their bytes.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.entries().into_iter().flat_map(|entries| &entries.labels).map(String::as_str)
    }

    /// When the credential expires. The engine only keeps it: an expired credential can still be read.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.entries()?.expires_at
    }
}
