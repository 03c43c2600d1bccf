//! A vault moves to another store while it serves: nothing is lost, and never do both stores take writes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::StoreErrorKind::{Contention, Indeterminate, Unavailable};
use strongroom::store::{Capabilities, Committed, Op, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{Error, Org, Scope, Vault, WrongStore};
use strongroom_conformance::{Fault, Faulty, Stop, crash_at_every_commit};
use strongroom_memory::MemoryStore;

use crate::rig::{
    Altered, Hooked, Paged, Point, Rows, audit, fill, furnished, load, open, org, rows, sound, unlock, verbs,
    view,
};

const HEADER: [u8; 2] = [0, 1];
const RETIRED: [u8; 2] = [0, 0x10];

fn copy(vault: &Vault, target: &impl Store) -> Result<strongroom::CopySummary, Error> {
    block_on(vault.copy_to(target, |_| ()))
}

/// Whether a vault that is opened from this store takes writes; `None` where none opens.
fn takes_writes(store: &impl Store) -> Option<bool> {
    let vault = block_on(Vault::open(load(&rows(store)), unlock())).ok()?;
    match block_on(org(&vault).set_value("V", Scope::Org, "probe")) {
        Ok(_) => Some(true),
        Err(Error::Retired) => Some(false),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_row_arrives_and_the_source_is_retired() {
    let base = furnished();
    let source = load(&base);
    let vault = open(Arc::clone(&source));
    let before = view(&org(&vault));
    let target = Arc::new(MemoryStore::new());
    let summary = copy(&vault, &target).unwrap();
    assert_eq!(rows(&target), base);
    assert_eq!((summary.rows, summary.digest.len()), (base.len() as u64 - 1, 64), "all but the header");

    let moved = open(Arc::clone(&target));
    assert_eq!(moved.store_id(), vault.store_id());
    assert_eq!(view(&org(&moved)), before);
    block_on(org(&moved).set_value("V", Scope::Org, "after")).unwrap();
    sound(&target);

    assert!(block_on(vault.is_retired()).unwrap() && !block_on(moved.is_retired()).unwrap());
    assert_eq!(view(&org(&vault)), before, "the source still reads");
    sound(&source);
    let left = rows(&source);
    let reopened = open(Arc::clone(&source));
    for vault in [&vault, &reopened] {
        for verb in verbs() {
            let answer = block_on(verb.run(org(vault)));
            assert!(matches!(answer, Err(Error::Retired)), "{}: {answer:?}", verb.name);
        }
    }
    assert_eq!(rows(&source), left);
    assert!(matches!(copy(&vault, &MemoryStore::new()), Err(Error::Retired)));
    assert!(matches!(copy(&vault, &target), Err(Error::Retired)));
}

#[test]
fn an_engine_that_had_the_store_open_before_takes_no_writes_either() {
    let source = load(&furnished());
    let (here, elsewhere) = (open(Arc::clone(&source)), open(Arc::clone(&source)));
    block_on(org(&elsewhere).set_value("V", Scope::Org, "warm")).unwrap();
    copy(&here, &MemoryStore::new()).unwrap();
    let answer = block_on(org(&elsewhere).set_value("V", Scope::Org, "late"));
    assert!(matches!(answer, Err(Error::Retired)), "{answer:?}");
}

#[test]
fn a_write_at_any_moment_arrives_or_is_refused() {
    let base = furnished();
    let before = view(&org(&open(load(&base))));
    for verb in verbs() {
        let after = verb.view_after(&base);
        for point in [Point::AfterRead, Point::AfterCommit] {
            for skip in 0.. {
                let hooked = Hooked::new(load(&base));
                let vault = open(hooked.clone());
                let writer = org(&vault);
                let answer = Arc::new(std::sync::Mutex::new(None));
                let told = Arc::clone(&answer);
                hooked.once_after(point, skip, move || {
                    *told.lock().unwrap() = Some(block_on(verb.run(writer)));
                });
                let target = Arc::new(MemoryStore::new());
                copy(&vault, &target).unwrap();
                if hooked.hooks_left() > 0 {
                    break;
                }
                let vault = open(Arc::clone(&target));
                block_on(vault.run_jobs()).unwrap();
                let seen = view(&org(&vault));
                let name = verb.name;
                match answer.lock().unwrap().take().unwrap() {
                    Ok(_) => assert!(seen == after, "{name} at {point:?} {skip} is lost"),
                    // The first batch of a cascade may have landed.
                    Err(Error::Retired) => assert!(seen == before || verb.cascades(), "{name} {skip}"),
                    Err(error) => panic!("{name}: {error}"),
                }
                audit(&target);
                sound(&target);
            }
        }
    }
}

/// What is left of source and target when the process ends at each commit to one of them.
fn stop_everywhere(base: &Rows, end: End) -> Vec<(Stop, Arc<MemoryStore>, Arc<MemoryStore>)> {
    let left = RefCell::new(Vec::new());
    let other = RefCell::new(Arc::new(MemoryStore::new()));
    let plain = RefCell::new(Arc::new(MemoryStore::new()));
    let commits_len = crash_at_every_commit(
        async || {
            let source = fill(base).await;
            let target = Arc::new(MemoryStore::new());
            let (faulty, linked) = if end == End::Source { (source, target) } else { (target, source) };
            *other.borrow_mut() = linked;
            *plain.borrow_mut() = Arc::clone(&faulty);
            Altered::small(faulty)
        },
        async |store| {
            let linked = Linked { inner: Arc::clone(&other.borrow()), fate: store.clone() };
            match end {
                End::Source => {
                    let Ok(vault) = Vault::open(store, unlock()).await else { return };
                    drop(vault.copy_to(&linked, |_| ()).await);
                }
                End::Target => {
                    let vault = Vault::open(linked, unlock()).await.unwrap();
                    drop(vault.copy_to(&store, |_| ()).await);
                }
            }
        },
        async |stop, _| {
            let (faulty, linked) = (Arc::clone(&plain.borrow()), Arc::clone(&other.borrow()));
            let (source, target) = if end == End::Source { (faulty, linked) } else { (linked, faulty) };
            left.borrow_mut().push((stop, source, target));
        },
    );
    assert!(commits_len >= 1);
    left.into_inner()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Target,
}

#[test]
fn a_process_that_ends_at_any_commit_leaves_one_store_at_most_that_takes_writes() {
    let base = furnished();
    let mut states = std::collections::BTreeSet::new();
    for end in [End::Source, End::Target] {
        for (stop, source, target) in stop_everywhere(&base, end) {
            let name = format!("{end:?} {stop:?}");
            let writable = (takes_writes(&source), takes_writes(&target));
            assert!(writable != (Some(true), Some(true)), "{name}: both take writes");
            states.insert(writable);
            let vault = open(Arc::clone(&source));
            match copy(&vault, &target) {
                Ok(_) => {}
                Err(Error::Retired) => assert_eq!(writable.1, Some(true), "{name}: it was complete"),
                Err(error) => panic!("{name}: {error}"),
            }
            assert_eq!(rows(&target), base, "{name}");
            assert_eq!((takes_writes(&source), takes_writes(&target)), (Some(false), Some(true)), "{name}");
        }
    }
    let expected = [(Some(false), None), (Some(false), Some(true)), (Some(true), None)];
    assert_eq!(states.into_iter().collect::<Vec<_>>(), expected, "each of the three is met");
}

#[test]
fn a_copy_that_was_cut_short_can_be_given_up() {
    let base = furnished();
    for (stop, source, target) in stop_everywhere(&base, End::Target) {
        let vault = open(Arc::clone(&source));
        match block_on(vault.abandon_copy(&target)) {
            Ok(()) => {
                assert_eq!(takes_writes(&source), Some(true), "{stop:?}");
                assert_eq!(takes_writes(&target), None, "{stop:?}");
                block_on(org(&vault).set_value("V", Scope::Org, "again")).unwrap();
                let copied = Arc::new(MemoryStore::new());
                copy(&vault, &copied).unwrap();
                assert_eq!(takes_writes(&copied), Some(true));
            }
            Err(Error::WrongStore(WrongStore::HoldsVault)) => {
                assert_eq!(takes_writes(&target), Some(true), "{stop:?}");
            }
            Err(error) => panic!("{stop:?}: {error}"),
        }
    }
}

#[test]
fn giving_up_that_is_cut_short_is_given_up_again() {
    let stuck = stop_everywhere(&furnished(), End::Target)
        .into_iter()
        .find(|(_, source, target)| (takes_writes(source), takes_writes(target)) == (Some(false), None));
    let (_, source, target) = stuck.unwrap();
    let (source, target) = (rows(&source), rows(&target));
    for commit in 0..2 {
        let store = Faulty::new(load(&source)).on_commits(commit..=commit, Fault::Before(Unavailable));
        let target = load(&target);
        let vault = open(store.clone());
        assert!(block_on(vault.abandon_copy(&target)).is_err());
        assert!(matches!(copy(&vault, &target), Err(Error::Retired)), "it cannot be finished any more");
        block_on(vault.abandon_copy(&target)).unwrap();
        assert_eq!(takes_writes(&store), Some(true));
        assert!(matches!(copy(&vault, &target), Err(Error::WrongStore(WrongStore::Unfinished))));
        assert_eq!(takes_writes(&store), Some(true));
    }
}

#[test]
fn a_target_that_fails_leaves_the_source_as_it_was() {
    let base = furnished();
    for commit in 0.. {
        let source = load(&base);
        let vault = open(Arc::clone(&source));
        let target = Faulty::new(Altered::small(MemoryStore::new()))
            .on_commits(commit..=commit, Fault::Before(Unavailable));
        match copy(&vault, &target) {
            Ok(_) => break,
            Err(Error::Store(error)) => assert_eq!(error.kind(), Unavailable),
            Err(error) => panic!("{error}"),
        }
        // The last commit may have landed for all that is known, so the source stays as it is.
        let last = rows(&source).contains_key(RETIRED.as_slice());
        assert!(last || takes_writes(&source) == Some(true), "{commit}");
        copy(&vault, &target).unwrap();
        assert_eq!(rows(&target), base);
    }
}

#[test]
fn lost_answers_do_no_harm() {
    let base = furnished();
    for fault in [Fault::After(Indeterminate), Fault::Before(Indeterminate), Fault::Before(Contention)] {
        for commit in 0..6 {
            let source = Faulty::new(load(&base)).on_commits(commit..=commit, fault);
            let target = Faulty::new(Altered::small(MemoryStore::new())).on_commits(commit..=commit, fault);
            let vault = open(source.clone());
            for _ in 0..2 {
                if copy(&vault, &target).is_ok() {
                    break;
                }
            }
            assert_eq!(rows(&target), base, "{fault:?} {commit}");
            assert_eq!((takes_writes(&source), takes_writes(&target)), (Some(false), Some(true)));
        }
    }
}

#[test]
fn a_target_that_changes_a_row_is_found_out() {
    let source = load(&furnished());
    let vault = open(Arc::clone(&source));
    // Enough rows that the rotten one stands in a section that does not change when the source is retired.
    for key in (0..600).map(|number| number.to_string()).chain(["rotten".to_owned()]) {
        put_record(&org(&vault), &key);
    }
    assert!(matches!(copy(&vault, &rotting()), Err(Error::CopyDiffers)));
    assert_eq!(takes_writes(&source), Some(true));
}

#[test]
fn a_target_that_changes_a_row_that_was_written_last_is_found_out() {
    let source = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&source));
    let (vault, writer) = (open(hooked.clone()), org(&open(Arc::clone(&source))));
    // The first commit to the source retires it: all that was there before is copied and checked.
    hooked.once(Point::BeforeCommit, move || put_record(&writer, "rotten"));
    let target = rotting();
    assert!(matches!(copy(&vault, &target), Err(Error::CopyDiffers)));
    assert_eq!((hooked.hooks_left(), takes_writes(&target)), (0, None));
}

#[test]
fn a_section_that_outgrew_a_page_of_keys_is_copied_to_its_end() {
    let source = load(&furnished());
    let hooked = Hooked::new(Arc::clone(&source));
    // Its pages hold 128 keys at most.
    let (vault, writer) = (open(Paged::of(hooked.clone(), 8)), org(&open(Arc::clone(&source))));
    hooked.once(Point::BeforeCommit, move || {
        (0..150).for_each(|number| put_record(&writer, &format!("grown-{number:03}")));
    });
    let (target, mut steps) = (Arc::new(MemoryStore::new()), 0);
    let copied = block_on(vault.copy_to(&target, |_| {
        steps += 1;
        assert!(steps < 1_000, "it comes to no end");
    }));
    assert_eq!((copied.unwrap().rows + 1, hooked.hooks_left()), (rows(&target).len() as u64, 0));
    assert_eq!((takes_writes(&source), takes_writes(&target)), (Some(false), Some(true)));
    sound(&target);
}

fn put_record(org: &Org, key: &str) {
    let records = org.records("visitor".parse().unwrap());
    block_on(records.put(&key.parse().unwrap(), "a record")).unwrap();
}

/// A target that changes the row of the record `rotten`.
fn rotting() -> Altered {
    Altered::of(MemoryStore::new()).on_commit(|batch| {
        for op in &mut batch.ops {
            if let Op::Put(key, value) = op
                && key.as_bytes().windows(6).any(|part| part == b"rotten")
            {
                value[0] ^= 1;
            }
        }
        Ok(())
    })
}

#[test]
fn a_store_that_holds_something_is_no_target() {
    let vault = open(load(&furnished()));
    assert!(matches!(copy(&vault, &load(&furnished())), Err(Error::WrongStore(WrongStore::HoldsVault))));
    let foreign = load(&Rows::from([(vec![1], vec![2])]));
    assert!(matches!(copy(&vault, &foreign), Err(Error::WrongStore(WrongStore::Foreign))));
    assert!(!block_on(vault.is_retired()).unwrap());
    assert!(rows(&foreign).len() == 1 && !rows(&foreign).contains_key(HEADER.as_slice()));
}

#[test]
fn of_two_copies_at_once_one_is_the_vault_and_the_other_is_refused() {
    let base = furnished();
    for skip in 0.. {
        let vault = open(load(&base));
        let [first, second] = [(); 2].map(|()| Arc::new(MemoryStore::new()));
        let (hooked, other, there) = (Hooked::new(Arc::clone(&first)), vault.clone(), Arc::clone(&second));
        hooked.once_after(Point::BeforeCommit, skip, move || drop(copy(&other, &there)));
        let answer = copy(&vault, &hooked);
        if hooked.hooks_left() > 0 {
            break;
        }
        assert!(matches!(answer, Ok(_) | Err(Error::Retired)), "{skip}: {answer:?}");
        let taking = [&first, &second].map(|store| takes_writes(store) == Some(true));
        assert_eq!(taking, [answer.is_ok(), answer.is_err()], "{skip}");
    }
}

#[test]
fn a_target_of_another_vault_is_not_gone_on_with() {
    let unavailable = Fault::Before(Unavailable);
    let target = Faulty::new(MemoryStore::new()).on_commits(1.., unavailable);
    assert!(copy(&open(load(&furnished())), &target).is_err());
    let other = open(load(&furnished()));
    assert!(matches!(copy(&other, &target.reopen()), Err(Error::WrongStore(WrongStore::Unfinished))));
    assert!(!block_on(other.is_retired()).unwrap());
}

/// A store of the same process as another: once that is gone, so is this.
#[derive(Debug)]
struct Linked<S: Store> {
    inner: Arc<MemoryStore>,
    fate: Faulty<S>,
}

#[async_trait]
impl<S: Store> Store for Linked<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.fate.read(&ReadBatch::default()).await?;
        (*self.inner).read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.fate.read(&ReadBatch::default()).await?;
        (*self.inner).commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        (*self.inner).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        (*self.inner).close().await
    }
}
