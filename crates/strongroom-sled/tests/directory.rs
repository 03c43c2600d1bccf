//! Which directories are opened, and what is left in those that are not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom_sled::SledStore;
use strongroom_store::{Key, ReadBatch, Store, StoreErrorKind, WriteBatch};

fn refusal(path: &Path) -> StoreErrorKind {
    SledStore::open(path).unwrap_err().kind()
}

fn put(store: &SledStore, key: &[u8]) {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).unwrap();
}

fn holds(store: &SledStore, key: &[u8]) -> bool {
    let request = ReadBatch { gets: vec![Key::from(key)], scans: vec![] };
    block_on(store.read(&request)).unwrap().gets[0].is_some()
}

/// Every file in `path` with its bytes.
fn contents(path: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).ok())).collect()
}

#[test]
fn a_missing_directory_is_created_with_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    SledStore::open(directory.path().join("a/b/c")).unwrap();
    assert!(directory.path().join("a/b/c/strongroom.lock").exists());
}

#[cfg(unix)]
#[test]
fn a_new_directory_and_its_data_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| directory.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    put(&SledStore::open(directory.path().join("a/b")).unwrap(), b"k");
    assert_eq!(["a", "a/b"].map(mode), [0o700; 2]);
    assert_eq!(["a/b/db", "a/b/strongroom.lock"].map(mode), [0o600; 2]);
}

#[cfg(unix)]
#[test]
fn a_directory_with_a_planted_link_is_refused_and_what_it_leads_to_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (store, precious) = (directory.path().join("store"), directory.path().join("precious"));
    fs::write(&precious, "kept").unwrap();
    for name in ["db", "conf", "strongroom.lock"] {
        fs::create_dir(&store).unwrap();
        fs::write(store.join("strongroom.lock"), "").unwrap();
        let _ = fs::remove_file(store.join(name));
        std::os::unix::fs::symlink(&precious, store.join(name)).unwrap();
        assert_eq!(refusal(&store), StoreErrorKind::Unsupported, "{name}");
        assert_eq!(fs::read(&precious).unwrap(), b"kept", "{name}");
        fs::remove_dir_all(&store).unwrap();
    }
}

#[test]
fn a_fresh_mount_point_is_an_empty_directory() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    SledStore::open(directory.path()).unwrap();
}

#[test]
fn a_foreign_directory_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    assert_eq!(refusal(directory.path()), StoreErrorKind::Unsupported);
    assert_eq!(contents(directory.path()).len(), 1);
}

#[test]
fn a_foreign_sled_database_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = sled::Config::new().path(directory.path()).segment_size(8 << 20).open().unwrap();
    foreign.insert("k", "v").unwrap();
    drop(foreign);
    let before = contents(directory.path());
    assert_eq!(refusal(directory.path()), StoreErrorKind::Unsupported);
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    assert_eq!(refusal(&path), StoreErrorKind::Unavailable);
}

#[test]
fn a_store_with_blob_files_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(SledStore::open(directory.path()).unwrap());
    fs::write(directory.path().join("blobs/17"), "").unwrap();
    assert_eq!(refusal(directory.path()), StoreErrorKind::Corrupt);
}

#[test]
fn a_store_with_other_segments_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("strongroom.lock"), "").unwrap();
    drop(sled::Config::new().path(directory.path()).open().unwrap());
    assert_eq!(refusal(directory.path()), StoreErrorKind::Unsupported);
}

#[test]
fn a_snapshot_left_half_written_does_not_keep_the_store_shut() {
    let directory = tempfile::tempdir().unwrap();
    put(&SledStore::open(directory.path()).unwrap(), b"k");
    fs::write(directory.path().join("snap.FFFFFFFFFFFFFFFF.generating"), "torn").unwrap();
    assert!(holds(&SledStore::open(directory.path()).unwrap(), b"k"));
}

#[test]
fn a_second_open_is_refused_until_the_first_store_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    let error = SledStore::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains("already open in another process"), "{error}");
    put(&store, b"k");
    drop(store);
    assert!(holds(&SledStore::open(directory.path()).unwrap(), b"k"));
}

#[test]
fn a_store_that_sled_itself_holds_open_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    // The file that makes the directory a store: no thread of an earlier handle can still hold sled's own lock.
    fs::write(directory.path().join("strongroom.lock"), "").unwrap();
    let held = sled::Config::new().path(directory.path()).segment_size(8 << 20).open().unwrap();
    assert_eq!(refusal(directory.path()), StoreErrorKind::InUse);
    drop(held);
}

#[test]
fn a_closed_store_can_be_opened_at_once_while_its_handle_lives() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10_u8 {
        let store = SledStore::open(directory.path()).unwrap();
        put(&store, &[round]);
        block_on(store.close()).unwrap();
        let next = SledStore::open(directory.path()).unwrap();
        assert!(holds(&next, &[round]));
    }
}
