//! A store that loses its answer: the verb finds out what happened, or says that it does not know.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use strongroom::{Error, NewValue, Org, Scope, Upsert, Vault, WriteOptions};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::audit_kept::Kept;
use crate::rig::{
    Hooked, Point, Rows, Verb, View, account, audit, furnished, load, of_account, open, org, sound, text,
    unlock, verbs, view,
};

/// What a verb does when nothing goes wrong.
struct Known {
    answer: String,
    before: View,
    after: View,
    commits_len: usize,
}

fn know(base: &Rows, verb: &Verb) -> Known {
    let before = view(&org(&open(load(base))));
    let store = Faulty::new(load(base));
    let answer = block_on(verb.run(org(&open(store.clone())))).unwrap();
    Known { answer, before, after: view(&org(&open(store.reopen()))), commits_len: store.commits_len() }
}

/// The answer is right, or `Indeterminate`; what is left is the state of before or of after.
fn check(known: &Known, name: &str, answer: Result<String, Error>, store: &impl Store) {
    let vault = open(Faulty::new(load(&crate::rig::rows(store))));
    sound(store);
    let seen = view(&org(&vault));
    match answer {
        Ok(answer) => {
            assert_eq!(answer, known.answer, "{name}");
            assert_eq!(seen, known.after, "{name} was acknowledged");
        }
        Err(Error::Indeterminate(_)) => {
            assert!(seen == known.before || seen == known.after, "{name} is half there");
        }
        Err(error) => panic!("{name}: {error:?}"),
    }
}

/// What the store does after it lost an answer.
#[derive(Debug, Clone, Copy)]
enum Then {
    Works,
    GivesWay,
    RefusesReads,
    RefusesWrites,
    RefusesAll,
}

#[test]
fn a_verb_whose_answer_is_lost_says_what_happened_or_that_it_does_not_know() {
    let base = furnished();
    for verb in verbs() {
        let known = know(&base, &verb);
        for commit in 0..known.commits_len {
            for lost in
                [Fault::Before(StoreErrorKind::Indeterminate), Fault::After(StoreErrorKind::Indeterminate)]
            {
                for then in
                    [Then::Works, Then::GivesWay, Then::RefusesReads, Then::RefusesWrites, Then::RefusesAll]
                {
                    lose(&base, &verb, &known, commit, lost, then);
                }
            }
        }
    }
}

fn lose(base: &Rows, verb: &Verb, known: &Known, commit: usize, lost: Fault, then: Then) {
    let reads_len = reads_until(base, verb, commit);
    let unavailable = Fault::Before(StoreErrorKind::Unavailable);
    let store = Faulty::new(load(base)).on_commits(commit..=commit, lost);
    let store = match then {
        Then::Works => store,
        Then::GivesWay => {
            store.on_commits(commit + 1..=commit + 2, Fault::Before(StoreErrorKind::Contention))
        }
        Then::RefusesReads => store.on_reads(reads_len.., unavailable),
        Then::RefusesWrites => store.on_commits(commit + 1.., unavailable),
        Then::RefusesAll => store.on_reads(reads_len.., unavailable).on_commits(commit + 1.., unavailable),
    };
    let name = format!("{} {commit} {lost:?} {then:?}", verb.name);
    let vault = open(store.clone());
    let answer = block_on(verb.run(org(&vault)));
    // The first batch of a cascade is the delete; a store that fails the sweep says so, and the delete stands.
    let swept = commit > 0 || matches!(lost, Fault::After(_));
    if let (Err(Error::Store(error)), true, true) = (&answer, verb.cascades(), swept) {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{name}");
        assert_eq!(view(&org(&open(store.reopen()))), known.after, "{name}");
    } else {
        check(known, &name, answer, &store.reopen());
    }

    // The vault continues: what it cached is not what it lost, and what is left is whole.
    if matches!(then, Then::Works | Then::GivesWay) {
        assert_eq!(view(&org(&vault)), view(&org(&open(store.reopen()))), "{name}");
        block_on(vault.run_jobs()).unwrap();
        audit(&store.reopen());
    }
}

