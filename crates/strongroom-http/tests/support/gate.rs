//! A store whose reads can be counted and made to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom_memory::MemoryStore;
use tokio::sync::Notify;

/// A store whose reads can be made to wait.
#[derive(Debug)]
pub(crate) struct Gated {
    inner: MemoryStore,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    holds_commit: AtomicBool,
    reads: AtomicUsize,
    pub(crate) reached: Notify,
    opened: Notify,
    /// A commit waits.
    pub(crate) commit_reached: Notify,
    commit_released: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Makes the next commit wait.
    pub(crate) fn hold_next_commit(&self) {
        self.holds_commit.store(true, Ordering::SeqCst);
    }

    /// Lets the commit that waits continue.
    pub(crate) fn release_commit(&self) {
        self.commit_released.notify_one();
    }

    /// How many reads came so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Lets the read that waits continue, and all after it.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_one();
    }
}

#[async_trait]
impl Store for Gated {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.gate.reads.fetch_add(1, Ordering::SeqCst);
        if self.gate.closed.load(Ordering::SeqCst) {
            self.gate.reached.notify_one();
            self.gate.opened.notified().await;
        }
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        if self.gate.holds_commit.swap(false, Ordering::SeqCst) {
            self.gate.commit_reached.notify_one();
            self.gate.commit_released.notified().await;
        }
        self.inner.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

/// A store in memory, and its gate.
pub(crate) fn gated() -> (Gated, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    (Gated { inner: MemoryStore::new(), gate: Arc::clone(&gate) }, gate)
}
