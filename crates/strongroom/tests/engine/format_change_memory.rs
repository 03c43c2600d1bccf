//! A change of format takes the same memory however many values there are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::{FormatChange, OnMismatch, Org, PageRequest, VarFormat, Vault};
use strongroom_memory::MemoryStore;

use crate::rig::{of_workflow, org, text, unlock};

/// The most bytes that were held at once beyond what was there: by the plan, by a change that marks every other value,
/// and by one that looks at all and takes the marks away.
fn peaks(values: usize) -> [u64; 3] {
    let vault = block_on(Vault::create(Arc::new(MemoryStore::new()), unlock())).unwrap();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for n in 0..values {
        let value = if n % 2 == 0 { "80" } else { "http" };
        block_on(org.set_value("V", of_workflow(&format!("w{n}")), value)).unwrap();
    }
    let to_integer = FormatChange::to(VarFormat::Integer);
    let change = |change: &FormatChange, on_mismatch| {
        measure(|| drop(block_on(org.change_format("V", change, on_mismatch)).unwrap())).bytes_max
    };
    let plan = measure(|| assert_eq!(mismatches(&org, &to_integer), values / 2)).bytes_max;
    let marking = change(&to_integer, OnMismatch::Grandfather);
    let back = FormatChange::to(VarFormat::String);
    [plan, marking, change(&back, OnMismatch::Refuse)]
}

fn mismatches(org: &Org, change: &FormatChange) -> usize {
    let (mut found, mut page) = (0, PageRequest::default());
    loop {
        let plan = block_on(org.plan_format_change("V", change, page)).unwrap();
        found += plan.items.len();
        let Some(next) = plan.next else { return found };
        page = PageRequest::default().after(next);
    }
}

#[test]
fn eight_times_the_values_take_no_more_memory() {
    let (few, many) = (peaks(400), peaks(3_200));
    // Of the store's own map, whose nodes hold more or fewer of the rows that are replaced.
    let slack = 64 << 10;
    assert!(few.iter().zip(&many).all(|(few, many)| *many < few + slack), "{few:?} {many:?}");
}
