//! Key slots: who opens a vault, and how that is changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{TestClock, org_of, plant, rows, run, text, unlock, vault};
use strongroom::store::Key;
use strongroom::{
    Argon2Error, Argon2Params, Cause, Damage, Error, RawKey, RowName, SlotError, SlotId, SlotInfo, SlotKind,
    Timestamp, Unlock, Vault, VaultOptions,
};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

type Shared = Arc<MemoryStore>;

#[test]
fn every_slot_opens_the_same_vault() {
    with_vault(async |store, vault| {
        org_of(&vault).define(text("A")).await?;
        vault.slots().add(Unlock::passphrase("spare")).await?;
        vault.slots().add(raw(9)).await?;
        for unlock in [unlock(), Unlock::passphrase("spare"), raw(9)] {
            let again = Vault::open(Arc::clone(&store), unlock).await?;
            assert!(org_of(&again).definition("A").await?.is_some());
            assert_eq!(again.root_id(), vault.root_id());
        }
        Ok(())
    });
}

#[test]
fn a_key_that_opens_a_slot_is_given_to_no_other() {
    with_vault(async |_, vault| {
        let first = vault.slots().list().await?.remove(0).id;
        let words = || Unlock::passphrase("spare");
        let second = vault.slots().add(words()).await?.id;
        for (key, opens) in [(unlock(), first), (words(), second)] {
            let added = vault.slots().add(key).await;
            assert!(matches!(added, Err(Error::Slot(SlotError::KeyTaken(id))) if id == opens), "{added:?}");
        }
        let changed = vault.slots().change(&second, unlock()).await;
        assert!(matches!(changed, Err(Error::Slot(SlotError::KeyTaken(id))) if id == first), "{changed:?}");
        vault.slots().change(&second, words()).await?;
        vault.slots().remove(&second).await?;
        vault.slots().add(words()).await.map(drop)
    });
}

#[test]
fn a_list_says_what_opens_the_vault_and_since_when() {
    run(async {
        let clock = TestClock::default();
        clock.set(1_000);
        let vault = vault(MemoryStore::new(), quick().clock(clock.clone())).await?;
        clock.set(2_000);
        let added = vault.slots().add(Unlock::passphrase("spare")).await?;
        assert_eq!(added.kind, SlotKind::Passphrase(Argon2Params::FLOOR));
        assert_eq!((added.since, added.is_usable), (Some(Timestamp::from_ms(2_000)), true));

        let list = vault.slots().list().await?;
        assert_eq!(list.len(), 2);
        assert!(list.contains(&added));
        let first = list.iter().find(|slot| slot.id != added.id).unwrap();
        assert_eq!((&first.kind, first.since), (&SlotKind::RawKey, Some(Timestamp::from_ms(1_000))));
        assert_eq!(added.id.to_string().parse::<SlotId>()?, added.id);
        // Nothing tells another passphrase from the one before, so each that is given is a new one.
        clock.set(3_000);
        let changed = vault.slots().change(&added.id, Unlock::passphrase("another")).await?;
        assert_eq!(changed.since, Some(Timestamp::from_ms(3_000)));
        assert!(vault.slots().list().await?.contains(&changed));
        Ok(())
    });
}

#[test]
fn the_slot_that_opened_the_vault_is_its_own_and_each_key_opens_its_slot_alone() {
    with_vault(async |store, vault| {
        let own = |slots: Vec<SlotInfo>| {
            let own: Vec<_> = slots.into_iter().filter(|slot| slot.is_own).collect();
            assert_eq!(own.len(), 1);
            own[0].id
        };
        let first = own(vault.slots().list().await?);
        let added = vault.slots().add(raw(9)).await?;
        assert!(!added.is_own);
        assert_eq!(own(vault.slots().list().await?), first);
        let again = Vault::open(Arc::clone(&store), raw(9)).await?;
        assert_eq!(own(again.slots().list().await?), added.id);
        again.lock();
        again.unlock(unlock()).await?;
        assert_eq!(own(again.slots().list().await?), first, "the key that ended the lock");

        assert!(vault.slots().opens(&added.id, &raw(9)).await?);
        assert!(!vault.slots().opens(&first, &raw(9)).await?);
        assert!(!vault.slots().opens(&first, &Unlock::passphrase("spare")).await?);
        let gone = vault.slots().opens(&"00".repeat(16).parse()?, &raw(9)).await;
        assert!(matches!(gone, Err(Error::Slot(SlotError::NotFound(_)))));
        Ok(())
    });
}

