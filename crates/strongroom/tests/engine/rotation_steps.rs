//! The steps of a rotation: how much each does, what a crash repeats, and what is said of a job that gets nowhere.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{DataKeys, DocumentId, Error, JobOutcome, JobState, Timestamp, VaultOptions};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{Hooked, Paged, Point, RowKey, furnished, load, of_account, open, org, rows, unlock};

#[test]
fn a_job_that_loses_every_race_says_so() {
    let store = Faulty::new(load(&furnished())).on_commits(1.., Fault::Before(StoreErrorKind::Contention));
    let vault = open(store.clone());
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let answer = block_on(job.run());
    assert!(matches!(answer, Err(Error::Contended(_))), "{answer:?}");
}

#[test]
fn a_job_that_is_still_there_is_not_said_to_be_deleted_when_the_answer_is_lost() {
    let lost = Fault::Before(StoreErrorKind::Indeterminate);
    let store = Faulty::new(load(&furnished())).on_commits(1.., lost);
    let job = block_on(open(store.clone()).rotate_data_keys(&DataKeys::all())).unwrap();
    let abandoned = block_on(job.abandon());
    assert!(block_on(job.info()).unwrap().is_some() && abandoned.is_err(), "{abandoned:?}");
}

/// Rows that a rotation has to look at, one page after the other, and that are none of its own.
fn with_many_strays(rows_len: u16) -> Arc<MemoryStore> {
    let mut rows = furnished();
    let tenant = RowKey::parse(rows.keys().last().unwrap()).tenant;
    for number in 0..rows_len {
        rows.insert([&[1], &*tenant, &[0x7f], &number.to_be_bytes()].concat(), b"none".to_vec());
    }
    load(&rows)
}

#[test]
fn a_lease_is_renewed_once_half_of_it_is_over_though_there_is_nothing_to_write() {
    let (clock, hooked) = (TestClock::default(), Hooked::new(with_many_strays(1_000)));
    clock.set(1_000);
    let options = || VaultOptions::default().clock(clock.clone());
    let vault = block_on(options().open(Paged::of(hooked.clone(), 1), unlock())).unwrap();
    let other = block_on(options().open(hooked.clone(), unlock())).unwrap();
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let (theirs, later) = (other.key_job(*job.id()), clock.clone());
    let seen = Arc::new(Mutex::new(None));
    let sees = Arc::clone(&seen);
    // While the rows are counted.
    hooked.once_after(Point::AfterRead, 10, move || later.set(16_000));
    hooked.once_after(Point::AfterRead, 3, move || {
        *sees.lock().unwrap() = Some(block_on(theirs.info()).unwrap().unwrap().state);
    });
    block_on(job.run()).unwrap();
    let until = Timestamp::from_ms(46_000);
    assert_eq!(*seen.lock().unwrap(), Some(JobState::Running { until }));
}

#[test]
fn a_job_whose_process_dies_while_it_counts_goes_on_near_where_it_was() {
    let reads_of = |store: &Faulty<Arc<MemoryStore>>, id: Option<DocumentId>| {
        let vault = open(Paged::of(store.clone(), 1));
        let job = match id {
            Some(id) => vault.key_job(id),
            None => block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap(),
        };
        let before = store.reads_len();
        let answer = block_on(job.run());
        (answer.is_ok(), store.reads_len() - before, *job.id())
    };
    let (_, alone, _) = reads_of(&Faulty::new(with_many_strays(2_000)), None);
    assert!(alone > 130, "{alone} reads");
    let store =
        Faulty::new(with_many_strays(2_000)).on_reads(70.., Fault::Before(StoreErrorKind::Unavailable));
    let (finished, first, id) = reads_of(&store, None);
    assert!(!finished && first > 60);
    let (finished, second, _) = reads_of(&store.reopen(), Some(id));
    assert!(finished && first + second < alone + 40, "{first} and {second} reads instead of {alone}");
}

#[test]
fn a_step_reads_no_more_than_some_pages_though_it_seals_nothing() {
    for (rows_len, page, reads_max) in [(6_000, 10_000, 8), (200, 1, 70)] {
        let mut damaged = furnished();
        let tenant = RowKey::parse(damaged.keys().last().unwrap()).tenant;
        let key =
            |number: u16| [&[1], &*tenant, &[0x40], b"x\0", number.to_string().as_bytes(), &[0]].concat();
        damaged.extend((0..rows_len).map(|number| (key(number), b"none".to_vec())));
        let store = Faulty::new(load(&damaged));
        let vault = open(Paged::of(store.clone(), page));
        let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
        loop {
            let before = store.reads_len();
            let report = block_on(job.step()).unwrap();
            let reads = store.reads_len() - before;
            assert!(reads <= reads_max, "{reads} reads");
            let is_blocked = block_on(job.info()).unwrap().unwrap().state == JobState::Blocked;
            assert_eq!(is_blocked, report.outcome == JobOutcome::Blocked);
            if is_blocked {
                assert_eq!(report.progress.failed, u64::from(rows_len));
                break;
            }
        }
    }
}

#[test]
fn rows_behind_the_keyrings_are_not_stepped_through_for_more_of_them() {
    let reads_of = |store: Arc<MemoryStore>| {
        let store = Faulty::new(store);
        let job = block_on(open(store.clone()).rotate_data_keys(&DataKeys::all())).unwrap();
        let before = store.reads_len();
        block_on(job.run()).unwrap();
        store.reads_len() - before
    };
    assert_eq!(reads_of(with_many_strays(200)), reads_of(with_many_strays(0)));
}

#[test]
fn a_row_that_was_written_under_the_new_key_meanwhile_is_done_as_well() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    while block_on(job.step()).unwrap().progress.keys_made == 0 {}
    block_on(org(&vault).set_value("V", of_account("u"), "v")).unwrap();
    let progress = block_on(job.run()).unwrap().progress;
    let data = rows(&store).into_keys().filter(|key| RowKey::parse(key).is_data()).count() as u64;
    assert_eq!(progress.done, data);
}
