//! Opened rows kept in memory: definitions, names, catalogs and keyrings.
//!
//! A reader writes nothing that another thread reads, and takes one lock for everything that a verb looks up. An entry
//! is used only under the tag that it was read under. It is not inserted if a row was forgotten after it was read.
//! While a commit that changes cached rows is in flight, nobody uses an entry, and a reader that already used one reads
//! again. So a cached row is never used together with rows of another moment.

pub(crate) mod age;
pub(crate) mod counts;
pub(crate) mod pack;
pub(crate) mod packs;
mod seen;
pub(crate) mod striped;
pub(crate) mod table;

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use age::Age;
use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};
use foldhash::quality::RandomState;
use table::Table;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::keys::ScopeKeys;
use crate::model::{Revision, StoredDefinition};
use crate::row::Row;
use crate::store::{Key, RowRevision};

pub use counts::{CacheCounts, CacheStats};
pub(crate) use counts::{Cached, Counts};
use packs::Packs;
pub(crate) use seen::DELETED;
use seen::{Began, Seen};
pub(crate) use striped::{Share, Striped};

/// Under which view of the store an entry was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Only this engine writes: whatever it did not change is still valid.
    Sole,
    /// Others may write: the epoch row had this revision.
    Epoch(Option<RowRevision>),
}

/// The caches of one engine.
pub(crate) struct Caches {
    tables: ShardedLock<Tables>,
    /// When the oldest keyring must be dropped.
    key_age: Age,
    /// Held while a keyring is opened. Each lock serves some of the keys.
    turns: [Mutex<()>; TURNS],
    hasher: RandomState,
    /// How often each cache held what a verb needed.
    pub(crate) counts: Counts,
    /// How often something was forgotten, or was about to change.
    forgotten: AtomicU64,
    /// How many commits that change cached rows are in flight.
    changing: AtomicUsize,
    /// The newest revisions of control rows, whether they are cached or not.
    seen: Arc<Seen>,
    /// What runs see.
    pub(crate) packs: Packs,
}

/// What is cached, by the key of its row.
pub(crate) struct Tables {
    pub(crate) names: Table<DefinitionId>,
    pub(crate) definitions: Table<Arc<Definition>>,
    /// All definitions of a tenant, under the key of its epoch row.
    pub(crate) catalogs: Table<Catalog>,
    pub(crate) keyrings: Table<HeldKeys>,
}

/// A definition as the engine keeps it: opened, with what a write expects of its row.
pub(crate) struct Definition {
    pub(crate) stored: StoredDefinition,
    pub(crate) row_revision: RowRevision,
}

/// All definitions of a tenant, in the order of their ids.
pub(crate) type Catalog = Arc<Vec<Arc<Definition>>>;

/// A cached keyring, and when its row was read.
pub(crate) struct HeldKeys {
    pub(crate) keys: Striped<Arc<ScopeKeys>>,
    pub(crate) since: Timestamp,
}

impl Caches {
    /// Caches of at most `entries_max` entries each; for catalogs, which are large, a sixteenth of that. Keyrings and
    /// packs are kept for `key_age_max`, and packs take at most `pack_bytes_max` bytes.
    pub(crate) fn new(entries_max: usize, pack_bytes_max: usize, key_age_max: Duration) -> Self {
        let tables = Tables {
            names: Table::new(entries_max),
            definitions: Table::new(entries_max),
            catalogs: Table::new(entries_max.div_ceil(16)),
            keyrings: Table::new(entries_max),
        };
        Self {
            tables: ShardedLock::new(tables),
            key_age: Age::new(key_age_max),
            turns: Default::default(),
            hasher: RandomState::default(),
            counts: Counts::default(),
            forgotten: AtomicU64::new(0),
            changing: AtomicUsize::new(0),
            // Room for every keyring and definition that the tables above can hold.
            seen: Arc::new(Seen::new(entries_max.saturating_mul(2))),
            packs: Packs::new(pack_bytes_max, key_age_max),
        }
    }