#[test]
fn a_changed_slot_opens_with_the_new_key_alone() {
    with_vault(async |store, vault| {
        let first = vault.slots().list().await?[0].clone();
        let changed = vault.slots().change(&first.id, raw(9)).await?;
        assert_eq!((changed.id, changed.revision.as_u64()), (first.id, 2));
        assert!(matches!(Vault::open(Arc::clone(&store), unlock()).await, Err(Error::WrongKey)));
        Vault::open(Arc::clone(&store), raw(9)).await?;
        vault.slots().change(&first.id, Unlock::passphrase("x")).await?;
        assert!(matches!(
            Vault::open(Arc::clone(&store), raw(9)).await,
            Err(Error::Slot(SlotError::NoneOfThisKind(_)))
        ));
        Vault::open(store, Unlock::passphrase("x")).await?;
        Ok(())
    });
}

#[test]
fn a_removed_slot_opens_no_more() {
    with_vault(async |store, vault| {
        let spare = vault.slots().add(raw(9)).await?;
        vault.slots().remove(&spare.id).await?;
        assert!(matches!(Vault::open(Arc::clone(&store), raw(9)).await, Err(Error::WrongKey)));
        Vault::open(store, unlock()).await?;
        assert!(
            matches!(vault.slots().remove(&spare.id).await, Err(Error::Slot(SlotError::NotFound(id))) if id == spare.id)
        );
        assert!(matches!(
            vault.slots().change(&spare.id, raw(9)).await,
            Err(Error::Slot(SlotError::NotFound(_)))
        ));
        Ok(())
    });
}

#[test]
fn the_last_slot_that_opens_the_vault_stays() {
    with_vault(async |store, vault| {
        let [first] = &vault.slots().list().await?[..] else { panic!("one slot") };
        let before = rows(&store).await?;
        assert!(matches!(vault.slots().remove(&first.id).await, Err(Error::Slot(SlotError::Last))));
        assert_eq!(rows(&store).await?, before);

        // A slot that is damaged, and one that this vault never made, do not count.
        let spare = vault.slots().add(raw(9)).await?;
        let (key, mut row) = slot_row(&store, &spare).await?;
        let last = row.len() - 1;
        row.truncate(last);
        plant(&store, &key, Some(row)).await?;
        assert!(matches!(vault.slots().remove(&first.id).await, Err(Error::Slot(SlotError::Last))));
        assert!(!list_of(&vault, &spare.id).await?.is_usable);
        vault.slots().remove(&spare.id).await?;
        assert_eq!(vault.slots().list().await?.len(), 1);
        Ok(())
    });
}

#[test]
fn a_slot_of_a_later_release_is_not_removed() {
    with_vault(async |store, vault| {
        let spare = vault.slots().add(raw(9)).await?;
        let (key, mut row) = slot_row(&store, &spare).await?;
        row[1] += 1;
        plant(&store, &key, Some(row)).await?;
        let refused = vault.slots().remove(&spare.id).await;
        assert!(matches!(refused, Err(Error::UnknownVersion { version: 2, .. })), "{refused:?}");
        assert_eq!(vault.slots().list().await?.len(), 2);
        Ok(())
    });
}

#[test]
fn a_damaged_slot_is_named_by_its_id() {
    with_vault(async |store, vault| {
        let spare = vault.slots().add(raw(9)).await?;
        let (key, mut row) = slot_row(&store, &spare).await?;
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &key, Some(row)).await?;
        let refused = Vault::open(store, raw(9)).await.err();
        let name = format!("the key slot {}", spare.id);
        assert!(matches!(&refused, Some(Error::Damaged { row, .. }) if *row == name), "{refused:?}");
        Ok(())
    });
}

#[test]
fn a_slot_that_is_put_back_after_it_was_removed_or_changed_does_not_open() {
    with_vault(async |store, vault| {
        let spare = vault.slots().add(raw(9)).await?;
        let (key, row) = slot_row(&store, &spare).await?;
        vault.slots().remove(&spare.id).await?;
        plant(&store, &key, Some(row)).await?;
        assert_inconsistent(&Vault::open(Arc::clone(&store), raw(9)).await);
        assert!(!list_of(&vault, &spare.id).await?.is_usable);
        plant(&store, &key, None).await?;

        let first = vault.slots().list().await?[0].clone();
        let (key, row) = slot_row(&store, &first).await?;
        vault.slots().change(&first.id, raw(8)).await?;
        plant(&store, &key, Some(row)).await?;
        assert_inconsistent(&Vault::open(store, unlock()).await);
        Ok(())
    });
}

