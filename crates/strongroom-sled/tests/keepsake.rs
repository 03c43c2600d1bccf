//! A store that the first version of the format wrote is opened by this one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use strongroom_conformance::keepsake;
use strongroom_sled::SledStore;

#[test]
fn a_store_of_version_1_holds_everything_and_can_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1/store")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    keepsake::check_v1(SledStore::open(directory.path()).unwrap());
}

#[test]
fn a_keepsake_that_is_made_now_is_one() {
    let directory = tempfile::tempdir().unwrap();
    keepsake::make_v1(SledStore::open(directory.path()).unwrap());
    keepsake::check_v1(SledStore::open(directory.path()).unwrap());
}
