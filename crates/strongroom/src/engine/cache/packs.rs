//! Which packs are kept, and whether one is still valid.
//!
//! **Invariant.** Between the stamp of a pack and its use, no batch began that writes anything the pack was made from:
//! the definitions of the tenant, with their defaults; its values; its keyrings, since whatever a dropped key sealed is
//! absent; and the `store` row, whose notes of shredded keys also drop keys. Expiry, accounts, credentials, formats and
//! other tenants do not change what a run sees. Whatever may not be served at all is checked first: locks by the verb,
//! and here that the store was not closed and that nobody else writes to it.
//!
//! A batch counts from before it is sent until it is answered. One that is never answered counts forever, since it may
//! land at any time. So the invariant holds only in a store that nobody else writes to: another writer cannot be
//! noticed without a read.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_utils::sync::ShardedLock;
use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::engine::cache::age::Age;
use crate::engine::cache::pack::Pack;
use crate::engine::cache::{Share, Striped};
use crate::row::{RunsOf, runs_of};
use crate::store::Key;

/// What runs see, by tenant and path.
pub(crate) struct Packs {
    stamps: Stamps,
    held: ShardedLock<KeptPacks>,
    /// The paths that were asked for: a path is packed from the second time on, since most runs come only once.
    asked: Box<[AtomicU32]>,
    hasher: RandomState,
    age: Age,
    /// Set permanently if others may write to the store, if it was closed, or if there is no room for a pack.
    off: AtomicBool,
}

struct KeptPacks {
    packs: Cache<Key, Striped<Arc<Pack>>, ByBytes, RandomState>,
    /// The keys of a tenant's packs, and of some that were evicted since.
    tenants: HashMap<Key, Vec<Key>, RandomState>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Striped<Arc<Pack>>> for ByBytes {
    fn weight(&self, key: &Key, pack: &Striped<Arc<Pack>>) -> u64 {
        (pack.value().bytes_len() + 2 * key.as_bytes().len() + ENTRY_LEN) as u64
    }
}

impl Packs {
    /// Packs of at most `bytes_max` bytes together, each kept for `age_max`.
    pub(super) fn new(bytes_max: usize, age_max: Duration) -> Self {
        let hasher = RandomState::default();
        let packs = Cache::with(
            bytes_max / USUAL_LEN,
            bytes_max as u64,
            ByBytes,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        Self {
            stamps: Stamps::new(),
            held: ShardedLock::new(KeptPacks { packs, tenants: HashMap::default() }),
            asked: (0..ASKED_LEN).map(|_| AtomicU32::new(0)).collect(),
            hasher,
            age: Age::new(age_max),
            off: AtomicBool::new(bytes_max == 0),
        }
    }

    /// Whether nothing is kept.
    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Acquire)
    }

    /// Keeps nothing from now on.
    pub(crate) fn turn_off(&self) {
        // Permanent, since a store that is shared stays shared. A thread that sees it set keeps and uses nothing.
        self.off.store(true, Ordering::Release);
        self.forget_all(&[]);
    }

    /// The pack at `key` of the tenant with `prefix`, if it is valid at this moment.
    pub(crate) fn get(&self, prefix: &[u8], key: &Key) -> Option<Share<Arc<Pack>>> {
        if self.is_off() {
            return None;
        }
        let stamp = self.stamps.of(prefix)?;
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let pack = held.packs.get(key)?;
        (pack.value().stamp == stamp).then(|| pack.share())
    }

    /// The stamp that a reader takes before it reads what it may pack; `None` if it need not pack it.
    pub(crate) fn stamp(&self, prefix: &[u8], key: &Key) -> Option<Stamp> {
        if self.is_off() || !self.is_asked_again(key) {
            return None;
        }
        self.stamps.of(prefix)
    }

