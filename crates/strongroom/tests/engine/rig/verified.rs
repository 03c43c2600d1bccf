//! `verify` as an oracle of what a test leaves behind.

use futures_executor::block_on;
use strongroom::VerifyReport;
use strongroom::store::Store;

use super::{load, open, rows};
use crate::audit;

/// Panics unless every row is whole; what a delete left, and a job still has to sweep, may stand.
pub(crate) fn sound(store: &impl Store) -> VerifyReport {
    audit::midway(store);
    let vault = open(load(&rows(store)));
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.unverifiable, 0, "{report}");
    report
}

/// The same, and no job and nothing left over.
pub(crate) fn verified(store: &impl Store) {
    let report = sound(store);
    audit::quiet(store);
    assert_eq!((report.jobs, report.leftover), (0, 0), "{report}");
}
