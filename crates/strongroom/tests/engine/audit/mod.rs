//! A second reading of a whole store, by its rows and their keys alone: no verb, no cache, and of the engine only the
//! seal (`hazmat`). It is written from FORMAT.md, and says what must be true, not what verbs show.
//!
//! A new kind of row does not compile until it has a form and an address in `opened` and its rules in `judge`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test takes what it needs, and fails by panicking"
)]

mod cbor;
mod judge;
mod opened;
mod planted;

use strongroom::store::Store;

pub(crate) use cbor::Cbor;
pub(crate) use judge::Moment;
pub(crate) use opened::{KeyId, KeyScope, Mark, Opened};

use crate::rig::{Rows, rows};
use judge::Judge;

/// Panics unless what `store` holds is what may stand when nothing is under way: the vault is opened by the raw key of
/// all tests.
pub(crate) fn quiet(store: &impl Store) {
    assert_findings(&findings(&rows(store), Moment::Quiet));
}

/// The same, with what the jobs of verbs that were cut short still have to do.
pub(crate) fn midway(store: &impl Store) {
    assert_findings(&findings(&rows(store), Moment::Midway));
}

/// Runs a check on a thread of its own, for a caller that is driven by an executor itself.
pub(crate) fn apart(check: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(check).join().unwrap());
}

/// Everything that is not as it must be, one line each. Nothing at all is not a vault, and as it must be.
pub(crate) fn findings(rows: &Rows, moment: Moment) -> Vec<String> {
    if rows.is_empty() { vec![] } else { Judge::of(&opened(rows), moment).findings() }
}

/// All rows, opened.
pub(crate) fn opened(rows: &Rows) -> Opened {
    Opened::read(rows, &BASE)
}

fn assert_findings(findings: &[String]) {
    assert!(findings.is_empty(), "the store is not as it must be:\n{}", findings.join("\n"));
}

/// The raw key of all tests.
const BASE: [u8; 32] = [7; 32];
