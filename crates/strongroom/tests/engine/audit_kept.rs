//! What of an audit is kept, for how long, and by what it can be checked without a key; and what a host adds to it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    AuditBuffer, AuditDigest, AuditEvent, AuditFilter, AuditNote, Cause, Error, EventKind, IntegrationId,
    NewValue, Org, PageRequest, Scope, ScopePath, Settings, Timestamp, Vault, VaultOptions, WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{Kind, RowKey, Rows, account, flip, load, org, rows, text, unlock, verified};

pub(crate) const HOUR: u64 = 3_600_000;

/// A vault with an audit, in which a variable `V` was defined at 0.
pub(crate) struct Kept {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: TestClock,
    pub(crate) vault: Vault,
    pub(crate) org: Org,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let mut settings = Settings::default();
        settings.audit = true;
        let options = VaultOptions::default().clock(clock.clone()).settings(settings);
        let vault = block_on(options.create(Arc::clone(&store), unlock())).unwrap();
        let org = org(&vault);
        block_on(org.define(text("V"))).unwrap();
        Self { store, clock, vault, org }
    }

    pub(crate) fn set_at(&self, org: &Org, ms: u64) {
        self.clock.set(ms);
        block_on(org.set_value("V", Scope::Org, ms.to_string())).unwrap();
    }

    /// The same org, on an engine of its own, which begins chains of its own.
    pub(crate) fn other_engine(&self) -> Org {
        let options = VaultOptions::default().clock(self.clock.clone());
        org(&block_on(options.open(Arc::clone(&self.store), unlock())).unwrap())
    }

    pub(crate) fn events(&self) -> Vec<AuditEvent> {
        block_on(events_of(&self.org))
    }

    /// Whether what the rows would be is found out to be broken.
    pub(crate) fn is_told(&self, rows: &Rows) -> bool {
        let options = VaultOptions::default().clock(self.clock.clone());
        let vault = block_on(options.open(load(rows), unlock())).unwrap();
        let report = block_on(vault.verify()).unwrap();
        report.findings.iter().any(|found| found.cause == Cause::BrokenChain)
    }
}

#[test]
fn events_are_dropped_for_their_age_and_what_is_left_is_still_whole() {
    let kept = Kept::new();
    let other = kept.other_engine();
    // A chain that ended long ago, one that was cut, and one that began since: more than one page of them.
    for turn in 0..40 {
        kept.set_at(&kept.org, turn * 1_000);
    }
    for turn in 0..60 {
        kept.set_at(&other, 10 * HOUR + turn * 10 * 60_000);
    }
    kept.set_at(&kept.org, 21 * HOUR);
    let before = kept.events();
    let cut_at = Timestamp::from_ms(15 * HOUR);
    let old = before.iter().filter(|event| event.at < cut_at).count();
    kept.clock.set(30 * HOUR);
    assert_eq!(block_on(kept.org.drop_audit_before(cut_at)).unwrap(), old as u64);
    let after = kept.events();
    assert_eq!(after[..after.len() - 1], before[old..]);
    assert_eq!(after.last().unwrap().changes[0].kind, EventKind::AuditTrimmed);
    verified(&kept.store);
    // The chain that was cut continues, and more of it is dropped later.
    kept.set_at(&other, 30 * HOUR);
    kept.clock.set(40 * HOUR);
    block_on(kept.org.drop_audit_before(Timestamp::from_ms(25 * HOUR))).unwrap();
    kept.set_at(&kept.org, 40 * HOUR);
    verified(&kept.store);
    assert_eq!(kept.events().len(), 4, "two that dropped, and the two values since");
    assert_eq!(block_on(kept.org.drop_audit_before(Timestamp::from_ms(0))).unwrap(), 0);
}

#[test]
fn events_of_more_chains_than_one_note_holds_are_dropped_to_the_last() {
    let kept = Kept::new();
    // As of a command each.
    for turn in 0..1_300 {
        kept.set_at(&kept.other_engine(), 1_000 + turn);
    }
    for turn in 0..40 {
        kept.set_at(&kept.org, 3_000 + turn);
    }
    kept.clock.set(6 * HOUR);
    let cut_at = Timestamp::from_ms(HOUR);
    assert_eq!(block_on(kept.org.drop_audit_before(cut_at)).unwrap(), 1_341);
    let left = kept.events();
    assert_eq!((left.len(), left[0].changes[0].kind), (1, EventKind::AuditTrimmed));
    verified(&kept.store);
    kept.set_at(&kept.org, 7 * HOUR);
    verified(&kept.store);
}