#[test]
fn a_key_is_not_said_to_open_a_slot_that_was_put_back() {
    with_vault(async |store, vault| {
        let (slots, spare) = (vault.slots(), vault.slots().add(raw(9)).await?);
        let (key, row) = slot_row(&store, &spare).await?;
        slots.remove(&spare.id).await?;
        plant(&store, &key, Some(row)).await?;
        assert_inconsistent(&slots.opens(&spare.id, &raw(9)).await);
        assert!(!slots.opens(&spare.id, &raw(8)).await?);
        Ok(())
    });
}

#[test]
fn a_slot_whose_row_the_store_hides_is_told_of_and_goes_by_its_id() {
    with_vault(async |store, vault| {
        let (slots, spare) = (vault.slots(), vault.slots().add(raw(9)).await?);
        let (key, row) = slot_row(&store, &spare).await?;
        plant(&store, &key, None).await?;
        let seen = list_of(&vault, &spare.id).await?;
        assert_eq!((seen.kind, seen.since, seen.is_usable), (SlotKind::Missing, spare.since, false));
        assert_eq!(slot_findings(&vault).await?, [Cause::Damaged(Damage::Missing)]);
        for refused in
            [slots.opens(&spare.id, &raw(9)).await.map(drop), slots.change(&spare.id, raw(8)).await.map(drop)]
        {
            assert!(
                matches!(refused, Err(Error::Slot(SlotError::RowMissing(id))) if id == spare.id),
                "{refused:?}"
            );
        }
        slots.add(raw(9)).await?;
        assert_eq!(slots.list().await?.len(), 3, "its key cannot be told apart");

        slots.remove(&spare.id).await?;
        assert_eq!((slots.list().await?.len(), slot_findings(&vault).await?.len()), (2, 0));
        plant(&store, &key, Some(row)).await?;
        assert!(!list_of(&vault, &spare.id).await?.is_usable);
        assert_eq!(slot_findings(&vault).await?, [Cause::Damaged(Damage::Inconsistent)], "it was put back");
        Ok(())
    });
}

#[test]
fn a_slot_is_not_added_where_the_vault_would_not_open_any_more() {
    with_vault(async |store, vault| {
        let hsm = FakeProvider::new("hsm");
        for key in 0..8 {
            vault.slots().add(Unlock::passphrase(format!("{key}"))).await?;
            vault.slots().add(Unlock::provider(Arc::new(hsm.clone()))).await?;
        }
        for key in 1..8 {
            vault.slots().add(raw(key + 10)).await?;
        }
        // It is of no kind any more, and still takes one of the places that are read.
        let (key, _) = slot_row(&store, &vault.slots().list().await?[0]).await?;
        plant(&store, &key, Some(vec![7; 40])).await?;
        let raw_keys =
            vault.slots().list().await?.iter().filter(|slot| slot.kind == SlotKind::RawKey).count();
        let refused = match raw_keys {
            7 => vault.slots().add(raw(30)).await,
            _ => vault.slots().add(Unlock::provider(Arc::new(hsm))).await,
        };
        assert!(matches!(refused, Err(Error::Slot(SlotError::TooMany(_)))), "{refused:?}");
        assert_eq!(vault.slots().list().await?.len(), 24);
        Ok(())
    });
}

#[test]
fn there_are_at_most_eight_slots_of_a_kind() {
    with_vault(async |store, vault| {
        for key in 1..8 {
            vault.slots().add(raw(key + 10)).await?;
        }
        let before = rows(&store).await?;
        assert!(matches!(vault.slots().add(raw(30)).await, Err(Error::Slot(SlotError::TooMany(8)))));
        assert_eq!(rows(&store).await?, before);
        let changed = vault.slots().list().await?[0].clone();
        let (key, row) = slot_row(&store, &changed).await?;
        plant(&store, &key, None).await?;
        assert!(matches!(vault.slots().add(raw(30)).await, Err(Error::Slot(SlotError::TooMany(8)))));
        plant(&store, &key, Some(row)).await?;
        vault.slots().change(&changed.id, raw(31)).await?;
        let other = vault.slots().add(Unlock::passphrase("x")).await?;
        assert!(matches!(
            vault.slots().change(&other.id, raw(32)).await,
            Err(Error::Slot(SlotError::TooMany(8)))
        ));

        // More of them than that were planted.
        let (key, row) = slot_row(&store, &changed).await?;
        let mut planted = key.as_bytes().to_vec();
        planted[2] ^= 1;
        plant(&store, &Key::from(planted), Some(row)).await?;
        // It is at no place of its own, so it is damaged and does not count.
        Vault::open(store, raw(31)).await?;
        Ok(())
    });
}

