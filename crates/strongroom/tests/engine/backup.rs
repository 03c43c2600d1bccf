//! A backup holds the vault as it stood at one moment, and a restore brings all of it back or nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    Backup, BackupSummary, Environment, Error, NotDestroyed, Phase, RawKey, RootRotation, Scope, ShredEffect,
    Timestamp, Unlock, Vault, VaultOptions, WrongStore,
};
use strongroom_conformance::{Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, audit, empty, furnished, is_damage, load, open, org, rows, sound,
    text, unlock, verbs, view,
};

fn backup(vault: &Vault) -> (Vec<u8>, BackupSummary) {
    let mut file = Vec::new();
    let summary = block_on(vault.backup(&mut file, |_| ())).unwrap();
    (file, summary)
}

async fn restore(file: &[u8], store: impl strongroom::Store) -> Result<Vault, Error> {
    Backup::open(Cursor::new(file), unlock()).await?.replace_original(store, |_| ()).await
}

#[test]
fn what_comes_back_is_every_row_as_it_was() {
    let base = furnished();
    let (file, summary) = backup(&open(load(&base)));
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(restore(&file, Arc::clone(&store))).unwrap();
    assert_eq!(rows(&store), base);
    assert_eq!(view(&org(&vault)), view(&org(&open(load(&base)))));
    assert_eq!(
        (summary.rows + 3, summary.tenants),
        (base.len() as u64, 1),
        "all but header, slot and `store` row"
    );
    assert_eq!((summary.bytes, summary.unsettled.len()), (file.len() as u64, 0));
    block_on(org(&vault).set_value("V", Scope::Org, "written after")).unwrap();
    audit(&store);
    sound(&store);
}

#[test]
fn a_restored_vault_knows_the_slot_that_opens_it_and_follows_rotations_if_that_was_asked_for() {
    let (file, _) = backup(&open(load(&furnished())));
    for is_new in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let restored = block_on(async {
            let options = VaultOptions::default().follow_root_rotations();
            let opened = Backup::open_with(Cursor::new(&file), unlock(), options).await?;
            match is_new {
                true => opened.restore_as_new(Arc::clone(&store), unlock(), |_| ()).await,
                false => opened.replace_original(Arc::clone(&store), |_| ()).await,
            }
        })
        .unwrap();
        assert!(block_on(restored.slots().list()).unwrap().iter().all(|slot| slot.is_own));
        let elsewhere = open(Arc::clone(&store));
        let rotated = block_on(elsewhere.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
        block_on(rotated.job.run()).unwrap();
        let org = org(&restored);
        block_on(async { org.create_account("new".parse()?).await }).unwrap();
        assert_eq!(restored.root_id(), elsewhere.root_id());
    }
}

#[test]
fn a_file_of_another_vault_than_the_expected_one_is_refused() {
    let vault = open(load(&furnished()));
    let (file, _) = backup(&vault);
    let opened = |options| block_on(Backup::open_with(Cursor::new(&file), unlock(), options)).map(drop);
    let expecting = |vault: &Vault| {
        let options = VaultOptions::default;
        let mark = block_on(vault.mark()).unwrap();
        let id = options().expect_store_id(vault.store_id());
        [id, options().expect_root_id(vault.root_id()), options().expect_at_least(mark)]
    };
    for options in expecting(&vault) {
        opened(options).unwrap();
    }
    for options in expecting(&empty().1) {
        assert!(matches!(opened(options), Err(Error::WrongStore(WrongStore::OtherVault))));
    }
}

#[test]
fn a_file_says_when_it_was_begun_by_the_clock_of_its_vault() {
    let clock = TestClock::default();
    clock.set(5_000);
    let options = VaultOptions::default().clock(clock);
    let vault = block_on(options.open(load(&furnished()), unlock())).unwrap();
    let opened = block_on(Backup::open(Cursor::new(backup(&vault).0), unlock())).unwrap();
    assert_eq!(opened.created_at(), Timestamp::from_ms(5_000));
}

#[test]
fn notes_of_backups_of_an_org_come_along_once_whatever_its_environments() {
    for more in [&[][..], &["production"], &["production", "staging"]] {
        notes_come_along_once(more);
    }
}

