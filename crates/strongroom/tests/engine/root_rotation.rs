//! A new root key: every slot accounted for, every keyring sealed again, no data touched.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::ProviderKey;
use strongroom::store::StoreErrorKind::{Contention, Indeterminate, Unavailable};
use strongroom::store::{Store, WriteBatch};
use strongroom::{
    Argon2Params, Backup, Damage, DataKeys, Error, JobKind, JobOutcome, OnUnreadable, PageRequest, RawKey,
    RootRotation, Scope, SlotError, SlotId, Unlock, Vault, VaultOptions,
};
use strongroom_conformance::{FakeProvider, Fault, Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, account, audit, dek_id, fill, furnished, load, of_account, open, org,
    rows, stop_after_first_commit, text,
};
use crate::rig::{unlock, view};

fn keep_all() -> RootRotation {
    RootRotation::new().keep(unlock())
}

/// Whether the root seals the row.
fn is_root_row(key: &RowKey) -> bool {
    matches!(key.kind, Kind::StoreRow | Kind::Job | Kind::KeyJob | Kind::Keyring)
}

/// The roots under which the rows of a store are sealed.
fn roots(rows: &Rows) -> BTreeSet<Vec<u8>> {
    rows.iter().filter(|(key, _)| is_root_row(&RowKey::parse(key))).map(|(_, row)| dek_id(row)).collect()
}

fn all() -> PageRequest {
    PageRequest::first(PageRequest::LIMIT_MAX)
}

#[test]
fn a_root_that_landed_is_no_failure_if_it_cannot_be_read_back() {
    let store = Faulty::new(load(&furnished()));
    let vault = open(store.clone());
    // The next read is that of the slots.
    let after = store.reads_len() + 1;
    drop(store.clone().on_reads(after..=after, Fault::Before(Unavailable)));
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    assert_eq!(block_on(new.job.run()).unwrap().outcome, JobOutcome::Finished);
    assert_eq!(vault.root_id(), new.root_id);
}

#[test]
fn every_row_under_the_root_is_sealed_anew_and_no_other() {
    let before = furnished();
    let store = load(&before);
    let vault = open(Arc::clone(&store));
    let (seen, old) = (view(&org(&vault)), vault.root_id());
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    assert_eq!((new.kept.len(), new.dropped.len()), (1, 0));
    assert_eq!(block_on(vault.jobs(all())).unwrap().items[0].kind, JobKind::Root);
    assert_eq!(vault.root_id(), new.root_id);
    let report = block_on(new.job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.done), (JobOutcome::Finished, 3), "three keyrings");

    let after = rows(&store);
    assert_eq!(roots(&after), BTreeSet::from([new.root_id.as_bytes().to_vec()]));
    for (key, row) in &before {
        let root_row = is_root_row(&RowKey::parse(key)) || RowKey::parse(key).kind == Kind::Slot;
        assert_eq!(after[key] == *row, !root_row, "{:?}", RowKey::parse(key));
    }
    assert_ne!(vault.root_id(), old);
    for vault in [vault, open(Arc::clone(&store))] {
        assert_eq!(view(&org(&vault)), seen);
        block_on(org(&vault).set_value("S", of_account("new"), "first of its scope")).unwrap();
        block_on(org(&vault).delete_value("S", &of_account("new"))).unwrap();
    }
    audit(&store);
}

#[test]
fn a_root_is_rotated_as_often_as_one_likes_and_beside_data_keys() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let seen = view(&org(&vault));
    for _ in 0..3 {
        let data = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        for _ in 0..5 {
            block_on(data.step()).unwrap();
        }
        let new = block_on(vault.rotate_root(keep_all())).unwrap();
        assert!(matches!(block_on(vault.rotate_root(keep_all())), Err(Error::RotationUnderway)));
        assert!(matches!(block_on(new.job.abandon()), Err(Error::RotationUnderway)));
        assert_eq!(block_on(data.run()).unwrap().outcome, JobOutcome::Finished);
        assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
        assert_eq!(view(&org(&vault)), seen);
    }
    assert_eq!(roots(&rows(&store)).len(), 1);
    audit(&store);
}

