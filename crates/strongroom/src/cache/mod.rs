//! Opened rows kept in memory: definitions, names, catalogs and keyrings.
//!
//! Reading takes no lock that two threads share, and one lock for all that a verb looks up. An entry counts only under
//! the tag it was read under, and an entry read before a row was forgotten is not taken in after it. While a commit
//! that changes cached rows is on its way nobody uses an entry, and who used one when it began reads again: so a cached
//! row never stands beside rows of another moment.

mod counts;
mod table;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};

use crate::definitions::Definition;
use crate::id::DefinitionId;
use crate::store::{Key, Revision};
use crate::tenant::{Catalog, ScopeKeys};

pub use counts::{CacheCounts, CacheStats};
pub(crate) use counts::{Cached, Counts};
pub(crate) use table::Table;

/// Under which view of the store an entry was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Nobody but this engine writes: what it did not change itself still holds.
    Sole,
    /// Others may write: the epoch row stood at this revision.
    Epoch(Option<Revision>),
}

/// The caches of one engine.
pub(crate) struct Caches {
    tables: ShardedLock<Tables>,
    /// How often each was asked, and answered.
    pub(crate) counts: Counts,
    /// How often something was forgotten, or was about to change.
    forgotten: AtomicU64,
    /// How many commits that change cached rows are on their way.
    changing: AtomicUsize,
}

/// What is cached, by the key of its row.
pub(crate) struct Tables {
    pub(crate) names: Table<DefinitionId>,
    pub(crate) definitions: Table<Arc<Definition>>,
    /// All definitions of a tenant, under the key of its epoch row.
    pub(crate) catalogs: Table<Catalog>,
    pub(crate) keyrings: Table<Arc<ScopeKeys>>,
}

impl Caches {
    /// Caches of at most `entries_max` entries each; catalogs, which are large, a sixteenth of that.
    pub(crate) fn new(entries_max: usize) -> Self {
        let tables = Tables {
            names: Table::new(entries_max),
            definitions: Table::new(entries_max),
            catalogs: Table::new(entries_max.div_ceil(16)),
            keyrings: Table::new(entries_max),
        };
        Self {
            tables: ShardedLock::new(tables),
            counts: Counts::default(),
            forgotten: AtomicU64::new(0),
            changing: AtomicUsize::new(0),
        }
    }

    /// What is cached now. Not to be held while a future waits.
    pub(crate) fn tables(&self) -> ShardedLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `take_in` insert what was read, unless something was forgotten since the reader began at `moment`.
    pub(crate) fn insert(&self, moment: Moment, take_in: impl FnOnce(&mut Tables)) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if self.still(moment) {
            take_in(&mut tables);
        }
    }

    /// What a reader notes before it reads the store, and gives to [`insert`](Self::insert).
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.forgotten.load(Ordering::Acquire))
    }

    /// Whether nothing was forgotten since `moment`, nor began to change.
    pub(crate) fn still(&self, moment: Moment) -> bool {
        self.moment() == moment
    }

    /// Whether cached rows may be changing in the store. Asked after [`moment`](Self::moment).
    pub(crate) fn are_changing(&self) -> bool {
        self.changing.load(Ordering::Acquire) > 0
    }

    /// A commit that changes cached rows is about to be sent.
    pub(crate) fn begin_change(&self) {
        self.changing.fetch_add(1, Ordering::AcqRel);
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    /// The commit was answered or abandoned: what it wrote at `keys` is read anew.
    pub(crate) fn end_change<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        self.forget(keys);
        self.changing.fetch_sub(1, Ordering::AcqRel);
    }

    /// Drops what is known of `keys`, and bars every reader that began before from bringing it back.
    pub(crate) fn forget<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        let known: Vec<&Key> = {
            let tables = self.tables();
            keys.filter(|key| tables.hold(key)).collect()
        };
        if known.is_empty() {
            return;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for key in known {
            tables.remove(key);
        }
    }

    /// How the caches did since the vault was opened.
    pub(crate) fn stats(&self) -> CacheStats {
        let mut stats = self.counts.sum();
        let tables = self.tables();
        stats.names.entries = tables.names.len();
        stats.definitions.entries = tables.definitions.len();
        stats.catalogs.entries = tables.catalogs.len();
        stats.keyrings.entries = tables.keyrings.len();
        stats
    }
}

impl Tables {
    fn hold(&self, key: &Key) -> bool {
        let bytes = key.as_bytes();
        self.names.get(bytes).is_some()
            || self.definitions.get(bytes).is_some()
            || self.catalogs.get(bytes).is_some()
            || self.keyrings.get(bytes).is_some()
    }

    fn remove(&mut self, key: &Key) {
        self.names.remove(key);
        self.definitions.remove(key);
        self.catalogs.remove(key);
        self.keyrings.remove(key);
    }
}

/// When a reader began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> DefinitionId {
        DefinitionId::from_bytes(&[byte; 12]).unwrap()
    }

    #[test]
    fn what_was_read_before_a_change_is_not_taken_in_after_it() {
        let caches = Caches::new(8);
        let key = Key::from(b"k".as_slice());
        let take_in = |moment, id| {
            caches.insert(moment, |tables| tables.names.insert(key.clone(), id, Tag::Sole));
        };
        let known = || caches.tables().names.get(b"k").map(|(id, _)| *id);

        let before = caches.moment();
        caches.forget([&key].into_iter());
        take_in(before, id(1));
        assert_eq!(known(), None);
        take_in(caches.moment(), id(2));
        assert_eq!(known(), Some(id(2)));
        caches.forget([&key].into_iter());
        assert_eq!(known(), None);
    }
}
