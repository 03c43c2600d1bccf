//! Rows per second of a rotation of data keys, and the processor time and memory that it took, by the number of values
//! in memory, or in a file. Name sizes and `redb` to see only those: `-- 1000 100000`, `-- redb 100000`.

#![allow(clippy::print_stdout, reason = "a report is printed")]

use std::time::Instant;

use allocation_counter::measure;
use futures_executor::block_on;
use rustix::time::ClockId;
use strongroom::{DataKeys, JobReport, Vault};
use strongroom_benches::population::Population;
use strongroom_benches::run::processor_time;
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1_000, 100_000, 1_000_000] } else { asked };
    let in_a_file = std::env::args().any(|argument| argument == "redb");
    println!("| store | values | rows | keys | rows a second | processor time | memory |");
    println!("|---|---|---|---|---|---|---|");
    for values in sizes {
        if in_a_file {
            in_redb(values);
        } else {
            in_memory(values);
        }
    }
}

fn in_memory(values: usize) {
    let filled = Filled::new(MemoryStore::new(), Population::of_values(values));
    let mut line = String::new();
    let held = measure(|| line = rotate(&filled.vault));
    println!("| memory | {values} | {line} | at most {} bytes held |", held.bytes_max);
}

/// redb allocates on one thread and frees on another, so what the whole process has is looked at.
fn in_redb(values: usize) {
    let store = RedbStore::temporary().expect("there is room for temporary files");
    let filled = Filled::new(store, Population::of_values(values));
    let before = resident();
    let line = rotate(&filled.vault);
    let grown = resident().zip(before).map(|(after, before)| format!("{} KiB more resident", after - before));
    println!("| redb | {values} | {line} | {} |", grown.unwrap_or_default());
}

/// The KiB of memory that the process has, where the system says so in Linux' way.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim_end_matches("kB").trim().parse().ok()
}

fn rotate(vault: &Vault) -> String {
    // redb commits on a thread of its own.
    let processor = || processor_time(ClockId::ProcessCPUTime);
    let (start, processor_start) = (Instant::now(), processor());
    let JobReport { progress, .. } =
        block_on(async { vault.rotate_data_keys(&DataKeys::all()).await?.run().await })
            .expect("nothing fails here");
    let rows_per_second = (progress.done as f64 / start.elapsed().as_secs_f64()).round();
    let processor = (processor() - processor_start).as_secs_f64();
    format!("{} | {} | {rows_per_second} | {processor:.1} s", progress.done, progress.keys_made)
}
