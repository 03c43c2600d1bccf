//! The etcd store keeps the rules of every store; several processes share it, and one that is killed loses nothing that
//! was acknowledged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use std::fs;

use strongroom_conformance::outage::{Load, Outage, Rig};
use strongroom_etcd::EtcdStore;

mod rules {
    use super::cluster;
    strongroom_conformance::store_tests!(cluster::prefix(), |prefix: &String| {
        strongroom_etcd::EtcdStore::open(&cluster::options().prefix(prefix))
    });
}

/// The prefix is in the file at the path.
const RIG: Rig<EtcdStore> =
    Rig::new(|path| EtcdStore::open(&cluster::options().prefix(fs::read_to_string(path).unwrap())))
        .prepare(|path| fs::write(path, cluster::prefix()).unwrap());

/// Not a rule: the process that the others kill.
#[test]
fn writer_process() {
    RIG.serve();
}

#[test]
fn a_killed_client_keeps_every_acknowledged_batch_whole() {
    RIG.check(Outage::Kill, Load::MIXED, 12, 100);
}

#[test]
fn a_vault_whose_process_is_killed_is_whole() {
    RIG.check_vault(Outage::Kill, 10, 20);
}

#[test]
fn processes_that_share_a_store_lose_no_update_and_no_revision() {
    RIG.check_processes();
}