#[test]
fn a_drop_that_is_cut_short_among_events_of_one_moment_leaves_the_others_whole() {
    let kept = Kept::new();
    // More than one page of them, and one event later.
    for ms in [1_000; 40].into_iter().chain([1_001]) {
        kept.set_at(&kept.org, ms);
    }
    kept.clock.set(6 * HOUR);
    let cut_at = Timestamp::from_ms(1_001);
    let unavailable = Fault::Before(StoreErrorKind::Unavailable);
    let store = Faulty::new(Arc::clone(&kept.store)).on_commits(1.., unavailable);
    let options = VaultOptions::default().clock(kept.clock.clone());
    let cut_short = org(&block_on(options.open(store, unlock())).unwrap());
    block_on(cut_short.drop_audit_before(cut_at)).unwrap_err();
    verified(&kept.store);
    assert_eq!(block_on(kept.org.drop_audit_before(cut_at)).unwrap(), 9);
    assert_eq!(kept.events().len(), 3, "the later one, and two that dropped");
    verified(&kept.store);
}

#[test]
fn a_clock_that_was_set_back_before_what_was_dropped_breaks_no_chain() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 10 * HOUR);
    kept.clock.set(20 * HOUR);
    block_on(kept.org.drop_audit_before(Timestamp::from_ms(18 * HOUR))).unwrap();
    kept.set_at(&kept.other_engine(), 15 * HOUR);
    verified(&kept.store);
}

#[test]
fn a_batch_of_many_changes_has_as_many_events_as_they_need() {
    let kept = Kept::new();
    let name = |number: usize| format!("{}_{number}", "N".repeat(200));
    let names: Vec<String> = (0..700).map(name).collect();
    for name in &names {
        block_on(kept.org.define(text(name))).unwrap();
    }
    let before = kept.events().len();
    let values: Vec<_> = names.iter().map(|name| NewValue::new(name.as_str(), Scope::Org, "x")).collect();
    block_on(kept.org.set_values(&values)).unwrap();
    let events = kept.events();
    let noted: usize = events[before..].iter().map(|event| event.changes.len()).sum();
    assert_eq!((events.len() - before, noted), (14, 700));
    verified(&kept.store);
}

#[test]
fn a_head_that_is_due_in_the_middle_of_a_batch_counts_the_events_up_to_there() {
    let kept = Kept::new();
    (1..31).for_each(|ms| kept.set_at(&kept.org, ms));
    let scopes: Vec<Scope> =
        (0..60).map(|number| Scope::Workflow(number.to_string().parse().unwrap())).collect();
    let values: Vec<_> = scopes.iter().map(|scope| NewValue::new("V", scope, "v")).collect();
    block_on(kept.org.set_values(&values)).unwrap();
    assert_eq!(kept.events().len(), 33);
    let mut rows = rows(&kept.store);
    let is_event = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Event;
    let newest: Vec<_> = rows.keys().rev().filter(is_event).take(2).cloned().collect();
    newest.iter().for_each(|key| drop(rows.remove(key)));
    assert!(kept.is_told(&rows));
}

#[test]
fn a_note_is_written_also_where_another_engine_turned_the_audit_on() {
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(VaultOptions::default().create(Arc::clone(&store), unlock())).unwrap();
    let other = block_on(VaultOptions::default().open(Arc::clone(&store), unlock())).unwrap();
    let (org, shown) = (org(&vault), [AuditNote::vault_operated("look")]);
    assert_eq!(block_on(org.note(&shown)).unwrap(), 0);
    block_on(other.change_settings(|settings| settings.audit = true)).unwrap();
    assert_eq!(block_on(org.note(&shown)).unwrap(), 1);
}

#[test]
fn what_is_left_of_a_deleted_value_goes_with_an_event() {
    let (store, mut settings) = (Arc::new(MemoryStore::new()), Settings::default());
    settings.audit = true;
    let options = VaultOptions::default().settings(settings).history_versions(10);
    let org = org(&block_on(options.create(Arc::clone(&store), unlock())).unwrap());
    block_on(async {
        org.define(text("V")).await.unwrap();
        org.set_value("V", Scope::Org, "a").await.unwrap();
        let kept = WriteOptions::default().keep_history();
        org.delete_value_with("V", Scope::Org, kept).await.unwrap();
        let before = events_of(&org).await.len();
        assert!(org.delete_value("V", Scope::Org).await.unwrap().is_none(), "there was only a history");
        let events = events_of(&org).await;
        assert_eq!((events.len(), events[before].changes[0].kind), (before + 1, EventKind::ValueDeleted));
    });
}

