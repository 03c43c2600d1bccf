//! A simulated store: batches are on their way for a while, answers get lost, syncs fail, futures are dropped.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Durability, Key, KeyRange, Op, Page, ReadBatch, ReadSet, RowRevision, Scan,
    Store, StoreError, StoreErrorKind, Versioned, WriteBatch,
};

use super::dice::Dice;
use crate::audit::{KeyId, Mark};
use crate::rig::{Kind, RowKey, Rows};

/// What may go wrong, each so often in a thousand calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// A call does not reach the store.
    pub(crate) unavailable: u64,
    /// The store gives way to another writer.
    pub(crate) contention: u64,
    /// The answer to a commit is lost: the batch is gone, or still on its way, or was applied.
    pub(crate) lost: u64,
    /// A sync fails: what was on its way is applied or not, and the store refuses everything.
    pub(crate) failed_sync: u64,
    /// A batch is acknowledged and not applied, which no store may do.
    pub(crate) forgotten: u64,
    /// A read shows an earlier version of a row, as a hostile store may.
    pub(crate) replayed: u64,
}

/// Rows that survive crashes, and the batches that are on their way to them. Clones are handles on the same rows.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

struct State {
    rows: BTreeMap<Vec<u8>, Versioned>,
    revision: u64,
    flights: BTreeMap<u64, Flight>,
    flights_len: u64,
    poisoned: bool,
    faults: Faults,
    dice: Dice,
    page_bytes_max: usize,
    /// Every version of every row, for a hostile store.
    versions: BTreeMap<Vec<u8>, Vec<Versioned>>,
    /// A digest of all that was applied, to tell two runs apart.
    trace: u64,
    marks: Marks,
}

/// Every nonce and revision that was ever written, and what was written with it.
#[derive(Default)]
struct Marks {
    nonces: BTreeMap<(KeyId, [u8; 12]), Vec<u8>>,
    revisions: BTreeMap<(Vec<u8>, KeyId, u64), Vec<u8>>,
    repeated: Option<String>,
}

impl Marks {
    /// A row that is written again must be the very same, or have another nonce; and another revision, unless the store
    /// showed its writers an old one.
    fn watch(&mut self, key: &[u8], row: &[u8], replays: bool) {
        let Some(mark) = Mark::of(row) else { return };
        let nonce = self.nonces.entry((mark.key, mark.nonce)).or_insert_with(|| row.to_vec());
        if nonce.as_slice() != row {
            self.repeated = Some(format!("{} repeats a nonce", RowKey::parse(key)));
        }
        let place = RowKey::parse(key);
        // The job of an org's shred has a fixed id: each begins at revision 1, and one that comes back sweeps nothing.
        let begins_again = place.kind == Kind::Job && key.ends_with(&[0; 12]);
        let revision = (key.to_vec(), mark.key, mark.revision);
        let known = self.revisions.entry(revision).or_insert_with(|| row.to_vec());
        if known.as_slice() != row && !begins_again && !replays {
            self.repeated = Some(format!("{place} repeats revision {}", mark.revision));
        }
    }
}

/// A batch on its way.
struct Flight {
    batch: Arc<WriteBatch>,
    answer: Option<Result<Committed, StoreError>>,
    /// Applied or not, its sender hears that nobody knows.
    loses_answer: bool,
    /// Nobody waits for it any more.
    orphan: bool,
}

impl Disk {
    pub(crate) fn new(mut dice: Dice, faults: Faults) -> Self {
        let page_bytes_max = *dice.pick(&[1 << 11, 1 << 13, 1 << 20]);
        Self(Arc::new(Mutex::new(State {
            rows: BTreeMap::new(),
            revision: 0,
            flights: BTreeMap::new(),
            flights_len: 0,
            poisoned: false,
            faults,
            dice,
            page_bytes_max,
            versions: BTreeMap::new(),
            trace: 0,
            marks: Marks::default(),
        })))
    }

