//! Key slots under crashes, lost answers, races and stores that refuse to be written: what was acknowledged opens, and
//! a vault is never without a slot that opens it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::ProviderErrorKind;
use strongroom::store::{Store, StoreErrorKind};
use strongroom::{Argon2Params, Error, RawKey, SlotError, SlotId, SlotKind, Unlock, Vault, VaultOptions};
use strongroom_conformance::{FakeProvider, Fault, Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{Hooked, Point, Rows, fill, load, rows, unlock};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// A verb on slots, with the keys that open the vault before it and after it.
struct SlotVerb {
    name: &'static str,
    before: &'static [u8],
    after: &'static [u8],
    run: fn(&Vault, SlotId) -> Answer<'_>,
}

/// The slot that the verbs change is that of raw key 8; raw key 7 opens whatever happens.
const VERBS: [SlotVerb; 3] = [
    SlotVerb {
        name: "add",
        before: &[7, 8],
        after: &[7, 8, 9],
        run: |vault, _| Box::pin(async { vault.slots().add(raw(9)).await.map(drop) }),
    },
    SlotVerb {
        name: "change",
        before: &[7, 8],
        after: &[7, 9],
        run: |vault, id| Box::pin(async move { vault.slots().change(&id, raw(9)).await.map(drop) }),
    },
    SlotVerb {
        name: "remove",
        before: &[7, 8],
        after: &[7],
        run: |vault, id| Box::pin(async move { vault.slots().remove(&id).await }),
    },
];

#[test]
fn a_slot_verb_that_is_stopped_at_its_commit_happened_or_did_not() {
    let (base, id) = base();
    for verb in VERBS {
        let left = RefCell::new(Vec::new());
        let commits_len = crash_at_every_commit(
            async || fill(&base).await,
            async |store| {
                let vault = Vault::open(store, unlock()).await.unwrap();
                drop((verb.run)(&vault, id).await);
            },
            async |stop, store| left.borrow_mut().push((stop, store)),
        );
        assert_eq!(commits_len, 1, "{}: the slot and its history are one batch", verb.name);
        for (stop, store) in left.into_inner() {
            let wanted = if stop == Stop::Before(0) { verb.before } else { verb.after };
            assert_eq!(openers(&store), wanted, "{} {stop:?}", verb.name);
        }
    }
}

#[test]
fn a_slot_verb_whose_answer_is_lost_says_what_happened_or_that_it_does_not_know() {
    let (base, id) = base();
    let (before, after) = (Fault::Before as fn(_) -> _, Fault::After as fn(_) -> _);
    for verb in VERBS {
        for (lost, reads) in [(before, 0), (after, 0), (before, 9), (after, 9)] {
            // One answer is lost, and then so many reads fail.
            let store = Faulty::new(load(&base));
            let vault = block_on(Vault::open(store.clone(), unlock())).unwrap();
            let first = store.reads_len() + 1;
            let store = store
                .on_commits(0..=0, lost(StoreErrorKind::Indeterminate))
                .on_reads(first..first + reads, Fault::Before(StoreErrorKind::Unavailable));
            let answer = block_on((verb.run)(&vault, id));
            let seen = openers(&store.reopen());
            match answer {
                Ok(()) => assert_eq!(seen, verb.after, "{}", verb.name),
                Err(Error::Indeterminate(_)) => {
                    assert!(reads > 0 && (seen == verb.before || seen == verb.after), "{}", verb.name);
                }
                Err(error) => panic!("{}: {error:?}", verb.name),
            }
        }
    }
}

#[test]
fn a_slot_verb_whose_write_is_refused_changes_nothing() {
    let (base, id) = base();
    for verb in VERBS {
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Contention] {
            let store = Faulty::new(load(&base)).on_commits(.., Fault::Before(kind));
            let vault = block_on(Vault::open(store.clone(), unlock())).unwrap();
            let refused = block_on((verb.run)(&vault, id));
            assert!(matches!(refused, Err(Error::Store(_) | Error::Contended(_))), "{}", verb.name);
            assert_eq!(rows(&store.reopen()), base, "{}", verb.name);
        }
    }
}

