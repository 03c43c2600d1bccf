//! Which files and tables are opened, and what is left of those that are not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use rusqlite::Connection;
use strongroom_sqlite::SqliteStore;
use strongroom_store::{Durability, Key, KeyRange, ReadBatch, Scan, Store, StoreErrorKind, WriteBatch};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    (directory, path)
}

/// Holds that nothing in the place is changed by a refused opening.
fn refusal(path: &Path) -> StoreErrorKind {
    let before = fs::read(path).ok();
    let kind = SqliteStore::open(path).unwrap_err().kind();
    assert!(fs::read(path).ok() == before, "the file was changed");
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "something was left behind");
    kind
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

/// A file of another program with the tables that the SQL makes.
fn made_by_another(sql: &str) -> (TempDir, PathBuf) {
    let (directory, path) = place();
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (directory, path)
}

#[test]
fn a_missing_directory_is_created_with_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    SqliteStore::open(directory.path().join("a/b/c")).unwrap();
    assert!(directory.path().join("a/b/c").is_file());
}

#[test]
fn a_closed_store_is_one_file() {
    let (directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    put(&store, b"k");
    assert!(holds(&store, b"k"));
    block_on(store.close()).unwrap();
    let names: Vec<_> =
        directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["app.db"]);
}

#[cfg(unix)]
#[test]
fn a_new_file_and_those_beside_it_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    put(&store, b"k");
    let entries: Vec<_> = directory.path().read_dir().unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 3, "the file, its WAL and its index");
    for entry in entries {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_there_already_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = made_by_another("CREATE TABLE users (name TEXT)");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    put(&SqliteStore::open(&path).unwrap(), b"k");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link_that_was_planted_beside_the_database() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let (directory, path) = place();
        let precious = directory.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        let planted = directory.path().join(format!("app.db{suffix}"));
        std::os::unix::fs::symlink(&precious, planted).unwrap();
        let refused = SqliteStore::open(&path).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported, "{suffix}");
        assert!(!path.exists(), "{suffix}");
        assert_eq!(fs::read(&precious).unwrap(), b"kept", "{suffix}");
    }
}

#[test]
fn what_a_database_left_behind_when_it_was_moved_away_is_not_deleted() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let (directory, path) = place();
        let left = directory.path().join(format!("app.db{suffix}"));
        fs::write(&left, "the latest writes").unwrap();
        let refused = SqliteStore::open(&path).unwrap_err();
        assert!(refused.to_string().contains("-wal and -shm"), "{suffix}: {refused}");
        assert!(!path.exists() && fs::read(&left).unwrap() == b"the latest writes", "{suffix}");
    }
}

#[test]
fn what_is_not_a_database_is_refused_and_left_as_it_was() {
    for bytes in [b"dear".as_slice(), &[7; 4_096]] {
        let (_directory, path) = place();
        fs::write(&path, bytes).unwrap();
        assert_eq!(refusal(&path), StoreErrorKind::Unsupported);
    }
    let (_directory, path) = place();
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path), StoreErrorKind::Unavailable);
}

#[test]
fn tables_of_these_names_that_are_not_ours_are_refused_and_left_as_they_were() {
    let (_directory, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let ours: Vec<String> = {
        let connection = Connection::open(&path).unwrap();
        let mut tables = connection.prepare("SELECT sql FROM sqlite_schema").unwrap();
        tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let copies = ours.join(";");
    let others = [
        "CREATE TABLE strongroom_rows (k BLOB, v BLOB, rev INTEGER)".to_owned(),
        "CREATE TABLE STRONGROOM_META (revision INTEGER)".to_owned(),
        ours[0].clone(),
        ours[1].clone(),
        copies.replace("strongroom-sqlite 1", "strongroom-sqlite 2"),
        format!("{copies}; CREATE INDEX i ON strongroom_rows (rev)"),
        format!(
            "{copies}; CREATE TABLE log (v); CREATE TRIGGER t AFTER INSERT ON strongroom_rows
             BEGIN INSERT INTO log VALUES (new.v); END"
        ),
    ];
    for sql in others {
        let (_directory, path) = made_by_another(&sql);
        assert_eq!(refusal(&path), StoreErrorKind::Unsupported, "{sql}");
    }
}

#[test]
fn a_prefix_that_names_no_table_is_refused_before_a_file_is_made() {
    for prefix in
        ["", "1st", "_a", "a b", "a\"; DROP TABLE users", "sqlite_a", "SQLITE_a", "é", &"a".repeat(33)]
    {
        let (_directory, path) = place();
        let error = SqliteStore::open_with(&path, prefix, Durability::PowerLoss).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{prefix}");
        assert!(!path.exists());
    }
}

#[test]
fn the_tables_of_the_host_stay_as_they_are_beside_stores_of_several_prefixes() {
    let (_directory, path) = made_by_another(
        "PRAGMA user_version = 7; PRAGMA application_id = 9;
         CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('ada')",
    );
    let [one, other] =
        ["one", "other"].map(|prefix| SqliteStore::open_with(&path, prefix, Durability::PowerLoss).unwrap());
    put(&one, b"k");
    assert!(holds(&one, b"k") && !holds(&other, b"k"));
    let host = Connection::open(&path).unwrap();
    host.execute("INSERT INTO users VALUES ('grace')", []).unwrap();
    put(&other, b"k");
    let number = |sql: &str| host.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM users"), 2);
    assert_eq!((number("PRAGMA user_version"), number("PRAGMA application_id")), (7, 9));
}

#[test]
fn a_transaction_of_the_host_that_lasts_too_long_is_given_way_to_and_poisons_nothing() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    let host = Connection::open(&path).unwrap();
    host.execute_batch("BEGIN IMMEDIATE; CREATE TABLE users (name TEXT)").unwrap();
    let mut batch = WriteBatch::default();
    batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
    let refused = block_on(store.commit(Arc::new(batch))).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Contention);
    assert!(!holds(&store, b"k"), "a reader waits for nobody");
    host.execute_batch("COMMIT").unwrap();
    put(&store, b"k");
    assert!(holds(&store, b"k"));
}

