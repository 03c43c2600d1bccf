//! Stores against a plain map: any history of reads, commits and reopenings.

use strongroom_conformance::{Step, Subject, replay};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;

/// The store in memory answers as a map with revisions does.
pub fn store_memory(data: &[u8]) {
    follow(&Subject::volatile(MemoryStore::new), data, 64);
}

/// The sled store answers as a map with revisions does, also after it was closed and opened.
pub fn store_sled(data: &[u8]) {
    let place = || tempfile::tempdir().expect("a temporary directory can be made");
    follow(&Subject::durable(place, |place| SledStore::open(place.path())), data, 24);
}

/// The same of the redb store.
pub fn store_redb(data: &[u8]) {
    let place = || tempfile::tempdir().expect("a temporary directory can be made");
    let open = |place: &tempfile::TempDir| RedbStore::open(place.path().join("store.redb"));
    follow(&Subject::durable(place, open), data, 24);
}

/// The same of the SQLite store.
pub fn store_sqlite(data: &[u8]) {
    let place = || tempfile::tempdir().expect("a temporary directory can be made");
    let open = |place: &tempfile::TempDir| SqliteStore::open(place.path().join("store.db"));
    follow(&Subject::durable(place, open), data, 24);
}

fn follow(subject: &Subject, data: &[u8], steps_max: usize) {
    let steps: Vec<_> = data.chunks(STEP_BYTES).take(steps_max).map(Step::decode).collect();
    if let Err(mismatch) = replay(subject, &steps) {
        panic!("{mismatch}");
    }
}

const STEP_BYTES: usize = 16;
