//! A path names one file, whatever else it could mean to SQLite, and wherever the process goes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_executor::block_on;
use strongroom_sqlite::SqliteStore;
use strongroom_store::{Key, ReadBatch, Store, WriteBatch};
use tempfile::TempDir;

/// A directory that the process goes to: one test at a time, since all have one working directory.
fn inside() -> (MutexGuard<'static, ()>, TempDir) {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    env::set_current_dir(directory.path()).unwrap();
    (guard, directory)
}

fn put(store: &SqliteStore, key: &[u8]) {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).unwrap();
}

fn holds(store: &SqliteStore, key: &[u8]) -> bool {
    let request = ReadBatch { gets: vec![Key::from(key)], scans: vec![] };
    block_on(store.read(&request)).unwrap().gets[0].is_some()
}

#[test]
fn a_name_that_means_something_to_sqlite_is_a_file_like_any_other() {
    let (_alone, _directory) = inside();
    for name in [":memory:", "file:app.db?mode=memory"] {
        put(&SqliteStore::open(name).unwrap(), b"k");
        assert!(holds(&SqliteStore::open(name).unwrap(), b"k"), "{name}");
    }
}

#[test]
fn a_relative_path_is_the_same_file_after_the_process_has_gone_elsewhere() {
    let (_alone, directory) = inside();
    let store = SqliteStore::open("app.db").unwrap();
    put(&store, b"k");
    let elsewhere = tempfile::tempdir().unwrap();
    env::set_current_dir(elsewhere.path()).unwrap();
    assert!(holds(&store, b"k"));
    assert!(directory.path().join("app.db").is_file());
}
