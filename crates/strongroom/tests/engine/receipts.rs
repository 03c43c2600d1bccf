//! A receipt of a shred is never better than the truth, whatever older rows the store puts back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::{KeyProvider, ProviderKey};
use strongroom::store::{Key, Store as _, WriteBatch};
use strongroom::{
    Assume, Error, NotDestroyed, RawKey, RootRotation, ShredEffect, ShredReceipt, Unlock, Vault,
};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

use crate::rig::{Kind, Paged, RowKey, Rows, account, load, of_account, org, rows, text};

const SURE: [Assume; 2] = [Assume::NoOtherProcess, Assume::NoBackup];

fn provided(hsm: &FakeProvider) -> Unlock {
    Unlock::provider(Arc::new(hsm.clone()))
}

/// A vault with an account that has a value and a credential.
fn vault_of(hsm: &FakeProvider) -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(Vault::create(Arc::clone(&store), provided(hsm))).unwrap();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await?;
        org.create_account(account("a")).with_credential("k", "c").await?;
        org.set_value("V", of_account("a"), "v").await?;
        Ok::<_, Error>(())
    })
    .unwrap();
    (store, vault)
}

fn settle(vault: &Vault, receipt: &ShredReceipt, hsm: &FakeProvider) -> Result<ShredEffect, Error> {
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    block_on(vault.settle_shred(receipt.clone(), &providers, &SURE)).map(|receipt| receipt.effect)
}

/// Rotates the root onto a new key of the provider; `false` if what the store shows forbids it.
fn rotate(vault: &Vault, hsm: &FakeProvider, name: &str) -> bool {
    hsm.use_key(ProviderKey::new(name, 1));
    let new = block_on(vault.rotate_root(RootRotation::new().keep(provided(hsm))));
    new.is_ok_and(|new| block_on(new.job.run()).is_ok())
}

/// Makes the store show these rows as they were, or as absent.
fn put_back(store: &MemoryStore, old: &Rows, which: impl Fn(&[u8]) -> bool) {
    let mut batch = WriteBatch::default();
    for key in rows(store).keys().filter(|key| which(key) && !old.contains_key(*key)) {
        batch.delete(Key::from(key.as_slice()));
    }
    for (key, row) in old.iter().filter(|(key, _)| which(key)) {
        batch.put(Key::from(key.as_slice()), row.clone());
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
}

fn is_of_account(key: &[u8]) -> bool {
    let key = RowKey::parse(key);
    match key.kind {
        Kind::Account | Kind::Integration | Kind::Credential | Kind::Value => true,
        Kind::ValueId | Kind::DefinitionValue => true,
        Kind::Keyring => !key.rest.is_empty(),
        _ => false,
    }
}

/// Whether somebody who opens this vault can read what was shredded.
fn shows(vault: &Vault) -> bool {
    let org = org(vault);
    let value = block_on(org.value("V", of_account("a")));
    let credential = block_on(org.account(account("a")).credential("k"));
    value.is_ok_and(|found| found.is_some()) || credential.is_ok_and(|found| found.is_some())
}

/// Whether what was shredded can be read by whoever has every row that ever was, and what opens the vault today.
fn can_be_read(store: &MemoryStore, past: &[Rows], hsm: &FakeProvider) -> bool {
    let now = rows(store);
    let opens = |rows: &Rows| {
        let opened = block_on(Vault::open(load(rows), provided(hsm)));
        opened.is_ok_and(|vault| shows(&vault))
    };
    let is_keyring = |key: &[u8]| is_of_account(key) && RowKey::parse(key).kind == Kind::Keyring;
    past.iter().any(&opens)
        || past.iter().any(|keyrings| {
            past.iter().any(|data| {
                let mut mixed = now.clone();
                mixed.retain(|key, _| !is_of_account(key));
                mixed.extend(data.iter().filter(|(key, _)| is_of_account(key)).map(own));
                mixed.extend(keyrings.iter().filter(|(key, _)| is_keyring(key)).map(own));
                opens(&mixed)
            })
        })
}

fn own((key, row): (&Vec<u8>, &Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    (key.clone(), row.clone())
}

#[test]
fn rows_of_a_shredded_account_that_are_put_back_come_under_no_new_root() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(&hsm);
    let before = rows(&store);
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    put_back(&store, &before, is_of_account);
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    assert!(!shows(&vault), "a keyring that lists a shredded key opens without it");
    assert!(rotate(&vault, &hsm, "key-2"));
    let effect = settle(&vault, &receipt, &hsm).unwrap();
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    assert!(!shows(&vault));
    assert!(!can_be_read(&store, &[before, rows(&store)], &hsm));
}

#[test]
fn a_store_row_from_before_a_slot_that_is_put_back_makes_the_receipt_no_better() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(&hsm);
    let before = rows(&store);
    let raw = || Unlock::raw_key(RawKey::from_bytes([9; 32]));
    let slot = block_on(vault.slots().add(raw())).unwrap();
    let with_slot = rows(&store);
    block_on(vault.slots().remove(&slot.id)).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    put_back(&store, &before, |key| matches!(RowKey::parse(key).kind, Kind::StoreRow | Kind::Slot));
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    assert!(rotate(&vault, &hsm, "key-2"));
    let effect = settle(&vault, &receipt, &hsm).unwrap();
    let ShredEffect::Logical { because } = &effect else { panic!("{effect:?}") };
    assert!(
        because.contains(&NotDestroyed::HistoryLost) && because.contains(&NotDestroyed::NotNoted),
        "{because:?}"
    );
    let copy = block_on(Vault::open(load(&with_slot), raw())).unwrap();
    assert!(shows(&copy), "that is why");
}

