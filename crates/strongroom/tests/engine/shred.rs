//! Shredding says what it is worth, and no more.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::provider::{
    Destruction, KeyProvider, ProviderError, ProviderErrorKind, ProviderKey, WrapContext, Wrapped,
};
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    Assume, Error, NotDestroyed, RawKey, RootRotation, ShredEffect, ShredReceipt, SlotError, Timestamp,
    Unlock, Vault,
};
use strongroom_conformance::{FakeProvider, OnDestroy};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{Hooked, Kind, Point, RowKey, account, load, of_account, org, rows, text, unlock};

fn provided(hsm: &FakeProvider) -> Unlock {
    Unlock::provider(Arc::new(hsm.clone()))
}

/// A vault that one provider opens, with an account to be shredded and one to stay.
fn vault_of(unlock: Unlock) -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(Vault::create(Arc::clone(&store), unlock)).unwrap();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await?;
        for id in ["a", "b"] {
            org.create_account(account(id)).with_credential("k", "c").await?;
            org.set_value("V", of_account(id), "v").await?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    (store, vault)
}

const SURE: [Assume; 2] = [Assume::NoOtherProcess, Assume::NoBackup];

fn settle(vault: &Vault, receipt: &ShredReceipt, hsm: &FakeProvider, assume: &[Assume]) -> ShredEffect {
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    block_on(vault.settle_shred(receipt.clone(), &providers, assume)).unwrap().effect
}

fn rotate(vault: &Vault, key: Unlock) {
    let new = block_on(vault.rotate_root(RootRotation::new().keep(key))).unwrap();
    block_on(new.job.run()).unwrap();
}

fn logical(because: impl Into<Vec<NotDestroyed>>) -> ShredEffect {
    ShredEffect::Logical { because: because.into() }
}

/// Shreds account `a`, then gives the vault a new root under the provider's key of this name and version.
fn shred_and_rotate(vault: &Vault, hsm: &FakeProvider, (name, version): (&str, u64)) -> ShredReceipt {
    let receipt = block_on(org(vault).shred_account(&account("a"))).unwrap();
    hsm.use_key(ProviderKey::new(name, version));
    rotate(vault, provided(hsm));
    receipt
}

#[test]
fn a_copy_from_before_yields_nothing_once_its_keys_are_destroyed() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(provided(&hsm));
    let copy = rows(&store);
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    assert_eq!((receipt.keys.len(), &receipt.effect), (1, &logical([NotDestroyed::RootInUse])));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([NotDestroyed::RootInUse]));
    let before = block_on(Vault::open(load(&copy), provided(&hsm))).unwrap();
    assert!(block_on(org(&before).value("V", &of_account("a"))).unwrap().is_some(), "a copy still opens");

    hsm.use_key(ProviderKey::new("key-2", 1));
    rotate(&vault, provided(&hsm));
    let effect = settle(&vault, &receipt, &hsm, &SURE);
    let ShredEffect::KeyDestroyed { evidence } = &effect else { panic!("{effect:?}") };
    assert_eq!(evidence[0].key, ProviderKey::new("key-1", 1));
    let opened = block_on(Vault::open(load(&copy), provided(&hsm)));
    assert!(matches!(opened, Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::NotThisKey));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), effect, "it is known from then on");

    let again = block_on(Vault::open(store, provided(&hsm))).unwrap();
    assert!(block_on(org(&again).value("V", &of_account("a"))).unwrap().is_none());
    assert!(block_on(org(&again).value("V", &of_account("b"))).unwrap().is_some());
    assert_eq!(settle(&again, &receipt, &hsm, &SURE), effect);
}

#[test]
fn one_new_root_serves_for_many_shreds() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipts = ["a", "b"].map(|id| block_on(org(&vault).shred_account(&account(id))).unwrap());
    hsm.use_key(ProviderKey::new("key-2", 1));
    rotate(&vault, provided(&hsm));
    for receipt in &receipts {
        assert!(matches!(settle(&vault, receipt, &hsm, &SURE), ShredEffect::KeyDestroyed { .. }));
    }
}

#[test]
fn a_passphrase_or_raw_key_anywhere_in_the_history_makes_it_logical_and_no_key_is_destroyed() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(unlock());
    let slot = block_on(vault.slots().add(provided(&hsm))).unwrap();
    let raw = block_on(vault.slots().list()).unwrap().into_iter().find(|known| known.id != slot.id).unwrap();
    block_on(vault.slots().remove(&raw.id)).unwrap();
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    let calls_len = hsm.calls_len();
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([NotDestroyed::KnownSecret]));
    assert_eq!(hsm.calls_len(), calls_len);
}

