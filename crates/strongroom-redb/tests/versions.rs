//! Programs with an older redb at the same file: at the same time they are refused, after one another they read it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use futures_executor::block_on;
use redb::{ConcurrencyMode, Database, ReadableDatabase as _, ReadableTableMetadata as _};
use redb_3::{ReadableDatabase as _, ReadableTableMetadata as _};
use strongroom_redb::{RedbStore, RedbTableStore};
use strongroom_store::{Key, Store, StoreErrorKind, WriteBatch};
use tempfile::TempDir;

const OLD: redb_3::TableDefinition<'_, &[u8], &[u8]> = redb_3::TableDefinition::new("strongroom");

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    (directory, path)
}

fn put(store: &dyn Store, key: &[u8]) {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), vec![7; 5_000]);
    block_on(store.commit(Arc::new(batch))).unwrap();
}

#[test]
fn a_file_that_an_older_redb_has_open_is_refused_as_open() {
    let (_directory, path) = place();
    drop(RedbStore::open(&path).unwrap());
    let old = redb_3::Database::open(&path).unwrap();
    let refused = RedbStore::open(&path).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::InUse);
    assert!(refused.to_string().contains("already open in another process"), "{refused}");
    drop(old);
    RedbStore::open(&path).unwrap();
}

#[test]
fn an_older_redb_is_refused_while_a_store_has_the_file_open() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    let refused = redb_3::Database::open(&path);
    assert!(matches!(refused, Err(redb_3::DatabaseError::DatabaseAlreadyOpen)), "{refused:?}");
    drop(store);
    // In the same way where the host shares its database with other processes.
    let mut builder = Database::builder();
    let shared = Arc::new(builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).open(&path).unwrap());
    let store = RedbTableStore::open(shared, "strongroom").unwrap();
    let refused = redb_3::Database::open(&path);
    assert!(matches!(refused, Err(redb_3::DatabaseError::DatabaseAlreadyOpen)), "{refused:?}");
    assert_eq!(RedbStore::open(&path).unwrap_err().kind(), StoreErrorKind::InUse);
    put(&store, b"k");
}

#[test]
fn a_downgrade_finds_every_row_and_an_upgrade_finds_what_it_wrote() {
    let (_directory, path) = place();
    let store = RedbStore::open(&path).unwrap();
    (0..200).for_each(|number| put(&store, &[number]));
    drop(store);
    let old = redb_3::Database::open(&path).unwrap();
    let count = old.begin_read().unwrap().open_table(OLD).unwrap().len().unwrap();
    assert_eq!(count, 201, "with the row of the store itself");
    let transaction = old.begin_write().unwrap();
    transaction.open_table(OLD).unwrap().remove([9].as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(old);
    drop(RedbStore::open(&path).unwrap());
    let new = Database::open(&path).unwrap();
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("strongroom");
    assert_eq!(new.begin_read().unwrap().open_table(table).unwrap().len().unwrap(), 200);
}
