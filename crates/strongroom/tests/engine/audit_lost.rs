//! Rows of the audit that cannot be read, or are gone, keep nobody from writing, and are reported from then on.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{Cause, Damage, Error, Scope, Timestamp, VaultOptions};

use crate::audit_kept::{HOUR, Kept};
use crate::rig::{Kind, RowKey, Rows, flip, load, rows, unlock};

/// The audit of three engines, of which the oldest events were dropped; so it has all kinds of rows.
fn audited() -> Kept {
    let kept = Kept::new();
    for hour in 1..4 {
        let engine = kept.other_engine();
        (0..33).for_each(|second| kept.set_at(&engine, hour * HOUR + second * 1_000));
    }
    kept.clock.set(9 * HOUR);
    block_on(kept.org.drop_audit_before(Timestamp::from_ms(2 * HOUR))).unwrap();
    kept
}

/// The row of a kind in each way that it cannot be read.
fn damaged(kept: &Kept, kind: Kind) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = rows(&*kept.store);
    let (key, row) = rows.iter().find(|(key, _)| RowKey::parse(key).kind == kind).unwrap();
    let mut flipped = row.clone();
    flip(&mut flipped, usize::MAX, 0);
    [Vec::new(), b"junk".to_vec(), row[..row.len() - 1].to_vec(), flipped]
        .map(|damaged| (key.clone(), damaged))
        .into()
}

fn put(kept: &Kept, key: &[u8], row: Option<&[u8]>) {
    let mut batch = WriteBatch::default();
    match row {
        Some(row) => batch.put(key.into(), row.to_vec()),
        None => batch.delete(key.into()),
    }
    block_on(kept.store.commit(Arc::new(batch))).unwrap();
}

/// What is wrong with some rows: of each the path and the cause.
fn findings(kept: &Kept, rows: &Rows) -> Vec<(String, Cause)> {
    let options = VaultOptions::default().clock(kept.clock.clone());
    let vault = block_on(options.open(load(rows), unlock())).unwrap();
    let report = block_on(vault.verify()).unwrap();
    report.findings.into_iter().map(|found| (found.path.to_string(), found.cause)).collect()
}

#[test]
fn a_new_process_writes_on_where_the_head_or_the_note_of_the_audit_cannot_be_read() {
    for kind in [Kind::AuditHead, Kind::AuditFloor] {
        let ways = damaged(&audited(), kind).len();
        for way in 0..ways {
            let kept = audited();
            let (key, row) = damaged(&kept, kind).swap_remove(way);
            put(&kept, &key, Some(&row));
            let before = kept.events().len();
            let writer = kept.other_engine();
            kept.set_at(&writer, 10 * HOUR);
            kept.set_at(&kept.other_engine(), 10 * HOUR + 1);
            assert_eq!(kept.events().len(), before + 2, "{kind:?}, way {way}");
            assert!(!findings(&kept, &rows(&*kept.store)).is_empty(), "{kind:?}, way {way}");
        }
    }
}

#[test]
fn a_head_or_note_of_the_audit_that_a_later_release_wrote_is_not_taken_for_lost() {
    for kind in [Kind::AuditHead, Kind::AuditFloor] {
        let kept = audited();
        let before = rows(&*kept.store);
        let (key, row) = before.iter().find(|(key, _)| RowKey::parse(key).kind == kind).unwrap();
        let mut later = row.clone();
        later[1] = 9;
        put(&kept, key, Some(&later));
        let answer = block_on(kept.other_engine().set_value("V", Scope::Org, "v"));
        assert!(matches!(answer, Err(Error::UnknownVersion { version: 9, .. })), "{kind:?}: {answer:?}");
        assert_eq!(rows(&*kept.store)[key], later, "{kind:?}");
    }
}