    /// Keeps a pack at `key`, unless it is no longer valid.
    pub(crate) fn keep(&self, prefix: &[u8], key: Key, pack: Pack) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a thread that forgets moves the stamp or turns this off before it takes the lock. So either
        // this check sees that, or that thread finds the pack.
        if self.is_off() || self.stamps.of(prefix) != Some(pack.stamp) {
            return;
        }
        self.age.keep(pack.since);
        held.insert(prefix, key, pack);
    }

    /// A batch that writes these rows is about to be sent.
    pub(crate) fn begin_change<'k>(&self, rows: impl Iterator<Item = &'k Key>) -> WrittenTenants {
        let mut change = WrittenTenants { tenants: SmallVec::new(), everyone: false };
        if self.is_off() {
            return change;
        }
        for row in rows {
            match runs_of(row) {
                RunsOf::Nobody => {}
                RunsOf::Everyone => change.everyone = true,
                // Nearly all rows of a batch belong to one tenant. A tenant that comes up twice counts twice, and ends
                // twice.
                RunsOf::Tenant(prefix) if change.tenants.last().is_some_and(|last| is(last, prefix)) => {}
                RunsOf::Tenant(prefix) => change.tenants.push(Key::from(prefix)),
            }
        }
        change.begin(&self.stamps);
        change
    }

    /// The batch was answered or abandoned.
    pub(crate) fn end_change(&self, change: &WrittenTenants, answered: bool) {
        if change.everyone {
            self.forget_all(&[]);
        } else {
            change.tenants.iter().for_each(|prefix| self.forget_tenant(prefix));
        }
        if answered {
            change.end(&self.stamps);
        }
    }

    /// Drops the packs of tenants whose prefix starts with `prefix`, and stops readers that are about to keep one.
    pub(crate) fn forget_all(&self, prefix: &[u8]) {
        self.stamps.everyone.fetch_add(CHANGE, Ordering::AcqRel);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.packs.retain(|key, _| !key.as_bytes().starts_with(prefix));
        held.tenants.retain(|tenant, _| !tenant.as_bytes().starts_with(prefix));
    }

    /// Drops expired packs.
    pub(crate) fn drop_old(&self, now: Timestamp) {
        if !self.age.is_due(now) {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.packs.retain(|_, pack| !self.age.is_over(pack.value().since, now));
        self.age.restart(held.packs.iter().map(|(_, pack)| pack.value().since).min());
    }

    /// How many packs are kept.
    pub(super) fn len(&self) -> usize {
        self.held.read().unwrap_or_else(PoisonError::into_inner).packs.len()
    }

    fn forget_tenant(&self, prefix: &Key) {
        // Under the shared lock first: most tenants that are written to have no pack, and no reader should wait for
        // those.
        let known = self.held.read().unwrap_or_else(PoisonError::into_inner).tenants.contains_key(prefix);
        if known {
            self.held.write().unwrap_or_else(PoisonError::into_inner).forget_tenant(prefix);
        }
    }

    /// Whether a path was asked for before, and not too many others since.
    fn is_asked_again(&self, key: &Key) -> bool {
        let hash = self.hasher.hash_one(key);
        let Some(slot) = self.asked.get(hash as usize % ASKED_LEN) else { return false };
        // Never 0, which means no path.
        let path = (hash >> 32) as u32 | 1;
        // Relaxed: it decides only whether to pack.
        slot.load(Ordering::Relaxed) == path || {
            slot.store(path, Ordering::Relaxed);
            false
        }
    }
}

fn is(key: &Key, bytes: &[u8]) -> bool {
    key.as_bytes() == bytes
}

impl KeptPacks {
    fn insert(&mut self, prefix: &[u8], key: Key, pack: Pack) {
        let keys = self.tenants.entry(Key::from(prefix)).or_default();
        if keys.len() == keys.capacity() {
            // Before the list grows, drop the keys of evicted packs.
            keys.retain(|key| self.packs.contains_key(key));
        }
        keys.push(key.clone());
        self.packs.insert(key, Striped::new(Arc::new(pack)));
        if self.tenants.len() > 2 * self.packs.len() + TENANTS_SPARE {
            self.tenants.retain(|_, keys| keys.iter().any(|key| self.packs.contains_key(key)));
        }
    }

    fn forget_tenant(&mut self, prefix: &Key) {
        for key in self.tenants.remove(prefix).unwrap_or_default() {
            self.packs.remove(&key);
        }
    }
}

/// The tenants whose rows a batch writes.
pub(crate) struct WrittenTenants {
    tenants: SmallVec<[Key; 1]>,
    everyone: bool,
}

impl WrittenTenants {
    fn begin(&self, stamps: &Stamps) {
        for count in self.counts(stamps) {
            // In one step, so that no reader sees half of it. Release: a reader that sees a row of the batch in the
            // store also sees that the batch began, since the batch is sent afterwards.
            count.fetch_add(CHANGE + UNDER_WAY, Ordering::AcqRel);
        }
    }

