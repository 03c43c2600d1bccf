//! Writes that are durable when they are answered.

use std::sync::{Arc, Mutex};
use std::thread;

use futures_executor::block_on;
use strongroom::{Org, Scope, Store};
use strongroom_benches::Run;
use strongroom_benches::population::Population;
use strongroom_benches::vault::{Filled, account, name};
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::by_hand::{ByHand, Lmdb, Map, Redb};
use crate::sql::SqlTable;
use crate::table::{Chart, Line, Table, fresh_value, measure};

/// Something that updates the value of a number, durably, for any number of threads.
type Set = Arc<dyn Fn(usize) + Send + Sync>;

pub fn one_writer() -> Vec<Table> {
    let (peers, _directory) = peers();
    let lines = peers.into_iter().map(|(name, set)| (name, vec![Some(writers(&set, 1))])).collect();
    vec![Table {
        title: "Durable writes, one writer",
        note: "An update of one value to another of 64 bytes, synced to the disk before it is answered. Wall clock, medians of 51 \
               turns; in brackets the share of SQLCipher's time.",
        file: "writes",
        chart: Chart::Nanoseconds,
        columns: vec!["set".to_owned()],
        lines: measure(lines, 51),
    }]
}

pub fn many_writers() -> Vec<Table> {
    let (peers, _directory) = peers();
    let mut gathered: Vec<Line> =
        peers.iter().map(|(name, _)| Line { name: name.clone(), values: Vec::new() }).collect();
    for count in WRITERS {
        let lines = peers.iter().map(|(name, set)| (name.clone(), vec![Some(writers(set, count))])).collect();
        for (line, measured) in gathered.iter_mut().zip(measure(lines, 15)) {
            let per_second = |nanos: f64| count as f64 * 1e9 / nanos;
            line.values.extend(measured.values.into_iter().map(|value| value.map(per_second)));
        }
    }
    vec![Table {
        title: "Durable writes a second, by writers",
        note: "The same by 1 to 64 threads, each with a value of its own. Writers of strongroom that wait together share \
               a sync; those of the others take turns, one transaction each.",
        file: "writers",
        chart: Chart::PerSecond,
        columns: WRITERS
            .map(|writers| format!("{writers} writer{}", if writers == 1 { "" } else { "s" }))
            .into(),
        lines: gathered,
    }]
}

/// One update by each of `count` writers at once.
fn writers(set: &Set, count: usize) -> Run {
    let set = Arc::clone(set);
    Run::wall(move |n| {
        if count == 1 {
            (0..n).for_each(|_| set(0));
            return;
        }
        thread::scope(|threads| {
            for number in 0..count {
                let set = &set;
                threads.spawn(move || (0..n).for_each(|_| set(number)));
            }
        });
    })
}

fn peers() -> (Vec<(String, Set)>, TempDir) {
    let population = Population::of_values(10_000);
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let sqlite = SqliteStore::open(directory.path().join("store.db")).expect("the place is empty");
    let peers = vec![
        ours("redb", RedbStore::temporary().expect("there is room for temporary files"), population),
        ours("sqlite", sqlite, population),
        ours("sled", SledStore::temporary().expect("there is room for temporary files"), population),
        sql("SQLCipher", SqlTable::ciphered(population)),
        sql("SQLite, a sealed column", SqlTable::with_sealed_column(population)),
        by_hand("redb by hand", ByHand::fill(Redb::new(), population)),
        by_hand("LMDB by hand", ByHand::fill(Lmdb::new(), population)),
    ];
    (peers, directory)
}

fn ours<S: Store>(store_name: &str, store: S, population: Population) -> (String, Set) {
    let filled = Filled::new(store, population);
    let org: Org = filled.orgs.first().expect("there is an org").clone();
    let places: Vec<_> =
        (0..64).map(|n| (name(20 + n / 16), Scope::LinkedAccount(account(n % 16)))).collect();
    let set = move |number: usize| {
        let (name, scope) = places.get(number).expect("there are 64 writers at the most");
        block_on(org.set_value(name, scope, fresh_value())).expect("the value is valid");
    };
    (format!("strongroom, {store_name}"), Arc::new(set))
}

fn sql(name: &str, table: SqlTable) -> (String, Set) {
    let table = Mutex::new(table);
    (name.to_owned(), Arc::new(move |number| table.lock().expect("no writer panics").set(number)))
}

fn by_hand<M: Map + Sync>(name: &str, map: ByHand<M>) -> (String, Set) {
    (name.to_owned(), Arc::new(move |number| map.set(number)))
}

const WRITERS: [usize; 4] = [1, 4, 16, 64];
