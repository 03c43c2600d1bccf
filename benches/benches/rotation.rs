//! Rows per second of a rotation of data keys, and the most memory that it held, by the number of values in memory, or in
//! a file. Name sizes and `redb` to see only those: `-- 1000 100000`, `-- redb 100000`.

#![allow(clippy::print_stdout, reason = "a report is printed")]

use std::time::Instant;

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::{DataKeys, JobReport, Store, Vault};
use strongroom_benches::population::Population;
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1_000, 100_000, 1_000_000] } else { asked };
    let in_a_file = std::env::args().any(|argument| argument == "redb");
    println!("| store | values | rows | keys | rows a second | most bytes held |");
    println!("|---|---|---|---|---|---|");
    for values in sizes {
        if in_a_file {
            line("redb", values, RedbStore::temporary().expect("there is room for temporary files"));
        } else {
            line("memory", values, MemoryStore::new());
        }
    }
}

fn line(name: &str, values: usize, store: impl Store) {
    let filled = Filled::new(store, Population::of_values(values));
    let mut line = String::new();
    let held = measure(|| line = rotate(&filled.vault));
    println!("| {name} | {values} | {line} | {} |", held.bytes_max);
}

fn rotate(vault: &Vault) -> String {
    let start = Instant::now();
    let JobReport { progress, .. } =
        block_on(async { vault.rotate_data_keys(&DataKeys::all()).await?.run().await })
            .expect("nothing fails here");
    let rows_per_second = (progress.done as f64 / start.elapsed().as_secs_f64()).round();
    format!("{} | {} | {rows_per_second}", progress.done, progress.keys_made)
}
