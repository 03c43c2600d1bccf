//! A store that notices whether anything was written to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

/// A store that notices whether anything was written to it, or may have been.
#[derive(Debug)]
pub(crate) struct NoticedStore<S> {
    inner: S,
    wrote: Arc<AtomicBool>,
}

impl<S: Store> NoticedStore<S> {
    /// Sets `wrote` with the first write.
    pub(crate) fn new(inner: S, wrote: &Arc<AtomicBool>) -> Self {
        Self { inner, wrote: Arc::clone(wrote) }
    }
}

#[async_trait]
// A default method of the trait would call this store and not the inner one's own.
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
        answer
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