#[test]
fn events_of_the_last_two_hours_stay() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 3 * HOUR);
    kept.clock.set(4 * HOUR);
    assert_eq!(block_on(kept.org.drop_audit_before(Timestamp::from_ms(4 * HOUR))).unwrap(), 1);
    assert_eq!(kept.events().len(), 2, "that of the value, and that of the drop");
    verified(&kept.store);
}

#[test]
fn an_event_that_cannot_be_read_is_dropped_for_its_age_like_any_other() {
    for (damaged, cut_at) in [(3, 4), (3, 3), (0, 1)] {
        let kept = Kept::new();
        for half_hour in 1..8 {
            kept.set_at(&kept.org, half_hour * HOUR / 2);
        }
        let mut rows = rows(&*kept.store);
        let is_event = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Event;
        let key = rows.keys().filter(is_event).nth(damaged).unwrap().clone();
        flip(rows.get_mut(&key).unwrap(), usize::MAX, 0);
        let (store, options) = (load(&rows), VaultOptions::default().clock(kept.clock.clone()));
        let org = org(&block_on(options.open(Arc::clone(&store), unlock())).unwrap());
        kept.clock.set(20 * HOUR);
        let before = Timestamp::from_ms(cut_at * HOUR / 2 + 1);
        assert_eq!(block_on(org.drop_audit_before(before)).unwrap(), cut_at + 1);
        // The event after a damaged one shows that something is missing, until it is dropped too.
        assert_eq!(kept.is_told(&self::rows(&*store)), damaged as u64 == cut_at);
        block_on(org.drop_audit_before(Timestamp::from_ms((cut_at + 1) * HOUR / 2 + 1))).unwrap();
        verified(&store);
    }
}

#[test]
fn what_is_planted_among_old_events_lets_no_later_one_go_unnoticed() {
    let kept = Kept::new();
    for half_hour in 1..9 {
        kept.set_at(&kept.other_engine(), half_hour * HOUR / 2);
    }
    for minute in 0..5 {
        kept.set_at(&kept.org, 10 * HOUR + minute * 60_000);
    }
    let is_event = |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Event;
    let of = |rows: &Rows| rows.keys().filter(is_event).cloned().collect::<Vec<_>>();
    kept.clock.set(20 * HOUR);
    let old = rows(&*kept.store);
    block_on(kept.org.drop_audit_before(Timestamp::from_ms(2 * HOUR))).unwrap();
    let mut planted = rows(&*kept.store);
    // Dropped events come back, and rows of chains that never were are added among them.
    for (number, key) in of(&old).into_iter().take(4).enumerate() {
        planted.insert(key.clone(), old[&key].clone());
        let mut other = key.clone();
        other[key.len() - 12] ^= 1 + u8::try_from(number).unwrap();
        planted.insert(other, b"junk".to_vec());
    }
    let (store, options) = (load(&planted), VaultOptions::default().clock(kept.clock.clone()));
    let org = org(&block_on(options.open(Arc::clone(&store), unlock())).unwrap());
    block_on(org.drop_audit_before(Timestamp::from_ms(3 * HOUR))).unwrap();
    let whole = rows(&*store);
    assert!(!kept.is_told(&whole), "all that was planted is gone");
    let left = of(&whole);
    // All but the last of the chain of five, and of all: the end of a chain can be cut off.
    for hidden in (0..left.len() - 1).filter(|hidden| *hidden != 7) {
        let mut rows = whole.clone();
        rows.remove(&left[hidden]);
        assert!(kept.is_told(&rows), "event {hidden} of {}", left.len());
    }
}

