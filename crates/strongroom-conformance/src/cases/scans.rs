//! Rules about what a scan walks over.

use strongroom::store::{KeyRange, Scan};

use crate::Subject;
use crate::batch::{batch, put, range, scan_all};
use crate::opened::Opened;

pub(super) fn a_new_store_is_empty(subject: &Subject) {
    let store = subject.fresh();
    assert_eq!(store.rows(), []);
}

/// What a store keeps for itself, such as its counter, stays hidden, and any key stays free for the engine.
pub(super) fn a_scan_shows_what_was_put_and_nothing_else(subject: &Subject) {
    let store = subject.fresh();
    let revision = store.put([0], "1");
    store.put("b", "2");
    store.delete("b");
    let rows: Vec<_> =
        store.rows().into_iter().map(|(key, row)| (Vec::from(key), row.value, row.revision)).collect();
    assert_eq!(rows, [(vec![0], b"1".to_vec(), revision)]);
}

pub(super) fn keys_are_in_unsigned_lexicographic_order(subject: &Subject) {
    let store = full(subject);
    assert_eq!(store.keys(scan_all()), KEYS.map(<[u8]>::to_vec));
}

pub(super) fn a_range_holds_its_start_and_not_its_end(subject: &Subject) {
    let store = full(subject);
    assert_eq!(store.keys(Scan::new(range("a", "b"), 10)), [b"a".to_vec(), b"a\0".to_vec(), b"ab".to_vec()]);
    assert_eq!(store.keys(Scan::new(range("a", "a\0"), 10)), [b"a".to_vec()]);
    assert_eq!(store.keys(Scan::new(range("aa", [0x80]), 10)), [b"ab".to_vec(), b"b".to_vec(), vec![0x7f]]);
}

pub(super) fn an_empty_or_inverted_range_answers_an_empty_page(subject: &Subject) {
    let store = full(subject);
    let beyond = KeyRange::prefix(b"a").after(b"b");
    for range in
        [range("a", "a"), range("b", "a"), range([0xff], [0x00]), range("c", "d"), range("", ""), beyond]
    {
        for scan in [Scan::new(range.clone(), 10), Scan::new(range, 10).reverse()] {
            let page = store.page(scan);
            assert!(page.rows.is_empty() && !page.more, "no row, and none to come");
        }
    }
}

pub(super) fn a_prefix_range_holds_the_keys_with_the_prefix(subject: &Subject) {
    let store = full(subject);
    for prefix in [b"a".as_slice(), b"ab", b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"c"] {
        let expected: Vec<_> =
            KEYS.iter().filter(|key| key.starts_with(prefix)).map(|key| key.to_vec()).collect();
        assert_eq!(store.keys(Scan::new(KeyRange::prefix(prefix), 20)), expected);
    }
}

pub(super) fn a_range_without_an_end_runs_to_the_last_key(subject: &Subject) {
    let store = full(subject);
    let scan = Scan::new(KeyRange { start: vec![0x80], end: None }, 20);
    let expected = [vec![0x80], vec![0xff], vec![0xff, 0x00], vec![0xff, 0xff]];
    assert_eq!(store.keys(scan.clone()), expected);
    assert_eq!(store.keys(scan.reverse()), expected.into_iter().rev().collect::<Vec<_>>());
}

pub(super) fn a_scan_goes_on_after_and_before_a_key(subject: &Subject) {
    let store = full(subject);
    for (index, key) in KEYS.iter().enumerate() {
        let after = store.keys(Scan::new(KeyRange::all().after(key), 20));
        assert!(after.iter().eq(KEYS.iter().skip(index + 1)), "the keys after the key");
        let before = store.keys(Scan::new(KeyRange::all().before(key), 20).reverse());
        assert!(before.iter().eq(KEYS.iter().take(index).rev()), "the keys before the key, backwards");
    }
}

pub(super) fn a_reverse_scan_is_the_forward_scan_backwards(subject: &Subject) {
    let store = full(subject);
    for range in [KeyRange::all(), KeyRange::prefix(b"a"), range([0x00, 0x00], [0xff])] {
        let mut forward = store.page(Scan::new(range.clone(), 20)).rows;
        forward.reverse();
        assert_eq!(store.page(Scan::new(range, 20).reverse()).rows, forward);
    }
}

pub(super) fn keys_only_answers_empty_values(subject: &Subject) {
    let store = full(subject);
    let mut expected = store.rows();
    for (_, row) in &mut expected {
        row.value.clear();
    }
    assert_eq!(store.page(scan_all().keys_only()).rows, expected, "keys and revisions as ever");
    assert_eq!(
        store.page(scan_all().keys_only().reverse()).rows,
        expected.into_iter().rev().collect::<Vec<_>>()
    );
}

/// A store that holds [`KEYS`], put out of order.
fn full(subject: &Subject) -> Opened {
    let store = subject.fresh();
    let (early, late) = KEYS.split_at(5);
    store.commit(batch([], late.iter().map(|key| put(key, "late"))));
    store.commit(batch([], early.iter().rev().map(|key| put(key, "early"))));
    store
}

/// In order.
const KEYS: [&[u8]; 12] =
    [b"\0", b"\0\0", b"\x01", b"a", b"a\0", b"ab", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\0", b"\xff\xff"];
