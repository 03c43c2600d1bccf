//! A store that the first version of the format wrote is opened by this one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use strongroom_conformance::keepsake;
use strongroom_sqlite::SqliteStore;

#[test]
fn a_store_of_version_1_holds_everything_and_can_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/store.db"), &path).unwrap();
    keepsake::check_v1(SqliteStore::open(&path).unwrap());
}

#[test]
fn a_keepsake_that_is_made_now_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    keepsake::make_v1(SqliteStore::open(&path).unwrap());
    keepsake::check_v1(SqliteStore::open(&path).unwrap());
}
