//! How a try to write ended.

use crate::store::Key;

/// The outcome of an attempt to write, apart from errors.
#[must_use]
pub(crate) enum Attempt<T> {
    /// It is in the store.
    Landed(T),
    /// Another writer was faster, at these rows if they are known: read and decide again.
    Lost(Vec<Key>),
    /// A shred of the org was interrupted. It must be finished before the org gets a new key.
    AfterShred,
}

impl<T> Attempt<T> {
    /// What was read is out of date: read and decide again.
    pub(crate) const AGAIN: Self = Self::Lost(Vec::new());

    pub(crate) fn map<U>(self, landed: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Landed(value) => Attempt::Landed(landed(value)),
            Self::Lost(rows) => Attempt::Lost(rows),
            Self::AfterShred => Attempt::AfterShred,
        }
    }

    pub(crate) fn landed(self) -> Option<T> {
        match self {
            Self::Landed(value) => Some(value),
            Self::Lost(_) | Self::AfterShred => None,
        }
    }

    pub(crate) fn is_landed(&self) -> bool {
        matches!(self, Self::Landed(_))
    }
}

impl<T> From<Option<T>> for Attempt<T> {
    fn from(landed: Option<T>) -> Self {
        landed.map_or(Self::AGAIN, Self::Landed)
    }
}
