//! The SQLite store keeps the rules of every store, in a file of its own or beside another program's tables.

use strongroom_sqlite::SqliteStore;
use strongroom_store::Durability;

mod in_a_file_of_its_own {
    use super::*;
    strongroom_conformance::store_tests!(tempfile::tempdir().unwrap(), |dir| {
        SqliteStore::open(dir.path().join("store.db"))
    });
}

mod without_a_sync_a_commit {
    use super::*;
    strongroom_conformance::store_tests!(tempfile::tempdir().unwrap(), |dir| {
        SqliteStore::open_with(dir.path().join("app.db"), "secrets", Durability::ProcessCrash)
    });
}
