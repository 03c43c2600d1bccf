//! The store that the verbs of a plan run on. It reads the vault's store and keeps writes to itself: later reads see
//! them, and in the end they are one batch for a transaction of the host.
//!
//! The verbs run on an engine of their own, with its own caches. So nothing that the host may still roll back is
//! cached, counted as seen or reported to anyone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::engine::Engine;
use crate::engine::cache::Caches;
use crate::engine::chains::Chains;
use crate::engine::runs::Runs;
use crate::engine::turns::Turns;
use crate::engine::watch::Watchers;
use crate::error::Error;
use crate::row::{RowName, TenantId, VaultRow, encode_header};
use crate::store::{
    Capabilities, Committed, Expect, Key, Op, Page, Plan, ReadBatch, ReadSet, RowRevision, Scan, Store,
    StoreError, StoreErrorKind, Versioned, WriteBatch,
};

/// The store of one plan.
pub(crate) struct PlanStore {
    /// The engine of the vault, whose store is read.
    under: Arc<Engine>,
    /// Nothing once the plan was taken.
    written: Mutex<Option<Written>>,
}

/// What was written so far.
#[derive(Default)]
struct Written {
    /// What the vault's store must show.
    expect: BTreeMap<Key, Expect>,
    /// `None` for a row that was deleted.
    rows: BTreeMap<Key, Option<Versioned>>,
    bytes_len: usize,
    commits: u64,
}

impl Engine {
    /// An engine of the same vault whose writes go to a plan.
    ///
    /// # Errors
    /// [`Error::Store`] if only this engine may write to the store: it would not notice what a host's transaction
    /// wrote.
    pub(crate) fn planning(self: &Arc<Self>) -> Result<(Self, Arc<PlanStore>), Error> {
        if self.plan.is_some() {
            return Err(
                unsupported("a plan cannot be part of another one: call the verbs of both in one").into()
            );
        }
        if !(*self.store).capabilities().shared {
            return Err(
                unsupported("the store is this engine's only, so that no plan can be applied to it").into()
            );
        }
        let plan =
            Arc::new(PlanStore { under: Arc::clone(self), written: Mutex::new(Some(Written::default())) });
        let engine = Self {
            plan: Some(Arc::clone(&plan)),
            store: Box::new(Arc::clone(&plan)),
            store_id: self.store_id,
            roots: Arc::clone(&self.roots),
            kept: Arc::clone(&self.kept),
            caches: Caches::beside(&self.caches),
            formats: Arc::clone(&self.formats),
            argon2: self.argon2,
            limits: self.limits,
            durability: self.durability,
            tallies: Arc::clone(&self.tallies),
            history_versions: self.history_versions,
            clock: Arc::clone(&self.clock),
            latest_id: Arc::clone(&self.latest_id),
            observer: self.observer.clone(),
            abandoned: AtomicBool::new(false),
            gate: self.gate.beside(),
            locks: Arc::clone(&self.locks),
            runs: Runs::default(),
            chains: Chains::default(),
            turns: Turns::default(),
            lookouts: Turns::default(),
            watchers: Watchers::default(),
        };
        Ok((engine, plan))
    }

    /// Whether the row at `key` is part of the plan that this engine makes.
    pub(crate) fn is_planned(&self, key: &Key) -> bool {
        let is_in =
            |plan: &Arc<PlanStore>| plan.lock().as_ref().is_some_and(|all| all.rows.contains_key(key));
        self.plan.as_ref().is_some_and(is_in)
    }

    /// Refuses a refresh in a plan: it calls the provider, while its lease may never be written.
    pub(crate) fn refuse_planned_refresh(&self) -> Result<(), Error> {
        match self.plan {
            Some(_) => {
                Err(unsupported("a refresh cannot be part of a plan: nobody else would see its lease").into())
            }
            None => Ok(()),
        }
    }

    /// Refuses to add what the job at `key` is about to remove, if the same plan began that job.
    pub(crate) fn refuse_planned(&self, key: &Key) -> Result<(), Error> {
        if self.is_planned(key) {
            return Err(unsupported("a plan cannot add what it deletes: make two plans").into());
        }
        Ok(())
    }
}

impl PlanStore {
    /// The plan. Writes that come later are refused.
    ///
    /// # Errors
    /// `TooLarge`, `Closed`.
    pub(crate) fn take(&self, tenant: &TenantId) -> Result<Plan, StoreError> {
        let Written { expect, rows, .. } = self.lock().take().ok_or_else(taken)?;
        let subjects = expect.keys().map(|key| RowName::of(tenant, key).as_str()).collect();
        let ops = rows.into_iter().map(|(key, row)| match row {
            Some(row) => Op::Put(key, row.value),
            None => Op::Delete(key),
        });
        let batch = WriteBatch { ops: ops.collect(), expect: expect.into_iter().collect() };
        batch.check(&self.capabilities())?;
        let header = encode_header(&self.under.store_id);
        Ok(Plan::new(batch, (VaultRow::Header.key(), header), subjects))
    }

    /// The engine whose store is read.
    pub(super) fn under(&self) -> &Engine {
        &self.under
    }

