//! A vault moves from memory to sled to redb and back, by copy and by backup, and resolves to the same bytes
//! everywhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::io::Cursor;

use futures_executor::block_on;
use strongroom::{
    Backup, Environment, Error, Org, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault,
};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_store::{KeyRange, ReadBatch, Scan, Store};

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

fn path() -> ScopePath {
    ScopePath::org().linked_account("user".parse().unwrap()).workflow("wf".parse().unwrap())
}

/// What a run sees, to the byte.
fn resolved(vault: &Vault) -> Vec<(String, Vec<u8>, String)> {
    let resolution = block_on(org(vault).resolve_all(&path())).unwrap();
    let seen = resolution.values.into_iter();
    seen.map(|one| (one.name.to_string(), one.value.expose().as_bytes().to_vec(), format!("{:?}", one.scope)))
        .collect()
}

fn rows(store: &impl Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let request = ReadBatch { gets: vec![], scans: vec![Scan::new(KeyRange::all(), 10_000)] };
    let page = block_on(store.read(&request)).unwrap().scans.remove(0);
    assert!(!page.more);
    page.rows.into_iter().map(|(key, row)| (key.into(), row.value)).collect()
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
        let value = format!("\u{e9}\n{}", "x".repeat(number * 300));
        org.set_value(name.as_str(), scope, value).await?;
    }
    Ok(())
}

#[test]
fn a_vault_that_moves_through_every_embedded_store_resolves_to_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let first = block_on(Vault::create(MemoryStore::new(), unlock())).unwrap();
    block_on(fill(&org(&first))).unwrap();
    let expected = resolved(&first);
    assert_eq!(expected.len(), 60);

    let sled = SledStore::open(directory.path().join("vault")).unwrap();
    let there = block_on(first.copy_to(&sled, |_| ())).unwrap();
    let second = block_on(Vault::open(sled, unlock())).unwrap();
    assert_eq!(resolved(&second), expected);

    let redb = RedbStore::open(directory.path().join("vault.redb")).unwrap();
    block_on(second.copy_to(&redb, |_| ())).unwrap();
    let third = block_on(Vault::open(redb, unlock())).unwrap();
    assert_eq!(resolved(&third), expected);

    let memory = MemoryStore::new();
    let back = block_on(third.copy_to(&memory, |_| ())).unwrap();
    assert_eq!((there.rows, there.digest), (back.rows, back.digest));
    let last = block_on(Vault::open(memory, unlock())).unwrap();
    assert_eq!(resolved(&last), expected);
    for retired in [&first, &second, &third] {
        let late = block_on(org(retired).set_value("V0", Scope::Org, "late"));
        assert!(matches!(late, Err(Error::Retired)));
        assert_eq!(resolved(retired), expected);
    }
    block_on(org(&last).set_value("V0", Scope::Org, "on")).unwrap();
}

#[test]
fn a_retired_sled_store_is_retired_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let vault = block_on(Vault::create(SledStore::open(directory.path()).unwrap(), unlock())).unwrap();
    block_on(fill(&org(&vault))).unwrap();
    block_on(vault.copy_to(&MemoryStore::new(), |_| ())).unwrap();
    block_on(vault.close()).unwrap();
    drop(vault);
    let vault = block_on(Vault::open(SledStore::open(directory.path()).unwrap(), unlock())).unwrap();
    let late = block_on(org(&vault).set_value("V0", Scope::Org, "late"));
    assert!(matches!(late, Err(Error::Retired)));
    assert_eq!(resolved(&vault).len(), 60);
}

#[test]
fn a_backup_of_memory_comes_back_on_sled_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(MemoryStore::new());
    let vault = block_on(Vault::create(std::sync::Arc::clone(&store), unlock())).unwrap();
    block_on(fill(&org(&vault))).unwrap();
    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();

    let backup = block_on(Backup::open(Cursor::new(file), unlock())).unwrap();
    let sled = std::sync::Arc::new(SledStore::open(directory.path()).unwrap());
    let restored = block_on(backup.replace_original(std::sync::Arc::clone(&sled), |_| ())).unwrap();
    assert_eq!(resolved(&restored), resolved(&vault));
    assert_eq!(rows(&sled), rows(&store));
}
