//! A run that is kept is answered without a read, and never as it was before a write.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind::{Indeterminate, Unavailable};
use strongroom::{Error, Org, Resolution, Scope, ScopePath, Vault, VaultOptions};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Hooked, Point, account, base, furnished, load, of_account, of_workflow, open, org, rows, text, unlock,
    verbs, view,
};

fn path() -> ScopePath {
    ScopePath::org().linked_account(account("a")).workflow("w".parse().unwrap())
}

fn of(account_id: &str) -> ScopePath {
    ScopePath::org().linked_account(account(account_id))
}

fn all(org: &Org) -> Result<Vec<String>, Error> {
    let shown = |all: Resolution| {
        let values = all.values.iter().map(|one| {
            let (scope, shadowed, found) = (&one.scope, &one.shadowed, one.found);
            format!("{} {} {scope:?} {shadowed:?} {found:?}", one.name, one.value.expose())
        });
        values.chain(all.missing_required.iter().cloned()).collect()
    };
    block_on(org.resolve_all(&path())).map(shown)
}

/// Resolves until the run is kept.
fn keep(org: &Org) -> Vec<String> {
    all(org).unwrap();
    all(org).unwrap()
}

fn kept_len(vault: &Vault) -> usize {
    vault.cache_stats().runs.entries
}

fn options() -> VaultOptions {
    VaultOptions::default()
}

fn open_with(options: VaultOptions, store: Hooked) -> Vault {
    block_on(options.open(store, unlock())).unwrap()
}

#[test]
fn a_run_that_is_kept_is_resolved_without_a_read_and_is_what_a_read_gives() {
    let base = furnished();
    let store = Faulty::new(Hooked::new(load(&base)));
    let vault = open(store.clone());
    let org = org(&vault);
    let read = keep(&org);
    let one = |org: &Org, name: &str| {
        let one = block_on(org.resolve(name, &path())).unwrap();
        one.map(|one| (one.value.expose().to_owned(), one.scope, one.shadowed, one.found, one.name))
    };
    let cold = open(load(&base));
    let reads = store.reads_len();
    assert_eq!(all(&org).unwrap(), read);
    // Each name is read once, if it is not known.
    for name in ["V", "S", "N", "D", "R"] {
        let again = [one(&org, name), one(&org, name)];
        assert_eq!(again, [(); 2].map(|()| one(&crate::rig::org(&cold), name)), "{name}");
    }
    assert_eq!(all(&crate::rig::org(&cold)).unwrap(), read);
    assert!(store.reads_len() - reads <= 10, "resolve_all read {} times", store.reads_len() - reads);
    let reads = store.reads_len();
    for name in ["V", "S", "N", "D", "R"] {
        one(&org, name);
    }
    all(&org).unwrap();
    assert_eq!(store.reads_len(), reads);
    let runs = vault.cache_stats().runs;
    assert!(runs.hits >= 12 && runs.entries == 1, "{runs:?}");
}

#[test]
fn a_reader_of_fewer_variables_is_told_of_no_other_by_a_run_that_is_kept() {
    let vault = open(Hooked::new(load(&furnished())));
    let org = org(&vault);
    keep(&org);
    assert_eq!(kept_len(&vault), 1);
    let missing = |name| block_on(org.reader(path()).only([name]).resolve_all()).unwrap().missing_required;
    assert_eq!((missing("R"), missing("V")), (vec!["R".to_owned()], vec![]));
}

#[test]
fn a_run_of_a_workflow_is_not_that_of_an_account_with_the_same_id() {
    let store = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", of_account("same"), "of the account").await?;
        org.set_value("V", of_workflow("same"), "of the workflow").await.map(drop)
    });
    let org = org(&open(Hooked::new(store)));
    let workflow = ScopePath::org().workflow("same".parse().unwrap());
    for _ in 0..3 {
        for (path, value) in [(&of("same"), "of the account"), (&workflow, "of the workflow")] {
            let all = block_on(org.resolve_all(path)).unwrap();
            assert_eq!(all.get("V").unwrap().value.expose(), value);
        }
    }
}

