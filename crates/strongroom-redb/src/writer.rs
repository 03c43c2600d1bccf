//! The writing half of the store: one transaction per group.

use std::collections::HashMap;

use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};
use strongroom_committer::{Answer, Readers, Writer, of_io};
use strongroom_store::{Committed, Key, Op, RowRevision, StoreError, WriteBatch};

use crate::disk::Gauge;
use crate::failure::of_redb;
use crate::read::Snapshot;
use crate::revisions::Revisions;
use crate::row::{self, Bytes, TABLE};

/// The writer of one store. The file stays locked for as long as it lives.
pub(crate) struct RedbWriter {
    db: Database,
    gauge: Gauge,
    revisions: Revisions,
}

/// The snapshot that readers use; `None` while the file is compacted.
pub(crate) type View = Option<Snapshot>;

impl Writer for RedbWriter {
    type View = View;

    fn commit(&mut self, group: &[&WriteBatch], readers: &Readers<View>) -> Result<Vec<Answer>, StoreError> {
        let mut transaction = self.db.begin_write().map_err(of_redb)?;
        transaction.set_durability(Durability::Immediate).map_err(of_redb)?;
        let mut table = transaction.open_table(row::rows(TABLE)).map_err(of_redb)?;
        let answers = apply(&mut table, group, &mut self.revisions)?;
        drop(table);
        if end(transaction, &answers)? {
            let newest = self.snapshot()?;
            // The previous snapshot is dropped when the readers are let in again.
            readers.exclude(|view| Ok(view.replace(newest)))?;
        }
        Ok(answers)
    }

    fn close(self) -> Result<(), StoreError> {
        let Self { db, gauge, .. } = self;
        drop(db);
        if gauge.has_failed() {
            return Err(of_io(
                std::io::ErrorKind::Other.into(),
                "the data file could not be closed properly",
            ));
        }
        Ok(())
    }
}

impl RedbWriter {
    pub(crate) fn new(db: Database, gauge: Gauge, revisions: Revisions) -> Self {
        Self { db, gauge, revisions }
    }

    /// What is durable now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::newest(&self.db, TABLE)
    }

    /// Gives free space back to the file system while readers are kept out. Returns whether there was any.
    pub(crate) fn compact(&mut self, readers: &Readers<View>) -> Result<bool, StoreError> {
        readers.exclude(|view| {
            // redb compacts only if nobody holds a snapshot.
            *view = None;
            let compacted = self.db.compact().map_err(of_redb)?;
            *view = Some(Snapshot::newest(&self.db, TABLE)?);
            Ok(compacted)
        })
    }
}

/// The revisions of rows as the batches of a group left them: many expect the same few, and a lookup in the tree costs
/// many times as much.
struct Seen<'g> {
    /// A batch that is alone expects each row only once.
    is_kept: bool,
    rows: HashMap<&'g Key, Option<RowRevision>>,
}

impl<'g> Seen<'g> {
    fn revision(
        &mut self,
        table: &Table<'_, Bytes, Bytes>,
        key: &'g Key,
    ) -> Result<Option<RowRevision>, StoreError> {
        if let Some(known) = self.rows.get(key) {
            return Ok(*known);
        }
        let found = revision(table, key)?;
        self.note(key, found);
        Ok(found)
    }

    fn note(&mut self, key: &'g Key, revision: Option<RowRevision>) {
        if self.is_kept {
            self.rows.insert(key, revision);
        }
    }
}

/// Checks each batch against what those before it left inside the transaction, and writes all of it or nothing. The
/// outer error is one of redb, after which the transaction must not be committed.
pub(crate) fn apply(
    table: &mut Table<'_, Bytes, Bytes>,
    group: &[&WriteBatch],
    revisions: &mut Revisions,
) -> Result<Vec<Answer>, StoreError> {
    // The stored bytes of a row, in one reused buffer.
    let mut stored = Vec::new();
    let mut seen = Seen { is_kept: group.len() > 1, rows: HashMap::new() };
    let mut answers = Vec::with_capacity(group.len());
    for batch in group {
        answers.push(apply_one(table, batch, (&mut *revisions, &mut seen), &mut stored)?);
    }
    if answers.iter().any(Result::is_ok) {
        revisions.keep(table)?;
    }
    Ok(answers)
}

/// Ends a transaction, durably if a batch was applied in it. Returns whether one was.
pub(crate) fn end(transaction: WriteTransaction, answers: &[Answer]) -> Result<bool, StoreError> {
    if answers.iter().any(Result::is_ok) {
        transaction.commit().map_err(of_redb)?;
        return Ok(true);
    }
    transaction.abort().map_err(of_redb)?;
    Ok(false)
}

fn apply_one<'g>(
    table: &mut Table<'_, Bytes, Bytes>,
    batch: &'g WriteBatch,
    (revisions, seen): (&mut Revisions, &mut Seen<'g>),
    stored: &mut Vec<u8>,
) -> Result<Answer, StoreError> {
    for (index, (key, expect)) in batch.expect.iter().enumerate() {
        if !expect.holds(seen.revision(table, key)?) {
            return Ok(Err(StoreError::conflict(index)));
        }
    }
    let revision = revisions.draw();
    for op in &batch.ops {
        match op {
            Op::Put(key, value) => {
                row::encode(revision, value, stored);
                table.insert(key.as_bytes(), stored.as_slice()).map_err(of_redb)?;
                seen.note(key, Some(revision));
            }
            Op::Delete(key) => {
                drop(table.remove(key.as_bytes()).map_err(of_redb)?);
                seen.note(key, None);
            }
        }
    }
    Ok(Ok(Committed { revision }))
}

fn revision(table: &Table<'_, Bytes, Bytes>, key: &Key) -> Result<Option<RowRevision>, StoreError> {
    let found = table.get(key.as_bytes()).map_err(of_redb)?;
    found.map(|stored| row::split(stored.value()).map(|row| row.0)).transpose()
}