#[test]
fn a_keyring_that_an_earlier_release_brought_under_the_new_root_is_a_reason() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(&hsm);
    let before = rows(&store);
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    put_back(&store, &before, |key| is_of_account(key) && RowKey::parse(key).kind == Kind::Keyring);
    let effect = settle(&vault, &receipt, &hsm).unwrap();
    let ShredEffect::Logical { because } = &effect else { panic!("{effect:?}") };
    assert_eq!(*because, [NotDestroyed::RootInUse, NotDestroyed::KeyIsBack]);
}

#[test]
fn a_key_that_the_vault_did_not_note_is_a_reason_though_it_noted_the_shred() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(&hsm);
    let mut receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    receipt.keys.push(vault.root_id());
    assert!(rotate(&vault, &hsm, "key-2"));
    let because = vec![NotDestroyed::NotNoted];
    assert_eq!(settle(&vault, &receipt, &hsm).unwrap(), ShredEffect::Logical { because });
}

/// The rows of a vault, as they come to be: with an account's first key, and with its second one alone.
fn with_a_rotated_account(hsm: &FakeProvider) -> (Arc<MemoryStore>, [Rows; 2]) {
    let (store, vault) = vault_of(hsm);
    let first = rows(&store);
    block_on(org(&vault).account(account("a")).rotate_keys()).unwrap();
    let second = rows(&store);
    (store, [first, second])
}

fn is_keyring_of_account(key: &[u8]) -> bool {
    is_of_account(key) && RowKey::parse(key).kind == Kind::Keyring
}

/// What the store shows of the account's keyring is no matter: nothing of the account opens after the shred, in
/// whatever process, nor does the receipt of the settled shred say more than is true.
fn assert_shredded_for_good(
    store: &Arc<MemoryStore>,
    hsm: &FakeProvider,
    past: &[Rows],
    receipt: &ShredReceipt,
) {
    let open = || block_on(Vault::open(Arc::clone(store), provided(hsm))).unwrap();
    for old in past {
        put_back(store, old, is_of_account);
        assert!(!shows(&open()), "a keyring from before the shred opens nothing");
    }
    let vault = open();
    assert!(rotate(&vault, hsm, "key-2"));
    let effect = settle(&vault, receipt, hsm).unwrap();
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
    assert!(!can_be_read(store, &[past, &[rows(store)]].concat(), hsm));
}

#[test]
fn a_keyring_that_is_withheld_while_its_account_is_shredded_opens_nothing_when_it_is_put_back() {
    let hsm = FakeProvider::new("hsm");
    let (store, past) = with_a_rotated_account(&hsm);
    put_back(&store, &Rows::new(), is_keyring_of_account);
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    assert!(receipt.keys.is_empty(), "no key was known");
    assert_shredded_for_good(&store, &hsm, &past, &receipt);
}

#[test]
fn a_keyring_from_before_a_rotation_that_is_shown_to_a_shred_hides_no_newer_one() {
    let hsm = FakeProvider::new("hsm");
    let (store, past) = with_a_rotated_account(&hsm);
    put_back(&store, &past[0], is_keyring_of_account);
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    assert_shredded_for_good(&store, &hsm, &past, &receipt);
}

#[test]
fn a_shred_of_an_org_reaches_the_keyrings_that_are_withheld_from_it() {
    let all: [fn(&[u8]) -> bool; 2] = [is_keyring_of_account, |key| RowKey::parse(key).kind == Kind::Keyring];
    for withheld in all {
        let hsm = FakeProvider::new("hsm");
        let (store, past) = with_a_rotated_account(&hsm);
        put_back(&store, &Rows::new(), withheld);
        let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
        let receipt = block_on(org(&vault).shred()).unwrap();
        put_back(&store, &past[1], |key| key.first() == Some(&1));
        let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
        assert!(!shows(&vault) && block_on(org(&vault).definition("V")).unwrap().is_none());
        assert_shredded_for_good(&store, &hsm, &past, &receipt);
    }
}

