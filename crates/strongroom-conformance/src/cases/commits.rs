//! Rules about what a batch writes, and about batches that break a rule.

use strongroom::store::{StoreErrorKind, WriteBatch};

use crate::Subject;
use crate::batch::{absent, batch, delete, exists, gets, put, scan_all};
use crate::opened::Opened;

pub(super) fn a_put_writes_the_row_and_replaces_it(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    assert_eq!(store.value("a"), Some(b"1".to_vec()));
    store.put("a", "longer than before");
    assert_eq!(store.value("a"), Some(b"longer than before".to_vec()));
    store.put("a", "2");
    assert_eq!(store.value("a"), Some(b"2".to_vec()));
    assert_eq!(store.keys(scan_all()), [b"a"]);
}

pub(super) fn a_delete_removes_the_row(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put("a", "1"), put("b", "2")]));
    store.delete("a");
    assert_eq!(store.get("a"), None);
    assert_eq!(store.keys(scan_all()), [b"b"]);
}

pub(super) fn a_delete_of_no_row_is_accepted(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [delete("missing"), put("a", "1")]));
    assert_eq!(store.keys(scan_all()), [b"a"]);
}

pub(super) fn a_batch_puts_and_deletes_together(subject: &Subject) {
    let store = subject.fresh();
    store.commit(batch([], [put("a", "1"), put("b", "2"), put("c", "3")]));
    store.commit(batch([], [put("d", "4"), delete("b"), put("a", "5"), delete("c")]));
    let values: Vec<_> = store.rows().into_iter().map(|(key, row)| (Vec::from(key), row.value)).collect();
    assert_eq!(values, [(b"a".to_vec(), b"5".to_vec()), (b"d".to_vec(), b"4".to_vec())]);
}

pub(super) fn bytes_of_any_kind_are_kept_exactly(subject: &Subject) {
    let store = subject.fresh();
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let contents = [b"\0".as_slice(), b"\0\0", b"\xff", b"a\0", b" a ", b"\r\n", b"\xc3\x28", &every_byte];
    store.commit(batch([], contents.iter().map(|bytes| put(bytes, bytes))));
    let rows = store.rows();
    assert_eq!(rows.len(), contents.len());
    for bytes in contents {
        assert_eq!(store.value(bytes).as_deref(), Some(bytes), "by get");
        assert!(rows.iter().any(|(key, row)| key.as_bytes() == bytes && row.value == bytes), "by scan");
    }
}

pub(super) fn an_empty_value_is_a_row(subject: &Subject) {
    let store = subject.fresh();
    let revision = store.put("a", "");
    let row = store.get("a").expect("an empty value is a row");
    assert_eq!((row.value, row.revision), (Vec::new(), revision));
    assert_eq!(store.keys(scan_all()), [b"a"]);
    store.commit(batch([exists("a")], [delete("a")]));
}

pub(super) fn an_empty_batch_is_accepted(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    let before = store.rows();
    store.commit(WriteBatch::default());
    assert_eq!(store.rows(), before);
}

pub(super) fn a_key_twice_among_the_operations_is_refused(subject: &Subject) {
    let store = subject.fresh();
    for ops in [[put("a", "1"), put("a", "1")], [put("a", "1"), delete("a")], [delete("a"), delete("a")]] {
        assert_eq!(store.refusal(batch([], ops)), StoreErrorKind::Unsupported);
    }
}

pub(super) fn a_key_twice_among_the_expectations_is_refused(subject: &Subject) {
    let store = subject.fresh();
    store.put("a", "1");
    let twice = batch([exists("a"), exists("a")], [put("b", "2")]);
    assert_eq!(store.refusal(twice), StoreErrorKind::Unsupported);
}

pub(super) fn absence_of_a_key_that_is_not_put_is_refused(subject: &Subject) {
    let store = subject.fresh();
    assert_eq!(store.refusal(batch([absent("a")], [put("b", "2")])), StoreErrorKind::Unsupported);
    assert_eq!(store.refusal(batch([absent("a")], [delete("a")])), StoreErrorKind::Unsupported);
    assert_eq!(store.refusal(batch([absent("a")], [])), StoreErrorKind::Unsupported);
}

pub(super) fn a_refused_batch_writes_nothing(subject: &Subject) {
    let store = subject.fresh();
    store.put("kept", "1");
    let before = store.rows();
    let refuse = |refused: WriteBatch| assert_refused(&store, refused);
    refuse(batch([], [delete("kept"), put("a", "1"), put("a", "2")]));
    refuse(batch([exists("kept"), exists("kept")], [delete("kept"), put("a", "1")]));
    refuse(batch([absent("b")], [delete("kept"), put("a", "1")]));
    refuse(batch([], [delete("kept"), put("a", "1"), put(vec![b'k'; 2_000], "2")]));
    refuse(batch([], [delete("kept"), put("a", "1"), put("b", vec![b'v'; 100_000])]));
    assert_eq!(store.rows(), before);
    assert_eq!(store.read(&gets(["a", "b"])).gets, [None, None]);
}

fn assert_refused(store: &Opened, refused: WriteBatch) {
    let kind = store.refusal(refused);
    assert!(matches!(kind, StoreErrorKind::Unsupported | StoreErrorKind::TooLarge));
}
