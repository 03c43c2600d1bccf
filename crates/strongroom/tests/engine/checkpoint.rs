//! Checkpoints: a row that went back since is found, a row that is gone or was made again is asked about, and nothing
//! else is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::{
    Backup, Cause, CheckpointFault, DataKeys, DefinitionChange, Error, Org, RootRotation, RowName, Scope,
    Vault, VaultOptions, VerifyReport,
};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{Kind, RowKey, Rows, account, load, of_account, open, org, rows, text, unlock};

/// A store at three times: before its checkpoint, at it, and after it.
struct World {
    before: Rows,
    at: Rows,
    after: Rows,
    checkpoint: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
        clock.set(1_000_000);
        let options = VaultOptions::default().clock(clock.clone());
        let vault = block_on(options.create(Arc::clone(&store), unlock())).unwrap();
        block_on(furnish(&org(&vault))).unwrap();
        let before = rows(&store);
        clock.set(2_000_000);
        block_on(change_all(&vault)).unwrap();
        let (at, mut checkpoint) = (rows(&store), Vec::new());
        clock.set(3_000_000);
        assert!(block_on(vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
        clock.set(4_000_000);
        block_on(go_on(&org(&vault))).unwrap();
        Self { before, at, after: rows(&store), checkpoint }
    }

    fn compare(&self, rows: &Rows) -> Result<VerifyReport, Error> {
        compare(&self.checkpoint, rows)
    }

    /// The older rows that differ from those at the checkpoint.
    fn went_back(&self) -> Vec<Vec<u8>> {
        let sealed = self.before.iter().filter(|(key, _)| is_compared(key));
        sealed
            .filter(|(key, row)| self.at.get(*key).is_some_and(|at| at != *row))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The rows that were deleted before the checkpoint.
    fn deleted(&self) -> Vec<Vec<u8>> {
        let sealed = self.before.keys().filter(|key| is_compared(key));
        sealed.filter(|key| !self.at.contains_key(*key)).cloned().collect()
    }
}

async fn furnish(org: &Org) -> Result<(), Error> {
    for name in ["A", "B", "C"] {
        org.define(text(name)).await?;
        org.set_value(name, Scope::Org, "1").await?;
    }
    org.set_value("A", of_account("user"), "1").await?;
    org.create_account(account("user")).with_credential("api_key", "1").with_credential("old", "1").await?;
    let records = org.records("notes".parse()?);
    for key in ["kept", "gone"] {
        records.put(&key.parse()?, "1").await?;
    }
    Ok(())
}

/// Rewrites every sealed row, and deletes a value, a credential and a record.
async fn change_all(vault: &Vault) -> Result<(), Error> {
    let org = org(vault);
    org.delete_value("C", Scope::Org).await?;
    let user = org.account(account("user"));
    user.delete_credential("old").await?;
    org.records("notes".parse()?).delete(&"gone".parse()?).await?;
    for name in ["A", "B", "C"] {
        org.update_definition(name, DefinitionChange::new().description("changed")).await?;
    }
    for name in ["A", "B"] {
        org.set_value(name, Scope::Org, "2").await?;
    }
    user.rotate_keys().await?;
    user.upsert_credential("api_key", "2").await?;
    org.set_value("A", of_account("user"), "2").await?;
    org.records("notes".parse()?).put(&"kept".parse()?, "2").await?;
    org.define(text("D")).await?;
    vault.mark().await.map(|_| ())
}

async fn go_on(org: &Org) -> Result<(), Error> {
    org.set_value("A", Scope::Org, "3").await?;
    org.set_value("D", Scope::Org, "3").await?;
    org.create_account(account("late")).with_credential("api_key", "3").await?;
    org.update_definition("B", DefinitionChange::new().description("changed again")).await?;
    Ok(())
}

pub(crate) fn compare(checkpoint: &[u8], rows: &Rows) -> Result<VerifyReport, Error> {
    let vault = block_on(Vault::open(load(rows), unlock()))?;
    block_on(vault.verify_against(checkpoint))
}

fn is_compared(key: &[u8]) -> bool {
    let row = RowKey::parse(key);
    row.is_data() || matches!(row.kind, Kind::Keyring | Kind::StoreRow)
}

/// A number that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, len: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % len as u64).unwrap()
    }
}

