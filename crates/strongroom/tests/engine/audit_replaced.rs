//! A store keeps the event of a batch that it refused, and shows it later in the place of one that landed: both are
//! genuine, and which of them counts is told by what names it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::store::{Capabilities, Committed, Op, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom::{Clock as _, Org, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::audit_kept::{HOUR, Kept};
use crate::common::TestClock;
use crate::rig::{Kind, RowKey, Rows, flip, load, org, rows, unlock};

/// An audit in which one event landed at its second attempt.
struct Retried {
    kept: Kept,
    writer: Org,
    /// The key of the event that landed.
    landed: Vec<u8>,
    /// The event of the batch that was refused.
    refused: (Vec<u8>, Vec<u8>),
}

impl Retried {
    /// After so many other events of its chain.
    fn after(events: u64) -> Self {
        let kept = Kept::new();
        let inner = Arc::clone(&kept.store);
        let refuses = AtomicBool::new(false);
        let store =
            Arc::new(Refusing { inner, clock: kept.clock.clone(), refuses, refused: Mutex::default() });
        let options = VaultOptions::default().clock(kept.clock.clone());
        let writer = org(&block_on(options.open(Arc::clone(&store), unlock())).unwrap());
        (0..events).for_each(|number| kept.set_at(&writer, HOUR + number));
        let before = rows(&*kept.store);
        store.refuses.store(true, Ordering::SeqCst);
        kept.set_at(&writer, HOUR + events);
        let landed = rows(&*kept.store).into_keys().find(|key| is_event(key) && !before.contains_key(key));
        let refused = store.refused.lock().unwrap().take().unwrap();
        let refused = refused.ops.iter().find_map(|op| match op {
            Op::Put(key, row) if is_event(key.as_bytes()) => Some((key.as_bytes().to_vec(), row.clone())),
            _ => None,
        });
        Self { kept, writer, landed: landed.unwrap(), refused: refused.unwrap() }
    }

    /// The rows with the refused event, and without the one that landed.
    fn replaced(&self) -> Rows {
        let mut rows = rows(&*self.kept.store);
        assert!(!self.kept.is_told(&rows), "nothing is replaced yet");
        rows.remove(&self.landed);
        rows.insert(self.refused.0.clone(), self.refused.1.clone());
        rows
    }
}

fn is_event(key: &[u8]) -> bool {
    RowKey::parse(key).kind == Kind::Event
}

#[test]
fn an_event_that_replaces_the_first_of_a_chain_is_told_by_the_next_chain() {
    let retried = Retried::after(0);
    retried.kept.set_at(&retried.kept.other_engine(), 2 * HOUR);
    assert!(retried.kept.is_told(&retried.replaced()));
}

#[test]
fn an_event_that_replaces_the_first_of_the_last_chain_is_told_by_the_head_of_the_audit() {
    let retried = Retried::after(0);
    assert!(retried.kept.is_told(&retried.replaced()));
}

#[test]
fn an_event_that_replaces_another_is_told_by_the_one_that_follows() {
    let retried = Retried::after(1);
    retried.kept.set_at(&retried.writer, HOUR + 10);
    let replaced = retried.replaced();
    assert!(retried.kept.is_told(&replaced));
    let options = VaultOptions::default().clock(retried.kept.clock.clone());
    let vault = block_on(options.open(load(&replaced), unlock())).unwrap();
    let digest = block_on(org(&vault).export_audit(&mut Vec::new())).unwrap();
    let [lack] = digest.lacks() else { panic!("{:?}", digest.lacks()) };
    assert!(lack.ends_with("events before it are missing or were replaced"), "no number is missing: {lack}");
}

#[test]
fn an_event_that_replaces_the_last_that_a_head_counts_is_told_by_the_head() {
    let retried = Retried::after(31);
    assert!(retried.kept.is_told(&retried.replaced()));
}

#[test]
fn an_event_that_is_put_beside_the_first_of_a_chain_is_told_by_its_number() {
    let retried = Retried::after(0);
    let mut both = rows(&*retried.kept.store);
    both.insert(retried.refused.0.clone(), retried.refused.1.clone());
    assert!(retried.kept.is_told(&both));
}

#[test]
fn a_gap_behind_an_event_that_cannot_be_read_is_told() {
    let kept = Kept::new();
    let writer = kept.other_engine();
    (0..4).for_each(|number| kept.set_at(&writer, HOUR + number));
    let mut rows = rows(&*kept.store);
    let chain: Vec<_> = rows.keys().filter(|key| is_event(key)).skip(1).cloned().collect();
    flip(rows.get_mut(&chain[1]).unwrap(), usize::MAX, 0);
    assert!(!kept.is_told(&rows), "it is damaged, and none is missing");
    rows.remove(&chain[2]);
    assert!(kept.is_told(&rows));
}

#[test]
fn an_export_says_how_much_it_lacks_beyond_what_it_lists() {
    let kept = Kept::new();
    let mut rows = rows(&*kept.store);
    let event = rows.keys().find(|key| is_event(key)).unwrap().clone();
    let events = &event[..event.len() - 24];
    rows.extend((0..1_002_u32).map(|number| ([events, &number.to_be_bytes()].concat(), Vec::new())));
    let vault = block_on(VaultOptions::default().open(load(&rows), unlock())).unwrap();
    let digest = block_on(org(&vault).export_audit(&mut Vec::new())).unwrap();
    assert_eq!(digest.lacks().len(), 1_001);
    assert_eq!(digest.lacks().last().unwrap(), "and 2 more");
}

/// A store that refuses a batch when it is told to, and keeps it.
#[derive(Debug)]
struct Refusing {
    inner: Arc<MemoryStore>,
    clock: TestClock,
    refuses: AtomicBool,
    refused: Mutex<Option<Arc<WriteBatch>>>,
}

#[async_trait]
impl Store for Refusing {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        (*self.inner).read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        if self.refuses.swap(false, Ordering::SeqCst) {
            *self.refused.lock().unwrap() = Some(batch);
            // Written again at the same time, it would be the same event.
            self.clock.set(self.clock.now_ms() + 1);
            return Err(StoreError::conflict(0));
        }
        (*self.inner).commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        (*self.inner).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        (*self.inner).close().await
    }
}
