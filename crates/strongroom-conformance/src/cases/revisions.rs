//! Rules about the marks of puts.

use std::collections::BTreeSet;

use strongroom::store::{ReadBatch, RowRevision};

use crate::Subject;
use crate::batch::{batch, gets, put, scan_all};
use crate::opened::Opened;

pub(super) fn every_put_changes_the_revision(subject: &Subject) {
    let store = subject.fresh();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let answer = store.put("a", "the same bytes");
        assert_eq!(revision(&store, "a"), answer);
        assert!(seen.insert(answer), "the revision is new");
    }
}

/// The engine has 0 for a row that is not there yet.
pub(super) fn a_revision_is_never_zero(subject: &Subject) {
    let store = subject.fresh();
    assert_ne!(store.put("a", "1"), RowRevision(0));
    assert_ne!(revision(&store, "a"), RowRevision(0));
}

pub(super) fn the_puts_of_a_batch_share_the_revision_of_the_answer(subject: &Subject) {
    let store = subject.fresh();
    store.put("b", "0");
    for round in ["1", "2"] {
        let answer = store.commit(batch([], [put("c", round), put("a", round), put("b", round)]));
        assert_eq!(["a", "b", "c"].map(|key| revision(&store, key)), [answer; 3]);
    }
}

pub(super) fn a_row_that_is_not_written_keeps_its_revision(subject: &Subject) {
    let store = subject.fresh();
    let kept = store.put("b", "1");
    store.commit(batch([], [put("a", "2"), put("c", "2")]));
    store.delete("a");
    assert_eq!(revision(&store, "b"), kept);
}

pub(super) fn gets_and_scans_tell_the_same_revision(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    store.commit(batch([], [put("b", "2"), put("c", "2")]));
    let scans = vec![scan_all(), scan_all().keys_only()];
    let found = store.read(&ReadBatch { scans, ..gets(["a", "b", "c"]) });
    let got: Vec<_> = found.gets.iter().flatten().map(|row| row.revision).collect();
    for page in &found.scans {
        assert!(page.rows.iter().map(|(_, row)| row.revision).eq(got.iter().copied()));
    }
}

pub(super) fn a_revision_is_not_used_again_after_a_delete(subject: &Subject) {
    let store = subject.fresh();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        store.put("a", "the same bytes");
        assert!(seen.insert(revision(&store, "a")), "the revision is new");
        store.delete("a");
    }
}

fn revision(store: &Opened, key: &str) -> RowRevision {
    store.get(key).expect("the row is there").revision
}
