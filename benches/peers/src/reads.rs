//! Resolving one value, and the fifty that a run sees.

use strongroom::{Store, VaultOptions};
use strongroom_benches::Run;
use strongroom_benches::memory::{asked, resolves, resolves_all};
use strongroom_benches::population::{Population, Request};
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;

use crate::by_hand::{ByHand, Lmdb, Map, Redb};
use crate::sql::SqlTable;
use crate::table::{Chart, Table, measure};

pub fn tables() -> Vec<Table> {
    let population = Population::of_values(100_000);
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let sqlite = SqliteStore::open(directory.path().join("store.db")).expect("the place is empty");
    let mut lines = Vec::new();
    lines.extend(ours("memory", MemoryStore::new(), population));
    lines.extend(ours(
        "redb",
        RedbStore::temporary().expect("there is room for temporary files"),
        population,
    ));
    lines.extend(ours("sqlite", sqlite, population));
    lines.extend(ours(
        "sled",
        SledStore::temporary().expect("there is room for temporary files"),
        population,
    ));
    let requests = population.requests();
    let sql = |name: &str, open: fn(Population) -> SqlTable| {
        let [one, all] = [open(population), open(population)];
        (
            name.to_owned(),
            vec![Some(one.resolves(requests.clone())), Some(all.resolves_all(requests.clone()))],
        )
    };
    lines.push(sql("SQLCipher", SqlTable::ciphered));
    lines.push(sql("SQLite, a sealed column", SqlTable::with_sealed_column));
    lines.push(by_hand("redb by hand", Redb::new, population));
    lines.push(by_hand("LMDB by hand", Lmdb::new, population));
    vec![Table {
        title: "Reads, by engine",
        note: "103,000 values of 64 bytes, 100 orgs of 50 definitions. Processor time of one resolve, medians of 151 \
               turns; in brackets the share of SQLCipher's time, whose page cache holds all of it in the clear. *Cold* \
               reads the store each time; *kept* has 256 runs that were resolved before and not written to since. A file of \
               SQLite may have other writers, so that nothing is kept of it and both lines do the same.",
        file: "reads",
        chart: Chart::Nanoseconds,
        columns: ["resolve one", "resolve 50"].map(str::to_owned).into(),
        lines: measure(lines, 151),
    }]
}

type Lines = Vec<(String, Vec<Option<Run>>)>;

/// Reads of a vault, with runs that are not kept and with runs that are.
fn ours<S: Store>(name: &str, store: S, population: Population) -> Lines {
    let filled = Filled::new(store, population);
    let requests = population.requests();
    let cold = || asked(&filled, &requests);
    let mut lines =
        vec![(format!("strongroom, {name}, cold"), vec![Some(resolves(cold())), Some(resolves_all(cold()))])];
    lines.push((format!("strongroom, {name}, kept"), kept(&filled, &requests).map(Some).into()));
    lines
}

/// One and fifty of runs that are kept.
pub fn kept<S: Store>(filled: &Filled<S>, requests: &[Request]) -> [Run; 2] {
    let orgs = filled.reopen(VaultOptions::default());
    let hot: Vec<_> = requests.iter().copied().take(256).collect();
    let warm = || filled.asked_of(&orgs, &hot);
    // Twice, so that they are kept.
    drop([resolves_all(warm()), resolves_all(warm())]);
    [resolves(warm()), resolves_all(warm())]
}

fn by_hand<M: Map>(name: &str, open: fn() -> M, population: Population) -> (String, Vec<Option<Run>>) {
    let requests = population.requests();
    let [one, all] = [ByHand::fill(open(), population), ByHand::fill(open(), population)];
    (name.to_owned(), vec![Some(one.resolves(requests.clone())), Some(all.resolves_all(requests))])
}