#[test]
fn whoever_takes_more_than_was_dropped_or_brings_it_back_is_told() {
    let kept = Kept::new();
    let other = kept.other_engine();
    for turn in 1..9 {
        kept.set_at(if turn % 2 == 0 { &kept.org } else { &other }, turn * 30 * 60_000);
    }
    let before = rows(&*kept.store);
    kept.clock.set(20 * HOUR);
    block_on(kept.org.drop_audit_before(Timestamp::from_ms(2 * HOUR))).unwrap();
    let after = rows(&*kept.store);
    assert!(!kept.is_told(&after));
    let is_event = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Event;
    for key in before.keys().filter(|key| is_event(key) && !after.contains_key(*key)) {
        let mut put_back = after.clone();
        put_back.insert(key.clone(), before[key].clone());
        assert!(kept.is_told(&put_back), "a dropped event is back");
    }
    let left: Vec<_> = after.keys().filter(|key| is_event(key)).collect();
    // Not the last of a chain: fewer than 32 can be cut off its end without a trace.
    for key in &left[..left.len() - 3] {
        let mut fewer = after.clone();
        fewer.remove(*key);
        assert!(kept.is_told(&fewer), "an event is gone");
    }
    let mut without_note = after.clone();
    without_note.retain(|key, _| RowKey::parse(key).kind != Kind::AuditFloor);
    assert!(kept.is_told(&without_note));
}

#[test]
fn a_chain_that_was_dropped_whole_is_told_when_all_of_it_is_back() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 1_000);
    kept.set_at(&kept.other_engine(), 10 * HOUR);
    let before = rows(&*kept.store);
    kept.clock.set(20 * HOUR);
    assert_eq!(block_on(kept.org.drop_audit_before(Timestamp::from_ms(5 * HOUR))).unwrap(), 2);
    let mut put_back = rows(&*kept.store);
    assert!(!kept.is_told(&put_back));
    put_back.extend(before.into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Event));
    assert!(kept.is_told(&put_back));
}

#[test]
fn an_export_is_checked_without_a_key_against_an_earlier_digest() {
    let kept = Kept::new();
    let other = kept.other_engine();
    for turn in 1..6 {
        kept.set_at(&kept.org, turn * 1_000);
        kept.set_at(&other, turn * 1_000 + 1);
    }
    let (mut earlier, mut later) = (Vec::new(), Vec::new());
    let digest = block_on(kept.org.export_audit(&mut earlier)).unwrap();
    let kept_as_text: AuditDigest = digest.to_string().parse().unwrap();
    assert_eq!(kept_as_text, digest);
    kept.set_at(&kept.org, 7_000);
    let newer = block_on(kept.org.export_audit(&mut later)).unwrap();
    let (events, checked) = (kept.events(), digest.check(&earlier[..]).unwrap());
    assert_eq!((&checked.covered[..], &checked.later[..]), (&events[..events.len() - 1], &[][..]));
    let checked = digest.check(&later[..]).unwrap();
    assert_eq!(checked.covered, events[..events.len() - 1]);
    assert_eq!(checked.later, events[events.len() - 1..], "nothing tells whether it is true");
    assert!(matches!(newer.check(&earlier[..]), Err(Error::Damaged { .. })), "one is missing");

    let lines: Vec<&str> = std::str::from_utf8(&later).unwrap().lines().collect();
    let refuses = |lines: Vec<String>| digest.check(lines.join("\n").as_bytes()).is_err();
    let owned = || lines.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
    for at in 0..lines.len() - 1 {
        let mut fewer = owned();
        fewer.remove(at);
        assert!(refuses(fewer), "line {at} is gone");
        let mut altered = owned();
        let bytes = altered[at].len();
        altered[at].replace_range(
            bytes - 9..bytes - 8,
            if &lines[at][bytes - 9..bytes - 8] == "A" { "B" } else { "A" },
        );
        assert!(refuses(altered), "line {at} is altered");
    }
    let mut swapped = owned();
    swapped.swap(3, 5);
    assert!(refuses(swapped));
    assert!(digest.check(&b"no export"[..]).is_err() && "no digest".parse::<AuditDigest>().is_err());

    // A digest of the first release does not say where chains begin.
    let first_release: AuditDigest = without_more(&digest.to_string()).parse().unwrap();
    assert!(first_release.check(&later[..]).is_ok());
    assert!(first_release.check(owned()[1..].join("\n").as_bytes()).is_ok());
}

/// Writes events behind the place that an export has reached, and one before it.
struct LateWriters<'k> {
    kept: &'k Kept,
    other: &'k Org,
    written: Vec<u8>,
}