#[test]
fn a_slot_that_is_neither_presented_nor_dropped_is_refused_and_nothing_is_written() {
    let store = load(&furnished());
    let options = || VaultOptions::default().argon2(Argon2Params::FLOOR);
    let vault = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
    let spare = block_on(vault.slots().add(Unlock::passphrase("spare"))).unwrap();
    let before = rows(&store);
    let try_with = |rotation: RootRotation| block_on(vault.rotate_root(rotation)).unwrap_err();
    let no_slot: SlotId = "00000000000000000000000000000000".parse().unwrap();
    let wrong = || Unlock::raw_key(RawKey::from_bytes([8; 32]));

    assert!(matches!(try_with(keep_all()), Error::Slot(SlotError::NotPresented(id)) if id == spare.id));
    assert!(matches!(try_with(keep_all().keep(Unlock::passphrase("wrong"))), Error::WrongKey));
    assert!(matches!(try_with(keep_all().keep(wrong()).drop_slot(spare.id)), Error::WrongKey));
    assert!(matches!(
        try_with(keep_all().drop_slot(no_slot).drop_slot(spare.id)),
        Error::Slot(SlotError::NotFound(_))
    ));
    let everything = block_on(vault.slots().list())
        .unwrap()
        .into_iter()
        .fold(RootRotation::new(), |all, slot| all.drop_slot(slot.id));
    assert!(matches!(try_with(everything), Error::Slot(SlotError::Last)));
    assert_eq!(rows(&store), before);

    let new = block_on(vault.rotate_root(keep_all().keep(Unlock::passphrase("spare")))).unwrap();
    assert_eq!(new.kept.len(), 2);
    block_on(new.job.run()).unwrap();
    for key in [unlock(), Unlock::passphrase("spare")] {
        let again = block_on(options().open(Arc::clone(&store), key)).unwrap();
        assert_eq!(again.root_id(), new.root_id);
    }
}

#[test]
fn a_dropped_slot_opens_the_vault_no_more() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let other = || Unlock::raw_key(RawKey::from_bytes([8; 32]));
    let spare = block_on(vault.slots().add(other())).unwrap();
    let slot = rows(&store).into_iter().find(|(key, _)| key.ends_with(spare.id.as_bytes())).unwrap();
    let new = block_on(vault.rotate_root(keep_all().drop_slot(spare.id))).unwrap();
    assert_eq!(new.dropped, [spare.id]);
    block_on(new.job.run()).unwrap();
    assert!(matches!(block_on(Vault::open(Arc::clone(&store), other())), Err(Error::WrongKey)));
    // Nor does its row, put back: it leads to the former root.
    let mut replayed = rows(&store);
    replayed.insert(slot.0, slot.1);
    let opened = block_on(Vault::open(load(&replayed), other()));
    assert!(matches!(opened, Err(Error::UnknownKey { .. } | Error::Damaged { .. })), "{opened:?}");
    assert_eq!(view(&org(&open(load(&replayed)))), view(&org(&vault)));
}

#[test]
fn a_slot_whose_row_is_hidden_keeps_a_rotation_back_unless_it_is_dropped_by_its_id() {
    let base = load(&furnished());
    let other = || Unlock::raw_key(RawKey::from_bytes([8; 32]));
    let spare = block_on(open(Arc::clone(&base)).slots().add(other())).unwrap().id;
    let mut hidden = rows(&base);
    let (key, row) = hidden.iter().find(|(key, _)| key.ends_with(spare.as_bytes())).unwrap();
    let slot = (key.clone(), row.clone());
    hidden.remove(&slot.0);
    let store = load(&hidden);
    let vault = open(Arc::clone(&store));
    for rotation in [keep_all(), keep_all().keep(other())] {
        let refused = block_on(vault.rotate_root(rotation)).unwrap_err();
        assert!(matches!(refused, Error::Slot(SlotError::RowMissing(id)) if id == spare), "{refused:?}");
    }
    assert_eq!(rows(&store), hidden);

    let new = block_on(vault.rotate_root(keep_all().drop_slot(spare))).unwrap();
    assert_eq!((new.kept.len(), new.dropped.as_slice()), (1, &[spare][..]));
    block_on(new.job.run()).unwrap();
    assert_eq!(block_on(vault.slots().list()).unwrap().len(), 1);
    let mut back = rows(&store);
    back.insert(slot.0, slot.1);
    assert!(block_on(Vault::open(load(&back), other())).is_err());
}

