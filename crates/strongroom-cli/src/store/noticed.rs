//! A store that notices whether anything was written to it, and gives way to commands that write at the same time.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

/// A store that notices whether anything was written to it, or may have been. A write that lost to another one is
/// answered after a pause: a verb has a limited number of tries, and forty commands at once would use them up.
#[derive(Debug)]
pub(crate) struct NoticedStore<S> {
    inner: S,
    wrote: Arc<AtomicBool>,
    /// How many writes lost since the last one that did not.
    lost: AtomicU32,
}

impl<S: Store> NoticedStore<S> {
    /// Sets `wrote` with the first write.
    pub(crate) fn new(inner: S, wrote: &Arc<AtomicBool>) -> Self {
        Self { inner, wrote: Arc::clone(wrote), lost: AtomicU32::new(0) }
    }
}

/// Up to 4 ms at first and 1 s later, different in each process, so that processes that collided do not collide
/// again.
fn pause(lost: u32) -> Duration {
    let range_ms = 4 << lost.min(8);
    let spread = process::id().wrapping_add(lost << 20).wrapping_mul(2_654_435_761) >> 16;
    Duration::from_millis(u64::from(spread % range_ms))
}

#[async_trait]
// A default method of the trait would call this store and not the inner one.
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for NoticedStore<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let answer = self.inner.commit(batch).await;
        let refused = |error: &StoreError| error.kind() != StoreErrorKind::Indeterminate;
        if !answer.as_ref().is_err_and(refused) {
            // Relaxed: it is read by the task that waited for the answer.
            self.wrote.store(true, Ordering::Relaxed);
        }
        // Relaxed: a command has one task.
        let is_lost = |error: &StoreError| {
            matches!(error.kind(), StoreErrorKind::Conflict { .. } | StoreErrorKind::Contention)
        };
        match answer.as_ref().is_err_and(is_lost) {
            true => thread::sleep(pause(self.lost.fetch_add(1, Ordering::Relaxed))),
            false => self.lost.store(0, Ordering::Relaxed),
        }
        answer
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
