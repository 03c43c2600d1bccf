//! What a dropped keyring still holds, after rotations and amid them: looked up in the sealed row itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{DataKeys, Vault};
use strongroom_memory::MemoryStore;

use crate::audit::{self, KeyId, KeyScope, opened};
use crate::rig::{ORG, account, furnished, load, of_account, open, org, rows};

/// The keys that a keyring lists, and those that it knows as dropped.
fn keys(store: &Arc<MemoryStore>, scope: &KeyScope) -> (BTreeSet<KeyId>, BTreeSet<KeyId>) {
    let keyring = opened(&rows(store)).keyrings.remove(scope).unwrap();
    (keyring.deks.iter().map(|dek| dek.id).collect(), keyring.tombstones.into_iter().collect())
}

fn scope(account: Option<&str>) -> KeyScope {
    ([ORG.as_bytes(), b"\0test\0"].concat(), account.map(str::to_owned))
}

/// Rotates so often, and once more up to the point where the keyring holds two keys.
fn rotate(store: &Arc<MemoryStore>, vault: &Vault, rotations: usize, amid_another: bool) {
    for _ in 0..rotations {
        block_on(async { vault.rotate_data_keys(&DataKeys::all()).await.unwrap().run().await }).unwrap();
    }
    if amid_another {
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        while keys(store, &scope(Some("u"))).0.len() < 2 {
            block_on(job.step()).unwrap();
        }
    }
}

/// After any number of rotations, all keys of each scope are dropped and known as dropped, and a new one is none of
/// them.
fn assert_drops(scopes: &[KeyScope], verb: &impl AsyncFn(&Vault)) {
    for (rotations, amid_another) in [(0, false), (1, false), (3, false), (0, true), (3, true)] {
        let store = load(&furnished());
        let vault = open(Arc::clone(&store));
        rotate(&store, &vault, rotations, amid_another);
        let before: Vec<_> = scopes.iter().map(|scope| keys(&store, scope)).collect();
        block_on(verb(&vault));
        for (scope, (listed, dropped)) in scopes.iter().zip(&before) {
            let (left, now_dropped) = keys(&store, scope);
            assert_eq!(left, BTreeSet::new(), "after {rotations} rotations {scope:?} keeps a key");
            assert_eq!(now_dropped, listed | dropped, "after {rotations} rotations");
        }
        block_on(vault.run_jobs()).unwrap();
        audit::quiet(&store);

        block_on(async {
            org(&vault).define(crate::rig::text("AGAIN")).await?;
            org(&vault).set_value("AGAIN", of_account("u"), "again").await
        })
        .unwrap();
        let (fresh, dropped) = keys(&store, &scope(Some("u")));
        assert!(fresh.len() == 1 && fresh.is_disjoint(&dropped));
    }
}

#[test]
fn a_deleted_account_keeps_no_key_of_any_rotation() {
    assert_drops(&[scope(Some("u"))], &async |vault| {
        org(vault).delete_account(&account("u")).await.unwrap();
    });
}

#[test]
fn a_shredded_account_keeps_no_key_of_any_rotation() {
    assert_drops(&[scope(Some("a")), scope(Some("u"))], &async |vault| {
        for id in ["a", "u"] {
            drop(org(vault).shred_account(&account(id)).await.unwrap());
        }
    });
}

#[test]
fn a_shredded_org_keeps_no_key_of_any_rotation() {
    assert_drops(&[scope(None), scope(Some("a")), scope(Some("u"))], &async |vault| {
        drop(org(vault).shred().await.unwrap());
    });
}
