//! Vaults that a key provider opens, and what its refusals and outages are called.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{org_of, plant, rows, run, text, unlock};
use async_trait::async_trait;
use strongroom::provider::{
    Destruction, KeyProvider, ProviderError, ProviderErrorKind, ProviderKey, WrapContext, Wrapped,
};
use strongroom::store::Key;
use strongroom::{Damage, Error, RawKey, RootRotation, SlotError, SlotInfo, SlotKind, Unlock, Vault};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

#[test]
fn a_provider_opens_what_it_created_and_is_asked_for_no_value() {
    with_provider(async |store, vault, hsm| {
        org_of(&vault).define(text("A")).await?;
        let again = Vault::open(store, by(&hsm)).await?;
        let calls_len = hsm.calls_len();
        org_of(&again).set_value("A", strongroom::Scope::Org, "x").await?;
        assert!(org_of(&again).value("A", &strongroom::Scope::Org).await?.is_some());
        assert_eq!(hsm.calls_len(), calls_len);
        let slot = again.slots().list().await?[0].clone();
        let key = ProviderKey::new("key-1", 1);
        assert_eq!(slot.kind, SlotKind::Provider { kind: "hsm".to_owned(), key });
        Ok(())
    });
}

#[test]
fn each_refusal_of_a_provider_is_its_own_error_and_writes_nothing() {
    with_provider(async |store, vault, hsm| {
        let before = rows(&store).await?;
        for kind in [
            ProviderErrorKind::Denied,
            ProviderErrorKind::NotThisKey,
            ProviderErrorKind::Corrupt,
            ProviderErrorKind::Unavailable,
            ProviderErrorKind::Unsupported,
        ] {
            hsm.fail(Some(kind));
            let opened = Vault::open(Arc::clone(&store), by(&hsm)).await.map(drop);
            let created = Vault::create(MemoryStore::new(), by(&hsm)).await.map(drop);
            let added = vault.slots().add(by(&hsm)).await.map(drop);
            for answer in [opened, created, added] {
                assert!(matches!(answer, Err(Error::Provider(error)) if error.kind() == kind), "{kind:?}");
            }
        }
        assert_eq!(rows(&store).await?, before);
        Ok(())
    });
}

#[test]
fn an_outage_between_any_two_calls_of_a_verb_writes_nothing() {
    for (verb, calls_least) in [("open", 1), ("add", 2), ("change", 2), ("rotate", 3)] {
        with_provider(async |store, vault, hsm| {
            vault.slots().add(unlock()).await?;
            let id = vault.slots().list().await?.iter().find(|slot| is_of_provider(slot)).unwrap().id;
            let before = rows(&store).await?;
            for calls in 0.. {
                let dying = Unlock::provider(Arc::new(Dying { hsm: hsm.clone(), left: calls.into() }));
                let answer = match verb {
                    "open" => Vault::open(Arc::clone(&store), dying).await.map(drop),
                    "add" => vault.slots().add(dying).await.map(drop),
                    "change" => vault.slots().change(&id, dying).await.map(drop),
                    _ => vault.rotate_root(RootRotation::new().keep(dying).keep(unlock())).await.map(drop),
                };
                let Err(error) = answer else {
                    assert!(calls >= calls_least, "{verb} made {calls} calls");
                    return Ok(());
                };
                let is_outage =
                    matches!(&error, Error::Provider(e) if e.kind() == ProviderErrorKind::Unavailable);
                assert!(is_outage, "{verb} after {calls}: {error}");
                assert!(rows(&store).await? == before, "{verb} after {calls} wrote something");
            }
            Ok(())
        });
    }
}

#[test]
fn an_outage_is_told_though_another_slot_is_damaged() {
    with_provider(async |store, vault, hsm| {
        let damaged = vault.slots().add(Unlock::passphrase("x")).await?;
        let key = Key::from([&[0, 2], damaged.id.as_bytes().as_slice()].concat());
        plant(&store, &key, Some(vec![0])).await?;
        hsm.fail(Some(ProviderErrorKind::Unavailable));
        let opened = Vault::open(store, by(&hsm)).await;
        assert!(
            matches!(opened, Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::Unavailable)
        );
        Ok(())
    });
}

