//! Which files are opened, and what is left of those that are not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use futures_executor::block_on;
use redb::{Database, TableDefinition};
use strongroom_redb::{RedbReader, RedbStore};
use strongroom_store::{Key, KeyRange, ReadBatch, Scan, Store, StoreErrorKind, VALUE_BYTES_MAX, WriteBatch};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    (directory, path)
}

/// Holds that nothing in the place is changed by a refused opening.
fn refusal(path: &Path) -> StoreErrorKind {
    let before = fs::read(path).ok();
    let kind = RedbStore::open(path).unwrap_err().kind();
    assert!(fs::read(path).ok() == before, "the file was changed");
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "something was left behind");
    kind
}

fn put(store: &RedbStore, key: &[u8]) {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).unwrap();
}

fn holds(store: &RedbStore, key: &[u8]) -> bool {
    let request = ReadBatch { gets: vec![Key::from(key)], scans: vec![] };
    block_on(store.read(&request)).unwrap().gets[0].is_some()
}

#[test]
fn a_missing_directory_is_created_with_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    RedbStore::open(directory.path().join("a/b/c")).unwrap();
    assert!(directory.path().join("a/b/c").is_file());
}

#[test]
fn a_new_store_is_one_file() {
    let (directory, path) = place();
    drop(RedbStore::open(&path).unwrap());
    let names: Vec<_> =
        directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store.redb"]);
}

#[test]
fn of_those_who_make_a_store_at_once_one_gets_it_and_the_others_are_told_that_it_is_in_use() {
    let (directory, path) = place();
    let start = Barrier::new(8);
    let open = || {
        start.wait();
        RedbStore::open(&path)
    };
    let opened: Vec<_> = thread::scope(|threads| {
        let opening: Vec<_> = (0..8).map(|_| threads.spawn(open)).collect();
        opening.into_iter().map(|opened| opened.join().unwrap()).collect()
    });
    let (got, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!(got.len(), 1);
    assert!(refused.into_iter().all(|refused| refused.unwrap_err().kind() == StoreErrorKind::InUse));
    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "something was left behind");
}

#[cfg(unix)]
#[test]
fn a_new_store_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = place();
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_was() {
    for bytes in [b"".as_slice(), b"dear", &[0; 4_096], b"SQLite format 3\0"] {
        let (_directory, path) = place();
        fs::write(&path, bytes).unwrap();
        assert_eq!(refusal(&path), StoreErrorKind::Unsupported);
    }
}

#[test]
fn a_directory_in_place_of_the_file_is_refused() {
    let (_directory, path) = place();
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path), StoreErrorKind::Unsupported);
}

#[test]
fn a_foreign_redb_database_is_refused_and_left_as_it_was() {
    const OTHER: TableDefinition<'_, &str, u64> = TableDefinition::new("other");
    const SAME_NAME: TableDefinition<'_, &str, u64> = TableDefinition::new("strongroom");
    const SAME_TYPES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("strongroom");
    let foreign = |fill: fn(&redb::WriteTransaction)| {
        let (directory, path) = place();
        let db = Database::create(&path).unwrap();
        let transaction = db.begin_write().unwrap();
        fill(&transaction);
        transaction.commit().unwrap();
        drop(db);
        let kind = refusal(&path);
        drop(directory);
        kind
    };
    let unsupported = foreign(|transaction| drop(transaction.open_table(OTHER).unwrap()));
    assert_eq!(unsupported, StoreErrorKind::Unsupported);
    let fills: [fn(&redb::WriteTransaction); 3] = [
        |_| {},
        |transaction| drop(transaction.open_table(SAME_NAME).unwrap()),
        |transaction| drop(transaction.open_table(SAME_TYPES).unwrap()),
    ];
    for fill in fills {
        assert_eq!(foreign(fill), StoreErrorKind::Corrupt);
    }
}

#[test]
fn a_truncated_or_overwritten_store_is_an_error_and_no_panic() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    (0..200).for_each(|n| put(&store, &[n]));
    drop(store);
    let whole = fs::read(&path).unwrap();
    for len in [9, 64, 320, 4_096, 8_192, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(RedbStore::open(&path).is_err(), "{len} bytes");
    }
    let mut zeroed = whole.clone();
    zeroed[9..].fill(0);
    fs::write(&path, &zeroed).unwrap();
    assert!(RedbStore::open(&path).is_err());
}

#[test]
fn a_second_open_is_refused_until_the_first_store_is_gone() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    let error = RedbStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains("already open in another process"), "{error}");
    put(&store, b"k");
    drop(store);
    assert!(holds(&RedbStore::open(&path).unwrap(), b"k"));
}

#[test]
fn a_closed_store_can_be_opened_at_once_while_its_handle_lives() {
    let (_directory, path) = place();
    for round in 0..10_u8 {
        let store = RedbStore::open(&path).unwrap();
        put(&store, &[round]);
        block_on(store.close()).unwrap();
        assert!(holds(&RedbStore::open(&path).unwrap(), &[round]));
    }
}

#[test]
fn readers_share_a_store_that_they_never_write_and_keep_writers_out() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put(&store, b"k");
    assert_eq!(RedbReader::open(&path).unwrap_err().kind(), StoreErrorKind::InUse);
    block_on(store.close()).unwrap();
    let before = fs::read(&path).unwrap();
    let (one, other) = (RedbReader::open(&path).unwrap(), RedbReader::open(&path).unwrap());
    let request = ReadBatch { gets: vec![Key::from(b"k".as_slice())], scans: vec![] };
    for reader in [&one, &other] {
        assert!(block_on(reader.read(&request)).unwrap().gets[0].is_some());
        let refused = block_on(reader.commit(Arc::new(WriteBatch::default()))).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
        assert_eq!(RedbStore::open(&path).unwrap_err().kind(), StoreErrorKind::InUse);
        block_on(reader.close()).unwrap();
        assert_eq!(block_on(reader.read(&request)).unwrap_err().kind(), StoreErrorKind::Closed);
    }
    assert!(fs::read(&path).unwrap() == before);
    assert!(holds(&RedbStore::open(&path).unwrap(), b"k"));
}

#[test]
fn a_page_of_a_reader_ends_where_one_of_the_store_does() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    let mut batch = WriteBatch::default();
    for row in 0_u8..60 {
        batch.put(Key::from(&[row][..]), vec![row; VALUE_BYTES_MAX]);
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
    let request = ReadBatch { gets: vec![], scans: vec![Scan::new(KeyRange::all(), 1_000)] };
    let pages = block_on(store.read(&request)).unwrap().scans;
    assert!(pages[0].more);
    block_on(store.close()).unwrap();
    let found = block_on(RedbReader::open(&path).unwrap().read(&request)).unwrap();
    assert_eq!(found.scans[0].rows.len(), pages[0].rows.len());
}

#[test]
fn what_is_not_there_or_not_a_store_is_not_opened_for_reading_either() {
    let (_directory, path) = place();
    assert_eq!(RedbReader::open(&path).unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(!path.exists());
    fs::write(&path, "dear").unwrap();
    assert_eq!(RedbReader::open(&path).unwrap_err().kind(), StoreErrorKind::Unsupported);
    assert_eq!(fs::read(&path).unwrap(), b"dear");
}