impl Write for LateWriters<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.is_empty() {
            // On a thread of its own: the export runs on this one.
            thread::scope(|threads| {
                let late = || [6, 700_000].iter().for_each(|ms| self.kept.set_at(self.other, *ms));
                threads.spawn(late).join().unwrap();
            });
        }
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_passes_its_own_check_whoever_writes_meanwhile() {
    let kept = Kept::new();
    let other = kept.other_engine();
    kept.set_at(&other, 5);
    for turn in 1..600 {
        kept.set_at(&kept.org, turn * 1_000);
    }
    let events = kept.events();
    let mut export = LateWriters { kept: &kept, other: &other, written: Vec::new() };
    let digest = block_on(kept.org.export_audit(&mut export)).unwrap();
    let checked = digest.check(&export.written[..]).unwrap();
    assert_eq!((checked.covered, checked.later), (events, Vec::new()), "what had landed when it began");
    assert_eq!(kept.events().len(), 603);
    let digest = block_on(kept.org.export_audit(&mut Vec::new())).unwrap().to_string();
    assert_eq!(digest.lines().count(), 3, "how many lines follow, and one for each chain");
}

#[test]
fn a_digest_that_was_cut_or_has_decayed_is_refused_and_one_of_the_first_release_is_not() {
    let kept = Kept::new();
    kept.set_at(&kept.other_engine(), 1_000);
    let mut export = Vec::new();
    let digest = block_on(kept.org.export_audit(&mut export)).unwrap().to_string();
    let read = |text: &str| text.parse::<AuditDigest>();
    assert!(read(&digest).is_ok() && read(&without_more(&digest)).is_ok());
    for len in 0..digest.len() {
        let cut = read(&digest[..len]);
        assert!(matches!(cut, Err(Error::Damaged { .. })), "{len} of {} bytes", digest.len());
    }
    for at in 0..export.len() {
        let mut decayed = export.clone();
        decayed[at] = 0xff;
        let checked = read(&digest).unwrap().check(&decayed[..]);
        assert!(matches!(checked, Err(Error::Damaged { .. })), "byte {at}: {checked:?}");
    }
    assert_eq!(read(&AuditDigest::default().to_string()).unwrap(), AuditDigest::default());
}

#[test]
fn an_event_that_cannot_be_read_hides_no_other_and_is_named_as_a_verification_names_it() {
    let kept = Kept::new();
    (1..6).for_each(|turn| kept.set_at(&kept.org, turn * 1_000));
    let (events, whole) = (kept.events(), rows(&kept.store));
    let keys: Vec<_> = whole.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
    assert_eq!(keys.len(), events.len());
    let of_nobody = AuditFilter::all().actor("nobody").kind(EventKind::AccountDeleted);
    for (number, key) in keys.iter().enumerate() {
        let mut damaged = whole.clone();
        flip(damaged.get_mut(key).unwrap(), usize::MAX, 0);
        let vault = block_on(VaultOptions::default().open(load(&damaged), unlock())).unwrap();
        let (org, page) = (org(&vault), || PageRequest::first(3));
        let mut listed = block_on(org.audit(&AuditFilter::all(), page())).unwrap();
        let rest = block_on(org.audit(&AuditFilter::all(), page().after(listed.next.unwrap()))).unwrap();
        listed.items.extend(rest.items);
        assert_eq!(listed.items.len(), events.len());
        for (at, (found, event)) in listed.items.iter().zip(&events).enumerate() {
            assert_eq!((found.id, found.at), (event.id, event.at));
            assert!(at == number || found == event);
        }
        let why = listed.items[number].unreadable.clone().unwrap();
        let found = block_on(vault.verify()).unwrap().findings;
        assert!(found.iter().any(|found| why.starts_with(&format!("{} is damaged: ", found.path))), "{why}");
        // It may be one of those that are asked for.
        assert_eq!(block_on(org.audit(&of_nobody, page())).unwrap().items, [listed.items[number].clone()]);
    }
    let mut foreign = whole.clone();
    let mut key = keys[0].clone();
    key.pop();
    foreign.insert(key, b"what is this".to_vec());
    let vault = block_on(VaultOptions::default().open(load(&foreign), unlock())).unwrap();
    let listed = block_on(events_of(&org(&vault)));
    assert_eq!(listed.iter().filter(|event| event.unreadable.is_some()).count(), 1);
    assert_eq!(listed.len(), events.len() + 1);
}

