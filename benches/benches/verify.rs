//! A verification of a whole store: rows a second, beside a bare scan of the same rows, and the memory that it takes;
//! and the same compared with a checkpoint, beside the plain one. At 1,000 and 100,000 values, or at as many as are
//! asked for.

#![allow(clippy::print_stdout, reason = "the table is what the report is for")]

use std::sync::Arc;

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store};
use strongroom_benches::Run;
use strongroom_benches::population::Population;
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1_000, 100_000] } else { asked };
    head();
    sizes.into_iter().for_each(line);
}

/// Prints the head of the table.
fn head() {
    println!(
        "| values | rows | verify | rows/s | bare scan | ratio | most memory | against a checkpoint \
         | speed beside the plain one | most memory | bytes of the file |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
}

/// Fills a store in memory with about so many values, verifies it and prints the line.
fn line(values: usize) {
    let filled = Filled::new(MemoryStore::new(), Population::of_values(values));
    let vault = filled.vault();
    let mut rows = 0;
    let memory = measure(|| {
        let report = block_on(vault.verify()).expect("the store is in memory");
        assert!(report.is_clean(), "{report}");
        rows = report.rows;
    });
    let mut file = Vec::new();
    assert!(block_on(vault.checkpoint(&mut file)).expect("the store is in memory").is_clean());
    let compared_memory = measure(|| {
        let report = block_on(vault.verify_against(file.as_slice())).expect("the store is in memory");
        assert!(report.is_clean() && report.questions_total == 0 && report.added == 0, "{report}");
    });
    let (compared, bytes) = (vault.clone(), file.len());
    let mut verify = Run::cpu(move |n| {
        for _ in 0..n {
            block_on(vault.verify()).expect("the store is in memory");
        }
    });
    let mut compare = Run::cpu(move |n| {
        for _ in 0..n {
            block_on(compared.verify_against(file.as_slice())).expect("the store is in memory");
        }
    });
    let store = Arc::clone(&filled.store);
    let mut scan = Run::cpu(move |n| (0..n).for_each(|_| scan_all(&*store)));
    let [ours, floor, compared] = [&mut verify, &mut scan, &mut compare].map(|run| run.time(1).as_secs_f64());
    println!(
        "| {values} | {rows} | {:.1} ms | {:.0} | {:.1} ms | {:.1} | {} KiB | {:.1} ms | {:.2} | {} KiB | {bytes} |",
        ours * 1e3,
        rows as f64 / ours,
        floor * 1e3,
        ours / floor,
        memory.bytes_max / 1_024,
        compared * 1e3,
        ours / compared,
        compared_memory.bytes_max / 1_024
    );
}

/// Reads all rows, 100 at a time.
fn scan_all(store: &impl Store) {
    let mut rest = KeyRange::all();
    loop {
        let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(rest.clone(), 100)] };
        let page = block_on(store.read(&read)).expect("it is in memory").scans.pop().unwrap_or_default();
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
            _ => return,
        }
    }
}
