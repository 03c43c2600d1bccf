//! `lock` and `unlock`, of one org and of the whole vault.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Barrier};
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    Environment, Error, Org, PageRequest, RawKey, RootRotation, Scope, ScopePath, Unlock, Vault,
};

use crate::rig::{
    Hooked, Kind, OTHER_ORG, Point, RowKey, Rows, audit, empty, furnished, is_damage, load, of_account, open,
    org, rows, sound, stop_after_first_commit, text, unlock, verbs, view,
};

fn wrong_key() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([8; 32]))
}

fn is_locked<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Locked))
}

/// Warms every cache of the furnished tenant.
fn warm(org: &Org) {
    view(org);
}

#[test]
fn every_verb_of_a_locked_org_and_of_a_locked_vault_is_refused_and_writes_nothing() {
    let base = furnished();
    for verb in verbs() {
        for whole in [false, true] {
            let store = load(&base);
            let vault = open(Arc::clone(&store));
            let org = org(&vault);
            warm(&org);
            if whole {
                vault.lock();
            } else {
                org.lock();
            }
            assert!(is_locked(&block_on(verb.run(org.clone()))), "{}", verb.name);
            assert_eq!(rows(&store), base, "{}", verb.name);
            let again = if whole { block_on(vault.unlock(unlock())) } else { block_on(org.unlock(unlock())) };
            again.unwrap();
            block_on(verb.run(org)).unwrap();
            audit(&store);
        }
    }
}

#[test]
fn a_lock_that_comes_between_what_a_write_reads_and_its_batch_refuses_the_batch() {
    let base = furnished();
    for (skip, whole) in (0..3).flat_map(|skip| [(skip, false), (skip, true)]) {
        let hooked = Hooked::new(load(&base));
        let vault = open(hooked.clone());
        let (locking, other) = (org(&vault), vault.clone());
        hooked.once_after(Point::AfterRead, skip, move || if whole { other.lock() } else { locking.lock() });
        let answer = block_on(org(&vault).set_value("V", Scope::Org, "locked"));
        assert!(hooked.hooks_left() > 0 || is_locked(&answer), "after read {skip}: {answer:?}");
        assert!(skip > 0 || hooked.hooks_left() == 0, "it reads");
    }
}

#[test]
fn every_reader_of_a_locked_org_is_refused_with_warm_caches_too() {
    let vault = open(load(&furnished()));
    let (org, path) = (org(&vault), ScopePath::org());
    warm(&org);
    for whole in [false, true] {
        if whole {
            vault.lock();
        } else {
            org.lock();
        }
        assert!(is_locked(&block_on(org.resolve("V", &path))));
        assert!(is_locked(&block_on(org.resolve_all(&path))));
        assert!(is_locked(&block_on(org.explain("V", &path))));
        assert!(is_locked(&block_on(org.definition("V"))));
        assert!(is_locked(&block_on(org.value("V", Scope::Org))));
        assert!(is_locked(&block_on(org.values(Scope::Org, PageRequest::default()))));
        assert!(is_locked(&block_on(org.linked_accounts(PageRequest::default()))));
        assert!(is_locked(&block_on(org.verify())));
        let again = if whole { block_on(vault.unlock(unlock())) } else { block_on(org.unlock(unlock())) };
        again.unwrap();
        warm(&org);
    }
}

#[test]
fn other_orgs_and_environments_go_on_while_one_is_locked() {
    let (store, vault) = empty();
    let others = [
        vault.org(OTHER_ORG.parse().unwrap(), Environment::test()),
        vault.org(crate::rig::ORG.parse().unwrap(), Environment::production()),
    ];
    let locked = org(&vault);
    block_on(locked.define(text("V"))).unwrap();
    locked.lock();
    for other in &others {
        block_on(other.define(text("V"))).unwrap();
        block_on(other.set_value("V", of_account("a"), "v")).unwrap();
        assert!(block_on(other.verify()).unwrap().is_clean());
    }
    // Another handle of the locked one is no way around.
    assert!(is_locked(&block_on(org(&vault).definition("V"))));
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean() && report.unverifiable == 5, "{report}");
    audit(&store);
}

