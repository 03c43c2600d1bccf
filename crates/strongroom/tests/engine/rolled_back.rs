//! Control rows never go back in one engine: an older keyring, definition or `store` row that is put back is refused,
//! and nothing that a vault does by itself looks like that.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Key, Store as _, WriteBatch};
use strongroom::{
    Cause, DataKeys, DefinitionChange, Error, ErrorKind, Org, RawKey, RootRotation, Scope, ScopePath, Unlock,
    VarFormat, VariableDefinition, Vault, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{org_of, run, unlock, vault};
use crate::put_back::OldNumbers;
use crate::rig::{Kind, RowKey, flip, rows};

/// An org with a value, on a store that can put rows back.
async fn org_with_a_value(store: &OldNumbers) -> Result<(Vault, Org), Error> {
    let vault = vault(store.clone(), VaultOptions::default()).await?;
    let org = org_of(&vault);
    org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    org.set_value("PORT", Scope::Org, "80").await?;
    Ok((vault, org))
}

/// Drops what is cached of an org, so that its next verb reads the store.
async fn forget(org: &Org) -> Result<(), Error> {
    org.lock();
    org.unlock(unlock()).await
}

fn assert_rolled_back<T>(answer: Result<T, Error>, row: &str) {
    let error = answer.err().unwrap();
    assert!(matches!(&error, Error::RolledBack { seen, found, .. } if found < seen), "{error}");
    assert!(error.to_string().contains(row), "{error}");
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn nothing_is_read_or_sealed_under_the_keys_of_a_keyring_that_was_put_back() {
    run(async {
        let store = OldNumbers::default();
        let (vault, org) = org_with_a_value(&store).await?;
        let before = store.rows(&[]).await;
        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;

        store.put(before).await;
        forget(&org).await?;
        assert_rolled_back(org.value("PORT", Scope::Org).await, "keyring");
        assert_rolled_back(org.set_value("PORT", Scope::Org, "81").await, "keyring");
        let report = vault.verify().await?;
        assert!(report.findings.iter().any(|finding| matches!(finding.cause, Cause::RolledBack { .. })));
        Ok(())
    });
}

#[test]
fn a_keyring_without_keys_that_a_shred_left_does_not_come_back_over_the_keys_made_since() {
    run(async {
        let store = OldNumbers::default();
        let (_vault, org) = org_with_a_value(&store).await?;
        let _logical = org.shred().await?;
        let shredded = keyrings(&store).await;
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "81").await?;

        store.put(shredded).await;
        forget(&org).await?;
        assert_rolled_back(org.value("PORT", Scope::Org).await, "keyring");
        assert_rolled_back(org.set_value("PORT", Scope::Org, "82").await, "keyring");
        Ok(())
    });
}

#[test]
fn a_keyring_without_keys_does_not_come_back_over_the_keys_of_an_account_made_again() {
    run(async {
        let store = OldNumbers::default();
        let (_vault, org) = org_with_a_value(&store).await?;
        let user = || "user".parse().unwrap();
        let create = async || org.create_account(user()).with_credential("k", "c").await;
        create().await?;
        org.delete_account(&user()).await?;
        let empty = keyrings(&store).await;
        let account = create().await?;
        store.put(empty).await;
        forget(&org).await?;
        assert_rolled_back(account.credential("k").await, "keyring");
        Ok(())
    });
}

#[test]
fn a_keyring_from_before_a_shred_that_comes_back_after_it_opens_nothing_and_is_no_alarm() {
    run(async {
        let store = OldNumbers::default();
        let (_vault, org) = org_with_a_value(&store).await?;
        let before = keyrings(&store).await;
        let _logical = org.shred().await?;

        store.put(before).await;
        forget(&org).await?;
        assert!(org.definition("PORT").await?.is_none());
        assert!(org.resolve_all(&ScopePath::org()).await?.values.is_empty());
        Ok(())
    });
}

async fn keyrings(store: &OldNumbers) -> Vec<(Key, Vec<u8>)> {
    let mut rows = store.rows(&[1]).await;
    rows.retain(|(key, _)| RowKey::parse(key.as_bytes()).kind == Kind::Keyring);
    rows
}

#[test]
fn a_keyring_that_was_seen_and_is_gone_is_no_scope_without_keys() {
    run(async {
        for is_of_org in [true, false] {
            let store = OldNumbers::default();
            let (vault, org) = org_with_a_value(&store).await?;
            let user = || "user".parse().unwrap();
            org.create_account(user()).with_credential("api_key", "k1").await?;
            let keyrings = store.rows(&[1]).await.into_iter().map(|(key, _)| key);
            let keyrings = keyrings.filter(|key| RowKey::parse(key.as_bytes()).kind == Kind::Keyring);
            let gone = keyrings.filter(|key| is_keyring_of_account(key.as_bytes()) != is_of_org);
            for key in gone.collect::<Vec<_>>() {
                store.remove(key.as_bytes()).await;
            }
            forget(&org).await?;
            let account = org.account(user());
            assert_rolled_back(account.credential("api_key").await, "keyring");
            assert_rolled_back(account.upsert_credential("api_key", "k2").await, "keyring");
            assert_rolled_back(org.delete_account(&user()).await, "keyring");
            assert_rolled_back(org.shred_account(&user()).await, "keyring");
            drop(vault);
        }
        Ok(())
    });
}

#[test]
fn a_keyring_from_the_middle_of_a_rotation_is_refused_by_the_engine_that_finished_it() {
    run(async {
        let store = OldNumbers::default();
        let (vault, org) = org_with_a_value(&store).await?;
        let job = vault.rotate_data_keys(&DataKeys::all()).await?;
        let first = store.rows(&[]).await;
        let mut middle = first.clone();
        // The batch that adds the new key is the first one that changes more than the job.
        while middle
            .iter()
            .zip(&first)
            .all(|(row, before)| row == before || row.0.as_bytes().starts_with(&[0]))
        {
            job.step().await?;
            middle = store.rows(&[]).await;
        }
        job.run().await?;
        store.put(middle).await;
        forget(&org).await?;
        assert_rolled_back(org.value("PORT", Scope::Org).await, "keyring");
        Ok(())
    });
}

#[test]
fn a_definition_that_was_changed_or_deleted_does_not_come_back_as_it_was() {
    run(async {
        for is_deleted in [false, true] {
            let store = OldNumbers::default();
            let (_vault, org) = org_with_a_value(&store).await?;
            let before = store.rows(&[]).await;
            match is_deleted {
                true => org.delete_definition("PORT").await?,
                false => {
                    let change = DefinitionChange::new().encrypted();
                    org.update_definition("PORT", change).await.map(|_| ())?;
                }
            }
            store.put(before).await;
            forget(&org).await?;
            assert_rolled_back(org.definition("PORT").await, "definition");
            assert_rolled_back(org.resolve_all(&ScopePath::org()).await, "definition");
            assert_rolled_back(org.set_value("PORT", Scope::Org, "81").await, "definition");
        }
        Ok(())
    });
}

#[test]
fn a_definition_that_was_deleted_with_its_history_kept_does_not_come_back() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default().history_versions(2)).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let before = store.rows(&[]).await;
        org.delete_definition_with("PORT", WriteOptions::default().keep_history()).await?;
        store.put(before).await;
        forget(&org).await?;
        assert_rolled_back(org.definition("PORT").await, "definition");
        Ok(())
    });
}

