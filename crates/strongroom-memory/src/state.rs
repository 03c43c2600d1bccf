//! The rows and what is done to them, without locks.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::quality::RandomState;

use strongroom_store::{
    Committed, Key, KeyRange, Op, Page, ReadBatch, ReadSet, RowRevision, Scan, StoreError, StoreErrorKind,
    Versioned, WriteBatch,
};

/// The rows, the revision of the last commit, and whether the store was closed.
#[derive(Default)]
pub(crate) struct State {
    /// In key order, for scans.
    rows: BTreeMap<Key, Row>,
    /// The same rows by key, for gets: a search in the order costs several times as much.
    index: HashMap<Key, Row, RandomState>,
    revision: u64,
    closed: bool,
}

/// A row that both maps hold; the bytes stand in memory once.
#[derive(Clone)]
struct Row {
    value: Arc<[u8]>,
    revision: RowRevision,
}

impl Row {
    fn to_versioned(&self) -> Versioned {
        Versioned { value: self.value.to_vec(), revision: self.revision }
    }
}

impl State {
    pub(crate) fn read(&self, request: &ReadBatch, page_bytes_max: usize) -> Result<ReadSet, StoreError> {
        self.check_open()?;
        Ok(ReadSet {
            gets: request.gets.iter().map(|key| self.index.get(key).map(Row::to_versioned)).collect(),
            scans: request
                .scans
                .iter()
                .map(|scan| self.page(scan, page_bytes_max))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Applies a checked batch.
    pub(crate) fn commit(&mut self, batch: WriteBatch) -> Result<Committed, StoreError> {
        self.check_open()?;
        let revision_of = |key| self.index.get(key).map(|row| row.revision);
        if let Some(index) = batch.expect.iter().position(|(key, expect)| !expect.holds(revision_of(key))) {
            return Err(StoreError::conflict(index));
        }
        self.revision += 1;
        let revision = RowRevision(self.revision);
        for op in batch.ops {
            match op {
                Op::Put(key, value) => self.put(key, Row { value: value.into(), revision }),
                Op::Delete(key) => self.delete(&key),
            }
        }
        Ok(Committed { revision })
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn rows_len(&self) -> usize {
        self.rows.len()
    }

    fn put(&mut self, key: Key, row: Row) {
        self.rows.insert(key.clone(), row.clone());
        self.index.insert(key, row);
    }

    fn delete(&mut self, key: &Key) {
        self.rows.remove(key);
        self.index.remove(key);
    }

    fn page(&self, scan: &Scan, page_bytes_max: usize) -> Result<Page, StoreError> {
        // `BTreeMap::range` panics on an inverted range.
        if scan.range.is_empty() {
            return Ok(Page::default());
        }
        let rows = self.rows.range::<[u8], _>(bounds(&scan.range));
        if scan.reverse {
            return fill_page(rows.rev(), scan, page_bytes_max);
        }
        fill_page(rows, scan, page_bytes_max)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::new(StoreErrorKind::Closed, "the memory store was closed"));
        }
        Ok(())
    }
}

/// The ends of a range that is not inverted, borrowed.
fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(&range.start), end)
}

fn fill_page<'a>(
    walk: impl Iterator<Item = (&'a Key, &'a Row)>,
    scan: &Scan,
    page_bytes_max: usize,
) -> Result<Page, StoreError> {
    Page::fill(scan, page_bytes_max, walk, |(key, row)| {
        let value = if scan.keys_only { Vec::new() } else { row.value.to_vec() };
        Ok((key.clone(), Versioned { value, revision: row.revision }))
    })
}