#[test]
fn a_rotation_whose_job_the_store_hides_is_finished_all_the_same() {
    let base = load(&furnished());
    let _begun = block_on(open(Arc::clone(&base)).rotate_root(keep_all())).unwrap();
    let mut hidden = rows(&base);
    hidden.retain(|key, _| RowKey::parse(key).kind != Kind::KeyJob);
    let store = load(&hidden);
    let vault = open(Arc::clone(&store));
    assert!(matches!(block_on(vault.rotate_root(keep_all())), Err(Error::RotationUnderway)));
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    assert_eq!(roots(&rows(&store)).len(), 1);
    let again = block_on(vault.rotate_root(keep_all())).unwrap();
    block_on(again.job.run()).unwrap();
    audit(&store);
}

#[test]
fn an_altered_slot_is_damage_unless_it_is_dropped() {
    let base = load(&furnished());
    let vault = open(Arc::clone(&base));
    let spare = block_on(vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32])))).unwrap();
    let mut altered = rows(&base);
    let (_, row) = altered.iter_mut().find(|(key, _)| key.ends_with(spare.id.as_bytes())).unwrap();
    *row.last_mut().unwrap() ^= 1;
    let store = load(&altered);
    let vault = open(Arc::clone(&store));
    let both = keep_all().keep(Unlock::raw_key(RawKey::from_bytes([8; 32])));
    assert!(matches!(block_on(vault.rotate_root(both)), Err(Error::Damaged { .. })));
    assert_eq!(rows(&store), altered);
    let new = block_on(vault.rotate_root(keep_all().drop_slot(spare.id))).unwrap();
    assert_eq!(block_on(new.job.run()).unwrap().outcome, JobOutcome::Finished);
}

#[test]
fn an_engine_that_holds_the_old_root_alone_is_told_and_damages_nothing() {
    let store = load(&furnished());
    let (one, other) = (open(Arc::clone(&store)), open(Arc::clone(&store)));
    let seen = view(&org(&one));
    assert_eq!(view(&org(&other)), seen);
    let new = block_on(one.rotate_root(keep_all())).unwrap();
    let first = |vault: &Vault, id: &str| block_on(org(vault).set_value("S", of_account(id), "s"));
    assert!(matches!(first(&other, "new"), Err(Error::RootRotated)), "before the sweep");
    block_on(new.job.run()).unwrap();
    assert!(matches!(first(&other, "new"), Err(Error::RootRotated)), "after it");
    assert!(matches!(block_on(other.rotate_root(keep_all())), Err(Error::RootRotated)));
    assert!(matches!(block_on(other.rotate_data_keys(&DataKeys::all())), Err(Error::RootRotated)));
    assert!(matches!(block_on(org(&other).delete_account(&account("a"))), Err(Error::RootRotated)));
    assert!(matches!(block_on(org(&other).set_value("V", Scope::Org, "v")), Err(Error::RootRotated)));
    assert_eq!(view(&org(&one)), seen);
    first(&one, "new").unwrap();
    first(&open(Arc::clone(&store)), "newer").unwrap();
    audit(&store);
}

#[test]
fn a_keyring_that_does_not_open_keeps_the_old_root_unless_forced() {
    let mut damaged = furnished();
    let is_accounts = |key: &RowKey| key.kind == Kind::Keyring && !key.rest.is_empty();
    let row = damaged.iter_mut().find(|(key, _)| is_accounts(&RowKey::parse(key))).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let store = load(&damaged);
    let vault = open(Arc::clone(&store));
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    let report = block_on(new.job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Blocked, 1));
    assert!(report.progress.unreadable[0].row.contains("keyring"));
    let vault = open(Arc::clone(&store));
    let job = vault.key_job(*new.job.id());
    block_on(job.retry(OnUnreadable::DestroyKeys)).unwrap();
    assert_eq!(block_on(job.run()).unwrap().outcome, JobOutcome::Finished);
    let _rotation = block_on(open(Arc::clone(&store)).rotate_root(keep_all())).unwrap();
}

#[test]
fn a_new_root_that_was_told_to_destroy_the_old_one_does_although_a_keyring_does_not_open() {
    let mut damaged = furnished();
    let is_accounts = |key: &RowKey| key.kind == Kind::Keyring && !key.rest.is_empty();
    let row = damaged.iter_mut().find(|(key, _)| is_accounts(&RowKey::parse(key))).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let vault = open(load(&damaged));
    let rotation = keep_all().on_unreadable(OnUnreadable::DestroyKeys);
    let report = block_on(block_on(vault.rotate_root(rotation)).unwrap().job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.failed), (JobOutcome::Finished, 1));
}

