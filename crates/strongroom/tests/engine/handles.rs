//! What a host does with handles and futures: it clones them, keeps them and sends them between threads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;
use std::io::Cursor;
use std::sync::Arc;

use crate::common::{id, org_of, text, unlock, vault};
use futures_executor::block_on;
use strongroom::{
    Account, AppCredentials, Backup, DataKeys, Error, FormatChange, KeyJob, NewValue, OnMismatch, Org,
    PageRequest, Records, RootRotation, Scope, ScopePath, Secret, Slots, Unlock, Vault, VaultOptions,
    Verification, WriteOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_handle_is_cloned_shared_and_kept() {
    handle::<Vault>();
    handle::<Org>();
    handle::<Account>();
    handle::<AppCredentials>();
    handle::<Records>();
    handle::<Slots>();
    handle::<KeyJob>();
}

#[test]
fn a_handle_says_what_it_reaches() {
    let org = org_of(&block_on(vault(MemoryStore::new(), VaultOptions::default())).unwrap());
    let account = org.account(id("a"));
    assert_eq!((org.environment().as_str(), account.id().as_str()), ("test", "a"));
    assert_eq!(account.app(id("crm")).integration().as_str(), "crm");
    assert_eq!(org.records(id("visitor")).namespace().as_str(), "visitor");
}

#[test]
fn what_a_verb_takes_and_gives_goes_to_another_thread() {
    crosses::<Error>();
    crosses::<Secret>();
    crosses::<Unlock>();
    crosses::<VaultOptions>();
    crosses::<WriteOptions>();
    crosses::<NewValue<'static>>();
    crosses::<RootRotation>();
    crosses::<Verification>();
    crosses::<Backup<Cursor<Vec<u8>>>>();
}

#[test]
fn the_future_of_a_verb_goes_to_another_thread() {
    let store = Arc::new(MemoryStore::new());
    sent(Vault::create(Arc::clone(&store), unlock()));
    sent(Vault::open(store, unlock()));
    let vault = block_on(vault(MemoryStore::new(), VaultOptions::default())).unwrap();
    let (org, run) = (org_of(&vault), ScopePath::org());
    sent(org.define(text("A")));
    sent(org.set_value("A", Scope::Org, "x"));
    sent(org.set_values(&[NewValue::new("A", Scope::Org, "x")]));
    sent(org.delete_value("A", &Scope::Org));
    sent(org.resolve("A", &run));
    sent(org.resolve_all(&run));
    sent(org.explain("A", &run));
    let change = FormatChange::to(strongroom::VarFormat::Integer);
    sent(org.plan_format_change("A", &change, PageRequest::default()));
    sent(org.change_format("A", &change, OnMismatch::Refuse));
    sent(org.create_account(id("a")).with_default_app().into_future());
    sent(org.account(id("a")).upsert_credential("k", "v"));
    sent(org.records(id("r")).list(PageRequest::default()));
    sent(org.shred());
    sent(org.verify());
    sent(vault.verify());
    sent(vault.run_jobs());
    sent(vault.jobs(PageRequest::default()));
    sent(vault.rotate_data_keys(&DataKeys::all()));
    sent(vault.rotate_root(RootRotation::new()));
    sent(vault.slots().add(unlock()));
    sent(vault.unlock(unlock()));
    sent(vault.backup(Vec::new(), |_| ()));
    sent(vault.copy_to(&MemoryStore::new(), |_| ()));
    sent(Backup::open(Cursor::new(Vec::new()), unlock()));
}

fn handle<T: Clone + Debug + Send + Sync + 'static>() {}

fn crosses<T: Debug + Send + Sync + 'static>() {}

/// What is sent is not run here.
fn sent<F: Future + Send>(_: F) {}
