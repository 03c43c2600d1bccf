//! Rules about commits on several threads.

use std::sync::Barrier;
use std::thread;

use strongroom::store::{Committed, StoreError, StoreErrorKind, Versioned, WriteBatch};

use crate::Subject;
use crate::batch::{absent, at_revision, batch, put};
use crate::opened::Opened;

pub(super) fn two_racing_commits_on_one_key_have_one_winner(subject: &Subject) {
    let store = subject.fresh();
    let mut revision = store.put("a", "start");
    for round in 0_u8..50 {
        let replace = |value: &str| batch([at_revision("a", revision)], [put("a", value)]);
        revision = assert_one_winner(&store, [replace("1"), replace("2")]).revision;
        assert_eq!(store.get("a").map(|row| row.revision), Some(revision), "the winner's row stands");

        let create = |value: &str| batch([absent([round])], [put([round], value)]);
        let created = assert_one_winner(&store, [create("1"), create("2")]);
        assert_eq!(store.get([round]).map(|row| row.revision), Some(created.revision));
    }
}

/// Every thread goes on from what it read; none may overwrite what it has not seen.
pub(super) fn a_counter_loses_no_update(subject: &Subject) {
    let store = subject.fresh();
    store.put("count", 0_u32.to_be_bytes());
    let first = store.get("count").expect("the count is there");
    let start = Barrier::new(THREADS);
    thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                start.wait();
                count_on(&store, first.clone());
            });
        }
    });
    let counted = store.get("count").expect("the count is there");
    assert_eq!(number(&counted), THREADS as u32 * INCREMENTS);
}

fn count_on(store: &Opened, mut seen: Versioned) {
    for _ in 0..INCREMENTS {
        let mut conflicts_left = CONFLICTS_MAX;
        loop {
            let next = (number(&seen) + 1).to_be_bytes();
            let increment = batch([at_revision("count", seen.revision)], [put("count", next)]);
            let answer = store.try_commit(increment).map_err(|error| error.kind());
            seen = store.get("count").expect("the count is there");
            if answer.is_ok() {
                break;
            }
            assert_eq!(answer, Err(StoreErrorKind::Conflict { index: 0 }));
            assert_ne!(conflicts_left, 0, "the other threads get to an end");
            conflicts_left -= 1;
            thread::yield_now();
        }
    }
}

fn number(row: &Versioned) -> u32 {
    u32::from_be_bytes(row.value.as_slice().try_into().expect("a count is four bytes"))
}

/// Each batch expects what the other writes, so that after either the other must fail.
pub(super) fn write_skew_is_prevented(subject: &Subject) {
    let store = subject.fresh();
    for _ in 0..50 {
        let both = store.commit(batch([], [put("a", "on"), put("b", "on")]));
        let turn_off = |guard, key| batch([at_revision(guard, both)], [put(key, "off")]);
        assert_one_winner(&store, [turn_off("a", "b"), turn_off("b", "a")]);
    }
}

fn assert_one_winner(store: &Opened, batches: [WriteBatch; 2]) -> Committed {
    let start = Barrier::new(batches.len());
    let commit = |batch| {
        start.wait();
        store.try_commit(batch)
    };
    let [one, other] = thread::scope(|threads| {
        let racing = batches.map(|batch| threads.spawn(|| commit(batch)));
        racing.map(|thread| thread.join().expect("a commit does not panic"))
    });
    let lost = |answer: Result<_, StoreError>| answer.expect_err("one loses").kind();
    match one {
        Ok(won) => {
            assert_eq!(lost(other), StoreErrorKind::Conflict { index: 0 });
            won
        }
        Err(_) => {
            assert_eq!(lost(one), StoreErrorKind::Conflict { index: 0 });
            other.expect("one wins")
        }
    }
}

const THREADS: usize = 4;
const INCREMENTS: u32 = 25;

/// Many, since a store may let nobody read a batch that waits for its sync while it already counts for expectations.
const CONFLICTS_MAX: u32 = 1_000_000;
