//! A process that puts and deletes one row without end, and the check that no two puts share a revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Committed, Op, Store, StoreError};

use super::process::{Acks, acknowledge, stop};
use crate::batch::{batch, delete, put};

/// Writes until the process ends or the disk is gone, and tells the revision of each put.
pub(super) fn serve(store: &impl Store) {
    for number in 0.. {
        match commit(store, put(ROW, "the same bytes")) {
            Ok(committed) => acknowledge(number, committed.revision.0),
            Err(error) => return stop(0, &error),
        }
        if let Err(error) = commit(store, delete(ROW)) {
            return stop(0, &error);
        }
    }
}

/// Holds that what was told is new, and leaves no row whose revision a store could count on from.
pub(super) fn check(store: &impl Store, given: &mut BTreeSet<u64>, acks: Acks) {
    for revision in acks.into_values() {
        assert!(given.insert(revision), "the revision {revision} was given twice");
    }
    commit(store, delete(ROW)).expect("the row is deleted");
}

fn commit(store: &impl Store, op: Op) -> Result<Committed, StoreError> {
    block_on(store.commit(Arc::new(batch([], [op]))))
}

pub(super) const NAME: &str = "revisions";
const ROW: &str = "row";
