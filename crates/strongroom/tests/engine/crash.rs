//! A process that ends at any commit of a verb leaves the state of before or of after, and nothing in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{Error, Vault, WrongStore};
use strongroom_conformance::{Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Rows, Verb, audit, fill, furnished, load, open, org, rows, sound, unlock, verbs, verified, view,
};

type Crashed = Faulty<Arc<MemoryStore>>;

/// What each stop of a verb leaves behind.
fn stop_everywhere(base: &Rows, verb: &Verb) -> Vec<(Stop, Crashed)> {
    let left = RefCell::new(Vec::new());
    crash_at_every_commit(
        async || fill(base).await,
        async |store| {
            let vault = Vault::open(store, unlock()).await.unwrap();
            drop(verb.run(org(&vault)).await);
        },
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    left.into_inner()
}

#[test]
fn a_verb_that_is_stopped_at_any_commit_happened_or_did_not() {
    let base = furnished();
    for verb in verbs() {
        let before = view(&org(&open(load(&base))));
        let done = load(&base);
        let answer = block_on(verb.run(org(&open(Arc::clone(&done))))).unwrap();
        let after = view(&org(&open(Arc::clone(&done))));
        audit(&done);

        let stops = stop_everywhere(&base, &verb);
        assert_eq!(stops.len() > 3, verb.cascades(), "two stops a commit, and one run to the end");
        for (stop, store) in stops {
            let name = verb.name;
            let expected = if stop == Stop::Before(0) { &before } else { &after };
            assert_eq!(view(&org(&open(store.clone()))), *expected, "{name} {stop:?}");
            sound(&store);
            let vault = open(store.clone());
            block_on(vault.run_jobs()).unwrap();
            assert_eq!(block_on(vault.run_jobs()).unwrap(), 0, "{name} {stop:?}: a job comes back");
            assert_eq!(view(&org(&vault)), *expected, "{name} {stop:?}, swept");
            assert_eq!(view(&org(&open(store.clone()))), *expected, "{name} {stop:?}, reopened");
            audit(&store);

            let again = block_on(verb.run(org(&vault)));
            if stop == Stop::Before(0) {
                assert_eq!(again.unwrap(), answer, "{name} again");
                assert_eq!(view(&org(&vault)), after, "{name} again");
            } else {
                assert!(again.as_ref().map_or_else(is_answer, |_| true), "{name} again: {again:?}");
            }
            audit(&store);
        }
    }
}

/// Whether an error says that the verb happened before.
fn is_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::DefinitionExists(_)
            | Error::DefinitionNotFound(_)
            | Error::AccountExists(_)
            | Error::AccountNotFound(_)
            | Error::IntegrationNotFound { .. }
            | Error::Unexpected { .. }
    )
}

#[test]
fn a_verb_that_goes_on_after_a_crash_waits_for_no_runner() {
    let base = furnished();
    let by_name = |name: &str| verbs().into_iter().find(|verb| verb.name == name).unwrap();
    for (stopped, next) in [
        ("delete_account", "upsert_account"),
        ("delete_integration", "upsert_account"),
        ("delete_account", "set_values"),
        ("delete_definition", "define"),
    ] {
        for (stop, store) in stop_everywhere(&base, &by_name(stopped)) {
            let vault = open(store.clone());
            let answer = block_on(by_name(next).run(org(&vault)));
            assert!(
                stop == Stop::Before(0) || answer.is_ok() || stopped == "delete_definition",
                "{answer:?}"
            );
            sound(&store);
            let seen = view(&org(&vault));
            block_on(vault.run_jobs()).unwrap();
            assert_eq!(view(&org(&vault)), seen, "{stopped}, {next}: a sweep takes what is visible");
            audit(&store);
        }
    }
}

#[test]
fn a_vault_that_is_stopped_while_it_is_made_is_there_or_is_not() {
    let left = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || MemoryStore::new(),
        async |store| drop(Vault::create(store, unlock()).await),
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    assert_eq!(commits_len, 1);
    for (stop, store) in left.into_inner() {
        let opened = block_on(Vault::open(store.clone(), unlock()));
        let created = block_on(Vault::create(store.clone(), unlock()));
        if stop == Stop::Before(0) {
            assert!(matches!(opened, Err(Error::WrongStore(WrongStore::NoVault))));
            assert!(created.is_ok());
        } else {
            assert!(opened.is_ok());
            assert!(matches!(created, Err(Error::WrongStore(WrongStore::HoldsVault))));
        }
        verified(&store);
        assert_eq!(rows(&store).len(), 3);
    }
}
