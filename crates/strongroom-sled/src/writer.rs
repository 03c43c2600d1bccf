//! The writing half of the store: it checks batches, applies them as one and syncs once.

use std::collections::HashMap;

use sled::Db;
use strongroom_committer::{Answer, Readers, Writer, guarded};
use strongroom_store::{Committed, Key, Op, RowRevision, StoreError, WriteBatch};

use crate::directory::Directory;
use crate::disk::Disk;
use crate::failure::of_sled;
use crate::revisions::Revisions;
use crate::row;

/// The writer of one store. The directory stays locked while it lives, and is dropped after sled has released it.
pub(crate) struct SledWriter {
    pub(crate) db: Db,
    pub(crate) disk: Disk,
    pub(crate) revisions: Revisions,
    pub(crate) _directory: Directory,
}

impl Writer for SledWriter {
    type View = Db;

    fn commit(&mut self, group: &[&WriteBatch], readers: &Readers<Db>) -> Result<Vec<Answer>, StoreError> {
        // Readers are kept out, since sled's walks are not snapshots.
        let answers = readers.exclude(|_| self.apply(group))?;
        if answers.iter().any(Result::is_ok) {
            self.disk.sync(&self.db)?;
        }
        Ok(answers)
    }

    /// Syncs what reads left behind: sled tidies its tree during reads.
    fn close(mut self) -> Result<(), StoreError> {
        let synced = guarded(|| self.disk.sync(&self.db));
        // sled panics if its last sync fails. Ours has already been reported.
        let _ = guarded(|| {
            drop(self);
            Ok(())
        });
        synced
    }
}

impl SledWriter {
    /// One answer per batch. After an error, the group may be half applied.
    ///
    /// The whole group is one sled batch, and is durable before the next one starts. sled notes in each segment which
    /// part of the log before it needs no check after a crash. It means the part that it has handed to the file system,
    /// which may still lose it, but never goes past the start of a batch that is being written. With one sled batch for
    /// each, a power cut in a large group could leave a tree that no longer opens.
    fn apply(&mut self, group: &[&WriteBatch]) -> Result<Vec<Answer>, StoreError> {
        let mut staged = Staged::default();
        let mut answers = Vec::with_capacity(group.len());
        for batch in group {
            answers.push(staged.check(&self.db, batch).map(|()| {
                let revision = self.revisions.draw(&mut staged.writes);
                staged.add(batch, revision);
                Committed { revision }
            }));
        }
        if answers.iter().any(Result::is_ok) {
            self.db.apply_batch(staged.writes).map_err(of_sled)?;
        }
        Ok(answers)
    }
}

/// The batches of a group that passed, combined: what they write, and the resulting state of each key.
#[derive(Default)]
struct Staged<'a> {
    writes: sled::Batch,
    found: HashMap<&'a Key, Option<RowRevision>>,
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

    fn add(&mut self, batch: &'a WriteBatch, revision: RowRevision) {
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

fn revision(db: &Db, key: &Key) -> Result<Option<RowRevision>, StoreError> {
    let found = db.get(row::tree_key(key.as_bytes())).map_err(of_sled)?;
    found.map(|value| row::split(&value).map(|row| row.0)).transpose()
}
