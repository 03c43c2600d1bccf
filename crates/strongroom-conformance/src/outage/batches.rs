//! Batches without end, and the check of what they left behind.
//!
//! Each thread writes batch after batch. A batch puts one row of every size into the next slot of the thread, each
//! filled with bytes that follow from the address and the number of the batch, and that number into the thread's
//! `last` row. So a batch that is not whole, or not in order, shows.

use std::sync::Arc;
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Expect, Key, ReadBatch, Store, Versioned, WriteBatch};

use super::Random;
use super::process::{Acks, acknowledge, stop};

/// The shape of what is written.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub(super) name: &'static str,
    threads: u64,
    /// Batches after which a thread writes over its own rows.
    slots: u64,
    sizes: &'static [usize],
}

impl Load {
    /// Small batches of rows of 64 B, 20 KB and 80 KB from several threads.
    pub const MIXED: Self = Self { name: "mixed", threads: 4, slots: 24, sizes: &[64, 20_000, 80_000, 64] };

    /// Batches of 12 MB each.
    pub const LARGE: Self = Self { name: "large", threads: 1, slots: 6, sizes: &[80_000; 150] };

    pub(super) fn named(name: &str) -> Self {
        if name == Self::LARGE.name { Self::LARGE } else { Self::MIXED }
    }
}

/// The number of the newest acknowledged batch of every thread.
#[derive(Default)]
pub(super) struct Written(Acks);

impl Written {
    pub(super) fn acknowledge(&mut self, acks: Acks) {
        self.0.extend(acks);
    }

    /// Checks that the store holds every acknowledged batch, at most the one after it, and all of each.
    pub(super) fn check(&mut self, store: &impl Store, load: Load) {
        for thread in 0..load.threads {
            let acknowledged = self.0.get(&thread).copied().unwrap_or(0);
            let last = get(store, last_key(thread)).map_or(0, |row| number(&row));
            assert!(
                (acknowledged..=acknowledged + 1).contains(&last),
                "{last} but {acknowledged} acknowledged"
            );
            for batch in (last + 1).saturating_sub(load.slots).max(1)..=last {
                check_batch(store, load, thread, batch);
            }
            self.0.insert(thread, last);
        }
    }

    /// The number of all acknowledged batches.
    pub(super) fn len(&self) -> u64 {
        self.0.values().sum()
    }
}

fn check_batch(store: &impl Store, load: Load, thread: u64, batch: u64) {
    for (part, &size) in load.sizes.iter().enumerate() {
        let row = get(store, row_key(load, thread, batch, part));
        let is_whole = row.is_some_and(|row| row.value[..] == filling(thread, batch, part, size)[..]);
        assert!(is_whole, "row {part} of batch {batch} of thread {thread} is gone or another");
    }
}

/// Writes until the process ends or the disk is gone.
pub(super) fn serve(store: &impl Store, load: Load) {
    thread::scope(|threads| {
        for thread in 0..load.threads {
            threads.spawn(move || write(store, load, thread));
        }
    });
}

fn write(store: &impl Store, load: Load, thread: u64) {
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
        match block_on(store.commit(Arc::new(writes))) {
            Ok(committed) => expect = Expect::Revision(committed.revision),
            Err(error) => return stop(thread, &error),
        }
        acknowledge(thread, batch);
    }
}

fn get(store: &impl Store, key: Key) -> Option<Versioned> {
    let found = block_on(store.read(&ReadBatch { gets: vec![key], scans: vec![] }));
    found.expect("the read is answered").gets.pop().flatten()
}

fn number(row: &Versioned) -> u64 {
    u64::from_be_bytes(row.value[..].try_into().expect("a number has eight bytes"))
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
