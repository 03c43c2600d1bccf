//! A model of what a crash leaves of the file: every write and every sync may be the last one. Of the sectors written
//! since the last sync, any may be there and any may be missing.
//!
//! A sound file system loses less than that. A disk that reorders its writes does not.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_executor::block_on;
use futures_util::future::join_all;
use redb::StorageBackend;
use strongroom_store::{Key, KeyRange, Op, Page, ReadBatch, RowRevision, Scan, Store, WriteBatch};

use crate::{RedbStore, file};

#[test]
fn a_crash_at_any_write_or_sync_keeps_what_was_acknowledged_and_no_batch_by_half() {
    let workload = Workload::new();
    let (story, revisions) = workload.story();
    let mut crashes = 0;
    story.crash_everywhere(&mut |image, marks, is_last| {
        crashes += 1;
        let drive = Drive::of(image);
        let store = RedbStore::start(file::open(drive.clone()).unwrap(), None).unwrap();
        workload.check(&store, marks);
        if is_last {
            goes_on(&store, &revisions);
            drop(store);
            let kept = RedbStore::start(file::open(drive).unwrap(), None).unwrap();
            assert!(rows(&kept).iter().any(|(key, _)| key.as_bytes() == AFTER), "written after the crash");
        }
    });
    assert!(crashes > 1_000, "{crashes}");
}

#[test]
fn a_crash_of_the_repair_after_a_crash_loses_nothing_either() {
    let workload = Workload::new();
    let (story, _) = workload.story();
    let mut crashes = 0;
    story.crash_everywhere(&mut |image, marks, is_last| {
        if !is_last {
            return;
        }
        let drive = Drive::of(image.clone());
        drop(RedbStore::start(file::open(drive.clone()).unwrap(), None).unwrap());
        let repair = Story { base: image, events: drive.take_events().1 };
        repair.crash_everywhere(&mut |image, _, is_last| {
            if is_last {
                crashes += 1;
                let store = file::open(Drive::of(image)).unwrap();
                workload.check(&RedbStore::start(store, None).unwrap(), marks);
            }
        });
    });
    assert!(crashes > 300, "{crashes}");
}

/// Batches in the order in which they are submitted, and the rows after each number of them.
struct Workload {
    batches: Vec<Arc<WriteBatch>>,
    states: Vec<BTreeMap<Key, Vec<u8>>>,
}

impl Workload {
    fn new() -> Self {
        let batches: Vec<_> = (0..BATCHES_LEN).map(|number| Arc::new(batch(number))).collect();
        let mut rows = BTreeMap::new();
        let mut states = vec![rows.clone()];
        for batch in &batches {
            for op in &batch.ops {
                match op {
                    Op::Put(key, value) => rows.insert(key.clone(), value.clone()),
                    Op::Delete(key) => rows.remove(key),
                };
            }
            states.push(rows.clone());
        }
        Self { batches, states }
    }

    /// Everything that happens to the file of a store after it was created, and the revisions that were returned.
    fn story(&self) -> (Story, Vec<RowRevision>) {
        let drive = Drive::default();
        let store = RedbStore::start(file::initialise(drive.clone()).unwrap(), None).unwrap();
        let base = drive.take_events().0;
        let revisions = self.run(&store, &drive);
        drop(store);
        (Story { base, events: drive.take_events().1 }, revisions)
    }

    /// One batch by itself, then several at once, and so on; with a compaction in between.
    fn run(&self, store: &RedbStore, drive: &Drive) -> Vec<RowRevision> {
        let mut revisions = Vec::new();
        let (mut rest, mut round) = (self.batches.as_slice(), 0);
        while !rest.is_empty() {
            let (group, later) = rest.split_at(rest.len().min(if round % 2 == 0 { 1 } else { 5 }));
            let commits = group.iter().map(|batch| async {
                drive.mark(Event::Submitted);
                let committed = store.commit(Arc::clone(batch)).await.unwrap();
                drive.mark(Event::Acknowledged);
                committed.revision
            });
            revisions.extend(block_on(join_all(commits)));
            if round == 20 {
                block_on(store.compact()).unwrap();
            }
            (rest, round) = (later, round + 1);
        }
        revisions
    }

    /// Asserts that the rows are those after some number of batches, no fewer than were acknowledged.
    fn check(&self, store: &RedbStore, marks: Marks) {
        let found: BTreeMap<_, _> = rows(store).into_iter().map(|(key, row)| (key, row.0)).collect();
        let possible = &self.states[marks.acknowledged..=marks.submitted];
        assert!(possible.contains(&found), "{marks:?}: {} rows of no state", found.len());
    }
}

