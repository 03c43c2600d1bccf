//! Jobs: what a delete left behind is swept, by whom and whenever, and nothing else is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionChange, Environment, Error, IntegrationId, JobKind, JobState, Org, PageRequest, Scope,
    ScopeKind, Scopes, VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Hooked, Kind, Point, RowKey, account, audit, empty, load, of_account, open, org, rows, text, unlock,
};
use crate::rig::{is_damage, sound, stop_after_first_commit};

/// A store with an account that has a value and a credential.
fn with_account() -> Arc<MemoryStore> {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await?;
        org.set_value("V", of_account("a"), "v1").await?;
        org.create_account(account("a")).with_credential("k", "c1").await?;
        Ok::<(), Error>(())
    })
    .unwrap();
    store
}

fn jobs_len(store: &Arc<MemoryStore>) -> usize {
    rows(store).keys().filter(|key| RowKey::parse(key).kind == Kind::Job).count()
}

#[test]
fn a_job_says_whose_account_it_sweeps_of_an_integration_too() {
    let (of_integration, of_all) = (with_account(), with_account());
    stop_after_first_commit(&of_integration, async |org| {
        drop(org.account(account("a")).delete_integration(&IntegrationId::default_app()).await);
    });
    stop_after_first_commit(&of_all, async |org| drop(org.delete_account(&account("a")).await));
    for store in [of_integration, of_all] {
        let vault = open(store);
        let jobs = block_on(vault.jobs(PageRequest::default())).unwrap().items;
        assert_eq!((jobs.len(), jobs[0].kind, jobs[0].state), (1, JobKind::Sweep, JobState::Ready));
        assert_eq!(jobs[0].tenant, Some((*org(&vault).id(), Environment::test())));
        assert_eq!(jobs[0].account, Some(account("a")));
    }
}

#[test]
fn two_deletes_of_one_account_never_sweep_the_account_that_follows() {
    let store = with_account();
    let a = account("a");
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&a).await));
    block_on(org(&open(Arc::clone(&store))).set_value("V", of_account("a"), "v2")).unwrap();
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&a).await));
    assert_eq!(jobs_len(&store), 2);

    // Between any two of the sweeps' commits the account may be made again: it waits for the sweep of its own.
    for skip in 0.. {
        let store = load(&rows(&store));
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let other = vault.clone();
        hooked.once_after(Point::AfterCommit, skip, move || {
            block_on(org(&other).create_account(account("a")).with_credential("k", "c2").into_future())
                .unwrap();
        });
        block_on(vault.run_jobs()).unwrap();
        if hooked.hooks_left() > 0 {
            assert!(skip > 1, "the sweeps make more than one commit");
            break;
        }
        let credential = block_on(org(&vault).account(account("a")).credential("k")).unwrap().unwrap();
        assert_eq!(credential.value.expose(), "c2", "after {skip} commits");
        block_on(vault.run_jobs()).unwrap();
        audit(&store);
    }
}

#[test]
fn the_sweep_of_an_integration_never_touches_the_integration_that_follows() {
    let store = with_account();
    let app = IntegrationId::default_app();
    stop_after_first_commit(&store, async |org| {
        drop(org.account(account("a")).delete_integration(&app).await);
    });
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    block_on(org(&vault).create_account(account("a")).with_credential("k", "c2").into_future()).unwrap();
    assert_eq!(jobs_len(&store), 1);
    block_on(vault.run_jobs()).unwrap();
    let credential = block_on(org(&vault).account(account("a")).credential("k")).unwrap().unwrap();
    assert_eq!(credential.value.expose(), "c2");
    audit(&store);
}

#[test]
fn a_finished_job_that_is_planted_again_deletes_nothing() {
    let store = with_account();
    let a = account("a");
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&a).await));
    let job = rows(&store).into_iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Job).unwrap();
    let vault = open(Arc::clone(&store));
    block_on(vault.run_jobs()).unwrap();
    block_on(org(&vault).create_account(a).with_credential("k", "c2").into_future()).unwrap();

    let mut planted = rows(&store);
    planted.insert(job.0, job.1);
    let store = load(&planted);
    let vault = open(Arc::clone(&store));
    block_on(vault.run_jobs()).unwrap();
    let credential = block_on(org(&vault).account(account("a")).credential("k")).unwrap().unwrap();
    assert_eq!(credential.value.expose(), "c2");
    audit(&store);
}

