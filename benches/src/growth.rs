//! Reads by the number of values, beside the same read among 10⁴ values.

use strongroom::Store;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;

use crate::memory::{asked, resolves, resolves_all};
use crate::population::Population;
use crate::vault::Filled;
use crate::{Run, Work};

/// Memory at 10³, 10⁵ and 10⁶ values.
#[must_use]
pub fn on_memory() -> Vec<Work> {
    let sizes = [("10³", 1_000), ("10⁵", 100_000), ("10⁶", 1_000_000)];
    works("memory", &sizes, MemoryStore::new)
}

/// redb at 10³ and 10⁵ values.
#[must_use]
pub fn on_redb() -> Vec<Work> {
    let open = || RedbStore::temporary().expect("there is room for temporary files");
    works("redb", &[("10³", 1_000), ("10⁵", 100_000)], open)
}

/// Sled at 10³ and 10⁵ values.
#[must_use]
pub fn on_sled() -> Vec<Work> {
    let open = || SledStore::temporary().expect("there is room for temporary files");
    works("sled", &[("10³", 1_000), ("10⁵", 100_000)], open)
}

fn works<S: Store>(store: &str, sizes: &[(&str, usize)], open: impl Fn() -> S) -> Vec<Work> {
    let base = Filled::new(open(), Population::of_values(10_000));
    let mut works = Vec::new();
    for (label, values) in sizes {
        let filled = Filled::new(open(), Population::of_values(*values));
        let (one, all) = reads(&filled);
        let (base_one, base_all) = reads(&base);
        let name = format!("{store}: resolve one among {label} values");
        works.push(Work::new(name, one, "the same among 10⁴", base_one).bar(2.0));
        let name = format!("{store}: resolve all of 50 among {label} values");
        works.push(Work::new(name, all, "the same among 10⁴", base_all).bar(2.0));
    }
    works
}

fn reads<S: Store>(filled: &Filled<S>) -> (Run, Run) {
    let requests = filled.population.requests();
    (resolves(asked(filled, &requests)), resolves_all(asked(filled, &requests)))
}
