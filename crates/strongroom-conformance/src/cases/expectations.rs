//! Rules about what must hold for a batch to be applied.

use strongroom::store::{RowRevision, StoreErrorKind, WriteBatch};

use crate::Subject;
use crate::batch::{absent, at_revision, batch, delete, exists, put};
use crate::opened::Opened;

pub(super) fn absent_holds_without_a_row_alone(subject: &Subject) {
    let store = subject.fresh();
    let create = || batch([absent("a")], [put("a", "1")]);
    store.commit(create());
    assert_conflict(&store, create(), 0);
    store.delete("a");
    store.commit(create());
    assert_conflict(&store, create(), 0);
}

pub(super) fn exists_holds_with_a_row_alone(subject: &Subject) {
    let store = subject.fresh();
    let replace = || batch([exists("a")], [put("a", "2")]);
    assert_conflict(&store, replace(), 0);
    store.put("a", "1");
    store.commit(replace());
    store.delete("a");
    assert_conflict(&store, replace(), 0);
}

pub(super) fn a_revision_holds_for_the_row_put_at_it_alone(subject: &Subject) {
    let store = subject.fresh();
    let former = store.put("a", "1");
    let current = store.commit(batch([at_revision("a", former)], [put("a", "2")]));
    let of_another_key = store.put("b", "3");
    for revision in [former, of_another_key] {
        assert_conflict(&store, batch([at_revision("a", revision)], [put("a", "4")]), 0);
        assert_conflict(&store, batch([at_revision("a", revision)], [delete("a")]), 0);
    }
    store.commit(batch([at_revision("a", current)], [delete("a")]));
    assert_eq!(store.get("a"), None);
}

pub(super) fn a_revision_of_no_row_does_not_hold(subject: &Subject) {
    let store = subject.fresh();
    let deleted = store.put("a", "1");
    store.delete("a");
    for revision in [deleted, RowRevision(0), RowRevision(u64::MAX)] {
        assert_conflict(&store, batch([at_revision("a", revision)], [put("a", "2")]), 0);
        assert_conflict(&store, batch([at_revision("never", revision)], [put("never", "2")]), 0);
    }
}

pub(super) fn expectations_hold_on_keys_that_the_batch_does_not_write(subject: &Subject) {
    let store = subject.fresh();
    let former = store.put("guard", "1");
    let current = store.put("guard", "2");
    store.commit(batch([at_revision("guard", current)], [put("a", "1")]));
    store.commit(batch([exists("guard")], [put("a", "2")]));
    assert_conflict(&store, batch([at_revision("guard", former)], [put("a", "3")]), 0);
    assert_conflict(&store, batch([exists("missing")], [put("a", "3")]), 0);
    assert_eq!(store.get("guard").map(|row| row.revision), Some(current));
}

pub(super) fn expectations_are_about_the_state_before_the_batch(subject: &Subject) {
    let store = subject.fresh();
    assert_conflict(&store, batch([exists("a")], [put("a", "1")]), 0);
    store.commit(batch([absent("a")], [put("a", "1")]));
    store.commit(batch([exists("a")], [delete("a")]));
    let revision = store.put("a", "2");
    store.commit(batch([at_revision("a", revision)], [put("a", "3")]));
}

pub(super) fn the_first_failed_expectation_is_reported_by_index(subject: &Subject) {
    let store = subject.fresh();
    let former = store.put("m", "1");
    store.commit(batch([], [put("m", "2"), put("y", "3")]));
    let write = || [put("z", "new"), put("b", "new")];
    // Neither in the order of the keys nor in that of the operations.
    let expect = [exists("y"), exists("m"), absent("z"), at_revision("m2", former), absent("b"), exists("a")];
    assert_conflict(&store, batch(expect, write()), 3);
    assert_conflict(&store, batch([exists("y"), exists("m"), exists("x"), absent("z")], write()), 2);
    store.put("z", "4");
    assert_conflict(&store, batch([exists("y"), absent("z"), at_revision("m", former)], write()), 1);
    assert_conflict(&store, batch([at_revision("m", former), absent("z"), exists("a")], write()), 0);
}

pub(super) fn a_failed_expectation_writes_nothing(subject: &Subject) {
    let store = subject.fresh();
    let former = store.put("a", "1");
    store.commit(batch([], [put("a", "2"), put("b", "2"), put("c", "2")]));
    let before = store.rows();
    for fails in [at_revision("a", former), exists("missing"), absent("a")] {
        let ops = [put("0", "new"), put("a", "new"), put("b", "new"), delete("c"), put("z", "new")];
        assert_conflict(&store, batch([exists("b"), fails], ops), 1);
        assert_eq!(store.rows(), before);
    }
}

pub(super) fn expectations_without_operations_are_checked(subject: &Subject) {
    let store = subject.fresh();
    let former = store.put("a", "1");
    let current = store.put("a", "2");
    store.commit(batch([at_revision("a", current)], []));
    assert_conflict(&store, batch([at_revision("a", former)], []), 0);
    assert_conflict(&store, batch([exists("a"), exists("b")], []), 1);
    assert_eq!(store.get("a").map(|row| row.revision), Some(current));
}

/// The engine's batches expect the state of a key that they write, so that a copy on a slow line does no harm.
pub(super) fn a_late_duplicate_of_a_batch_does_not_apply(subject: &Subject) {
    let store = subject.fresh();
    let old = store.put("a", "old");
    let change = batch([at_revision("a", old), absent("b")], [put("a", "new"), put("b", "new")]);
    let revision = store.commit(change.clone());
    assert_conflict(&store, change.clone(), 0);
    assert_eq!(store.get("a").map(|row| row.revision), Some(revision));
    store.commit(batch([], [put("a", "old"), delete("b")]));
    assert_conflict(&store, change, 0);
    assert_eq!(store.get("b"), None);
}

fn assert_conflict(store: &Opened, refused: WriteBatch, index: usize) {
    assert_eq!(store.refusal(refused), StoreErrorKind::Conflict { index });
}
