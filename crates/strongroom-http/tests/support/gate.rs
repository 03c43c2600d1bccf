//! A store whose reads can be counted and made to wait.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
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
    /// How many more commits there are before every one fails.
    commits_left: AtomicUsize,
    commits: AtomicUsize,
    reads: AtomicUsize,
    pub(crate) reached: Notify,
    opened: Notify,
    /// A commit waits.
    pub(crate) commit_reached: Notify,
    commit_released: Notify,
    /// How many reads it takes until one waits; 0 for none.
    reads_until_held: AtomicUsize,
    /// That read waits.
    read_reached: Notify,
    read_released: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Makes the next commit wait.
    pub(crate) fn hold_next_commit(&self) {
        self.holds_commit.store(true, Ordering::SeqCst);
    }

    /// From now on every commit fails after this many.
    pub(crate) fn fail_commits_after(&self, count: usize) {
        self.commits_left.store(count, Ordering::SeqCst);
    }

    /// How many commits came so far.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// Makes one read of `call` wait, the first or a later one, while `meanwhile` runs, whose own reads pass. Returns
    /// what `call` returns, and whether it had that many reads.
    pub(crate) async fn while_read_waits<A>(
        &self,
        number: usize,
        meanwhile: impl Future<Output = ()>,
        call: impl Future<Output = A>,
    ) -> (A, bool) {
        self.reads_until_held.store(number, Ordering::SeqCst);
        let meanwhile = async {
            self.read_reached.notified().await;
            meanwhile.await;
            self.read_released.notify_one();
            std::future::pending::<Infallible>().await
        };
        let answer = tokio::select! {
            answer = call => answer,
            never = meanwhile => match never {},
        };
        (answer, self.reads_until_held.load(Ordering::SeqCst) == 0)
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
        let one_less = |left: usize| left.checked_sub(1);
        if self.gate.reads_until_held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) == Ok(1) {
            self.gate.read_reached.notify_one();
            self.gate.read_released.notified().await;
        }
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.gate.commits.fetch_add(1, Ordering::SeqCst);
        if self.gate.holds_commit.swap(false, Ordering::SeqCst) {
            self.gate.commit_reached.notify_one();
            self.gate.commit_released.notified().await;
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.gate.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is gone"));
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
    let gate = Arc::new(Gate { commits_left: AtomicUsize::new(usize::MAX), ..Gate::default() });
    (Gated { inner: MemoryStore::new(), gate: Arc::clone(&gate) }, gate)
}
