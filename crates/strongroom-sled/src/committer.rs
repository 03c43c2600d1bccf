//! The one thread that writes: it gathers batches, applies them, syncs once and answers.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockWriteGuard};
use futures_channel::oneshot;
use sled::Db;
use strongroom::store::{Committed, Key, Op, Revision, StoreError, WriteBatch};

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

    /// One answer a batch. An error is a group that may be half applied.
    ///
    /// The whole group is one batch of sled's, and is durable before the next one starts. sled notes in each segment
    /// what of the log before it needs no check any more after a crash. It means what it has handed to the file
    /// system, which may lose it, but never goes past the start of a batch that is being written. With a batch of
    /// sled's each, a power cut in a large group could leave a tree that no longer opens.
    fn apply(&mut self, group: &[Pending]) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let state = Arc::clone(&self.state);
        let state = write(&state);
        let mut staged = Staged::default();
        let answers: Vec<_> = group
            .iter()
            .map(|pending| {
                staged.check(state.db()?, &pending.batch)?;
                let revision = self.revisions.draw(&mut staged.writes);
                staged.add(&pending.batch, revision);
                Ok(Committed { revision })
            })
            .collect();
        if answers.iter().any(Result::is_ok) {
            self.db.apply_batch(staged.writes).map_err(of_sled)?;
        }
        Ok(answers)
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

/// The batches of a group that passed, as one: what they write, and what they make of each key.
#[derive(Default)]
struct Staged<'a> {
    writes: sled::Batch,
    found: HashMap<&'a Key, Option<Revision>>,
}

impl<'a> Staged<'a> {
    /// Refuses a batch one of whose expectations does not hold after the batches before it.
    fn check(&self, db: &Db, batch: &WriteBatch) -> Result<(), StoreError> {
        for (index, (key, expect)) in batch.expect.iter().enumerate() {
            let found = self.found.get(key).map_or_else(|| revision(db, key), |found| Ok(*found))?;
            if !expect.holds(found) {
                return Err(StoreError::conflict(index));
            }
        }
        Ok(())
    }

    fn add(&mut self, batch: &'a WriteBatch, revision: Revision) {
        for op in &batch.ops {
            let tree_key = row::tree_key(op.key().as_bytes());
            match op {
                Op::Put(_, value) => self.writes.insert(tree_key, row::tree_value(revision, value)),
                Op::Delete(_) => self.writes.remove(tree_key),
            }
            self.found.insert(op.key(), matches!(op, Op::Put(..)).then_some(revision));
        }
    }
}

fn revision(db: &Db, key: &Key) -> Result<Option<Revision>, StoreError> {
    let found = db.get(row::tree_key(key.as_bytes())).map_err(of_sled)?;
    found.map(|value| row::split(&value).map(|row| row.0)).transpose()
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

/// A panic under the lock has been made an error and poisons the store by itself.
fn write(state: &ShardedLock<State>) -> ShardedLockWriteGuard<'_, State> {
    state.write().unwrap_or_else(PoisonError::into_inner)
}

const GROUP_LEN_MAX: usize = 1_024;

