//! What every handle shares: the store, the root key, the caches and the clock.

pub(crate) mod cache;
pub(crate) mod chains;
pub(crate) mod gate;
pub(crate) mod head;
mod kept;
pub(crate) mod lock;
pub(crate) mod observer;
pub(crate) mod open_slot;
pub(crate) mod plan;
mod request;
pub(crate) mod roots;
pub(crate) mod runs;
pub(crate) mod tally;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
pub(crate) mod turns;
pub(crate) mod watch;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, Timestamp};
use crate::engine::cache::Caches;
use crate::engine::cache::packs::Change;
use crate::engine::chains::Chains;
use crate::engine::gate::{Gate, Pass};
use crate::engine::lock::Locks;
use crate::engine::observer::Observer;
use crate::engine::plan::PlanStore;
use crate::engine::tally::Tallies;
use crate::engine::turns::Turns;
use crate::engine::watch::Watchers;
use crate::envelope::{Argon2Bounds, StoreId};
use crate::error::Error;
use crate::format::Formats;
use crate::id::LatestId;
use crate::keys::RootCell;
use crate::limits::Limits;
use crate::row::{VaultRow, is_unlike_others};
use crate::store::{
    Committed, Durability, Expect, Key, KeyRange, Op, Page, READ_OPS_MAX, ReadBatch, ReadSet, Scan, Store,
    StoreErrorKind, Versioned, WriteBatch,
};

pub(crate) use kept::Kept;
pub(crate) use request::{Request, answer, read_checked, read_from};
pub(crate) use runs::Runs;

/// One opened vault.
pub(crate) struct Engine {
    pub(crate) store: Box<dyn AnyStore>,
    pub(crate) store_id: StoreId,
    pub(crate) roots: Arc<RootCell>,
    /// What opens a root that another engine rotates in.
    pub(crate) kept: Arc<Kept>,
    pub(crate) caches: Caches,
    /// Caches the compiled patterns of definitions, so that a warm write compiles nothing.
    pub(crate) formats: Arc<Formats>,
    pub(crate) limits: Limits,
    /// The durability that the host asked for by name.
    pub(crate) durability: Option<Durability>,
    /// How much orgs and accounts store.
    pub(crate) tallies: Arc<Tallies>,
    /// How many former versions of a document are kept.
    pub(crate) history_versions: u8,
    /// What key derivations of slots may cost.
    pub(crate) argon2: Argon2Bounds,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latest_id: Arc<LatestId>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Set when a future was dropped in the middle of a commit that changes what the caches hold.
    pub(crate) abandoned: AtomicBool,
    /// What lets writes pass.
    pub(crate) gate: Gate,
    /// What is locked at the moment.
    pub(crate) locks: Arc<Locks>,
    /// The jobs on keys that this engine runs at the moment.
    pub(crate) runs: Runs,
    /// The chains of events that this engine writes.
    pub(crate) chains: Chains,
    /// Whose turn it is at rows that writers race for.
    pub(crate) turns: Turns,
    /// Which waiter for a refresh reads the store on behalf of all.
    pub(crate) lookouts: Turns,
    /// The readers of hints about which tenants moved.
    pub(crate) watchers: Watchers,
    /// The plan that its writes go to, instead of the store.
    pub(crate) plan: Option<Arc<PlanStore>>,
}

/// A store that the host can get back as its own type.
pub(crate) trait AnyStore: Store {
    fn as_any(&self) -> &dyn Any;
}

impl<S: Store> AnyStore for S {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The outcome of a batch that was sent.
pub(crate) enum Race {
    Won(Committed),
    /// Another writer was faster at these rows, if the store said at which.
    Lost(Vec<Key>),
}

impl Race {
    pub(crate) fn won(self) -> Option<Committed> {
        match self {
            Self::Won(committed) => Some(committed),
            Self::Lost(_) => None,
        }
    }
}

/// Whether a batch changes rows that the caches hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touches {
    Data,
    CachedRows,
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// A new id, greater than every one before.
    pub(crate) fn next_id<T: From<[u8; 12]>>(&self) -> Result<T, Error> {
        Ok(self.latest_id.next(&*self.clock)?)
    }

    /// Drops expired keys from the caches, and returns the time.
    pub(crate) fn drop_old_keys(&self) -> Timestamp {
        let now = self.now();
        self.caches.drop_old_keys(now);
        now
    }

    /// Whether cached rows must be checked against the epoch row: others may write, or an abandoned write of our own
    /// may still land.
    pub(crate) fn is_shared(&self) -> bool {
        // Pairs with the `Release` in `CommitWatch::drop`: a thread that may use the caches again also sees that they
        // must be checked.
        self.store.capabilities().shared || self.abandoned.load(Ordering::Acquire)
    }

    /// Whether what runs see may be kept: while nobody else writes.
    pub(crate) fn may_keep_runs(&self) -> bool {
        let packs = &self.caches.packs;
        if !packs.is_off() && self.store.capabilities().shared {
            packs.turn_off();
        }
        !packs.is_off()
    }