#[test]
fn what_a_provider_fails_with_says_what_to_do() {
    let told = [
        (ProviderErrorKind::Denied, "correct the PIN or permission"),
        (ProviderErrorKind::NotThisKey, "use another slot's key"),
        (ProviderErrorKind::Corrupt, "remove this slot and add it again"),
        (ProviderErrorKind::Unavailable, "try again later"),
        (ProviderErrorKind::Unsupported, "change how the provider is set up"),
    ];
    for (kind, step) in told {
        let (store, hsm) = (Arc::new(MemoryStore::new()), FakeProvider::new("hsm"));
        hsm.fail(Some(kind));
        let error = futures_executor::block_on(Vault::create(store, by(&hsm))).unwrap_err().to_string();
        assert!(error.contains("an injected fault") && error.contains(step), "{error}");
    }
}

#[test]
fn a_provider_of_another_kind_has_no_slot_and_is_not_asked() {
    with_provider(async |store, _, hsm| {
        let calls_len = hsm.calls_len();
        let other = FakeProvider::new("kms");
        let refused = Vault::open(Arc::clone(&store), by(&other)).await;
        assert!(matches!(refused, Err(Error::Slot(SlotError::NoneOfThisKind("a key provider")))));
        assert!(matches!(Vault::open(store, unlock()).await, Err(Error::Slot(SlotError::NoneOfThisKind(_)))));
        assert_eq!((other.calls_len(), hsm.calls_len()), (0, calls_len));
        Ok(())
    });
}

#[test]
fn a_destroyed_key_opens_no_more_and_the_other_slots_do() {
    with_provider(async |store, vault, hsm| {
        vault.slots().add(unlock()).await?;
        let gone = hsm.destroy(&ProviderKey::new("key-1", 1)).await?;
        assert!(matches!(gone, Destruction::Destroyed { .. }));
        let refused = Vault::open(Arc::clone(&store), by(&hsm)).await;
        assert!(
            matches!(refused, Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::NotThisKey)
        );
        Vault::open(Arc::clone(&store), unlock()).await?;

        hsm.use_key(ProviderKey::new("key-2", 1));
        vault.slots().add(by(&hsm)).await?;
        Vault::open(store, by(&hsm)).await?;
        Ok(())
    });
}

#[test]
fn the_key_of_a_slot_is_bound_to_that_slot_of_that_vault() {
    with_provider(async |store, vault, hsm| {
        // A second vault under the same key of the provider: its slot is brought here under this one's id.
        let other = Arc::new(MemoryStore::new());
        Vault::create(Arc::clone(&other), by(&hsm)).await?;
        let slot = vault.slots().list().await?[0].clone();
        let key = Key::from([&[0, 2], slot.id.as_bytes().as_slice()].concat());
        let foreign = rows(&other).await?.into_iter().find(|(key, _)| key.as_bytes()[..2] == [0, 2]).unwrap();
        plant(&store, &key, Some(foreign.1)).await?;
        let refused = Vault::open(store, by(&hsm)).await;
        assert!(matches!(refused, Err(Error::Damaged { cause: Damage::Inconsistent, .. })));
        Ok(())
    });
}

#[test]
fn a_flipped_bit_of_a_provider_s_slot_never_opens() {
    with_provider(async |store, vault, hsm| {
        let slot = vault.slots().list().await?[0].clone();
        let key = Key::from([&[0, 2], slot.id.as_bytes().as_slice()].concat());
        let row = rows(&store).await?.into_iter().find(|(at, _)| *at == key).unwrap().1;
        for bit in 0..row.len() * 8 {
            let mut altered = row.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            plant(&store, &key, Some(altered)).await?;
            assert!(Vault::open(Arc::clone(&store), by(&hsm)).await.is_err(), "bit {bit}");
        }
        Ok(())
    });
}

