//! A rotation takes the same memory however many rows there are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::{JobOutcome, RootRotation, Vault};
use strongroom_memory::MemoryStore;

use crate::rig::{of_account, of_workflow, org, text, unlock};

/// The most bytes that rotations held at once beyond what was there: of data keys, then of the root.
fn peaks(rows: usize) -> (u64, u64) {
    let vault = block_on(Vault::create(Arc::new(MemoryStore::new()), unlock())).unwrap();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for index in 0..rows {
        block_on(org.set_value("V", of_workflow(&format!("w{index}")), "v")).unwrap();
        if index % 8 == 0 {
            block_on(org.set_value("V", of_account(&format!("a{index}")), "v")).unwrap();
        }
    }
    let data = measure(|| {
        let report = block_on(org.rotate_keys()).unwrap();
        assert_eq!(report.outcome, JobOutcome::Finished);
        assert_eq!(report.progress.done, (rows + rows / 8 + 2) as u64);
    });
    let root = measure(|| {
        let new = block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap();
        assert_eq!(block_on(new.job.run()).unwrap().outcome, JobOutcome::Finished);
    });
    (data.bytes_max, root.bytes_max)
}

#[test]
fn eight_times_the_rows_take_no_more_memory() {
    let (few, many) = (peaks(1_000), peaks(8_000));
    // Of the store's own map, whose nodes hold more or fewer of the rows that are replaced.
    let slack = 64 << 10;
    assert!(many.0 < few.0 + slack && many.1 < few.1 + slack, "{few:?} {many:?}");
}
