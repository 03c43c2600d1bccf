//! A root key that another process rotates in is taken up by a vault that follows rotations.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::provider::ProviderErrorKind;
use strongroom::store::{Key, WriteBatch};
use strongroom::{
    Error, KeyProvider, PageRequest, RawKey, RootRotation, Scope, Store, Unlock, Vault, VaultOptions,
};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

use crate::rig::{
    Rows, Slow, account, audit, furnished, load, of_account, open, org, rows, text, unlock, view,
};

fn follows(store: impl Store) -> Vault {
    block_on(VaultOptions::default().follow_root_rotations().open(store, unlock())).unwrap()
}

/// Rotates the root by another engine, as often as asked.
fn rotate(store: &Arc<MemoryStore>, times: usize) {
    let elsewhere = open(Arc::clone(store));
    for _ in 0..times {
        let new = block_on(elsewhere.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
        block_on(new.job.run()).unwrap();
    }
}

#[test]
fn every_handle_goes_on_after_any_number_of_rotations_elsewhere() {
    for times in [1, 3] {
        for warm in [false, true] {
            let store = load(&furnished());
            let (vault, seen) = (follows(Arc::clone(&store)), view(&org(&open(Arc::clone(&store)))));
            let handle = org(&vault);
            if warm {
                assert_eq!(view(&handle), seen);
            }
            rotate(&store, times);
            assert_eq!(view(&handle), seen);
            block_on(handle.set_value("S", of_account("new"), "first of its scope")).unwrap();
            block_on(handle.delete_value("S", &of_account("new"))).unwrap();
            assert_eq!(vault.root_id(), open(Arc::clone(&store)).root_id());
            assert!(block_on(vault.verify()).unwrap().is_clean());
            audit(&store);
        }
    }
}

#[test]
fn a_write_is_the_first_to_find_the_root_rotated_and_lands() {
    let store = load(&furnished());
    let vault = follows(Arc::clone(&store));
    rotate(&store, 1);
    // It makes a key, which the root seals.
    block_on(org(&vault).set_value("S", of_account("new"), "x")).unwrap();
    rotate(&store, 1);
    let new = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    block_on(new.job.run()).unwrap();
    assert_eq!(vault.root_id(), open(Arc::clone(&store)).root_id());
    audit(&store);
}

#[test]
fn an_org_is_unlocked_under_a_root_that_was_rotated_in_meanwhile() {
    let store = load(&furnished());
    let vault = follows(Arc::clone(&store));
    org(&vault).lock();
    rotate(&store, 1);
    block_on(org(&vault).unlock(unlock())).unwrap();
    assert!(block_on(org(&vault).linked_account(&account("a"))).is_ok());
}

#[test]
fn a_rotation_elsewhere_that_is_not_finished_is_followed_and_its_job_is_listed_and_run_here() {
    let store = load(&furnished());
    let (vault, seen) = (follows(Arc::clone(&store)), view(&org(&open(Arc::clone(&store)))));
    let elsewhere = open(Arc::clone(&store));
    let begun = block_on(elsewhere.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    let jobs = block_on(vault.jobs(PageRequest::default())).unwrap();
    assert_eq!((jobs.items.len(), vault.root_id()), (1, begun.root_id));
    assert_eq!(view(&org(&vault)), seen);
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    assert_eq!(view(&org(&open(Arc::clone(&store)))), seen);
    audit(&store);
}

#[test]
fn of_many_who_find_the_root_rotated_one_opens_the_slot() {
    let provider = Arc::new(FakeProvider::new("fake"));
    let key = || Unlock::provider(Arc::clone(&provider) as Arc<dyn KeyProvider>);
    let store = Arc::new(MemoryStore::new());
    let elsewhere = block_on(Vault::create(Arc::clone(&store), key())).unwrap();
    block_on(org(&elsewhere).define(text("S"))).unwrap();
    let options = VaultOptions::default().follow_root_rotations();
    let vault = block_on(options.open(Slow(Arc::clone(&store)), key())).unwrap();
    let new = block_on(elsewhere.rotate_root(RootRotation::new().keep(key()))).unwrap();
    block_on(new.job.run()).unwrap();
    let (handle, before) = (org(&vault), provider.calls_len());
    let scopes: Vec<Scope> = (0..16).map(|number| of_account(&format!("a{number}"))).collect();
    let reads = scopes.iter().map(|scope| handle.value("S", scope));
    assert!(block_on(join_all(reads)).iter().all(Result::is_ok));
    assert_eq!((vault.root_id(), provider.calls_len() - before), (new.root_id, 1));
}

#[test]
fn a_key_provider_that_is_out_of_reach_is_asked_again() {
    let provider = Arc::new(FakeProvider::new("fake"));
    let key = || Unlock::provider(Arc::clone(&provider) as Arc<dyn KeyProvider>);
    let store = Arc::new(MemoryStore::new());
    let elsewhere = block_on(Vault::create(Arc::clone(&store), key())).unwrap();
    block_on(org(&elsewhere).define(text("S"))).unwrap();
    let options = VaultOptions::default().follow_root_rotations();
    let vault = block_on(options.open(Arc::clone(&store), key())).unwrap();
    block_on(block_on(elsewhere.rotate_root(RootRotation::new().keep(key()))).unwrap().job.run()).unwrap();
    provider.fail(Some(ProviderErrorKind::Unavailable));
    let refused = block_on(org(&vault).definition("S")).unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    provider.fail(None);
    assert!(block_on(org(&vault).definition("S")).unwrap().is_some());
}

#[test]
fn without_a_key_that_opens_the_new_root_every_verb_says_so_and_it_is_tried_once() {
    let spare = || Unlock::raw_key(RawKey::from_bytes([8; 32]));
    let disk = load(&furnished());
    let slot = block_on(open(Arc::clone(&disk)).slots().add(spare())).unwrap();
    let followed = VaultOptions::default().follow_root_rotations();
    let vault = block_on(followed.open(Arc::clone(&disk), spare())).unwrap();
    let elsewhere = open(Arc::clone(&disk));
    let rotation = RootRotation::new().keep(unlock()).drop_slot(slot.id);
    block_on(block_on(elsewhere.rotate_root(rotation)).unwrap().job.run()).unwrap();
    for _ in 0..3 {
        let refused = block_on(org(&vault).linked_account(&account("a")));
        assert!(matches!(refused, Err(Error::RootRotated)), "{refused:?}");
    }
    // The slot comes back under the new root: the row that was refused is another one now.
    block_on(elsewhere.slots().add(spare())).unwrap();
    assert!(block_on(org(&vault).linked_account(&account("a"))).is_ok());
}

#[test]
fn a_vault_that_does_not_follow_or_expects_a_root_is_opened_again_as_before() {
    for expects in [false, true] {
        let store = load(&furnished());
        let root = open(Arc::clone(&store)).root_id();
        let options = match expects {
            true => VaultOptions::default().expect_root_id(root).follow_root_rotations(),
            false => VaultOptions::default(),
        };
        let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
        rotate(&store, 1);
        let refused = block_on(org(&vault).linked_account(&account("a")));
        assert!(matches!(refused, Err(Error::RootRotated)), "{refused:?}");
        assert_eq!(vault.root_id(), root);
    }
}

#[test]
fn a_lock_forgets_the_kept_key_and_an_unlock_keeps_its_own() {
    let store = load(&furnished());
    let vault = follows(Arc::clone(&store));
    vault.lock();
    rotate(&store, 1);
    assert!(matches!(block_on(org(&vault).linked_account(&account("a"))), Err(Error::Locked)));
    assert!(matches!(block_on(vault.unlock(unlock())), Err(Error::RootRotated)));
    let vault = follows(Arc::clone(&store));
    vault.lock();
    block_on(vault.unlock(unlock())).unwrap();
    rotate(&store, 1);
    assert!(block_on(org(&vault).linked_account(&account("a"))).is_ok());
}

#[test]
fn a_lock_lets_go_of_the_provider_that_opened_the_vault() {
    let provider: Arc<dyn KeyProvider> = Arc::new(FakeProvider::new("fake"));
    let (key, held) = (|| Unlock::provider(Arc::clone(&provider)), Arc::downgrade(&provider));
    let store = Arc::new(MemoryStore::new());
    drop(block_on(Vault::create(Arc::clone(&store), key())).unwrap());
    let options = VaultOptions::default().follow_root_rotations();
    let vault = block_on(options.open(store, key())).unwrap();
    drop(provider);
    assert!(held.upgrade().is_some(), "the vault holds it, to follow rotations");
    vault.lock();
    assert!(held.upgrade().is_none());
}

#[test]
fn an_older_root_that_a_store_puts_back_is_not_taken_up() {
    let store = load(&furnished());
    let before: Rows = rows(&store);
    rotate(&store, 1);
    let vault = follows(Arc::clone(&store));
    assert!(block_on(org(&vault).linked_account(&account("a"))).is_ok());
    put_back(&store, &before);
    let refused = block_on(vault.slots().list());
    assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
}

/// Replaces all rows of a store.
fn put_back(store: &Arc<MemoryStore>, before: &Rows) {
    let mut batch = WriteBatch::default();
    for (key, _) in rows(store).iter().filter(|(key, _)| !before.contains_key(*key)) {
        batch.delete(Key::from(key.as_slice()));
    }
    for (key, row) in before {
        batch.put(Key::from(key.as_slice()), row.clone());
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
}