    /// Small caches for an engine beside that of `others`, which keep keyrings no longer. The engine refuses whatever
    /// the other one would, and keeps to itself what it sees.
    pub(crate) fn beside(others: &Self) -> Self {
        let key_age_max = others.key_age.max();
        Self { seen: Arc::new(Seen::beside(&others.seen, BESIDE)), ..Self::new(BESIDE, 0, key_age_max) }
    }

    /// What is cached now. Do not hold across an `.await`.
    pub(crate) fn tables(&self) -> ShardedLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `take_in` insert what was read, unless something was forgotten since the reader began at `moment`.
    pub(crate) fn insert(&self, moment: Moment, take_in: impl FnOnce(&mut Tables)) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // Check under the lock: a thread that forgets raises the count first and then looks under the lock. So either
        // this check sees the count or that thread sees the entry.
        if self.still(moment) {
            take_in(&mut tables);
        }
    }

    /// Inserts the keyring at `key`, whose row was read at `held.since`.
    pub(crate) fn insert_keyring(&self, moment: Moment, key: Key, held: HeldKeys, tag: Tag) {
        self.insert(moment, |tables| {
            self.key_age.keep(held.since);
            tables.keyrings.insert(key, held, tag);
        });
    }

    /// The keyring that was opened from this very row, and since when it is held.
    pub(crate) fn opened(&self, key: &Key, row: RowRevision) -> Option<(Arc<ScopeKeys>, Timestamp)> {
        let tables = self.tables();
        let (held, _) = tables.keyrings.get(key.as_bytes())?;
        let keys = held.keys.value();
        (keys.row_revision == row).then(|| (Arc::clone(keys), held.since))
    }

    /// The right to open the keyring at `key`, which one thread has at a time. Do not hold across an `.await`.
    pub(crate) fn turn(&self, key: &Key) -> Option<MutexGuard<'_, ()>> {
        let index = self.hasher.hash_one(key) as usize % TURNS;
        self.turns.get(index).map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Drops expired keyrings and packs: each is wiped when the last verb that uses it ends.
    pub(crate) fn drop_old_keys(&self, now: Timestamp) {
        self.packs.drop_old(now);
        if !self.key_age.is_due(now) {
            return;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.keyrings.retain(|_, held| !self.key_age.is_over(held.since, now));
        // The oldest one left: a later time would keep it too long.
        self.key_age.restart(tables.keyrings.values().map(|held| held.since).min());
    }

    /// What a reader notes before it reads the store, and gives to [`insert`](Self::insert).
    pub(crate) fn moment(&self) -> Moment {
        // Acquire: a reader that sees the count of a change also sees in `changing` that it is in flight.
        Moment { forgotten: self.forgotten.load(Ordering::Acquire), began: self.seen.began() }
    }

    /// Whether nothing was forgotten or began to change since `moment`.
    pub(crate) fn still(&self, moment: Moment) -> bool {
        self.forgotten.load(Ordering::Acquire) == moment.forgotten
    }

    /// Whether cached rows may be changing in the store.
    ///
    /// Call this after [`moment`](Self::moment), never before: a change that begins between the two calls is then
    /// either seen here or raises the count. In the other order, the moment would already include it and this call
    /// would miss it, and cached rows would be used beside those that it writes.
    pub(crate) fn are_changing(&self) -> bool {
        // Acquire: a reader that sees that a change is over also sees that its rows were forgotten.
        self.changing.load(Ordering::Acquire) > 0
    }

    /// A commit that changes cached rows is about to be sent.
    pub(crate) fn begin_change(&self) {
        // In this order, with Release on the second: a reader whose moment counts the change also sees that it is in
        // flight.
        self.changing.fetch_add(1, Ordering::Relaxed);
        self.forgotten.fetch_add(1, Ordering::Release);
    }

    /// The commit was answered or abandoned: forgets the rows at `keys`, so that they are read again.
    pub(crate) fn end_change<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        self.forget(keys);
        // Last, and Release: a reader that sees that the change is over finds no entry from before it.
        self.changing.fetch_sub(1, Ordering::Release);
    }

    /// Drops everything cached under keys that start with `prefix`, and keeps readers that began earlier from inserting
    /// it again. Keys are wiped when the last verb that uses them ends.
    pub(crate) fn forget_all(&self, prefix: &[u8]) {
        self.packs.forget_all(prefix);
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock that `insert` takes before it checks the count, so that the lock orders the two.
        self.forgotten.fetch_add(1, Ordering::Release);
        let keep = |key: &Key| !key.as_bytes().starts_with(prefix);
        tables.names.retain(|key, _| keep(key));
        tables.definitions.retain(|key, _| keep(key));
        tables.catalogs.retain(|key, _| keep(key));
        tables.keyrings.retain(|key, _| keep(key));
    }

    /// Refuses a control row that opened at an older revision than one that was seen before its reader's `moment`.
    ///
    /// # Errors
    /// [`Error::RolledBack`].
    pub(crate) fn refuse_older(
        &self,
        row: &Row<'_>,
        revision: Revision,
        moment: Moment,
    ) -> Result<(), Error> {
        self.seen.check(row, revision, moment.began)
    }

    /// Refuses that a keyring is missing if it was there before the reader's `moment`.
    ///
    /// # Errors
    /// [`Error::RolledBack`].
    pub(crate) fn refuse_absent(&self, row: &Row<'_>, moment: Moment) -> Result<(), Error> {
        self.seen.check_absent(row, moment.began)
    }

    /// The newest revision that was seen of a control row.
    pub(crate) fn newest(&self, key: &Key) -> Option<Revision> {
        self.seen.newest(key)
    }

    /// Notes that this engine wrote a control row, or deleted one for good ([`DELETED`]).
    pub(crate) fn wrote(&self, key: &Key, revision: Revision) {
        self.seen.wrote(key, revision);
    }

    /// Whether the record of an API key or a session is the newest that was seen before its reader's `moment`.
    pub(crate) fn is_newest_record(&self, key: &Key, found: Option<Revision>, moment: Moment) -> bool {
        self.seen.is_newest_record(key, found, moment.began)
    }

    /// Notes that this engine wrote such a record, or deleted it ([`DELETED`]).
    pub(crate) fn wrote_record(&self, key: &Key, revision: Revision) {
        self.seen.wrote_record(key, revision);
    }

    /// Forgets the revisions seen of control rows whose key starts with `prefix`: new rows there will not continue
    /// them.
    pub(crate) fn begin_again(&self, prefix: &[u8]) {
        self.seen.forget(|key| key.as_bytes().starts_with(prefix));
    }

    /// Drops everything cached under `keys`, and keeps readers that began earlier from inserting it again.
    pub(crate) fn forget<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        // Before the tables are checked: an entry inserted after the check finds the count raised and stays out.
        self.forgotten.fetch_add(1, Ordering::Release);
        // Under the shared lock first: most batches write nothing that is cached, and no reader should wait for those.
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

    /// Statistics of the caches since the vault was opened.
    pub(crate) fn stats(&self) -> CacheStats {
        let mut stats = self.counts.sum();
        let tables = self.tables();
        stats.names.entries = tables.names.len();
        stats.definitions.entries = tables.definitions.len();
        stats.catalogs.entries = tables.catalogs.len();
        stats.keyrings.entries = tables.keyrings.len();
        stats.runs.entries = self.packs.len();
        stats
    }
}

