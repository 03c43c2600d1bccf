//! A power cut under which any of the segments written since the last sync may be lost, and any may be kept.
//!
//! A sound file system loses less than that. A disk that reorders its writes does not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::{
    Environment, Error, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault, WrongStore,
};
use strongroom_store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};

use crate::SledStore;
use crate::disk::flush_and_sync;

type Acknowledged = Arc<Mutex<BTreeMap<usize, u8>>>;

#[test]
fn losing_any_segments_of_an_unfinished_sync_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    let known = Arc::clone(&acknowledged);
    let store = cut_at_each_sync(directory.path(), 4, move |store| check(&store, &known.lock().unwrap()));
    for round in 0..ROUNDS {
        // Every second row is large and written once: a small row next to it makes sled write its leaf again.
        let rows = (0..ROWS).filter(|row| round == 0 || row % 2 != 0);
        let commits = rows.clone().map(|row| store.commit(put(row, round)));
        assert!(block_on(join_all(commits)).iter().all(Result::is_ok));
        acknowledged.lock().unwrap().extend(rows.map(|row| (row, round)));
    }
}

#[test]
fn losing_any_segments_of_an_unfinished_sync_leaves_a_vault_whole() {
    let directory = tempfile::tempdir().unwrap();
    let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let checked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&checked);
    let store = cut_at_each_sync(directory.path(), 1, move |store| {
        let vault = match block_on(Vault::open(store, unlock())) {
            // The creation itself was interrupted.
            Err(Error::WrongStore(WrongStore::NoVault)) => return,
            opened => opened.unwrap(),
        };
        let report = block_on(vault.verify()).unwrap();
        assert!(report.is_clean() && report.unverifiable == 0, "{report}");
        count.fetch_add(1, Ordering::Relaxed);
    });
    let vault = block_on(Vault::create(store, unlock())).unwrap();
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
    block_on(org.define(VariableDefinition::new("V0", VarFormat::String))).unwrap();
    let scope = |number: usize| Scope::Workflow(format!("wf_{number}").parse().unwrap());
    for round in 0..2 {
        let value = round.to_string().repeat(60_000);
        let sets = (0..VALUES).map(|number| org.set_value("V0", scope(number), value.clone()));
        assert!(block_on(join_all(sets)).iter().all(Result::is_ok));
        // Half of them are deleted again, so that segments are rewritten.
        let deletes = (0..VALUES).step_by(2).map(|number| {
            let scope = scope(number);
            let org = org.clone();
            async move { org.delete_value("V0", &scope).await }
        });
        assert!(block_on(join_all(deletes)).iter().all(Result::is_ok));
    }
    assert!(checked.load(Ordering::Relaxed) > 2, "too little was written for a sync to be torn");
}

/// A store in which every sync of this many segments is first cut short; `check` gets what each cut leaves.
fn cut_at_each_sync(
    directory: &Path,
    segments_min: usize,
    check: impl Fn(SledStore) + Send + 'static,
) -> SledStore {
    let mut cuts = Cuts { directory: directory.to_owned(), segments_min, check: Box::new(check), random: 1 };
    let store = cuts.store();
    let step = Box::new(move |db: &sled::Db, file: &File| {
        db.flush()?;
        cuts.cut_and_check();
        flush_and_sync(db, file)?;
        cuts.keep();
        Ok(())
    });
    SledStore::open_with(&store, step, None).unwrap()
}

fn put(row: usize, round: u8) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    let size = if row.is_multiple_of(2) { 80_000 } else { 64 };
    batch.put(Key::from(format!("{row:04}").into_bytes()), vec![round; size]);
    Arc::new(batch)
}

/// The data file at the last sync, and what must be found whatever is lost of later syncs.
struct Cuts {
    directory: PathBuf,
    segments_min: usize,
    check: Box<dyn Fn(SledStore) + Send>,
    random: u64,
}

impl Cuts {
    fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    fn keep(&self) {
        fs::copy(self.store().join("db"), self.directory.join("synced")).unwrap();
    }

    /// Loses some of the segments that changed since the last sync; in several ways if there are many.
    fn cut_and_check(&mut self) {
        let changed = self.changed();
        for _ in 0..if changed.len() < self.segments_min { 0 } else { 2 } {
            let copy = tempfile::tempdir().unwrap();
            let entries = fs::read_dir(self.store()).unwrap().map(Result::unwrap);
            for entry in entries.filter(|entry| entry.file_type().unwrap().is_file()) {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
            self.put_back_half(&changed, &copy.path().join("db"));
            (self.check)(SledStore::open(copy.path()).unwrap());
        }
    }

    /// Where the segments start that changed since the last sync, and their previous content.
    fn changed(&self) -> Vec<(u64, Vec<u8>)> {
        let Ok(mut synced) = File::open(self.directory.join("synced")) else { return Vec::new() };
        let mut file = File::open(self.store().join("db")).unwrap();
        let starts = (0..file.metadata().unwrap().len()).step_by(SEGMENT_LEN);
        let segments = starts.map(|start| (start, segment(&mut synced, start)));
        segments.filter(|(start, old)| segment(&mut file, *start) != *old).collect()
    }

    fn put_back_half(&mut self, changed: &[(u64, Vec<u8>)], path: &Path) {
        let mut file = File::options().write(true).open(path).unwrap();
        for (start, old) in changed {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if self.random >> 63 == 1 {
                file.seek(SeekFrom::Start(*start)).unwrap();
                file.write_all(old).unwrap();
            }
        }
    }
}

/// A segment, or zeros past the end of the file.
fn segment(file: &mut File, start: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SEGMENT_LEN);
    file.seek(SeekFrom::Start(start)).unwrap();
    file.take(SEGMENT_LEN as u64).read_to_end(&mut bytes).unwrap();
    bytes.resize(SEGMENT_LEN, 0);
    bytes
}

fn check(store: &SledStore, acknowledged: &BTreeMap<usize, u8>) {
    let mut range = KeyRange::all();
    let mut rows = BTreeMap::new();
    loop {
        let request = ReadBatch { gets: vec![], scans: vec![Scan::new(range.clone(), ROWS)] };
        let page = block_on(store.read(&request)).unwrap().scans.remove(0);
        rows.extend(page.rows.iter().map(|(key, row)| (key.clone(), row.value[0])));
        let (Some((last, _)), true) = (page.rows.last(), page.more) else { break };
        range = range.after(last.as_bytes());
    }
    for (row, round) in acknowledged {
        let found = rows.get(format!("{row:04}").as_bytes());
        assert!(found.is_some_and(|found| (*round..=round + 1).contains(found)), "row {row}: {found:?}");
    }
}

const ROWS: usize = 2_000;
const ROUNDS: u8 = 5;
const VALUES: usize = 80;
const SEGMENT_LEN: usize = 8 << 20;