fn notes_come_along_once(more: &[&str]) {
    let source = load(&furnished());
    let vault = open(Arc::clone(&source));
    let id = *org(&vault).id();
    for environment in more {
        block_on(vault.org(id, environment.parse().unwrap()).define(text("V"))).unwrap();
    }
    for _ in 0..2 {
        block_on(vault.backup_org(id, unlock(), Vec::new(), |_| ())).unwrap();
    }
    let notes = |rows: &Rows| -> Rows {
        rows.clone().into_iter().filter(|(key, _)| key.starts_with(&[0, 0x13])).collect()
    };
    let (file, base) = (backup(&vault).0, rows(&source));
    assert_eq!(notes(&base).len(), 2);
    let store = Arc::new(MemoryStore::new());
    block_on(restore(&file, Arc::clone(&store))).unwrap();
    assert_eq!(rows(&store), base);

    let mut opened = block_on(Backup::open(Cursor::new(&file), unlock())).unwrap();
    let (other, vault) = empty();
    block_on(opened.restore_org(id, &vault, |_| ())).unwrap();
    let new = Arc::new(MemoryStore::new());
    block_on(opened.restore_as_new(Arc::clone(&new), unlock(), |_| ())).unwrap();
    for store in [other, new] {
        assert_eq!(notes(&rows(&store)), notes(&base));
        sound(&store);
    }
}

#[test]
fn a_note_that_came_during_a_backup_is_noted_all_the_same_when_the_store_takes_it_away() {
    let mut notes_len = 0;
    for skip in 0.. {
        let store = load(&furnished());
        let hooked = Hooked::new(Arc::clone(&store));
        let (vault, elsewhere) = (open(hooked.clone()), open(store));
        let id = *org(&vault).id();
        hooked.once_after(Point::AfterRead, skip, move || {
            block_on(elsewhere.backup_org(id, unlock(), Vec::new(), |_| ())).unwrap();
        });
        let (file, _) = backup(&vault);
        if hooked.hooks_left() > 0 {
            break;
        }
        let store = Arc::new(MemoryStore::new());
        block_on(restore(&file, Arc::clone(&store))).unwrap();
        let mut restored = rows(&store);
        let rows_len = restored.len();
        restored.retain(|key, _| RowKey::parse(key).kind != Kind::Export);
        if restored.len() < rows_len {
            notes_len += 1;
            let receipt = block_on(org(&open(load(&restored))).shred()).unwrap();
            let because = vec![NotDestroyed::RootInUse, NotDestroyed::OrgBackup];
            assert_eq!(receipt.effect, ShredEffect::Logical { because }, "at read {skip}");
        }
    }
    assert!(notes_len > 0);
}

#[test]
fn slots_that_open_nothing_keep_no_backup_from_opening() {
    let base = furnished();
    let store = load(&base);
    let removed = open(Arc::clone(&store)).slots();
    let spare = block_on(removed.add(Unlock::raw_key(RawKey::from_bytes([9; 32])))).unwrap();
    let old = rows(&store);
    block_on(removed.remove(&spare.id)).unwrap();
    let mut now = rows(&store);
    // One that is damaged, and one that was removed.
    now.insert([&[0, 2][..], &[0; 16]].concat(), vec![7; 40]);
    now.extend(old.into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Slot));
    let (file, _) = backup(&open(load(&now)));
    let restored = Arc::new(MemoryStore::new());
    let vault = block_on(restore(&file, Arc::clone(&restored))).unwrap();
    assert_eq!(view(&org(&vault)), view(&org(&open(load(&base)))));
    assert_eq!(block_on(vault.slots().list()).unwrap().len(), 1);
    sound(&restored);
}

#[test]
fn no_file_is_written_that_nothing_opens() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let mut hide = WriteBatch::default();
    for key in rows(&store).into_keys().filter(|key| RowKey::parse(key).kind == Kind::Slot) {
        hide.delete(key.into());
    }
    block_on(store.commit(Arc::new(hide))).unwrap();
    let mut file = Vec::new();
    assert!(is_damage(&block_on(vault.backup(&mut file, |_| ())).unwrap_err()));
    assert!(file.is_empty());
}

#[test]
fn a_vault_without_a_tenant_comes_back() {
    let (store, vault) = empty();
    let restored = Arc::new(MemoryStore::new());
    block_on(restore(&backup(&vault).0, Arc::clone(&restored))).unwrap();
    assert_eq!(rows(&restored), rows(&store));
}

#[test]
fn more_rows_than_one_page_and_one_frame_come_back() {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for number in 0..700 {
        let value = "x".repeat(number);
        block_on(org.set_value("V", crate::rig::of_account(&format!("a{number}")), value)).unwrap();
    }
    let (file, _) = backup(&vault);
    let restored = Arc::new(MemoryStore::new());
    block_on(restore(&file, Arc::clone(&restored))).unwrap();
    assert!(rows(&restored) == rows(&store));
}