    /// A handle for one engine.
    pub(crate) fn handle(&self, shared: bool) -> Handle {
        Handle { disk: self.clone(), shared }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn rows(&self) -> Rows {
        self.state().rows.iter().map(|(key, row)| (key.clone(), row.value.clone())).collect()
    }

    pub(crate) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// A nonce or revision that was used for two rows.
    pub(crate) fn repeated(&self) -> Option<String> {
        self.state().marks.repeated.clone()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.state().poisoned
    }

    /// From now on calls go wrong.
    pub(crate) fn begin_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Lets one batch arrive, if there is one on its way.
    pub(crate) fn deliver_one(&self) {
        self.state().deliver_one();
    }

    /// The process of all engines ends: what is on its way is applied or lost, in any order.
    pub(crate) fn cut_power(&self) {
        let state = &mut *self.state();
        state.land_or_lose_all();
        state.poisoned = false;
    }

    /// From now on nothing goes wrong, and what is on its way arrives.
    pub(crate) fn calm(&self) {
        let state = &mut *self.state();
        state.faults = Faults::default();
        while !state.flights.values().all(|flight| flight.answer.is_some()) {
            state.deliver_one();
        }
        state.poisoned = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn deliver_one(&mut self) {
        let waiting: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.answer.is_none()).map(|(id, _)| *id).collect();
        if waiting.is_empty() {
            return;
        }
        if self.dice.permille(self.faults.failed_sync) {
            self.land_or_lose_all();
            self.poisoned = true;
            return;
        }
        let id = *self.dice.pick(&waiting);
        self.land(id);
    }

    fn land_or_lose_all(&mut self) {
        while let Some(id) = {
            let waiting = self.flights.iter().filter(|(_, flight)| flight.answer.is_none());
            let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
            (!waiting.is_empty()).then(|| *self.dice.pick(&waiting))
        } {
            if self.dice.permille(500) {
                self.land(id);
            }
            let poisoned = Err(StoreError::new(StoreErrorKind::Poisoned, "a sync failed"));
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.answer = Some(poisoned);
            }
        }
        self.flights.retain(|_, flight| !flight.orphan);
    }

    /// Applies a batch, unless one of its expectations does not hold.
    fn land(&mut self, id: u64) {
        let Some(flight) = self.flights.get(&id) else { return };
        let (batch, loses_answer, orphan) = (Arc::clone(&flight.batch), flight.loses_answer, flight.orphan);
        let mut answer = self.apply(&batch);
        if loses_answer {
            answer = Err(StoreError::new(StoreErrorKind::Indeterminate, "the answer was lost"));
        }
        if orphan {
            self.flights.remove(&id);
        } else if let Some(flight) = self.flights.get_mut(&id) {
            flight.answer = Some(answer);
        }
    }

    fn apply(&mut self, batch: &WriteBatch) -> Result<Committed, StoreError> {
        let found = |key: &Key| self.rows.get(key.as_bytes()).map(|row| row.revision);
        if let Some(index) = batch.expect.iter().position(|(key, expect)| !expect.holds(found(key))) {
            return Err(StoreError::conflict(index));
        }
        self.revision += 1;
        let revision = RowRevision(self.revision);
        if self.faults.forgotten > 0 && self.dice.permille(self.faults.forgotten) {
            return Ok(Committed { revision });
        }
        for op in &batch.ops {
            let key = op.key().as_bytes().to_vec();
            self.note(&key);
            match op {
                Op::Put(_, value) => {
                    self.note(value);
                    self.marks.watch(&key, value, self.faults.replayed > 0);
                    let row = Versioned { value: value.clone(), revision };
                    self.versions.entry(key.clone()).or_default().push(row.clone());
                    self.rows.insert(key, row);
                }
                Op::Delete(_) => drop(self.rows.remove(&key)),
            }
        }
        Ok(Committed { revision })
    }

    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn shown(&mut self, key: &[u8], row: &Versioned) -> Versioned {
        if self.faults.replayed > 0 && self.dice.permille(self.faults.replayed) {
            let versions = self.versions.get(key).cloned().unwrap_or_default();
            return self.dice.pick(&versions).clone();
        }
        row.clone()
    }

