//! kill -9 of a client at any point loses nothing that was acknowledged, leaves no batch by half and no lock behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use std::fs;
use std::path::Path;

use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_postgres::{PostgresOptions, PostgresStore};
use strongroom_store::StoreError;

/// The process that is killed finds the address of its database at the path.
const WRITER: Rig<PostgresStore> = Rig::new(|path| {
    let address = format!("{} application_name={APPLICATION}", fs::read_to_string(path).unwrap());
    PostgresStore::open(&PostgresOptions::parse(&address)?)
});

const RIG: Rig<PostgresStore> = Rig::new(open_after_writer).prepare(|path| {
    let database = cluster::shared().database();
    fs::write(path, cluster::shared().address(&database)).unwrap();
});

/// Opens the store once the server has ended every connection of the writer: until then it may still be at work on what
/// it got.
fn open_after_writer(path: &Path) -> Result<PostgresStore, StoreError> {
    let address = fs::read_to_string(path).unwrap();
    let (_, database) = address.rsplit_once("dbname=").unwrap();
    cluster::shared().await_end_of(database, APPLICATION);
    // Fails where one row is still locked.
    cluster::shared().run(database, "SELECT FROM strongroom.strongroom_rows FOR UPDATE NOWAIT");
    PostgresStore::open(&PostgresOptions::parse(&address)?)
}

/// Not a rule: the process that the others kill.
#[test]
fn writer_process() {
    WRITER.serve();
}

#[test]
fn a_killed_client_keeps_every_acknowledged_batch_whole_and_leaves_no_lock() {
    RIG.check(Outage::Kill, Load::MIXED, 12, 100);
}

#[test]
fn a_killed_client_of_large_batches_keeps_every_acknowledged_batch_whole_and_leaves_no_lock() {
    RIG.check(Outage::Kill, Load::LARGE, 5, 6);
}

#[test]
fn a_killed_writer_gives_no_revision_twice() {
    RIG.check_revisions(Outage::Kill, 8, 50);
}

#[test]
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 10, 20);
}

const APPLICATION: &str = "writer";
