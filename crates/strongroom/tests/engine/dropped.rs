//! A verb whose future is dropped at any of its await points happened or did not, and leaves no stale cache.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_executor::block_on;
use strongroom::Vault;
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::rig::{Slow, audit, furnished, load, open, org, rows, sound, unlock, verbs, view};

/// Polls a future so many times and drops it. Answers whether it came to its end.
fn poll_and_drop<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send>>, polls: usize) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut context).is_ready())
}

#[test]
fn a_verb_that_is_dropped_anywhere_happened_or_did_not_and_leaves_no_stale_cache() {
    let base = furnished();
    for verb in verbs() {
        let before = view(&org(&open(load(&base))));
        let after = verb.view_after(&base);
        let mut happened = false;

        for polls in 0.. {
            let name = format!("{} dropped after {polls} polls", verb.name);
            let store = load(&base);
            let vault = open(Slow(Arc::clone(&store)));
            assert_eq!(view(&org(&vault)), before);
            let finished = poll_and_drop(verb.run(org(&vault)), polls);

            let seen = view(&org(&vault));
            assert_eq!(seen, view(&org(&open(load(&rows(&store))))), "{name}: a stale cache");
            assert!(seen == before || seen == after, "{name}: half there");
            assert!(seen == after || !happened, "{name}: it happened after fewer polls");
            happened = seen == after;

            sound(&store);
            let again = block_on(verb.run(org(&vault)));
            assert!(happened || again.is_ok(), "{name}: {again:?}");
            block_on(vault.run_jobs()).unwrap();
            assert_eq!(view(&org(&vault)), view(&org(&open(load(&rows(&store))))), "{name}, again");
            audit(&store);
            if finished {
                assert!(happened && polls > 2, "{name}");
                break;
            }
        }
    }
}

#[test]
fn a_dropped_commit_that_lands_is_seen_by_the_vault_that_dropped_it() {
    let base = furnished();
    for verb in verbs() {
        let store = Slow(load(&base));
        let vault = open(store.clone());
        let seen = view(&org(&vault));
        // The same verb of another vault stands for the batch that lands although its future is gone: first the
        // future is dropped in the middle of its commit, then its work is done.
        let delayed = Faulty::new(store.clone()).on_commits(.., Fault::Delay { polls: 1_000 });
        let dropper = open(delayed);
        assert_eq!(view(&org(&dropper)), seen);
        assert!(!poll_and_drop(verb.run(org(&dropper)), 500), "{}", verb.name);
        assert_eq!(view(&org(&dropper)), seen);
        block_on(verb.run(org(&vault))).unwrap();
        assert_eq!(view(&org(&dropper)), view(&org(&vault)), "{}", verb.name);
    }
}

#[test]
fn a_vault_whose_making_is_dropped_is_there_or_is_not() {
    for polls in 0.. {
        let store = Arc::new(MemoryStore::new());
        let finished = poll_and_drop(Box::pin(Vault::create(Slow(Arc::clone(&store)), unlock())), polls);
        let opened = block_on(Vault::open(Arc::clone(&store), unlock()));
        assert_eq!(opened.is_ok(), !rows(&store).is_empty());
        if finished {
            assert!(opened.is_ok() && polls > 2);
            break;
        }
    }
}