    fn scan(&mut self, scan: &Scan) -> Result<Page, StoreError> {
        let KeyRange { start, end } = &scan.range;
        if scan.range.is_empty() {
            return Ok(Page::default());
        }
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.rows.range::<[u8], _>((Bound::Included(start.as_slice()), end));
        let mut found: Vec<_> = found.map(|(key, row)| (key.clone(), row.clone())).collect();
        if scan.reverse {
            found.reverse();
        }
        let bytes_max = self.page_bytes_max;
        Page::fill(scan, bytes_max, found, |(key, row)| {
            let mut row = self.shown(&key, &row);
            if scan.keys_only {
                row.value.clear();
            }
            Ok((Key::from(key), row))
        })
    }
}

/// The disk as one engine has it open.
#[derive(Clone)]
pub(crate) struct Handle {
    disk: Disk,
    shared: bool,
}

/// A batch that its sender waits for. If he does not wait to the end, it is lost or arrives later.
struct Sent<'h> {
    disk: &'h Disk,
    id: u64,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let state = &mut *self.disk.state();
        let answered = state.flights.get(&self.id).is_none_or(|flight| flight.answer.is_some());
        if answered || state.dice.permille(500) {
            state.flights.remove(&self.id);
        } else if let Some(flight) = state.flights.get_mut(&self.id) {
            flight.orphan = true;
        }
    }
}

impl Handle {
    fn refuse(&self) -> Result<(), StoreError> {
        let state = &mut *self.disk.state();
        if state.poisoned {
            return Err(StoreError::new(StoreErrorKind::Poisoned, "a sync failed"));
        }
        if state.dice.permille(state.faults.unavailable) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "out of reach"));
        }
        Ok(())
    }

    async fn wait(&self) {
        let mut polls = self.disk.state().dice.below(3);
        std::future::poll_fn(|_| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            Poll::Pending
        })
        .await;
    }

    /// Puts a batch on its way. An error is what its sender hears at once.
    fn send(&self, batch: Arc<WriteBatch>) -> Result<Sent<'_>, StoreError> {
        let state = &mut *self.disk.state();
        if state.dice.permille(state.faults.contention) {
            return Err(StoreError::new(StoreErrorKind::Contention, "another writer was there"));
        }
        let id = state.flights_len;
        state.flights_len += 1;
        let lost = state.dice.permille(state.faults.lost);
        let (loses_answer, orphan) = (lost && state.dice.permille(400), lost && state.dice.permille(500));
        if !lost || loses_answer || orphan {
            let orphan = orphan && !loses_answer;
            state.flights.insert(id, Flight { batch, answer: None, loses_answer, orphan });
        }
        if lost && !loses_answer {
            return Err(StoreError::new(StoreErrorKind::Indeterminate, "the answer was lost"));
        }
        Ok(Sent { disk: &self.disk, id })
    }
}

#[async_trait]
impl Store for Handle {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        request.check()?;
        self.wait().await;
        self.refuse()?;
        let set = {
            let state = &mut *self.disk.state();
            let mut gets = Vec::new();
            for key in &request.gets {
                let row = state.rows.get(key.as_bytes()).cloned();
                gets.push(row.map(|row| state.shown(key.as_bytes(), &row)));
            }
            let scans = request.scans.iter().map(|scan| state.scan(scan)).collect::<Result<_, _>>()?;
            ReadSet { gets, scans }
        };
        self.wait().await;
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        batch.check(&self.capabilities())?;
        self.refuse()?;
        let sent = self.send(batch)?;
        std::future::poll_fn(|_| {
            let state = &mut *sent.disk.state();
            let answer = state.flights.get_mut(&sent.id).and_then(|flight| flight.answer.take());
            if answer.is_some() {
                state.flights.remove(&sent.id);
            }
            answer.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn capabilities(&self) -> Capabilities {
        let page_bytes_max = self.disk.state().page_bytes_max;
        let embedded = Capabilities::embedded(Durability::PowerLoss).with_batch_max(128, 1 << 20);
        let limited = embedded.with_page_bytes_max(page_bytes_max);
        if self.shared { limited.with_sharing() } else { limited }
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a simulated store")
    }
}
