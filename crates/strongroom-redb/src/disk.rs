//! Where redb keeps its bytes; counts syncs and notes failures.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redb::{BackendError, StorageBackend};

/// A redb backend that counts its syncs and notes that a write or a sync failed.
#[derive(Debug)]
pub(crate) struct Disk<B> {
    inner: B,
    gauge: Gauge,
}

/// What happened at a [`Disk`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge {
    syncs: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl Gauge {
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Whether something that was written may be missing. redb does not report it when that happens while it closes.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn note<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

impl<B> Disk<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, gauge: Gauge::default() }
    }

    pub(crate) fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<B: StorageBackend> StorageBackend for Disk<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.gauge.note(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gauge.syncs.fetch_add(1, Ordering::Relaxed);
        self.gauge.note(self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.gauge.note(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
