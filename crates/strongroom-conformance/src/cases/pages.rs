//! Rules about where a page ends and how the next one continues.

use strongroom::store::{KeyRange, ReadBatch, Scan, VALUE_BYTES_MAX};

use crate::Subject;
use crate::batch::{batch, key, put, scan_all};
use crate::opened::Opened;

pub(super) fn a_page_ends_at_its_limit(subject: &Subject) {
    let store = numbered(subject, 5);
    for limit in 1..=4 {
        assert_eq!(store.keys(Scan::new(KeyRange::all(), limit)).len(), limit);
    }
}

pub(super) fn a_reverse_page_holds_the_last_rows(subject: &Subject) {
    let store = numbered(subject, 5);
    let page = store.page(Scan::new(KeyRange::all(), 2).reverse());
    let keys: Vec<_> = page.rows.iter().map(|(key, _)| key.as_bytes()).collect();
    assert_eq!(keys, [b"k004", b"k003"]);
}

pub(super) fn a_page_says_more_exactly_when_rows_remain(subject: &Subject) {
    let store = numbered(subject, 3);
    store.put("l", "beyond the range");
    store.put("j", "before the range");
    for limit in [1, 2, 3, 4, usize::MAX] {
        let scan = Scan::new(KeyRange::prefix(b"k"), limit);
        assert_eq!(store.page(scan.clone()).more, limit < 3, "forwards, limit {limit}");
        assert_eq!(store.page(scan.reverse()).more, limit < 3, "backwards, limit {limit}");
    }
}

pub(super) fn pages_joined_are_the_whole_range(subject: &Subject) {
    let store = numbered(subject, 23);
    let mut rows = store.rows();
    assert_eq!(rows.len(), 23);
    for limit in [1, 2, 7, 22, 23, 24] {
        assert_eq!(store.walk(&Scan::new(KeyRange::all(), limit)), rows, "limit {limit}");
    }
    rows.reverse();
    for limit in [1, 2, 7, 22, 23, 24] {
        assert_eq!(store.walk(&Scan::new(KeyRange::all(), limit).reverse()), rows, "limit {limit}");
    }
}

pub(super) fn each_scan_of_a_read_has_a_page_of_its_own(subject: &Subject) {
    let store = numbered(subject, 5);
    let scans = vec![Scan::new(KeyRange::all(), 4), scan_all(), Scan::new(KeyRange::all(), 3).reverse()];
    let found = store.read(&ReadBatch { gets: vec![key("k000")], scans });
    assert!(found.scans.iter().map(|page| page.rows.len()).eq([4, 5, 3]));
}

pub(super) fn a_page_ends_with_the_row_that_reaches_its_size(subject: &Subject) {
    let store = subject.fresh();
    let page_bytes_max = store.store().capabilities().page_bytes_max;
    let rows_len = page_bytes_max.div_ceil(VALUE_BYTES_MAX);
    fill(&store, rows_len, page_bytes_max);
    assert!(!store.page(scan_all()).more, "a page that is just full, and no row after it");
    store.commit(batch([], [put("l", "beyond"), put("m", "beyond")]));
    assert_page_and_rest(&store, rows_len, 2);
    fill(&store, rows_len, page_bytes_max - 1);
    assert_page_and_rest(&store, rows_len + 1, 1);
}

fn assert_page_and_rest(store: &Opened, page_rows_len: usize, rest_len: usize) {
    let page = store.page(scan_all());
    assert_eq!((page.rows.len(), page.more), (page_rows_len, true));
    assert_eq!(store.walk(&scan_all()).len(), page_rows_len + rest_len);
}

pub(super) fn a_reverse_page_ends_with_the_row_that_reaches_its_size(subject: &Subject) {
    let store = subject.fresh();
    let page_bytes_max = store.store().capabilities().page_bytes_max;
    let rows_len = page_bytes_max.div_ceil(VALUE_BYTES_MAX);
    fill(&store, rows_len, page_bytes_max);
    assert!(!store.page(scan_all().reverse()).more, "a page that is just full, and no row before it");
    store.put("j", "before");
    let page = store.page(scan_all().reverse());
    assert_eq!((page.rows.len(), page.more), (rows_len, true));
    assert_eq!(store.walk(&scan_all().reverse()).len(), rows_len + 1);
}

pub(super) fn a_page_of_keys_counts_no_values(subject: &Subject) {
    let store = subject.fresh();
    let page_bytes_max = store.store().capabilities().page_bytes_max;
    let rows_len = page_bytes_max.div_ceil(VALUE_BYTES_MAX) + 1;
    fill(&store, rows_len, page_bytes_max);
    store.put("l", "beyond");
    assert!(store.page(scan_all()).more, "with values they are more than a page");
    assert_eq!(store.page(scan_all().keys_only()).rows.len(), rows_len + 1);
}

pub(super) fn a_page_holds_a_row_where_there_is_one(subject: &Subject) {
    let store = subject.fresh();
    fill(&store, 2, 2 * VALUE_BYTES_MAX);
    for scan in [scan_all(), Scan::new(KeyRange::all(), 1), scan_all().reverse()] {
        assert!(!store.page(scan).rows.is_empty());
    }
}

/// Puts rows whose keys and values are `bytes_len` bytes in all.
fn fill(store: &Opened, rows_len: usize, bytes_len: usize) {
    let ops: Vec<_> = (0..rows_len)
        .map(|index| {
            let key = format!("k{index:03}");
            let share = bytes_len / rows_len + usize::from(index < bytes_len % rows_len);
            put(&key, vec![b'v'; share.saturating_sub(key.len())])
        })
        .collect();
    // So few of the largest values that every store takes them in one batch.
    for ops in ops.chunks(12) {
        store.commit(batch([], ops.iter().cloned()));
    }
}

/// A store that holds `k000`, `k001` and so on.
fn numbered(subject: &Subject, rows_len: usize) -> Opened {
    let store = subject.fresh();
    store.commit(batch([], (0..rows_len).map(|index| put(format!("k{index:03}"), format!("v{index}")))));
    store
}
