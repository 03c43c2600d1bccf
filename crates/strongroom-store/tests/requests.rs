//! Which requests are refused before a backend sees them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use strongroom_store::{KeyRange, ReadBatch, Scan, StoreErrorKind};

#[test]
fn a_scan_of_no_rows_is_refused() {
    let request = |limit| ReadBatch { gets: vec![], scans: vec![Scan::new(KeyRange::all(), limit)] };
    assert_eq!(request(0).check().unwrap_err().kind(), StoreErrorKind::Unsupported);
    request(1).check().unwrap();
}