fn batch(number: u64) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let mut random = Random(number);
    for part in 0..1 + random.next() % 4 {
        let size = [64, 200, 3_000, 20_000][(random.next() % 4) as usize];
        let key = format!("{part}/{:02}", random.next() % 12).into_bytes();
        if random.next().is_multiple_of(4) {
            batch.delete(Key::from(key));
        } else {
            batch.put(Key::from(key), vec![number as u8; size]);
        }
    }
    batch
}

/// Asserts that the store can be written to and does not reuse a revision.
fn goes_on(store: &RedbStore, revisions: &[RowRevision]) {
    let mut used: Vec<_> = rows(store).iter().map(|(_, row)| row.1).collect();
    used.extend(revisions);
    let mut batch = WriteBatch::default();
    batch.put(Key::from(AFTER), b"v".to_vec());
    let drawn = block_on(store.commit(Arc::new(batch))).unwrap().revision;
    // A revision that was never returned and that no row has may be drawn again.
    assert!(!used.contains(&drawn), "{drawn:?} was used before");
}

fn rows(store: &RedbStore) -> Vec<(Key, (Vec<u8>, RowRevision))> {
    let request = ReadBatch { gets: vec![], scans: vec![Scan::new(KeyRange::all(), 1_000)] };
    let Page { rows, more } = block_on(store.read(&request)).unwrap().scans.remove(0);
    assert!(!more);
    rows.into_iter().map(|(key, row)| (key, (row.value.to_vec(), row.revision))).collect()
}

/// The bytes of a file, and what happened to it.
#[derive(Debug, Clone, Default)]
struct Drive(Arc<Mutex<(Vec<u8>, Vec<Event>)>>);

#[derive(Debug, Clone)]
enum Event {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
    Submitted,
    Acknowledged,
}

impl Drive {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new((bytes, Vec::new()))))
    }

    fn mark(&self, event: Event) {
        self.lock().1.push(event);
    }

    /// The bytes as they are now, and what happened since the last call.
    fn take_events(&self) -> (Vec<u8>, Vec<Event>) {
        let mut drive = self.lock();
        (drive.0.clone(), take(&mut drive.1))
    }

    fn happens(&self, event: Event) {
        let mut drive = self.lock();
        event.apply(&mut drive.0);
        drive.1.push(event);
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, Vec<Event>)> {
        self.0.lock().unwrap()
    }
}

impl StorageBackend for Drive {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (drive, start) = (self.lock(), offset as usize);
        let found = drive.0.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.happens(Event::SetLen(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.happens(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.happens(Event::Write(offset as usize, data.to_vec()));
        Ok(())
    }
}

impl Event {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => write(bytes, *offset, data),
            Self::SetLen(len) => bytes.resize(*len, 0),
            Self::Sync | Self::Submitted | Self::Acknowledged => {}
        }
    }

    /// What a crash leaves of an event that was not synced.
    fn apply_in_part(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Write(offset, data) => {
                // Completely, or not at all, or torn.
                let fate = random.next() % 3;
                for (sector, data) in data.chunks(SECTOR_LEN).enumerate() {
                    if fate == 0 || fate == 1 && random.next().is_multiple_of(2) {
                        write(bytes, offset + sector * SECTOR_LEN, data);
                    }
                }
            }
            _ if random.next().is_multiple_of(2) => self.apply(bytes),
            _ => {}
        }
    }
}

/// A write past the end makes the file longer.
fn write(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// How many batches were submitted and acknowledged before a crash.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    submitted: usize,
    acknowledged: usize,
}

/// A file that was durable, and what happened afterwards.
struct Story {
    base: Vec<u8>,
    events: Vec<Event>,
}

impl Story {
    /// Shows `check` what each crash may leave: at each write, everything written until then; at each sync, several
    /// choices of what was written since the last one, the last of which is marked.
    fn crash_everywhere(&self, check: &mut impl FnMut(Vec<u8>, Marks, bool)) {
        let (mut durable, mut written) = (self.base.clone(), self.base.clone());
        let (mut unsynced, mut marks) = (Vec::new(), Marks::default());
        for (index, event) in self.events.iter().enumerate() {
            event.apply(&mut written);
            match event {
                Event::Submitted => marks.submitted += 1,
                Event::Acknowledged => marks.acknowledged += 1,
                Event::Write(..) | Event::SetLen(_) => {
                    unsynced.push(event);
                    check(written.clone(), marks, false);
                }
                Event::Sync => {
                    for choice in 0..CHOICES_LEN {
                        let mut image = durable.clone();
                        let mut random = Random((index as u64) << 8 | choice);
                        unsynced.iter().for_each(|event| event.apply_in_part(&mut image, &mut random));
                        check(image, marks, choice + 1 == CHOICES_LEN);
                    }
                    unsynced.clear();
                    durable.clone_from(&written);
                }
            }
        }
    }
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

const BATCHES_LEN: u64 = 120;
const CHOICES_LEN: u64 = 24;
const SECTOR_LEN: usize = 512;
const AFTER: &[u8] = b"after the crash";