/// Does `make` on what a delete left, while another runner finishes the delete: between any two of its reads.
fn beside_another_runner(base: &Arc<MemoryStore>, make: impl AsyncFn(Org) -> Result<(), Error>) {
    for skip in 0.. {
        let store = load(&rows(base));
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let other = vault.clone();
        hooked.once_after(Point::AfterRead, skip, move || {
            block_on(other.run_jobs()).unwrap();
        });
        block_on(make(org(&vault))).unwrap();
        audit(&store);
        if hooked.hooks_left() > 0 {
            break;
        }
    }
}

#[test]
fn an_account_is_made_anew_while_another_runner_finishes_its_delete() {
    let base = with_account();
    stop_after_first_commit(&base, async |org| drop(org.delete_account(&account("a")).await));
    beside_another_runner(&base, async |org| {
        org.create_account(account("a")).with_credential("k", "c2").await.map(drop)
    });
}

#[test]
fn an_integration_is_made_anew_while_another_runner_finishes_its_delete() {
    let base = with_account();
    let app = IntegrationId::default_app();
    stop_after_first_commit(&base, async |org| {
        drop(org.account(account("a")).delete_integration(&app).await);
    });
    beside_another_runner(&base, async |org| org.account(account("a")).add_integration(&app).await.map(drop));
}

#[test]
fn a_sweep_that_starts_before_the_delete_is_answered_leaves_nothing() {
    let store = with_account();
    let hooked = Hooked::new(Arc::clone(&store));
    let vault = open(hooked.clone());
    let other = vault.clone();
    // Warms the cache of the account's keys.
    assert!(block_on(org(&vault).value("V", &of_account("a"))).unwrap().is_some());
    hooked.once(Point::AfterCommit, move || {
        block_on(other.run_jobs()).unwrap();
    });
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    audit(&store);
}

#[test]
fn a_scope_that_was_removed_while_a_value_was_set_there_is_given_back_after_a_crash() {
    let (store, vault) = empty();
    block_on(org(&vault).define(text("V"))).unwrap();
    drop(vault);

    // The value lands between the look at the scope and the batch that removes it; then the process ends.
    let hooked = Hooked::new(Arc::clone(&store));
    let faulty = Faulty::new(hooked.clone()).on_commits(0..=0, Fault::After(StoreErrorKind::Poisoned));
    let narrower = open(faulty);
    let inner = Arc::clone(&store);
    hooked.once(Point::BeforeCommit, move || {
        block_on(org(&open(inner)).set_value("V", of_account("a"), "late")).unwrap();
    });
    let change = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    block_on(org(&narrower).update_definition("V", change)).unwrap_err();

    sound(&store);
    let vault = open(Arc::clone(&store));
    let stored = || block_on(org(&vault).definition("V")).unwrap().unwrap().definition;
    assert!(!stored().scopes.allows(ScopeKind::LinkedAccount));
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    assert_eq!(stored().scopes, Scopes::ALL);
    block_on(org(&vault).set_value("V", of_account("a"), "later")).unwrap();
    audit(&store);
}

#[test]
fn a_scope_is_given_back_for_a_value_of_an_engine_whose_clock_is_a_little_behind() {
    let at = |ms| {
        let clock = TestClock::default();
        clock.set(ms);
        VaultOptions::default().clock(clock)
    };
    let store = Arc::new(MemoryStore::new());
    let made = block_on(at(900_000).create(Arc::clone(&store), unlock())).unwrap();
    block_on(org(&made).define(text("V"))).unwrap();
    let hooked = Hooked::new(Arc::clone(&store));
    let vault = block_on(at(1_000_000).open(hooked.clone(), unlock())).unwrap();
    let behind = org(&block_on(at(941_000).open(store, unlock())).unwrap());
    hooked.once(Point::BeforeCommit, move || {
        block_on(behind.set_value("V", of_account("a"), "late")).unwrap();
    });
    let change = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    let narrowed = block_on(org(&vault).update_definition("V", change));
    assert!(matches!(narrowed, Err(Error::ScopeInUse { .. })), "{narrowed:?}");
    let stored = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert_eq!(stored.definition.scopes, Scopes::ALL);
}

