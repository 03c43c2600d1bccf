//! A bounded map that lets go of what was not used lately.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::RandomState;

use crate::engine::cache::Tag;
use crate::store::Key;

/// Values by key, each with the tag that it was read under. At most so many: then the least recently used goes first,
/// told by second chance. An entry is queued when it comes in. At the head of the queue one that was used since it was
/// queued goes to the end, and one that was not is dropped. So what is dropped was not used for a whole round of the
/// queue, and a hit writes nothing but the first after a round: an exact order would be written by every reader.
pub(crate) struct Table<V> {
    map: HashMap<Key, Entry<V>, RandomState>,
    /// Keys in the order in which they are considered for eviction.
    order: VecDeque<Key>,
    entries_max: usize,
}

struct Entry<V> {
    value: V,
    tag: Tag,
    used: AtomicBool,
}

impl<V> Table<V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { map: HashMap::default(), order: VecDeque::new(), entries_max: entries_max.max(1) }
    }

    /// The value at `key` and the tag that it was read under.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(&V, Tag)> {
        let entry = self.map.get(key)?;
        // Written once, not on every hit, so that readers share no written cache line.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some((&entry.value, entry.tag))
    }

    pub(crate) fn insert(&mut self, key: Key, value: V, tag: Tag) {
        let entry = Entry { value, tag, used: AtomicBool::new(false) };
        if self.map.insert(key.clone(), entry).is_none() {
            self.order.push_back(key);
        }
        self.evict();
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        if self.map.remove(key).is_some() {
            self.order.retain(|ordered| ordered != key);
        }
    }

    /// Drops what `keep` does not hold on to.
    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.map.retain(|_, entry| keep(&entry.value));
        self.order.retain(|key| self.map.contains_key(key));
    }

    /// Drops what stands at keys that `keep` does not hold on to.
    pub(crate) fn retain_keys(&mut self, keep: impl Fn(&Key) -> bool) {
        self.map.retain(|key, _| keep(key));
        self.order.retain(|key| self.map.contains_key(key));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.map.values().map(|entry| &entry.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn evict(&mut self) {
        while self.map.len() > self.entries_max {
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

    fn put(table: &mut Table<u8>, name: &str) {
        table.insert(Key::from(name.as_bytes()), 0, Tag::Sole);
    }

    #[test]
    fn a_used_entry_outlives_an_unused_one() {
        let mut table = Table::new(2);
        put(&mut table, "a");
        put(&mut table, "b");
        assert!(table.get(b"a").is_some());
        put(&mut table, "c");
        let held = ["a", "b", "c"].map(|name| table.get(name.as_bytes()).is_some());
        assert_eq!(held, [true, false, true]);
    }

    #[test]
    fn what_is_used_again_and_again_stays_however_much_comes_in() {
        let mut table = Table::new(8);
        put(&mut table, "hot");
        for number in 0..100 {
            assert!(table.get(b"hot").is_some());
            put(&mut table, &number.to_string());
            assert!(table.len() <= 8 && table.order.len() == table.len());
        }
    }
}
