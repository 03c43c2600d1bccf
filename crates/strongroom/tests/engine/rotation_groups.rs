//! A rotation of many keys of one org: batches that serve many keys, and each key for itself where one is damaged.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Key, Store as _, WriteBatch};
use strongroom::{DataKeys, Error, JobOutcome, OnUnreadable, RootRotation, Vault, VaultOptions};
use strongroom_conformance::{Faulty, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, account, audit, base, dek_id, fill, furnished, load, of_account,
    of_workflow, open, org, rows, text, unlock,
};

/// More accounts than a rotation takes at once, each with two values and a credential.
const ACCOUNTS: usize = 40;

fn many() -> Rows {
    rows(&base(async |org| {
        org.define(text("V")).await?;
        org.define(text("W")).await?;
        for index in 0..ACCOUNTS {
            let id = format!("a{index:02}");
            org.set_value("V", of_account(&id), "v").await?;
            org.set_value("W", of_account(&id), "w").await?;
            org.create_account(account(&id)).with_credential("k", "c").await?;
        }
        Ok(())
    }))
}

fn keyring_of(rows: &Rows, id: &str) -> Vec<u8> {
    let is_its = |key: &RowKey| key.kind == Kind::Keyring && key.rest.starts_with(id.as_bytes());
    rows.keys().find(|key| is_its(&RowKey::parse(key))).unwrap().clone()
}

/// The keys under which the rows of a store are sealed, without those of one account.
fn deks_without(rows: &Rows, without: Option<&str>) -> BTreeSet<Vec<u8>> {
    let data = rows.iter().filter(|(key, _)| {
        let key = RowKey::parse(key);
        key.is_data() && (without.is_none() || key.scope_account().as_deref() != without)
    });
    data.map(|(_, row)| dek_id(row)).collect()
}

fn put(store: &Arc<MemoryStore>, key: &[u8], row: Vec<u8>) {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), row);
    block_on(store.commit(Arc::new(batch))).unwrap();
}

#[test]
fn a_batch_serves_many_keys() {
    let before = many();
    let store = Faulty::new(load(&before));
    let vault = open(store.clone());
    let begun = store.commits_len();
    let report = block_on(org(&vault).rotate_keys()).unwrap();
    let keys = 1 + ACCOUNTS as u64;
    assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (keys, keys));
    // For each of two groups: new keys, rows, the end of the old keys; and the job, its lease and its end.
    assert_eq!(store.commits_len() - begun, 2 * 3 + 3);
    let after = rows(&store);
    assert!(deks_without(&before, None).is_disjoint(&deks_without(&after, None)));
    audit(&store.reopen());
}

#[test]
fn a_keyring_that_cannot_be_read_keeps_no_other_key_from_its_turn() {
    let mut damaged = many();
    *damaged.get_mut(&keyring_of(&damaged.clone(), "a20")).unwrap().last_mut().unwrap() ^= 1;
    let store = load(&damaged);
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let report = block_on(job.run()).unwrap();
    let keys = ACCOUNTS as u64;
    assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Blocked, 1));
    assert!(report.progress.unreadable[0].row.contains("a20"), "{:?}", report.progress.unreadable);
    assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (keys, keys));
    let old = deks_without(&damaged, Some("a20"));
    assert!(old.is_disjoint(&deks_without(&rows(&store), Some("a20"))));
}

#[test]
fn a_keyring_that_is_damaged_while_its_rows_are_sealed_keeps_no_other_old_key() {
    let before = many();
    // In the middle of those that are taken together, and the last of all.
    for id in ["a20", "a39"] {
        let store = load(&before);
        let clock = TestClock::default();
        let options = || VaultOptions::default().clock(clock.clone());
        let vault = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        let key = keyring_of(&before, id);
        while rows(&store)[&key] == before[&key] {
            block_on(job.step()).unwrap();
        }
        let mut row = rows(&store)[&key].clone();
        *row.last_mut().unwrap() ^= 1;
        put(&store, &key, row);
        // An engine that has no keyring in its cache takes over, once the lease has ended.
        clock.set(60_000);
        let vault = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
        let report = block_on(vault.key_job(*job.id()).run()).unwrap();
        assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Blocked, 1), "{id}");
        assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (41, 40), "{id}");
        let old = deks_without(&before, Some(id));
        assert!(old.is_disjoint(&deks_without(&rows(&store), Some(id))), "{id}");
    }
}

#[test]
fn a_row_among_the_keyrings_that_is_none_hides_no_other() {
    let before = many();
    let store = load(&before);
    // An id ends with a zero byte: this is no key of the format.
    let mut none = keyring_of(&before, "a00");
    none.pop();
    put(&store, &none, b"none".to_vec());
    let vault = open(Arc::clone(&store));
    let report = block_on(org(&vault).rotate_keys()).unwrap();
    assert_eq!((report.progress.keys_made, report.progress.keys_destroyed), (41, 41));
}