#[test]
fn a_path_that_was_asked_for_once_is_not_kept() {
    let vault = open(Hooked::new(load(&furnished())));
    for id in ["a", "b", "u"] {
        block_on(org(&vault).resolve_all(&of(id))).unwrap();
    }
    assert_eq!(kept_len(&vault), 0);
    block_on(org(&vault).resolve_all(&of("u"))).unwrap();
    assert_eq!(kept_len(&vault), 1);
}

#[test]
fn every_write_shows_in_the_next_resolve_of_a_run_that_was_kept() {
    let base = furnished();
    for verb in verbs() {
        let store = load(&base);
        let vault = open(Hooked::new(Arc::clone(&store)));
        keep(&org(&vault));
        block_on(verb.run(org(&vault))).unwrap();
        let seen = all(&org(&vault)).unwrap();
        assert_eq!(seen, all(&org(&open(Arc::clone(&store)))).unwrap(), "{}", verb.name);
        assert_eq!(keep(&org(&vault)), seen, "{}", verb.name);
        assert_eq!(all(&org(&vault)).unwrap(), seen, "{}", verb.name);
    }
}

#[test]
fn a_write_of_one_org_leaves_the_runs_of_others_as_they_are() {
    let store = Faulty::new(Hooked::new(load(&furnished())));
    let vault = open(store.clone());
    let kept = keep(&org(&vault));
    let others = vault.org(crate::rig::OTHER_ORG.parse().unwrap(), org(&vault).environment().clone());
    block_on(others.define(text("V"))).unwrap();
    let reads = store.reads_len();
    assert_eq!(all(&org(&vault)).unwrap(), kept);
    assert_eq!(store.reads_len(), reads);
}