    fn lock(&self) -> MutexGuard<'_, Option<Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the plan's writes to the page of `scan`. Reads on while deleted rows leave it empty.
    async fn page(&self, scan: &Scan, mut page: Page) -> Result<Page, StoreError> {
        let mut rest = scan.clone();
        loop {
            let last = page.rows.last().map(|(key, _)| key.clone());
            if let Some(written) = &*self.lock() {
                written.show_in(&rest, &mut page);
            }
            let Some(last) = last.filter(|_| page.more && page.rows.is_empty()) else { return Ok(page) };
            let range = rest.range.clone();
            rest.range =
                if scan.reverse { range.before(last.as_bytes()) } else { range.after(last.as_bytes()) };
            let request = ReadBatch { gets: Vec::new(), scans: vec![rest.clone()] };
            page = self.under.store.read(&request).await?.scans.pop().unwrap_or_default();
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for PlanStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = self.under.store.read(request).await?;
        if let Some(written) = &*self.lock() {
            for (key, row) in request.gets.iter().zip(&mut set.gets) {
                if let Some(ours) = written.rows.get(key) {
                    row.clone_from(ours);
                }
            }
        }
        let pages = std::mem::take(&mut set.scans);
        for (scan, page) in request.scans.iter().zip(pages) {
            set.scans.push(self.page(scan, page).await?);
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.lock().as_mut().ok_or_else(taken)?.add(&batch, &self.capabilities())
    }

    fn capabilities(&self) -> Capabilities {
        (*self.under.store).capabilities().with_sharing()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Written {
    /// Adds all of a batch, or nothing.
    fn add(&mut self, batch: &WriteBatch, limits: &Capabilities) -> Result<Committed, StoreError> {
        for (index, (key, expect)) in batch.expect.iter().enumerate() {
            let holds = match (self.rows.get(key), self.expect.get(key)) {
                (Some(ours), _) => expect.holds(ours.as_ref().map(|row| row.revision)),
                (None, Some(known)) => agrees(*known, *expect),
                (None, None) => true,
            };
            if !holds {
                return Err(StoreError::conflict(index));
            }
        }
        if batch.ops.iter().any(|op| VaultRow::parse(op.key()).is_some()) {
            return Err(unsupported("a plan holds rows of an org: rotate keys and shred without one"));
        }
        // The row may be there by the time the plan is applied, and a store cannot expect a row to be absent without
        // putting it.
        let is_added =
            |op: &Op| matches!(op, Op::Delete(key) if self.expect.get(key) == Some(&Expect::Absent));
        if batch.ops.iter().any(is_added) {
            return Err(unsupported("a plan cannot delete what it adds: make two plans"));
        }
        if self.rows.len() + batch.ops.len() > limits.batch_ops_max
            || self.bytes_len + batch.bytes_len() > limits.batch_bytes_max
        {
            let message = "the plan holds more than the store writes at once: make several plans";
            return Err(StoreError::new(StoreErrorKind::TooLarge, message));
        }
        Ok(self.put(batch))
    }

    fn put(&mut self, batch: &WriteBatch) -> Committed {
        for (key, expect) in &batch.expect {
            if self.rows.contains_key(key) {
                continue;
            }
            match self.expect.entry(key.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(*expect)),
                // Of two that agree, the narrower one.
                Entry::Occupied(mut entry) if *expect != Expect::Exists => drop(entry.insert(*expect)),
                Entry::Occupied(_) => {}
            }
        }
        // From the top, which no store reaches. It is compared only with others of the plan.
        let revision = RowRevision(u64::MAX - self.commits);
        self.commits += 1;
        self.bytes_len += batch.bytes_len();
        for op in &batch.ops {
            let row = match op {
                Op::Put(_, value) => Some(Versioned { value: value.clone(), revision }),
                Op::Delete(_) => None,
            };
            self.rows.insert(op.key().clone(), row);
        }
        Committed { revision }
    }

    /// Puts the rows that were written into a page of stored rows, and takes out those that were deleted.
    fn show_in(&self, scan: &Scan, page: &mut Page) {
        let last = page.rows.last().filter(|_| page.more).map(|(key, _)| key.as_bytes().to_vec());
        let is_reached = |key: &[u8]| match &last {
            Some(last) if scan.reverse => key >= last.as_slice(),
            Some(last) => key <= last.as_slice(),
            None => true,
        };
        page.rows.retain(|(key, _)| !self.rows.contains_key(key));
        let stored = page.rows.len();
        let ours =
            self.rows.range::<[u8], _>((Bound::Included(scan.range.start.as_slice()), Bound::Unbounded));
        let ours = ours.take_while(|(key, _)| scan.range.contains(key.as_bytes()));
        for (key, row) in ours.filter(|(key, _)| is_reached(key.as_bytes())) {
            let Some(Versioned { value, revision }) = row else { continue };
            let value = if scan.keys_only { Vec::new() } else { value.clone() };
            page.rows.push((key.clone(), Versioned { value, revision: *revision }));
        }
        if page.rows.len() > stored {
            page.rows.sort_unstable_by(
                |(one, _), (other, _)| {
                    if scan.reverse { other.cmp(one) } else { one.cmp(other) }
                },
            );
        }
        if page.rows.len() > scan.limit {
            page.rows.truncate(scan.limit);
            page.more = true;
        }
    }
}

impl fmt::Debug for PlanStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanStore").field("under", &self.under.store).finish_non_exhaustive()
    }
}

/// Whether a row can be as both expect it.
fn agrees(one: Expect, other: Expect) -> bool {
    match (one, other) {
        (Expect::Absent, Expect::Absent) => true,
        (Expect::Absent, _) | (_, Expect::Absent) => false,
        (Expect::Exists, _) | (_, Expect::Exists) => true,
        (Expect::Revision(one), Expect::Revision(other)) => one == other,
    }
}

fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

fn taken() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the plan was made already: its org takes no more writes")
}
