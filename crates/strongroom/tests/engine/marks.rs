//! Marks: a copy of a store from before one is refused, and whatever a vault goes through by itself is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Store, StoreError, StoreErrorKind, WriteBatch};
use strongroom::{
    Backup, DataKeys, Error, Mark, RawKey, RootRotation, Scope, Unlock, VarFormat, VariableDefinition, Vault,
    VaultOptions, WrongStore,
};
use strongroom_memory::MemoryStore;

use crate::common::{TestClock, org_of, plant, rows, run, unlock, vault};
use crate::put_back::OldNumbers;
use crate::rig::Altered;

fn expecting(mark: Mark) -> VaultOptions {
    VaultOptions::default().expect_at_least(mark)
}

async fn is_fresh(store: impl Store, mark: Mark) -> Result<(), Error> {
    expecting(mark).open(store, unlock()).await.map(|_| ())
}

async fn write(vault: &Vault) -> Result<(), Error> {
    let org = org_of(vault);
    if org.definition("PORT").await?.is_none() {
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    }
    org.set_value("PORT", Scope::Org, "80").await.map(|_| ())
}

#[test]
fn a_store_from_before_the_mark_is_refused_and_one_from_after_it_is_not() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let before = store.rows(&[]).await;
        let mark = vault.mark().await?;
        is_fresh(store.clone(), mark).await?;
        write(&vault).await?;
        is_fresh(store.clone(), mark).await?;
        let later = vault.mark().await?;
        assert!(later.is_after(&mark) && !mark.is_after(&later));

        store.remove(&[]).await;
        store.put(before).await;
        for mark in [mark, later] {
            let refused = is_fresh(store.clone(), mark).await.unwrap_err();
            assert!(matches!(&refused, Error::RolledBack { row, .. } if row == "the store"), "{refused}");
        }
        Vault::open(store, unlock()).await?;
        Ok(())
    });
}

#[test]
fn no_process_moves_the_mark_of_a_store_that_is_older_than_what_is_kept() {
    run(async {
        let store = OldNumbers::default();
        let served = vault(store.clone(), VaultOptions::default()).await?;
        let before = store.rows(&[]).await;
        let kept = Vault::open(store.clone(), unlock()).await?.mark().await?;
        assert!(served.mark_after(kept).await?.is_after(&kept));

        store.remove(&[]).await;
        store.put(before).await;
        let served = Vault::open(store.clone(), unlock()).await?;
        // To find out whether the store takes writes is no reason to take it for the newest.
        served.check_writes().await?;
        let refused = served.mark_after(kept).await;
        assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
        is_fresh(store, kept).await.unwrap_err();
        let other = vault(MemoryStore::new(), VaultOptions::default()).await?.mark().await?;
        let foreign = served.mark_after(other).await;
        assert!(matches!(foreign, Err(Error::WrongStore(WrongStore::OtherVault))));
        Ok(())
    });
}

#[test]
fn the_mark_of_another_store_is_told_from_an_older_store() {
    run(async {
        let mark = vault(MemoryStore::new(), VaultOptions::default()).await?.mark().await?;
        let other = Arc::new(MemoryStore::new());
        let refused = expecting(mark).create(Arc::clone(&other), unlock()).await;
        assert!(matches!(refused.err(), Some(Error::WrongStore(WrongStore::OtherVault))));
        let made = vault(Arc::clone(&other), VaultOptions::default()).await?;
        assert_ne!(made.store_id(), mark.store_id());
        assert!(matches!(is_fresh(other, mark).await, Err(Error::WrongStore(WrongStore::OtherVault))));
        Ok(())
    });
}

#[test]
fn an_altered_header_is_told_from_another_vault() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let mark = vault(Arc::clone(&store), VaultOptions::default()).await?.mark().await?;
        let (key, mut header) = rows(&store).await?.remove(0);
        *header.last_mut().unwrap() ^= 1;
        plant(&store, &key, Some(header)).await?;
        let refused = is_fresh(store, mark).await;
        assert!(
            matches!(&refused, Err(Error::Damaged { row, .. }) if row == "the store's header"),
            "{refused:?}"
        );
        Ok(())
    });
}