    fn end(&self, stamps: &Stamps) {
        for count in self.counts(stamps) {
            count.fetch_sub(UNDER_WAY, Ordering::AcqRel);
        }
    }

    fn counts<'s>(&self, stamps: &'s Stamps) -> impl Iterator<Item = &'s AtomicU64> {
        let tenants = self.tenants.iter().filter_map(|prefix| stamps.count(prefix.as_bytes()));
        tenants.chain(self.everyone.then_some(&stamps.everyone))
    }
}

/// How many batches that write what runs see have begun, [`CHANGE`] each, and how many are in flight, [`UNDER_WAY`]
/// each. A tenant shares its count with some others, so their batches also count as its own.
struct Stamps {
    everyone: AtomicU64,
    tenants: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// A moment at which no batch was under way for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    everyone: u64,
    tenant: u64,
}

impl Stamps {
    fn new() -> Self {
        Self {
            everyone: AtomicU64::new(0),
            tenants: (0..STAMPS_LEN).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }

    fn count(&self, prefix: &[u8]) -> Option<&AtomicU64> {
        self.tenants.get(self.hasher.hash_one(prefix) as usize % STAMPS_LEN)
    }

    /// The present stamp; `None` while a batch is under way.
    fn of(&self, prefix: &[u8]) -> Option<Stamp> {
        // Acquire: whatever a batch wrote that is no longer in flight is in every read that starts after this.
        let everyone = self.everyone.load(Ordering::Acquire);
        let tenant = self.count(prefix)?.load(Ordering::Acquire);
        let is_still = |count: u64| count.is_multiple_of(CHANGE);
        (is_still(everyone) && is_still(tenant)).then_some(Stamp { everyone, tenant })
    }
}

const UNDER_WAY: u64 = 1;
/// Above any number of batches that are under way.
const CHANGE: u64 = 1 << 32;
/// Enough that the batches of other tenants seldom count.
const STAMPS_LEN: usize = 1_024;
const ASKED_LEN: usize = 4_096;
/// About what a run of 50 values takes.
const USUAL_LEN: usize = 6 << 10;
/// The size of an entry without its pack.
const ENTRY_LEN: usize = 256;
const TENANTS_SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::engine::cache::pack::{Packing, Winner};

    const TENANT: &[u8] = b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0";

    fn key(path: &str) -> Key {
        Key::from([TENANT, path.as_bytes()].concat())
    }

    fn value_row() -> Key {
        key(" value")
    }

    fn packs(bytes_max: usize) -> Packs {
        Packs::new(bytes_max, Duration::from_millis(10))
    }

    /// Keeps a pack that only the cache holds from then on; dead if it was not kept.
    fn keep(packs: &Packs, path: &str, stamp: Option<Stamp>, since_ms: u64) -> Weak<Pack> {
        let mut packing = Packing::new(1, 5);
        packing.add(Winner::Default, 0, "value");
        let (key, since) = (key(path), Timestamp::from_ms(since_ms));
        let Some(stamp) = stamp else { return Weak::new() };
        let pack = packing.seal(key.as_bytes(), Arc::default(), stamp, since).unwrap().unwrap();
        packs.keep(TENANT, key.clone(), pack);
        packs.get(TENANT, &key).map_or_else(Weak::new, |pack| Arc::downgrade(&pack))
    }

    fn now(packs: &Packs) -> Option<Stamp> {
        packs.stamps.of(TENANT)
    }

    #[test]
    fn a_pack_and_its_key_are_dropped_by_a_write_a_lock_its_age_and_others() {
        let all = packs(1 << 20);
        let kept = || keep(&all, "run", now(&all), 0);
        let drops: [fn(&Packs); 5] = [
            |packs| packs.end_change(&packs.begin_change([value_row()].iter()), true),
            |packs| packs.end_change(&packs.begin_change([crate::row::VaultRow::Store.key()].iter()), true),
            |packs| packs.forget_all(TENANT),
            |packs| packs.drop_old(Timestamp::from_ms(10)),
            Packs::turn_off,
        ];
        for drop in drops {
            let pack = kept();
            assert!(pack.upgrade().is_some());
            drop(&all);
            assert!(pack.upgrade().is_none());
            assert_eq!(all.len(), 0);
        }
        let few = packs(4_096);
        let kept: Vec<_> = (0..20).map(|n| keep(&few, &n.to_string(), now(&few), 0)).collect();
        assert_eq!(kept.iter().filter(|pack| pack.upgrade().is_some()).count(), few.len());
        assert!((1..8).contains(&few.len()));
    }

