//! A store that fails as told.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call does not reach the store. `Indeterminate` is a batch that got lost on its way.
    Before(StoreErrorKind),
    /// The store does its work, and the answer is this error. Honest for `Indeterminate`, an answer that got lost,
    /// and for `Poisoned`, a sync that failed.
    After(StoreErrorKind),
    /// The call is pending this many times, then goes through.
    Delay {
        /// How often the future answers that it is pending.
        polls: usize,
    },
}

/// A wrapper that counts commits and reads and fails the ones it was told to.
///
/// Calls are counted from 0. Once a call was answered with `Poisoned`, every later one is, as of a real store. Clones
/// are handles on the same store and the same plan, and do not make it count as shared.
///
/// ```
/// use strongroom::store::StoreErrorKind::{Contention, Indeterminate};
/// use strongroom_conformance::{Fault, Faulty};
/// let store = Faulty::new(strongroom_memory::MemoryStore::new())
///     .on_commits(..3, Fault::Before(Contention))
///     .on_commits(3..=3, Fault::After(Indeterminate))
///     .on_reads(1.., Fault::Delay { polls: 2 });
/// assert_eq!((store.commits_len(), store.reads_len()), (0, 0));
/// ```
pub struct Faulty<S> {
    inner: Arc<S>,
    wiring: Arc<Wiring>,
}

#[derive(Default)]
struct Wiring {
    commits: Line,
    reads: Line,
    poisoned: Mutex<bool>,
}

/// The calls of one kind: how many there were, and what goes wrong with which.
#[derive(Default)]
struct Line {
    calls_len: AtomicUsize,
    plan: Mutex<Vec<Planned>>,
}

struct Planned {
    calls: (Bound<usize>, Bound<usize>),
    fault: Fault,
}

impl<S: Store> Faulty<S> {
    /// A wrapper that passes everything on.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner: Arc::new(inner), wiring: Arc::default() }
    }

    /// The same with `fault` on these commits. Of two faults on one call, the first told counts.
    #[must_use]
    pub fn on_commits(self, calls: impl RangeBounds<usize>, fault: Fault) -> Self {
        self.wiring.commits.add(&calls, fault);
        self
    }

    /// The same with `fault` on these reads. Of two faults on one call, the first told counts.
    #[must_use]
    pub fn on_reads(self, calls: impl RangeBounds<usize>, fault: Fault) -> Self {
        self.wiring.reads.add(&calls, fault);
        self
    }

    /// How many commits were called, whatever became of them.
    #[must_use]
    pub fn commits_len(&self) -> usize {
        self.wiring.commits.calls_len.load(Ordering::SeqCst)
    }

    /// How many reads were called, whatever became of them.
    #[must_use]
    pub fn reads_len(&self) -> usize {
        self.wiring.reads.calls_len.load(Ordering::SeqCst)
    }

    /// A handle on the same store that fails nothing and counts again, as after a reopen. Handles from before stay as
    /// they are.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), wiring: Arc::default() }
    }

    /// The store itself. The `Arc` is a store as well, and one that counts the handles as other writers.
    fn store(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Faulty<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let fault = self.wiring.reads.next_fault();
        self.wiring.run(fault, self.store().read(request)).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let fault = self.wiring.commits.next_fault();
        self.wiring.run(fault, self.store().commit(batch)).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store().capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.wiring.run(None, self.store().close()).await
    }
}

impl Wiring {
    async fn run<T>(
        &self,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if *lock(&self.poisoned) {
            return Err(injected(StoreErrorKind::Poisoned));
        }
        match fault {
            None => call.await,
            Some(Fault::Delay { polls }) => {
                pend(polls).await;
                call.await
            }
            Some(Fault::Before(kind)) => Err(self.fail(kind)),
            Some(Fault::After(kind)) => {
                call.await?;
                Err(self.fail(kind))
            }
        }
    }

    fn fail(&self, kind: StoreErrorKind) -> StoreError {
        *lock(&self.poisoned) |= kind == StoreErrorKind::Poisoned;
        injected(kind)
    }
}

impl Line {
    fn add(&self, calls: &impl RangeBounds<usize>, fault: Fault) {
        let calls = (calls.start_bound().cloned(), calls.end_bound().cloned());
        lock(&self.plan).push(Planned { calls, fault });
    }

    fn next_fault(&self) -> Option<Fault> {
        let call = self.calls_len.fetch_add(1, Ordering::SeqCst);
        let plan = lock(&self.plan);
        plan.iter().find(|planned| planned.calls.contains(&call)).map(|planned| planned.fault)
    }
}

/// Pending so many times, without a timer: each time it asks to be polled again at once.
async fn pend(polls: usize) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn injected(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "an injected fault")
}

/// What stands behind these locks is whole at every point, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Clone for Faulty<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), wiring: Arc::clone(&self.wiring) }
    }
}

impl<S: Store> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("commits", &self.commits_len())
            .field("reads", &self.reads_len())
            .finish_non_exhaustive()
    }
}
