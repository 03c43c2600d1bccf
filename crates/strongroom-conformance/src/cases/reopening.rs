//! Rules about what outlives the handle.

use std::sync::mpsc;
use std::thread;

use strongroom::store::StoreErrorKind;

use super::dropping::{assert_whole_or_absent, drop_commit};
use crate::Subject;
use crate::batch::{at_revision, batch, delete, put, scan_all};
use crate::opened::Opened;

pub(super) fn rows_and_revisions_survive_a_reopen(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put([0], ""), put([0xff; 1_024], "long key"), put("large", vec![0; 80 << 10])]));
    let revision = store.put("a", "1");
    let before = store.rows();
    let store = store.reopen().reopen();
    assert!(store.rows() == before, "the same rows at the same revisions");
    store.commit(batch([at_revision("a", revision)], [put("a", "2")]));
}

pub(super) fn deletes_survive_a_reopen(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put("a", "1"), put("b", "2"), put("c", "3")]));
    let store = store.reopen();
    store.delete("a");
    store.commit(batch([], [delete("b"), put("d", "4")]));
    assert_eq!(store.reopen().keys(scan_all()), [b"c", b"d"]);
}

pub(super) fn a_revision_is_not_used_again_after_a_reopen(subject: &Subject) {
    let mut store = subject.fresh();
    for _ in 0..3 {
        let old = store.put("a", "the same bytes");
        store.delete("a");
        store = store.reopen();
        assert_ne!(store.put("a", "the same bytes"), old);
        let stale = batch([at_revision("a", old)], [put("a", "stale")]);
        assert_eq!(store.refusal(stale), StoreErrorKind::Conflict { index: 0 });
    }
}

pub(super) fn an_acknowledged_batch_survives_a_handle_dropped_unclosed(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put("a", "1"), put("b", "1")]));
    store.commit(batch([], [put("a", "2"), delete("b"), put("c", "2")]));
    let before = store.rows();
    assert_eq!(store.drop_and_reopen().rows(), before);
}

pub(super) fn a_second_handle_is_refused_unless_the_store_is_shared(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    match store.open_another() {
        Ok(other) => {
            assert!(store.store().capabilities().shared, "a store that is not shared has one handle");
            assert_eq!(other.value("a"), Some(b"1".to_vec()));
        }
        Err(message) => {
            assert!(!store.store().capabilities().shared, "a shared store has many handles");
            assert!(!message.is_empty(), "the error says what is wrong");
        }
    }
    store.put("b", "2");
    assert_eq!(store.reopen().keys(scan_all()), [b"a", b"b"]);
}

pub(super) fn commits_that_race_with_close_are_kept_or_refused(subject: &Subject) {
    let store = subject.fresh();
    let (under_way, started) = mpsc::channel();
    let kept: Vec<(u8, u32)> = thread::scope(|threads| {
        let store = &store;
        let writers = [0, 1].map(|writer| {
            let under_way = under_way.clone();
            threads.spawn(move || (writer, commit_until_closed(store, writer, &under_way)))
        });
        drop(under_way);
        // An error means that a writer has panicked, which its join reports.
        let _ = (started.recv(), started.recv());
        store.close().expect("the store closes");
        writers.map(|writer| writer.join().expect("a writer does not panic")).to_vec()
    });
    let keys = store.reopen().walk(&scan_all());
    let expected = kept.iter().flat_map(|(writer, len)| (0..*len).map(|index| row_key(*writer, index)));
    assert!(
        keys.iter().map(|(key, _)| key.as_bytes().to_vec()).eq(expected),
        "what was acknowledged, and no more"
    );
}

/// How many puts were acknowledged before the store answered that it is closed.
fn commit_until_closed(store: &Opened, writer: u8, under_way: &mpsc::Sender<()>) -> u32 {
    for index in 0..20_000 {
        if let Err(error) = store.try_commit(batch([], [put(row_key(writer, index), "1")])) {
            assert_eq!(error.kind(), StoreErrorKind::Closed);
            return index;
        }
        if index == 3 {
            under_way.send(()).expect("the closing thread waits");
        }
    }
    unreachable!("the store is closed after a few commits")
}

fn row_key(writer: u8, index: u32) -> Vec<u8> {
    [[writer].as_slice(), &index.to_be_bytes()].concat()
}

pub(super) fn a_dropped_commit_is_whole_or_absent_after_a_reopen(subject: &Subject) {
    for polls in 0..4 {
        let store = subject.fresh();
        drop_commit(&store, polls);
        assert_whole_or_absent(&store.reopen());
    }
}
