//! Shredding an org: nothing of it is left but the ids of its dropped keys, wherever it is cut short.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::KeyProvider;
use strongroom::store::StoreErrorKind::{Contention, Unavailable};
use strongroom::store::{Store, WriteBatch};
use strongroom::{
    Assume, AuditNote, Environment, Error, IfChanged, RootRotation, Scope, ShredEffect, ShredReceipt, Unlock,
    Vault,
};
use strongroom_conformance::{FakeProvider, Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Kind, ORG, Point, RowKey, account, audit, furnished, is_of_tenant, load, of_account, open, org,
    rows, sound, stop_after_first_commit, text, verified, view,
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
    assert_nothing_left(&store);
    let again = block_on(org(&vault).shred()).unwrap();
    assert_eq!(again.keys, receipt.keys, "nothing more is there to drop");
}

/// Of the org there are keyrings without keys, and nothing else.
fn assert_nothing_left(store: &impl Store) {
    let left: Vec<_> = rows(store).keys().map(|key| RowKey::parse(key)).collect();
    let of_test = left.iter().filter(|key| key.tenant.ends_with(b"\0test\0") && key.kind != Kind::Epoch);
    assert!(of_test.clone().all(|key| key.kind == Kind::Keyring), "{:?}", of_test.collect::<Vec<_>>());
    audit(store);
}

#[test]
fn a_shred_that_loses_a_race_for_any_of_its_batches_leaves_no_more_than_another() {
    let base = furnished();
    let alone = block_on(org(&open(load(&base))).shred()).unwrap().keys;
    for commit in 0.. {
        let store = Faulty::new(load(&base)).on_commits(commit..=commit, Fault::Before(Contention));
        let vault = open(store.clone());
        let receipt = block_on(org(&vault).shred()).unwrap();
        assert_eq!(receipt.keys, alone, "commit {commit}");
        drop(vault);
        assert_nothing_left(&store.reopen());
        if store.commits_len() <= commit {
            break;
        }
    }
}

#[test]
fn a_shred_that_a_new_root_overtakes_at_any_batch_leaves_no_more_than_another() {
    let base = furnished();
    let alone = block_on(org(&open(load(&base))).shred()).unwrap().keys;
    for skip in 0.. {
        let store = load(&base);
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let other = vault.clone();
        hooked.once_after(Point::BeforeCommit, skip, move || {
            let new = block_on(other.rotate_root(RootRotation::new().keep(crate::rig::unlock()))).unwrap();
            block_on(new.job.run()).unwrap();
        });
        let receipt = block_on(org(&vault).shred()).unwrap();
        if hooked.hooks_left() > 0 {
            break;
        }
        assert_eq!(receipt.keys, alone, "before commit {skip}");
        assert_nothing_left(&store);
    }
}

#[test]
fn an_outage_at_any_read_of_a_shred_is_told() {
    let base = furnished();
    for read in 0.. {
        let store = Faulty::new(load(&base));
        let vault = open(store.clone());
        let opened = store.reads_len();
        let store = store.on_reads(opened + read..=opened + read, Fault::Before(Unavailable));
        let answer = block_on(org(&vault).shred());
        if store.reads_len() <= opened + read {
            break;
        }
        assert!(matches!(answer, Err(Error::Store(_))), "read {read}: {answer:?}");
    }
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
fn a_note_in_the_audit_of_an_org_whose_shred_was_cut_short_comes_after_the_shred() {
    let store = load(&furnished());
    stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    let vault = open(Arc::clone(&store));
    block_on(vault.change_settings(|settings| settings.audit = true)).unwrap();
    assert_eq!(block_on(org(&vault).note(&[AuditNote::vault_operated("backup")])).unwrap(), 1);
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 0);
    audit(&store);
    assert_eq!(view(&org(&vault)), view(&org(&open(crate::rig::empty().0))), "as one that was never there");
    assert!(
        block_on(org(&vault).shred()).unwrap().keys.len() > 3,
        "the keys of accounts were dropped as well"
    );
    assert_nothing_left(&store);
}