#[test]
fn an_unreadable_row_keeps_the_old_key_of_its_scope_alone() {
    let mut damaged = many();
    let in_a20 = |key: &[u8]| RowKey::parse(key).scope_account().as_deref() == Some("a20");
    let row = damaged.iter_mut().find(|(key, _)| RowKey::parse(key).is_data() && in_a20(key)).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let store = load(&damaged);
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let report = block_on(job.run()).unwrap();
    assert_eq!(report.outcome, JobOutcome::Blocked);
    let progress = report.progress;
    assert_eq!((progress.failed, progress.keys_kept, progress.keys_destroyed), (1, 1, 40));
    block_on(job.retry(OnUnreadable::DestroyKeys)).unwrap();
    assert_eq!(block_on(job.run()).unwrap().progress.keys_destroyed, 41);
}

#[test]
fn a_rotation_of_many_keys_that_is_stopped_at_any_commit_goes_on_where_it_was() {
    let before = many();
    let left = RefCell::new(Vec::new());
    let rotate = async |store| {
        let vault = Vault::open(store, unlock()).await.unwrap();
        let Ok(job) = vault.rotate_data_keys(&DataKeys::all()).await else { return };
        while job.step().await.is_ok_and(|report| report.outcome == JobOutcome::Unfinished) {}
    };
    let commits_len = crash_at_every_commit(
        async || fill(&before).await,
        rotate,
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    assert!(commits_len >= 10, "{commits_len}");
    for (stop, store) in left.into_inner() {
        let vault = open(store.clone());
        block_on(vault.run_jobs()).unwrap();
        assert_eq!(deks_without(&rows(&store), None).len(), 41, "{stop:?}: one key a scope");
        let value = block_on(org(&vault).value("V", &of_account("a39"))).unwrap();
        assert!(value.is_some(), "{stop:?}");
        audit(&store);
    }
}

#[test]
fn a_row_in_front_of_the_keyrings_hides_none_of_them_from_a_rotation() {
    let store = load(&many());
    let keyring = RowKey::parse(&keyring_of(&rows(&store), "a00"));
    for planted in [vec![0], Vec::new()] {
        put(&store, &[&[1], &*keyring.tenant, &*planted].concat(), b"none".to_vec());
    }
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    assert_eq!(block_on(job.run()).unwrap().progress.keys_destroyed, 41);
    let new = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
    block_on(new.job.run()).unwrap();
    let value = block_on(org(&open(Arc::clone(&store))).value("V", &of_account("a39"))).unwrap();
    assert!(value.is_some(), "its keyring is under the new root");
}

#[test]
fn keys_that_change_in_the_middle_of_a_pass_begin_no_other_scope_again() {
    let store = base(async |org| {
        org.define(text("V")).await?;
        for index in 0..1_500 {
            org.set_value("V", of_workflow(&format!("w{index}")), "v").await?;
        }
        for id in ["a", "b"] {
            org.set_value("V", of_account(id), "v").await?;
        }
        Ok(())
    });
    let before = rows(&store);
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let done = || block_on(job.info()).unwrap().unwrap().progress.unwrap().done;
    while done() < 512 {
        block_on(job.step()).unwrap();
    }
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    let report = block_on(job.run()).unwrap();
    let data = before.keys().filter(|key| RowKey::parse(key).is_data()).count() as u64;
    assert_eq!((report.outcome, report.progress.done), (JobOutcome::Finished, data - 1));
    assert_eq!(deks_without(&rows(&store), None).len(), 2);
    audit(&store);
}

#[test]
fn a_keyring_that_is_damaged_at_any_moment_keeps_no_other_key_from_its_turn() {
    let before = furnished();
    let key = keyring_of(&before, "a");
    for skip in 0.. {
        let store = load(&before);
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = block_on(VaultOptions::default().cache_entries_max(0).open(hooked.clone(), unlock()));
        let job = block_on(vault.unwrap().rotate_data_keys(&DataKeys::all())).unwrap();
        let (there, key) = (Arc::clone(&store), key.clone());
        hooked.once_after(Point::AfterRead, skip, move || {
            let mut row = rows(&there)[&key].clone();
            *row.last_mut().unwrap() ^= 1;
            put(&there, &key, row);
        });
        block_on(job.run()).unwrap();
        if hooked.hooks_left() > 0 {
            break;
        }
        let old = deks_without(&before, Some("a"));
        assert!(old.is_disjoint(&deks_without(&rows(&store), Some("a"))), "{skip}");
    }
}

#[test]
fn a_keyring_that_was_put_back_ends_a_rotation_after_the_scopes_before_it() {
    let before = furnished();
    let store = load(&before);
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).rotate_keys()).unwrap();
    let once = rows(&store);
    let key = keyring_of(&before, "u");
    put(&store, &key, before[&key].clone());
    org(&vault).lock();
    block_on(org(&vault).unlock(unlock())).unwrap();
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let ended = block_on(job.run());
    assert!(matches!(ended, Err(Error::RolledBack { .. })), "{ended:?}");
    let old = deks_without(&once, Some("u"));
    assert!(old.is_disjoint(&deks_without(&rows(&store), Some("u"))));
}
