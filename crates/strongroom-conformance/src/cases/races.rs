//! Rules about commits on several threads.

use std::sync::Barrier;
use std::thread;

use strongroom::store::{Committed, StoreError, StoreErrorKind, Versioned, WriteBatch};

use crate::Subject;
use crate::batch::{absent, at_revision, batch, put};
use crate::opened::Opened;
use crate::patience::Patience;

pub(super) fn two_racing_commits_on_one_key_have_one_winner(subject: &Subject) {
    let store = subject.fresh();
    let mut revision = store.put("a", "start");
    for round in 0_u8..50 {
        let replace = |value: &str| batch([at_revision("a", revision)], [put("a", value)]);
        revision = assert_one_winner([(&store, replace("1")), (&store, replace("2"))]).revision;
        assert_eq!(store.get("a").map(|row| row.revision), Some(revision), "the winner's row stands");

        let create = |value: &str| batch([absent([round])], [put([round], value)]);
        let created = assert_one_winner([(&store, create("1")), (&store, create("2"))]);
        assert_eq!(store.get([round]).map(|row| row.revision), Some(created.revision));
    }
}

pub(super) fn a_counter_loses_no_update(subject: &Subject) {
    count_to_the_end(&[&subject.fresh(); 4]);
}

/// A thread for each handle, which continues from what it read; none may overwrite what it has not seen.
pub(super) fn count_to_the_end(handles: &[&Opened]) {
    let [first, ..] = handles else { return };
    first.put(COUNT, 0_u32.to_be_bytes());
    let seen = counted(first);
    let (start, sum) = (Barrier::new(handles.len()), INCREMENTS * handles.len() as u32);
    thread::scope(|threads| {
        for handle in handles {
            threads.spawn(|| {
                start.wait();
                count_on(handle, seen.clone(), sum);
            });
        }
    });
    for handle in handles {
        assert_eq!(number(&counted(handle)), sum);
    }
}

/// Adds its share to a count that is never over `sum`.
pub(crate) fn count_on(store: &Opened, mut seen: Versioned, sum: u32) {
    for _ in 0..INCREMENTS {
        let mut patience = Patience::new();
        loop {
            let next = (number(&seen) + 1).to_be_bytes();
            let increment = batch([at_revision(COUNT, seen.revision)], [put(COUNT, next)]);
            let answer = store.try_commit(increment).map_err(|error| error.kind());
            seen = counted(store);
            assert!(number(&seen) <= sum, "an increment that was refused counts all the same");
            if answer.is_ok() {
                break;
            }
            assert_eq!(answer, Err(StoreErrorKind::Conflict { index: 0 }));
            // A store may let nobody read a batch that waits for its sync while it already counts for expectations.
            assert!(patience.try_again(), "the other threads get to an end");
        }
    }
}

/// The row of the count.
pub(crate) fn counted(store: &Opened) -> Versioned {
    store.get(COUNT).expect("the count is there")
}

pub(crate) fn number(row: &Versioned) -> u32 {
    u32::from_be_bytes(row.value.as_slice().try_into().expect("a count is four bytes"))
}

/// Each batch expects what the other writes, so that after either the other must fail.
pub(super) fn write_skew_is_prevented(subject: &Subject) {
    let store = subject.fresh();
    for _ in 0..50 {
        let both = store.commit(batch([], [put("a", "on"), put("b", "on")]));
        let turn_off = |guard, key| batch([at_revision(guard, both)], [put(key, "off")]);
        assert_one_winner([(&store, turn_off("a", "b")), (&store, turn_off("b", "a"))]);
    }
}

pub(super) fn assert_one_winner(racers: [(&Opened, WriteBatch); 2]) -> Committed {
    let start = Barrier::new(racers.len());
    let commit = |store: &Opened, batch| {
        start.wait();
        store.try_commit(batch)
    };
    let [one, other] = thread::scope(|threads| {
        let racing = racers.map(|(store, batch)| threads.spawn(|| commit(store, batch)));
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

pub(crate) const COUNT: &str = "count";

/// The share of each.
pub(crate) const INCREMENTS: u32 = 25;