#[test]
fn rotations_and_shreds_leave_no_run_as_it_was() {
    let base = furnished();
    type Drops = (&'static str, fn(&Vault));
    let verbs: [Drops; 4] = [
        ("rotate data keys", |vault| {
            let _ = block_on(vault.rotate_data_keys(&strongroom::DataKeys::all())).unwrap();
            block_on(vault.run_jobs()).unwrap();
        }),
        ("rotate keys of the org", |vault| {
            let _ = block_on(org(vault).rotate_keys()).unwrap();
            block_on(vault.run_jobs()).unwrap();
        }),
        ("shred the account", |vault| {
            let _ = block_on(org(vault).shred_account(&account("a"))).unwrap();
        }),
        ("shred the org", |vault| {
            let _ = block_on(org(vault).shred()).unwrap();
        }),
    ];
    for (name, verb) in verbs {
        let store = load(&base);
        let vault = open(Hooked::new(Arc::clone(&store)));
        keep(&org(&vault));
        assert_eq!(kept_len(&vault), 1);
        verb(&vault);
        assert_eq!(kept_len(&vault), 0, "{name}: a key of a run is still there");
        assert_eq!(all(&org(&vault)).unwrap(), all(&org(&open(store))).unwrap(), "{name}");
    }
}

#[test]
fn a_read_that_a_write_overtakes_is_not_kept() {
    let base = furnished();
    for verb in verbs() {
        for point in [Point::BeforeRead, Point::AfterRead] {
            let store = load(&base);
            let hooked = Hooked::new(Arc::clone(&store));
            let vault = open(hooked.clone());
            all(&org(&vault)).unwrap();
            let writer = org(&vault);
            hooked.once(point, move || {
                block_on(verb.run(writer)).unwrap();
            });
            all(&org(&vault)).unwrap();
            assert_eq!(hooked.hooks_left(), 0);
            let now = all(&org(&open(Arc::clone(&store)))).unwrap();
            for _ in 0..3 {
                assert_eq!(all(&org(&vault)).unwrap(), now, "{} {point:?}", verb.name);
            }
        }
    }
}

#[test]
fn a_write_that_is_applied_is_seen_whoever_has_heard_of_it() {
    let base = furnished();
    for verb in verbs() {
        for point in [Point::BeforeCommit, Point::AfterCommit] {
            let store = load(&base);
            let hooked = Hooked::new(Arc::clone(&store));
            let vault = open(hooked.clone());
            keep(&org(&vault));
            let (reader, rows_now) = (org(&vault), Arc::clone(&store));
            hooked.once(point, move || {
                let now = all(&org(&open(load(&rows(&rows_now))))).unwrap();
                for _ in 0..3 {
                    assert_eq!(all(&reader).unwrap(), now);
                }
            });
            block_on(verb.run(org(&vault))).unwrap();
            assert_eq!(hooked.hooks_left(), 0, "{}", verb.name);
            assert_eq!(all(&org(&vault)).unwrap(), all(&org(&open(store))).unwrap(), "{}", verb.name);
        }
    }
}

#[test]
fn a_write_whose_answer_is_lost_shows_whether_it_landed_or_not() {
    for fault in [Fault::After(Indeterminate), Fault::Before(Indeterminate), Fault::Before(Unavailable)] {
        for verb in verbs() {
            let store = Faulty::new(Hooked::new(load(&furnished())));
            let vault = open(store.clone().on_commits(0..1, fault));
            keep(&org(&vault));
            block_on(verb.run(org(&vault))).ok();
            let now = all(&org(&open(store.reopen()))).unwrap();
            assert_eq!(all(&org(&vault)).unwrap(), now, "{} {fault:?}", verb.name);
        }
    }
}

#[test]
fn a_lock_drops_what_is_kept_and_serves_nothing_of_it() {
    let vault = open(Hooked::new(load(&furnished())));
    let org = org(&vault);
    for lock in [Vault::lock as fn(&Vault), |vault| crate::rig::org(vault).lock()] {
        let before = keep(&org);
        assert_eq!(kept_len(&vault), 1);
        lock(&vault);
        assert_eq!(kept_len(&vault), 0);
        assert!(matches!(all(&org), Err(Error::Locked)));
        assert!(matches!(block_on(org.resolve("V", &path())), Err(Error::Locked)));
        block_on(vault.unlock(unlock())).unwrap();
        block_on(org.unlock(unlock())).unwrap();
        assert_eq!(all(&org).unwrap(), before);
    }
}

#[test]
fn a_run_that_was_read_before_a_lock_is_not_kept_after_it() {
    let hooked = Hooked::new(load(&furnished()));
    let vault = open(hooked.clone());
    all(&org(&vault)).unwrap();
    let locked = vault.clone();
    hooked.once(Point::AfterRead, move || {
        org(&locked).lock();
        block_on(org(&locked).unlock(unlock())).unwrap();
    });
    all(&org(&vault)).unwrap();
    assert_eq!((hooked.hooks_left(), kept_len(&vault)), (0, 0));
}

#[test]
fn a_vault_that_was_closed_serves_nothing_that_it_kept() {
    let vault = open(Hooked::new(load(&furnished())));
    keep(&org(&vault));
    block_on(vault.close()).unwrap();
    assert_eq!(kept_len(&vault), 0);
    assert!(matches!(all(&org(&vault)), Err(Error::Store(_))));
}

#[test]
fn what_is_kept_goes_when_its_time_is_over() {
    let clock = TestClock::default();
    let options = options().clock(clock.clone()).cached_key_age_max(Duration::from_millis(10));
    let vault = open_with(options, Hooked::new(load(&furnished())));
    keep(&org(&vault));
    clock.set(9);
    vault.wipe_old_keys();
    assert_eq!(kept_len(&vault), 1);
    clock.set(10);
    vault.wipe_old_keys();
    assert_eq!(kept_len(&vault), 0);
}

#[test]
fn no_more_is_kept_than_there_is_room_for_and_nothing_without_room() {
    for (bytes, kept_max) in [(0, 0), (1, 0), (4_096, 4), (1 << 20, 40)] {
        let options = options().cached_runs_bytes_max(bytes);
        let vault = open_with(options, Hooked::new(load(&furnished())));
        for number in 0..40 {
            for _ in 0..2 {
                block_on(org(&vault).resolve_all(&of(&format!("user-{number}")))).unwrap();
            }
            assert!(kept_len(&vault) <= kept_max, "{} in {bytes} bytes", kept_len(&vault));
        }
        assert_eq!(kept_len(&vault) > 0, kept_max > 0, "{bytes} bytes");
    }
}

#[test]
fn nothing_is_kept_of_a_store_that_others_write_to_even_after_they_are_gone() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    keep(&org(&vault));
    keep(&org(&vault));
    drop(store);
    keep(&org(&vault));
    assert_eq!(vault.cache_stats().runs, strongroom::CacheStats::default().runs);
}

