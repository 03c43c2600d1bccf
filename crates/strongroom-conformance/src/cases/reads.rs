//! Rules about one read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use strongroom::store::{KEY_BYTES_MAX, READ_OPS_MAX, ReadBatch, Scan, StoreErrorKind, Versioned};

use crate::Subject;
use crate::batch::{batch, delete, gets, key, put, range, scan_all};
use crate::opened::Opened;

pub(super) fn gets_and_scans_answer_in_the_order_of_the_request(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put("a", "1"), put("b", "2"), put("c", "3")]));
    let scans = [range("c", "d"), range("x", "y"), range("a", "b")].map(|range| Scan::new(range, 10));
    let request = ReadBatch { scans: scans.to_vec(), ..gets(["b", "missing", "a", "b"]) };
    let found = store.read(&request);
    let values: Vec<_> = found.gets.into_iter().map(|row| row.map(|row| row.value)).collect();
    assert_eq!(values, [Some(b"2".to_vec()), None, Some(b"1".to_vec()), Some(b"2".to_vec())]);
    let keys =
        found.scans.iter().map(|page| page.rows.iter().map(|(key, _)| key.as_bytes()).collect::<Vec<_>>());
    assert_eq!(keys.collect::<Vec<_>>(), [vec![b"c".as_slice()], vec![], vec![b"a".as_slice()]]);
}

pub(super) fn a_key_without_a_row_answers_none(subject: &Subject) {
    let store = subject.fresh();
    store.put("ab", "1");
    let found = store.read(&gets(["a", "ab\0", "abc", "b"]));
    assert_eq!(found.gets, [None, None, None, None]);
}

pub(super) fn a_commit_is_visible_to_every_later_read(subject: &Subject) {
    let store = subject.fresh();
    for round in 0..10_u8 {
        store.put("a", [round]);
        assert_eq!(store.value("a"), Some(vec![round]), "on the thread that wrote");
        thread::scope(|threads| {
            threads.spawn(|| assert_eq!(store.value("a"), Some(vec![round]), "on another thread"));
        });
    }
}

/// Each batch moves one key to and fro and writes the same bytes to the others, so that any mixture of two batches
/// shows.
pub(super) fn a_read_is_one_snapshot_over_gets_and_scans(subject: &Subject) {
    let store = subject.fresh();
    move_over(&store, 0);
    let race = Race::default();
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| race.run(&race.reads_len, |_| assert_one_batch(&store)));
        }
        race.run(&race.commits_len, |round| move_over(&store, round));
    });
}

/// A writer and its readers, of whom none stops before each has done its share beside the others.
#[derive(Default)]
pub(super) struct Race {
    pub(super) commits_len: AtomicUsize,
    pub(super) reads_len: AtomicUsize,
    over: AtomicBool,
}

impl Race {
    pub(super) fn run(&self, done_len: &AtomicUsize, work: impl Fn(usize)) {
        // On a panic as well, so that the others end.
        let _over = SetOnDrop(&self.over);
        while !self.over.load(Ordering::SeqCst) && !self.is_done() {
            work(done_len.fetch_add(1, Ordering::SeqCst));
        }
    }

    fn is_done(&self) -> bool {
        self.commits_len.load(Ordering::SeqCst) > 100 && self.reads_len.load(Ordering::SeqCst) > 200
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(super) fn move_over(store: &Opened, round: usize) {
    let (to, from) = if round.is_multiple_of(2) { ("even", "odd") } else { ("odd", "even") };
    let value = round.to_be_bytes();
    store.commit(batch([], [put("a", value), put(to, value), delete(from), put("z", value)]));
}

pub(super) fn assert_one_batch(store: &Opened) {
    let request =
        ReadBatch { scans: vec![scan_all(), scan_all().reverse()], ..gets(["z", "even", "odd", "a"]) };
    let found = store.read(&request);
    let scanned = found.scans.iter().flat_map(|page| page.rows.iter().map(|(_, row)| row));
    let rows: Vec<&Versioned> = found.gets.iter().flatten().chain(scanned).collect();
    assert_eq!(rows.len(), 9, "three rows in the gets and in each scan");
    assert!(rows.windows(2).all(|pair| pair.first() == pair.last()), "rows of one batch");
}

pub(super) fn a_hundred_gets_and_scans_are_answered(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    for gets_len in [0, 50, READ_OPS_MAX] {
        let found = store.read(&request_of(gets_len, READ_OPS_MAX - gets_len));
        assert_eq!((found.gets.len(), found.scans.len()), (gets_len, READ_OPS_MAX - gets_len));
        assert!(found.gets.iter().all(Option::is_some), "each get finds the row");
        assert!(found.scans.iter().all(|page| page.rows.len() == 1), "each scan finds the row");
    }
}

pub(super) fn more_than_a_hundred_gets_and_scans_are_refused(subject: &Subject) {
    let store = subject.fresh();
    for gets_len in [0, 50, READ_OPS_MAX + 1] {
        let request = request_of(gets_len, READ_OPS_MAX + 1 - gets_len);
        assert_eq!(store.read_refusal(&request), StoreErrorKind::TooLarge);
    }
}

fn request_of(gets_len: usize, scans_len: usize) -> ReadBatch {
    ReadBatch { gets: vec![key("a"); gets_len], scans: vec![scan_all(); scans_len] }
}

pub(super) fn a_get_of_a_key_over_its_limit_is_refused(subject: &Subject) {
    let store = subject.fresh();
    let request = gets([vec![b'k'; KEY_BYTES_MAX + 1]]);
    assert_eq!(store.read_refusal(&request), StoreErrorKind::TooLarge);
}
