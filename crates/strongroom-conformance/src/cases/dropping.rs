//! The rule about a commit whose future is dropped.

use std::sync::Arc;
use std::task::{Context, Waker};

use strongroom::store::WriteBatch;

use crate::Subject;
use crate::batch::{batch, delete, gets, put};
use crate::opened::Opened;

pub(super) fn a_dropped_commit_is_applied_whole_or_not_at_all(subject: &Subject) {
    for polls in 0..4 {
        let store = subject.fresh();
        drop_commit(&store, polls);
        assert_whole_or_absent(&store);
        // The store continues, and a batch that was still under way stays whole.
        store.put("later", "1");
        assert_eq!(store.value("later"), Some(b"1".to_vec()));
        assert_whole_or_absent(&store);
    }
}

pub(super) fn assert_whole_or_absent(store: &Opened) {
    let found = store.read(&gets(["added", "changed", "removed"])).gets;
    let values: Vec<_> = found.into_iter().map(|row| row.map(|row| row.value)).collect();
    let [old, new] = [b"old", b"new"].map(|value| Some(value.to_vec()));
    let (before, after) = ([None, old.clone(), old], [new.clone(), new, None]);
    assert!(values == before || values == after, "all of the batch or none of it");
}

/// Starts a batch that adds, changes and removes a row, and drops it after so many polls.
pub(super) fn drop_commit(store: &Opened, polls: usize) {
    store.commit(batch([], [put("changed", "old"), put("removed", "old")]));
    let change: WriteBatch = batch([], [put("added", "new"), put("changed", "new"), delete("removed")]);
    let mut commit = store.store().commit(Arc::new(change));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if commit.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
}