#[test]
fn an_account_or_org_that_is_made_again_after_its_shred_has_keys_of_its_own() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(&hsm);
    let elsewhere = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    let made_again = |vault: &Vault| {
        let org = org(vault);
        block_on(async {
            org.create_account(account("a")).with_credential("k", "c").await?;
            org.create_account(account("b")).with_credential("k", "c").await
        })
        .unwrap();
    };
    let _logical = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    made_again(&vault);
    let _logical = block_on(org(&elsewhere).shred()).unwrap();
    made_again(&elsewhere);
    for vault in [vault, elsewhere, block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap()] {
        for id in ["a", "b"] {
            let found = block_on(org(&vault).account(account(id)).credential("k")).unwrap();
            assert_eq!(found.unwrap().value.expose(), "c");
        }
        assert!(block_on(vault.verify()).unwrap().is_clean());
    }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Shreds, rotates, settles and puts back old rows in some order; returns whether a receipt said `KeyDestroyed`.
fn play(seed: u64) -> bool {
    let mut dice = Dice(seed);
    let hsm = FakeProvider::new("hsm");
    let (store, mut vault) = vault_of(&hsm);
    let mut past = vec![rows(&store)];
    if dice.roll(4) == 0 {
        let slot = block_on(vault.slots().add(Unlock::raw_key(RawKey::from_bytes([9; 32])))).unwrap();
        past.push(rows(&store));
        block_on(vault.slots().remove(&slot.id)).unwrap();
        past.push(rows(&store));
    }
    if dice.roll(2) == 0 {
        block_on(org(&vault).account(account("a")).rotate_keys()).unwrap();
        past.push(rows(&store));
        // What the shred is shown of the account: each row as it is, as it was, or not at all.
        let shown: Vec<usize> = past[0].keys().map(|_| dice.roll(3)).collect();
        let of = |key: &[u8]| past[0].keys().position(|known| known == key).map_or(0, |at| shown[at]);
        put_back(&store, &past[0], |key| is_keyring_of_account(key) && of(key) == 1);
        put_back(&store, &Rows::new(), |key| is_keyring_of_account(key) && of(key) == 2);
        vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    }
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    past.push(rows(&store));
    let mut is_destroyed = false;
    for step in 0..STEPS {
        match dice.roll(6) {
            0 | 1 => {
                let old = past[dice.roll(past.len())].clone();
                let keys: Vec<Vec<u8>> = rows(&store).into_keys().chain(old.keys().cloned()).collect();
                let picks: Vec<bool> = keys.iter().map(|_| dice.roll(2) == 1).collect();
                let head_too = dice.roll(3) == 0;
                put_back(&store, &old, |key| {
                    let is_head =
                        matches!(RowKey::parse(key).kind, Kind::StoreRow | Kind::Slot | Kind::KeyJob);
                    let at = keys.iter().position(|known| known == key).unwrap();
                    if is_head { head_too } else { picks[at] }
                });
            }
            2 => {
                // What the store shows may forbid it.
                let _ = rotate(&vault, &hsm, &format!("key-{seed}-{step}"));
            }
            3 => {
                if let Ok(opened) = block_on(Vault::open(Arc::clone(&store), provided(&hsm))) {
                    vault = opened;
                }
            }
            _ => {
                let settled = settle(&vault, &receipt, &hsm);
                if matches!(settled, Ok(ShredEffect::KeyDestroyed { .. })) && !is_destroyed {
                    is_destroyed = true;
                    assert!(
                        !can_be_read(&store, &past, &hsm),
                        "seed {seed}, step {step}: the receipt is false"
                    );
                }
            }
        }
        past.push(rows(&store));
    }
    assert!(!is_destroyed || !can_be_read(&store, &past, &hsm), "seed {seed}: the receipt became false");
    is_destroyed
}

#[test]
fn no_replay_makes_a_receipt_better_than_the_truth() {
    let destroyed = (0..SEEDS).filter(|seed| play(*seed)).count();
    assert!(destroyed > 6, "only {destroyed} of {SEEDS} receipts said that the keys are destroyed");
}

const STEPS: u64 = 9;
const SEEDS: u64 = 120;

#[test]
fn a_keyring_that_was_withheld_and_is_put_back_is_a_reason_though_nobody_knew_its_keys() {
    let hsm = FakeProvider::new("hsm");
    let (store, past) = with_a_rotated_account(&hsm);
    put_back(&store, &Rows::new(), is_keyring_of_account);
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    let in_pages = block_on(Vault::open(Paged::of(Arc::clone(&store), 1), provided(&hsm))).unwrap();
    for (old, vault) in past.iter().flat_map(|old| [(old, &vault), (old, &in_pages)]) {
        put_back(&store, old, is_keyring_of_account);
        let because = vec![NotDestroyed::RootInUse, NotDestroyed::KeyIsBack];
        assert_eq!(settle(vault, &receipt, &hsm).unwrap(), ShredEffect::Logical { because });
    }
}