#[test]
fn what_was_written_since_is_no_alarm_and_no_question() {
    let world = World::new();
    for (rows, added) in [(&world.at, 0), (&world.after, 5)] {
        let report = world.compare(rows).unwrap();
        assert!(report.is_clean() && report.questions_total == 0, "{report}");
        assert!(report.added >= added, "{} were added", report.added);
    }
}

#[test]
fn each_row_that_went_back_is_named_and_each_that_is_gone_is_asked_about() {
    let world = World::new();
    let went_back = world.went_back();
    assert!(went_back.len() >= 9, "{} rows", went_back.len());
    for key in went_back {
        let mut rows = world.after.clone();
        rows.insert(key.clone(), world.before[&key].clone());
        let Ok(report) = world.compare(&rows) else {
            panic!("an older row alone does not keep the vault from opening")
        };
        let is_back = |cause: &Cause| matches!(cause, Cause::RolledBack { .. });
        assert!(report.findings.iter().any(|finding| is_back(&finding.cause)), "{report}");
    }
    for key in world.at.keys().filter(|key| is_compared(key) && key[0] == 1) {
        let mut rows = world.after.clone();
        rows.remove(key);
        let report = world.compare(&rows).unwrap();
        assert!(report.questions.iter().any(|question| question.cause == Cause::Gone), "{report}");
        assert_eq!(report.questions_total, 1, "{report}");
    }
}