#[test]
fn a_damaged_job_does_not_keep_the_others_from_finishing() {
    let store = with_account();
    block_on(org(&open(Arc::clone(&store))).define(text("W"))).unwrap();
    block_on(org(&open(Arc::clone(&store))).set_value("W", Scope::Org, "w")).unwrap();
    stop_after_first_commit(&store, async |org| drop(org.delete_definition("V").await));
    stop_after_first_commit(&store, async |org| drop(org.delete_definition("W").await));
    let base = rows(&store);
    let jobs: Vec<_> = base.keys().filter(|key| RowKey::parse(key).kind == Kind::Job).cloned().collect();
    assert_eq!(jobs.len(), 2);
    for damaged in &jobs {
        let mut rows_now = base.clone();
        *rows_now.get_mut(damaged).unwrap().last_mut().unwrap() ^= 1;
        let store = load(&rows_now);
        let error = block_on(open(Arc::clone(&store)).run_jobs()).unwrap_err();
        assert!(is_damage(&error), "{error}");
        let left: Vec<_> =
            rows(&store).into_keys().filter(|key| RowKey::parse(key).kind == Kind::Job).collect();
        assert_eq!(left, std::slice::from_ref(damaged));
    }
}

#[test]
fn a_contended_job_does_not_keep_the_others_from_finishing() {
    let (store, vault) = empty();
    for name in ["V", "W"] {
        block_on(org(&vault).define(text(name))).unwrap();
    }
    for name in ["V", "W"] {
        stop_after_first_commit(&store, async |org| drop(org.delete_definition(name).await));
    }
    assert_eq!(jobs_len(&store), 2);
    // As many as a verb tries.
    let busy = Faulty::new(Arc::clone(&store)).on_commits(0..16, Fault::Before(StoreErrorKind::Contention));
    let answer = block_on(open(busy).run_jobs());
    assert!(matches!(answer, Err(Error::Contended(_))), "{answer:?}");
    assert_eq!(jobs_len(&store), 1);
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
}

#[test]
fn a_job_that_loses_a_race_for_any_of_its_batches_is_finished_by_the_same_run() {
    for verb in crate::rig::verbs().into_iter().filter(crate::rig::Verb::cascades) {
        let store = load(&crate::rig::furnished());
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
        let base = rows(&store);
        for commit in 0.. {
            let contended = Fault::Before(StoreErrorKind::Contention);
            let busy = Faulty::new(load(&base)).on_commits(commit..=commit, contended);
            let answer = block_on(open(busy.clone()).run_jobs());
            assert_eq!(answer.unwrap(), 1, "{}, commit {commit}", verb.name);
            audit(&busy.reopen());
            if busy.commits_len() <= commit {
                break;
            }
        }
    }
}

#[test]
fn a_scope_can_be_removed_once_the_account_whose_value_stood_there_is_deleted() {
    let store = with_account();
    stop_after_first_commit(&store, async |org| drop(org.delete_account(&account("a")).await));
    let vault = open(Arc::clone(&store));
    let narrow = || strongroom::DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    block_on(org(&vault).update_definition("V", narrow())).unwrap();
    block_on(vault.run_jobs()).unwrap();
    audit(&store);

    let store = with_account();
    let vault = open(store);
    let refused = block_on(org(&vault).update_definition("V", narrow()));
    assert!(matches!(refused, Err(Error::ScopeInUse { .. })));
}

#[test]
fn more_rows_than_one_batch_takes_are_swept_in_order_and_by_two_runners() {
    let (store, vault) = empty();
    let tenant = org(&vault);
    block_on(tenant.define(text("V"))).unwrap();
    for index in 0..70 {
        block_on(tenant.set_value("V", of_account(&format!("u{index}")), "v")).unwrap();
    }
    stop_after_first_commit(&store, async |org| drop(org.delete_definition("V").await));
    let base = rows(&store);
    for skip in 0.. {
        let store = load(&base);
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let other = vault.clone();
        hooked.once_after(Point::BeforeCommit, skip, move || {
            block_on(other.run_jobs()).unwrap();
        });
        block_on(vault.run_jobs()).unwrap();
        audit(&store);
        let page = block_on(org(&vault).values(&of_account("u1"), PageRequest::default())).unwrap();
        assert!(page.items.is_empty());
        if hooked.hooks_left() > 0 {
            assert!(skip > 2);
            break;
        }
    }
}