    #[test]
    fn nothing_is_served_or_taken_in_while_a_write_is_under_way_or_once_one_began_since() {
        let packs = packs(1 << 20);
        let before = now(&packs);
        assert!(keep(&packs, "run", before, 0).upgrade().is_some());
        let change = packs.begin_change([value_row()].iter());
        assert!(packs.get(TENANT, &key("run")).is_none() && now(&packs).is_none());
        packs.end_change(&change, true);
        assert!(packs.get(TENANT, &key("run")).is_none());
        assert!(keep(&packs, "run", before, 0).upgrade().is_none());
        assert!(keep(&packs, "run", now(&packs), 0).upgrade().is_some());
    }

    #[test]
    fn a_write_whose_answer_never_came_is_under_way_for_ever() {
        let packs = packs(1 << 20);
        let lost = packs.begin_change([value_row()].iter());
        packs.end_change(&lost, false);
        packs.end_change(&packs.begin_change([value_row()].iter()), true);
        assert_eq!(now(&packs), None);
    }

    #[test]
    fn what_no_run_sees_drops_nothing() {
        let packs = packs(1 << 20);
        let pack = keep(&packs, "run", now(&packs), 0);
        // An account, a credential, a record, an event, the generation; a job of the tenant and one on keys.
        let kinds = [0x30, 0x32, 0x40, 0x60, 0x04];
        let mut rows: Vec<_> = kinds.map(|kind| Key::from([TENANT, &[kind, b'x']].concat())).into();
        rows.extend([Key::from(vec![0, 4, b'x']), Key::from(vec![0, 5, b'x'])]);
        packs.end_change(&packs.begin_change(rows.iter()), true);
        assert!(pack.upgrade().is_some() && packs.get(TENANT, &key("run")).is_some());
    }

    #[test]
    fn a_batch_that_writes_to_several_tenants_counts_for_each() {
        let (packs, other) =
            (packs(1 << 20), Key::from(b"\x016500a1b2c3d4e5f6a7b8c9d1\0test\0\x20".as_slice()));
        let prefix = other.as_bytes().split_last().unwrap().1;
        let rows = [value_row(), value_row(), other.clone(), value_row()];
        let change = packs.begin_change(rows.iter());
        assert!(packs.stamps.of(TENANT).is_none() && packs.stamps.of(prefix).is_none());
        packs.end_change(&change, true);
        assert!(packs.stamps.of(TENANT).is_some() && packs.stamps.of(prefix).is_some());
    }

    #[test]
    fn the_lock_of_one_tenant_keeps_no_pack_of_another_past_a_write() {
        let packs = packs(1 << 20);
        let pack = keep(&packs, "run", now(&packs), 0);
        packs.forget_all(b"another");
        assert!(pack.upgrade().is_some());
        packs.end_change(&packs.begin_change([value_row()].iter()), true);
        assert!(pack.upgrade().is_none());
    }

    #[test]
    fn the_ids_of_a_path_take_room_too() {
        let packs = packs(1 << 16);
        for number in 0..100 {
            keep(&packs, &format!("{number:4000}"), now(&packs), 0);
        }
        // Each path is held twice.
        assert!((1..=(1 << 16) / 8_000).contains(&packs.len()));
    }

    #[test]
    fn tenants_whose_packs_made_room_are_not_remembered_for_long() {
        let packs = packs(4_096);
        let pack =
            || Packing::new(0, 0).seal(b"", Arc::default(), now(&packs).unwrap(), Timestamp::from_ms(0));
        for number in 0..1_000 {
            let tenant = number.to_string();
            let pack = pack().unwrap().unwrap();
            packs.held.write().unwrap().insert(tenant.as_bytes(), Key::from(tenant.as_bytes()), pack);
        }
        assert!(packs.held.read().unwrap().tenants.len() < 2 * TENANTS_SPARE);
    }

    #[test]
    fn what_made_room_is_not_remembered_for_long() {
        let packs = packs(4_096);
        for number in 0..10_000 {
            keep(&packs, &number.to_string(), now(&packs), 0);
        }
        let held = packs.held.read().unwrap();
        assert!(held.tenants.values().map(Vec::len).sum::<usize>() < 100);
    }
}
