//! `Vault::create` and `Vault::open`: which store and which key make a vault, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{org_of, plant, rows, run, text, unlock, vault};
use crate::rig::{Hooked, Point};
use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};
use strongroom::store::Key;
use strongroom::{
    Argon2Error, Argon2Params, Damage, DefinitionFilter, DekId, Error, KeyFileError, RawKey, Scope,
    SlotError, Unlock, Vault, VaultOptions, WrongStore,
};
use strongroom_memory::MemoryStore;

#[test]
fn what_was_written_is_there_after_reopening_with_the_raw_key() {
    with_vault(async |store, vault| {
        org_of(&vault).define(text("A")).await?;
        org_of(&vault).set_value("A", Scope::Org, "x").await?;
        let again = Vault::open(store, unlock()).await?;
        let value = org_of(&again).value("A", Scope::Org).await?.unwrap();
        assert_eq!(value.value.expose(), "x");
        assert_eq!((again.store_id(), again.root_id()), (vault.store_id(), vault.root_id()));
        Ok(())
    });
}

#[test]
fn a_passphrase_opens_what_it_created() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = quick().create(Arc::clone(&store), Unlock::passphrase("correct horse\n")).await?;
        org_of(&vault).define(text("A")).await?;
        let again = Vault::open(Arc::clone(&store), Unlock::passphrase("correct horse\n")).await?;
        assert!(org_of(&again).definition("A").await?.is_some());
        let trimmed = Vault::open(store, Unlock::passphrase("correct horse")).await;
        assert!(matches!(trimmed, Err(Error::WrongKey)));
        Ok(())
    });
}

#[test]
fn a_vault_is_created_once() {
    with_vault(async |store, vault| {
        let again = Vault::create(store, unlock()).await;
        assert!(matches!(again, Err(Error::WrongStore(WrongStore::HoldsVault))));
        drop(vault);
        Ok(())
    });
}

#[test]
fn an_empty_store_holds_no_vault_to_open() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let missing = Vault::open(Arc::clone(&store), unlock()).await;
        assert!(matches!(missing, Err(Error::WrongStore(WrongStore::NoVault))));
        assert!(rows(&store).await?.is_empty());
        Ok(())
    });
}

#[test]
fn a_store_with_other_rows_is_foreign_and_stays_as_it_is() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        plant(&store, &Key::from(b"other".as_slice()), Some(b"row".to_vec())).await?;
        let opened = Vault::open(Arc::clone(&store), unlock()).await;
        assert!(matches!(opened, Err(Error::WrongStore(WrongStore::Foreign))));
        let created = Vault::create(Arc::clone(&store), unlock()).await;
        assert!(matches!(created, Err(Error::WrongStore(WrongStore::Foreign))));
        assert_eq!(rows(&store).await?.len(), 1);
        Ok(())
    });
}

#[test]
fn another_raw_key_is_the_wrong_key() {
    with_vault(async |store, _| {
        for first in [6, 8] {
            let mut key = [7; 32];
            key[0] = first;
            let refused = Vault::open(Arc::clone(&store), Unlock::raw_key(RawKey::from_bytes(key))).await;
            assert!(matches!(refused, Err(Error::WrongKey)));
        }
        Ok(())
    });
}

