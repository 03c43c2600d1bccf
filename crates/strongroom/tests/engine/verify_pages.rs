//! A verification reads page by page: no row more often than it must, and it ends whatever a store returns.
//! What others write behind the pages that it has read is no finding.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_executor::block_on;
use strongroom::store::{Key, Store as _, StoreErrorKind, WriteBatch};
use strongroom::{
    Cause, Error, FormatChange, NewValue, OnMismatch, RowName, Scope, VarFormat, VariableDefinition, Vault,
    Verification,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::audit_kept::{HOUR, Kept};
use crate::rig::{
    Altered, Kind, Paged, RowKey, base, flip, furnished, load, of_workflow, open, org, rows,
    stop_after_first_commit, unlock,
};

const VALUES: usize = 150;

fn last() -> Scope {
    of_workflow(&format!("w{:03}", VALUES - 1))
}

/// A variable with so many values that they stand on pages of their own, behind it and its index.
fn paged() -> Arc<MemoryStore> {
    base(async |org| {
        org.define(VariableDefinition::new("V", VarFormat::Integer)).await?;
        for number in 0..VALUES {
            org.set_value("V", of_workflow(&format!("w{number:03}")), "1").await?;
        }
        Ok(())
    })
}

/// A verification that has read its first page, which holds the definition.
fn behind_first_page(vault: &Vault) -> Verification<'static> {
    let mut check = vault.verification();
    assert!(block_on(check.step()).unwrap());
    check
}

#[test]
fn rows_that_share_a_keyring_and_a_definition_are_not_read_one_by_one() {
    let store = Faulty::new(paged());
    let vault = open(store.clone());
    let before = store.reads_len();
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.rows, rows(&store).len() as u64);
    let reads = store.reads_len() - before;
    assert!(reads < VALUES / 3, "{reads} reads of {} rows", report.rows);
}

#[test]
fn what_is_written_behind_a_page_under_new_keys_and_another_format_is_no_finding() {
    let store = paged();
    let vault = open(Arc::clone(&store));
    let mut check = behind_first_page(&vault);
    let org = org(&vault);
    block_on(async {
        org.rotate_keys().await?;
        org.change_format("V", &FormatChange::to(VarFormat::String), OnMismatch::Refuse).await?;
        org.set_values(&[NewValue::new("V", last(), "no number")]).await
    })
    .unwrap();
    while block_on(check.step()).unwrap() {}
    assert!(check.report().is_clean(), "{}", check.report());
}

#[test]
fn what_is_left_of_a_definition_that_was_deleted_behind_a_page_is_no_finding() {
    let store = paged();
    let index = rows(&store).into_keys().rfind(|key| RowKey::parse(key).kind == Kind::DefinitionValue);
    let mut lost = WriteBatch::default();
    lost.delete(index.unwrap().into());
    block_on((*store).commit(Arc::new(lost))).unwrap();
    let vault = open(Arc::clone(&store));
    let mut check = behind_first_page(&vault);
    stop_after_first_commit(&store, async |org| drop(org.delete_definition("V").await));
    while block_on(check.step()).unwrap() {}
    // Alone, the value without its index row would be one.
    assert!(check.report().is_clean() && check.report().leftover > 0, "{}", check.report());
}

#[test]
fn a_keyring_that_is_lost_behind_a_page_is_found_and_not_the_rows_that_need_it() {
    let store = paged();
    let vault = open(Arc::clone(&store));
    let mut check = behind_first_page(&vault);
    let all = rows(&store);
    let key_of = |kind| all.keys().rfind(|key| RowKey::parse(key).kind == kind).unwrap();
    let (value, mut lost) = (key_of(Kind::Value), WriteBatch::default());
    lost.delete(key_of(Kind::Keyring).as_slice().into());
    let mut row = all[value].clone();
    flip(&mut row, usize::MAX, 0);
    lost.put(value.as_slice().into(), row);
    block_on((*store).commit(Arc::new(lost))).unwrap();
    while block_on(check.step()).unwrap() {}
    let found: Vec<_> = check.report().findings.iter().map(|found| found.path.row).collect();
    assert_eq!(found, [RowName::Keyring], "{}", check.report());
}

#[test]
fn a_finding_names_its_definition_whatever_page_of_names_that_is_on() {
    let whole = furnished();
    for key in whole.keys().filter(|key| RowKey::parse(key).kind == Kind::Definition) {
        let mut rows = whole.clone();
        flip(rows.get_mut(key).unwrap(), usize::MAX, 0);
        let report = block_on(open(Paged::of(load(&rows), 1)).verify()).unwrap();
        let found = report.findings.iter().find(|found| found.path.row == RowName::Definition).unwrap();
        assert!(found.path.definition_name.is_some(), "{report}");
    }
}

