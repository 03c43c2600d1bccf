//! The audit: each acknowledged write has one event, in its own batch, and nobody takes one away unnoticed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::Store;
use strongroom::store::StoreErrorKind::{Indeterminate, Unavailable};
use strongroom::{
    Actor, AuditBuffer, AuditChange, AuditEvent, AuditFilter, AuditNote, Backup, Cause, DataKeys,
    DefinitionChange, Error, EventKind, Invalid, KeyState, LinkedAccountId, NewValue, Org, PageRequest,
    Revision, Scope, Timestamp, Vault, VaultOptions, WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::audit_kept::{HOUR, Kept};
use crate::common::TestClock;
use crate::rig::{
    Kind, ORG, RowKey, Rows, Verb, account, furnished, load, of_account, open, org, rows, sound, unlock,
    verbs, verified, view,
};

/// The rows of a furnished vault that has an audit from now on.
fn audited() -> Rows {
    let store = load(&furnished());
    audit_from_now_on(&open(Arc::clone(&store)));
    rows(&store)
}

fn audit_from_now_on(vault: &Vault) {
    block_on(vault.change_settings(|settings| settings.audit = true)).unwrap();
}

/// Every verb but a shred of the org, which takes the audit along.
fn audited_verbs() -> impl Iterator<Item = Verb> {
    verbs().into_iter().filter(|verb| verb.name != "shred")
}

fn events(org: &Org) -> Vec<AuditEvent> {
    let mut page = PageRequest::first(7);
    let mut all = Vec::new();
    loop {
        let found = block_on(org.audit(&AuditFilter::all(), page)).unwrap();
        all.extend(found.items);
        let Some(next) = found.next else { return all };
        page = PageRequest::first(7).after(next);
    }
}

fn events_in(store: &impl Store) -> Vec<AuditEvent> {
    events(&org(&open(load(&rows(store)))))
}

fn set(org: &Org, value: &str) {
    block_on(org.set_value("D", Scope::Org, value)).unwrap();
}

/// The keys of all events, the oldest first.
fn event_keys(rows: &Rows) -> Vec<Vec<u8>> {
    rows.keys().filter(|key| RowKey::parse(key).kind == Kind::Event).cloned().collect()
}

fn is_told(rows: &Rows) -> bool {
    let report = block_on(open(load(rows)).verify()).unwrap();
    report.findings.iter().any(|found| found.cause == Cause::BrokenChain)
}

#[test]
fn every_verb_leaves_one_event_in_its_first_batch() {
    let base = audited();
    for verb in audited_verbs() {
        let faulty = Faulty::new(load(&base));
        let vault = open(faulty.clone());
        block_on(verb.run(org(&vault))).unwrap();
        let plain = Faulty::new(load(&furnished()));
        block_on(verb.run(org(&open(plain.clone())))).unwrap();
        assert_eq!(faulty.commits_len(), plain.commits_len(), "{} writes no batch more", verb.name);
        let left = faulty.reopen();
        let events = events_in(&left);
        assert_eq!(events.len(), 1, "{}: {events:?}", verb.name);
        assert!(!events[0].changes.is_empty());
        verified(&left);
    }
}

#[test]
fn after_a_lost_answer_or_a_crash_there_is_an_event_exactly_if_there_is_the_write() {
    let base = audited();
    let before = view(&org(&open(load(&base))));
    for verb in audited_verbs() {
        for fault in [
            Fault::Before(Indeterminate),
            Fault::After(Indeterminate),
            Fault::Before(Unavailable),
            Fault::After(Unavailable),
        ] {
            let faulty = Faulty::new(load(&base)).on_commits(0..=0, fault);
            let acknowledged = block_on(verb.run(org(&open(faulty.clone())))).is_ok();
            let left = load(&rows(&faulty.reopen()));
            let events = events_in(&left).len();
            assert!(events <= 1 && (!acknowledged || events == 1), "{} after {fault:?}", verb.name);
            let changed = view(&org(&open(Arc::clone(&left)))) != before;
            assert!(!changed || events == 1, "{} is there without its event after {fault:?}", verb.name);
            sound(&left);
            // The next write succeeds, in another chain if nobody knew.
            set(&org(&open(Arc::clone(&left))), "next");
            assert_eq!(events_in(&left).len(), events + 1);
            sound(&left);
        }
    }
}

#[test]
fn an_engine_whose_answers_are_lost_leaves_chains_without_a_gap() {
    for fault in [Fault::Before(Indeterminate), Fault::After(Unavailable)] {
        let faulty = Faulty::new(load(&audited())).on_commits(2..=2, fault);
        let vault = open(faulty.clone());
        let written = (0..9)
            .filter(|number| block_on(org(&vault).set_value("V", Scope::Org, number.to_string())).is_ok())
            .count();
        let left = faulty.reopen();
        assert!(events_in(&left).len() >= written && written >= 8);
        sound(&left);
    }
}

#[test]
fn writers_of_two_engines_leave_one_event_for_each_acknowledged_write() {
    let store = load(&audited());
    let engines = [open(Arc::clone(&store)), open(Arc::clone(&store))];
    let writers: Vec<_> = (0..8)
        .map(|writer: usize| {
            let org = org(&engines[writer % 2]);
            thread::spawn(move || {
                let mut written = Vec::new();
                for round in 0..12 {
                    // Some write to one row, and so conflict.
                    let scope = if round % 3 == 0 { Scope::Org } else { of_account(&format!("w{writer}")) };
                    let values = [NewValue::new("V", &scope, "x"), NewValue::new("S", &scope, "y")];
                    let landed = block_on(org.set_values(&values));
                    written.extend(
                        landed.into_iter().flatten().map(|one| (one.id.to_string(), one.revision.as_u64())),
                    );
                }
                written
            })
        })
        .collect();
    let mut written: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let all = events_in(&store);
    let changes = all.iter().flat_map(|event| &event.changes);
    let mut noted: Vec<_> = changes
        .map(|change| (change.document_id.unwrap().to_string(), change.after.unwrap().as_u64()))
        .collect();
    written.sort();
    noted.sort();
    assert_eq!(noted, written);
    // They explain the state: the revision that is there is the last that an event left.
    let last: BTreeMap<_, _> = written.into_iter().collect();
    for (id, revision) in last {
        let now = block_on(org(&engines[0]).value_by_id(&id.parse().unwrap())).unwrap().unwrap();
        assert_eq!(now.revision.as_u64(), revision);
    }
    sound(&store);
}

#[test]
fn an_event_that_is_dropped_moved_or_changed_is_told() {
    let store = load(&audited());
    for engine in [open(Arc::clone(&store)), open(Arc::clone(&store))] {
        for number in 0..4 {
            set(&org(&engine), &number.to_string());
        }
    }
    let whole = rows(&store);
    assert!(!is_told(&whole));
    let keys = event_keys(&whole);
    let chain_of = |key: &Vec<u8>| key[key.len() - 16..key.len() - 8].to_vec();
    for (index, key) in keys.iter().enumerate() {
        let mut without = whole.clone();
        let row = without.remove(key).unwrap();
        // The last one of a chain is missed only by a head that counts it.
        let is_last = !keys[index + 1..].iter().any(|other| chain_of(other) == chain_of(key));
        assert_eq!(is_told(&without), !is_last, "event {index}");

        let mut moved = without.clone();
        let mut later = key.clone();
        let at = later.len() - 1;
        later[at] += 100;
        moved.insert(later, row.clone());
        assert!(!block_on(open(load(&moved)).verify()).unwrap().is_clean(), "event {index} moved");
        let mut changed = whole.clone();
        *changed.get_mut(key).unwrap().last_mut().unwrap() ^= 1;
        assert!(!block_on(open(load(&changed)).verify()).unwrap().is_clean(), "event {index} changed");
    }
    for chain in [chain_of(&keys[0]), chain_of(keys.last().unwrap())] {
        let mut without = whole.clone();
        without.retain(|key, _| RowKey::parse(key).kind != Kind::Event || chain_of(key) != chain);
        assert!(is_told(&without), "a whole chain is gone");
    }
    let mut without = whole.clone();
    without.retain(|key, _| RowKey::parse(key).kind != Kind::AuditHead);
    let findings = block_on(open(load(&without)).verify()).unwrap().findings;
    assert_eq!(findings.iter().map(|found| found.cause.as_str()).collect::<Vec<_>>(), ["missing"]);
}

#[test]
fn a_tail_that_a_head_counts_is_not_cut_off_unnoticed() {
    let store = load(&audited());
    let vault = open(Arc::clone(&store));
    (0..40).for_each(|number| set(&org(&vault), &number.to_string()));
    let whole = rows(&store);
    let keys = event_keys(&whole);
    assert_eq!(keys.len(), 40);
    let cut = |len: usize| {
        let mut rows = whole.clone();
        keys[len..].iter().for_each(|key| drop(rows.remove(key)));
        is_told(&rows)
    };
    assert!((0..32).all(cut));
    assert!(!(32..=40).any(cut), "the next head is written after the 64th");
}

#[test]
fn keys_are_rotated_under_events_and_backups_copies_and_restores_have_them() {
    let store = load(&audited());
    let vault = open(Arc::clone(&store));
    (0..40).for_each(|number| set(&org(&vault), &number.to_string()));
    let before = events(&org(&vault));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    block_on(job.run()).unwrap();
    assert_eq!(events(&org(&vault)), before);
    let report = sound(&store);
    assert!(report.keys.iter().all(|key| key.rows == 0 || key.state == KeyState::Active));

    let (mut file, mut of_org) = (Vec::new(), Vec::new());
    block_on(vault.backup(&mut file, |_| ())).unwrap();
    block_on(vault.backup_org(ORG.parse().unwrap(), unlock(), &mut of_org, |_| ())).unwrap();
    let backup = |file: &Vec<u8>| block_on(Backup::open(Cursor::new(file.clone()), unlock())).unwrap();
    let stores = [(); 4].map(|()| Arc::new(MemoryStore::new()));
    let [replaced, new, live, copied] = &stores;
    block_on(backup(&file).replace_original(Arc::clone(replaced), |_| ())).unwrap();
    block_on(backup(&file).restore_as_new(Arc::clone(new), unlock(), |_| ())).unwrap();
    let host = block_on(Vault::create(Arc::clone(live), unlock())).unwrap();
    audit_from_now_on(&host);
    let mut of_org = backup(&of_org);
    block_on(of_org.restore_org(ORG.parse().unwrap(), &host, |_| ())).unwrap();
    block_on(vault.copy_to(copied, |_| ())).unwrap();
    for store in &stores {
        assert_eq!(events_in(store), before);
        set(&org(&open(Arc::clone(store))), "goes on");
        assert_eq!(events_in(store).len(), before.len() + 1);
        sound(store);
    }
}

#[test]
fn a_shredded_org_leaves_no_event_and_begins_anew_for_every_engine() {
    let store = load(&audited());
    let engines = [open(Arc::clone(&store)), open(Arc::clone(&store))];
    engines.iter().for_each(|engine| (0..3).for_each(|number| set(&org(engine), &number.to_string())));
    let _receipt = block_on(org(&engines[0]).shred()).unwrap();
    assert!(events(&org(&engines[1])).is_empty() && event_keys(&rows(&store)).is_empty());
    for (number, engine) in engines.iter().enumerate() {
        block_on(org(engine).define(crate::rig::text(&format!("NEW{number}")))).unwrap();
    }
    assert_eq!(events_in(&store).len(), 2);
    verified(&store);
}

#[test]
fn a_shredded_account_leaves_the_events_of_the_org_and_none_has_a_value() {
    let store = load(&audited());
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).set_value("V", of_account("a"), "hunter2")).unwrap();
    let _receipt = block_on(org(&vault).shred_account(&account("a"))).unwrap();
    let found = events(&org(&vault));
    let kinds: Vec<_> = found.iter().map(|event| event.changes[0].kind).collect();
    assert_eq!(kinds, [EventKind::ValueSet, EventKind::AccountDeleted]);
    assert!(!format!("{found:?}").contains("hunter2"));
    sound(&store);
}