#[test]
fn a_passphrase_below_today_s_cost_is_raised_once_it_opened() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        quick().create(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let today = Argon2Params::new(20 * 1024, 2, 2);
        let options = || VaultOptions::default().argon2(today);

        let before = rows(&store).await?;
        let wrong = options().open(Arc::clone(&store), Unlock::passphrase("y")).await;
        assert!(matches!(wrong, Err(Error::WrongKey)));
        options().without_slot_upgrade().open(Arc::clone(&store), Unlock::passphrase("x")).await?;
        assert_eq!(rows(&store).await?, before);

        let vault = options().open(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let slot = vault.slots().list().await?[0].clone();
        assert_eq!((slot.kind, slot.is_usable), (SlotKind::Passphrase(today), true));
        let raised = rows(&store).await?;
        assert_ne!(raised, before);
        options().open(Arc::clone(&store), Unlock::passphrase("x")).await?;
        quick().open(Arc::clone(&store), Unlock::passphrase("x")).await?;
        assert_eq!(rows(&store).await?, raised, "what is as strong as today's stays");
        Ok(())
    });
}

#[test]
fn parameters_out_of_bounds_add_nothing() {
    run(async {
        for (params, wanted) in [
            (Argon2Params::new(19 * 1024 - 1, 2, 1), Argon2Error::TooWeak),
            (Argon2Params::new(1024 * 1024 + 1, 2, 1), Argon2Error::TooCostly),
        ] {
            let store = Arc::new(MemoryStore::new());
            let vault = vault(Arc::clone(&store), VaultOptions::default().argon2(params)).await?;
            let before = rows(&store).await?;
            let refused = vault.slots().add(Unlock::passphrase("x")).await;
            assert!(matches!(refused, Err(Error::KeyDerivation(error)) if error == wanted));
            assert_eq!(rows(&store).await?, before);
        }
        Ok(())
    });
}

#[test]
fn the_store_row_is_never_put_under_another_vault_s_header() {
    with_vault(async |store, vault| {
        let other = Arc::new(MemoryStore::new());
        crate::common::vault(Arc::clone(&other), VaultOptions::default()).await?;
        let header = Key::from(vec![0, 1]);
        let foreign = rows(&other).await?.into_iter().find(|(key, _)| *key == header).unwrap().1;
        plant(&store, &header, Some(foreign)).await?;
        let before = rows(&store).await?;
        assert!(matches!(vault.slots().add(raw(9)).await, Err(Error::Damaged { .. })));
        assert_eq!(rows(&store).await?, before);
        Ok(())
    });
}

fn assert_inconsistent(opened: &Result<impl std::fmt::Debug, Error>) {
    assert!(matches!(opened, Err(Error::Damaged { cause: Damage::Inconsistent, .. })), "{opened:?}");
}

fn with_vault(test: impl AsyncFnOnce(Shared, Vault) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), quick()).await?;
        test(store, vault).await
    });
}

fn quick() -> VaultOptions {
    VaultOptions::default().argon2(Argon2Params::FLOOR)
}

fn raw(byte: u8) -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([byte; 32]))
}

async fn list_of(vault: &Vault, id: &SlotId) -> Result<SlotInfo, Error> {
    Ok(vault.slots().list().await?.into_iter().find(|slot| slot.id == *id).unwrap())
}

/// What `verify` says of slots.
async fn slot_findings(vault: &Vault) -> Result<Vec<Cause>, Error> {
    let findings = vault.verify().await?.findings.into_iter();
    Ok(findings.filter(|found| found.path.row == RowName::Slot).map(|found| found.cause).collect())
}

async fn slot_row(store: &MemoryStore, slot: &SlotInfo) -> Result<(Key, Vec<u8>), Error> {
    let key = Key::from([&[0, 2], slot.id.as_bytes().as_slice()].concat());
    Ok(rows(store).await?.into_iter().find(|(at, _)| *at == key).unwrap())
}
