//! The rows and what is done to them, without locks.

use std::collections::BTreeMap;
use std::ops::Bound;

use strongroom::store::{
    Committed, Key, KeyRange, Op, Page, ReadBatch, ReadSet, Revision, Scan, StoreError, StoreErrorKind,
    Versioned, WriteBatch,
};

/// Rows in key order, the revision of the last commit, and whether the store was closed.
#[derive(Default)]
pub(crate) struct State {
    rows: BTreeMap<Key, Versioned>,
    revision: u64,
    closed: bool,
}

impl State {
    pub(crate) fn read(&self, request: &ReadBatch, page_bytes_max: usize) -> Result<ReadSet, StoreError> {
        self.check_open()?;
        Ok(ReadSet {
            gets: request.gets.iter().map(|key| self.rows.get(key).cloned()).collect(),
            scans: request.scans.iter().map(|scan| self.page(scan, page_bytes_max)).collect(),
        })
    }

    /// Applies a checked batch.
    pub(crate) fn commit(&mut self, batch: WriteBatch) -> Result<Committed, StoreError> {
        self.check_open()?;
        let revision_of = |key| self.rows.get(key).map(|row: &Versioned| row.revision);
        if let Some(index) = batch.expect.iter().position(|(key, expect)| !expect.holds(revision_of(key))) {
            return Err(StoreError::conflict(index));
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        for op in batch.ops {
            match op {
                Op::Put(key, value) => self.rows.insert(key, Versioned { value, revision }),
                Op::Delete(key) => self.rows.remove(&key),
            };
        }
        Ok(Committed { revision })
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn rows_len(&self) -> usize {
        self.rows.len()
    }

    fn page(&self, scan: &Scan, page_bytes_max: usize) -> Page {
        // `BTreeMap::range` panics on an inverted range.
        if scan.range.is_empty() {
            return Page::default();
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
    walk: impl Iterator<Item = (&'a Key, &'a Versioned)>,
    scan: &Scan,
    page_bytes_max: usize,
) -> Page {
    let mut page = Page::default();
    let mut bytes_len = 0;
    for (key, row) in walk {
        // The row that reaches the size is still in the page, so a page holds a row where there is one.
        if page.rows.len() >= scan.limit || bytes_len >= page_bytes_max {
            page.more = true;
            break;
        }
        let value = if scan.keys_only { Vec::new() } else { row.value.clone() };
        bytes_len += key.as_bytes().len() + value.len();
        page.rows.push((key.clone(), Versioned { value, revision: row.revision }));
    }
    page
}
