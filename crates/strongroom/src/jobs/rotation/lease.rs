//! Who runs a job: one runner at a time, and another once its lease has expired.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::error::Error;
use crate::id::DocumentId;
use crate::jobs::narrow::CLOCKS_DIFFER_MS;
use crate::row::body::Lease;

/// The right to run a job in this engine, one run at a time. Dropping it gives the right back.
pub(crate) struct LeaseHolder {
    engine: Arc<Engine>,
    job: DocumentId,
    runner: [u8; 16],
}

impl LeaseHolder {
    /// `None` while another call on this engine runs the job.
    pub(crate) fn take(engine: &Arc<Engine>, job: DocumentId) -> Result<Option<Self>, Error> {
        let runner = engine.runs.runner()?;
        let taken = engine.runs.lock().live.insert(job);
        Ok(taken.then(|| Self { engine: Arc::clone(engine), job, runner }))
    }

    /// The time until which another runner holds the job; `None` if this engine may run it.
    ///
    /// A lease of this engine's own earlier run does not count: that run has ended, since the right to run was free. In
    /// a store that is not shared, no other engine's lease counts either.
    pub(crate) fn held_until(&self, lease: Option<&Lease>) -> Option<Timestamp> {
        let theirs = lease.filter(|lease| lease.runner != self.runner && self.engine.is_shared())?;
        theirs.held_until(self.engine.now())
    }

    /// A lease that starts now.
    pub(crate) fn lease(&self) -> Lease {
        Lease { runner: self.runner, until_ms: self.engine.now().as_ms().saturating_add(LEASE_MS) }
    }

    /// Whether the lease is this engine's and more than half of it remains.
    pub(crate) fn is_fresh(&self, lease: Option<&Lease>) -> bool {
        let soon = self.engine.now().as_ms().saturating_add(LEASE_MS / 2);
        lease.is_some_and(|lease| lease.runner == self.runner && lease.until_ms > soon)
    }
}

impl Lease {
    /// The time until which the lease keeps others out; `None` if it does not at `now`.
    ///
    /// One that ends later than a lease that begins now was taken before a clock was set back. Its holder may be gone,
    /// and would keep others out for as long as the clock needs to catch up.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let left_ms = self.until_ms.checked_sub(now.as_ms())?;
        let holds = 0 < left_ms && left_ms <= LEASE_MS + CLOCKS_DIFFER_MS;
        holds.then_some(Timestamp::from_ms(self.until_ms))
    }
}

impl Drop for LeaseHolder {
    fn drop(&mut self) {
        self.engine.runs.lock().live.remove(&self.job);
    }
}

/// How long a runner that stopped without ending its lease keeps others out.
const LEASE_MS: u64 = 30_000;