#[test]
fn an_unlock_is_of_one_environment_alone() {
    let (_, vault) = empty();
    let test = org(&vault);
    let production = vault.org(*test.id(), Environment::production());
    test.lock();
    production.lock();
    block_on(test.unlock(unlock())).unwrap();
    assert!(block_on(test.definition("V")).unwrap().is_none());
    assert!(is_locked(&block_on(production.definition("V"))));
}

/// How many entries each cache holds: names, definitions, catalogs, keyrings.
fn cached(vault: &Vault) -> [usize; 4] {
    let stats = vault.cache_stats();
    [stats.names, stats.definitions, stats.catalogs, stats.keyrings].map(|counts| counts.entries)
}

#[test]
fn a_locked_org_has_nothing_in_the_caches_and_others_keep_what_is_theirs() {
    let vault = open(load(&furnished()));
    let (locked, other) = (org(&vault), vault.org(OTHER_ORG.parse().unwrap(), Environment::test()));
    block_on(other.define(text("V"))).unwrap();
    block_on(other.set_value("V", of_account("a"), "v")).unwrap();
    warm(&other);
    locked.lock();
    let of_other = cached(&vault);
    assert!(of_other.iter().all(|entries| *entries > 0), "{of_other:?}");
    block_on(locked.unlock(unlock())).unwrap();

    warm(&locked);
    let of_both = cached(&vault);
    assert!(of_both.iter().zip(of_other).all(|(both, other)| *both > other), "{of_both:?} {of_other:?}");
    locked.lock();
    assert_eq!(cached(&vault), of_other);
    vault.lock();
    assert_eq!(cached(&vault), [0; 4]);
}

#[test]
fn a_key_that_does_not_open_the_vault_does_not_unlock() {
    let vault = open(load(&furnished()));
    let org = org(&vault);
    org.lock();
    assert!(matches!(block_on(org.unlock(wrong_key())), Err(Error::WrongKey)));
    assert!(is_locked(&block_on(org.definition("V"))));
    vault.lock();
    assert!(matches!(block_on(vault.unlock(wrong_key())), Err(Error::WrongKey)));
    assert!(is_locked(&block_on(org.unlock(unlock()))));
    let root = vault.root_id();
    block_on(vault.unlock(unlock())).unwrap();
    assert_eq!(vault.root_id(), root);
    // What was locked by itself stays so.
    assert!(is_locked(&block_on(org.definition("V"))));
    block_on(org.unlock(unlock())).unwrap();
    assert!(block_on(org.definition("V")).unwrap().is_some());
}

#[test]
fn a_key_that_was_removed_does_not_unlock_though_the_store_brings_its_slot_back_and_hides_what_says_so() {
    let (store, vault) = empty();
    let spare = block_on(vault.slots().add(wrong_key())).unwrap();
    let before = rows(&store);
    block_on(vault.slots().remove(&spare.id)).unwrap();
    let mut planted = WriteBatch::default();
    let slots = before.into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Slot);
    slots.for_each(|(key, row)| planted.put(key.into(), row));
    planted.delete(vec![0, 3].into());
    block_on(store.commit(Arc::new(planted))).unwrap();
    let org = org(&vault);
    org.lock();
    assert!(is_damage(&block_on(org.unlock(wrong_key())).unwrap_err()));
    assert!(is_locked(&block_on(org.definition("V"))));
    vault.lock();
    assert!(is_damage(&block_on(vault.unlock(wrong_key())).unwrap_err()));
    assert!(is_locked(&block_on(vault.run_jobs())));
}

#[test]
fn an_older_root_that_the_store_brings_back_does_not_unlock_and_a_newer_one_does() {
    let (store, vault) = empty();
    let before = rows(&store);
    let rotate = |vault: &Vault| block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    block_on(rotate(&vault).job.run()).unwrap();
    vault.lock();
    let now = rows(&store);
    let put_back = |rows: Rows| {
        let mut batch = WriteBatch::default();
        rows.into_iter().for_each(|(key, row)| batch.put(key.into(), row));
        block_on(store.commit(Arc::new(batch))).unwrap();
    };
    put_back(before);
    assert!(matches!(block_on(vault.unlock(unlock())), Err(Error::RootRotated)));
    assert!(is_locked(&block_on(vault.run_jobs())));
    put_back(now);
    block_on(vault.unlock(unlock())).unwrap();

    // Made by another engine while this one was locked: it says which root it followed, until its job is done.
    let elsewhere = open(Arc::clone(&store));
    vault.lock();
    let new = rotate(&elsewhere);
    block_on(vault.unlock(unlock())).unwrap();
    assert_eq!(vault.root_id(), new.root_id);
    vault.lock();
    block_on(new.job.run()).unwrap();
    block_on(rotate(&elsewhere).job.run()).unwrap();
    assert!(matches!(block_on(vault.unlock(unlock())), Err(Error::RootRotated)));
}

