//! The keyring of an account that nobody can open: what it led to is lost, and a delete clears the way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    DataKeys, Error, JobOutcome, KeyJob, OnUnreadable, RawKey, RootRotation, Scope, Unlock, Vault,
};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Kind, RowKey, Rows, account, altered, audit, empty, load, of_account, open, org, rows, text,
};

/// A store with values of the org and of two accounts, one of them with a credential.
fn filled() -> Rows {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    block_on(async { org.create_account(account("a")).with_credential("key", "k").await }).unwrap();
    for scope in [Scope::Org, of_account("a"), of_account("b")] {
        block_on(org.set_value("V", scope, "v")).unwrap();
    }
    rows(&store)
}

fn is_keyring_of_a(key: &[u8]) -> bool {
    let key = RowKey::parse(key);
    key.kind == Kind::Keyring && key.rest == b"a\0"
}

/// The store with the keyring of account `a` altered in each way that it can no longer be opened.
fn damaged() -> Vec<Arc<MemoryStore>> {
    altered(&filled(), Kind::Keyring, b"a\0")
}

/// Runs a job that a row stops, deletes the account of that row, and runs the job to its end.
fn goes_on_after_the_delete(vault: &Vault, job: &KeyJob) {
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Blocked);
    block_on(org(vault).delete_account(&account("a"))).unwrap();
    assert!(block_on(job.retry(OnUnreadable::KeepKeys)).unwrap());
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Finished);
}

#[test]
fn an_account_whose_keyring_cannot_be_read_is_deleted_with_all_that_it_had() {
    for store in damaged() {
        let vault = open(Arc::clone(&store));
        block_on(org(&vault).delete_account(&account("a"))).unwrap();
        audit(&store);
        let left = rows(&store);
        let of_a =
            left.keys().filter(|key| !is_keyring_of_a(key) && RowKey::parse(key).rest.starts_with(b"a\0"));
        assert_eq!(of_a.count(), 0);
        assert!(block_on(org(&vault).value("V", &of_account("b"))).unwrap().is_some());
    }
}

#[test]
fn an_account_whose_keyring_could_not_be_read_is_used_again_after_a_delete() {
    for store in damaged() {
        let vault = open(Arc::clone(&store));
        assert!(block_on(org(&vault).set_value("V", of_account("a"), "w")).is_err());
        block_on(org(&vault).delete_account(&account("a"))).unwrap();
        let org = org(&vault);
        block_on(async { org.create_account(account("a")).with_credential("key", "k").await }).unwrap();
        block_on(org.set_value("V", of_account("a"), "w")).unwrap();
        audit(&store);
    }
}

#[test]
fn an_account_whose_keyring_cannot_be_read_is_shredded() {
    for store in damaged() {
        let receipt = block_on(org(&open(Arc::clone(&store))).shred_account(&account("a"))).unwrap();
        assert!(receipt.keys.is_empty(), "nobody knows which keys it had");
        audit(&store);
    }
}

#[test]
fn a_rotation_of_data_keys_that_a_keyring_stopped_goes_on_after_a_delete_of_the_account() {
    for store in damaged() {
        let vault = open(Arc::clone(&store));
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        goes_on_after_the_delete(&vault, &job);
        audit(&store);
    }
}

#[test]
fn a_rotation_of_the_root_that_a_keyring_stopped_goes_on_after_a_delete_of_the_account() {
    for store in damaged() {
        let vault = open(Arc::clone(&store));
        let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let job = block_on(vault.rotate_root(RootRotation::new().keep(key))).unwrap().job;
        goes_on_after_the_delete(&vault, &job);
        audit(&store);
    }
}

#[test]
fn a_keyring_of_a_later_version_is_not_replaced() {
    let mut whole = filled();
    let row = whole.iter_mut().find(|(key, _)| is_keyring_of_a(key)).unwrap().1;
    row[1] = 9;
    let store = load(&whole);
    let deleted = block_on(org(&open(Arc::clone(&store))).delete_account(&account("a")));
    assert!(matches!(deleted, Err(Error::UnknownVersion { version: 9, .. })), "{deleted:?}");
    assert_eq!(rows(&store), whole);
}

#[test]
fn an_org_whose_keyring_cannot_be_read_is_shredded_and_used_again() {
    let whole = filled();
    let is_of_org = |key: &Vec<u8>| {
        let key = RowKey::parse(key);
        key.kind == Kind::Keyring && key.rest.is_empty()
    };
    let (key, row) = whole.iter().find(|(key, _)| is_of_org(key)).unwrap();
    for altered in [Vec::new(), b"junk".to_vec(), row[..row.len() - 1].to_vec()] {
        let mut rows = whole.clone();
        rows.insert(key.clone(), altered);
        let store = load(&rows);
        let vault = open(Arc::clone(&store));
        assert!(block_on(org(&vault).definition("V")).is_err());
        let _ = block_on(org(&vault).shred()).unwrap();
        audit(&store);
        block_on(org(&vault).define(text("V"))).unwrap();
        audit(&store);
    }
}