#[test]
fn two_engines_that_share_a_store_see_each_verb_of_the_other_at_once() {
    let base = furnished();
    for verb in verbs() {
        let store = load(&base);
        let (one, other) = (open(Arc::clone(&store)), open(Arc::clone(&store)));
        for vault in [&one, &other] {
            keep(&org(vault));
            view(&org(vault));
        }
        block_on(verb.run(org(&one))).unwrap();
        assert_eq!(view(&org(&other)), view(&org(&one)), "{}", verb.name);
        assert_eq!(all(&org(&other)).unwrap(), all(&org(&open(store))).unwrap(), "{}", verb.name);
    }
}

#[test]
fn values_of_any_length_are_cut_out_as_they_were_set() {
    let lens = [0, 1, 63, 64, 1_023, 1_024, 1_025, 5_000, 65_536, 0, 3];
    let value = |index: usize, len| char::from(b'a' + index as u8).to_string().repeat(len);
    let store = base(async |org| {
        for (index, len) in lens.into_iter().enumerate() {
            org.define(text(&format!("V{index}"))).await?;
            org.set_value(&format!("V{index}"), Scope::Org, value(index, len)).await?;
        }
        Ok(())
    });
    let vault = open(Hooked::new(store));
    let org = org(&vault);
    keep(&org);
    for _ in 0..2 {
        let all = block_on(org.resolve_all(&path())).unwrap();
        for (index, len) in lens.into_iter().enumerate() {
            assert_eq!(all.get(&format!("V{index}")).unwrap().value.expose(), value(index, len));
            let one = block_on(org.resolve(&format!("V{index}"), &path())).unwrap().unwrap();
            assert_eq!(one.value.expose(), value(index, len));
        }
    }
    assert!(vault.cache_stats().runs.hits > 12);
}

#[test]
fn readers_on_many_threads_never_see_less_than_what_was_acknowledged_before_they_asked() {
    let store = base(async |org| {
        org.define(text("N")).await?;
        for scope in [Scope::Org, of_account("a"), of_workflow("w")] {
            org.set_value("N", scope, "0").await?;
        }
        Ok(())
    });
    let vault = open(Hooked::new(Arc::<MemoryStore>::clone(&store)));
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|threads| {
        for reader in 0..4 {
            let (vault, acknowledged, done) = (&vault, &acknowledged, &done);
            threads.spawn(move || {
                let org = org(vault);
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let seen = if reader % 2 == 0 {
                        block_on(org.resolve_all(&path()))
                            .unwrap()
                            .get("N")
                            .unwrap()
                            .value
                            .expose()
                            .to_owned()
                    } else {
                        block_on(org.resolve("N", &path())).unwrap().unwrap().value.expose().to_owned()
                    };
                    let seen: u64 = seen.parse().unwrap();
                    assert!(seen >= before && seen >= last, "{seen} after {before} and {last}");
                    last = seen;
                }
            });
        }
        for number in 1..=300 {
            block_on(org(&vault).set_value("N", of_workflow("w"), number.to_string())).unwrap();
            acknowledged.store(number, Ordering::SeqCst);
            // Until the run is kept again, so that the next write finds it so.
            let kept = vault.cache_stats().runs.hits;
            while vault.cache_stats().runs.hits == kept {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
}
