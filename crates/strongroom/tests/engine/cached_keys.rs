//! Cached keys: opened once for all who wait, kept for a time, and let go of when others need the room.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::store::{Key, Store, WriteBatch};
use strongroom::{Clock, Damage, Error, Org, Scope, ScopePath, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Kind, ORG, OTHER_ORG, RowKey, Rows, Slow, account, empty, furnished, load, of_account, org, rows,
    text, unlock,
};

#[derive(Debug, Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hand {
    fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    fn turn_to(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

fn open_with(options: VaultOptions, store: impl Store) -> Vault {
    block_on(options.open(store, unlock())).unwrap()
}

/// A vault that keeps keys for a second, and its clock.
fn for_a_second(store: &Arc<MemoryStore>) -> (Hand, Vault) {
    let hand = Hand::at(10_000);
    let options = VaultOptions::default().clock(hand.clone()).cached_key_age_max(Duration::from_secs(1));
    let vault = open_with(options, Hooked::new(Arc::clone(store)));
    (hand, vault)
}

fn run() -> ScopePath {
    ScopePath::org().linked_account(account("a"))
}

fn resolves(org: &Org) {
    assert!(block_on(org.resolve("V", &run())).unwrap().is_some());
}

#[test]
fn of_64_tasks_that_miss_a_keyring_at_once_one_opens_it() {
    let vault = open_with(VaultOptions::default(), Slow(load(&furnished())));
    let org = org(&vault);
    let id = block_on(org.definition("V")).unwrap().unwrap().id;
    let before = vault.cache_stats().keyring_unwraps;
    let (at, all) = (of_account("a"), 0..64);
    let found = block_on(join_all(all.map(|_| org.value(id, &at))));
    assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
    let stats = vault.cache_stats();
    assert_eq!((stats.keyring_unwraps - before, stats.keyrings.misses), (1, 64 + 1), "and the org's before");
}

#[test]
fn of_64_threads_that_miss_a_keyring_at_once_one_opens_it() {
    for _ in 0..20 {
        let vault = open_with(VaultOptions::default(), Hooked::new(load(&furnished())));
        let start = Barrier::new(64);
        thread::scope(|threads| {
            for _ in 0..64 {
                threads.spawn(|| {
                    start.wait();
                    resolves(&org(&vault));
                });
            }
        });
        assert_eq!(vault.cache_stats().keyring_unwraps, 2, "the org's and the account's");
    }
}

#[test]
fn a_task_that_is_dropped_while_others_wait_holds_none_of_them_up() {
    for polls in 1..=4 {
        let vault = open_with(VaultOptions::default(), Slow(load(&furnished())));
        let org = org(&vault);
        let id = block_on(org.definition("V")).unwrap().unwrap().id;
        let at = of_account("a");
        let mut leader: Pin<Box<dyn Future<Output = _>>> = Box::pin(org.value(id, &at));
        let mut follower = pin!(org.value(id, &at));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if leader.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        assert!(matches!(follower.as_mut().poll(&mut context), Poll::Pending));
        drop(leader);
        assert!(block_on(follower).unwrap().is_some());
        assert_eq!(vault.cache_stats().keyring_unwraps, 2);
    }
}

#[test]
fn a_key_whose_time_is_over_is_gone_before_the_next_verb_looks_it_up() {
    let (hand, vault) = for_a_second(&load(&furnished()));
    let org = org(&vault);
    resolves(&org);
    hand.turn_to(10_999);
    resolves(&org);
    assert_eq!((vault.cache_stats().keyring_unwraps, vault.cache_stats().keyrings.entries), (2, 2));

    hand.turn_to(11_000);
    resolves(&org);
    assert_eq!((vault.cache_stats().keyring_unwraps, vault.cache_stats().keyrings.entries), (4, 2));

    // A use does not make the time longer, and no verb is needed to end it.
    hand.turn_to(11_999);
    resolves(&org);
    vault.wipe_old_keys();
    assert_eq!(vault.cache_stats().keyrings.entries, 2);
    hand.turn_to(12_000);
    vault.wipe_old_keys();
    assert_eq!((vault.cache_stats().keyring_unwraps, vault.cache_stats().keyrings.entries), (4, 0));
}

#[test]
fn of_several_keys_each_goes_when_its_own_time_is_over_down_to_the_youngest() {
    let (store, vault) = empty();
    block_on(org(&vault).define(text("V"))).unwrap();
    for account in ["a", "b", "c"] {
        block_on(org(&vault).set_value("V", of_account(account), "v")).unwrap();
    }
    drop(vault);
    let (hand, vault) = for_a_second(&store);
    let cached_at = |ms| {
        hand.turn_to(ms);
        vault.wipe_old_keys();
        vault.cache_stats().keyrings.entries
    };
    for (account, ms) in [("a", 10_000), ("b", 10_300), ("c", 10_700)] {
        hand.turn_to(ms);
        assert!(block_on(org(&vault).value("V", of_account(account))).unwrap().is_some());
    }
    // The org's came with that of `a`.
    assert_eq!([10_999, 11_000].map(cached_at), [4, 2]);
    assert_eq!([11_299, 11_300].map(cached_at), [2, 1]);
    assert_eq!([11_699, 11_700].map(cached_at), [1, 0]);
}

#[test]
fn a_key_whose_row_is_read_again_is_kept_no_longer_for_that() {
    let (store, hand) = (load(&furnished()), Hand::at(10_000));
    let options = VaultOptions::default().clock(hand.clone()).cached_key_age_max(Duration::from_secs(1));
    let vault = open_with(options, Arc::clone(&store));
    resolves(&org(&vault));
    hand.turn_to(10_600);
    // What another engine changes makes this one read again.
    let other = open_with(VaultOptions::default(), Arc::clone(&store));
    block_on(org(&other).define(text("OTHER"))).unwrap();
    let misses = vault.cache_stats().keyrings.misses;
    resolves(&org(&vault));
    let stats = vault.cache_stats();
    assert_eq!((stats.keyrings.misses - misses, stats.keyring_unwraps), (2, 2));
    hand.turn_to(11_000);
    vault.wipe_old_keys();
    assert_eq!(vault.cache_stats().keyrings.entries, 0);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_key_longer() {
    let (hand, vault) = for_a_second(&load(&furnished()));
    resolves(&org(&vault));
    hand.turn_to(5_000);
    vault.wipe_old_keys();
    assert_eq!(vault.cache_stats().keyrings.entries, 0);
}

#[test]
fn no_more_keyrings_are_kept_than_there_is_room_for() {
    let (store, vault) = empty();
    block_on(org(&vault).define(text("V"))).unwrap();
    drop(vault);
    let vault = open_with(VaultOptions::default().cache_entries_max(3), Hooked::new(store));
    for number in 0..10 {
        block_on(org(&vault).set_value("V", of_account(&number.to_string()), "v")).unwrap();
        let at = of_account(&number.to_string());
        assert!(block_on(org(&vault).value("V", &at)).unwrap().is_some());
        assert!(vault.cache_stats().keyrings.entries <= 3);
    }
    // The org's is used by every verb, and stays.
    assert_eq!(vault.cache_stats().keyring_unwraps, 10 + 1);
}

/// The rows of one vault with the same account in two orgs, and the keyring rows of it.
fn two_orgs() -> (Rows, [Vec<u8>; 2]) {
    let (store, vault) = empty();
    for id in [ORG, OTHER_ORG] {
        let org = vault.org(id.parse().unwrap(), strongroom::Environment::test());
        block_on(async {
            org.define(text("V")).await?;
            org.set_value("V", Scope::Org, "v").await?;
            org.set_value("V", of_account("a"), "v of a").await
        })
        .unwrap();
    }
    let rows = rows(&store);
    let is_of_account = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Keyring && key.ends_with(b"a\0");
    let keyrings: Vec<_> = rows.keys().filter(is_of_account).cloned().collect();
    let keyrings = keyrings.try_into().unwrap();
    (rows, keyrings)
}

#[test]
fn a_keyring_that_was_swapped_for_another_tenants_is_never_served() {
    let (rows, [ours, other]) = two_orgs();
    let store = load(&rows);
    let (hand, vault) = for_a_second(&store);
    let org = org(&vault);
    resolves(&org);
    let mut swap = WriteBatch::default();
    swap.put(Key::from(ours), rows[&other].clone());
    block_on(store.commit(Arc::new(swap))).unwrap();

    // What was opened at this address before is still the right key.
    resolves(&org);
    assert_eq!(vault.cache_stats().keyring_unwraps, 2);
    hand.turn_to(11_000);
    for _ in 0..2 {
        let error = block_on(org.resolve("V", &run())).unwrap_err();
        assert!(matches!(error, Error::Damaged { cause: Damage::Rejected, .. }), "{error:?}");
    }
    assert_eq!(vault.cache_stats().keyrings.entries, 1, "the org's alone");
}

#[test]
fn a_cached_key_opens_no_row_that_was_moved_or_changed() {
    let (rows, _) = two_orgs();
    let store = load(&rows);
    let vault = open_with(VaultOptions::default(), Hooked::new(Arc::clone(&store)));
    let org = org(&vault);
    resolves(&org);
    let of_org = |key: &RowKey| key.kind == Kind::Value && key.tenant_ids().0 == ORG;
    let values: Vec<_> = rows.keys().filter(|key| of_org(&RowKey::parse(key))).cloned().collect();
    let mut swap = WriteBatch::default();
    swap.put(Key::from(values[0].clone()), rows[&values[1]].clone());
    swap.put(Key::from(values[1].clone()), rows[&values[0]].clone());
    block_on(store.commit(Arc::new(swap))).unwrap();
    assert!(block_on(org.resolve("V", &run())).is_err());
}