impl Tables {
    fn hold(&self, key: &Key) -> bool {
        self.names.holds(key)
            || self.definitions.holds(key)
            || self.catalogs.holds(key)
            || self.keyrings.holds(key)
    }

    fn remove(&mut self, key: &Key) {
        self.names.remove(key);
        self.definitions.remove(key);
        self.catalogs.remove(key);
        self.keyrings.remove(key);
    }
}

/// Entries of an engine that lives for a few verbs.
const BESIDE: usize = 256;
/// Enough that openers of different keyrings seldom wait for each other.
const TURNS: usize = 16;

/// When a reader began.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// How often something had been forgotten by then.
    forgotten: u64,
    began: Began,
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::keys::Keyring;

    fn key(name: &str) -> Key {
        Key::from(name.as_bytes())
    }

    /// Inserts a keyring that only the cache holds from then on.
    fn take_in_keyring(caches: &Caches, name: &str, since_ms: u64) -> Weak<ScopeKeys> {
        let since = Timestamp::from_ms(since_ms);
        let keyring = Keyring::generate(&[1; 32], &vec![2; 16], since).unwrap();
        let keys = Arc::new(ScopeKeys::new(keyring, crate::model::Revision::from_u64(1), RowRevision(1)));
        let held = Arc::downgrade(&keys);
        let keys = Striped::new(keys);
        caches.insert_keyring(caches.moment(), key(name), HeldKeys { keys, since }, Tag::Sole);
        held
    }

    #[test]
    fn keys_are_dropped_and_so_wiped_when_they_are_evicted_forgotten_or_old() {
        let caches = Caches::new(2, 0, Duration::from_millis(10));
        let former = ["a", "b"].map(|name| take_in_keyring(&caches, name, 0));
        let kept = take_in_keyring(&caches, "c", 5);
        assert_eq!(former.iter().filter(|keys| keys.upgrade().is_some()).count(), 1, "two have room");
        caches.forget([&key("a"), &key("b")].into_iter());
        assert!(former.iter().all(|keys| keys.upgrade().is_none()) && kept.upgrade().is_some());
        caches.drop_old_keys(Timestamp::from_ms(14));
        assert!(kept.upgrade().is_some());
        caches.drop_old_keys(Timestamp::from_ms(15));
        assert!(kept.upgrade().is_none());
    }

    #[test]
    fn of_several_keys_each_goes_when_its_own_time_is_over_whichever_came_first() {
        let [a, b, c] = [("a", 0), ("b", 3), ("c", 7)];
        for order in [[a, b, c], [c, b, a], [b, a, c]] {
            let caches = Caches::new(8, 0, Duration::from_millis(10));
            let mut held = order.map(|(name, since)| (name, take_in_keyring(&caches, name, since)));
            held.sort_by_key(|(name, _)| *name);
            let kept_at = |ms| {
                caches.drop_old_keys(Timestamp::from_ms(ms));
                held.each_ref().map(|(_, keys)| keys.upgrade().is_some())
            };
            assert_eq!([9, 10].map(kept_at), [[true; 3], [false, true, true]]);
            assert_eq!([12, 13].map(kept_at), [[false, true, true], [false, false, true]]);
            assert_eq!([16, 17].map(kept_at), [[false, false, true], [false; 3]]);
        }
    }

    #[test]
    fn what_a_lock_forgets_is_gone_and_cannot_come_back_and_what_others_hold_stays() {
        let caches = Caches::new(8, 0, Duration::MAX);
        let [own, of_account, of_another] =
            ["org 1", "org 1 account", "org 2"].map(|name| take_in_keyring(&caches, name, 0));
        let before = caches.moment();
        caches.forget_all(b"org 1");
        assert!(own.upgrade().is_none() && of_account.upgrade().is_none());
        assert!(of_another.upgrade().is_some());
        caches.insert(before, |tables| tables.names.insert(key("org 1 name"), id(1), Tag::Sole));
        assert_eq!(caches.stats().names.entries, 0);
        caches.forget_all(b"");
        assert!(of_another.upgrade().is_none());
    }

    fn id(byte: u8) -> DefinitionId {
        DefinitionId::from_bytes(&[byte; 12]).unwrap()
    }

    #[test]
    fn what_was_read_before_a_change_is_not_taken_in_after_it() {
        let caches = Caches::new(8, 0, Duration::MAX);
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