    /// Reads rows and ranges: in one snapshot if they fit the contract's limit, otherwise in several reads.
    pub(crate) async fn read<R: Request>(&self, request: R) -> Result<R::Answer, Error> {
        Ok(answer::<R>(self.read_batch(&request.into_batch()).await?)?)
    }

    /// The same, untyped: returns as many rows and pages as were asked for.
    pub(crate) async fn read_batch(&self, batch: &ReadBatch) -> Result<ReadSet, Error> {
        self.refuse_locked_read(batch)?;
        if batch.gets.is_empty() && batch.scans.is_empty() {
            return Ok(ReadSet::default());
        }
        if batch.fits_one_read() {
            return Ok(read_checked(&*self.store, batch).await?);
        }
        let mut set = ReadSet::default();
        if !batch.scans.is_empty() {
            set.scans = read_from(&*self.store, batch.scans.clone()).await?;
        }
        for gets in batch.gets.chunks(READ_OPS_MAX) {
            set.gets.append(&mut read_from(&*self.store, gets.to_vec()).await?);
        }
        Ok(set)
    }

    /// Reads one row.
    pub(crate) async fn get(&self, key: Key) -> Result<Option<Versioned>, Error> {
        let [row] = self.read([key]).await?;
        Ok(row)
    }

    /// Reads one page of a range.
    pub(crate) async fn scan(&self, range: KeyRange, limit: usize) -> Result<Page, Error> {
        self.read(Scan::new(range, limit)).await
    }

    /// Applies a batch. `None` means that another writer was faster: read and plan again.
    pub(crate) async fn commit(
        &self,
        batch: WriteBatch,
        touches: Touches,
    ) -> Result<Option<Committed>, Error> {
        let pass = self.pass().await?;
        self.commit_under(pass, batch, touches).await.map(Race::won)
    }

    /// The same for a batch that was planned under the settings of `pass`.
    pub(crate) async fn commit_under(
        &self,
        pass: Pass,
        mut batch: WriteBatch,
        touches: Touches,
    ) -> Result<Race, Error> {
        self.refuse_locked_write(&batch)?;
        // Last, so that a conflict on it means that everything else still holds.
        let (header, as_seen) = pass.expectation();
        batch.expect(header, as_seen);
        let batch = Arc::new(batch);
        let watch = CommitWatch::begin(self, &batch, touches);
        let answer = commit_surely(&*self.store, &batch).await;
        if !matches!(answer, Err(Error::Indeterminate(_))) {
            watch.answered();
        }
        match answer {
            Ok(committed) => Ok(Race::Won(committed)),
            Err(Error::Store(error)) if is_lost_race(error.kind()) => {
                let at_gate = StoreErrorKind::Conflict { index: batch.expect.len() - 1 };
                if error.kind() == at_gate {
                    self.look_at_gate().await?;
                }
                self.caches.forget(batch.expect.iter().map(|(key, _)| key));
                if batch.expect.iter().any(|(key, _)| *key == VaultRow::Store.key()) {
                    self.refresh_roots().await?;
                }
                Ok(Race::Lost(contested(&batch, error.kind())))
            }
            Err(error) => Err(error),
        }
    }
}

/// Commits, and finds out what happened if the store lost its answer.
///
/// A batch that was sent may still arrive. So after a lost answer, the verb may plan again only if an expectation of
/// the batch can never hold again. Otherwise it might meet its own batch and take it for another writer's. The batch
/// itself is sent again only if it cannot land twice: a late copy would bring back what was deleted in between.
pub(crate) async fn commit_surely(store: &dyn Store, batch: &Arc<WriteBatch>) -> Result<Committed, Error> {
    commit_repeating(store, batch, lands_once(batch)).await
}

/// The same for a batch of a transfer, which may land twice. Nobody reads its rows or deletes them permanently before
/// the transfer ends, and then the marker that the batch expects is gone.
pub(crate) async fn commit_in_transfer(
    store: &dyn Store,
    batch: &Arc<WriteBatch>,
) -> Result<Committed, Error> {
    commit_repeating(store, batch, true).await
}

async fn commit_repeating(
    store: &dyn Store,
    batch: &Arc<WriteBatch>,
    repeats: bool,
) -> Result<Committed, Error> {
    let mut lost_answer = None;
    for _ in 0..ATTEMPTS_MAX {
        let error = match store.commit(Arc::clone(batch)).await {
            Ok(committed) => return Ok(committed),
            Err(error) => error,
        };
        let lost = error.kind() == StoreErrorKind::Indeterminate;
        if !lost && lost_answer.is_none() {
            return Err(error.into());
        }
        match look_for(store, batch).await {
            Landing::Landed(committed) => return Ok(committed),
            Landing::NotYet if lost && repeats => lost_answer = Some(error),
            // The batch has not landed but still may: it is safe to send it again, but not to plan again.
            Landing::NotYet if error.kind() == StoreErrorKind::Contention => {}
            Landing::NotYet if is_final(batch, error.kind()) => return Err(error.into()),
            _ => return Err(Error::Indeterminate(lost_answer.unwrap_or(error))),
        }
    }
    Err(lost_answer.map_or(Error::Contended(ATTEMPTS_MAX), Error::Indeterminate))
}

