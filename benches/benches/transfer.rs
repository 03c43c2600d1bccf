//! Rows a second of a backup, of restores and of a copy, each beside what only moves the same bytes, and the most memory
//! held beyond what the stores keep. At 10,000 and 100,000 values, or at as many as are asked for.

#![allow(clippy::print_stdout, reason = "the table is what the report is for")]

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use futures_executor::block_on;
use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};
use strongroom::{Backup, RawKey, Unlock, Vault};
use strongroom_benches::population::Population;
use strongroom_benches::vault::Filled;
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10_000, 100_000] } else { asked };
    println!("| values | work | rows | rows/s | floor | rows/s | ratio | most memory |");
    println!("|---|---|---|---|---|---|---|---|");
    for values in sizes {
        lines("memory", values, MemoryStore::new);
        lines("redb", values, || RedbStore::temporary().expect("there is room for temporary files"));
    }
}

/// Every work from a filled store to new ones of the same kind.
fn lines<S: Store>(store: &str, values: usize, new: impl Fn() -> S) {
    let filled = Filled::new(new(), Population::of_values(values));
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let (file, floor_file) = (directory.path().join("backup"), directory.path().join("floor"));
    let mut rows = 0;
    let to_file = || timed(|| floor_to_file(&*filled.store, &floor_file));
    let to_store = || timed(|| floor_to_store(&*filled.store, new()));

    let backup = || timed(|| rows = backup(&filled.vault, &file));
    let backup = Line::of("backup", backup, "rows to a file", to_file);
    backup.print(store, values, rows);
    let restore = || timed(|| block_on(open(&file).replace_original(new(), |_| ())).expect("it is empty"));
    let restore = Line::of("restore", restore, "rows to a store", to_store);
    restore.print(store, values, rows);
    let as_new =
        || timed(|| block_on(open(&file).restore_as_new(new(), unlock(), |_| ())).expect("it is empty"));
    let as_new = Line::of("restore as new", as_new, "rows to a store", to_store);
    as_new.print(store, values, rows);

    // Each copy retires its source, so the next one sets out from where the last one arrived. All stay until the end:
    // what is freed while it is measured would count as held.
    let mut vaults = vec![filled.vault()];
    let copy = || {
        let (target, time) = timed(|| copy(vaults.last(), new()));
        vaults.push(block_on(Vault::open(target, unlock())).expect("it is complete"));
        ((), time)
    };
    Line::of("copy", copy, "rows to a store", to_store).print(store, values, rows);
}

/// What was measured of one work.
struct Line {
    work: &'static str,
    seconds: f64,
    floor: &'static str,
    floor_seconds: f64,
    bytes_held: u64,
}

impl Line {
    /// Work and floor in turns, and the median of each.
    fn of<T, F>(
        work: &'static str,
        mut ours: impl FnMut() -> (T, Duration),
        floor: &'static str,
        mut bare: impl FnMut() -> (F, Duration),
    ) -> Self {
        let (mut times, mut floor_times, mut bytes_held) = ([0.0; TURNS], [0.0; TURNS], 0);
        for (time, floor_time) in times.iter_mut().zip(&mut floor_times) {
            let mut made = None;
            let held = measure(|| made = Some(ours()));
            // What is there at the end belongs to stores and their caches.
            bytes_held = bytes_held.max(held.bytes_max.saturating_sub(held.bytes_current.unsigned_abs()));
            *time = made.expect("it ran").1.as_secs_f64();
            *floor_time = bare().1.as_secs_f64();
        }
        let [seconds, floor_seconds] = [times, floor_times].map(median);
        Self { work, seconds, floor, floor_seconds, bytes_held }
    }

    fn print(&self, store: &str, values: usize, rows: u64) {
        let Self { work, seconds, floor, floor_seconds, bytes_held } = self;
        let [rate, floor_rate] = [seconds, floor_seconds].map(|seconds| rows as f64 / seconds);
        let ratio = seconds / floor_seconds;
        let kib = bytes_held / 1_024;
        println!(
            "| {values} | {store}: {work} | {rows} | {rate:.0} | {floor} | {floor_rate:.0} | {ratio:.2} | {kib} KiB |"
        );
    }
}

fn median(mut times: [f64; TURNS]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(TURNS / 2).copied().unwrap_or_default()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let made = work();
    (made, start.elapsed())
}

fn backup(vault: &Vault, path: &Path) -> u64 {
    let out = BufWriter::new(File::create(path).expect("there is room for temporary files"));
    block_on(vault.backup(out, |_| ())).expect("nobody writes").rows
}

fn copy<S: Store>(source: Option<&Vault>, target: S) -> S {
    let source = source.expect("there is one at the start");
    block_on(source.copy_to(&target, |_| ())).expect("the target is empty");
    target
}

fn open(path: &Path) -> Backup<BufReader<File>> {
    let input = BufReader::new(File::open(path).expect("it was made before"));
    block_on(Backup::open(input, unlock())).expect("it is whole")
}

/// The same bytes, and no more.
fn floor_to_file(store: &impl Store, path: &Path) {
    let mut out = BufWriter::new(File::create(path).expect("there is room for temporary files"));
    for_each_page(store, |rows| {
        for (key, row) in rows {
            out.write_all(key.as_bytes()).and_then(|()| out.write_all(&row)).expect("there is room");
        }
    });
    out.flush().expect("there is room");
}

/// The same rows in batches of 1,000, which expect nothing.
fn floor_to_store<S: Store>(store: &impl Store, target: S) -> S {
    for_each_page(store, |rows| {
        let mut batch = WriteBatch::default();
        rows.into_iter().for_each(|(key, row)| batch.put(key, row));
        block_on(target.commit(Arc::new(batch))).expect("the rows are small");
    });
    target
}

fn for_each_page(store: &impl Store, mut take: impl FnMut(Vec<(Key, Vec<u8>)>)) {
    let mut rest = KeyRange::all();
    loop {
        let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(rest.clone(), 1_000)] };
        let page = block_on(store.read(&read)).expect("it is there").scans.pop().unwrap_or_default();
        let last = page.rows.last().map(|(key, _)| key.as_bytes().to_vec());
        take(page.rows.into_iter().map(|(key, row)| (key, row.value)).collect());
        match last {
            Some(last) if page.more => rest = rest.after(&last),
            _ => return,
        }
    }
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

const TURNS: usize = 3;
