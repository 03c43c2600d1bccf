//! A path names one socket, wherever the process goes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_executor::block_on;
use strongroom_memory::MemoryStore;
use strongroom_socket::{DoorStore, SocketStore};
use strongroom_store::{ReadBatch, Store};
use tempfile::TempDir;

/// A directory that the process goes to: one test at a time, since all have one working directory.
fn inside() -> (MutexGuard<'static, ()>, TempDir) {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    env::set_current_dir(directory.path()).unwrap();
    (guard, directory)
}

#[test]
fn a_door_removes_its_socket_after_the_process_has_gone_elsewhere() {
    let (_alone, directory) = inside();
    let store = DoorStore::new(Arc::new(MemoryStore::new()));
    let door = store.open_door("vault.sock").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    env::set_current_dir(elsewhere.path()).unwrap();
    assert!(directory.path().join("vault.sock").exists());
    drop(door);
    assert!(!directory.path().join("vault.sock").exists());
}

#[test]
fn a_socket_is_found_again_after_the_process_has_gone_elsewhere() {
    let (_alone, directory) = inside();
    let store = DoorStore::new(Arc::new(MemoryStore::new()));
    let door = store.open_door("vault.sock").unwrap();
    let outside = SocketStore::connect("vault.sock").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    env::set_current_dir(elsewhere.path()).unwrap();
    drop(door);
    // Ends the only connection, so that the next call makes another one.
    block_on(outside.read(&ReadBatch::default())).unwrap_err();
    let _door = store.open_door(directory.path().join("vault.sock")).unwrap();
    block_on(outside.read(&ReadBatch::default())).unwrap();
}
