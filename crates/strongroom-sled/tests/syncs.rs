//! How often a verb of the engine syncs the disk: exactly once for a write, and never for a read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Environment, NewValue, Org, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_sled::SledStore;

#[test]
fn a_durable_set_syncs_once() {
    let (store, org) = org();
    assert_eq!(syncs(&store, || block_on(org.set_value("TOKEN", Scope::Org, "added")).is_ok()), 1);
    assert_eq!(syncs(&store, || block_on(org.set_value("TOKEN", Scope::Org, "updated")).is_ok()), 1);
}

#[test]
fn the_first_value_of_an_account_syncs_once_with_its_key() {
    let (store, org) = org();
    let account = Scope::LinkedAccount("user_12345".parse().unwrap());
    assert_eq!(syncs(&store, || block_on(org.set_value("TOKEN", account.clone(), "v")).is_ok()), 1);
}

#[test]
fn many_values_of_one_batch_sync_once() {
    let (store, org) = org();
    let scopes = (0..50).map(|number| Scope::Workflow(format!("wf_{number}").parse().unwrap()));
    let values: Vec<_> = scopes.map(|scope| NewValue::new("TOKEN", scope, "v")).collect();
    assert_eq!(syncs(&store, || block_on(org.set_values(&values)).is_ok()), 1);
}

#[test]
fn an_upserted_credential_syncs_once() {
    let (store, org) = org();
    let account = org.create_account("user_12345".parse().unwrap()).with_default_app();
    let account = block_on(account.into_future()).unwrap();
    assert_eq!(syncs(&store, || block_on(account.upsert_credential("api_key", "k1")).is_ok()), 1);
    assert_eq!(syncs(&store, || block_on(account.upsert_credential("api_key", "k2")).is_ok()), 1);
}

#[test]
fn a_read_does_not_sync() {
    let (store, org) = org();
    block_on(org.set_value("TOKEN", Scope::Org, "v")).unwrap();
    assert_eq!(syncs(&store, || block_on(org.resolve("TOKEN", &ScopePath::org())).is_ok()), 0);
    assert_eq!(syncs(&store, || block_on(org.resolve_all(&ScopePath::org())).is_ok()), 0);
}

fn syncs(store: &SledStore, verb: impl FnOnce() -> bool) -> u64 {
    let before = store.syncs();
    assert!(verb(), "the verb succeeds");
    store.syncs() - before
}

fn org() -> (Arc<SledStore>, Org) {
    let store = Arc::new(SledStore::temporary().expect("there is room for temporary files"));
    let org = block_on(async {
        let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = Vault::create(Arc::clone(&store), unlock).await?;
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
        org.define(VariableDefinition::new("TOKEN", VarFormat::String)).await?;
        Ok::<_, strongroom::Error>(org)
    });
    (store, org.expect("the store is new"))
}
