//! A power cut at any point loses nothing that was acknowledged and leaves no batch by half.
//!
//! It needs root, loop devices, `mkfs.ext4`, `mount` and Python 3. Where they are missing it fails; leave it out by
//! name: `cargo test -- --skip power_cut`.

use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_sqlite::SqliteStore;

const RIG: Rig<SqliteStore> = Rig::new(|path| SqliteStore::open(path));

/// Not a rule: the process whose power is cut.
#[test]
fn writer_process() {
    RIG.serve();
}

#[test]
fn a_power_cut_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::PowerCut, Load::MIXED, 6, 300);
}

#[test]
fn a_power_cut_keeps_every_acknowledged_large_batch_whole() {
    RIG.check(Outage::PowerCut, Load::LARGE, 6, 12);
}

#[test]
fn a_vault_is_whole_after_a_power_cut() {
    RIG.check_vault(Outage::PowerCut, 6, 20);
}