#[test]
fn an_event_that_was_added_to_an_export_counts_as_none_of_the_digest() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 1_000);
    let mut export = Vec::new();
    let digest = block_on(kept.org.export_audit(&mut export)).unwrap();
    // Whoever has another vault can make events that follow no rule but their own chain's.
    let forger = Kept::new();
    forger.set_at(&forger.org, 2_000);
    let mut forged = Vec::new();
    block_on(forger.org.export_audit(&mut forged)).unwrap();
    let checked = digest.check([&export[..], &forged[..]].concat().as_slice()).unwrap();
    assert_eq!(checked.covered, kept.events());
    assert_eq!(checked.later, forger.events());
}

#[test]
fn events_that_were_dropped_since_a_digest_are_missing_unless_whoever_checks_says_so() {
    let kept = Kept::new();
    let other = kept.other_engine();
    kept.set_at(&other, HOUR);
    for hour in 1..9 {
        kept.set_at(&kept.org, hour * HOUR);
    }
    let digest = block_on(kept.org.export_audit(&mut Vec::new())).unwrap();
    kept.clock.set(20 * HOUR);
    let before = Timestamp::from_ms(4 * HOUR);
    block_on(kept.org.drop_audit_before(before)).unwrap();
    let mut export = Vec::new();
    let newer = block_on(kept.org.export_audit(&mut export)).unwrap();
    let refuses = |answer: Result<_, Error>| assert!(matches!(answer, Err(Error::Damaged { .. })));
    refuses(digest.check(&export[..]));
    assert_eq!(digest.check_after_drop(&export[..], before).unwrap().covered.len(), 5);
    refuses(digest.check_after_drop(&export[..], Timestamp::from_ms(6 * HOUR)));
    refuses(digest.check_after_drop(&b""[..], before));
    assert_eq!(newer.check(&export[..]).unwrap().later, []);
    let rest = export.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    refuses(newer.check(&export[rest..]));
}

#[test]
fn an_event_of_the_very_moment_before_which_events_were_dropped_may_not_be_missing() {
    let kept = Kept::new();
    kept.set_at(&kept.other_engine(), 5 * HOUR);
    let digest = block_on(kept.org.export_audit(&mut Vec::new())).unwrap();
    let nothing_left = |ms| digest.check_after_drop(&b""[..], Timestamp::from_ms(ms));
    assert!(matches!(nothing_left(5 * HOUR), Err(Error::Damaged { .. })));
    assert_eq!(nothing_left(5 * HOUR + 1).unwrap().covered, []);
}

#[test]
fn an_export_whose_lines_end_with_crlf_is_the_same_export() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 1_000);
    let mut export = Vec::new();
    let digest = block_on(kept.org.export_audit(&mut export)).unwrap();
    let carried = String::from_utf8(export).unwrap().replace('\n', "\r\n");
    assert_eq!(digest.check(carried.as_bytes()).unwrap().covered, kept.events());
}

#[test]
fn an_export_of_a_damaged_audit_has_all_that_can_be_read_and_says_what_it_lacks() {
    let kept = Kept::new();
    let other = kept.other_engine();
    for turn in 1..5 {
        kept.set_at(&kept.org, turn * 1_000);
        kept.set_at(&other, turn * 1_000 + 1);
    }
    let (events, whole) = (kept.events(), rows(&kept.store));
    let before = block_on(kept.org.export_audit(&mut Vec::new())).unwrap();
    assert_eq!(before.lacks(), [""; 0]);
    let keys: Vec<_> = whole.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
    let export_of = |rows: &Rows| {
        let vault = block_on(VaultOptions::default().open(load(rows), unlock())).unwrap();
        let mut export = Vec::new();
        let digest = block_on(org(&vault).export_audit(&mut export)).unwrap();
        let found = block_on(vault.verify()).unwrap().findings;
        assert_eq!(digest.lacks().len(), found.len());
        assert!(digest.lacks().iter().zip(&found).all(|(lack, one)| lack.starts_with(&one.to_string())));
        assert_eq!(digest.to_string().parse::<AuditDigest>().unwrap(), digest);
        assert!(before.check(&export[..]).is_err(), "an earlier digest tells");
        (digest, export)
    };
    for (number, key) in keys.iter().enumerate() {
        let (mut damaged, mut fewer, mut expected) = (whole.clone(), whole.clone(), events.clone());
        flip(damaged.get_mut(key).unwrap(), usize::MAX, 0);
        fewer.remove(key);
        expected.remove(number);
        for (rows, is_told) in [(&damaged, true), (&fewer, number < keys.len() - 2)] {
            let (digest, export) = export_of(rows);
            assert_eq!(
                !digest.lacks().is_empty(),
                is_told,
                "fewer than 32 at the end of a chain are not told"
            );
            let checked = digest.check(&export[..]).unwrap();
            assert_eq!((&checked.covered, &checked.later), (&expected, &Vec::new()));
            let lines: Vec<&str> = std::str::from_utf8(&export).unwrap().lines().collect();
            for at in 0..lines.len() {
                let mut fewer = lines.clone();
                let line = fewer.remove(at);
                assert!(digest.check(fewer.join("\n").as_bytes()).is_err(), "line {at} is gone too");
                let twice = [&lines[..], &[line]].concat();
                assert!(digest.check(twice.join("\n").as_bytes()).is_err(), "line {at} comes twice");
            }
        }
    }
    // All of a chain.
    let chain_of = |key: &[u8]| key[key.len() - 16..key.len() - 8].to_vec();
    let mut fewer = whole.clone();
    let gone = chain_of(&keys[2]);
    fewer.retain(|key, _| RowKey::parse(key).kind != Kind::Event || chain_of(key) != gone);
    let (digest, export) = export_of(&fewer);
    assert_eq!(digest.lacks().len(), 1);
    assert!(digest.check(&export[..]).unwrap().covered.len() < events.len());
}

