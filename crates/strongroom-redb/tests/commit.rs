//! What a commit costs and promises, beyond what every store promises.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom_redb::RedbStore;
use strongroom_store::{
    Durability, Expect, Key, KeyRange, ReadBatch, Scan, Store, StoreErrorKind, WriteBatch,
};

fn put(key: &[u8], value: &[u8]) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), value.to_vec());
    Arc::new(batch)
}

fn rows(store: &RedbStore, scan: Scan) -> Vec<Vec<u8>> {
    let found = block_on(store.read(&ReadBatch { gets: vec![], scans: vec![scan] })).unwrap();
    found.scans[0].rows.iter().map(|(key, _)| key.as_bytes().to_vec()).collect()
}

#[test]
fn one_durable_commit_is_exactly_one_sync() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path).unwrap();
    let (mut len, mut growths) = (path.metadata().unwrap().len(), 0);
    for n in 0..200 {
        let before = store.syncs();
        block_on(store.commit(put(&[n], &[n; 1_000]))).unwrap();
        // A file that is full is made twice as long, and synced for that.
        let growth = u64::from(path.metadata().unwrap().len() > len);
        (len, growths) = (path.metadata().unwrap().len(), growths + growth);
        assert_eq!(store.syncs() - before, 1 + growth, "commit {n}");
    }
    assert!(growths < 8, "{growths}");
}

#[test]
fn concurrent_commits_share_syncs() {
    let store = RedbStore::temporary().unwrap();
    let before = store.syncs();
    let commits = (0..64).map(|n| store.commit(put(&[n], b"v")));
    assert!(block_on(join_all(commits)).iter().all(Result::is_ok));
    let syncs = store.syncs() - before;
    assert!((1..=64).contains(&syncs), "{syncs}");
}

#[test]
fn a_conflict_or_a_read_alone_needs_no_sync() {
    let store = RedbStore::temporary().unwrap();
    let mut batch = WriteBatch::clone(&put(b"k", b"v"));
    batch.expect(Key::from(b"k".as_slice()), Expect::Exists);
    let before = store.syncs();
    let error = block_on(store.commit(Arc::new(batch))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict { index: 0 });
    assert!(rows(&store, Scan::new(KeyRange::all(), 10)).is_empty());
    assert_eq!(store.syncs(), before);
}

#[test]
fn the_row_of_the_store_itself_is_in_no_scan() {
    let store = RedbStore::temporary().unwrap();
    block_on(store.commit(put(&[0], b"v"))).unwrap();
    for range in [KeyRange::all(), KeyRange::prefix(&[]), KeyRange { start: vec![], end: Some(vec![1]) }] {
        assert_eq!(rows(&store, Scan::new(range.clone(), 10)), [[0]]);
        assert_eq!(rows(&store, Scan::new(range, 10).reverse()), [[0]]);
    }
    assert!(rows(&store, Scan::new(KeyRange { start: vec![], end: Some(vec![0]) }, 10)).is_empty());
}

#[test]
fn what_was_accepted_before_close_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path).unwrap();
    let accepted = (0..64).map(|n| store.commit(put(&[n], b"v")));
    let (commits, closed) = block_on(futures_util::future::join(join_all(accepted), store.close()));
    closed.unwrap();
    assert!(commits.iter().all(Result::is_ok));
    assert_eq!(rows(&RedbStore::open(&path).unwrap(), Scan::new(KeyRange::all(), 100)).len(), 64);
}

#[test]
fn compaction_gives_space_back_and_keeps_every_row() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path).unwrap();
    for n in 0..100 {
        block_on(store.commit(put(&[n], &[n; 80 << 10]))).unwrap();
    }
    let mut batch = WriteBatch::default();
    (0..90).for_each(|n| batch.delete(Key::from([n].as_slice())));
    block_on(store.commit(Arc::new(batch))).unwrap();
    let before = path.metadata().unwrap().len();
    assert!(block_on(store.compact()).unwrap());
    let after = path.metadata().unwrap().len();
    assert!(after < before / 2, "{before} bytes, then {after}");
    assert_eq!(rows(&store, Scan::new(KeyRange::all(), 100)).len(), 10);
    block_on(store.commit(put(b"after", b"v"))).unwrap();
    block_on(store.close()).unwrap();
    assert_eq!(block_on(store.compact()).unwrap_err().kind(), StoreErrorKind::Closed);
    assert_eq!(rows(&RedbStore::open(&path).unwrap(), Scan::new(KeyRange::all(), 100)).len(), 11);
}

#[test]
fn it_promises_power_loss_durability_and_is_not_shared() {
    let capabilities = RedbStore::temporary().unwrap().capabilities();
    assert_eq!(capabilities.durability, Durability::PowerLoss);
    assert!(!capabilities.shared);
    assert_eq!((capabilities.batch_ops_max, capabilities.batch_bytes_max), (10_000, 16 << 20));
}

#[test]
fn a_put_without_a_key_is_refused_and_the_row_of_the_store_itself_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(block_on(store.commit(put(b"", b"v"))).unwrap_err().kind(), StoreErrorKind::Unsupported);
    drop(store);
    assert!(rows(&RedbStore::open(&path).unwrap(), Scan::new(KeyRange::all(), 10)).is_empty());
}
