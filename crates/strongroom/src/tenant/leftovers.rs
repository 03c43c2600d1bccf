//! Rows that a batch leaves to be deleted once it has landed.

use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::error::Error;
use crate::store::{Committed, Expect, Key, WriteBatch};
use crate::tenant::Draft;
use crate::tenant::former::HISTORY_ROWS_MAX;

/// What to delete once a batch has landed.
#[derive(Default)]
pub(crate) struct Leftovers {
    /// Rows that the batch put.
    vacant: Vec<Key>,
    /// History rows of documents that are gone for good.
    rest: Vec<Key>,
    /// Former versions that a later write would delete otherwise.
    surplus: Vec<Key>,
}

impl Draft<'_> {
    /// Notes that a row put by this batch is to be deleted once the batch has landed.
    pub(crate) fn vacate_after(&mut self, key: Key) {
        self.leftovers.vacant.push(key);
    }

    /// Notes history rows, for which the batch has no room, to be deleted once it has landed. If that fails, so does
    /// the verb.
    pub(crate) fn delete_after_landing(&mut self, keys: impl Iterator<Item = Key>) {
        self.leftovers.rest.extend(keys);
    }

    /// Notes former versions, for which the batch has no room, to be deleted once it has landed. A failure is ignored:
    /// the next write finds them again.
    pub(crate) fn try_delete_after_landing(&mut self, keys: impl Iterator<Item = Key>) {
        self.leftovers.surplus.extend(keys);
    }
}

impl Leftovers {
    pub(super) async fn delete(self, engine: &Engine, committed: Committed) -> Result<(), Error> {
        if !self.vacant.is_empty() {
            let mut batch = WriteBatch::default();
            for key in self.vacant {
                batch.expect(key.clone(), Expect::Revision(committed.revision));
                batch.delete(key);
            }
            // The requested changes have landed, and the rows left here read as absent, so a failure is no error.
            let _ = engine.commit(batch, Touches::Data).await;
        }
        delete_history_rows(engine, &self.rest).await?;
        // The next write finds them again.
        let _ = delete_history_rows(engine, &self.surplus).await;
        Ok(())
    }
}

/// Deletes rows of the history of a document that is permanently gone: none of them is ever written again.
async fn delete_history_rows(engine: &Engine, rows: &[Key]) -> Result<(), Error> {
    'batches: for keys in rows.chunks(HISTORY_ROWS_MAX) {
        for _ in 0..ATTEMPTS_MAX {
            let mut batch = WriteBatch::default();
            keys.iter().for_each(|key| batch.delete(key.clone()));
            if engine.commit(batch, Touches::Data).await?.is_some() {
                continue 'batches;
            }
        }
        return Err(Error::Contended(ATTEMPTS_MAX));
    }
    Ok(())
}