#[test]
fn an_export_names_the_events_around_each_gap() {
    let kept = Kept::new();
    for turn in 1..40 {
        kept.set_at(&kept.org, turn * 1_000);
    }
    let (events, whole) = (kept.events(), rows(&kept.store));
    let id_of = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Event;
    let keys: Vec<_> = whole.keys().filter(|key| id_of(key)).cloned().collect();
    let lacks_of = |gone: std::ops::Range<usize>| {
        let mut fewer = whole.clone();
        keys[gone].iter().for_each(|key| drop(fewer.remove(key)));
        let vault = block_on(VaultOptions::default().open(load(&fewer), unlock())).unwrap();
        block_on(org(&vault).export_audit(&mut Vec::new())).unwrap().lacks().to_vec()
    };
    let [amid] = &lacks_of(7..9)[..] else { panic!("one gap") };
    assert!(amid.contains(&format!("event {} ", events[9].id)), "{amid}");
    assert!(amid.ends_with(&format!(": 2 between event {} and this one", events[6].id)), "{amid}");
    let end = lacks_of(20..40);
    assert!(
        end.iter().any(|lack| lack.ends_with(&format!(": those after event {}", events[19].id))),
        "{end:?}"
    );
}

/// A store that cuts a chain and takes its head away is found out by a digest, and by a checkpoint.
#[test]
fn a_chain_that_is_cut_with_its_head_is_told_by_what_is_kept_elsewhere() {
    let kept = Kept::new();
    for turn in 1..60 {
        kept.set_at(&kept.org, turn * 1_000);
    }
    let digest = block_on(kept.org.export_audit(&mut Vec::new())).unwrap();
    let mut checkpoint = Vec::new();
    assert!(block_on(kept.vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
    let mut cut = rows(&*kept.store);
    cut.retain(|key, _| RowKey::parse(key).kind != Kind::ChainHead);
    let events: Vec<_> = cut.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect();
    for event in &events[20..] {
        cut.remove(event);
    }
    assert!(!kept.is_told(&cut), "not by itself");

    let options = VaultOptions::default().clock(kept.clock.clone());
    let vault = block_on(options.open(load(&cut), unlock())).unwrap();
    let mut export = Vec::new();
    block_on(org(&vault).export_audit(&mut export)).unwrap();
    assert!(matches!(digest.check(&export[..]), Err(Error::Damaged { .. })));
    let report = block_on(vault.verify_against(checkpoint.as_slice())).unwrap();
    assert_eq!(report.questions_total, events.len() as u64 - 20 + 1);
}

/// A digest as the first release wrote it.
fn without_more(digest: &str) -> String {
    digest
        .lines()
        .skip(1)
        .map(|line| {
            line.rsplitn(3, ' ').nth(2).unwrap().to_owned()
                + "
"
        })
        .collect()
}

#[test]
fn what_a_host_notes_is_in_the_audit_on_behalf_of_its_actor() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 1_000);
    block_on(async {
        let made = kept.org.create_account(account("a")).with_credential("k", "c").await?;
        let value = kept.org.value("V", Scope::Org).await?.unwrap();
        let resolved = kept.org.resolve("V", &ScopePath::org()).await?.unwrap();
        let credential = made.credential("k").await?.unwrap();
        let app = IntegrationId::default_app();
        let notes = [
            AuditNote::value_read(&value),
            AuditNote::resolved(&resolved),
            AuditNote::credential_read(made.id(), &credential.info),
            AuditNote::connection_expired(made.id(), &app),
        ];
        assert_eq!(kept.org.acting_as("user:alice".parse()?).note(&notes).await?, 4);
        let last = events_of(&kept.org).await.pop().unwrap();
        assert_eq!(last.actor.as_deref(), Some("user:alice"));
        for (asked, found) in [("user:alice", 1), ("user:", 1), ("user", 0), ("user:al", 0), ("session:", 0)]
        {
            let page = kept.org.audit(&AuditFilter::all().actor(asked), PageRequest::first(100)).await?;
            assert_eq!(page.items.len(), found, "{asked}");
        }
        let kinds: Vec<_> = last.changes.iter().map(|change| change.kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["Variable Value Read", "Variable Value Read", "Credential Read", "Connection Expired"]
        );
        assert_eq!(last.changes[0].before, Some(value.revision));
        assert_eq!(last.changes[1].name.as_deref(), Some("V"));
        // More than fit in one event.
        let many = vec![AuditNote::value_read(&value); 120];
        let before = events_of(&kept.org).await.len();
        assert_eq!(kept.org.note(&many).await?, 120);
        assert_eq!(events_of(&kept.org).await.len() - before, 3);
        assert_eq!(kept.org.note(&[]).await?, 0);
        kept.vault.change_settings(|settings| settings.audit = false).await?;
        assert_eq!(kept.org.note(&notes).await?, 0);
        Ok::<_, Error>(())
    })
    .unwrap();
    verified(&kept.store);
}

