//! A small durable store, right but for the flaw that it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, Durability, Key, ReadBatch, ReadSet, RowRevision, Store, StoreError,
    StoreErrorKind, Versioned, WriteBatch,
};

use crate::flaw::Flaw;

pub(crate) type Rows = BTreeMap<Key, Versioned>;

/// What outlives a handle.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
    in_use: AtomicBool,
    one_is_closed: AtomicBool,
    pub(crate) commits_len: AtomicUsize,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) rows: Rows,
    pub(crate) revision: u64,
    /// The rows before the last commit.
    pub(crate) stale: Rows,
    /// Rows that were deleted.
    pub(crate) deleted: Rows,
    /// What each handle knows, by its number.
    pub(crate) known: BTreeMap<usize, Rows>,
}

/// A handle on a disk.
pub(crate) struct Sketch {
    pub(crate) flaw: Flaw,
    pub(crate) reads_len: AtomicUsize,
    pub(crate) commits_len: AtomicUsize,
    pub(crate) closed: AtomicBool,
    pub(crate) number: usize,
    pub(crate) revision: AtomicU64,
    /// Held by every call on this handle that must not meet another.
    pub(crate) turn: Mutex<()>,
    pub(crate) disk: Arc<Disk>,
    rows_at_open: Rows,
}

impl Sketch {
    pub(crate) fn open(disk: &Arc<Disk>, flaw: Flaw) -> Result<Self, &'static str> {
        let is_taken = disk.in_use.swap(true, Ordering::SeqCst);
        if is_taken && flaw != Flaw::SecondHandleOpens && !flaw.is_of_shared() {
            return Err(if flaw == Flaw::RefusesWithoutAWord { "" } else { "the disk is in use" });
        }
        let mut state = disk.state.lock().unwrap_or_else(PoisonError::into_inner);
        match flaw {
            Flaw::StartsWithARow => {
                state.rows.insert(
                    b"marker".as_slice().into(),
                    Versioned { value: Vec::new(), revision: RowRevision(0) },
                );
            }
            Flaw::ForgetsOnReopen => state.rows.clear(),
            Flaw::RevisionsStartAnew => state.rows.values_mut().for_each(|row| row.revision = RowRevision(0)),
            Flaw::DeletesComeBack => {
                let deleted = std::mem::take(&mut state.deleted);
                state.rows.extend(deleted);
            }
            Flaw::CountsFromTheRowsLeft => {
                state.revision = state.rows.values().map(|row| row.revision.0).max().unwrap_or(0);
            }
            _ => {}
        }
        let rows_at_open = if flaw == Flaw::WritesAtClose { state.rows.clone() } else { Rows::new() };
        let (number, revision) = (state.known.len(), AtomicU64::new(state.revision));
        let rows = state.rows.clone();
        state.known.insert(number, rows);
        drop(state);
        disk.one_is_closed.store(false, Ordering::SeqCst);
        let (reads_len, commits_len, closed, turn) = Default::default();
        let disk = Arc::clone(disk);
        Ok(Self { flaw, reads_len, commits_len, closed, number, revision, turn, disk, rows_at_open })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.disk.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows as this handle sees them.
    pub(crate) fn known<'a>(&self, state: &'a State) -> &'a Rows {
        match self.flaw {
            Flaw::HandlesSeeWhatWasThereAtFirst => state.known.get(&self.number).unwrap_or(&state.rows),
            _ => &state.rows,
        }
    }

    /// Keeps others from this handle, where only those on other handles can disturb.
    pub(crate) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        let takes_turns = matches!(self.flaw, Flaw::HandlesTear | Flaw::HandlesRace);
        takes_turns.then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        let ended = self.flaw == Flaw::OneCloseEndsAll && self.disk.one_is_closed.load(Ordering::SeqCst);
        if ended || self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Closed, "the sketch was closed"));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Sketch {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.answer(request)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.write(&batch).await
    }

    fn capabilities(&self) -> Capabilities {
        let durable = Capabilities::embedded(Durability::PowerLoss);
        match self.flaw {
            Flaw::CapabilitiesChange => {
                durable.with_batch_max(500 + self.commits_len.load(Ordering::SeqCst), 1 << 20)
            }
            Flaw::TooFewOperations => durable.with_batch_max(127, 1 << 20),
            Flaw::TooFewBytes => durable.with_batch_max(128, (1 << 20) - 1),
            Flaw::PageCanBeEmpty => durable.with_page_bytes_max(10_000),
            Flaw::ClaimsToBeVolatile => Capabilities::embedded(Durability::Volatile),
            Flaw::SharedButLocked => durable.with_sharing(),
            flaw if flaw.is_of_shared() => durable.with_sharing(),
            _ => durable,
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.flaw == Flaw::CloseDoesNothing {
            return Ok(());
        }
        // Under the lock, so that no batch is half way.
        let _state = self.state();
        self.disk.one_is_closed.store(true, Ordering::SeqCst);
        if self.closed.swap(true, Ordering::SeqCst) && self.flaw == Flaw::SecondCloseFails {
            return Err(StoreError::new(StoreErrorKind::Closed, "the sketch was closed"));
        }
        Ok(())
    }
}

impl Drop for Sketch {
    fn drop(&mut self) {
        if self.flaw == Flaw::WritesAtClose && self.check_open().is_ok() {
            self.state().rows = std::mem::take(&mut self.rows_at_open);
        }
        self.disk.in_use.store(false, Ordering::SeqCst);
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.flaw == Flaw::DebugShowsRows {
            return self.state().rows.iter().try_for_each(|(key, _)| write!(f, "{:?}", key.as_bytes()));
        }
        write!(f, "Sketch({:?})", self.flaw)
    }
}