#[test]
fn a_new_version_of_the_old_provider_key_is_not_another_key() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-1", 2));
    let in_use = NotDestroyed::KeyInUse(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([in_use]));
}

#[test]
fn a_provider_key_that_a_slot_uses_is_kept_whatever_the_store_shows_of_the_slot() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-1", 2));
    let mut hide = WriteBatch::default();
    for key in rows(&store).keys().filter(|key| RowKey::parse(key).kind == Kind::Slot) {
        hide.delete(key.clone().into());
    }
    block_on(store.commit(Arc::new(hide))).unwrap();
    let calls_len = hsm.calls_len();
    let in_use = NotDestroyed::KeyInUse(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([in_use]));
    assert_eq!(hsm.calls_len(), calls_len);
}

#[test]
fn what_the_host_does_not_vouch_for_is_named() {
    let hsm = FakeProvider::new("hsm");
    let (_store, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    let unsure = settle(&vault, &receipt, &hsm, &[]);
    assert_eq!(unsure, logical([NotDestroyed::OtherProcesses, NotDestroyed::Backups]), "the store is shared");
    let none = block_on(vault.settle_shred(receipt.clone(), &[], &SURE)).unwrap().effect;
    assert_eq!(none, logical([NotDestroyed::NoProvider("hsm".to_owned())]));
    hsm.on_destroy(OnDestroy::Refuse);
    let refused = logical([NotDestroyed::NotConfirmed(ProviderKey::new("key-1", 1))]);
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), refused);
    hsm.fail(Some(ProviderErrorKind::Unavailable));
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    let outage = block_on(vault.settle_shred(receipt.clone(), &providers, &SURE));
    assert!(matches!(outage, Err(Error::Provider(_))));
    hsm.fail(None);
    hsm.on_destroy(OnDestroy::Destroy);
    assert!(matches!(settle(&vault, &receipt, &hsm, &SURE), ShredEffect::KeyDestroyed { .. }));
}

#[test]
fn a_backup_of_the_org_under_another_key_keeps_it_logical_whatever_the_host_assumes() {
    let hsm = FakeProvider::new("hsm");
    let (_store, vault) = vault_of(provided(&hsm));
    let id = *org(&vault).id();
    block_on(vault.backup_org(id, unlock(), Vec::new(), |_| ())).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    assert_eq!(receipt.effect, logical([NotDestroyed::RootInUse, NotDestroyed::OrgBackup]));
    hsm.use_key(ProviderKey::new("key-2", 1));
    rotate(&vault, provided(&hsm));
    let calls_len = hsm.calls_len();
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([NotDestroyed::OrgBackup]));
    assert_eq!(hsm.calls_len(), calls_len, "no key is destroyed for nothing");

    let other = vault.org(crate::rig::OTHER_ORG.parse().unwrap(), org(&vault).environment().clone());
    block_on(other.create_account(account("a")).with_credential("k", "c").into_future()).unwrap();
    let receipt = block_on(other.shred_account(&account("a"))).unwrap();
    rotate(&vault, provided(&hsm));
    let effect = settle(&vault, &receipt, &hsm, &SURE);
    assert!(!format!("{effect:?}").contains("OrgBackup"), "that of another org is none of its business");
}

#[test]
fn a_note_of_a_backup_that_the_store_takes_away_is_noted_all_the_same() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(provided(&hsm));
    let id = *org(&vault).id();
    block_on(vault.backup_org(id, unlock(), Vec::new(), |_| ())).unwrap();
    let mut batch = strongroom::store::WriteBatch::default();
    let is_note = |key: &Vec<u8>| crate::rig::RowKey::parse(key).kind == crate::rig::Kind::Export;
    crate::rig::rows(&store).into_keys().filter(is_note).for_each(|key| batch.delete(key.into()));
    block_on(strongroom::store::Store::commit(&*store, Arc::new(batch))).unwrap();
    let vault = block_on(Vault::open(Arc::clone(&store), provided(&hsm))).unwrap();
    let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    assert_eq!(receipt.effect, logical([NotDestroyed::RootInUse, NotDestroyed::OrgBackup]));
}

