//! kill -9 at any point loses nothing that was acknowledged and leaves no batch by half.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

mod writer;

use writer::{LARGE, Load, MIXED, Random, Writer, Written};

/// Not a rule: the process that the others kill.
#[test]
fn writer_process() {
    writer::serve();
}

fn kill_and_check(load: Load, rounds: u64, acks_max: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut written = Written::default();
    let mut random = Random::new(rounds);
    for _ in 0..rounds {
        let mut writer = Writer::start(directory.path(), load);
        for _ in 0..random.next() % acks_max {
            writer.next(&mut written);
        }
        writer.kill(&mut written);
        written.check(directory.path(), load);
    }
    assert!(written.len() > rounds);
}

#[test]
fn a_vault_whose_process_is_killed_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut random = Random::new(1);
    for _ in 0..10 {
        let mut writer = Writer::start_on_vault(&path);
        let mut written = Written::default();
        for _ in 0..1 + random.next() % 20 {
            writer.next(&mut written);
        }
        writer.kill(&mut written);
        writer::vault::check(&path);
    }
}

#[test]
fn a_killed_writer_keeps_every_acknowledged_batch_whole() {
    kill_and_check(MIXED, 12, 100);
}

#[test]
fn a_killed_writer_of_large_batches_keeps_every_acknowledged_batch_whole() {
    kill_and_check(LARGE, 5, 12);
}
