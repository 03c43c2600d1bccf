//! A bounded map that evicts what was not used lately.

use foldhash::quality::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::engine::cache::Tag;
use crate::store::Key;

/// Values by key, each with the tag that it was read under. When it is full, the least recently used entry goes first,
/// as Clock-PRO judges it. A hit needs no exclusive access: it counts up to two in the entry and writes nothing after
/// that, so the readers of a hot entry write no shared cache line.
pub(crate) struct Table<V> {
    entries: Cache<Key, Entry<V>, UnitWeighter, RandomState>,
}

struct Entry<V> {
    value: V,
    tag: Tag,
}

impl<V> Table<V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        // With no room the cache would keep nothing, and tasks that miss at the same time would each open a keyring.
        let len_max = entries_max.max(1);
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self { entries: Cache::with(len_max, len_max as u64, UnitWeighter, hasher, lifecycle) }
    }

    /// The value at `key` and the tag that it was read under.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(&V, Tag)> {
        self.entries.get(key).map(|entry| (&entry.value, entry.tag))
    }

    /// Whether there is a value at `key`. Does not count as a use.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: Key, value: V, tag: Tag) {
        self.entries.insert(key, Entry { value, tag });
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// Drops the entries that `keep` rejects.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Key, &V) -> bool) {
        self.entries.retain(|key, entry| keep(key, &entry.value));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, entry)| &entry.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut Table<u8>, name: &str) {
        table.insert(Key::from(name.as_bytes()), 0, Tag::Sole);
    }

    #[test]
    fn what_is_used_again_and_again_stays_however_much_comes_in() {
        let mut table = Table::new(8);
        put(&mut table, "hot");
        for number in 0..100 {
            assert!(table.get(b"hot").is_some());
            put(&mut table, &number.to_string());
            assert!(table.len() <= 8);
        }
    }

    #[test]
    fn what_comes_in_last_is_held_and_no_more_than_there_is_room_for() {
        for entries_max in 0..4 {
            let mut table = Table::new(entries_max);
            for number in 0..20 {
                put(&mut table, &number.to_string());
                assert!(table.get(number.to_string().as_bytes()).is_some());
                assert!(table.len() <= entries_max.max(1));
            }
        }
    }
}
