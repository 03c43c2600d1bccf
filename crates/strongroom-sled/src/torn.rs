//! A power cut under which any of the segments written since the last sync may be lost, and any may be kept.
//!
//! A file system in good order loses less than that. A disk that reorders its writes does not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};

use crate::SledStore;
use crate::disk::flush_and_sync;

type Acknowledged = Arc<Mutex<BTreeMap<usize, u8>>>;

#[test]
fn losing_any_segments_of_an_unfinished_sync_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = Acknowledged::default();
    let mut cuts = Cuts::new(directory.path(), &acknowledged);
    let store = cuts.store();
    let step = Box::new(move |db: &sled::Db, file: &File| {
        db.flush()?;
        cuts.cut_and_check();
        flush_and_sync(db, file)?;
        cuts.keep();
        Ok(())
    });
    let store = SledStore::open_with(&store, step, None).unwrap();
    for round in 0..ROUNDS {
        // Every second row is large, and written once: a small row next to it has sled write its leaf anew.
        let rows = (0..ROWS).filter(|row| round == 0 || row % 2 != 0);
        let commits = rows.clone().map(|row| store.commit(put(row, round)));
        assert!(block_on(join_all(commits)).iter().all(Result::is_ok));
        acknowledged.lock().unwrap().extend(rows.map(|row| (row, round)));
    }
}

fn put(row: usize, round: u8) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    let size = if row.is_multiple_of(2) { 80_000 } else { 64 };
    batch.put(Key::from(format!("{row:04}").into_bytes()), vec![round; size]);
    Arc::new(batch)
}

/// The data file at the last sync, and what must be found whatever is lost of later ones.
struct Cuts {
    directory: PathBuf,
    acknowledged: Acknowledged,
    random: u64,
}

impl Cuts {
    fn new(directory: &Path, acknowledged: &Acknowledged) -> Self {
        Self { directory: directory.to_owned(), acknowledged: Arc::clone(acknowledged), random: 1 }
    }

    fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    fn keep(&self) {
        fs::copy(self.store().join("db"), self.directory.join("synced")).unwrap();
    }

    /// Loses some of the segments that changed since the last sync, in several ways, where there are many.
    fn cut_and_check(&mut self) {
        let changed = self.changed();
        for _ in 0..if changed.len() < 4 { 0 } else { 2 } {
            let copy = tempfile::tempdir().unwrap();
            let entries = fs::read_dir(self.store()).unwrap().map(Result::unwrap);
            for entry in entries.filter(|entry| entry.file_type().unwrap().is_file()) {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
            self.put_back_half(&changed, &copy.path().join("db"));
            check(&SledStore::open(copy.path()).unwrap(), &self.acknowledged.lock().unwrap());
        }
    }

    /// Where segments start that changed since the last sync, and what stood there.
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
const SEGMENT_LEN: usize = 8 << 20;