#[test]
fn many_small_tenants_come_back_in_few_commits() {
    let (store, vault) = empty();
    for number in 0..100 {
        let org = vault.org(format!("{number:024x}").parse().unwrap(), Environment::test());
        block_on(org.define(text("V"))).unwrap();
    }
    let (file, _) = backup(&vault);
    let restored = Faulty::new(MemoryStore::new());
    block_on(restore(&file, restored.clone())).unwrap();
    assert!(rows(&restored) == rows(&store));
    assert_eq!(restored.commits_len(), 3, "the marker, the rows, the header");
}

#[test]
fn a_write_at_any_moment_of_a_backup_is_in_it_or_not() {
    let base = furnished();
    let before = view(&org(&open(load(&base))));
    for verb in verbs() {
        let after = verb.view_after(&base);
        for skip in 0.. {
            let hooked = Hooked::new(load(&base));
            let vault = open(hooked.clone());
            let writer = org(&vault);
            hooked.once_after(Point::AfterRead, skip, move || drop(block_on(verb.run(writer))));
            let (file, summary) = backup(&vault);
            if hooked.hooks_left() > 0 {
                break;
            }
            assert_eq!(summary.unsettled, []);
            let restored = Arc::new(MemoryStore::new());
            let vault = block_on(restore(&file, Arc::clone(&restored))).unwrap();
            block_on(vault.run_jobs()).unwrap();
            let seen = view(&org(&vault));
            assert!(seen == before || seen == after, "{} at read {skip}", verb.name);
            audit(&restored);
            sound(&restored);
        }
    }
}

#[test]
fn a_new_root_at_any_moment_of_a_backup_is_told_and_taken_for_no_damage() {
    let base = furnished();
    for is_elsewhere in [false, true] {
        for skip in 0.. {
            let hooked = Hooked::new(load(&base));
            let vault = open(hooked.clone());
            let other = if is_elsewhere { open(hooked.clone()) } else { vault.clone() };
            hooked.once_after(Point::AfterRead, skip, move || {
                let _rotation = block_on(other.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
            });
            let mut file = Vec::new();
            match block_on(vault.backup(&mut file, |_| ())) {
                Ok(_) => drop(block_on(Backup::open(Cursor::new(file), unlock())).unwrap()),
                Err(Error::Contended(_)) => {}
                Err(Error::RootRotated) if is_elsewhere => {}
                Err(error) => panic!("{is_elsewhere}, read {skip}: {error:?}"),
            }
            if hooked.hooks_left() > 0 {
                break;
            }
        }
    }
}

#[test]
fn a_tenant_that_is_written_to_all_the_time_is_named_and_every_row_of_it_opens() {
    let store = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&store));
    let vault = open(hooked.clone());
    // Not through the hooks, which its own reads would use up.
    let writing = open(store);
    for number in 0..200 {
        let writer = org(&writing);
        hooked.once(Point::AfterRead, move || {
            block_on(writer.set_value("V", Scope::Org, format!("{number}"))).unwrap();
        });
    }
    let (file, summary) = backup(&vault);
    assert_eq!(summary.unsettled, [(crate::rig::ORG.parse().unwrap(), strongroom::Environment::test())]);
    let opened = block_on(Backup::open(Cursor::new(&file), unlock())).unwrap();
    assert_eq!(opened.unsettled(), summary.unsettled);
    let restored = Arc::new(MemoryStore::new());
    let vault = block_on(restore(&file, Arc::clone(&restored))).unwrap();
    view(&org(&vault));
    audit(&restored);
    sound(&restored);
}

#[test]
fn a_restore_that_is_stopped_at_any_commit_goes_on_and_is_not_open_before_its_end() {
    let base = furnished();
    let (file, _) = backup(&open(load(&base)));
    let left: RefCell<Vec<(Stop, Faulty<SmallBatches>)>> = RefCell::default();
    let commits_len = crash_at_every_commit(
        async || SmallBatches::default(),
        async |store| drop(restore(&file, store).await),
        async |stop, store| left.borrow_mut().push((stop, store)),
    );
    assert!(commits_len > 3, "marker, rows, header: {commits_len}");
    for (stop, store) in left.into_inner() {
        let complete = stop == Stop::Never || stop == Stop::After(commits_len - 1);
        let opened = block_on(Vault::open(store.clone(), unlock()));
        if complete {
            assert!(opened.is_ok(), "{stop:?}");
            assert!(matches!(
                block_on(restore(&file, store.clone())),
                Err(Error::WrongStore(WrongStore::HoldsVault))
            ));
        } else {
            let expected =
                matches!(opened, Err(Error::WrongStore(WrongStore::Unfinished))) || stop == Stop::Before(0);
            assert!(expected, "{stop:?}: {opened:?}");
            block_on(restore(&file, store.clone())).unwrap();
        }
        assert_eq!(rows(&store), base, "{stop:?}");
    }
}

