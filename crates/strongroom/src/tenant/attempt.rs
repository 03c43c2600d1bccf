//! Trying again: reads that a cached row misled, and writes that another writer was faster than.

use std::future::Future;

use super::Freshness;
use crate::error::Error;

/// How one try of a write ended, unless with an error.
#[must_use]
pub(crate) enum Attempt<T> {
    /// It is in the store.
    Landed(T),
    /// Another writer was faster: read again and decide again.
    Lost,
    /// A shred of the org was cut short. It has to be finished before the org gets a new key.
    AfterShred,
}

impl<T> Attempt<T> {
    pub(crate) fn map<U>(self, landed: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Landed(value) => Attempt::Landed(landed(value)),
            Self::Lost => Attempt::Lost,
            Self::AfterShred => Attempt::AfterShred,
        }
    }

    pub(crate) fn landed(self) -> Option<T> {
        match self {
            Self::Landed(value) => Some(value),
            Self::Lost | Self::AfterShred => None,
        }
    }

    pub(crate) fn is_landed(&self) -> bool {
        matches!(self, Self::Landed(_))
    }
}

impl<T> From<Option<T>> for Attempt<T> {
    fn from(landed: Option<T>) -> Self {
        landed.map_or(Self::Lost, Self::Landed)
    }
}

/// Runs a read with what is cached, and once more without where a cached row misled it.
pub(crate) async fn fresh_if_stale<T, F>(read: impl Fn(Freshness) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match read(Freshness::Cached).await {
        Err(error) if error.may_be_stale() => read(Freshness::Fresh).await,
        answer => answer,
    }
}
