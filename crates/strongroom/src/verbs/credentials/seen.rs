//! All credentials of an integration, as a host sees them.

use super::AppRows;
use crate::model::{Credential, Expected, RefreshState, Revision};
use crate::store::Key;

/// All credentials of one integration, as they were at one moment.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Credentials {
    /// The credentials, in the byte order of their key names.
    pub items: Vec<Credential>,
    /// A mark of all of them together, which changes when any of them does; `None` if there are none.
    pub revision: Option<Revision>,
    /// Whether they are being refreshed ([`refresh`](crate::AppCredentials::refresh)).
    pub refresh: RefreshState,
    /// The key of the integration's row.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) of: Key,
    /// What a refresh of exactly these credentials expects; `None` for those that a refresh returned.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(super) rows: Option<AppRows>,
}

impl Credentials {
    pub(super) fn new(of: Key, items: Vec<Credential>, refresh: RefreshState) -> Self {
        let revision = Revision::of_all(items.iter().map(|item| (&item.info.key_name, item.info.revision)));
        Self { items, revision, refresh, of, rows: None }
    }

    /// The credential with this key name.
    #[must_use]
    pub fn get(&self, key_name: &str) -> Option<&Credential> {
        let found = self.items.binary_search_by(|item| item.info.key_name.as_str().cmp(key_name)).ok()?;
        self.items.get(found)
    }

    /// The condition that none of them has changed and none was added.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.revision.map_or(Expected::Absent, Expected::Revision)
    }
}

/// The credentials that a refresh has to replace: those that expire, or all if none does. Others of the same
/// connection, such as the name of a workspace, change without a refresh.
pub(super) struct Stale {
    expiring: Vec<(String, Revision)>,
    all: Option<Revision>,
}

impl Stale {
    pub(super) fn of(seen: &Credentials) -> Self {
        let expiring =
            seen.items.iter().map(|item| &item.info).filter(|info| info.metadata.expires_at().is_some());
        let expiring = expiring.map(|info| (info.key_name.as_str().to_owned(), info.revision));
        Self { expiring: expiring.collect(), all: seen.revision }
    }

    /// Whether any of them has been replaced.
    pub(super) fn is_replaced(&self, now: &Credentials) -> bool {
        if self.expiring.is_empty() {
            return now.revision != self.all;
        }
        let is_there = |(key_name, revision): &(String, Revision)| {
            now.get(key_name).is_some_and(|found| found.info.revision == *revision)
        };
        !self.expiring.iter().all(is_there)
    }
}

impl IntoIterator for Credentials {
    type Item = Credential;
    type IntoIter = std::vec::IntoIter<Credential>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}