#[test]
fn of_two_slot_verbs_at_once_none_is_lost() {
    let (base, id) = base();
    for verb in VERBS {
        for point in [Point::BeforeRead, Point::AfterRead, Point::BeforeCommit] {
            let inner = load(&base);
            let store = Hooked::new(Arc::clone(&inner));
            let vault = block_on(Vault::open(store.clone(), unlock())).unwrap();
            let other = Arc::clone(&inner);
            store.once(point, move || {
                let vault = block_on(Vault::open(other, unlock())).unwrap();
                block_on(vault.slots().add(raw(10))).unwrap();
            });
            block_on((verb.run)(&vault, id)).unwrap();
            assert_eq!(openers(&inner), [verb.after, &[10]].concat(), "{} {point:?}", verb.name);
        }
    }
}

#[test]
fn two_administrators_never_remove_the_last_two_slots() {
    let (base, spare) = base();
    for point in [Point::BeforeRead, Point::AfterRead, Point::BeforeCommit] {
        let inner = load(&base);
        let store = Hooked::new(Arc::clone(&inner));
        let vault = block_on(Vault::open(store.clone(), unlock())).unwrap();
        let other = Arc::clone(&inner);
        let theirs = move || {
            let vault = block_on(Vault::open(other, raw(8))).unwrap();
            let all = block_on(vault.slots().list()).unwrap();
            let first = all.into_iter().find(|slot| slot.id != spare).unwrap();
            block_on(vault.slots().remove(&first.id)).unwrap();
        };
        store.once(point, theirs);
        assert!(
            matches!(block_on(vault.slots().remove(&spare)), Err(Error::Slot(SlotError::Last))),
            "{point:?}"
        );
        assert_eq!(openers(&inner), [8], "{point:?}");
    }
}

#[test]
fn an_upgrade_that_fails_leaves_the_vault_open_and_the_slot_as_it_was() {
    let base = weak_passphrase();
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unsupported,
        StoreErrorKind::Indeterminate,
        StoreErrorKind::Contention,
    ] {
        let store = Faulty::new(load(&base)).on_commits(.., Fault::Before(kind));
        let vault = block_on(today().open(store.clone(), passphrase())).unwrap();
        assert_eq!(store.commits_len(), 1, "one attempt, and no more");
        block_on(vault.slots().list()).unwrap();
        assert_eq!(rows(&store.reopen()), base);
    }
}

#[test]
fn an_upgrade_that_is_stopped_leaves_a_slot_that_opens() {
    let base = weak_passphrase();
    let commits_len = crash_at_every_commit(
        async || fill(&base).await,
        async |store| drop(today().open(store, passphrase()).await),
        async |stop, store| {
            let vault = today().without_slot_upgrade().open(store, passphrase()).await.unwrap();
            let slot = &vault.slots().list().await.unwrap()[0];
            let wanted = if stop == Stop::Before(0) { Argon2Params::FLOOR } else { TODAY };
            assert_eq!((&slot.kind, slot.is_usable), (&SlotKind::Passphrase(wanted), true));
        },
    );
    assert_eq!(commits_len, 1);
}

#[test]
fn an_upgrade_never_undoes_what_another_changed_meanwhile() {
    let inner = load(&weak_passphrase());
    let store = Hooked::new(Arc::clone(&inner));
    let other = Arc::clone(&inner);
    store.once(Point::BeforeCommit, move || {
        let vault = block_on(quick().open(other, passphrase())).unwrap();
        let slot = block_on(vault.slots().list()).unwrap()[0].clone();
        block_on(vault.slots().change(&slot.id, raw(7))).unwrap();
    });
    block_on(today().open(store.clone(), passphrase())).unwrap();
    assert_eq!(store.hooks_left(), 0);
    assert_eq!(openers(&inner), [7]);
}