#[test]
fn another_file_does_not_go_on_where_one_was_cut_short() {
    let vault = open(load(&furnished()));
    let (one, other) = (backup(&vault).0, backup(&vault).0);
    let poisoned = strongroom_conformance::Fault::Before(strongroom::store::StoreErrorKind::Poisoned);
    let store = Faulty::new(MemoryStore::new()).on_commits(1.., poisoned);
    assert!(block_on(restore(&one, store.clone())).is_err());
    let store = store.reopen();
    assert!(matches!(
        block_on(restore(&other, store.clone())),
        Err(Error::WrongStore(WrongStore::Unfinished))
    ));
    assert!(matches!(
        block_on(Vault::create(store.clone(), unlock())),
        Err(Error::WrongStore(WrongStore::Unfinished))
    ));
    block_on(restore(&one, store)).unwrap();
}

#[test]
fn nothing_is_restored_into_a_store_that_holds_something() {
    let (file, _) = backup(&open(load(&furnished())));
    let (store, _) = empty();
    assert!(matches!(block_on(restore(&file, store)), Err(Error::WrongStore(WrongStore::HoldsVault))));
    let foreign = load(&Rows::from([(vec![1], vec![2])]));
    assert!(matches!(
        block_on(restore(&file, Arc::clone(&foreign))),
        Err(Error::WrongStore(WrongStore::Foreign))
    ));
    assert_eq!(rows(&foreign).len(), 1);
}

#[test]
fn lost_answers_of_the_target_do_no_harm() {
    use strongroom::store::StoreErrorKind::{Contention, Indeterminate};
    use strongroom_conformance::Fault::{After, Before};
    let base = furnished();
    let (file, _) = backup(&open(load(&base)));
    for fault in [After(Indeterminate), Before(Indeterminate)] {
        for commit in 0..3 {
            let store = Faulty::new(MemoryStore::new()).on_commits(commit..=commit, fault);
            block_on(restore(&file, store.clone())).unwrap();
            assert_eq!(rows(&store), base, "{fault:?} {commit}");
        }
    }
    let store = Faulty::new(MemoryStore::new()).on_commits(1..=1, Before(Contention));
    assert!(block_on(restore(&file, store.clone())).is_err());
    block_on(restore(&file, store.clone())).unwrap();
    assert_eq!(rows(&store), base);
}

#[test]
fn progress_counts_every_row() {
    let vault = open(load(&furnished()));
    let mut last = None;
    let mut file = Vec::new();
    let summary = block_on(vault.backup(&mut file, |progress| last = Some(progress))).unwrap();
    let last = last.unwrap();
    assert_eq!((last.phase, last.rows), (Phase::Rows, summary.rows));
    let mut last = None;
    let backup = block_on(Backup::open(Cursor::new(&file), unlock())).unwrap();
    block_on(backup.replace_original(MemoryStore::new(), |progress| last = Some(progress))).unwrap();
    let last = last.unwrap();
    assert_eq!((last.rows, last.rows_total), (summary.rows, Some(summary.rows)));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_with_its_cause() {
    let vault = open(load(&furnished()));
    let mut short = [0; 100];
    let error = block_on(vault.backup(&mut short[..], |_| ())).unwrap_err();
    assert!(matches!(&error, Error::BackupFile(_)), "{error}");
}

/// A store in memory with batches of at most 20 operations.
#[derive(Debug, Default)]
struct SmallBatches(MemoryStore);

#[async_trait::async_trait]
impl strongroom::Store for SmallBatches {
    async fn read(
        &self,
        request: &strongroom::store::ReadBatch,
    ) -> Result<strongroom::store::ReadSet, strongroom::store::StoreError> {
        self.0.read(request).await
    }

    async fn commit(
        &self,
        batch: Arc<strongroom::store::WriteBatch>,
    ) -> Result<strongroom::store::Committed, strongroom::store::StoreError> {
        batch.check(&self.capabilities())?;
        self.0.commit(batch).await
    }

    fn capabilities(&self) -> strongroom::store::Capabilities {
        self.0.capabilities().with_batch_max(20, 1 << 20)
    }

    async fn close(&self) -> Result<(), strongroom::store::StoreError> {
        self.0.close().await
    }
}