#[test]
fn a_provider_that_cannot_take_back_what_it_wraps_makes_no_slot() {
    run(async {
        for answer in [Answer::AnotherKey, Answer::LongBlob, Answer::NoKeyId, Answer::OddKind] {
            let store = Arc::new(MemoryStore::new());
            let faithless = Faithless { answer, wrapped: Mutex::default() };
            let refused = Vault::create(Arc::clone(&store), Unlock::provider(Arc::new(faithless))).await;
            assert!(
                matches!(refused, Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::Corrupt)
            );
            assert!(rows(&store).await?.is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_key_of_a_provider_that_does_not_open_its_slot_is_damage_and_no_wrong_key() {
    with_provider(async |store, _, hsm| {
        let turned = Unlock::provider(Arc::new(Turned(hsm)));
        let opened = Vault::open(store, turned).await;
        assert!(matches!(opened, Err(Error::Damaged { cause: Damage::Rejected, .. })), "{opened:?}");
        Ok(())
    });
}

/// A provider that unwraps every key as another.
#[derive(Debug)]
struct Turned(FakeProvider);

#[async_trait]
impl KeyProvider for Turned {
    fn kind(&self) -> &str {
        self.0.kind()
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        self.0.wrap(key, context).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        self.0.unwrap(wrapped, context).await.map(|_| RawKey::from_bytes([1; 32]))
    }

    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError> {
        self.0.destroy(key).await
    }
}

fn is_of_provider(slot: &SlotInfo) -> bool {
    matches!(slot.kind, SlotKind::Provider { .. })
}

/// A provider that answers so many calls, and then no more.
#[derive(Debug)]
struct Dying {
    hsm: FakeProvider,
    left: AtomicUsize,
}

impl Dying {
    fn call(&self) -> Result<&FakeProvider, ProviderError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| &self.hsm)
            .map_err(|_| ProviderError::new(ProviderErrorKind::Unavailable, "it went out of reach"))
    }
}

#[async_trait]
impl KeyProvider for Dying {
    fn kind(&self) -> &str {
        self.hsm.kind()
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        self.call()?.wrap(key, context).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        self.call()?.unwrap(wrapped, context).await
    }

    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError> {
        self.call()?.destroy(key).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    AnotherKey,
    LongBlob,
    NoKeyId,
    OddKind,
}

/// A provider whose answers are not to be relied on, in one way.
#[derive(Debug)]
struct Faithless {
    answer: Answer,
    wrapped: Mutex<[u8; 32]>,
}

#[async_trait]
impl KeyProvider for Faithless {
    fn kind(&self) -> &str {
        if self.answer == Answer::OddKind { "An HSM" } else { "hsm" }
    }

    async fn wrap(&self, key: &RawKey, _: &WrapContext) -> Result<Wrapped, ProviderError> {
        if self.answer != Answer::AnotherKey {
            *self.wrapped.lock().unwrap() = *key.expose();
        }
        let id = if self.answer == Answer::NoKeyId { "" } else { "k" };
        let len = if self.answer == Answer::LongBlob { 4_097 } else { 1 };
        Ok(Wrapped::new(ProviderKey::new(id, 0), vec![0; len]))
    }

    async fn unwrap(&self, _: &Wrapped, _: &WrapContext) -> Result<RawKey, ProviderError> {
        Ok(RawKey::from_bytes(*self.wrapped.lock().unwrap()))
    }

    async fn destroy(&self, _: &ProviderKey) -> Result<Destruction, ProviderError> {
        Ok(Destruction::NotSupported)
    }
}

fn by(provider: &FakeProvider) -> Unlock {
    Unlock::provider(Arc::new(provider.clone()))
}

fn with_provider(test: impl AsyncFnOnce(Arc<MemoryStore>, Vault, FakeProvider) -> Result<(), Error>) {
    run(async {
        let (store, hsm) = (Arc::new(MemoryStore::new()), FakeProvider::new("hsm"));
        let vault = Vault::create(Arc::clone(&store), by(&hsm)).await?;
        test(store, vault, hsm).await
    });
}
