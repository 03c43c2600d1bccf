//! The enumerator stops an operation at each of its commits, once before and once after.

use std::cell::RefCell;
use std::sync::Arc;

use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};
use strongroom_conformance::{Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

#[test]
fn every_commit_is_stopped_before_and_after_it_applies() {
    let seen = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || MemoryStore::new(),
        async |store| put_all(&store, ["a", "b"]).await,
        async |stop, store| {
            let keys = keys(&store).await;
            seen.borrow_mut().push((stop, keys));
        },
    );
    let expected = [
        (Stop::Before(0), vec![]),
        (Stop::After(0), vec!["a"]),
        (Stop::Before(1), vec!["a"]),
        (Stop::After(1), vec!["a", "b"]),
        (Stop::Never, vec!["a", "b"]),
    ];
    assert_eq!(commits_len, 2);
    assert_eq!(
        seen.into_inner(),
        expected.map(|(stop, keys)| (stop, keys.into_iter().map(Into::into).collect()))
    );
}

#[test]
fn each_run_starts_from_what_was_prepared() {
    crash_at_every_commit(
        async || {
            let store = MemoryStore::new();
            put_all(&store, ["prepared"]).await;
            store
        },
        async |store| put_all(&store, ["a"]).await,
        async |stop, store| {
            let expected = if stop == Stop::Before(0) { vec!["prepared"] } else { vec!["a", "prepared"] };
            assert_eq!(keys(&store).await, expected);
        },
    );
}

#[test]
fn nothing_is_applied_after_the_stop_even_when_the_operation_goes_on() {
    crash_at_every_commit(
        async || MemoryStore::new(),
        async |store: Faulty<MemoryStore>| {
            for key in ["a", "b", "c"] {
                let _ = store.commit(batch(key)).await;
            }
        },
        async |stop, store| {
            let kept_len = match stop {
                Stop::Before(commit) => commit,
                Stop::After(commit) => commit + 1,
                Stop::Never => 3,
            };
            assert_eq!(keys(&store).await.len(), kept_len);
        },
    );
}

#[test]
fn an_operation_without_commits_runs_once() {
    let runs = RefCell::new(0);
    let commits_len = crash_at_every_commit(
        async || MemoryStore::new(),
        async |_| *runs.borrow_mut() += 1,
        async |stop, _| assert_eq!(stop, Stop::Never),
    );
    assert_eq!((commits_len, runs.into_inner()), (0, 1));
}

#[test]
#[should_panic(expected = "half of the move is missing")]
fn an_operation_of_two_batches_that_should_be_one_is_caught() {
    crash_at_every_commit(
        async || MemoryStore::new(),
        async |store| put_all(&store, ["name", "row"]).await,
        async |_, store| assert_ne!(keys(&store).await.len(), 1, "half of the move is missing"),
    );
}

#[test]
fn what_is_left_can_be_written_to() {
    crash_at_every_commit(
        async || MemoryStore::new(),
        async |store| put_all(&store, ["a", "b"]).await,
        async |_, store| {
            put_all(&store, ["a", "b"]).await;
            assert_eq!(keys(&store).await, ["a", "b"]);
        },
    );
}

/// Puts one key a batch, and stops at the first error.
async fn put_all<const N: usize>(store: &impl Store, keys: [&str; N]) {
    for key in keys {
        if store.commit(batch(key)).await.is_err() {
            return;
        }
    }
}

fn batch(key: &str) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key.as_bytes()), Vec::new());
    Arc::new(batch)
}

async fn keys(store: &impl Store) -> Vec<String> {
    let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 10)] };
    let found = store.read(&request).await.expect("what is left can be read");
    let rows = found.scans.into_iter().flat_map(|page| page.rows);
    rows.map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
}
