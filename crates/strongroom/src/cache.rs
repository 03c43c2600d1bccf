//! Opened rows kept in memory: definitions, names and keyrings.
//!
//! Reading takes no lock that two threads share. An entry counts only under the tag it was read under, and an
//! entry read before a row was forgotten is not taken in after it. While a commit that changes cached rows is on its
//! way nobody uses an entry, and who used one when it began reads again: so a cached row never stands beside rows of
//! another moment.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::ShardedLock;
use foldhash::quality::RandomState;

use crate::definitions::Definition;
use crate::id::DefinitionId;
use crate::store::{Key, Revision};
use crate::tenant::{Catalog, ScopeKeys};

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
    pub(crate) names: Cache<DefinitionId>,
    pub(crate) definitions: Cache<Arc<Definition>>,
    /// All definitions of a tenant, under the key of its epoch row.
    pub(crate) catalogs: Cache<Catalog>,
    pub(crate) keyrings: Cache<Arc<ScopeKeys>>,
    /// How often something was forgotten, or was about to change.
    forgotten: AtomicU64,
    /// How many commits that change cached rows are on their way.
    changing: AtomicUsize,
}

impl Caches {
    /// Caches of at most `entries_max` entries each; catalogs, which are large, a sixteenth of that.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            names: Cache::new(entries_max),
            definitions: Cache::new(entries_max),
            catalogs: Cache::new(entries_max.div_ceil(16)),
            keyrings: Cache::new(entries_max),
            forgotten: AtomicU64::new(0),
            changing: AtomicUsize::new(0),
        }
    }

    /// What a reader notes before it reads the store, and gives to [`Cache::insert`].
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
        for key in keys {
            self.names.remove(key);
            self.definitions.remove(key);
            self.catalogs.remove(key);
            self.keyrings.remove(key);
        }
    }
}

/// When a reader began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// A bounded map with second-chance eviction.
pub(crate) struct Cache<V> {
    inner: ShardedLock<Inner<V>>,
    entries_max: usize,
}

struct Inner<V> {
    map: HashMap<Key, Entry<V>, RandomState>,
    /// Keys in the order in which they are considered for eviction; removed ones are skipped.
    order: VecDeque<Key>,
}

struct Entry<V> {
    value: V,
    tag: Tag,
    used: AtomicBool,
}

impl<V: Clone> Cache<V> {
    fn new(entries_max: usize) -> Self {
        let inner = Inner { map: HashMap::default(), order: VecDeque::new() };
        Self { inner: ShardedLock::new(inner), entries_max: entries_max.max(1) }
    }

    /// The value of `key` and the tag that it was read under.
    pub(crate) fn get(&self, key: &Key) -> Option<(V, Tag)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.map.get(key)?;
        // Written once, not on every hit, so that readers share no written cache line.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some((entry.value.clone(), entry.tag))
    }

    /// Takes `value` in, unless something was forgotten since `moment`.
    pub(crate) fn insert(&self, caches: &Caches, moment: Moment, key: Key, value: V, tag: Tag) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if !caches.still(moment) {
            return;
        }
        let entry = Entry { value, tag, used: AtomicBool::new(false) };
        if inner.map.insert(key.clone(), entry).is_none() {
            inner.order.push_back(key);
        }
        inner.evict(self.entries_max);
    }

    fn remove(&self, key: &Key) {
        let known = self.inner.read().unwrap_or_else(PoisonError::into_inner).map.contains_key(key);
        if known {
            let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            inner.map.remove(key);
            inner.order.retain(|ordered| ordered != key);
        }
    }
}

impl<V> Inner<V> {
    fn evict(&mut self, entries_max: usize) {
        while self.map.len() > entries_max {
            let Some(key) = self.order.pop_front() else { return };
            let second_chance =
                self.map.get_mut(&key).is_some_and(|entry| std::mem::take(entry.used.get_mut()));
            if second_chance {
                self.order.push_back(key);
            } else {
                self.map.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::from(name.as_bytes())
    }

    fn id(byte: u8) -> DefinitionId {
        DefinitionId::from_bytes(&[byte; 12]).unwrap()
    }

    #[test]
    fn what_was_read_before_a_change_is_not_taken_in_after_it() {
        let caches = Caches::new(8);
        let before = caches.moment();
        caches.forget([key("k")].iter());
        caches.names.insert(&caches, before, key("k"), id(1), Tag::Sole);
        assert!(caches.names.get(&key("k")).is_none());
        caches.names.insert(&caches, caches.moment(), key("k"), id(2), Tag::Sole);
        assert_eq!(caches.names.get(&key("k")), Some((id(2), Tag::Sole)));
        caches.forget([key("k")].iter());
        assert!(caches.names.get(&key("k")).is_none());
    }

    #[test]
    fn a_used_entry_outlives_an_unused_one() {
        let caches = Caches::new(2);
        let moment = caches.moment();
        for (name, byte) in [("a", 1), ("b", 2)] {
            caches.names.insert(&caches, moment, key(name), id(byte), Tag::Sole);
        }
        assert!(caches.names.get(&key("a")).is_some());
        caches.names.insert(&caches, moment, key("c"), id(3), Tag::Sole);
        assert!(caches.names.get(&key("a")).is_some());
        assert!(caches.names.get(&key("b")).is_none());
        assert!(caches.names.get(&key("c")).is_some());
    }
}
