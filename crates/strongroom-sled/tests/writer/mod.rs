//! A process that writes without end and tells what was acknowledged, and the check of what it left behind.
//!
//! Each of its threads writes batch after batch. A batch puts one row of every size into the next slot of the thread,
//! each filled with bytes that follow from the address and the number of the batch, and that number into the thread's
//! `last` row. So a batch that is not whole, or not in order, shows.

pub(crate) mod vault;

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Expect, Key, ReadBatch, Store, Versioned, WriteBatch};
use strongroom_sled::SledStore;

/// The shape of what is written.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) threads: u64,
    /// Batches after which a thread writes over its own rows.
    pub(crate) slots: u64,
    pub(crate) sizes: &'static [usize],
}

/// Small batches of rows of 64 B, 20 KB and 80 KB from several threads.
pub(crate) const MIXED: Load =
    Load { name: "mixed", threads: 4, slots: 24, sizes: &[64, 20_000, 80_000, 64] };

/// Batches that fill more than a segment each.
pub(crate) const LARGE: Load = Load { name: "large", threads: 1, slots: 6, sizes: &[80_000; 150] };

/// A running writer.
pub(crate) struct Writer {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Writer {
    /// Starts this very test program as a writer. It must have a test `writer_process` that calls [`serve`].
    pub(crate) fn start(path: &Path, load: Load) -> Self {
        Self::start_named(path, load.name)
    }

    /// The same of a writer that uses a vault.
    pub(crate) fn start_on_vault(path: &Path) -> Self {
        Self::start_named(path, vault::NAME)
    }

    fn start_named(path: &Path, name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["writer_process", "--exact", "--nocapture"])
            .env(PATH_VARIABLE, path)
            .env(LOAD_VARIABLE, name)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Waits for the next acknowledged batch.
    pub(crate) fn next(&mut self, written: &mut Written) {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(written.acknowledge(&line), "the writer said: {line:?}");
    }

    /// Kills the writer and takes in what it had said by then.
    pub(crate) fn kill(mut self, written: &mut Written) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.lines().for_each(|line| {
            written.acknowledge(&line.unwrap());
        });
    }
}

/// The number of the newest acknowledged batch of every thread.
#[derive(Default)]
pub(crate) struct Written(BTreeMap<u64, u64>);

impl Written {
    fn acknowledge(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        let ack = words.next() == Some("ack");
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (Some(thread), Some(batch), true) = (number(), number(), ack) else { return false };
        self.0.insert(thread, batch);
        true
    }

    /// Opens the store and checks that it holds every acknowledged batch, at most the one after it, and all of each.
    pub(crate) fn check(&mut self, path: &Path, load: Load) {
        let store = SledStore::open(path).unwrap();
        for thread in 0..load.threads {
            let acknowledged = self.0.get(&thread).copied().unwrap_or(0);
            let last = get(&store, last_key(thread)).map_or(0, |row| number(&row));
            assert!(
                (acknowledged..=acknowledged + 1).contains(&last),
                "{last} but {acknowledged} acknowledged"
            );
            for batch in (last + 1).saturating_sub(load.slots).max(1)..=last {
                check_batch(&store, load, thread, batch);
            }
            self.0.insert(thread, last);
        }
        assert_eq!(path.join("blobs").read_dir().unwrap().count(), 0, "sled wrote blob files");
    }

    /// The number of all acknowledged batches.
    pub(crate) fn len(&self) -> u64 {
        self.0.values().sum()
    }
}

fn check_batch(store: &SledStore, load: Load, thread: u64, batch: u64) {
    for (part, &size) in load.sizes.iter().enumerate() {
        let row = get(store, row_key(load, thread, batch, part));
        let row = row.unwrap_or_else(|| panic!("row {part} of batch {batch} of thread {thread} is gone"));
        assert!(row.value == filling(thread, batch, part, size), "row {part} of batch {batch} is another");
    }
}

/// Writes without end, if this process was started to.
pub(crate) fn serve() {
    let (Ok(path), Ok(name)) = (env::var(PATH_VARIABLE), env::var(LOAD_VARIABLE)) else { return };
    if name == vault::NAME {
        return vault::serve(&path);
    }
    let load = if name == LARGE.name { LARGE } else { MIXED };
    let store = SledStore::open(path).unwrap();
    thread::scope(|threads| {
        for thread in 0..load.threads {
            let store = &store;
            threads.spawn(move || write(store, load, thread));
        }
    });
}

fn write(store: &SledStore, load: Load, thread: u64) {
    let last = get(store, last_key(thread));
    let mut batch = last.as_ref().map_or(0, number);
    let mut expect = last.map_or(Expect::Absent, |row| Expect::Revision(row.revision));
    loop {
        batch += 1;
        let mut writes = WriteBatch::default();
        writes.expect(last_key(thread), expect);
        writes.put(last_key(thread), batch.to_be_bytes().to_vec());
        for (part, &size) in load.sizes.iter().enumerate() {
            writes.put(row_key(load, thread, batch, part), filling(thread, batch, part, size));
        }
        // Ends the thread when the disk is gone.
        let Ok(committed) = block_on(store.commit(Arc::new(writes))) else { return };
        expect = Expect::Revision(committed.revision);
        // Straight to the pipe, one line a write, so that lines of threads do not mix.
        let _ = std::io::stderr().write_all(format!("ack {thread} {batch}\n").as_bytes());
    }
}

fn get(store: &SledStore, key: Key) -> Option<Versioned> {
    let found = block_on(store.read(&ReadBatch { gets: vec![key], scans: vec![] }));
    found.unwrap().gets.into_iter().next().flatten()
}

fn number(row: &Versioned) -> u64 {
    u64::from_be_bytes(row.value.as_slice().try_into().unwrap())
}

fn last_key(thread: u64) -> Key {
    Key::from(format!("{thread:02}/last").into_bytes())
}

fn row_key(load: Load, thread: u64, batch: u64, part: usize) -> Key {
    Key::from(format!("{thread:02}/{:04}/{part:03}", batch % load.slots).into_bytes())
}

/// A block that no other row has, over and over.
fn filling(thread: u64, batch: u64, part: usize, size: usize) -> Vec<u8> {
    let mut random = Random::new(thread << 48 ^ batch << 16 ^ part as u64);
    let block: Vec<u8> = (0..8).flat_map(|_| random.next().to_be_bytes()).collect();
    let mut bytes = block.repeat(size.div_ceil(block.len()));
    bytes.truncate(size);
    bytes
}

/// Numbers that look random and follow from a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

const PATH_VARIABLE: &str = "STRONGROOM_TEST_WRITER_PATH";
const LOAD_VARIABLE: &str = "STRONGROOM_TEST_WRITER_LOAD";