#[test]
fn a_vault_has_an_audit_only_if_it_is_told_to_and_ends_it_for_every_engine() {
    let store = load(&furnished());
    let (vault, other) = (open(Arc::clone(&store)), open(Arc::clone(&store)));
    set(&org(&vault), "1");
    audit_from_now_on(&vault);
    set(&org(&other), "2");
    block_on(vault.change_settings(|settings| settings.audit = false)).unwrap();
    set(&org(&other), "3");
    assert_eq!(events(&org(&vault)).len(), 1);
    audit_from_now_on(&other);
    set(&org(&vault), "4");
    assert_eq!(events(&org(&vault)).len(), 2);
    sound(&store);
}

#[test]
fn a_filter_narrows_by_time_kind_and_account() {
    let store = load(&audited());
    let clock = TestClock::default();
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    for ms in [1_000, 2_000, 3_000] {
        clock.set(ms);
        block_on(org(&vault).set_value("V", of_account("a"), ms.to_string())).unwrap();
        block_on(org(&vault).delete_value("V", of_account("a"))).unwrap();
    }
    let count = |filter: AuditFilter| {
        block_on(org(&vault).audit(&filter, PageRequest::default())).unwrap().items.len()
    };
    let at = Timestamp::from_ms;
    let all = AuditFilter::all;
    assert_eq!(count(all()), 6);
    assert_eq!(count(all().since(at(2_000))), 4);
    assert_eq!(count(all().until(at(2_000))), 2);
    assert_eq!(count(all().since(at(2_000)).until(at(3_000))), 2);
    assert_eq!(count(all().kind(EventKind::ValueDeleted)), 3);
    assert_eq!(
        (count(all().linked_account(account("a"))), count(all().linked_account(account("b")))),
        (6, 0)
    );
    assert_eq!(count(all().actor("nobody")), 0);
}