#[test]
fn a_definition_that_was_purged_while_it_could_not_be_read_does_not_come_back() {
    run(async {
        let store = OldNumbers::default();
        let (_vault, org) = org_with_a_value(&store).await?;
        let id = org.definition("PORT").await?.unwrap().id;
        let before = store.rows(&[]).await;
        let damaged = definitions(before.clone()).into_iter().map(|(key, _)| (key, b"junk".to_vec()));
        store.put(damaged.collect()).await;
        forget(&org).await?;
        org.purge_definition(id).await?;
        store.put(before).await;
        forget(&org).await?;
        assert_rolled_back(org.definition("PORT").await, "definition");
        Ok(())
    });
}

#[test]
fn a_store_row_from_before_a_slot_was_added_is_refused_by_whoever_reads_or_changes_slots() {
    run(async {
        let store = OldNumbers::default();
        let (vault, _) = org_with_a_value(&store).await?;
        let before = store.rows(&[0, 3]).await;
        vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32]))).await?;
        store.put(before).await;
        assert_rolled_back(vault.slots().list().await, "`store` row");
        let rotation = RootRotation::new().keep(unlock()).keep(Unlock::raw_key(RawKey::from_bytes([8; 32])));
        assert_rolled_back(vault.rotate_root(rotation).await, "`store` row");
        vault.lock();
        assert_rolled_back(vault.unlock(unlock()).await, "`store` row");
        Ok(())
    });
}