#[test]
fn a_key_of_another_kind_has_no_slot() {
    with_vault(async |store, _| {
        let refused = Vault::open(store, Unlock::passphrase("x")).await;
        assert!(matches!(refused, Err(Error::Slot(SlotError::NoneOfThisKind("a raw key")))));
        let store = Arc::new(MemoryStore::new());
        quick().create(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let refused = Vault::open(store, unlock()).await;
        assert!(matches!(refused, Err(Error::Slot(SlotError::NoneOfThisKind("a passphrase")))));
        Ok(())
    });
}

#[test]
fn a_refused_open_writes_nothing() {
    with_vault(async |store, _| {
        let before = rows(&store).await?;
        let other = Unlock::raw_key(RawKey::from_bytes([8; 32]));
        assert!(Vault::open(Arc::clone(&store), other).await.is_err());
        assert!(Vault::create(Arc::clone(&store), unlock()).await.is_err());
        assert_eq!(rows(&store).await?, before);
        Ok(())
    });
}

#[test]
fn two_vaults_share_no_id_and_no_key() {
    run(async {
        let one = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let two = vault(MemoryStore::new(), VaultOptions::default()).await?;
        assert_ne!(one.store_id(), two.store_id());
        assert_ne!(one.root_id(), two.root_id());
        Ok(())
    });
}

#[test]
fn an_expected_id_must_be_the_vault_s() {
    with_vault(async |store, vault| {
        let opened = async |options: VaultOptions| options.open(Arc::clone(&store), unlock()).await;
        let expecting = VaultOptions::default();
        opened(expecting.expect_store_id(vault.store_id()).expect_root_id(vault.root_id())).await?;
        let refused = [
            opened(VaultOptions::default().expect_store_id("00".repeat(16))).await,
            opened(VaultOptions::default().expect_root_id(DekId::from_bytes([0; 16]))).await,
        ];
        assert!(
            refused.iter().all(|answer| matches!(answer, Err(Error::WrongStore(WrongStore::OtherVault))))
        );
        Ok(())
    });
}

#[test]
fn parameters_below_the_floor_create_nothing() {
    run(async {
        for weak in [(19 * 1024 - 1, 2, 1), (19 * 1024, 1, 1), (19 * 1024, 2, 0)] {
            let store = Arc::new(MemoryStore::new());
            let options = VaultOptions::default().argon2(Argon2Params::new(weak.0, weak.1, weak.2));
            let refused = options.create(Arc::clone(&store), Unlock::passphrase("x")).await;
            assert!(matches!(refused, Err(Error::KeyDerivation(Argon2Error::TooWeak))));
            assert!(rows(&store).await?.is_empty());
        }
        Ok(())
    });
}

#[test]
fn stored_parameters_over_the_ceiling_are_refused() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        quick().create(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let lower = VaultOptions::default().argon2_ceiling(Argon2Params::new(19 * 1024 - 1, 2, 1));
        let refused = lower.open(store, Unlock::passphrase("x")).await;
        assert!(matches!(refused, Err(Error::KeyDerivation(Argon2Error::TooCostly))));
        Ok(())
    });
}

#[test]
fn stored_parameters_that_no_machine_can_pay_take_no_memory() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        quick().create(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let (key, row) = head_row(&store, SLOT).await?;
        plant(&store, &key, Some(with_memory_kib(&row, u32::MAX))).await?;
        // Four tebibytes: had they been asked for, the error would be another, or there would be none.
        let refused = Vault::open(store, Unlock::passphrase("x")).await;
        assert!(matches!(refused, Err(Error::KeyDerivation(Argon2Error::TooCostly))));
        Ok(())
    });
}

#[test]
fn stored_parameters_that_were_weakened_are_refused_as_such() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        quick().create(Arc::clone(&store), Unlock::passphrase("x")).await?;
        let (key, row) = head_row(&store, SLOT).await?;
        let weakened = with_memory_kib(&row, 8);
        plant(&store, &key, Some(weakened)).await?;
        let before = rows(&store).await?;
        let refused = Vault::open(Arc::clone(&store), Unlock::passphrase("x")).await;
        assert!(matches!(refused, Err(Error::KeyDerivation(Argon2Error::Weakened))));
        assert_eq!(rows(&store).await?, before);
        Ok(())
    });
}

#[cfg(unix)]
#[test]
fn a_named_pipe_without_a_writer_is_refused_as_a_key_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (tells, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tells.send(RawKey::from_file(path)));
    let refused = told.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert!(matches!(refused, Err(Error::KeyFile(KeyFileError::NotAFile { .. }))), "{refused:?}");
}

#[test]
fn a_key_file_is_its_owner_s_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    assert!(matches!(RawKey::from_file(&path), Err(Error::KeyFile(KeyFileError::Unreadable { .. }))));
    assert!(matches!(RawKey::from_file(dir.path()), Err(Error::KeyFile(KeyFileError::NotAFile { .. }))));
    std::fs::write(&path, format!("{}\n", RawKey::from_bytes([7; 32]).dangerously_export().expose()))
        .unwrap();
    set_mode(&path, 0o600);
    assert_eq!(RawKey::from_file(&path).unwrap().expose(), &[7; 32]);
    if cfg!(unix) {
        for mode in [0o640, 0o604, 0o660] {
            set_mode(&path, mode);
            let error = RawKey::from_file(&path).unwrap_err();
            let advice = format!("run `chmod 600 {}`", path.display());
            assert!(error.to_string().ends_with(&advice), "{error}");
        }
    }
    set_mode(&path, 0o600);
    std::fs::write(&path, "no key").unwrap();
    assert!(matches!(RawKey::from_file(&path), Err(Error::InvalidKey)));
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &std::path::Path, _: u32) {}