#[test]
fn a_page_of_a_filter_that_takes_nothing_ends_and_the_next_one_goes_on_from_there() {
    let store = load(&audited());
    let org = org(&open(Arc::clone(&store)));
    for _ in 0..4_096 {
        block_on(org.note(&[AuditNote::vault_operated("backup")])).unwrap();
    }
    let alice = org.acting_as("user:alice".parse().unwrap());
    block_on(alice.set_value("V", of_account("a"), "1")).unwrap();
    let by_alice = AuditFilter::all().actor("user:alice");
    let first = block_on(org.audit(&by_alice, PageRequest::first(1))).unwrap();
    assert!(first.items.is_empty());
    let rest = PageRequest::first(1).after(first.next.unwrap());
    let rest = block_on(org.audit(&by_alice, rest)).unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

#[test]
fn notes_that_were_written_before_a_failure_do_not_wait_again() {
    let store = Faulty::new(load(&audited()));
    let org = org(&open(store.clone()));
    let buffer = AuditBuffer::new(60);
    (0..60).for_each(|_| buffer.push_or_lose(AuditNote::vault_operated("backup")));
    let second = store.commits_len() + 1;
    drop(store.clone().on_commits(second..=second, Fault::Before(Unavailable)));
    assert!(block_on(buffer.flush(&org)).is_err());
    assert_eq!(buffer.len(), 10);
    assert_eq!(block_on(buffer.flush(&org)).unwrap(), 10);
    assert_eq!(events(&org).iter().map(|event| event.changes.len()).sum::<usize>(), 60);
}

#[test]
fn a_filter_by_kind_and_account_takes_an_event_in_which_one_change_is_both() {
    let store = load(&audited());
    let org = org(&open(Arc::clone(&store)));
    // One event: a value of the account, and a record of nobody.
    let noted = org.records("notes".parse().unwrap()).write("k".parse().unwrap(), "x");
    let options = WriteOptions::default().with_record(noted);
    block_on(org.set_value_with("V", of_account("a"), "1", options)).unwrap();
    let count =
        |filter: AuditFilter| block_on(org.audit(&filter, PageRequest::default())).unwrap().items.len();
    let of_account = |kind| AuditFilter::all().kind(kind).linked_account(account("a"));
    assert_eq!(count(AuditFilter::all().kind(EventKind::RecordPut)), 1);
    assert_eq!((count(of_account(EventKind::ValueSet)), count(of_account(EventKind::RecordPut))), (1, 0));
}

#[test]
fn a_clock_that_was_set_back_leaves_a_chain_in_its_order() {
    let store = load(&audited());
    let clock = TestClock::default();
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    for ms in [10_000_000, 9_999_000, 5_000, 4_000_000_000] {
        clock.set(ms);
        set(&org(&vault), &ms.to_string());
    }
    assert_eq!(events(&org(&vault)).len(), 4);
    sound(&store);
}

#[test]
fn an_event_after_a_clock_was_set_right_is_at_the_right_time() {
    let kept = Kept::new();
    [10 * HOUR, 2 * HOUR].into_iter().for_each(|ms| kept.set_at(&kept.org, ms));
    let times: Vec<_> = kept.events().iter().map(|event| event.at.as_ms()).collect();
    assert_eq!(times, [0, 2 * HOUR, 10 * HOUR]);
    verified(&kept.store);
}

#[test]
fn an_event_says_who_acted_and_in_which_request() {
    let store = load(&audited());
    let vault = open(Arc::clone(&store));
    let actor: Actor = "user:alice".parse().unwrap();
    let alice = org(&vault).acting_as(actor.in_request("req-17".parse().unwrap()));
    set(&alice, "1");
    block_on(alice.account(account("a")).set_value("D", "2")).unwrap();
    set(&org(&vault), "3");
    let who: Vec<_> = events(&org(&vault)).into_iter().map(|event| (event.actor, event.request_id)).collect();
    let hers = (Some("user:alice".to_owned()), Some("req-17".to_owned()));
    assert_eq!(who, [hers.clone(), hers, (None, None)]);
    let by_alice = AuditFilter::all().actor("user:alice");
    assert_eq!(block_on(org(&vault).audit(&by_alice, PageRequest::default())).unwrap().items.len(), 2);
}

/// A vault with an audit and a history of values, credentials and definitions, some of them deleted.
fn with_past(store: &Arc<MemoryStore>) -> Vault {
    let vault =
        block_on(VaultOptions::default().history_versions(5).open(Arc::clone(store), unlock())).unwrap();
    let org = org(&vault);
    block_on(async {
        for number in 0..4 {
            org.set_value("D", Scope::Org, number.to_string()).await?;
            org.set_value("V", of_account("a"), number.to_string()).await?;
            org.account(account("a")).upsert_credential("k", number.to_string()).await?;
            let change = DefinitionChange::new().description(number.to_string());
            org.update_definition("D", change).await?;
        }
        org.delete_value_with("V", of_account("a"), WriteOptions::default().keep_history()).await?;
        Ok::<_, Error>(())
    })
    .unwrap();
    vault
}

#[test]
fn events_that_are_dropped_and_rows_of_events_and_histories_that_are_swapped_or_changed_are_told() {
    let store = load(&audited());
    let vault = with_past(&store);
    let mut checkpoint = Vec::new();
    assert!(block_on(vault.checkpoint(&mut checkpoint)).unwrap().is_clean());
    let whole = rows(&store);
    let is_told = |rows: &Rows| {
        let report = block_on(open(load(rows)).verify_against(checkpoint.as_slice())).unwrap();
        !report.is_clean() || report.questions.iter().any(|question| question.cause == Cause::Gone)
    };
    assert!(!is_told(&whole));
    let of_past = [
        Kind::Event,
        Kind::AuditHead,
        Kind::FormerValue,
        Kind::DeletedValue,
        Kind::FormerCredential,
        Kind::FormerDefinition,
    ];
    let is_of_audit = |kind| matches!(kind, Kind::Event | Kind::AuditHead);
    for kind in of_past {
        let keys: Vec<_> = whole.keys().filter(|key| RowKey::parse(key).kind == kind).collect();
        assert!(!keys.is_empty(), "{kind:?}");
        for (number, key) in keys.iter().enumerate() {
            // A former version that is gone may have made room for a newer one.
            let mut dropped = whole.clone();
            dropped.remove(*key);
            assert!(!is_of_audit(kind) || is_told(&dropped), "{kind:?} {number} is gone");
            let mut changed = whole.clone();
            *changed.get_mut(*key).unwrap().last_mut().unwrap() ^= 1;
            assert!(is_told(&changed), "{kind:?} {number} was changed");
            let Some(next) = keys.get(number + 1) else { continue };
            let mut swapped = whole.clone();
            swapped.insert((*key).clone(), whole[*next].clone());
            swapped.insert((*next).clone(), whole[*key].clone());
            assert!(is_told(&swapped), "{kind:?} {number} was swapped with the next one");
        }
        let mut cut = whole.clone();
        keys[keys.len() / 2..].iter().for_each(|key| drop(cut.remove(*key)));
        assert!(!is_of_audit(kind) || is_told(&cut), "the second half of {kind:?} is gone");
    }
}

/// What one actor did with a document, in one event.
struct Step {
    document: String,
    before: Option<u64>,
    after: Option<u64>,
}

fn step(change: &AuditChange) -> Step {
    let revision = |revision: Option<Revision>| revision.map(Revision::as_u64);
    let account = change.linked_account.as_ref().map_or("", LinkedAccountId::as_str);
    let document = match change.kind {
        EventKind::CredentialSet | EventKind::CredentialDeleted => {
            format!("credential {account} {}", change.name.as_ref().unwrap())
        }
        _ => format!("value {account} {}", change.definition_id.unwrap()),
    };
    Step { document, before: revision(change.before), after: revision(change.after) }
}

#[test]
fn random_writes_of_several_actors_on_two_engines_are_noted_once_in_an_order_that_explains_what_is_left() {
    for seed in 0..8 {
        let store = load(&audited());
        let shared = open(Arc::clone(&store));
        block_on(org(&shared).account(account("a")).upsert_credential("k", "0")).unwrap();
        let (noted_before, start) = (events(&org(&shared)).len(), documents(&org(&shared)));
        let writers: Vec<_> = (0..6_u64)
            .map(|writer| {
                let vault = if writer % 2 == 0 { shared.clone() } else { open(Arc::clone(&store)) };
                thread::spawn(move || act(&org(&vault), writer, seed * 100 + writer + 1))
            })
            .collect();
        let mut acknowledged: Vec<_> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        let all = events(&org(&open(load(&rows(&store)))));
        let stream: Vec<_> = all.iter().skip(noted_before).cloned().collect();
        // A delete that finds only what an earlier one had kept of the value's history is noted, and deletes no value.
        let of_a_value = |event: &&AuditEvent| {
            event.changes.iter().any(|change| change.before.is_some() || change.after.is_some())
        };
        let mut noted: Vec<_> = stream
            .iter()
            .filter(of_a_value)
            .map(|event| (event.actor.clone().unwrap(), event.request_id.clone().unwrap()))
            .collect();
        acknowledged.sort();
        noted.sort();
        assert_eq!(noted, acknowledged, "seed {seed}: each write is noted once");
        let actors = by_actor(&stream);
        let end = replayed(&start, &actors, &mut vec![0; actors.len()], &mut HashSet::new());
        assert_eq!(end, Some(documents(&org(&shared))), "seed {seed}");
        sound(&store);
    }
}

/// Goes through the events of several actors, each one's in his own order, so that each event finds what those before
/// it left, from `state` on. Returns what is left at the end, or `None` if there is no such order.
///
/// Revisions begin again after a delete, so more than one event may fit, and only one may lead to the end: the choice
/// is taken back where it does not. Which events are done decides the state, so none is tried twice.
fn replayed(
    state: &BTreeMap<String, u64>,
    actors: &[Vec<Vec<Step>>],
    done: &mut [usize],
    tried: &mut HashSet<Vec<usize>>,
) -> Option<BTreeMap<String, u64>> {
    if !tried.insert(done.to_vec()) {
        return None;
    }
    if actors.iter().zip(&*done).all(|(events, &done)| done == events.len()) {
        return Some(state.clone());
    }
    (0..actors.len()).find_map(|actor| {
        let steps = actors[actor].get(done[actor])?;
        let fits = |step: &Step| state.get(&step.document).copied() == step.before;
        if !steps.iter().all(fits) {
            return None;
        }
        let mut next = state.clone();
        for Step { document, after, .. } in steps {
            match after {
                Some(revision) => drop(next.insert(document.clone(), *revision)),
                None => drop(next.remove(document)),
            }
        }
        done[actor] += 1;
        let end = replayed(&next, actors, done, tried);
        done[actor] -= 1;
        end
    })
}

/// The events by actor, each one's in the order in which he wrote them.
fn by_actor(events: &[AuditEvent]) -> Vec<Vec<Vec<Step>>> {
    let mut actors: BTreeMap<String, BTreeMap<u64, Vec<Step>>> = BTreeMap::new();
    for event in events {
        let (actor, number) = event.request_id.as_ref().unwrap().as_str().split_once('-').unwrap();
        let steps = event.changes.iter().map(step).collect();
        actors.entry(actor.to_owned()).or_default().insert(number.parse().unwrap(), steps);
    }
    actors.into_values().map(|events| events.into_values().collect()).collect()
}

/// The revision of each value and credential.
fn documents(org: &Org) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let scopes = [Scope::Org, of_account("a"), of_account("b")];
    for (scope, account) in scopes.iter().zip(["", "a", "b"]) {
        for value in block_on(org.values(scope, PageRequest::default())).unwrap().items {
            found.insert(format!("value {account} {}", value.definition_id), value.revision.as_u64());
        }
    }
    for info in block_on(org.account(account("a")).credentials(PageRequest::default())).unwrap().items {
        found.insert(format!("credential a {}", info.key_name), info.revision.as_u64());
    }
    found
}