#[test]
fn a_store_row_from_before_a_backup_is_refused_by_whoever_restored_it() {
    run(async {
        let store = OldNumbers::default();
        let (vault, _) = org_with_a_value(&store).await?;
        let before = store.rows(&[0, 3]).await;
        for is_marked in [false, true] {
            vault.slots().add(Unlock::raw_key(RawKey::generate()?)).await?;
            if is_marked {
                vault.mark().await?;
            }
            let mut file = Vec::new();
            vault.backup(&mut file, |_| ()).await?;
            let backup = strongroom::Backup::open(std::io::Cursor::new(file), unlock()).await?;
            let restored = OldNumbers::default();
            let vault = backup.replace_original(restored.clone(), |_| ()).await?;
            restored.put(before.clone()).await;
            assert_rolled_back(vault.slots().list().await, "`store` row");
        }
        Ok(())
    });
}

#[test]
fn a_key_that_was_removed_unlocks_no_org_though_the_store_puts_its_slot_back_with_the_row_that_lists_it() {
    run(async {
        let store = OldNumbers::default();
        let (vault, org) = org_with_a_value(&store).await?;
        let removed = || Unlock::raw_key(RawKey::from_bytes([8; 32]));
        let slot = vault.slots().add(removed()).await?;
        let before = store.rows(&[0]).await;
        vault.slots().remove(&slot.id).await?;
        store.put(before).await;
        org.lock();
        assert_rolled_back(org.unlock(removed()).await, "`store` row");
        assert!(matches!(org.definition("PORT").await, Err(Error::Locked)));
        Ok(())
    });
}

#[test]
fn deleting_making_again_shredding_and_rotating_are_no_alarm() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vaults = [
            vault(Arc::clone(&store), VaultOptions::default()).await?,
            Vault::open(Arc::clone(&store), unlock()).await?,
        ];
        for round in 0..12 {
            let vault = &vaults[round % 2];
            let org = org_of(vault);
            org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
            org.set_value("PORT", Scope::Org, "80").await?;
            let account = "user".parse()?;
            org.create_account("user".parse()?).with_credential("api_key", "k1").await?;
            for vault in &vaults {
                assert_eq!(org_of(vault).value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
                vault.slots().list().await?;
            }
            org.update_definition("PORT", DefinitionChange::new().description("a port")).await?;
            vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
            let _logical = org.shred_account(&account).await?;
            org.delete_definition("PORT").await?;
            if round % 5 == 4 {
                let _logical = org.shred().await?;
            }
            assert!(vaults[(round + 1) % 2].verify().await?.is_clean());
        }
        Ok(())
    });
}

