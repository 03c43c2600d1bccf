//! The one thread that writes: it gathers batches, applies them, syncs once and answers.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockWriteGuard};
use futures_channel::oneshot;
use sled::Db;
use strongroom::store::{Committed, Expect, Key, Op, Revision, StoreError, WriteBatch};

use crate::directory::Directory;
use crate::disk::Disk;
use crate::failure::{closed, guarded, of_sled, poisoned};
use crate::revisions::Revisions;
use crate::row;

/// What the committer is asked to do, in the order in which it does it.
pub(crate) enum Job {
    Commit(Pending),
    Close(oneshot::Sender<()>),
}

/// A batch that passed its check, and who waits for it.
pub(crate) struct Pending {
    pub(crate) batch: Arc<WriteBatch>,
    pub(crate) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

/// What readers and the committer share.
pub(crate) enum State {
    Open(Db),
    Poisoned(Arc<StoreError>),
    Closed,
}

impl State {
    /// The tree, or why there is none.
    pub(crate) fn db(&self) -> Result<&Db, StoreError> {
        match self {
            Self::Open(db) => Ok(db),
            Self::Poisoned(cause) => Err(poisoned(cause)),
            Self::Closed => Err(closed()),
        }
    }
}

/// The writer of one store. The directory stays locked for as long as it lives.
pub(crate) struct Committer {
    pub(crate) db: Db,
    pub(crate) disk: Disk,
    pub(crate) revisions: Revisions,
    pub(crate) state: Arc<ShardedLock<State>>,
    pub(crate) directory: Directory,
}

impl Committer {
    /// Works until it is asked to close or nobody can ask any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let (group, asked_to_close) = gather(first, jobs);
            self.commit(group);
            if let Some(answer) = asked_to_close {
                self.close();
                // Nobody waits for it when the store was dropped.
                let _ = answer.send(());
                return;
            }
        }
        self.close();
    }

    /// Applies a group, makes it durable with one sync, then answers. A conflict waits for the sync as well: what
    /// it lost against may be in the same group.
    fn commit(&mut self, group: Vec<Pending>) {
        // sled takes a segment for free once all that was in it has been written elsewhere, synced or not. It does
        // so in work deferred by its epochs, which stand still under this guard: the last durable copy of a row is
        // not written over before the next one is durable.
        let _epoch = sled::pin();
        let outcome = guarded(|| self.apply(&group)).and_then(|answers| {
            if answers.iter().any(Result::is_ok) {
                guarded(|| self.disk.sync(&self.db))?;
            }
            Ok(answers)
        });
        let answers = outcome.unwrap_or_else(|cause| self.poison(cause, group.len()));
        for (pending, answer) in group.into_iter().zip(answers) {
            // The caller may have dropped its future; the batch stands all the same.
            let _ = pending.answer.send(answer);
        }
    }

    /// One answer a batch. An error is a batch that may be half applied.
    fn apply(&mut self, group: &[Pending]) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let state = Arc::clone(&self.state);
        let state = write(&state);
        group
            .iter()
            .map(|pending| match state.db().and_then(|db| check(db, &pending.batch)) {
                Ok(()) => self.apply_one(&pending.batch).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            })
            .collect()
    }

    fn apply_one(&mut self, batch: &WriteBatch) -> Result<Committed, StoreError> {
        let mut writes = sled::Batch::default();
        let revision = self.revisions.draw(&mut writes);
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    writes.insert(row::tree_key(key.as_bytes()), row::tree_value(revision, value));
                }
                Op::Delete(key) => writes.remove(row::tree_key(key.as_bytes())),
            }
        }
        self.db.apply_batch(writes).map_err(of_sled)?;
        Ok(Committed { revision })
    }

    fn poison<T>(&self, cause: StoreError, answers_len: usize) -> Vec<Result<T, StoreError>> {
        let cause = Arc::new(cause);
        *write(&self.state) = State::Poisoned(Arc::clone(&cause));
        (0..answers_len).map(|_| Err(poisoned(&cause))).collect()
    }

    /// Syncs what reads left behind (sled tidies its tree in passing), lets go of the files, and tells by the state
    /// how it went.
    fn close(mut self) {
        let open = write(&self.state).db().is_ok();
        if open {
            match guarded(|| self.disk.sync(&self.db)) {
                Ok(()) => *write(&self.state) = State::Closed,
                Err(cause) => drop(self.poison::<()>(cause, 0)),
            }
        }
        // sled panics when its last sync fails. Ours has been answered for.
        let db = self.db;
        let _ = guarded(move || {
            drop(db);
            Ok(())
        });
        drop(self.directory);
    }
}

/// `first` and what waits behind it, up to the bounds of a group or a request to close.
fn gather(first: Job, jobs: &Receiver<Job>) -> (Vec<Pending>, Option<oneshot::Sender<()>>) {
    let mut group = Vec::new();
    let mut bytes_len = 0;
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Close(answer) => return (group, Some(answer)),
            Job::Commit(pending) => {
                bytes_len += pending.batch.bytes_len();
                group.push(pending);
            }
        }
        let full = group.len() >= GROUP_LEN_MAX || bytes_len >= GROUP_BYTES_MAX;
        next = if full { None } else { jobs.try_recv().ok() };
    }
    (group, None)
}

/// Refuses a batch one of whose expectations does not hold.
fn check(db: &Db, batch: &WriteBatch) -> Result<(), StoreError> {
    for (index, (key, expect)) in batch.expect.iter().enumerate() {
        if !holds(db, key, *expect)? {
            return Err(StoreError::conflict(index));
        }
    }
    Ok(())
}

fn holds(db: &Db, key: &Key, expect: Expect) -> Result<bool, StoreError> {
    let found = db.get(row::tree_key(key.as_bytes())).map_err(of_sled)?;
    let revision: Option<Revision> = found.map(|value| row::split(&value).map(|row| row.0)).transpose()?;
    Ok(expect.holds(revision))
}

/// A panic under the lock has been made an error and poisons the store by itself.
fn write(state: &ShardedLock<State>) -> ShardedLockWriteGuard<'_, State> {
    state.write().unwrap_or_else(PoisonError::into_inner)
}

const GROUP_LEN_MAX: usize = 1_024;

/// Half a segment of sled's, so that a group seldom spans more than two.
const GROUP_BYTES_MAX: usize = 4 << 20;