/// So that the first of a group does not wait long for the others.
const GROUP_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::{Sender, channel};
    use std::task::{Context, Waker};

    use futures_executor::block_on;
    use futures_util::future::join_all;
    use strongroom::store::{Expect, ReadBatch, Store, StoreErrorKind};

    use super::*;
    use crate::SledStore;
    use crate::disk::flush_and_sync;

    fn put(key: &[u8]) -> Arc<WriteBatch> {
        let mut batch = WriteBatch::default();
        batch.put(Key::from(key), b"v".to_vec());
        Arc::new(batch)
    }

    fn holds(store: &SledStore, key: &[u8]) -> bool {
        let request = ReadBatch { gets: vec![Key::from(key)], scans: vec![] };
        block_on(store.read(&request)).unwrap().gets[0].is_some()
    }

    /// A store whose syncs say when they start and wait at a gate; the one of `open` has been let through.
    fn gated() -> (SledStore, Receiver<()>, Sender<()>) {
        let (started, starts) = channel();
        let (gate, passes) = channel();
        gate.send(()).unwrap();
        let step = move |db: &Db, file: &File| {
            let _ = started.send(());
            // A gate that is gone is open.
            let _ = passes.recv();
            flush_and_sync(db, file)
        };
        let directory = tempfile::tempdir().unwrap();
        let store =
            SledStore::open_with(&directory.path().join("store"), Box::new(step), Some(directory)).unwrap();
        starts.recv().unwrap();
        (store, starts, gate)
    }

    #[test]
    fn batches_that_arrive_during_a_sync_share_the_next() {
        let (store, starts, gate) = gated();
        let before = store.syncs();
        let mut commits: Vec<_> = (0..64).map(|n| store.commit(put(format!("k{n}").as_bytes()))).collect();
        let mut context = Context::from_waker(Waker::noop());
        let (first, rest) = commits.split_at_mut(1);
        assert!(first[0].as_mut().poll(&mut context).is_pending());
        starts.recv().unwrap();
        assert!(rest.iter_mut().all(|commit| commit.as_mut().poll(&mut context).is_pending()));
        drop(gate);
        assert!(block_on(join_all(commits)).iter().all(Result::is_ok));
        assert_eq!(store.syncs() - before, 2);
    }

    #[test]
    fn a_conflict_is_answered_after_the_sync_of_what_it_lost_against() {
        let (store, starts, gate) = gated();
        let mut context = Context::from_waker(Waker::noop());
        let mut absent = WriteBatch::clone(&put(b"k"));
        absent.expect(Key::from(b"k".as_slice()), Expect::Absent);
        let absent = Arc::new(absent);
        let mut first = store.commit(put(b"another"));
        assert!(first.as_mut().poll(&mut context).is_pending());
        starts.recv().unwrap();
        let (mut winner, mut loser) = (store.commit(Arc::clone(&absent)), store.commit(absent));
        assert!(winner.as_mut().poll(&mut context).is_pending());
        assert!(loser.as_mut().poll(&mut context).is_pending());
        gate.send(()).unwrap();
        starts.recv().unwrap();
        assert!(loser.as_mut().poll(&mut context).is_pending());
        drop(gate);
        assert!(block_on(winner).is_ok());
        assert_eq!(block_on(loser).unwrap_err().kind(), StoreErrorKind::Conflict { index: 0 });
    }

    #[test]
    fn a_dropped_commit_is_applied_or_not_and_holds_nothing_up() {
        let (store, starts, gate) = gated();
        let mut context = Context::from_waker(Waker::noop());
        let mut dropped = store.commit(put(b"k"));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        starts.recv().unwrap();
        drop(dropped);
        drop(gate);
        block_on(store.commit(put(b"another"))).unwrap();
        assert!(holds(&store, b"k"));
    }

    #[test]
    fn a_batch_meets_the_batches_before_it_in_its_group() {
        let (store, starts, gate) = gated();
        let mut context = Context::from_waker(Waker::noop());
        let batch =
            |expect, op: Op| Arc::new(WriteBatch { expect: vec![(op.key().clone(), expect)], ops: vec![op] });
        let key = Key::from(b"k".as_slice());
        let group = [
            (Expect::Absent, Op::Put(key.clone(), vec![])),
            (Expect::Exists, Op::Delete(key.clone())),
            (Expect::Absent, Op::Put(key.clone(), vec![])),
        ];
        let mut first = store.commit(put(b"another"));
        assert!(first.as_mut().poll(&mut context).is_pending());
        starts.recv().unwrap();
        let mut group: Vec<_> =
            group.into_iter().map(|(expect, op)| store.commit(batch(expect, op))).collect();
        assert!(group.iter_mut().all(|commit| commit.as_mut().poll(&mut context).is_pending()));
        drop(gate);
        assert!(block_on(join_all(group)).iter().all(Result::is_ok));
        assert!(holds(&store, b"k"));
    }
}