/// Whether a batch landed, judged by a row that it both expects and writes. A sealed row is proof, since each has its
/// own nonce. An index row and a deleted one may be another writer's.
async fn look_for(store: &dyn Store, batch: &WriteBatch) -> Landing {
    let proof = |op: &Op| match op {
        // A batch that rewrites a header unchanged also writes a row of its own. One that ends a copy has no rival.
        Op::Put(key, _) if *key == VaultRow::Header.key() => Proof::Header,
        Op::Put(_, row) if is_unlike_others(row) => Proof::Own,
        _ => Proof::None,
    };
    let expected = |op: &Op| batch.expect.iter().find(|(key, _)| key == op.key()).map(|(_, expect)| *expect);
    let candidates = batch.ops.iter().filter_map(|op| Some((op, expected(op)?)));
    let Some((op, expect)) = candidates.min_by_key(|(op, _)| proof(op)) else { return Landing::Unknown };
    let Ok([found]) = read_from(store, [op.key().clone()]).await else { return Landing::Unknown };
    match (op, found) {
        // First: a batch that landed has changed the revision, whatever the row holds.
        (_, ref found) if expect.holds(found.as_ref().map(|row| row.revision)) => Landing::NotYet,
        (Op::Put(_, ours), Some(row)) if row.value == *ours && proof(op) != Proof::None => {
            Landing::Landed(Committed { revision: row.revision })
        }
        _ => Landing::Unknown,
    }
}

/// Whether a batch that has landed can never land again, because it replaces or deletes a row of a certain revision.
/// The expectations of a batch that only creates rows hold again once those are deleted.
fn lands_once(batch: &WriteBatch) -> bool {
    let is_written = |key: &Key| batch.ops.iter().any(|op| op.key() == key);
    batch.expect.iter().any(|(key, expect)| matches!(expect, Expect::Revision(_)) && is_written(key))
}

/// How well a row that is as the batch writes it proves that the batch landed, the best first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    Own,
    Header,
    None,
}

/// What the store shows after a lost answer.
enum Landing {
    Landed(Committed),
    /// What the batch expects still holds.
    NotYet,
    Unknown,
}

fn is_lost_race(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Conflict { .. } | StoreErrorKind::Contention)
}

/// The rows that a batch lost: the one that another writer changed, or, if the store did not say, all that it both
/// expects and writes.
fn contested(batch: &WriteBatch, kind: StoreErrorKind) -> Vec<Key> {
    match kind {
        StoreErrorKind::Conflict { index } => {
            // The last expectation is the gate, for which nobody races.
            let rows = batch.expect.iter().rev().skip(1).rev();
            rows.skip(index).take(1).map(|(row, _)| row.clone()).collect()
        }
        _ => {
            let is_expected = |row: &&Key| batch.expect.iter().any(|(known, _)| known == *row);
            batch.ops.iter().map(Op::key).filter(is_expected).cloned().collect()
        }
    }
}

/// Whether a batch that met this conflict can never apply: a revision that is gone does not come back.
fn is_final(batch: &WriteBatch, kind: StoreErrorKind) -> bool {
    let StoreErrorKind::Conflict { index } = kind else { return false };
    matches!(batch.expect.get(index), Some((_, Expect::Revision(_))))
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store_id = hex::encode(self.store_id);
        f.debug_struct("Engine")
            .field("store", &self.store)
            .field("store_id", &store_id)
            .finish_non_exhaustive()
    }
}

/// Keeps cached rows out of use while a batch changes them, and drops them afterwards. Notes whether the caller stopped
/// waiting for the answer. Tells the watchers.
struct CommitWatch<'e> {
    engine: &'e Engine,
    batch: &'e WriteBatch,
    touches: Touches,
    change: Change,
    answered: bool,
}

impl<'e> CommitWatch<'e> {
    fn begin(engine: &'e Engine, batch: &'e WriteBatch, touches: Touches) -> Self {
        if touches == Touches::CachedRows {
            engine.caches.begin_change();
        }
        let change = engine.caches.packs.begin_change(batch.ops.iter().map(Op::key));
        Self { engine, batch, touches, change, answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for CommitWatch<'_> {
    fn drop(&mut self) {
        if self.touches == Touches::CachedRows {
            // Before `end_change`, which lets readers use the caches again: by then they must know to check the epoch.
            if !self.answered {
                self.engine.abandoned.store(true, Ordering::Release);
            }
            self.engine.caches.end_change(self.batch.ops.iter().map(Op::key));
        }
        self.engine.caches.packs.end_change(&self.change, self.answered);
        // Whatever the answer was: after a lost one the batch may be in the store. After `end_change`, so that a
        // watcher reads what was written.
        self.engine.watchers.tell(self.batch.ops.iter().map(Op::key));
    }
}

/// How many times a verb tries before it returns `Contended`.
pub(crate) const ATTEMPTS_MAX: u32 = 16;