/// A shred whose key's provider destroys it at `until`.
struct Scheduled {
    hsm: FakeProvider,
    clock: TestClock,
    vault: Vault,
    receipt: ShredReceipt,
    until: Timestamp,
}

fn scheduled() -> Scheduled {
    let (hsm, clock) = (FakeProvider::new("hsm"), TestClock::default());
    let (store, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    let options = strongroom::VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(store, provided(&hsm))).unwrap();
    let until = Timestamp::from_ms(5_000);
    hsm.on_destroy(OnDestroy::Schedule(until));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), ShredEffect::Scheduled { until });
    Scheduled { hsm, clock, vault, receipt, until }
}

#[test]
fn a_deletion_that_is_pending_is_scheduled_until_its_day() {
    let Scheduled { hsm, clock, vault, receipt, until } = scheduled();
    clock.set(4_999);
    let later = block_on(vault.settle_shred(receipt.clone(), &[], &SURE)).unwrap();
    assert_eq!(later.effect, ShredEffect::Scheduled { until });
    clock.set(5_000);
    let unasked = block_on(vault.settle_shred(receipt.clone(), &[], &SURE)).unwrap();
    assert_eq!(unasked.effect, logical([NotDestroyed::NoProvider("hsm".to_owned())]));
    hsm.forget(&ProviderKey::new("key-1", 1));
    let effect = settle(&vault, &receipt, &hsm, &SURE);
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
    let known = block_on(vault.settle_shred(receipt, &[], &SURE)).unwrap();
    assert_eq!(known.effect, effect);
}

#[test]
fn a_key_that_its_provider_does_not_know_before_its_day_is_scheduled_until_that_day() {
    let Scheduled { hsm, clock, vault, receipt, until } = scheduled();
    hsm.forget(&ProviderKey::new("key-1", 1));
    clock.set(4_999);
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), ShredEffect::Scheduled { until });
}

#[test]
fn an_outage_on_the_day_of_a_deletion_is_no_proof_of_it() {
    let Scheduled { hsm, clock, vault, receipt, .. } = scheduled();
    clock.set(5_000);
    hsm.fail(Some(ProviderErrorKind::Unavailable));
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    let settled = block_on(vault.settle_shred(receipt, &providers, &SURE));
    assert!(matches!(settled, Err(Error::Provider(_))), "{settled:?}");
}

#[test]
fn a_deletion_that_was_cancelled_is_not_taken_for_done_when_its_day_comes() {
    let Scheduled { hsm, clock, vault, receipt, .. } = scheduled();
    clock.set(6_000);
    let until = Timestamp::from_ms(9_000);
    hsm.on_destroy(OnDestroy::Schedule(until));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), ShredEffect::Scheduled { until }, "it is asked again");
    clock.set(9_000);
    hsm.on_destroy(OnDestroy::Refuse);
    let refused = NotDestroyed::NotConfirmed(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([refused]));
}

#[test]
fn a_deletion_that_was_scheduled_is_known_after_its_provider_refused_for_a_while() {
    let Scheduled { hsm, clock, vault, receipt, .. } = scheduled();
    clock.set(6_000);
    hsm.on_destroy(OnDestroy::Refuse);
    let refused = NotDestroyed::NotConfirmed(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([refused]));
    hsm.forget(&ProviderKey::new("key-1", 1));
    let effect = settle(&vault, &receipt, &hsm, &SURE);
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
}

#[test]
fn a_shred_is_scheduled_until_the_last_of_its_keys_is_deleted() {
    let [sooner, later] = [4_000_000_000_000, 5_000_000_000_000].map(Timestamp::from_ms);
    for untils in [[sooner, later], [later, sooner]] {
        let [hsm, kms] = ["hsm", "kms"].map(FakeProvider::new);
        let (_, vault) = vault_of(provided(&hsm));
        let slot = block_on(vault.slots().add(provided(&kms))).unwrap();
        let receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
        hsm.use_key(ProviderKey::new("key-2", 1));
        let rotation = RootRotation::new().keep(provided(&hsm)).drop_slot(slot.id);
        block_on(block_on(vault.rotate_root(rotation)).unwrap().job.run()).unwrap();
        for (provider, until) in [&hsm, &kms].into_iter().zip(untils) {
            provider.on_destroy(OnDestroy::Schedule(until));
        }
        let providers: [Arc<dyn KeyProvider>; 2] = [Arc::new(hsm), Arc::new(kms)];
        let settled = block_on(vault.settle_shred(receipt, &providers, &SURE)).unwrap();
        assert_eq!(settled.effect, ShredEffect::Scheduled { until: later });
    }
}