#[test]
fn a_buffer_holds_so_many_notes_and_gives_the_others_back_or_counts_them() {
    let kept = Kept::new();
    kept.set_at(&kept.org, 1_000);
    let value = block_on(kept.org.value("V", Scope::Org)).unwrap().unwrap();
    let note = || AuditNote::value_read(&value);
    let buffer = AuditBuffer::new(2);
    assert!(buffer.push(note()).is_ok() && buffer.push(note()).is_ok());
    assert_eq!(buffer.push(note()), Err(note()));
    buffer.push_or_lose(note());
    assert_eq!((buffer.len(), buffer.lost()), (2, 1));
    drop(buffer.flush(&kept.org));
    assert_eq!(buffer.len(), 2, "a flush that nobody waited for took none");
    kept.vault.lock();
    assert!(block_on(buffer.flush(&kept.org)).is_err());
    assert_eq!((buffer.len(), buffer.lost()), (2, 1), "they wait again");
    block_on(kept.vault.unlock(unlock())).unwrap();
    assert_eq!(block_on(buffer.flush(&kept.org)).unwrap(), 2);
    assert!(buffer.is_empty());
    assert_eq!(kept.events().last().unwrap().changes.len(), 2);
}

#[test]
fn what_happens_to_api_keys_has_names_of_its_own() {
    let kept = Kept::new();
    block_on(async {
        let keys = kept.org.reserved_records("api-key".parse()?);
        let id = "k1".parse()?;
        keys.put(&id, "one").await?;
        keys.put(&id, "two").await?;
        keys.delete(&id).await?;
        kept.org.reserved_records("api-key-use".parse()?).put(&id, "20000").await?;
        kept.org.records("other".parse()?).put(&id, "one").await
    })
    .unwrap();
    let events = kept.events();
    let changes = events[1..].iter().map(|event| &event.changes[0]);
    let changes: Vec<_> = changes.map(|change| (change.kind.as_str(), change.name.as_deref())).collect();
    let key = Some("k1");
    let expected = [("API Key Created", key), ("API Key Updated", key), ("API Key Revoked", key)];
    assert_eq!(changes[..3], expected);
    assert_eq!(changes[3..], [("Record Put", Some("other"))], "when a key was used is no event");
}

async fn events_of(org: &Org) -> Vec<AuditEvent> {
    org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await.unwrap().items
}
