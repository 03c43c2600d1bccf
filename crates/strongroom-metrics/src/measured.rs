//! A store that counts its calls.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::vault::{StoreMeter, VaultMetrics};

/// A store whose calls are counted into [`VaultMetrics`], by outcome and time.
#[derive(Debug)]
pub struct MeasuredStore<S> {
    inner: S,
    reads: StoreMeter,
    commits: StoreMeter,
}

impl<S: Store> MeasuredStore<S> {
    /// Counts the calls of `inner` into `metrics`.
    pub fn new(inner: S, metrics: &VaultMetrics) -> Self {
        Self { inner, reads: metrics.store_meter("read"), commits: metrics.store_meter("commit") }
    }
}

#[async_trait]
// A default method of the trait would call this store and not the inner one's own.
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for MeasuredStore<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let start = Instant::now();
        let answer = self.inner.read(request).await;
        self.reads.count(outcome(&answer), start.elapsed());
        answer
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let start = Instant::now();
        let answer = self.inner.commit(batch).await;
        self.commits.count(outcome(&answer), start.elapsed());
        answer
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

fn outcome<T>(answer: &Result<T, StoreError>) -> Result<(), &'static str> {
    let Err(error) = answer else { return Ok(()) };
    Err(match error.kind() {
        StoreErrorKind::Conflict { .. } => "conflict",
        StoreErrorKind::Contention => "contention",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::InUse => "in_use",
        StoreErrorKind::Indeterminate => "indeterminate",
        StoreErrorKind::TooLarge => "too_large",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Poisoned => "poisoned",
        StoreErrorKind::Closed => "closed",
        StoreErrorKind::Unsupported => "unsupported",
        // A later engine may have more kinds.
        _ => "other",
    })
}