#[test]
fn a_head_that_was_lost_is_told_once_until_the_events_after_it_are_dropped() {
    for is_gone in [false, true] {
        let kept = audited();
        let (key, row) = damaged(&kept, Kind::AuditHead).swap_remove(1);
        put(&kept, &key, (!is_gone).then_some(&row));
        let told = findings(&kept, &rows(&*kept.store));
        let cause = if is_gone { Damage::Missing } else { Damage::Malformed };
        assert_eq!(told.iter().map(|(_, cause)| cause).collect::<Vec<_>>(), [&Cause::Damaged(cause)]);
        for hour in 10..13 {
            kept.set_at(&kept.other_engine(), hour * HOUR);
        }
        let told = findings(&kept, &rows(&*kept.store));
        let [(path, Cause::BrokenChain)] = told.as_slice() else { panic!("{told:?}") };
        assert!(path.contains("event"), "{path}");
        kept.clock.set(20 * HOUR);
        block_on(kept.org.drop_audit_before(Timestamp::from_ms(12 * HOUR))).unwrap();
        assert_eq!(findings(&kept, &rows(&*kept.store)), []);
    }
}

/// A store that takes the head away, or damages it, and lets somebody write on: what it hides besides is reported.
#[test]
fn whoever_damages_the_head_hides_no_chain_by_it() {
    for with_floor in [true, false] {
        for is_gone in [true, false] {
            let kept = if with_floor { audited() } else { Kept::new() };
            for hour in 10..14 {
                kept.set_at(&kept.other_engine(), hour * HOUR);
            }
            let whole = rows(&*kept.store);
            let chain_of = |key: &[u8]| key[key.len() - 16..key.len() - 8].to_vec();
            let events: Vec<_> =
                whole.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
            let (head, row) = damaged(&kept, Kind::AuditHead).swap_remove(3);
            put(&kept, &head, (!is_gone).then_some(&row));
            kept.set_at(&kept.other_engine(), 15 * HOUR);
            let after = rows(&*kept.store);
            assert!(kept.is_told(&after));
            for hidden in &events {
                let mut fewer = after.clone();
                fewer.retain(|key, _| {
                    RowKey::parse(key).kind != Kind::Event || chain_of(key) != chain_of(hidden)
                });
                assert!(kept.is_told(&fewer), "a whole chain is gone");
            }
            // All that there was, the note too.
            let mut none = after.clone();
            events.iter().for_each(|event| drop(none.remove(event)));
            none.retain(|key, _| !matches!(RowKey::parse(key).kind, Kind::ChainHead | Kind::AuditFloor));
            assert!(kept.is_told(&none));
            // What was written since, and the head of before.
            put(&kept, &head, None);
            kept.set_at(&kept.other_engine(), 16 * HOUR);
            assert!(kept.is_told(&rows(&*kept.store)), "a second time");
        }
    }
}

#[test]
fn old_events_are_dropped_also_where_the_note_of_them_cannot_be_read() {
    for way in 0..4 {
        let kept = audited();
        let (key, row) = damaged(&kept, Kind::AuditFloor).swap_remove(way);
        put(&kept, &key, Some(&row));
        kept.clock.set(20 * HOUR);
        let reader = kept.other_engine();
        assert!(block_on(reader.drop_audit_before(Timestamp::from_ms(8 * HOUR))).unwrap() > 0);
        kept.set_at(&kept.other_engine(), 21 * HOUR);
        // Of a chain that the note counted, nobody knows any more where its events went.
        let told = findings(&kept, &rows(&*kept.store));
        let [(path, Cause::BrokenChain)] = told.as_slice() else { panic!("{told:?}") };
        assert!(path.contains("head of a chain"), "{path}");
    }
}

#[test]
fn a_head_of_a_later_release_is_not_replaced() {
    let kept = audited();
    let whole = rows(&*kept.store);
    let (key, row) = whole.iter().find(|(key, _)| RowKey::parse(key).kind == Kind::AuditHead).unwrap();
    let mut later = row.clone();
    later[1] = 9;
    put(&kept, key, Some(&later));
    let refused = block_on(kept.other_engine().set_value("V", Scope::Org, "v"));
    assert!(matches!(refused, Err(Error::UnknownVersion { version: 9, .. })), "{refused:?}");
}

#[test]
fn an_export_of_an_audit_without_any_event_says_what_it_lacks() {
    let kept = audited();
    let mut rows = rows(&*kept.store);
    rows.retain(|key, _| RowKey::parse(key).kind != Kind::Event);
    let options = VaultOptions::default().clock(kept.clock.clone());
    let vault = block_on(options.open(load(&rows), unlock())).unwrap();
    let digest = block_on(crate::rig::org(&vault).export_audit(&mut Vec::new())).unwrap();
    assert!(!digest.lacks().is_empty());
}