#[test]
fn a_slot_that_was_put_back_with_a_former_root_is_not_taken_for_one_that_is_kept() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let before = rows(&store);
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    block_on(new.job.run()).unwrap();
    let mut put_back = WriteBatch::default();
    let is_slot = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Slot;
    before.into_iter().filter(|(key, _)| is_slot(key)).for_each(|(key, row)| put_back.put(key.into(), row));
    block_on(store.commit(Arc::new(put_back))).unwrap();
    let refused = block_on(vault.rotate_root(keep_all()));
    assert!(matches!(refused, Err(Error::Damaged { cause: Damage::Inconsistent, .. })), "{refused:?}");
}

#[test]
fn slots_of_two_devices_of_one_kind_are_each_kept_by_its_own() {
    let devices = ["key-1", "key-2"].map(|name| {
        let device = FakeProvider::new("hsm");
        device.use_key(ProviderKey::new(name, 1));
        device
    });
    let key = |device: &FakeProvider| Unlock::provider(Arc::new(device.clone()));
    devices[1].forget(&ProviderKey::new("key-1", 1));
    let vault = block_on(Vault::create(MemoryStore::new(), key(&devices[0]))).unwrap();
    block_on(vault.slots().add(key(&devices[1]))).unwrap();
    for rotation in [[0, 1], [1, 0]] {
        let rotation = rotation.into_iter().fold(RootRotation::new(), |all, at| all.keep(key(&devices[at])));
        let new = block_on(vault.rotate_root(rotation)).unwrap();
        assert_eq!(new.kept.len(), 2);
        block_on(new.job.run()).unwrap();
    }
}

/// Whatever job is left is run; then every root row is under the root that opens the vault.
fn check_resumed(store: &(impl Store + Clone), before: &Rows, what: &str) {
    let vault = open(store.clone());
    let seen = view(&org(&open(load(before))));
    assert_eq!(view(&org(&vault)), seen, "{what}");
    block_on(org(&vault).set_value("S", of_account("z"), "s")).unwrap();
    block_on(org(&vault).delete_value("S", &of_account("z"))).unwrap();
    block_on(vault.run_jobs()).unwrap();
    assert!(block_on(vault.jobs(all())).unwrap().items.is_empty(), "{what}: a job is left");
    let vault = open(store.clone());
    assert_eq!(view(&org(&vault)), seen, "{what}, resumed");
    assert_eq!(roots(&rows(store)), BTreeSet::from([vault.root_id().as_bytes().to_vec()]), "{what}");
    audit(store);
}

async fn rotate(vault: &Vault) -> Result<JobOutcome, Error> {
    Ok(vault.rotate_root(keep_all()).await?.job.run().await?.outcome)
}