type Write = fn(Org, &'static str) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// First writes of documents, each with what is written.
const FIRST_WRITES: [(&str, Write); 6] = [
    ("a value", |org, to| Box::pin(async move { org.set_value("FRESH", Scope::Org, to).await.map(drop) })),
    ("a value of a new account", |org, to| {
        Box::pin(async move { org.set_value("FRESH", of_account("new"), to).await.map(drop) })
    }),
    ("a definition with its value", |org, to| {
        Box::pin(async move {
            org.define_and_set(&[text("NEW")], &[NewValue::new("NEW", &Scope::Org, to)]).await.map(drop)
        })
    }),
    ("an account", |org, to| {
        Box::pin(async move { org.upsert_account(account("new")).with_credential("k", to).await.map(drop) })
    }),
    ("a credential", |org, to| {
        Box::pin(async move { org.account(account("a")).upsert_credential("new", to).await.map(drop) })
    }),
    ("a record", |org, to| {
        Box::pin(async move { org.records("notes".parse()?).put(&"new".parse()?, to).await.map(drop) })
    }),
];

/// Everything that is written by [`FIRST_WRITES`].
async fn written(org: &Org) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for (name, scope) in [("FRESH", Scope::Org), ("FRESH", of_account("new")), ("NEW", Scope::Org)] {
        if org.definition(name).await?.is_some() {
            all.extend(org.value(name, scope).await?.map(|found| found.value));
        }
    }
    for (id, key) in [("new", "k"), ("a", "new")] {
        if org.linked_account(&account(id)).await?.is_some() {
            all.extend(org.account(account(id)).credential(key).await?.map(|found| found.value));
        }
    }
    all.extend(org.records("notes".parse()?).get(&"new".parse()?).await?.map(|found| found.value));
    Ok(all.into_iter().map(|value| value.expose().to_owned()).collect())
}

#[test]
fn a_first_write_whose_answer_is_lost_is_not_taken_for_that_of_another_writer() {
    let furnished = load(&furnished());
    block_on(org(&open(Arc::clone(&furnished))).define(text("FRESH"))).unwrap();
    let base = crate::rig::rows(&furnished);
    for (name, write) in FIRST_WRITES {
        // The other one comes in after each of the reads that precede the commit.
        for reads_len in 0..3 {
            let rows = load(&base);
            let hooked = Hooked::new(Arc::clone(&rows)).shared();
            let lost = Fault::Before(StoreErrorKind::Indeterminate);
            let vault = open(Faulty::new(hooked.clone()).on_commits(0..=0, lost));
            let other = org(&open(Arc::clone(&rows)));
            hooked.once_after(Point::AfterRead, reads_len, move || block_on(write(other, "other")).unwrap());
            let answer = block_on(write(org(&vault), "own"));
            let seen = block_on(written(&org(&open(rows)))).unwrap();
            assert!(
                answer.is_err() || seen == ["own"],
                "{name}, {reads_len}: acknowledged, and {seen:?} is there"
            );
        }
    }
}

/// How many reads an opened vault makes until `verb` comes to this commit.
fn reads_until(base: &Rows, verb: &Verb, commit: usize) -> usize {
    let poisoned = Fault::Before(StoreErrorKind::Poisoned);
    let store = Faulty::new(load(base)).on_commits(commit..=commit, poisoned);
    drop(block_on(verb.run(org(&open(store.clone())))));
    store.reads_len()
}

/// A store that holds the first batch back, says that its answer was lost, and applies it at a later call: a
/// message that took its time.
#[derive(Debug, Clone)]
struct Late {
    inner: Arc<MemoryStore>,
    wiring: Arc<Mutex<Wiring>>,
}

#[derive(Debug)]
struct Wiring {
    held: Option<Arc<WriteBatch>>,
    /// How many commits come before the one that is held; `None` once it was.
    commits_left: Option<usize>,
    /// How many calls pass before the batch arrives.
    calls_left: usize,
    /// How many commits the store refuses after the one that is held.
    contentions_left: usize,
    /// Whether the batch was applied when it arrived.
    applied: Option<bool>,
}

impl Late {
    fn new(inner: Arc<MemoryStore>, calls_left: usize, contentions_left: usize) -> Self {
        let wiring =
            Wiring { held: None, commits_left: Some(0), calls_left, contentions_left, applied: None };
        Self { inner, wiring: Arc::new(Mutex::new(wiring)) }
    }

    fn arrive(&self) {
        let mut wiring = self.wiring.lock().unwrap();
        if wiring.held.is_some() && wiring.calls_left > 0 {
            wiring.calls_left -= 1;
            return;
        }
        let Some(batch) = wiring.held.take() else { return };
        wiring.applied = Some(block_on_inline(&self.inner, batch));
    }