#[test]
fn rotation_copy_backup_and_restore_carry_marks_on() {
    run(async {
        let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
        clock.set(1_000);
        let options = || VaultOptions::default().clock(clock.clone());
        let vault = vault(Arc::clone(&store), options()).await?;
        write(&vault).await?;
        vault.mark().await?;
        let mut file = Vec::new();
        vault.backup(&mut file, |_| ()).await?;
        clock.set(2_000);
        vault.mark().await?;
        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        vault.rotate_root(RootRotation::new().keep(unlock())).await?.job.run().await?;
        let mark = vault.mark().await?;
        is_fresh(Arc::clone(&store), mark).await?;

        let copy = Arc::new(MemoryStore::new());
        vault.copy_to(&copy, |_| ()).await?;
        is_fresh(copy, mark).await?;

        clock.set(3_000);
        let (original, new) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let backup = Backup::open_with(Cursor::new(&file), unlock(), options()).await?;
        backup.replace_original(Arc::clone(&original), |_| ()).await?;
        is_fresh(original, mark).await?;
        let backup = Backup::open(Cursor::new(&file), unlock()).await?;
        backup.restore_as_new(Arc::clone(&new), unlock(), |_| ()).await?;
        assert!(matches!(
            is_fresh(Arc::clone(&new), mark).await,
            Err(Error::WrongStore(WrongStore::OtherVault))
        ));
        let restored = Vault::open(Arc::clone(&new), unlock()).await?;
        is_fresh(new, restored.mark().await?).await
    });
}

#[test]
fn marks_grow_although_the_clock_goes_back_and_engines_mark_at_once() {
    let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
    clock.set(5_000);
    let first = block_on(vault(Arc::clone(&store), VaultOptions::default().clock(clock.clone()))).unwrap();
    let mut last = block_on(first.mark()).unwrap();
    clock.set(1_000);
    let marks: Vec<Mark> = thread::scope(|threads| {
        let marker = || {
            let options = VaultOptions::default().clock(clock.clone());
            let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
            (0..20).map(|_| block_on(vault.mark()).unwrap()).collect::<Vec<_>>()
        };
        let threads = [threads.spawn(marker), threads.spawn(marker)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = marks;
    sorted.sort_by(
        |one, other| if one.is_after(other) { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less },
    );
    for mark in sorted {
        assert!(mark.is_after(&last), "no two are the same, and none is lower");
        last = mark;
    }
    block_on(is_fresh(store, last)).unwrap();
}

#[test]
fn a_store_that_takes_no_writes_is_checked_and_left_as_it_is() {
    run(async {
        let store = OldNumbers::default();
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let before = store.rows(&[]).await;
        let mark = vault.mark().await?;
        let opened = expecting(mark).open(read_only(&store), unlock()).await?;
        assert!(opened.mark().await.is_err());
        is_fresh(read_only(&store), mark).await?;
        store.put(before).await;
        assert!(matches!(is_fresh(read_only(&store), mark).await, Err(Error::RolledBack { .. })));
        Ok(())
    });
}

#[test]
fn slots_may_change_and_an_org_be_restored_while_marks_are_made() {
    let store = Arc::new(MemoryStore::new());
    let first = block_on(vault(Arc::clone(&store), VaultOptions::default())).unwrap();
    block_on(write(&first)).unwrap();
    let mut file = Vec::new();
    let org = *org_of(&first).id();
    block_on(first.backup_org(org, unlock(), &mut file, |_| ())).unwrap();
    let target = Arc::new(MemoryStore::new());
    let elsewhere = block_on(vault(Arc::clone(&target), VaultOptions::default())).unwrap();
    let marker = block_on(Vault::open(Arc::clone(&target), unlock())).unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..50 {
                block_on(marker.mark()).unwrap();
            }
        });
        block_on(elsewhere.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32])))).unwrap();
        let mut backup = block_on(Backup::open(Cursor::new(&file), unlock())).unwrap();
        block_on(backup.restore_org(org, &elsewhere, |_| ())).unwrap();
    });
    assert!(block_on(elsewhere.verify()).unwrap().is_clean());
}

/// A store that takes no writes.
fn read_only(store: &OldNumbers) -> Altered {
    let refuse = |_: &mut WriteBatch| Err(StoreError::new(StoreErrorKind::Unsupported, "it takes no writes"));
    Altered::of(store.clone()).on_commit(refuse)
}
