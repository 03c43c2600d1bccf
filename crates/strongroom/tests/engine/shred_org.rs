//! Shredding an org: nothing of it is left but the ids of its dropped keys, wherever it is cut short.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::KeyProvider;
use strongroom::{Assume, Environment, Error, IfChanged, RootRotation, ShredEffect, Unlock, Vault};
use strongroom_conformance::FakeProvider;
use strongroom_memory::MemoryStore;

use crate::rig::{
    Kind, ORG, RowKey, account, audit, furnished, load, of_account, open, org, rows, sound,
    stop_after_first_commit, text, verified, view,
};

#[test]
fn nothing_is_left_of_an_org_but_its_keyrings_without_keys_and_others_are_untouched() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let live = vault.org(ORG.parse().unwrap(), Environment::production());
    block_on(live.define(text("V"))).unwrap();
    let before = view(&live);
    let receipt = block_on(org(&vault).shred()).unwrap();
    assert_eq!(receipt.keys.len(), 3, "the org's, and those of two accounts");
    assert_eq!(receipt.root_id, vault.root_id());
    assert_eq!(view(&live), before);
    let left: Vec<_> = rows(&store).keys().map(|key| RowKey::parse(key)).collect();
    let of_test = left.iter().filter(|key| key.tenant.ends_with(b"\0test\0") && key.kind != Kind::Epoch);
    assert!(of_test.clone().all(|key| key.kind == Kind::Keyring), "{:?}", of_test.collect::<Vec<_>>());
    audit(&store);
    let again = block_on(org(&vault).shred()).unwrap();
    assert_eq!(again.keys, receipt.keys, "nothing more is there to drop");
}

#[test]
fn a_shredded_environment_is_not_listed_until_it_is_used_again() {
    let vault = open(load(&furnished()));
    let here = org(&vault);
    let listed = || block_on(here.environments()).unwrap().contains(here.environment());
    assert!(listed());
    let _ = block_on(here.shred()).unwrap();
    assert!(!listed());
    block_on(here.define(text("V"))).unwrap();
    assert!(listed());
}

#[test]
fn an_org_that_is_used_anew_gets_fresh_keys() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let receipt = block_on(org(&vault).shred()).unwrap();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await?;
        org.create_account(account("a")).with_credential("k", "new").await?;
        org.set_value("V", of_account("a"), "new").await?;
        Ok::<_, Error>(())
    })
    .unwrap();
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean(), "{report}");
    let again = block_on(org(&vault).shred()).unwrap();
    assert_eq!(again.keys.len(), receipt.keys.len() + 2, "two keys were made, and both are new");
    audit(&store);
}

#[test]
fn an_org_that_was_never_written_to_has_nothing_to_shred() {
    let (store, vault) = crate::rig::empty();
    assert!(block_on(org(&vault).shred()).unwrap().keys.is_empty());
    audit(&store);
}

/// Every way in which an org comes to be, each on one whose shred was cut short: it is finished first, so that
/// nothing new goes with the old.
#[test]
fn whoever_writes_first_after_a_crash_finishes_the_shred() {
    type Verb = fn(&Vault) -> Result<(), Error>;
    let verbs: [(&str, Verb); 3] = [
        ("define", |vault| block_on(org(vault).define(text("V"))).map(drop)),
        ("create_account", |vault| {
            block_on(async { org(vault).create_account(account("a")).with_credential("k", "new").await })
                .map(drop)
        }),
        ("put_record", |vault| {
            let records = org(vault).records("visitor".parse()?);
            block_on(records.put(&"r".parse()?, "new")).map(drop)
        }),
    ];
    for (name, verb) in verbs {
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
        sound(&store);
        let vault = open(Arc::clone(&store));
        verb(&vault).unwrap();
        let after = view(&org(&vault));
        audit(&store);
        assert_eq!(block_on(vault.run_jobs()).unwrap(), 0, "{name}");
        assert_eq!(view(&org(&open(Arc::clone(&store)))), after, "{name}");
    }
}

#[test]
fn what_another_engine_has_cached_of_a_shredded_org_is_served_no_more() {
    let store = load(&furnished());
    let other = open(Arc::clone(&store));
    let warm = view(&org(&other));
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    let seen = view(&org(&other));
    assert_ne!(seen, warm);
    assert_eq!(seen, view(&org(&open(crate::rig::empty().0))), "as one that was never there");
}

#[test]
fn a_record_whose_row_is_still_there_is_not_unchanged_after_a_shred() {
    let store = load(&furnished());
    let other = open(Arc::clone(&store));
    let (records, key) = (org(&other).records("seen".parse().unwrap()), "k".parse().unwrap());
    block_on(records.put(&key, "x")).unwrap();
    let IfChanged::Changed(_, stamp) = block_on(records.get_if_changed(&key, None)).unwrap() else {
        panic!("it was put");
    };
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    for name in ["ANEW", "AGAIN"] {
        let found = block_on(records.get_if_changed(&key, Some(&stamp))).unwrap();
        assert!(matches!(found, IfChanged::Absent), "{found:?}");
        block_on(org(&other).define(text(name))).unwrap();
    }
}

#[test]
fn the_shred_of_an_org_is_settled_as_that_of_an_account() {
    let hsm = FakeProvider::new("hsm");
    let unlock = || Unlock::provider(Arc::new(hsm.clone()));
    let vault = block_on(Vault::create(Arc::new(MemoryStore::new()), unlock())).unwrap();
    block_on(org(&vault).define(text("V"))).unwrap();
    let receipt = block_on(org(&vault).shred()).unwrap();
    hsm.use_key(strongroom::provider::ProviderKey::new("key-2", 1));
    let new = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    block_on(new.job.run()).unwrap();
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    let sure = [Assume::NoOtherProcess, Assume::NoBackup];
    let settled = block_on(vault.settle_shred(receipt, &providers, &sure)).unwrap();
    assert!(matches!(settled.effect, ShredEffect::KeyDestroyed { .. }), "{:?}", settled.effect);
}

#[test]
fn a_file_of_an_org_whose_shred_was_cut_short_holds_nothing_of_it() {
    let store = load(&furnished());
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    let vault = open(Arc::clone(&store));
    let mut file = Vec::new();
    let passphrase = || Unlock::passphrase("six words from a generator");
    block_on(vault.backup_org(ORG.parse().unwrap(), passphrase(), &mut file, |_| ())).unwrap();
    verified(&store);
    assert!(file.len() < 2_000, "{} bytes", file.len());
}
