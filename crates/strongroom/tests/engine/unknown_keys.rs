//! Rows under a key that the keyring does not list: lost like a damaged row, unless the keys may be out of date.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{Environment, Error, Org, Scope, Settings, Vault, VaultOptions, WriteOptions};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Kind, OTHER_ORG, RowKey, account, base, of_account, open, options, org, rows, text, unlock,
};

/// A vault with an audit and two orgs that hold the same, on a store where the rows of this kind of the first are those
/// of the other. Opened again, so that nothing is known of what they were.
fn foreign(kind: Kind) -> (Arc<MemoryStore>, Org) {
    let store = Arc::new(MemoryStore::new());
    let mut settings = Settings::default();
    settings.audit = true;
    let vault = block_on(options().settings(settings).create(Arc::clone(&store), unlock())).unwrap();
    for org in [org(&vault), other_org(&vault)] {
        block_on(org.define(text("V"))).unwrap();
        block_on(org.set_value("V", Scope::Org, "v")).unwrap();
    }
    let of = |tenant: &str| {
        let is_one = |key: &RowKey| key.kind == kind && key.tenant.starts_with(tenant.as_bytes());
        rows(&store).into_iter().find(|(key, _)| is_one(&RowKey::parse(key))).unwrap()
    };
    let mut batch = WriteBatch::default();
    batch.put(of(crate::rig::ORG).0.into(), of(OTHER_ORG).1);
    block_on(store.commit(Arc::new(batch))).unwrap();
    let org = org(&open(Arc::clone(&store)));
    (store, org)
}

fn other_org(vault: &Vault) -> Org {
    vault.org(OTHER_ORG.parse().unwrap(), Environment::test())
}

fn kept() -> WriteOptions {
    WriteOptions::default().keep_history()
}

#[test]
fn a_value_under_an_unknown_key_without_versions_is_deleted_also_if_its_history_is_to_be_kept() {
    let (_, org) = foreign(Kind::Value);
    assert!(matches!(block_on(org.value("V", Scope::Org)), Err(Error::UnknownKey { .. })));
    assert!(block_on(org.delete_value_with("V", Scope::Org, kept())).unwrap().is_some());
    assert!(block_on(org.value("V", Scope::Org)).unwrap().is_none());
}

#[test]
fn a_definition_under_an_unknown_key_keeps_no_other_from_being_made_or_renamed() {
    let (_, org) = foreign(Kind::Definition);
    block_on(org.define(text("W"))).unwrap();
    let renamed = strongroom::DefinitionChange::new().name("X");
    assert_eq!(block_on(org.update_definition("W", renamed)).unwrap().definition.name, "X");
}

#[test]
fn an_audit_whose_head_is_under_an_unknown_key_keeps_nobody_from_writing() {
    let (_, org) = foreign(Kind::AuditHead);
    block_on(org.set_value("V", Scope::Org, "w")).unwrap();
}

#[test]
fn a_value_under_a_key_that_is_not_known_yet_is_deleted_with_its_history_kept() {
    let store = base(async |org| {
        org.define(text("V")).await?;
        org.define(text("W")).await?;
        org.set_value("W", of_account("a"), "w").await.map(drop)
    });
    let here = org(&open(Hooked::new(Arc::clone(&store))));
    block_on(async {
        // The engine caches the account's keys, and does not look whether others have made new ones.
        assert!(here.value("W", of_account("a")).await?.is_some());
        assert!(here.value("V", of_account("a")).await?.is_none());
        let there = org(&VaultOptions::default().open(store, unlock()).await?);
        there.account(account("a")).rotate_keys().await?;
        there.set_value("V", of_account("a"), "v").await?;
        assert!(here.delete_value_with("V", of_account("a"), kept()).await?.is_some());
        assert!(here.undelete_value("V", of_account("a")).await?.is_some());
        Ok::<_, Error>(())
    })
    .unwrap();
}
