//! A rotation that is stopped at any write, or whose answers get lost: everything reads, and the job continues.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::Store;
use strongroom::store::StoreErrorKind::{Contention, Indeterminate, Unavailable};
use strongroom::{DataKeys, Error, JobOutcome, PageRequest, Vault};
use strongroom_conformance::{Fault, Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{RowKey, Rows, audit, dek_id, fill, furnished, load, open, org, rows, unlock, view};

fn deks(rows: &Rows) -> BTreeSet<Vec<u8>> {
    rows.iter().filter(|(key, _)| RowKey::parse(key).is_data()).map(|(_, row)| dek_id(row)).collect()
}

/// Runs whatever job is left; then every row is under one new key a scope.
fn check_resumed(store: &(impl Store + Clone), before: &Rows, begun: bool, what: &str) {
    let vault = open(store.clone());
    assert_eq!(view(&org(&vault)), view(&org(&open(load(before)))), "{what}");
    block_on(vault.run_jobs()).unwrap();
    assert!(block_on(vault.jobs(PageRequest::default())).unwrap().items.is_empty(), "{what}: a job is left");
    assert_eq!(view(&org(&vault)), view(&org(&open(load(before)))), "{what}, resumed");
    let (old, new) = (deks(before), deks(&rows(store)));
    assert_eq!(new.len(), old.len(), "{what}: one key a scope");
    assert_eq!(new.is_disjoint(&old), begun, "{what}");
    audit(store);
}

async fn rotate(vault: &Vault) -> Result<JobOutcome, Error> {
    Ok(vault.rotate_data_keys(&DataKeys::all()).await?.run().await?.outcome)
}

#[test]
fn a_rotation_that_is_stopped_at_any_commit_goes_on_where_it_was() {
    let before = furnished();
    let left = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || fill(&before).await,
        async |store| drop(rotate(&Vault::open(store, unlock()).await.unwrap()).await),
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    assert!(commits_len >= 5, "{commits_len}");
    for (stop, store) in left.into_inner() {
        check_resumed(&store, &before, stop != Stop::Before(0), &format!("{stop:?}"));
    }
}

#[test]
fn a_step_that_is_stopped_at_its_commit_goes_on_where_it_was() {
    let before = furnished();
    let left = RefCell::new(Vec::new());
    crash_at_every_commit(
        async || fill(&before).await,
        async |store| {
            let vault = Vault::open(store, unlock()).await.unwrap();
            let Ok(job) = vault.rotate_data_keys(&DataKeys::all()).await else { return };
            while job.step().await.is_ok_and(|report| report.outcome == JobOutcome::Unfinished) {}
        },
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    for (stop, store) in left.into_inner() {
        check_resumed(&store, &before, stop != Stop::Before(0), &format!("{stop:?}"));
    }
}

#[test]
fn a_rotation_whose_answers_get_lost_goes_on_where_it_was() {
    let before = furnished();
    let faults = [
        Fault::Before(Indeterminate),
        Fault::After(Indeterminate),
        Fault::Before(Contention),
        Fault::Before(Unavailable),
    ];
    for fault in faults {
        for commit in 0.. {
            let store = Faulty::new(load(&before)).on_commits(commit..=commit, fault);
            let vault = open(store.clone());
            let outcome = block_on(rotate(&vault));
            let what = format!("{fault:?} at commit {commit}");
            assert!(
                matches!(
                    outcome,
                    Ok(JobOutcome::Finished)
                        | Err(Error::Store(_) | Error::Contended(_) | Error::Indeterminate(_))
                ),
                "{what}: {outcome:?}"
            );
            // Only the first batch makes nothing but a new row, the job's.
            assert!(commit == 0 || !matches!(outcome, Err(Error::Indeterminate(_))), "{what}");
            let begun = commit > 0 || outcome.is_ok();
            check_resumed(&store.reopen(), &before, begun, &what);
            assert_eq!(view(&org(&vault)), view(&org(&open(load(&before)))), "{what}, the same engine");
            if store.commits_len() <= commit {
                break;
            }
        }
    }
}

#[test]
fn a_rotation_whose_reads_fail_goes_on_where_it_was() {
    let before = furnished();
    for read in 0.. {
        let inner: Arc<MemoryStore> = load(&before);
        let vault = open(Faulty::new(Arc::clone(&inner)));
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        drop(vault);
        let store = Faulty::new(inner).on_reads(read + 1..=read + 1, Fault::Before(Unavailable));
        let failing = open(store.clone());
        let outcome = block_on(failing.key_job(*job.id()).run());
        assert!(matches!(outcome, Ok(_) | Err(Error::Store(_))), "read {read}: {outcome:?}");
        drop((job, failing));
        check_resumed(&store.reopen(), &before, true, &format!("read {read}"));
        if store.reads_len() <= read + 1 {
            break;
        }
    }
}
