//! What was deleted or shredded stays gone, also if that was cut off, and whatever rows of it the store puts back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Capabilities, Key};
use strongroom::{
    AuditNote, Error, LinkedAccountId, Org, PageRequest, Scope, ScopePath, ShredReceipt, VarFormat,
    VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{is_sound, org_of, plant, rows, run, unlock, vault};
use crate::put_back::{OldNumbers, Stopped};
use crate::rig::{Altered, Hooked, Kind, Point, RowKey};

type Rows = Vec<(Key, Vec<u8>)>;

fn user() -> LinkedAccountId {
    "user".parse().unwrap()
}

/// A vault with an account that has a credential and a value, and its rows.
async fn with_account() -> Result<(OldNumbers, Vault, Rows), Error> {
    let store = OldNumbers::default();
    let vault = vault(store.clone(), VaultOptions::default()).await?;
    furnish(&org_of(&vault)).await?;
    let before = store.rows(&[1]).await;
    Ok((store, vault, before))
}

async fn furnish(org: &Org) -> Result<(), Error> {
    org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    org.create_account(user()).name("Ann").with_credential("k", "c").await?;
    org.set_value("PORT", Scope::LinkedAccount(user()), "80").await.map(drop)
}

/// Nothing shows the account, by whatever way.
async fn assert_gone(org: &Org) {
    let (account, page) = (org.account(user()), PageRequest::default);
    assert!(org.linked_account(&user()).await.unwrap().is_none());
    assert!(org.linked_accounts(page()).await.unwrap().items.is_empty());
    assert!(account.info().await.unwrap().is_none());
    assert!(account.integrations(page()).await.unwrap().items.is_empty());
    let credential = account.credential("k").await;
    assert!(is_missing(&credential) || credential.unwrap().is_none());
    assert!(account.values(page()).await.unwrap().items.is_empty());
    let path = ScopePath::org().linked_account(user());
    assert!(org.resolve("PORT", &path).await.unwrap().is_none());
}

fn is_missing<T>(found: &Result<T, Error>) -> bool {
    matches!(found, Err(Error::IntegrationNotFound { .. } | Error::AccountNotFound(_)))
}

/// The account can be made again, and is another one then.
async fn assert_made_again(vault: &Vault) -> Result<(), Error> {
    let org = org_of(vault);
    let account = org.create_account(user()).with_credential("k", "new").await?;
    assert_eq!(account.info().await?.unwrap().name, None);
    assert_eq!(account.credential("k").await?.unwrap().value.expose(), "new");
    assert_eq!(account.integrations(PageRequest::default()).await?.items.len(), 1);
    assert!(org.value("PORT", Scope::LinkedAccount(user())).await?.is_none());
    Ok(())
}

/// A shred that another process begins, and that ends with so many batches.
async fn cut_off(store: &OldNumbers, batches: usize) {
    let other = Vault::open(Stopped::after(store, batches), unlock()).await.unwrap();
    assert!(org_of(&other).shred_account(&user()).await.is_err(), "it is stopped");
}

#[test]
fn a_shred_that_was_cut_off_is_repeated_to_the_end_and_gives_its_receipt() {
    run(async {
        for is_swept in [false, true] {
            let (store, _, before) = with_account().await?;
            cut_off(&store, 1).await;
            let vault = Vault::open(store.clone(), unlock()).await?;
            assert_gone(&org_of(&vault)).await;
            if is_swept {
                vault.run_jobs().await?;
            }
            let receipt: ShredReceipt = org_of(&vault).shred_account(&user()).await?;
            assert_eq!(receipt.keys.len(), 1);
            let again = org_of(&vault).shred_account(&user()).await?;
            assert_eq!((&again.keys, &again.effect), (&receipt.keys, &receipt.effect));
            vault.run_jobs().await?;
            assert!(store.rows(&[0x00, 0x04]).await.is_empty(), "no job is left");
            is_sound(&vault).await?;
            store.put(before).await;
            assert_gone(&org_of(&Vault::open(store.clone(), unlock()).await?)).await;
        }
        Ok(())
    });
}

#[test]
fn a_shred_is_noted_before_its_sweep() {
    run(async {
        let (store, _, before) = with_account().await?;
        cut_off(&store, 2).await;
        store.put(before).await;
        assert_gone(&org_of(&Vault::open(store, unlock()).await?)).await;
        Ok(())
    });
}

#[test]
fn a_shred_of_an_org_is_noted_before_its_rows_go_whoever_goes_on_with_it() {
    run(async {
        // The keys of the org, those of its account, and the note.
        for (batches, is_continued) in [(1, true), (2, true), (3, false)] {
            let (store, _, before) = with_account().await?;
            let other = Vault::open(Stopped::after(&store, batches), unlock()).await?;
            assert!(org_of(&other).shred().await.is_err(), "it is stopped");
            if is_continued {
                Vault::open(store.clone(), unlock()).await?.run_jobs().await?;
            }
            store.put(before).await;
            let org = org_of(&Vault::open(store, unlock()).await?);
            assert!(org.definition("PORT").await?.is_none(), "after {batches} batches");
            assert!(org.linked_accounts(PageRequest::default()).await?.items.is_empty());
            assert!(is_missing(&org.account(user()).credential("k").await));
        }
        Ok(())
    });
}

#[test]
fn an_account_that_was_deleted_is_shredded_afterwards_and_one_that_never_was_is_not() {
    run(async {
        let (store, vault, before) = with_account().await?;
        let org = org_of(&vault);
        org.delete_account(&user()).await?;
        assert!(matches!(org.delete_account(&user()).await, Err(Error::AccountNotFound(_))));
        assert_eq!(org.shred_account(&user()).await?.keys.len(), 1);
        store.put(before).await;
        assert_gone(&org_of(&Vault::open(store, unlock()).await?)).await;
        let nobody = org.shred_account(&"nobody".parse()?).await;
        assert!(matches!(nobody, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn rows_of_a_shredded_account_that_are_put_back_show_nothing_in_any_process_and_make_room() {
    run(async {
        for which in [|_: &Key| true, |key: &Key| is_sealed_by_org(key)] {
            let (store, vault, before) = with_account().await?;
            let running = Vault::open(store.clone(), unlock()).await?;
            assert!(org_of(&running).linked_account(&user()).await?.is_some());
            drop(org_of(&vault).shred_account(&user()).await?);
            // It only reads the row in which the shred is noted.
            running.slots().list().await?;
            store.put(before.iter().filter(|(key, _)| which(key)).cloned().collect()).await;
            let fresh = Vault::open(store.clone(), unlock()).await?;
            for vault in [&running, &fresh] {
                assert_gone(&org_of(vault)).await;
            }
            assert!(fresh.verify().await?.is_clean());
            // In a process that did not see the newer keyring, which would refuse the older one.
            assert_made_again(&fresh).await?;
        }
        Ok(())
    });
}

/// Whether it is the row of an account or of one of its connections, or that of the epoch.
fn is_sealed_by_org(key: &Key) -> bool {
    matches!(RowKey::parse(key.as_bytes()).kind, Kind::Account | Kind::Integration | Kind::Epoch)
}

#[test]
fn an_account_that_a_process_deleted_is_gone_for_it_also_if_its_row_is_put_back() {
    run(async {
        let (store, vault, before) = with_account().await?;
        let bound = org_of(&vault).account(user()).bound().await?;
        org_of(&vault).delete_account(&user()).await?;
        store.put(before.into_iter().filter(|(key, _)| is_sealed_by_org(key)).collect()).await;
        assert_gone(&org_of(&vault)).await;
        assert!(is_missing(&bound.update().name("Eve").await));
        assert_made_again(&vault).await
    });
}

#[test]
fn who_registers_an_account_again_over_rows_that_were_put_back_writes_all_of_it_or_nothing() {
    run(async {
        let (store, vault, before) = with_account().await?;
        let org = org_of(&vault);
        org.delete_account(&user()).await?;
        store.put(before).await;
        let rows = store.rows(&[]).await;
        // Its credential would be sealed under the keyring that the store has put back too.
        for refused in [
            org.create_account(user()).with_credential("k", "new").await.map(drop),
            org.upsert_account(user()).with_credential("k", "new").await.map(drop),
        ] {
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
        }
        assert!(store.rows(&[]).await == rows, "something was written");
        Ok(())
    });
}

#[test]
fn a_process_that_only_reads_the_store_row_knows_of_the_shreds_in_it_whatever_it_has_cached() {
    run(async {
        let (store, vault, before) = with_account().await?;
        let other = Vault::open(store.clone(), unlock()).await?;
        let path = ScopePath::org().linked_account(user());
        assert!(org_of(&other).resolve("PORT", &path).await?.is_some(), "its keyring is cached");
        drop(org_of(&vault).shred_account(&user()).await?);
        other.slots().list().await?;
        store.put(before).await;
        assert_gone(&org_of(&other)).await;
        Ok(())
    });
}

#[test]
fn a_shred_that_a_plan_learns_of_is_known_to_its_vault_whatever_that_has_cached() {
    run(async {
        let (store, vault, before) = with_account().await?;
        // So that what was cached before the shred seems to be up to date.
        let hides_the_epoch =
            Altered::of(store.clone()).declared(Capabilities::with_sharing).on_read(|request, set| {
                let is_epoch = |key: &Key| RowKey::parse(key.as_bytes()).kind == Kind::Epoch;
                let epochs = request.gets.iter().zip(&mut set.gets).filter(|(key, _)| is_epoch(key));
                epochs.for_each(|(_, row)| *row = None);
            });
        let other = org_of(&Vault::open(hides_the_epoch, unlock()).await?);
        let path = ScopePath::org().linked_account(user());
        assert!(other.resolve("PORT", &path).await?.is_some(), "its keyring is cached");
        drop(org_of(&vault).shred_account(&user()).await?);
        let noted = [AuditNote::vault_operated("look")];
        drop(other.plan(async |org: Org| org.note(&noted).await).await?);
        store.put(before).await;
        assert_gone(&other).await;
        Ok(())
    });
}

#[test]
fn a_shred_that_is_known_stays_known_beside_whoever_read_the_store_row_before_it() {
    let store = Arc::new(MemoryStore::new());
    let elsewhere = org_of(&block_on(vault(Arc::clone(&store), VaultOptions::default())).unwrap());
    block_on(furnish(&elsewhere)).unwrap();
    let before = block_on(rows(&store)).unwrap();
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let running = block_on(Vault::open(hooked.clone(), unlock())).unwrap();
    let learns = running.clone();
    hooked.once(Point::AfterRead, move || {
        drop(block_on(elsewhere.shred_account(&user())).unwrap());
        block_on(learns.slots().list()).unwrap();
    });
    block_on(running.backup(Vec::new(), |_| ())).unwrap();
    assert_eq!(hooked.hooks_left(), 0);
    for (key, row) in before.into_iter().filter(|(key, _)| key.as_bytes().starts_with(&[1])) {
        block_on(plant(&store, &key, Some(row))).unwrap();
    }
    block_on(assert_gone(&org_of(&running)));
}

#[test]
fn a_process_that_has_seen_newer_keys_of_an_account_takes_older_ones_that_come_back_after_a_shred_for_none() {
    run(async {
        let (store, vault, before) = with_account().await?;
        org_of(&vault).account(user()).rotate_keys().await?;
        let running = Vault::open(store.clone(), unlock()).await?;
        assert!(org_of(&running).account(user()).credential("k").await?.is_some());
        drop(org_of(&vault).shred_account(&user()).await?);
        store.put(before.into_iter().filter(|(key, _)| is_of_value(key)).collect()).await;
        assert!(org_of(&running).value("PORT", Scope::LinkedAccount(user())).await?.is_none());
        Ok(())
    });
}

/// Whether it is the row of a value or of a keyring.
fn is_of_value(key: &Key) -> bool {
    matches!(RowKey::parse(key.as_bytes()).kind, Kind::Value | Kind::Keyring)
}