#[test]
fn an_account_made_again_after_its_damaged_keyring_was_shredded_is_no_alarm() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let first = vault(Arc::clone(&store), VaultOptions::default()).await?;
        let second = Vault::open(Arc::clone(&store), unlock()).await?;
        let (org, elsewhere) = (org_of(&first), org_of(&second));
        let user = || "user".parse().unwrap();
        org.create_account(user()).with_credential("api_key", "k1").await?;
        for _ in 0..3 {
            org.account(user()).rotate_keys().await?;
        }
        elsewhere.account(user()).credential("api_key").await?;
        let found = std::thread::scope(|scope| scope.spawn(|| rows(&store)).join().unwrap());
        let (key, mut row) = found.into_iter().find(|(key, _)| is_keyring_of_account(key)).unwrap();
        let last = row.len();
        flip(&mut row, last, 0);
        let mut batch = WriteBatch::default();
        batch.put(key.into(), row);
        store.commit(Arc::new(batch)).await.unwrap();

        let _logical = org.shred().await?;
        org.create_account(user()).with_credential("api_key", "k2").await?;
        let found = elsewhere.account(user()).credential("api_key").await?.unwrap();
        assert_eq!(found.value.expose(), "k2");
        assert!(second.verify().await?.is_clean());
        Ok(())
    });
}

fn is_keyring_of_account(key: &[u8]) -> bool {
    let row = RowKey::parse(key);
    row.kind == Kind::Keyring && !row.rest.is_empty()
}

#[test]
fn an_org_that_is_restored_where_its_last_row_went_is_no_alarm() {
    run(async {
        let store = OldNumbers::default();
        let (vault, org) = org_with_a_value(&store).await?;
        let mut file = Vec::new();
        vault.backup_org(*org.id(), unlock(), &mut file, |_| ()).await?;
        org.update_definition("PORT", DefinitionChange::new().description("a port")).await?;
        store.remove(&[1]).await;
        let mut backup = strongroom::Backup::open(std::io::Cursor::new(file), unlock()).await?;
        backup.restore_org(*org.id(), &vault, |_| ()).await?;
        forget(&org).await?;
        assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
        Ok(())
    });
}

#[test]
fn readers_that_are_slower_than_writers_elsewhere_raise_no_alarm() {
    let store = Arc::new(MemoryStore::new());
    let open = || block_on(Vault::open(Arc::clone(&store), unlock())).unwrap();
    let first = block_on(vault(Arc::clone(&store), VaultOptions::default())).unwrap();
    let org = org_of(&first);
    block_on(org.define(VariableDefinition::new("PORT", VarFormat::Integer))).unwrap();
    let (reader, writer) = (open(), open());
    thread::scope(|threads| {
        threads.spawn(|| {
            let org = org_of(&writer);
            for round in 0..300 {
                let change = DefinitionChange::new().description(format!("a port, {round}"));
                block_on(org.update_definition("PORT", change)).unwrap();
                if round % 10 == 0 {
                    block_on(org.rotate_keys()).unwrap();
                }
            }
        });
        for _ in 0..3 {
            threads.spawn(|| {
                let org = org_of(&reader);
                for _ in 0..1_000 {
                    block_on(org.definition("PORT")).unwrap();
                    block_on(org.resolve_all(&ScopePath::org())).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_definition_that_was_put_back_fails_only_readers_that_know_its_name() {
    run(async {
        let store = OldNumbers::default();
        let (_vault, org) = org_with_a_value(&store).await?;
        let before = store.rows(&[1]).await;
        org.update_definition("PORT", DefinitionChange::new().description("new")).await?;
        let other = VariableDefinition::new("OTHER", VarFormat::String);
        org.define(other.default_value("x")).await?;
        store.put(definitions(before)).await;
        forget(&org).await?;
        let run = org.reader(ScopePath::org());
        assert_rolled_back(run.resolve_all().await, "definition");
        assert_eq!(run.only(["OTHER"]).resolve_all().await?.values.len(), 1);
        Ok(())
    });
}

fn definitions(mut rows: Vec<(Key, Vec<u8>)>) -> Vec<(Key, Vec<u8>)> {
    rows.retain(|(key, _)| RowKey::parse(key.as_bytes()).kind == Kind::Definition);
    rows
}