#[test]
fn no_account_gets_its_first_key_in_the_middle_of_a_shred() {
    let store = crate::rig::base(async |org| org.define(text("V")).await.map(drop));
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let vault = open(hooked.clone());
    hooked.once(Point::BeforeCommit, move || {
        stop_after_first_commit(&store, async |org| assert!(org.shred().await.is_err()));
    });
    let set = block_on(org(&vault).set_value("V", of_account("a"), "v"));
    assert!(matches!(set, Err(Error::DefinitionNotFound(_))), "{set:?}");
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
    let vault = block_on(Vault::create(Arc::new(MemoryStore::new()), provided(&hsm))).unwrap();
    block_on(org(&vault).define(text("V"))).unwrap();
    let receipt = block_on(org(&vault).shred()).unwrap();
    let effect = settle_under_a_new_root(&vault, &hsm, receipt);
    assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{effect:?}");
}

fn provided(hsm: &FakeProvider) -> Unlock {
    Unlock::provider(Arc::new(hsm.clone()))
}

fn settle_under_a_new_root(vault: &Vault, hsm: &FakeProvider, receipt: ShredReceipt) -> ShredEffect {
    hsm.use_key(strongroom::provider::ProviderKey::new("key-2", 1));
    let new = block_on(vault.rotate_root(RootRotation::new().keep(provided(hsm)))).unwrap();
    block_on(new.job.run()).unwrap();
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(hsm.clone())];
    let sure = [Assume::NoOtherProcess, Assume::NoBackup];
    block_on(vault.settle_shred(receipt, &providers, &sure)).unwrap().effect
}

#[test]
fn the_keys_of_a_keyring_that_the_store_shows_only_at_the_end_are_noted_as_well() {
    for skip in 0.. {
        let (store, hsm) = (Arc::new(MemoryStore::new()), FakeProvider::new("hsm"));
        let vault = block_on(Vault::create(Arc::clone(&store), provided(&hsm))).unwrap();
        block_on(org(&vault).create_account(account("a")).with_credential("k", "c").into_future()).unwrap();
        block_on(org(&vault).delete_account(&account("a"))).unwrap();
        let is_accounts = |key: &RowKey| key.kind == Kind::Keyring && !key.rest.is_empty();
        let (key, row) = rows(&store).into_iter().find(|(key, _)| is_accounts(&RowKey::parse(key))).unwrap();
        let commit = |batch: WriteBatch| block_on(store.commit(Arc::new(batch))).unwrap();
        let mut hide = WriteBatch::default();
        hide.delete(key.clone().into());
        commit(hide);

        let hooked = Hooked::new(Arc::clone(&store));
        let vault = block_on(Vault::open(hooked.clone(), provided(&hsm))).unwrap();
        let inner = Arc::clone(&store);
        hooked.once_after(Point::AfterCommit, skip, move || {
            let mut show = WriteBatch::default();
            show.put(key.into(), row);
            block_on(inner.commit(Arc::new(show))).unwrap();
        });
        let receipt = block_on(org(&vault).shred()).unwrap();
        if hooked.hooks_left() > 0 {
            assert!(skip > 2, "a shred makes more than {skip} commits");
            break;
        }
        assert_eq!(receipt.keys.len(), 2, "shown after commit {skip}");
        let effect = settle_under_a_new_root(&vault, &hsm, receipt);
        assert!(matches!(effect, ShredEffect::KeyDestroyed { .. }), "{skip}: {effect:?}");
    }
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

#[test]
fn a_job_that_a_delete_left_goes_with_its_org() {
    let store = load(&furnished());
    stop_after_first_commit(&store, async |org| drop(org.delete_definition("V").await));
    let _ = block_on(org(&open(Arc::clone(&store))).shred()).unwrap();
    assert_nothing_left(&store);
    assert!(rows(&store).keys().all(|key| RowKey::parse(key).kind != Kind::Job));
}

#[test]
fn a_shred_that_another_engine_finishes_is_noted_so_that_no_keyring_put_back_opens() {
    let before = furnished();
    let store = load(&before);
    stop_after_first_commit(&store, async |org| drop(org.shred().await));
    block_on(open(Arc::clone(&store)).run_jobs()).unwrap();
    let mut put_back = rows(&store);
    put_back.extend(before.into_iter().filter(|(key, _)| is_of_tenant(key)));
    let value = block_on(org(&open(load(&put_back))).value("V", Scope::Org));
    assert!(matches!(value, Err(Error::DefinitionNotFound(_))), "{value:?}");
}
