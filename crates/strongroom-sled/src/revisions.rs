//! The format of the tree and the counter of revisions: the rows that no scan returns.

use sled::Db;
use strongroom_committer::corrupt;
use strongroom_store::{RowRevision, StoreError, StoreErrorKind};

use crate::failure::of_sled;
use crate::row::META;

/// The source of revisions. It reserves them in blocks: the disk holds a bound that no revision has reached.
///
/// A counter written with every batch would work too, but its row shares a leaf with up to fifteen rows of the user,
/// and sled writes the whole leaf again at every tenth change.
#[derive(Debug)]
pub(crate) struct Revisions {
    last: u64,
    bound: u64,
}

impl Revisions {
    /// Checks that `db` is a store of this format, or makes an empty one into such a store. Reserves the first block.
    ///
    /// The caller makes it durable before the first revision is drawn.
    pub(crate) fn start(db: &Db) -> Result<Self, StoreError> {
        check_format(db)?;
        let last = bound(db)?;
        let mut batch = sled::Batch::default();
        batch.insert(&FORMAT_KEY, FORMAT);
        let revisions = Self { last, bound: reserve(last, &mut batch) };
        db.apply_batch(batch).map_err(of_sled)?;
        Ok(revisions)
    }

    /// A revision never drawn before. Half a block ahead of need it adds the next reservation to `batch`, so that
    /// the bound is durable before a revision reaches it, even one that a reader sees before its own sync.
    pub(crate) fn draw(&mut self, batch: &mut sled::Batch) -> RowRevision {
        self.last += 1;
        if self.bound - self.last < BLOCK_LEN / 2 {
            self.bound = reserve(self.bound, batch);
        }
        RowRevision(self.last)
    }
}

fn check_format(db: &Db) -> Result<(), StoreError> {
    if db.tree_names().len() > 1 {
        return Err(corrupt("the data file holds trees that strongroom did not write"));
    }
    match db.get(FORMAT_KEY).map_err(of_sled)? {
        Some(format) if format == FORMAT => Ok(()),
        Some(format) if format.starts_with(FORMAT_NAME) => Err(StoreError::new(
            StoreErrorKind::Unsupported,
            "the store has another format version: open it with the strongroom-sled that wrote it, or a later one",
        )),
        None if db.is_empty() => Ok(()),
        _ => Err(corrupt("the data file was not written by strongroom")),
    }
}

fn bound(db: &Db) -> Result<u64, StoreError> {
    let Some(bytes) = db.get(BOUND_KEY).map_err(of_sled)? else { return Ok(0) };
    let bytes = bytes.as_ref().try_into().map_err(|_| corrupt("the counter of revisions is damaged"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn reserve(bound: u64, batch: &mut sled::Batch) -> u64 {
    let next = bound + BLOCK_LEN;
    batch.insert(&BOUND_KEY, &next.to_be_bytes());
    next
}

const FORMAT_KEY: [u8; 2] = [META, b'f'];
const BOUND_KEY: [u8; 2] = [META, b'r'];
const FORMAT: &[u8] = b"strongroom-sled 1";
const FORMAT_NAME: &[u8] = b"strongroom-sled ";

/// Far more than the batches of one group, each of which draws one.
const BLOCK_LEN: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Db) {
        let directory = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(directory.path()).flush_every_ms(None).open().unwrap();
        (directory, db)
    }

    #[test]
    fn a_revision_never_reaches_the_bound_on_disk() {
        let (_directory, db) = database();
        let mut revisions = Revisions::start(&db).unwrap();
        for _ in 0..2 * BLOCK_LEN {
            let mut batch = sled::Batch::default();
            assert!(revisions.draw(&mut batch).0 < bound(&db).unwrap());
            db.apply_batch(batch).unwrap();
        }
    }

    #[test]
    fn a_start_draws_above_every_earlier_start() {
        let (_directory, db) = database();
        let mut batch = sled::Batch::default();
        let first = Revisions::start(&db).unwrap().draw(&mut batch);
        assert!(Revisions::start(&db).unwrap().draw(&mut batch) > first);
    }

    #[test]
    fn what_strongroom_did_not_write_is_refused_and_kept_as_it_is() {
        let future = (FORMAT_KEY.to_vec(), b"strongroom-sled 2".to_vec());
        let stranger = (b"k".to_vec(), b"v".to_vec());
        for (row, kind) in [(future, StoreErrorKind::Unsupported), (stranger, StoreErrorKind::Corrupt)] {
            let (_directory, db) = database();
            db.insert(&row.0, row.1).unwrap();
            let before = db.checksum().unwrap();
            assert_eq!(Revisions::start(&db).unwrap_err().kind(), kind);
            assert_eq!(db.checksum().unwrap(), before);
        }
    }

    #[test]
    fn a_second_tree_is_refused() {
        let (_directory, db) = database();
        db.open_tree("another").unwrap();
        assert_eq!(Revisions::start(&db).unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
}