#[test]
fn every_one_of_10_000_mixes_of_old_and_new_rows_is_noticed() {
    let world = World::new();
    let moves = |kind, keys: Vec<Vec<u8>>| keys.into_iter().map(move |key| (kind, key));
    let gone: Vec<_> = world.at.keys().filter(|key| is_compared(key)).cloned().collect();
    let deleted = world.deleted();
    assert_eq!(deleted.len(), 3);
    let all: Vec<(Move, Vec<u8>)> = moves(Move::Back, world.went_back())
        .chain(moves(Move::Gone, gone))
        .chain(moves(Move::PutBack, deleted))
        .collect();
    let unnoticed = |seeds: std::ops::Range<u64>| {
        let mut unnoticed = Vec::new();
        for seed in seeds {
            let (mut random, mut rows) = (Random(seed), world.after.clone());
            let mut played = BTreeSet::new();
            for _ in 0..=random.below(5) {
                let (kind, key) = &all[random.below(all.len())];
                // A row that went back twice, or is put back and then removed, is one that moved once.
                if !played.insert(key.clone()) {
                    continue;
                }
                match kind {
                    Move::Gone => drop(rows.remove(key)),
                    Move::Back => drop(rows.insert(key.clone(), world.before[key].clone())),
                    Move::PutBack => put_back(&mut rows, &world.before, key),
                }
            }
            if world.compare(&rows).is_ok_and(|report| report.is_clean() && report.questions_total == 0) {
                unnoticed.push(seed);
            }
        }
        unnoticed
    };
    let unnoticed: Vec<u64> = thread::scope(|threads| {
        let halves = [0..5_000, 5_000..10_000].map(|seeds| threads.spawn(|| unnoticed(seeds)));
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert_eq!(unnoticed, [0; 0]);
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Back,
    Gone,
    PutBack,
}

/// Puts a deleted row back, with the rows of the index that led to it.
fn put_back(rows: &mut Rows, before: &Rows, key: &[u8]) {
    let index = before.iter().filter(|(other, _)| !is_compared(other) && !rows.contains_key(*other));
    let index: Vec<_> = index.map(|(key, row)| (key.clone(), row.clone())).collect();
    if RowKey::parse(key).kind == crate::rig::Kind::Value {
        rows.extend(index);
    }
    rows.insert(key.to_vec(), before[key].clone());
}

#[test]
fn a_document_that_was_deleted_and_made_again_is_a_question_and_no_finding() {
    let world = World::new();
    let store = load(&world.after);
    let vault = open(Arc::clone(&store));
    block_on(async {
        let org = org(&vault);
        org.delete_value("B", Scope::Org).await?;
        org.set_value("B", Scope::Org, "4").await?;
        org.records("notes".parse()?).delete(&"kept".parse()?).await?;
        org.records("notes".parse()?).put(&"kept".parse()?, "4").await
    })
    .unwrap();
    let report = world.compare(&rows(&store)).unwrap();
    assert!(report.is_clean(), "{report}");
    let causes: Vec<_> = report.questions.iter().map(|question| question.cause.clone()).collect();
    assert_eq!(causes, [Cause::Replaced, Cause::Replaced], "{report}");
}

#[test]
fn an_org_that_was_shredded_and_is_used_again_is_a_question_and_no_finding() {
    let (store, vault) = crate::rig::empty();
    block_on(async {
        vault.change_settings(|settings| settings.audit = true).await?;
        furnish(&org(&vault)).await
    })
    .unwrap();
    // Another engine begins another chain, so that the head of the audit is rewritten.
    let other = open(Arc::clone(&store));
    block_on(change_all(&other)).unwrap();
    let mut checkpoint = Vec::new();
    assert!(block_on(vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
    let at = rows(&store);
    block_on(async {
        let _logical = org(&vault).shred().await?;
        org(&vault).define(text("A")).await
    })
    .unwrap();
    let report = compare(&checkpoint, &rows(&store)).unwrap();
    assert!(report.is_clean(), "{report}");
    let replaced = report.questions.iter().filter(|question| question.cause == Cause::Replaced).count();
    assert_eq!(replaced, 2, "the count of definitions and the head of the audit: {report}");
    let gone = at.keys().filter(|key| is_compared(key) && RowKey::parse(key).kind == crate::rig::Kind::Value);
    assert!(gone.count() > 0 && report.questions.iter().any(|question| question.cause == Cause::Gone));
}

#[test]
fn the_keyrings_of_an_account_that_was_deleted_and_an_org_that_was_shredded_since_are_no_question() {
    // With today's time, the last keyring of a scope has a revision more than 2^32 above the one before.
    let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
    clock.set(1_800_000_000_000);
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.create(Arc::clone(&store), unlock())).unwrap();
    block_on(furnish(&org(&vault))).unwrap();
    let mut checkpoint = Vec::new();
    assert!(block_on(vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
    let at = rows(&store);
    clock.set(1_800_000_100_000);
    let keyrings = |report: &VerifyReport| {
        let asked = report.questions.iter().filter(|asked| asked.path.row == RowName::Keyring);
        report.is_clean() && asked.count() == 0
    };
    block_on(org(&vault).delete_account(&account("user"))).unwrap();
    let report = compare(&checkpoint, &rows(&store)).unwrap();
    assert!(keyrings(&report), "{report}");
    let _receipt = block_on(org(&vault).shred()).unwrap();
    let report = compare(&checkpoint, &rows(&store)).unwrap();
    assert!(keyrings(&report), "{report}");
    let is_older = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Keyring && at.contains_key(*key);
    assert_eq!(rows(&store).keys().filter(is_older).count(), 2, "none of them is gone");
}

#[test]
fn copy_and_restore_are_no_alarm_and_a_rotated_root_needs_a_new_checkpoint() {
    let world = World::new();
    let vault = open(load(&world.after));
    block_on(async {
        let mut file = Vec::new();
        vault.backup(&mut file, |_| ()).await?;
        let backup = Backup::open(Cursor::new(&file), unlock()).await?;
        let restored = backup.replace_original(MemoryStore::new(), |_| ()).await?;
        let report = restored.verify_against(world.checkpoint.as_slice()).await?;
        assert!(report.is_clean() && report.questions_total == 0, "{report}");

        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        let job = vault.rotate_root(RootRotation::new().keep(unlock())).await?.job;
        let report = vault.verify_against(world.checkpoint.as_slice()).await?;
        assert!(report.is_clean() && report.questions_total == 0, "while the former root is there: {report}");
        job.run().await?;
        let refused = vault.verify_against(world.checkpoint.as_slice()).await.err().unwrap();
        assert!(matches!(refused, Error::BadCheckpoint(CheckpointFault::OtherKey)), "{refused}");
        let mut anew = Vec::new();
        vault.checkpoint(&mut anew).await?;

        let store = Arc::new(MemoryStore::new());
        vault.copy_to(&store, |_| ()).await?;
        let copy = Vault::open(store, unlock()).await?;
        let report = copy.verify_against(anew.as_slice()).await?;
        assert!(report.is_clean() && report.questions_total == 0 && report.added == 0, "{report}");
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn rows_of_a_locked_org_are_neither_gone_nor_compared() {
    let world = World::new();
    let vault = open(load(&world.after));
    org(&vault).lock();
    let report = block_on(vault.verify_against(world.checkpoint.as_slice())).unwrap();
    assert!(report.is_clean() && report.questions_total == 0 && report.unverifiable > 0, "{report}");
}

#[test]
fn a_verification_of_one_org_asks_about_that_org_only() {
    let world = World::new();
    let store = load(&world.after);
    let vault = open(Arc::clone(&store));
    let elsewhere = vault.org(*org(&vault).id(), strongroom::Environment::production());
    let report = |org: &Org| {
        let mut check = org.verification().against(world.checkpoint.as_slice()).unwrap();
        while block_on(check.step()).unwrap() {}
        check.into_report().questions_total
    };
    assert_eq!(report(&elsewhere), 0);
    let gone = world.at.keys().find(|key| RowKey::parse(key).kind == crate::rig::Kind::Credential).unwrap();
    let mut rows = world.after.clone();
    rows.remove(gone);
    assert_eq!(report(&org(&open(load(&rows)))), 1);
}

#[test]
fn whoever_keeps_a_checkpoint_sees_no_id_and_no_name() {
    let world = World::new();
    let shown = |text: &[u8]| world.checkpoint.windows(text.len()).any(|window| window == text);
    for text in [b"user".as_slice(), b"api_key", b"notes", b"6500a1b2c3d4e5f6a7b8c9d0"] {
        assert!(!shown(text));
    }
}

#[test]
fn a_former_version_that_is_withheld_is_asked_about_unless_a_later_write_may_have_dropped_it() {
    let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
    clock.set(1_000_000);
    let options = || VaultOptions::default().clock(clock.clone()).history_versions(2);
    let vault = block_on(options().create(Arc::clone(&store), unlock())).unwrap();
    let org = org(&vault);
    block_on(async {
        org.define(text("A")).await?;
        org.update_definition("A", DefinitionChange::new().description("changed")).await?;
        let made = org.create_account(account("user")).with_credential("api_key", "1").await?;
        made.upsert_credential("api_key", "2").await?;
        for (scope, value) in [(Scope::Org, "1"), (of_account("user"), "1"), (Scope::Org, "2")] {
            org.set_value("A", scope, value).await?;
        }
        org.set_value("A", of_account("user"), "2").await
    })
    .unwrap();
    clock.set(2_000_000);
    let mut checkpoint = Vec::new();
    assert!(block_on(vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
    let is_former = |key: &Vec<u8>| {
        let kind = RowKey::parse(key).kind;
        matches!(kind, Kind::FormerValue | Kind::FormerCredential | Kind::FormerDefinition)
    };
    let at = rows(&store);
    assert_eq!(at.keys().filter(|key| is_former(key)).count(), 4);
    for withheld in at.keys().filter(|key| is_former(key)) {
        let mut fewer = at.clone();
        fewer.remove(withheld);
        let report = compare(&checkpoint, &fewer).unwrap();
        assert_eq!(report.questions_total, 1, "{report}");
        assert_eq!(report.questions[0].cause, Cause::Gone);
    }
    clock.set(3_000_000);
    for value in ["3", "4", "5"] {
        block_on(org.set_value("A", Scope::Org, value)).unwrap();
    }
    let report = compare(&checkpoint, &rows(&store)).unwrap();
    assert!(report.is_clean() && report.questions_total == 0, "{report}");
}