#[test]
fn an_upgrade_does_not_reach_a_store_that_was_retired_meanwhile() {
    let inner = load(&weak_passphrase());
    let store = Hooked::new(Arc::clone(&inner));
    let (source, target) = (Arc::clone(&inner), Arc::new(MemoryStore::new()));
    let theirs = Arc::clone(&target);
    store.once(Point::BeforeCommit, move || {
        let vault = block_on(quick().without_slot_upgrade().open(source, passphrase())).unwrap();
        block_on(vault.copy_to(&theirs, |_| ())).unwrap();
    });
    block_on(today().open(store.clone(), passphrase())).unwrap();
    assert_eq!(store.hooks_left(), 0);
    let slots = |rows: Rows| rows.into_iter().filter(|(key, _)| key.starts_with(&[0, 2])).collect::<Rows>();
    assert_eq!(slots(rows(&inner)), slots(rows(&target)), "what was copied is what stands");
}

#[test]
fn a_provider_that_fails_while_a_slot_is_made_leaves_the_slots_as_they_were() {
    let (base, id) = base();
    let hsm = FakeProvider::new("hsm");
    hsm.fail(Some(ProviderErrorKind::Unavailable));
    let store = Faulty::new(load(&base));
    let vault = block_on(Vault::open(store.clone(), unlock())).unwrap();
    assert!(block_on(vault.slots().add(Unlock::provider(Arc::new(hsm.clone())))).is_err());
    assert!(block_on(vault.slots().change(&id, Unlock::provider(Arc::new(hsm)))).is_err());
    assert_eq!((store.commits_len(), rows(&store)), (0, base));
}

#[test]
fn a_refused_key_commits_nothing() {
    let (base, _) = base();
    let passphrase_base = weak_passphrase();
    for (base, unlock) in [
        (&base, raw(6)),
        (&base, passphrase()),
        (&base, Unlock::provider(Arc::new(FakeProvider::new("hsm")))),
        (&passphrase_base, Unlock::passphrase("another")),
    ] {
        let store = Faulty::new(load(base));
        assert!(block_on(today().open(store.clone(), unlock)).is_err());
        assert_eq!(store.commits_len(), 0);
    }
}

/// A vault with slots of raw keys 7 and 8, and the id of the latter.
fn base() -> (Rows, SlotId) {
    let (store, vault) = crate::rig::empty();
    let spare = block_on(vault.slots().add(raw(8))).unwrap();
    (rows(&store), spare.id)
}

/// Which of the raw keys open the vault. Every slot is usable, and the history is that of the slots.
fn openers(store: &impl Store) -> Vec<u8> {
    let rows_now = rows(store);
    let opens = |key: &u8| block_on(Vault::open(load(&rows_now), raw(*key))).is_ok();
    let openers: Vec<u8> = (1..16).filter(opens).collect();
    let vault = block_on(Vault::open(load(&rows_now), raw(openers[0]))).unwrap();
    let slots = block_on(vault.slots().list()).unwrap();
    assert!(slots.iter().all(|slot| slot.is_usable) && slots.len() == openers.len());
    openers
}

fn weak_passphrase() -> Rows {
    let store = Arc::new(MemoryStore::new());
    block_on(quick().create(Arc::clone(&store), passphrase())).unwrap();
    rows(&store)
}

fn passphrase() -> Unlock {
    Unlock::passphrase("six words from a generator")
}

fn raw(byte: u8) -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([byte; 32]))
}

fn quick() -> VaultOptions {
    VaultOptions::default().argon2(Argon2Params::FLOOR)
}

fn today() -> VaultOptions {
    VaultOptions::default().argon2(TODAY)
}

const TODAY: Argon2Params = Argon2Params::new(20 * 1024, 2, 1);