#[test]
fn a_rotation_that_is_stopped_at_any_commit_goes_on_where_it_was() {
    let before = furnished();
    let left = RefCell::new(Vec::new());
    let commits_len = crash_at_every_commit(
        async || fill(&before).await,
        async |store| drop(rotate(&Vault::open(store, unlock()).await.unwrap()).await),
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    assert!(commits_len >= 3, "{commits_len}");
    for (stop, store) in left.into_inner() {
        let old = open(load(&before)).root_id();
        assert_eq!(open(store.clone()).root_id() == old, stop == Stop::Before(0), "{stop:?}");
        check_resumed(&store, &before, &format!("{stop:?}"));
    }
}

#[test]
fn a_rotation_whose_answers_get_lost_goes_on_where_it_was() {
    let before = furnished();
    for fault in [
        Fault::Before(Indeterminate),
        Fault::After(Indeterminate),
        Fault::Before(Contention),
        Fault::Before(Unavailable),
    ] {
        for commit in 0.. {
            let store = Faulty::new(load(&before)).on_commits(commit..=commit, fault);
            let vault = open(store.clone());
            let outcome = block_on(rotate(&vault));
            let what = format!("{fault:?} at commit {commit}");
            assert!(
                matches!(outcome, Ok(JobOutcome::Finished) | Err(Error::Store(_))),
                "{what}: {outcome:?}"
            );
            if store.commits_len() <= commit {
                break;
            }
            block_on(org(&vault).set_value("S", of_account("y"), "s")).unwrap();
            block_on(org(&vault).delete_value("S", &of_account("y"))).unwrap();
            drop(vault);
            check_resumed(&store.reopen(), &before, &what);
        }
    }
}

#[test]
fn an_engine_whose_answers_get_lost_for_good_still_knows_its_own_root() {
    let before = furnished();
    let store = Faulty::new(load(&before))
        .on_commits(0..=0, Fault::After(Indeterminate))
        .on_reads(1..=1, Fault::Before(Unavailable));
    let vault = open(store.clone());
    let lost = block_on(vault.rotate_root(keep_all()));
    let seen = block_on(org(&vault).set_value("S", of_account("y"), "s"));
    assert!(lost.is_ok() || seen.is_ok(), "{lost:?} {seen:?}");
    block_on(vault.run_jobs()).unwrap();
    assert_eq!(roots(&rows(&store)), BTreeSet::from([vault.root_id().as_bytes().to_vec()]));
}

#[test]
fn a_backup_of_a_rotation_under_way_comes_back_with_a_job_that_finishes_it() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let seen = view(&org(&vault));
    let _rotation = block_on(vault.rotate_root(keep_all())).unwrap();
    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();

    let restored = Arc::new(MemoryStore::new());
    let backup = block_on(Backup::open(Cursor::new(&file), unlock())).unwrap();
    let vault = block_on(backup.replace_original(Arc::clone(&restored), |_| ())).unwrap();
    assert_eq!(block_on(vault.jobs(all())).unwrap().items[0].kind, JobKind::Root);
    assert!(matches!(block_on(vault.rotate_root(keep_all())), Err(Error::RotationUnderway)));
    for vault in [open(load(&rows(&restored))), vault] {
        block_on(vault.run_jobs()).unwrap();
        let _rotation = block_on(vault.rotate_root(keep_all())).unwrap();
        block_on(vault.run_jobs()).unwrap();
        assert_eq!(view(&org(&vault)), seen);
    }
    assert_eq!(roots(&rows(&restored)).len(), 1, "nothing is left under a former root");
    audit(&restored);
}

#[test]
fn many_tenants_are_all_found() {
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(Vault::create(Arc::clone(&store), unlock())).unwrap();
    for index in 0..150 {
        let org = vault.org(format!("{index:024x}").parse().unwrap(), "e".parse().unwrap());
        block_on(org.define(text("V"))).unwrap();
        block_on(org.set_value("V", of_account("a"), "v")).unwrap();
    }
    let new = block_on(vault.rotate_root(keep_all())).unwrap();
    let report = block_on(new.job.run()).unwrap();
    assert_eq!((report.outcome, report.progress.done), (JobOutcome::Finished, 300));
    assert_eq!(roots(&rows(&store)).len(), 1);
}

