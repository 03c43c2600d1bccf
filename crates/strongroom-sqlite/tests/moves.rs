//! A vault moves between SQLite and every other embedded store, and resolves to the same bytes everywhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Environment, Error, Org, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;
use strongroom_store::{Durability, Store};

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

/// What a run sees, to the byte.
fn resolved(vault: &Vault) -> Vec<(String, String, String)> {
    let path = ScopePath::org().linked_account("user".parse().unwrap()).workflow("wf".parse().unwrap());
    let seen = block_on(org(vault).resolve_all(&path)).unwrap().values.into_iter();
    seen.map(|one| (one.name.to_string(), one.value.expose().to_owned(), format!("{:?}", one.scope)))
        .collect()
}

async fn fill(org: &Org) -> Result<(), Error> {
    for number in 0..60 {
        let name = format!("V{number}");
        org.define(VariableDefinition::new(name.as_str(), VarFormat::String)).await?;
        let scope = match number % 3 {
            0 => Scope::Org,
            1 => Scope::LinkedAccount("user".parse()?),
            _ => Scope::Workflow("wf".parse()?),
        };
        org.set_value(name.as_str(), scope, format!("\u{e9}\n{}", "x".repeat(number * 300))).await?;
    }
    Ok(())
}

/// The vault in the other store, after the old one was retired.
fn moved(vault: Vault, to: impl Store) -> Vault {
    let (to, expected) = (Arc::new(to), resolved(&vault));
    block_on(vault.copy_to(&to, |_| ())).unwrap();
    let late = block_on(org(&vault).set_value("V0", Scope::Org, "late"));
    assert!(matches!(late, Err(Error::Retired)));
    drop(vault);
    let vault = block_on(Vault::open(to, unlock())).unwrap();
    assert_eq!(resolved(&vault), expected);
    vault
}

#[test]
fn a_vault_moves_from_and_to_every_other_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let in_tables = |prefix| SqliteStore::open_with(place("app.db"), prefix, Durability::PowerLoss).unwrap();
    let vault = block_on(Vault::create(MemoryStore::new(), unlock())).unwrap();
    block_on(fill(&org(&vault))).unwrap();
    let expected = resolved(&vault);
    assert_eq!(expected.len(), 60);

    let vault = moved(vault, in_tables("from_memory"));
    let vault = moved(vault, RedbStore::open(place("vault.redb")).unwrap());
    let vault = moved(vault, in_tables("from_redb"));
    let vault = moved(vault, SledStore::open(place("vault")).unwrap());
    let vault = moved(vault, in_tables("from_sled"));
    let vault = moved(vault, in_tables("from_the_same_file"));
    let vault = moved(vault, MemoryStore::new());
    assert_eq!(resolved(&vault), expected);
    block_on(org(&vault).set_value("V0", Scope::Org, "on")).unwrap();
}