#[test]
fn a_flipped_bit_of_the_head_never_opens() {
    with_vault(async |store, _| {
        for kind in [HEADER, SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            for bit in 0..row.len() * 8 {
                let mut altered = row.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                plant(&store, &key, Some(altered)).await?;
                let error = Vault::open(Arc::clone(&store), unlock()).await.unwrap_err();
                let typed = match error {
                    Error::Damaged { .. } | Error::UnknownVersion { .. } | Error::UnknownKey { .. } => true,
                    Error::WrongKey | Error::Slot(SlotError::NoneOfThisKind(_)) => kind == SLOT,
                    _ => false,
                };
                assert!(typed, "bit {bit} of row {kind}: {error:?}");
            }
            plant(&store, &key, Some(row)).await?;
        }
        Vault::open(store, unlock()).await?;
        Ok(())
    });
}

#[test]
fn a_flipped_bit_of_a_key_of_the_head_never_opens() {
    with_vault(async |store, _| {
        for kind in [HEADER, SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            plant(&store, &key, None).await?;
            for bit in 0..key.as_bytes().len() * 8 {
                let mut altered = key.as_bytes().to_vec();
                altered[bit / 8] ^= 1 << (bit % 8);
                let altered = Key::from(altered);
                let there = rows(&store).await?.into_iter().find(|(key, _)| *key == altered);
                plant(&store, &altered, Some(row.clone())).await?;
                assert!(Vault::open(Arc::clone(&store), unlock()).await.is_err(), "bit {bit} of key {kind}");
                plant(&store, &altered, there.map(|(_, row)| row)).await?;
            }
            plant(&store, &key, Some(row)).await?;
        }
        Vault::open(store, unlock()).await?;
        Ok(())
    });
}