/// A verb of the whole vault.
type Whole = (&'static str, fn(&Vault) -> Result<(), Error>);

const WHOLE: [Whole; 9] = [
    ("slot list", |vault| block_on(vault.slots().list()).map(drop)),
    ("slot add", |vault| block_on(vault.slots().add(Unlock::raw_key(RawKey::from_bytes([9; 32])))).map(drop)),
    ("slot remove", |vault| {
        let spare = block_on(vault.slots().add(Unlock::raw_key(RawKey::from_bytes([9; 32]))))?;
        block_on(vault.slots().remove(&spare.id))
    }),
    ("rotate data keys", |vault| block_on(vault.rotate_data_keys(&DataKeys::all())).map(drop)),
    ("jobs", |vault| block_on(vault.jobs(all())).map(drop)),
    ("run jobs", |vault| block_on(vault.run_jobs()).map(drop)),
    ("settle shred", |vault| {
        let receipt = block_on(org(vault).shred_account(&account("a")))?;
        block_on(vault.settle_shred(receipt, &[], &[])).map(drop)
    }),
    ("backup an org", |vault| {
        let key = Unlock::raw_key(RawKey::from_bytes([9; 32]));
        let (org, file) = (crate::rig::ORG.parse().unwrap(), &mut Vec::new());
        block_on(vault.backup_org(org, key, file, |_| ())).map(drop)
    }),
    ("verify", |vault| {
        let report = block_on(vault.verify())?;
        assert!(report.is_clean(), "{report}");
        Ok(())
    }),
];

/// Runs a verb while its own engine gets a new root: at any of its reads.
fn overtaken(
    base: &Rows,
    name: &str,
    (points, by): (&[Point], fn(&Vault)),
    run: impl Fn(&Vault) -> Result<(), Error>,
) {
    for &point in points {
        for skip in 0.. {
            let hooked = Hooked::new(load(base));
            let vault = open(hooked.clone());
            let other = vault.clone();
            hooked.once_after(point, skip, move || by(&other));
            if let Err(error) = run(&vault) {
                panic!("{name}, {point:?} {skip}: {error:?}");
            }
            if hooked.hooks_left() > 0 {
                break;
            }
        }
    }
}

#[test]
fn a_verb_that_a_new_root_of_its_own_engine_overtakes_is_not_told_of_damage_or_another_engine() {
    let base = furnished();
    // Where the verb made a slot meanwhile, its key is not presented.
    let new_root: (&[Point], fn(&Vault)) = (&[Point::BeforeRead, Point::AfterRead], |vault| {
        drop(block_on(vault.rotate_root(keep_all())));
    });
    for (name, run) in WHOLE {
        overtaken(&base, name, new_root, run);
    }
    for verb in crate::rig::verbs() {
        overtaken(&base, verb.name, new_root, |vault| block_on(verb.run(org(vault))).map(drop));
    }
}

/// A new root, and the end of the one before it, while what was read is on its way.
const TO_THE_END: (&[Point], fn(&Vault)) = (&[Point::AfterRead], |vault| {
    // Where the verb made a slot meanwhile, its key is not presented.
    if let Ok(rotated) = block_on(vault.rotate_root(keep_all())) {
        block_on(rotated.job.run()).unwrap();
    }
});

#[test]
fn a_verb_that_a_whole_rotation_of_the_root_overtakes_does_what_it_does_alone() {
    let base = furnished();
    for (name, run) in WHOLE {
        overtaken(&base, name, TO_THE_END, run);
    }
    for verb in crate::rig::verbs() {
        let after = verb.view_after(&base);
        overtaken(&base, verb.name, TO_THE_END, |vault| {
            block_on(verb.run(org(vault)))?;
            assert_eq!(view(&org(vault)), after, "{}", verb.name);
            Ok(())
        });
    }
}

#[test]
fn the_receipt_of_a_shred_that_a_whole_rotation_of_the_root_overtakes_has_every_key() {
    let base = furnished();
    let keys = block_on(org(&open(load(&base))).shred()).unwrap().keys;
    overtaken(&base, "shred", TO_THE_END, |vault| {
        assert_eq!(block_on(org(vault).shred())?.keys, keys);
        Ok(())
    });
}

#[test]
fn jobs_that_a_whole_rotation_of_the_root_overtakes_go_on() {
    for verb in crate::rig::verbs().into_iter().filter(crate::rig::Verb::cascades) {
        let store = load(&furnished());
        stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
        overtaken(&rows(&store), verb.name, TO_THE_END, |vault| block_on(vault.run_jobs()).map(drop));
    }
}

#[test]
fn a_job_on_keys_that_a_whole_rotation_of_the_root_overtakes_goes_on() {
    let store = load(&furnished());
    let job = block_on(open(Arc::clone(&store)).rotate_data_keys(&DataKeys::all())).unwrap();
    for _ in 0..4 {
        block_on(job.step()).unwrap();
    }
    let id = *job.id();
    overtaken(&rows(&store), "job", TO_THE_END, |vault| {
        let job = vault.key_job(id);
        assert!(block_on(job.info())?.is_some());
        assert_eq!(block_on(job.run())?.outcome, JobOutcome::Finished);
        Ok(())
    });
}

#[test]
fn a_verb_between_a_new_root_and_its_answer_is_not_told_of_damage_or_another_engine() {
    let base = furnished();
    for (name, run) in WHOLE {
        let hooked = Hooked::new(load(&base));
        let vault = open(hooked.clone());
        let other = vault.clone();
        hooked.once(Point::AfterCommit, move || {
            run(&other).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        });
        let _rotation = block_on(vault.rotate_root(keep_all())).unwrap();
        assert_eq!(hooked.hooks_left(), 0);
    }
}
