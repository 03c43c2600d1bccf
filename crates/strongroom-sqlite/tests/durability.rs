//! A vault is opened on a store that a power cut may set back only where its host asks for that.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_executor::block_on;
use strongroom::store::{Durability, Store, StoreErrorKind};
use strongroom::{Error, RawKey, Unlock, Vault, VaultOptions};
use strongroom_sqlite::SqliteStore;

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn assert_refused(vault: Result<Vault, Error>) {
    let Err(Error::Store(error)) = vault else { unreachable!("the store is refused") };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("VaultOptions::accept_durability"), "{error}");
}

#[test]
fn a_store_that_survives_only_a_process_crash_is_refused_unless_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let open =
        || SqliteStore::open_with(directory.path().join("app.db"), "a", Durability::ProcessCrash).unwrap();
    assert_eq!(open().capabilities().durability, Durability::ProcessCrash);
    assert_refused(block_on(Vault::create(open(), unlock())));
    let accepting = || VaultOptions::default().accept_durability(Durability::ProcessCrash);
    block_on(accepting().create(open(), unlock())).unwrap();
    assert_refused(block_on(Vault::open(open(), unlock())));
    block_on(accepting().open(open(), unlock())).unwrap();
}

#[test]
fn a_store_that_promises_more_needs_no_asking() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("app.db")).unwrap();
    assert_eq!(store.capabilities().durability, Durability::PowerLoss);
    block_on(Vault::create(store, unlock())).unwrap();
}
