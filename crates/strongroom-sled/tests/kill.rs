//! kill -9 at any point loses nothing that was acknowledged and leaves no batch by half.

use std::path::Path;

use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_sled::SledStore;

const RIG: Rig<SledStore> = Rig::new(|path| SledStore::open(path)).inspect(no_blobs);

/// sled never syncs a blob file.
fn no_blobs(path: &Path) {
    assert_eq!(path.join("blobs").read_dir().map_or(0, Iterator::count), 0, "sled wrote blob files");
}

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
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 10, 20);
}
