//! What a comparison with a checkpoint asks where more is wrong than one row, and checkpoints that are no whole file.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    Cause, CheckpointFault, Error, FormatChange, OnMismatch, RowName, Scope, VarFormat, Vault, VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::audit_kept::{HOUR, Kept};
use crate::checkpoint::compare;
use crate::common::TestClock;
use crate::rig::{
    Kind, RowKey, Rows, account, empty, flip, furnished, load, open, org, rows, stop_after_first_commit,
    text, unlock, verbs,
};

fn checkpoint_of(vault: &Vault) -> Vec<u8> {
    let mut file = Vec::new();
    assert!(block_on(vault.checkpoint(&mut file)).unwrap().is_clean());
    file
}

/// A checkpoint, and what is left of its rows after a former version is gone that no write can have dropped.
fn withheld() -> (Vec<u8>, Rows) {
    let (clock, store) = (TestClock::default(), Arc::new(MemoryStore::new()));
    clock.set(HOUR);
    let options = VaultOptions::default().clock(clock.clone()).history_versions(2);
    let vault = block_on(options.create(Arc::clone(&store), unlock())).unwrap();
    block_on(org(&vault).define(text("A"))).unwrap();
    for value in ["1", "2"] {
        block_on(org(&vault).set_value("A", Scope::Org, value)).unwrap();
    }
    clock.set(2 * HOUR);
    let (checkpoint, mut rows) = (checkpoint_of(&vault), rows(&store));
    rows.retain(|key, _| RowKey::parse(key).kind != Kind::FormerValue);
    (checkpoint, rows)
}

#[test]
fn a_checkpoint_that_is_cut_short_anywhere_says_so() {
    let base = furnished();
    let vault = open(load(&base));
    let checkpoint = checkpoint_of(&vault);
    for len in (1..checkpoint.len()).step_by(11) {
        let refused = block_on(vault.verify_against(&checkpoint[..len]));
        let is_cut = matches!(refused, Err(Error::BadCheckpoint(CheckpointFault::Truncated)));
        assert!(is_cut, "cut to {len}: {refused:?}");
    }
}

#[test]
fn a_block_longer_than_any_is_refused_before_it_is_read() {
    let vault = open(load(&furnished()));
    let mut checkpoint = checkpoint_of(&vault);
    // After the magic, the version, the id of the file and the kind of the block.
    let at = b"\xd7strongroom checkpoint\n".len() + 1 + 16 + 1;
    checkpoint[at..at + 4].copy_from_slice(&(1_u32 << 24).to_be_bytes());
    let refused = block_on(vault.verify_against(checkpoint.as_slice()));
    assert!(matches!(refused, Err(Error::BadCheckpoint(CheckpointFault::Altered))), "{refused:?}");
}

#[test]
fn an_event_that_is_gone_is_asked_about_and_no_other() {
    let kept = Kept::new();
    (0..4).for_each(|number| kept.set_at(&kept.org, HOUR + number));
    let (checkpoint, mut rows) = (checkpoint_of(&kept.vault), rows(&*kept.store));
    let events: Vec<_> = rows.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
    rows.remove(&events[2]);
    let report = compare(&checkpoint, &rows).unwrap();
    let causes = [report.findings.as_slice(), report.questions.as_slice()];
    let causes = causes.map(|found| found.iter().map(|found| found.cause.clone()).collect::<Vec<_>>());
    assert_eq!(causes, [vec![Cause::BrokenChain], vec![Cause::Gone]], "{report}");
}

#[test]
fn a_grandfathered_value_that_is_gone_is_asked_about() {
    let (store, vault) = empty();
    block_on(async {
        let org = org(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "text").await?;
        org.change_format("V", &FormatChange::to(VarFormat::Integer), OnMismatch::Grandfather).await
    })
    .unwrap();
    let (checkpoint, mut rows) = (checkpoint_of(&vault), rows(&store));
    rows.retain(|key, _| RowKey::parse(key).kind != Kind::Value);
    let report = compare(&checkpoint, &rows).unwrap();
    let asked: Vec<_> = report.questions.iter().map(|asked| asked.cause.clone()).collect();
    assert_eq!(asked, [Cause::Gone], "{report}");
}

#[test]
fn a_former_version_that_is_gone_is_asked_about_whichever_read_fails_first() {
    let (checkpoint, rows) = withheld();
    for read in 0.. {
        let store = Faulty::new(load(&rows));
        let vault = open(store.clone());
        let at = store.reads_len() + read;
        drop(store.clone().on_reads(at..=at, Fault::Before(StoreErrorKind::Unavailable)));
        let mut check = vault.verification().against(checkpoint.as_slice()).unwrap();
        loop {
            match block_on(check.step()) {
                Ok(true) | Err(Error::Store(_)) => {}
                Ok(false) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(check.report().questions_total, 1, "read {read}: {}", check.report());
        if store.reads_len() <= at {
            break;
        }
    }
}

#[test]
fn keys_that_cannot_be_read_are_a_finding_also_beside_a_former_version_that_is_gone() {
    let (checkpoint, mut rows) = withheld();
    let key = rows.keys().find(|key| RowKey::parse(key).kind == Kind::Keyring).unwrap().clone();
    flip(rows.get_mut(&key).unwrap(), usize::MAX, 0);
    let report = compare(&checkpoint, &rows).unwrap();
    assert!(report.findings.iter().any(|found| found.path.row == RowName::Keyring), "{report}");
}

#[test]
fn the_keyring_of_an_account_that_was_deleted_and_made_again_is_no_question() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let checkpoint = checkpoint_of(&vault);
    block_on(async {
        org(&vault).delete_account(&account("a")).await?;
        org(&vault).create_account(account("a")).with_credential("k", "anew").await
    })
    .unwrap();
    let report = compare(&checkpoint, &rows(&store)).unwrap();
    assert!(report.is_clean() && report.questions_total > 0, "{report}");
    assert!(report.questions.iter().all(|asked| asked.path.row != RowName::Keyring), "{report}");
}

#[test]
fn questions_are_kept_up_to_a_bound_and_counted_beyond() {
    let (store, vault) = empty();
    let records = org(&vault).records("notes".parse().unwrap());
    for number in 0..1_010 {
        block_on(records.put(&number.to_string().parse().unwrap(), "a note")).unwrap();
    }
    let (checkpoint, mut rows) = (checkpoint_of(&vault), rows(&store));
    rows.retain(|key, _| RowKey::parse(key).kind != Kind::Record);
    let report = compare(&checkpoint, &rows).unwrap();
    assert_eq!((report.questions.len(), report.questions_total), (1_000, 1_010));
}

#[test]
fn a_job_that_is_done_since_is_no_question() {
    let store = load(&furnished());
    let verb = verbs().into_iter().find(|verb| verb.name == "reformat").unwrap();
    stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
    let vault = open(Arc::clone(&store));
    let checkpoint = checkpoint_of(&vault);
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    let report = block_on(vault.verify_against(checkpoint.as_slice())).unwrap();
    assert!(report.is_clean() && report.questions.is_empty(), "{report}");
}

#[test]
fn something_else_is_told_from_a_checkpoint() {
    let vault = open(load(&furnished()));
    for other in [&b""[..], b"SQLite format 3\0", b"\xd7strongroom backup\n\x01"] {
        let refused = block_on(vault.verify_against(other));
        let is_other = matches!(refused, Err(Error::BadCheckpoint(CheckpointFault::NotACheckpoint)));
        assert!(is_other, "{refused:?}");
    }
}