#[test]
fn a_row_of_the_head_cut_short_never_opens() {
    with_vault(async |store, _| {
        for kind in [HEADER, SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            for len in 0..row.len() {
                plant(&store, &key, Some(row[..len].to_vec())).await?;
                let refused = Vault::open(Arc::clone(&store), unlock()).await;
                assert!(matches!(refused, Err(Error::Damaged { .. })), "{len} bytes of row {kind}");
            }
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_vault_without_its_store_row_or_its_slot_is_damaged() {
    with_vault(async |store, _| {
        for kind in [SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            plant(&store, &key, None).await?;
            let refused = Vault::open(Arc::clone(&store), unlock()).await;
            assert!(matches!(refused, Err(Error::Damaged { cause: Damage::Missing, .. })));
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_vault_without_its_header_is_foreign() {
    with_vault(async |store, _| {
        plant(&store, &head_row(&store, HEADER).await?.0, None).await?;
        assert!(matches!(
            Vault::open(Arc::clone(&store), unlock()).await,
            Err(Error::WrongStore(WrongStore::Foreign))
        ));
        assert!(matches!(Vault::create(store, unlock()).await, Err(Error::WrongStore(WrongStore::Foreign))));
        Ok(())
    });
}

#[test]
fn the_head_of_another_vault_does_not_open_here() {
    with_vault(async |store, _| {
        let other = Arc::new(MemoryStore::new());
        vault(Arc::clone(&other), VaultOptions::default()).await?;
        for kind in [HEADER, SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            let (foreign_key, foreign) = head_row(&other, kind).await?;
            plant(&store, &key, None).await?;
            plant(&store, &foreign_key, Some(foreign)).await?;
            let refused = Vault::open(Arc::clone(&store), unlock()).await;
            assert!(matches!(refused, Err(Error::Damaged { .. } | Error::UnknownKey { .. })), "{refused:?}");
            plant(&store, &foreign_key, None).await?;
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_row_of_a_later_version_is_named() {
    with_vault(async |store, _| {
        for kind in [HEADER, SLOT, STORE_ROW] {
            let (key, row) = head_row(&store, kind).await?;
            let mut later = row.clone();
            later[1] = 9;
            plant(&store, &key, Some(later)).await?;
            let refused = Vault::open(Arc::clone(&store), unlock()).await;
            assert!(matches!(refused, Err(Error::UnknownVersion { version: 9, .. })));
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_flipped_bit_of_any_tenant_row_is_never_read_as_something_else() {
    with_vault(async |store, vault| {
        let org = org_of(&vault);
        org.define(text("A")).await?;
        org.set_value("A", Scope::Org, "value").await?;
        for (key, row) in rows(&store).await? {
            for bit in (0..row.len() * 8).step_by(3) {
                let mut altered = row.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                plant(&store, &key, Some(altered)).await?;
                let Ok(vault) = Vault::open(Arc::clone(&store), unlock()).await else { continue };
                if let Ok(Some(value)) = org_of(&vault).value("A", Scope::Org).await {
                    assert_eq!(value.value.expose(), "value");
                }
            }
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_closed_vault_refuses_every_call() {
    with_vault(async |_, vault| {
        vault.close().await?;
        let refused = org_of(&vault).definitions(&DefinitionFilter::all(), Default::default()).await;
        assert!(matches!(refused, Err(Error::Store(_))));
        Ok(())
    });
}

/// A vault and the store that it lives in.
fn with_vault(test: impl AsyncFnOnce(Arc<MemoryStore>, Vault) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default()).await?;
        test(store, vault).await
    });
}

/// The cheapest key derivation that a new slot may have.
fn quick() -> VaultOptions {
    VaultOptions::default().argon2(Argon2Params::FLOOR)
}

/// The row of the whole store of this kind; there is one of each.
async fn head_row(store: &MemoryStore, kind: u8) -> Result<(Key, Vec<u8>), Error> {
    let rows = rows(store).await?;
    Ok(rows.into_iter().find(|(key, _)| key.as_bytes().starts_with(&[0, kind])).unwrap())
}

/// The row of a passphrase's slot with other parameters and a checksum that fits them.
fn with_memory_kib(row: &[u8], memory_kib: u32) -> Vec<u8> {
    let mut outer = Decoder::new(&row[3..]);
    assert_eq!((outer.map().unwrap(), outer.u8().unwrap()), (Some(4), 0));
    let clear = outer.bytes().unwrap();
    assert_eq!((outer.u8().unwrap(), outer.bytes().unwrap().len()), (1, 8));
    let rest = &row[3 + outer.position()..];

    let mut fields = Decoder::new(clear);
    fields.map().unwrap();
    // Slot id, store id, provider and salt stand before the memory, each after its key.
    for _ in 0..2 * 4 {
        fields.skip().unwrap();
    }
    assert_eq!(fields.u8().unwrap(), 4);
    let mut altered = clear[..fields.position()].to_vec();
    fields.skip().unwrap();
    Encoder::new(&mut altered).u32(memory_kib).unwrap();
    altered.extend_from_slice(&clear[fields.position()..]);

    let mut slot = row[..3].to_vec();
    let mut cbor = Encoder::new(&mut slot);
    cbor.map(4).unwrap().u8(0).unwrap().bytes(&altered).unwrap();
    cbor.u8(1).unwrap().bytes(&Sha256::digest(&altered)[..8]).unwrap();
    slot.extend_from_slice(rest);
    slot
}

const HEADER: u8 = 1;
const SLOT: u8 = 2;
const STORE_ROW: u8 = 3;

#[test]
fn of_two_that_open_or_create_at_once_one_creates_and_the_other_opens() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let hooked = Hooked::new(Arc::clone(&store));
        hooked.once(Point::BeforeCommit, move || {
            futures_executor::block_on(Vault::open_or_create(store, unlock())).unwrap();
        });
        let second = Vault::open_or_create(hooked.clone(), unlock()).await?;
        assert_eq!(hooked.hooks_left(), 0);
        assert_eq!(Vault::open_or_create(hooked, unlock()).await?.store_id(), second.store_id());
        Ok(())
    });
}

#[test]
fn what_is_no_empty_store_and_no_vault_of_this_key_is_neither_opened_nor_created() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let expecting = VaultOptions::default().expect_store_id("another");
        let refused = expecting.open_or_create(Arc::clone(&store), unlock()).await;
        assert!(matches!(refused.err(), Some(Error::WrongStore(WrongStore::OtherVault))));
        assert!(rows(&store).await?.is_empty());
        Vault::open_or_create(Arc::clone(&store), unlock()).await?;
        let other = Unlock::raw_key(RawKey::from_bytes([8; 32]));
        assert!(matches!(Vault::open_or_create(store, other).await.err(), Some(Error::WrongKey)));
        Ok(())
    });
}
