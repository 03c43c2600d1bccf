//! The kit on itself: stores that break one rule each fail the cases of that rule, and no case goes without one.

mod fault;
mod flaw;
mod log;
mod outages;
mod reading;
mod sketch;
mod writing;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fault::Fault;
use flaw::{FLAWS, Flaw};
use log::Log;
use sketch::{Disk, Sketch};
use strongroom_conformance::{Case, DURABLE_CASES, EVERY_CASE, Subject, run};
use tempfile::TempDir;

mod without_a_flaw {
    use super::*;
    strongroom_conformance::store_tests!(Arc::<Disk>::default(), |disk| Sketch::open(disk, Flaw::None));
}

mod without_a_flaw_and_shared {
    use super::*;
    strongroom_conformance::store_tests!(Arc::<Disk>::default(), |disk| {
        Sketch::open(disk, Flaw::NoneThoughShared)
    });
}

mod a_log {
    use super::*;
    strongroom_conformance::store_tests!(log_place(Fault::None), |place| Log::open(
        &place.path().join("log")
    ));
}

mod a_shared_log {
    use super::*;
    strongroom_conformance::store_tests!(log_place(Fault::NoneThoughShared), |place| {
        Log::open(&place.path().join("log"))
    });
}

mod a_log_without_syncs {
    use super::*;
    strongroom_conformance::store_tests!(log_place(Fault::NoneButUnsynced), |place| {
        Log::open(&place.path().join("log"))
    });
}

fn log_place(fault: Fault) -> TempDir {
    let place = tempfile::tempdir().expect("there is room for temporary files");
    fault.leave_at(&place.path().join("log"));
    place
}

/// Not a rule: the process that tests of outages end.
#[test]
fn writer_process() {
    outages::serve();
}

#[test]
fn each_broken_store_fails_the_cases_of_its_rule() {
    let mut passed = Vec::new();
    for (flaw, cases) in FLAWS {
        let subject = Subject::durable(Arc::<Disk>::default, |disk| Sketch::open(disk, *flaw));
        let passes = |case: &&&str| catch_unwind(AssertUnwindSafe(|| run(case, &subject))).is_ok();
        passed.extend(cases.iter().filter(passes).map(|case| (*flaw, *case)));
    }
    assert_eq!(passed, [], "the flaw goes unnoticed");
}

#[test]
fn a_store_whose_refused_updates_count_is_given_up_after_few_tries() {
    let disk = Arc::<Disk>::default();
    let place = Arc::clone(&disk);
    let subject =
        Subject::durable(move || Arc::clone(&place), |disk| Sketch::open(disk, Flaw::ChecksAfterItWrote));
    let counted = catch_unwind(AssertUnwindSafe(|| run("a_counter_loses_no_update", &subject)));
    assert!(counted.is_err());
    let tries = disk.commits_len.load(Ordering::SeqCst);
    assert!(tries < 1_000, "{tries}");
}

#[test]
fn every_case_is_failed_by_a_broken_store() {
    let failed: BTreeSet<&str> = FLAWS.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let cases: BTreeSet<&str> = EVERY_CASE.iter().chain(DURABLE_CASES).map(Case::name).collect();
    assert_eq!(
        cases.difference(&failed).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "cases that nothing fails"
    );
    assert_eq!(failed.difference(&cases).collect::<Vec<_>>(), Vec::<&&str>::new(), "names that no case has");
}

#[test]
fn no_two_cases_have_one_name() {
    let names: BTreeSet<&str> = EVERY_CASE.iter().chain(DURABLE_CASES).map(Case::name).collect();
    assert_eq!(names.len(), EVERY_CASE.len() + DURABLE_CASES.len());
}
