//! A store that promises to survive only a killed process survives one.

use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_sqlite::SqliteStore;
use strongroom_store::Durability;

const RIG: Rig<SqliteStore> =
    Rig::new(|path| SqliteStore::open_with(path, "strongroom", Durability::ProcessCrash));

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
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 6, 20);
}