/// A provider that an administrator uses for a slot in the moment in which it is to destroy a key.
#[derive(Debug)]
struct Busy {
    hsm: FakeProvider,
    vault: Vault,
    added: Mutex<Option<Result<(), Error>>>,
}

#[async_trait]
impl KeyProvider for Busy {
    fn kind(&self) -> &str {
        self.hsm.kind()
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        self.hsm.wrap(key, context).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        self.hsm.unwrap(wrapped, context).await
    }

    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError> {
        self.hsm.use_key(key.clone());
        let added = self.vault.slots().add(provided(&self.hsm)).await;
        *self.added.lock().unwrap() = Some(added.map(drop));
        self.hsm.destroy(key).await
    }
}

fn add_under(vault: &Vault, hsm: &FakeProvider, key: &ProviderKey) -> Result<(), Error> {
    hsm.use_key(key.clone());
    block_on(vault.slots().add(provided(hsm))).map(drop)
}

#[test]
fn no_slot_comes_under_a_key_that_is_being_destroyed_or_is_gone() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    let busy = Arc::new(Busy { hsm: hsm.clone(), vault: vault.clone(), added: Mutex::default() });
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::clone(&busy) as _];
    let settled = block_on(vault.settle_shred(receipt, &providers, &SURE)).unwrap();
    assert!(matches!(settled.effect, ShredEffect::KeyDestroyed { .. }), "{settled:?}");
    let added = busy.added.lock().unwrap().take();
    assert!(matches!(added, Some(Err(Error::Slot(SlotError::KeyShredded(key)))) if key.id == "key-1"));
    let other_version = add_under(&vault, &hsm, &ProviderKey::new("key-1", 2));
    assert!(matches!(other_version, Err(Error::Slot(SlotError::KeyShredded(_)))), "{other_version:?}");
    assert_eq!(block_on(vault.slots().list()).unwrap().len(), 1);
}

#[test]
fn a_slot_that_comes_just_before_keeps_its_key() {
    let hsm = FakeProvider::new("hsm");
    let (store, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    let hooked = Hooked::new(store);
    let settling = block_on(Vault::open(hooked.clone(), provided(&hsm))).unwrap();
    let (other, its_hsm) = (settling.clone(), hsm.clone());
    hooked.once(Point::BeforeCommit, move || {
        add_under(&other, &its_hsm, &ProviderKey::new("key-1", 1)).unwrap();
    });
    let in_use = NotDestroyed::KeyInUse(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&settling, &receipt, &hsm, &SURE), logical([in_use]));
    assert!(block_on(Vault::open(hooked, provided(&hsm))).is_ok());
}

#[test]
fn a_key_that_its_provider_cannot_destroy_may_be_used_again() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    hsm.on_destroy(OnDestroy::Refuse);
    let refused = NotDestroyed::NotConfirmed(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([refused]));
    add_under(&vault, &hsm, &ProviderKey::new("key-1", 1)).unwrap();
}

#[test]
fn a_key_that_its_provider_never_scheduled_and_does_not_know_is_not_confirmed_and_may_be_used_again() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    hsm.forget(&ProviderKey::new("key-1", 1));
    let unknown = NotDestroyed::NotConfirmed(ProviderKey::new("key-1", 1));
    assert_eq!(settle(&vault, &receipt, &hsm, &SURE), logical([unknown]));
    add_under(&vault, &hsm, &ProviderKey::new("key-1", 1)).unwrap();
}

#[test]
fn a_destruction_whose_answer_is_not_known_is_taken_up_again() {
    let hsm = FakeProvider::new("hsm");
    let (_, vault) = vault_of(provided(&hsm));
    let receipt = shred_and_rotate(&vault, &hsm, ("key-2", 1));
    hsm.fail(Some(ProviderErrorKind::Unavailable));
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    let failed = block_on(vault.settle_shred(receipt.clone(), &providers, &SURE));
    assert!(matches!(failed, Err(Error::Provider(_))), "{failed:?}");
    hsm.fail(None);
    let added = add_under(&vault, &hsm, &ProviderKey::new("key-1", 1));
    assert!(matches!(added, Err(Error::Slot(SlotError::KeyShredded(_)))), "it may be gone: {added:?}");
    let effect = settle(&vault, &receipt, &hsm, &SURE);
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
}