#[test]
fn a_group_that_fails_before_its_end_leaves_nothing_and_poisons_nothing() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    put(&store, b"before");
    let host = Connection::open(&path).unwrap();
    host.execute_batch("ALTER TABLE strongroom_rows RENAME TO away").unwrap();
    let mut batch = WriteBatch::default();
    batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
    let refused = block_on(store.commit(Arc::new(batch))).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    host.execute_batch("ALTER TABLE away RENAME TO strongroom_rows").unwrap();
    assert!(holds(&store, b"before") && !holds(&store, b"k"));
    put(&store, b"k");
}

#[test]
fn a_database_that_is_cut_off_or_overwritten_is_an_error_and_no_panic() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    (0..200).for_each(|n| put(&store, &[n; 200]));
    drop(store);
    let whole = fs::read(&path).unwrap();
    let is_refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let store = SqliteStore::open(&path);
        let read = store.and_then(|store| {
            let gets = (0..100).map(|n| Key::from([n; 200].as_slice())).collect();
            block_on(store.read(&ReadBatch { gets, scans: vec![] }))
        });
        read.is_err()
    };
    for len in [9, 64, 2_000, 4_096, whole.len() / 2] {
        assert!(is_refused(&whole[..len]), "{len} bytes");
    }
    let mut zeroed = whole.clone();
    zeroed[4_096..].fill(0);
    assert!(is_refused(&zeroed));
}

#[test]
fn a_value_of_another_type_is_one_damaged_row_and_hides_no_other() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    [b"a", b"b", b"c"].iter().for_each(|key| put(&store, *key));
    let host = Connection::open(&path).unwrap();
    for (key, value) in [("a", "'text'"), ("b", "7")] {
        let text = format!("UPDATE strongroom_rows SET v = {value} WHERE k = CAST('{key}' AS BLOB)");
        assert_eq!(host.execute(&text, []).unwrap(), 1);
    }
    let values = || {
        let scans = vec![Scan::new(KeyRange::all(), 10)];
        let set = block_on(store.read(&ReadBatch { gets: vec![Key::from(b"a".as_slice())], scans })).unwrap();
        assert_eq!(set.gets[0].as_ref().unwrap().value, set.scans[0].rows[0].1.value);
        set.scans[0].rows.iter().map(|(_, row)| row.value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(values(), [&b"text"[..], b"", b"v"]);
    put(&store, b"a");
    assert_eq!(values(), [&b"v"[..], b"", b"v"]);
}

#[test]
fn handles_that_make_the_same_store_at_once_all_get_it() {
    let (_directory, path) = place();
    let stores: Vec<SqliteStore> = thread::scope(|threads| {
        let opening: Vec<_> = (0..8).map(|_| threads.spawn(|| SqliteStore::open(&path).unwrap())).collect();
        opening.into_iter().map(|opened| opened.join().unwrap()).collect()
    });
    stores.iter().zip(0..).for_each(|(store, n)| put(store, &[n]));
    assert!((0..8).all(|n| holds(&stores[0], &[n])));
}

#[test]
fn handles_that_write_at_once_wait_for_each_other_and_none_is_refused() {
    let (_directory, path) = place();
    let stores: Vec<SqliteStore> = (0..4).map(|_| SqliteStore::open(&path).unwrap()).collect();
    thread::scope(|threads| {
        for (store, handle) in stores.iter().zip(0_u8..) {
            threads.spawn(move || (0..100).for_each(|n| put(store, &[handle, n])));
        }
    });
    assert!((0..4).all(|handle| (0..100).all(|n| holds(&stores[0], &[handle, n]))));
}
