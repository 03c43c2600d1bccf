//! What a commit costs and promises, beyond what every store promises.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom_sled::SledStore;
use strongroom_store::{
    Durability, Expect, Key, KeyRange, ReadBatch, RowRevision, Scan, Store, StoreErrorKind, WriteBatch,
};

fn put(key: &[u8]) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    Arc::new(batch)
}

fn delete(key: &[u8]) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.delete(Key::from(key));
    Arc::new(batch)
}

#[test]
fn one_durable_commit_is_exactly_one_sync() {
    let store = SledStore::temporary().unwrap();
    for n in 0..10 {
        let before = store.syncs();
        block_on(store.commit(put(&[n]))).unwrap();
        assert_eq!(store.syncs() - before, 1);
    }
}

#[test]
fn concurrent_commits_share_syncs() {
    let store = SledStore::temporary().unwrap();
    let before = store.syncs();
    let commits = (0..64).map(|n| store.commit(put(&[n])));
    assert!(block_on(join_all(commits)).iter().all(Result::is_ok));
    let syncs = store.syncs() - before;
    assert!((1..=64).contains(&syncs), "{syncs}");
}

#[test]
fn a_conflict_alone_needs_no_sync() {
    let store = SledStore::temporary().unwrap();
    let mut batch = WriteBatch::clone(&put(b"k"));
    batch.expect(Key::from(b"k".as_slice()), Expect::Exists);
    let before = store.syncs();
    let error = block_on(store.commit(Arc::new(batch))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict { index: 0 });
    assert_eq!(store.syncs(), before);
}

#[test]
fn a_revision_is_not_used_again_after_a_delete_and_a_reopen() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen: Vec<RowRevision> = Vec::new();
    for _ in 0..3 {
        let store = SledStore::open(directory.path()).unwrap();
        let put = block_on(store.commit(put(b"k"))).unwrap();
        let deleted = block_on(store.commit(delete(b"k"))).unwrap();
        assert!(!seen.contains(&put.revision) && !seen.contains(&deleted.revision));
        seen.extend([put.revision, deleted.revision]);
    }
}

#[test]
fn the_rows_of_the_store_itself_are_in_no_scan() {
    let store = SledStore::temporary().unwrap();
    for reverse in [false, true] {
        let scan = Scan { reverse, ..Scan::new(KeyRange::all(), 10) };
        let found = block_on(store.read(&ReadBatch { gets: vec![], scans: vec![scan] })).unwrap();
        assert!(found.scans[0].rows.is_empty() && !found.scans[0].more);
    }
}

#[test]
fn a_walk_backwards_passes_keys_full_of_ff() {
    let store = SledStore::temporary().unwrap();
    let mut batch = WriteBatch::default();
    let mut keys: Vec<Vec<u8>> = (0..200).map(|n| [b"`".as_slice(), &[0xff; 6], &[n]].concat()).collect();
    keys.extend((0..200).map(|n| vec![b'a', n]));
    keys.iter().for_each(|key| batch.put(Key::from(key.as_slice()), Vec::new()));
    block_on(store.commit(Arc::new(batch))).unwrap();
    let scan = Scan::new(KeyRange::all(), usize::MAX).reverse();
    let found = block_on(store.read(&ReadBatch { gets: vec![], scans: vec![scan] })).unwrap();
    let walked: Vec<_> = found.scans[0].rows.iter().rev().map(|(key, _)| key.as_bytes().to_vec()).collect();
    assert_eq!(walked, keys);
}

#[test]
fn what_was_accepted_before_close_is_kept_and_nothing_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    let accepted = (0..64).map(|n| store.commit(put(&[n])));
    let (commits, closed) = block_on(futures_util::future::join(join_all(accepted), store.close()));
    closed.unwrap();
    assert!(commits.iter().all(Result::is_ok));
    assert_eq!(block_on(store.commit(put(b"late"))).unwrap_err().kind(), StoreErrorKind::Closed);
    assert_eq!(block_on(store.read(&ReadBatch::default())).unwrap_err().kind(), StoreErrorKind::Closed);
    block_on(store.close()).unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    let scan = Scan::new(KeyRange::all(), 100);
    let found = block_on(store.read(&ReadBatch { gets: vec![], scans: vec![scan] })).unwrap();
    assert_eq!(found.scans[0].rows.len(), 64);
}

#[test]
fn it_promises_power_loss_durability_and_is_not_shared() {
    let capabilities = SledStore::temporary().unwrap().capabilities();
    assert_eq!(capabilities.durability, Durability::PowerLoss);
    assert!(!capabilities.shared);
    assert_eq!((capabilities.batch_ops_max, capabilities.batch_bytes_max), (10_000, 16 << 20));
}
