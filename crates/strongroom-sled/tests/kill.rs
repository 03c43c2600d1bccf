//! kill -9 at any point loses nothing that was acknowledged and leaves no batch by half.

mod rig;

use rig::RIG;
use strongroom_conformance::outage::{Load, Outage};

/// Not a rule: the process that the others kill.
#[test]
fn writer_process() {
    RIG.serve();
}

#[test]
fn a_killed_writer_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::Kill, Load::MIXED, 12, 100);
}

#[test]
fn a_killed_writer_of_large_batches_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::Kill, Load::LARGE, 5, 12);
}

#[test]
fn a_killed_writer_gives_no_revision_twice() {
    RIG.check_revisions(Outage::Kill, 8, 50);
}

#[test]
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 10, 20);
}

#[test]
fn a_second_process_is_refused_until_the_store_is_closed() {
    RIG.check_processes();
}
