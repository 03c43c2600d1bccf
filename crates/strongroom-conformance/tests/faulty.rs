//! The wrapper fails as told, and otherwise is the store it wraps.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use strongroom::store::StoreErrorKind::{Contention, Indeterminate, Poisoned, Unavailable};
use strongroom::store::{ReadBatch, Store, StoreErrorKind, WriteBatch};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

mod without_faults {
    use super::*;
    strongroom_conformance::store_tests!(Faulty::new(MemoryStore::new()));
}

mod with_every_call_delayed {
    use super::*;
    strongroom_conformance::store_tests!(
        Faulty::new(MemoryStore::new())
            .on_commits(.., Fault::Delay { polls: 2 })
            .on_reads(.., Fault::Delay { polls: 1 })
    );
}

#[test]
fn a_fault_before_the_call_applies_nothing() {
    for kind in [Unavailable, Contention, Indeterminate] {
        let store = Faulty::new(MemoryStore::new()).on_commits(1..=1, Fault::Before(kind));
        put(&store, "a").unwrap();
        assert_eq!(put(&store, "b"), Err(kind));
        put(&store, "c").unwrap();
        assert_eq!(found(&store), Ok([true, false, true]));
    }
}

#[test]
fn a_fault_after_the_call_applies_the_batch() {
    let store = Faulty::new(MemoryStore::new()).on_commits(1..=1, Fault::After(Indeterminate));
    put(&store, "a").unwrap();
    assert_eq!(put(&store, "b"), Err(Indeterminate));
    assert_eq!(found(&store), Ok([true, true, false]));
}

#[test]
fn a_fault_after_the_call_keeps_the_error_of_the_store() {
    let store = Faulty::new(MemoryStore::new()).on_commits(.., Fault::After(Indeterminate));
    block_on(store.close()).unwrap();
    assert_eq!(put(&store, "a"), Err(StoreErrorKind::Closed));
}

#[test]
fn poison_lasts_until_the_store_is_opened_again() {
    let store = Faulty::new(MemoryStore::new()).on_commits(1..=1, Fault::After(Poisoned));
    put(&store, "a").unwrap();
    assert_eq!(put(&store, "b"), Err(Poisoned));
    assert_eq!((put(&store, "c"), found(&store)), (Err(Poisoned), Err(Poisoned)));
    assert_eq!(block_on(store.close()).map_err(|error| error.kind()), Err(Poisoned));
    assert_eq!(found(&store.reopen()), Ok([true, true, false]));
    assert_eq!(found(&store), Err(Poisoned));
}

#[test]
fn a_read_fails_as_told() {
    let store = Faulty::new(MemoryStore::new()).on_reads(1.., Fault::Before(Unavailable));
    put(&store, "a").unwrap();
    assert_eq!(found(&store), Ok([true, false, false]));
    assert_eq!((found(&store), found(&store)), (Err(Unavailable), Err(Unavailable)));
    put(&store, "b").unwrap();
}

#[test]
fn a_delayed_call_is_pending_as_often_as_told() {
    let store = Faulty::new(MemoryStore::new()).on_commits(.., Fault::Delay { polls: 2 });
    let mut commit = store.commit(batch("a"));
    let mut context = Context::from_waker(Waker::noop());
    let polls = [(); 3].map(|()| commit.as_mut().poll(&mut context));
    assert!(matches!(polls, [Poll::Pending, Poll::Pending, Poll::Ready(Ok(_))]));
}

#[test]
fn of_two_faults_on_one_call_the_first_told_counts() {
    let store = Faulty::new(MemoryStore::new())
        .on_commits(0..1, Fault::Before(Contention))
        .on_commits(.., Fault::Before(Unavailable));
    assert_eq!((put(&store, "a"), put(&store, "a")), (Err(Contention), Err(Unavailable)));
}

#[test]
fn every_call_is_counted_whatever_became_of_it() {
    let store = Faulty::new(MemoryStore::new()).on_commits(..1, Fault::Before(Contention));
    assert_eq!(put(&store, "a"), Err(Contention));
    put(&store.clone(), "a").unwrap();
    assert_eq!(found(&store), Ok([true, false, false]));
    assert_eq!((store.commits_len(), store.reads_len()), (2, 1));
    let reopened = store.reopen();
    assert_eq!((reopened.commits_len(), reopened.reads_len()), (0, 0));
}

#[test]
fn a_clone_does_not_count_as_another_writer() {
    let store = Faulty::new(MemoryStore::new());
    let _clone = store.clone();
    assert_eq!(store.capabilities(), MemoryStore::new().capabilities());
}

#[test]
fn an_arc_with_two_holders_counts_as_shared() {
    let store = Arc::new(MemoryStore::new());
    assert!(!store.capabilities().shared);
    let other = Arc::clone(&store);
    assert!(store.capabilities().shared && other.capabilities().shared);
    drop(other);
    assert!(!store.capabilities().shared);
}

fn batch(key: &str) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.put(key.as_bytes().into(), b"1".to_vec());
    Arc::new(batch)
}

fn put(store: &impl Store, key: &str) -> Result<(), StoreErrorKind> {
    block_on(store.commit(batch(key))).map(|_| ()).map_err(|error| error.kind())
}

/// Which of `a`, `b` and `c` are there.
fn found(store: &impl Store) -> Result<[bool; 3], StoreErrorKind> {
    let gets = ["a", "b", "c"].map(|key| key.as_bytes().into()).to_vec();
    let found = block_on(store.read(&ReadBatch { gets, scans: Vec::new() })).map_err(|error| error.kind())?;
    let found: Vec<bool> = found.gets.iter().map(Option::is_some).collect();
    Ok(found.try_into().expect("a get has an answer"))
}
