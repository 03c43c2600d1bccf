//! Applying a batch: under the gate and the locks, and to the end even if the store loses its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::cache::packs::WrittenTenants;
use crate::engine::gate::Pass;
use crate::engine::{Engine, read_from};
use crate::error::Error;
use crate::row::{VaultRow, is_unlike_others};
use crate::store::{Committed, Expect, Key, Op, Store, StoreErrorKind, WriteBatch};

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
    /// Applies a batch. `None` means that another writer was faster: read and plan again.
    pub(crate) async fn commit(
        &self,
        batch: WriteBatch,
        touches: Touches,
    ) -> Result<Option<Committed>, Error> {
        let pass = self.pass().await?;
        self.commit_under(pass, batch, touches).await.map(Race::won)
    }

    /// Applies a batch that was planned under the settings of `pass`.
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

/// Commits a batch of a transfer, which may land twice. Nobody reads its rows or deletes them permanently before the
/// transfer ends, and then the marker that the batch expects is gone.
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
            LostAnswer::Landed(committed) => return Ok(committed),
            LostAnswer::NotYet if lost && repeats => lost_answer = Some(error),
            // The batch has not landed but still may: it is safe to send it again, but not to plan again.
            LostAnswer::NotYet if error.kind() == StoreErrorKind::Contention => {}
            LostAnswer::NotYet if is_final(batch, error.kind()) => return Err(error.into()),
            _ => return Err(Error::Indeterminate(lost_answer.unwrap_or(error))),
        }
    }
    Err(lost_answer.map_or(Error::Contended(ATTEMPTS_MAX), Error::Indeterminate))
}

/// Whether a batch landed, judged by a row that it both expects and writes. A sealed row is proof, since each has its
/// own nonce. An index row and a deleted one may be another writer's.
async fn look_for(store: &dyn Store, batch: &WriteBatch) -> LostAnswer {
    let proof = |op: &Op| match op {
        // A batch that rewrites a header unchanged also writes a row of its own. One that ends a copy has no rival.
        Op::Put(key, _) if *key == VaultRow::Header.key() => Proof::Header,
        Op::Put(_, row) if is_unlike_others(row) => Proof::Own,
        _ => Proof::None,
    };
    let expected = |op: &Op| batch.expect.iter().find(|(key, _)| key == op.key()).map(|(_, expect)| *expect);
    let candidates = batch.ops.iter().filter_map(|op| Some((op, expected(op)?)));
    let Some((op, expect)) = candidates.min_by_key(|(op, _)| proof(op)) else { return LostAnswer::Unknown };
    let Ok([found]) = read_from(store, [op.key().clone()]).await else { return LostAnswer::Unknown };
    match (op, found) {
        // First: a batch that landed has changed the revision, whatever the row holds.
        (_, ref found) if expect.holds(found.as_ref().map(|row| row.revision)) => LostAnswer::NotYet,
        (Op::Put(_, ours), Some(row)) if row.value == *ours && proof(op) != Proof::None => {
            LostAnswer::Landed(Committed { revision: row.revision })
        }
        _ => LostAnswer::Unknown,
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
enum LostAnswer {
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

/// Keeps cached rows out of use while a batch changes them, and drops them afterwards. Notes whether the caller stopped
/// waiting for the answer. Tells the watchers.
struct CommitWatch<'e> {
    engine: &'e Engine,
    batch: &'e WriteBatch,
    touches: Touches,
    change: WrittenTenants,
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
