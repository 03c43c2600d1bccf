//! The writing half of the store: one transaction per group.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, TransactionBehavior, params};
use strongroom_committer::{Answer, Readers, Writer};
use strongroom_store::{Committed, Op, RowRevision, StoreError, WriteBatch};

use crate::failure::of_sqlite;
use crate::read::Pool;

/// The writer of one handle.
pub(crate) struct SqliteWriter {
    pub(crate) connection: Connection,
    pub(crate) prefix: String,
}

impl Writer for SqliteWriter {
    type View = Pool;

    fn commit(&mut self, group: &[&WriteBatch], _: &Readers<Pool>) -> Result<Vec<Answer>, StoreError> {
        // Takes the write lock from the start: with an older snapshot it could no longer get it.
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let applied =
            begun.and_then(|transaction| Ok((apply(&transaction, &self.prefix, group)?, transaction)));
        match applied {
            Ok((answers, transaction)) if answers.iter().any(Result::is_ok) => {
                // From here on nobody can say what an error leaves on the disk, so it poisons the store.
                transaction.commit().map_err(of_sqlite)?;
                Ok(answers)
            }
            Ok((answers, _)) => Ok(answers),
            // Rolled back, and a WAL without the end of a transaction holds nothing of it: surely not applied.
            Err(error) => {
                let cause = Arc::new(error);
                Ok(group.iter().map(|_| Err(of_sqlite(Arc::clone(&cause)))).collect())
            }
        }
    }

    fn close(self) -> Result<(), StoreError> {
        self.connection.close().map_err(|(_, error)| of_sqlite(error))
    }
}

/// Checks each batch against what those before it left, and writes all of it or nothing.
pub(crate) fn apply(
    connection: &Connection,
    prefix: &str,
    group: &[&WriteBatch],
) -> rusqlite::Result<Vec<Answer>> {
    let prepare = |text: String| connection.prepare_cached(&text);
    let mut found = prepare(format!("SELECT rev FROM {prefix}_rows WHERE k = ?1"))?;
    let mut put = prepare(format!("INSERT OR REPLACE INTO {prefix}_rows (k, v, rev) VALUES (?1, ?2, ?3)"))?;
    let mut delete = prepare(format!("DELETE FROM {prefix}_rows WHERE k = ?1"))?;
    // Under the right to write, and kept with the rows, so that no other process ever gives the same revision.
    let mut last: u64 =
        prepare(format!("SELECT revision FROM {prefix}_meta"))?.query_row([], |row| row.get(0))?;
    let mut answers = Vec::with_capacity(group.len());
    for batch in group {
        if let Some(index) = first_conflict(&mut found, batch)? {
            answers.push(Err(StoreError::conflict(index)));
            continue;
        }
        last += 1;
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => put.execute(params![key.as_bytes(), value, last])?,
                Op::Delete(key) => delete.execute([key.as_bytes()])?,
            };
        }
        answers.push(Ok(Committed { revision: RowRevision(last) }));
    }
    prepare(format!("UPDATE {prefix}_meta SET revision = ?1"))?.execute([last])?;
    Ok(answers)
}

fn first_conflict(found: &mut CachedStatement<'_>, batch: &WriteBatch) -> rusqlite::Result<Option<usize>> {
    for (index, (key, expect)) in batch.expect.iter().enumerate() {
        let revision = found.query_row([key.as_bytes()], |row| row.get(0)).optional()?;
        if !expect.holds(revision.map(RowRevision)) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
