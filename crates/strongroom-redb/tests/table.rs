//! A store in a table of the host's database: the rules of every store, with the host's own tables and transactions
//! beside it, in one process and in several.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use redb::backends::InMemoryBackend;
use redb::{ConcurrencyMode, Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_redb::{RedbStore, RedbTableStore};
use strongroom_store::{
    Key, KeyRange, ReadBatch, Scan, Store, StoreError, StoreErrorKind, Versioned, WriteBatch,
};

/// A table of the host's.
const USERS: TableDefinition<'_, &str, u64> = TableDefinition::new("users");

/// As a host opens a database for several processes.
fn for_several_processes(path: &Path) -> Arc<Database> {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
    Arc::new(builder.create(path).unwrap())
}

fn in_memory() -> Arc<Database> {
    Arc::new(Database::builder().create_with_backend(InMemoryBackend::new()).unwrap())
}

mod in_one_process {
    use super::*;
    strongroom_conformance::store_tests!(in_memory(), |database: &Arc<Database>| {
        RedbTableStore::open(Arc::clone(database), "secrets")
    });
}

mod in_a_file_of_several_processes {
    use super::*;
    strongroom_conformance::store_tests!(tempfile::tempdir().unwrap(), |dir| {
        RedbTableStore::open(for_several_processes(&dir.path().join("app.redb")), "secrets")
    });
}

const RIG: Rig<RedbTableStore> =
    Rig::new(|path| RedbTableStore::open(for_several_processes(path), "secrets"));

/// Not a rule: the process that the others kill.
#[test]
fn writer_process() {
    RIG.serve();
}

#[test]
fn a_killed_writer_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::Kill, Load::MIXED, 12, 100);
}

#[test]
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 10, 20);
}

#[test]
fn processes_that_share_a_store_lose_no_update_and_no_revision() {
    RIG.check_processes();
}

#[test]
fn a_power_cut_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::PowerCut, Load::MIXED, 6, 300);
}

fn open(database: &Arc<Database>, table: &str) -> Result<RedbTableStore, StoreError> {
    RedbTableStore::open(Arc::clone(database), table)
}

fn put(store: &dyn Store, key: &[u8]) -> Result<(), StoreError> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    block_on(store.commit(Arc::new(batch))).map(drop)
}

fn rows(store: &dyn Store) -> Vec<(Key, Versioned)> {
    let request = ReadBatch { gets: vec![], scans: vec![Scan::new(KeyRange::all(), 100)] };
    block_on(store.read(&request)).unwrap().scans.remove(0).rows
}

#[test]
fn the_tables_of_the_host_and_of_other_stores_stay_as_they_are() {
    let database = in_memory();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(USERS).unwrap().insert("a", 1).unwrap();
    transaction.commit().unwrap();
    let [one, two] = ["one", "two"].map(|table| open(&database, table).unwrap());
    put(&one, b"k").unwrap();
    assert_eq!((rows(&one).len(), rows(&two).len()), (1, 0));
    let users = database.begin_read().unwrap().open_table(USERS).unwrap();
    assert_eq!((users.len().unwrap(), users.get("a").unwrap().unwrap().value()), (1, 1));
}

#[test]
fn a_table_that_strongroom_did_not_make_is_refused_and_left_as_it_was() {
    const SAME_TYPES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("same types");
    let database = in_memory();
    let transaction = database.begin_write().unwrap();
    drop(transaction.open_table(USERS).unwrap());
    transaction.open_table(SAME_TYPES).unwrap().insert(b"".as_slice(), b"x".as_slice()).unwrap();
    drop(transaction.open_multimap_table(redb::MultimapTableDefinition::<u8, u8>::new("many")).unwrap());
    transaction.commit().unwrap();
    for name in ["users", "same types", "many"] {
        let refused = open(&database, name).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported, "{name}");
        assert!(refused.to_string().contains("choose another name"), "{refused}");
    }
    let table = database.begin_read().unwrap().open_table(SAME_TYPES).unwrap();
    assert_eq!(table.len().unwrap(), 1);
}

#[test]
fn a_store_of_its_own_file_is_the_table_strongroom_of_a_host_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    put(&RedbStore::open(&path).unwrap(), b"first").unwrap();
    let database = Arc::new(Database::create(&path).unwrap());
    let table = open(&database, "strongroom").unwrap();
    put(&table, b"second").unwrap();
    drop((table, database));
    let store = RedbStore::open(&path).unwrap();
    put(&store, b"third").unwrap();
    let mut revisions: Vec<_> = rows(&store).into_iter().map(|(_, row)| row.revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 3, "each put has its own");
}

#[test]
fn a_commit_gives_way_to_a_transaction_of_the_host_that_stays_open_and_reads_do_not_wait() {
    let database = in_memory();
    let store = open(&database, "secrets").unwrap();
    put(&store, b"k").unwrap();
    let transaction = database.begin_write().unwrap();
    assert_eq!(put(&store, b"l").unwrap_err().kind(), StoreErrorKind::Contention);
    assert_eq!(rows(&store).len(), 1);
    transaction.abort().unwrap();
    put(&store, b"l").unwrap();
    assert_eq!(rows(&store).len(), 2);
}

#[test]
fn a_closed_store_leaves_the_database_to_the_host() {
    let mut database = in_memory();
    let store = open(&database, "secrets").unwrap();
    put(&store, b"k").unwrap();
    block_on(store.close()).unwrap();
    assert_eq!(put(&store, b"k").unwrap_err().kind(), StoreErrorKind::Closed);
    let alone = Arc::get_mut(&mut database).expect("nobody else has it any more");
    alone.compact().unwrap();
    assert_eq!(rows(&open(&database, "secrets").unwrap()).len(), 1);
}

#[test]
fn a_store_that_is_there_is_opened_beside_a_transaction_of_the_host() {
    let database = in_memory();
    put(&open(&database, "secrets").unwrap(), b"k").unwrap();
    let transaction = database.begin_write().unwrap();
    assert_eq!(rows(&open(&database, "secrets").unwrap()).len(), 1);
    transaction.abort().unwrap();
}
