//! What a killed process and a power cut show of logs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use strongroom_conformance::outage::{Load, Outage, Rig};

use crate::fault::Fault;
use crate::log::Log;

macro_rules! rig {
    ($fault:ident) => {
        Rig::new(Log::open).prepare(|path| Fault::$fault.leave_at(path))
    };
}

/// The process that the others end.
pub(crate) fn serve() {
    rig!(None).serve();
}

#[test]
fn an_append_and_a_sync_pass_every_kill() {
    rig!(None).check(Outage::Kill, Load::MIXED, 4, 100);
    rig!(None).check_vault(Outage::Kill, 4, 20);
    rig!(None).check_revisions(Outage::Kill, 4, 20);
}

#[test]
fn an_append_and_a_sync_pass_every_power_cut() {
    rig!(None).check(Outage::PowerCut, Load::MIXED, 8, 40);
    rig!(None).check_vault(Outage::PowerCut, 4, 20);
}

#[test]
fn a_log_that_is_not_synced_is_caught_by_power_cuts() {
    assert_caught("acknowledged", || rig!(NeverSyncs).check(Outage::PowerCut, Load::MIXED, 4, 300));
    assert_caught("acknowledged", || rig!(NeverSyncs).check_vault(Outage::PowerCut, 4, 60));
}

#[test]
fn a_log_that_claims_to_survive_only_a_kill_is_tested_for_no_more() {
    rig!(NoneButUnsynced).check(Outage::Kill, Load::MIXED, 4, 100);
    rig!(NoneButUnsynced).check_vault(Outage::Kill, 4, 20);
    let power_cut = || rig!(NoneButUnsynced).check(Outage::PowerCut, Load::MIXED, 1, 1);
    assert_caught("does not claim to survive PowerCut", power_cut);
}

#[test]
fn a_log_that_writes_late_is_caught_by_kills() {
    assert_caught("acknowledged", || rig!(WritesLate).check(Outage::Kill, Load::MIXED, 4, 100));
    assert_caught("acknowledged", || rig!(WritesLate).check_vault(Outage::Kill, 4, 20));
}

#[test]
fn a_log_that_forgets_everything_is_caught_by_kills() {
    assert_caught("acknowledged", || rig!(Forgets).check(Outage::Kill, Load::MIXED, 4, 100));
    assert_caught("acknowledged", || rig!(Forgets).check_vault(Outage::Kill, 4, 20));
}

#[test]
fn a_log_that_forgets_the_newest_is_caught_by_kills() {
    assert_caught("acknowledged", || rig!(ForgetsTheNewest).check(Outage::Kill, Load::MIXED, 4, 100));
    assert_caught("acknowledged", || rig!(ForgetsTheNewest).check_vault(Outage::Kill, 4, 20));
}

#[test]
fn a_log_that_counts_from_its_rows_is_caught_by_kills() {
    assert_caught("given twice", || rig!(CountsFromTheRowsLeft).check_revisions(Outage::Kill, 4, 20));
}

#[test]
fn a_log_of_one_process_is_open_in_one() {
    rig!(None).check_processes();
}

#[test]
fn a_log_of_several_processes_passes_with_several() {
    rig!(NoneThoughShared).check_processes();
}

#[test]
fn a_lock_that_only_this_process_sees_is_caught_by_a_second_process() {
    assert_caught("open in one process", || rig!(LocksInThisProcess).check_processes());
}

#[test]
fn a_log_that_counts_by_itself_is_caught_by_a_second_process() {
    assert_caught("share a revision", || rig!(CountsByItself).check_processes());
}

#[test]
fn a_log_that_sees_only_itself_is_caught_by_a_second_process() {
    assert_caught("every update counts", || rig!(SeesOnlyItself).check_processes());
}

/// Holds that the check fails, and by what it is for.
fn assert_caught(what: &str, check: impl FnOnce()) {
    let caught = catch_unwind(AssertUnwindSafe(check)).expect_err("the fault goes unnoticed");
    let said = caught.downcast_ref::<String>().map(String::as_str).or(caught.downcast_ref().copied());
    assert!(said.is_some_and(|said| said.contains(what)), "another fault is noticed: {said:?}");
}
