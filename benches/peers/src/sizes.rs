//! What a resolve costs among more and more values.

use strongroom_benches::memory::{asked, resolves, resolves_all};
use strongroom_benches::population::Population;
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

use crate::reads::kept;
use crate::sql::SqlTable;
use crate::table::{Chart, Line, Table, measure};

pub fn tables() -> Vec<Table> {
    let mut gathered: Vec<Line> = Vec::new();
    for values in SIZES {
        let population = Population::of_values(values);
        let requests = population.requests();
        let memory = Filled::new(MemoryStore::new(), population);
        let redb =
            Filled::new(RedbStore::temporary().expect("there is room for temporary files"), population);
        let [_, kept] = kept(&redb, &requests);
        let [one, all] = [SqlTable::ciphered(population), SqlTable::ciphered(population)];
        let lines = measure(
            vec![
                ("one, memory".to_owned(), vec![Some(resolves(asked(&memory, &requests)))]),
                ("one, redb".to_owned(), vec![Some(resolves(asked(&redb, &requests)))]),
                ("one, SQLCipher".to_owned(), vec![Some(one.resolves(requests.clone()))]),
                ("fifty, memory, cold".to_owned(), vec![Some(resolves_all(asked(&memory, &requests)))]),
                ("fifty, redb, cold".to_owned(), vec![Some(resolves_all(asked(&redb, &requests)))]),
                ("fifty, redb, kept".to_owned(), vec![Some(kept)]),
                ("fifty, SQLCipher".to_owned(), vec![Some(all.resolves_all(requests))]),
            ],
            51,
        );
        for line in lines {
            match gathered.iter_mut().find(|known| known.name == line.name) {
                Some(known) => known.values.extend(line.values),
                None => gathered.push(line),
            }
        }
    }
    vec![Table {
        title: "Reads, by the number of values",
        note: "Processor time of one resolve, of one value and of the fifty of a run, among more and more values.",
        file: "sizes",
        chart: Chart::Growth,
        columns: SIZES.map(|values| values.to_string()).into(),
        lines: gathered,
    }]
}

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 300_000];