/// Writes as one actor, and returns who wrote in which requests that were acknowledged.
fn act(org: &Org, writer: u64, seed: u64) -> Vec<(String, String)> {
    let actor: Actor = format!("user:{writer}").parse().unwrap();
    let mut random = seed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        let request = format!("{writer}-{number}");
        let org = org.acting_as(actor.clone().in_request(request.parse().unwrap()));
        let scope = [Scope::Org, of_account("a"), of_account("b")][next(3) as usize].clone();
        let (name, value) = (["V", "S"][next(2) as usize], number.to_string());
        let a = org.account(account("a"));
        let has_written = block_on(async {
            Ok::<_, Error>(match next(5) {
                0 => org.delete_value(name, &scope).await?.is_some(),
                1 => a.upsert_credential("k", value).await.map(|_| true)?,
                2 => a.delete_credential("k").await?,
                3 => {
                    let values = ["V", "S"].map(|name| NewValue::new(name, &scope, &*value));
                    org.set_values(&values).await.map(|_| true)?
                }
                _ => org.set_value(name, &scope, value).await.map(|_| true)?,
            })
        });
        if has_written.unwrap() {
            acknowledged.push((actor.name().to_string(), request));
        }
    }
    acknowledged
}

#[test]
fn the_newest_events_come_first_page_by_page_and_those_written_meanwhile_shift_none() {
    let store = load(&audited());
    let clock = TestClock::default();
    let options = VaultOptions::default().clock(clock.clone());
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    let times = [1_000, 2_000, 3_000, 4_000, 5_000];
    let set_at = |ms: u64| {
        clock.set(ms);
        block_on(org(&vault).set_value("V", of_account("a"), ms.to_string())).unwrap();
    };
    times.into_iter().for_each(set_at);
    let at = Timestamp::from_ms;
    let filter = AuditFilter::all().newest_first().since(at(2_000)).until(at(5_000));
    let mut seen = Vec::new();
    let mut page = PageRequest::first(2);
    loop {
        let found = block_on(org(&vault).audit(&filter, page)).unwrap();
        seen.extend(found.items.iter().map(|event| event.at.as_ms()));
        let Some(next) = found.next else { break };
        page = PageRequest::first(2).after(next);
        set_at(4_500);
    }
    assert_eq!(seen, [4_000, 3_000, 2_000]);
    let newest =
        block_on(org(&vault).audit(&AuditFilter::all().newest_first(), PageRequest::first(1))).unwrap();
    assert_eq!(newest.items[0].at, at(5_000));
    let oldest_first = PageRequest::first(1).after(newest.next.unwrap());
    let other_order = block_on(org(&vault).audit(&AuditFilter::all(), oldest_first));
    assert!(matches!(other_order, Err(Error::Invalid(Invalid::Cursor(_)))), "a cursor belongs to its order");
}