#[test]
fn a_page_that_is_empty_and_claims_more_fails_a_verification() {
    let is_on = Arc::new(AtomicBool::new(false));
    let emptied = Arc::clone(&is_on);
    let vault = open(Altered::of(paged()).on_read(move |_, set| {
        if emptied.load(Ordering::SeqCst) {
            set.scans.iter_mut().for_each(|page| (page.rows, page.more) = (Vec::new(), true));
        }
    }));
    let mut check = vault.verification();
    is_on.store(true, Ordering::SeqCst);
    let failed = block_on(check.step()).unwrap_err();
    assert!(matches!(failed, Error::Store(error) if error.kind() == StoreErrorKind::Corrupt));
}

#[test]
fn a_break_of_the_audit_is_told_whichever_read_fails_first() {
    let kept = Kept::new();
    (0..4).for_each(|number| kept.set_at(&kept.org, HOUR + number));
    let mut rows = rows(&*kept.store);
    let events: Vec<_> = rows.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
    rows.remove(&events[2]);
    // Of the same page, and read once more after the walk that finds the break.
    let tenant = &events[0][..events[0].len() - 25];
    rows.insert([tenant, &[0x62, 7, 7, 7, 7, 7, 7, 7, 7]].concat(), b"junk".to_vec());
    for read in 0.. {
        let store = Faulty::new(load(&rows));
        let vault = open(store.clone());
        let at = store.reads_len() + read;
        drop(store.clone().on_reads(at..=at, Fault::Before(StoreErrorKind::Unavailable)));
        let mut check = vault.verification();
        loop {
            match block_on(check.step()) {
                Ok(true) | Err(Error::Store(_)) => {}
                Ok(false) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let breaks = check.report().findings.iter().filter(|found| found.cause == Cause::BrokenChain);
        assert_eq!(breaks.count(), 1, "read {read}: {}", check.report());
        assert_eq!(check.report().findings_total, 2, "read {read}: {}", check.report());
        if store.reads_len() <= at {
            break;
        }
    }
}

#[test]
fn definitions_on_several_pages_are_counted_right() {
    let report = block_on(open(Paged::of(load(&furnished()), 1)).verify()).unwrap();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_row_that_is_deleted_before_it_is_read_again_is_gone_and_no_finding() {
    let whole = furnished();
    let mut checkpoint = Vec::new();
    assert!(block_on(open(load(&whole)).checkpoint(&mut checkpoint)).unwrap().is_clean());
    let record = whole.keys().find(|key| RowKey::parse(key).kind == Kind::Record).unwrap();
    let job = [&[0, 5][..], &[9; 12]].concat();
    for (key, is_asked) in [(record, true), (&job, false)] {
        let mut rows = whole.clone();
        // Nobody can read it, and what it says of itself is as it was.
        flip(rows.entry(key.clone()).or_insert_with(|| b"junk".to_vec()), usize::MAX, 0);
        // Whoever scans is shown it, and whoever looks it up is not.
        let deleted = Key::from(key.as_slice());
        let store = Altered::of(load(&rows)).on_read(move |request, set| {
            let found = request.gets.iter().zip(&mut set.gets).filter(|(key, _)| **key == deleted);
            found.for_each(|(_, row)| *row = None);
        });
        let report = block_on(open(store).verify_against(checkpoint.as_slice())).unwrap();
        assert!(report.is_clean(), "{report}");
        let asked: Vec<_> = report.questions.iter().map(|asked| (asked.path.row, &asked.cause)).collect();
        let gone = [(RowName::Record, &Cause::Gone)];
        assert_eq!(asked, if is_asked { &gone[..] } else { &[] }, "{report}");
    }
}

#[test]
fn an_export_of_an_audit_has_the_events_of_every_page() {
    let kept = Kept::new();
    (0..40).for_each(|number| kept.set_at(&kept.org, HOUR + number));
    // A page of keys holds sixteen.
    let vault =
        block_on(strongroom::VaultOptions::default().open(Paged::of(Arc::clone(&kept.store), 1), unlock()));
    let mut lines = Vec::new();
    let digest = block_on(org(&vault.unwrap()).export_audit(&mut lines)).unwrap();
    assert_eq!(digest.lacks(), [""; 0]);
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), kept.events().len());
}