#[test]
fn a_verb_that_a_lock_overtakes_lands_as_a_whole_or_says_that_it_is_locked() {
    let base = furnished();
    for verb in verbs() {
        for point in [Point::BeforeRead, Point::AfterRead, Point::BeforeCommit, Point::AfterCommit] {
            for skip in 0..2 {
                for whole in [false, true] {
                    let inner = load(&base);
                    let store = Hooked::new(Arc::clone(&inner));
                    let vault = open(store.clone());
                    let handle = org(&vault);
                    let locker = vault.clone();
                    store.once_after(
                        point,
                        skip,
                        move || {
                            if whole { locker.lock() } else { org(&locker).lock() }
                        },
                    );
                    let answer = block_on(verb.run(handle.clone()));
                    let name = format!("{} {point:?} {skip} {whole}", verb.name);
                    assert!(answer.is_ok() || is_locked(&answer), "{name}: {answer:?}");
                    sound(&inner);
                    if whole {
                        block_on(vault.unlock(unlock())).unwrap();
                    } else {
                        block_on(handle.unlock(unlock())).unwrap();
                    }
                    block_on(vault.run_jobs()).unwrap();
                    audit(&inner);
                }
            }
        }
    }
}

#[test]
fn the_jobs_of_a_locked_org_wait_and_those_of_others_do_not() {
    let store = load(&furnished());
    let verb = verbs().into_iter().find(|verb| verb.name == "delete_account").unwrap();
    stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    org.lock();
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
    block_on(org.unlock(unlock())).unwrap();
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    vault.lock();
    assert!(is_locked(&block_on(vault.run_jobs())));
    assert!(is_locked(&block_on(vault.verify())));
    audit(&store);
}

#[test]
fn pages_of_the_whole_vault_that_begin_in_the_middle_of_a_locked_org_are_read() {
    let store = load(&furnished());
    for name in ["delete_account", "delete_definition"] {
        let verb = verbs().into_iter().find(|verb| verb.name == name).unwrap();
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
    }
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    for number in 0..150 {
        block_on(org.define(text(&format!("MORE_{number}")))).unwrap();
    }
    org.lock();
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean() && report.unverifiable > 300, "{report}");
    assert_eq!(report.rows, rows(&store).len() as u64);
    let first = block_on(vault.jobs(PageRequest::first(1))).unwrap();
    let second = block_on(vault.jobs(PageRequest::first(1).after(first.next.unwrap()))).unwrap();
    assert_eq!((first.items.len(), second.items.len()), (1, 1));
    assert!(is_locked(&block_on(org.definition("MORE_0"))));
}

#[test]
fn a_lock_beside_an_unlock_leaves_the_vault_as_one_of_them_does() {
    let vault = open(load(&furnished()));
    let org = org(&vault);
    for round in 0..1_000_u32 {
        vault.lock();
        let start = Barrier::new(2);
        thread::scope(|threads| {
            threads.spawn(|| {
                start.wait();
                block_on(vault.unlock(unlock())).unwrap();
            });
            start.wait();
            (0..round * 4).for_each(|_| std::hint::spin_loop());
            vault.lock();
        });
        let is_open = block_on(org.definition("V")).is_ok();
        assert_eq!(block_on(vault.run_jobs()).is_ok(), is_open);
    }
}

#[test]
fn a_lock_is_of_this_process_alone() {
    let store = load(&furnished());
    let one = open(Arc::clone(&store));
    let two: Vault = open(Arc::clone(&store));
    one.lock();
    assert!(block_on(org(&two).definition("V")).unwrap().is_some());
    assert!(is_locked(&block_on(org(&one).definition("V"))));
}
