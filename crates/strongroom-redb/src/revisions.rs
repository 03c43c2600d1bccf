//! The row of the store itself: the format, and the counter of revisions.

use redb::{ReadableTable, Table};
use strongroom_committer::corrupt;
use strongroom_store::{RowRevision, StoreError, StoreErrorKind};

use crate::failure::of_redb;
use crate::row::{Bytes, META};

/// The source of revisions. It reserves them in blocks: the disk holds a bound that no revision has passed, written by
/// the transaction of the first revision above the previous bound.
///
/// A counter written by each transaction would rewrite the leaf of the lowest keys, and the pages above it, each time.
/// If others also write to the table, each transaction reads it and writes it, without blocks.
#[derive(Debug)]
pub(crate) struct Revisions {
    last: u64,
    bound: u64,
    block_len: u64,
}

impl Revisions {
    /// Continues after the bound in the row of the store itself.
    ///
    /// # Errors
    /// `Unsupported` for another version of the format, `Corrupt` for a table that strongroom did not write.
    pub(crate) fn read(table: &impl ReadableTable<Bytes, Bytes>) -> Result<Self, StoreError> {
        let Some(meta) = table.get(META).map_err(of_redb)? else {
            return Err(corrupt("the data file was not written by strongroom"));
        };
        let bound = bound(meta.value())?;
        Ok(Self { last: bound, bound, block_len: BLOCK_LEN })
    }

    /// The same for a single transaction: the next one may be somebody else's.
    pub(crate) fn read_shared(table: &impl ReadableTable<Bytes, Bytes>) -> Result<Self, StoreError> {
        Ok(Self { block_len: 0, ..Self::read(table)? })
    }

    /// Writes the row of a new store.
    pub(crate) fn create(table: &mut Table<'_, Bytes, Bytes>) -> Result<Self, StoreError> {
        let mut revisions = Self { last: 0, bound: 0, block_len: BLOCK_LEN };
        revisions.reserve(table)?;
        Ok(revisions)
    }

    /// A revision never drawn before. The caller's transaction keeps it with [`keep`](Self::keep).
    pub(crate) fn draw(&mut self) -> RowRevision {
        self.last += 1;
        RowRevision(self.last)
    }

    /// Notes in `table` that the drawn revisions are used.
    pub(crate) fn keep(&mut self, table: &mut Table<'_, Bytes, Bytes>) -> Result<(), StoreError> {
        if self.last <= self.bound { Ok(()) } else { self.reserve(table) }
    }

    fn reserve(&mut self, table: &mut Table<'_, Bytes, Bytes>) -> Result<(), StoreError> {
        self.bound = self.last + self.block_len;
        let meta = [FORMAT, &self.bound.to_be_bytes()].concat();
        table.insert(META, meta.as_slice()).map_err(of_redb)?;
        Ok(())
    }
}

fn bound(meta: &[u8]) -> Result<u64, StoreError> {
    let Some(bound) = meta.strip_prefix(FORMAT) else {
        return Err(if meta.starts_with(FORMAT_NAME) {
            StoreError::new(StoreErrorKind::Unsupported, OTHER_VERSION)
        } else {
            corrupt("the data file was not written by strongroom")
        });
    };
    let bound = bound.try_into().map_err(|_| corrupt("the counter of revisions is damaged"))?;
    Ok(u64::from_be_bytes(bound))
}

const FORMAT: &[u8] = b"strongroom-redb 1\0";
const FORMAT_NAME: &[u8] = b"strongroom-redb ";
const OTHER_VERSION: &str =
    "the store has another format version: open it with the strongroom-redb that wrote it, or a later one";

/// Large enough that the row is seldom written.
const BLOCK_LEN: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, WriteTransaction};

    use super::*;
    use crate::row::{TABLE, rows};

    fn transaction() -> WriteTransaction {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        db.begin_write().unwrap()
    }

    #[test]
    fn a_start_draws_above_everything_that_was_kept() {
        let transaction = transaction();
        let mut table = transaction.open_table(rows(TABLE)).unwrap();
        let mut revisions = Revisions::create(&mut table).unwrap();
        for _ in 0..3 * BLOCK_LEN {
            let drawn = revisions.draw();
            revisions.keep(&mut table).unwrap();
            assert!(Revisions::read(&table).unwrap().draw() > drawn);
        }
    }

    #[test]
    fn transactions_in_turn_draw_each_revision_once_and_skip_none() {
        let transaction = transaction();
        let mut table = transaction.open_table(rows(TABLE)).unwrap();
        let first = Revisions::create(&mut table).unwrap().bound + 1;
        for expected in first..first + 100 {
            let mut revisions = Revisions::read_shared(&table).unwrap();
            assert_eq!(revisions.draw(), RowRevision(expected));
            revisions.keep(&mut table).unwrap();
        }
    }

    #[test]
    fn what_strongroom_did_not_write_is_refused() {
        let transaction = transaction();
        let mut table = transaction.open_table(rows(TABLE)).unwrap();
        assert_eq!(Revisions::read(&table).unwrap_err().kind(), StoreErrorKind::Corrupt);
        for (meta, kind) in [
            (b"strongroom-redb 2\0".as_slice(), StoreErrorKind::Unsupported),
            (b"strongroom-redb 1\0bound", StoreErrorKind::Corrupt),
            (b"something else", StoreErrorKind::Corrupt),
        ] {
            table.insert(META, meta).unwrap();
            assert_eq!(Revisions::read(&table).unwrap_err().kind(), kind);
        }
    }
}