    /// Lets the batch arrive, if it did not yet.
    fn arrive_now(&self) {
        let mut wiring = self.wiring.lock().unwrap();
        if let Some(batch) = wiring.held.take() {
            wiring.applied = Some(block_on_inline(&self.inner, batch));
        }
    }
}

/// Commits on a thread of its own, since this one is in the middle of another call.
fn block_on_inline(store: &Arc<MemoryStore>, batch: Arc<WriteBatch>) -> bool {
    let store = Arc::clone(store);
    std::thread::spawn(move || block_on(store.commit(batch)).is_ok()).join().unwrap()
}

#[async_trait]
impl Store for Late {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.arrive();
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.arrive();
        let contended = {
            let mut wiring = self.wiring.lock().unwrap();
            if let Some(left) = wiring.commits_left {
                wiring.commits_left = left.checked_sub(1);
                if left == 0 {
                    wiring.held = Some(batch);
                    return Err(StoreError::new(StoreErrorKind::Indeterminate, "the answer was lost"));
                }
            }
            let contended = wiring.applied.is_none() && wiring.contentions_left > 0;
            wiring.contentions_left -= usize::from(contended);
            contended
        };
        if contended {
            return Err(StoreError::new(StoreErrorKind::Contention, "another try"));
        }
        self.inner.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        (*self.inner).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[test]
fn what_was_deleted_is_not_brought_back_by_a_write_whose_answer_was_lost() {
    let furnished = load(&furnished());
    block_on(org(&open(Arc::clone(&furnished))).define(text("FRESH"))).unwrap();
    let base = crate::rig::rows(&furnished);
    let (mut unknown, mut done) = (0, 0);
    for calls in 0..12 {
        let late = Late::new(load(&base), calls, 0);
        let org = org(&open(late.clone()));
        let notes = org.records("notes".parse().unwrap());
        let key = "new".parse().unwrap();
        let made = block_on(notes.put(&key, "v"));
        assert!(matches!(made, Ok(_) | Err(Error::Indeterminate(_))), "{made:?}");
        let deleted = block_on(notes.delete(&key)).unwrap();
        late.arrive_now();
        let found = block_on(notes.get(&key)).unwrap();
        assert!(found.is_none() || (made.is_err() && !deleted), "{calls}: it came back");
        unknown += usize::from(made.is_err());

        let late = Late::new(load(&base), calls, 0);
        let org = crate::rig::org(&open(late.clone()));
        let made = block_on(org.set_value("FRESH", Scope::Org, "v"));
        assert!(matches!(made, Ok(_) | Err(Error::Indeterminate(_))), "{made:?}");
        let deleted = block_on(org.delete_value("FRESH", Scope::Org)).unwrap().is_some();
        late.arrive_now();
        let found = block_on(org.value("FRESH", Scope::Org)).unwrap();
        assert!(found.is_none() || (made.is_err() && !deleted), "{calls}: it came back");
        done += usize::from(made.is_ok());
    }
    assert!(unknown > 0 && done > 0, "the batch arrives at different times: {unknown} {done}");
}

#[test]
fn a_batch_that_arrives_late_is_the_verb_or_nothing() {
    let base = furnished();
    for verb in verbs() {
        let known = know(&base, &verb);
        for contentions in 0..2 {
            for calls in 0..6 {
                let store = load(&base);
                let late = Late::new(Arc::clone(&store), calls, contentions);
                let vault = open(late.clone());
                let answer = block_on(verb.run(org(&vault)));
                let name = format!("{} late by {calls} after {contentions}", verb.name);
                let left = crate::rig::rows(&store);
                let acknowledged = answer.is_ok();
                check(&known, &name, answer, &store);
                late.arrive_now();
                assert!(!acknowledged || crate::rig::rows(&store) == left, "{name}: it applied twice");
                block_on(vault.run_jobs()).unwrap();
                assert_eq!(view(&org(&vault)), view(&org(&open(Arc::clone(&store)))), "{name}");
            }
        }
    }
}

#[test]
fn sixteen_lost_races_are_contention() {
    let base = furnished();
    let contention = Fault::Before(StoreErrorKind::Contention);
    for verb in verbs() {
        let known = know(&base, &verb);
        let store = Faulty::new(load(&base)).on_commits(..16, contention);
        let answer = block_on(verb.run(org(&open(store.clone()))));
        assert!(matches!(answer, Err(Error::Contended(16))), "{}: {answer:?}", verb.name);
        assert_eq!(store.commits_len(), 16, "{}", verb.name);
        assert_eq!(view(&org(&open(store.reopen()))), known.before, "{}", verb.name);

        let store = Faulty::new(load(&base)).on_commits(..15, contention);
        let answer = block_on(verb.run(org(&open(store.clone()))));
        assert_eq!(answer.unwrap(), known.answer, "{}", verb.name);
        assert_eq!(view(&org(&open(store.reopen()))), known.after, "{}", verb.name);
    }
}

#[test]
fn an_answer_that_is_lost_sixteen_times_is_indeterminate() {
    let base = furnished();
    let lost = Fault::Before(StoreErrorKind::Indeterminate);
    let mut sent_once = Vec::new();
    for verb in verbs() {
        let store = Faulty::new(load(&base)).on_commits(.., lost);
        let answer = block_on(verb.run(org(&open(store.clone()))));
        assert!(matches!(answer, Err(Error::Indeterminate(_))), "{}: {answer:?}", verb.name);
        match store.commits_len() {
            1 => sent_once.push(verb.name),
            sent => assert_eq!(sent, 16, "{}", verb.name),
        }
    }
    // They only make rows, so that a second copy could bring back what was deleted in between.
    let only_make_rows = [
        "set_value first",
        "set_value first, expecting none",
        "set_value first of an account",
        "create_account",
        "add_integration",
        "add_connection",
        "put_record first",
    ];
    assert_eq!(sent_once, only_make_rows);
}

#[test]
fn a_write_that_another_writer_overtook_after_its_answer_was_lost_is_indeterminate() {
    let base = furnished();
    let store = crate::rig::Hooked::new(load(&base));
    let faulty = Faulty::new(store.clone()).on_commits(0..=0, Fault::Before(StoreErrorKind::Indeterminate));
    let vault = open(faulty);
    let other = open(store.clone());
    store.once_after(crate::rig::Point::BeforeRead, 1, move || {
        block_on(org(&other).set_value("V", Scope::Org, "theirs")).unwrap();
    });
    let answer = block_on(org(&vault).set_value("V", Scope::Org, "ours"));
    assert_eq!(store.hooks_left(), 0);
    match answer {
        Ok(written) => assert_eq!(written.action, Upsert::Updated),
        Err(error) => assert!(matches!(error, Error::Indeterminate(_)), "{error:?}"),
    }
}

#[test]
fn a_vault_whose_making_lost_its_answer_is_indeterminate_and_opens_if_it_is_there() {
    for (fault, there) in [
        (Fault::Before(StoreErrorKind::Indeterminate), false),
        (Fault::After(StoreErrorKind::Indeterminate), true),
    ] {
        let store = Faulty::new(MemoryStore::new()).on_commits(0..=0, fault);
        let created = block_on(Vault::create(store.clone(), unlock()));
        assert!(matches!(created, Err(Error::Indeterminate(_))));
        assert_eq!(block_on(Vault::open(store.reopen(), unlock())).is_ok(), there);
        if !there {
            let vault = block_on(Vault::create(store.reopen(), unlock())).unwrap();
            block_on(org(&vault).define(text("V"))).unwrap();
        }
    }
}

#[test]
fn a_delete_that_is_noted_as_an_event_is_found_out_by_the_event_where_the_answer_is_lost() {
    let kept = Kept::new();
    block_on(kept.org.define(text("H").history_versions(2))).unwrap();
    for name in ["V", "H"] {
        block_on(kept.org.set_value(name, Scope::Org, "v")).unwrap();
    }
    for (name, options) in [
        ("V", WriteOptions::default()),
        ("H", WriteOptions::default()),
        ("H", WriteOptions::default().keep_history()),
    ] {
        let store = Faulty::new(load(&crate::rig::rows(&*kept.store)));
        let org = org(&open(store.clone()));
        // The first event of an engine also writes to the head of the audit.
        block_on(org.records("notes".parse().unwrap()).put(&"r".parse().unwrap(), "r")).unwrap();
        let next = store.commits_len();
        let _loses = store.on_commits(next..=next, Fault::After(StoreErrorKind::Indeterminate));
        let deleted = block_on(org.delete_value_with(name, Scope::Org, options));
        assert!(matches!(deleted, Ok(Some(_))), "{name}: {deleted:?}");
    }
}
