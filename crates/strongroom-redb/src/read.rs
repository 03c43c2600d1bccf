//! Gets and bounded walks over one snapshot.

use std::ops::Bound;

use redb::{AccessGuard, Range, ReadOnlyTable, ReadableDatabase, StorageError};
use strongroom_committer::corrupt;
use strongroom_store::{Key, KeyRange, Page, ReadBatch, ReadSet, Scan, StoreError, Versioned};

use crate::failure::of_redb;
use crate::row::{self, Bytes, META};

/// The rows as of one transaction.
///
/// If nobody else writes, one is opened after each commit and shared by all readers until the next: beginning a
/// transaction takes locks and looks the table up, which costs more than a get.
pub(crate) struct Snapshot(ReadOnlyTable<Bytes, Bytes>);

impl Snapshot {
    pub(crate) fn newest(db: &impl ReadableDatabase, table: &str) -> Result<Self, StoreError> {
        let transaction = db.begin_read().map_err(of_redb)?;
        transaction.open_table(row::rows(table)).map(Self).map_err(of_redb)
    }

    pub(crate) fn read(&self, request: &ReadBatch, page_bytes_max: usize) -> Result<ReadSet, StoreError> {
        let page = |scan| self.page(scan, page_bytes_max);
        Ok(ReadSet {
            gets: request.gets.iter().map(|key| self.get(key)).collect::<Result<_, _>>()?,
            scans: request.scans.iter().map(page).collect::<Result<_, _>>()?,
        })
    }

    fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        let found = self.0.get(key.as_bytes()).map_err(of_redb)?;
        found.map(|stored| row::versioned(stored.value())).transpose()
    }

    fn page(&self, scan: &Scan, page_bytes_max: usize) -> Result<Page, StoreError> {
        if scan.range.is_empty() {
            return Ok(Page::default());
        }
        let walk: Range<'_, Bytes, Bytes> = self.0.range::<&[u8]>(bounds(&scan.range)).map_err(of_redb)?;
        if scan.reverse {
            return fill_page(walk.rev(), scan, page_bytes_max);
        }
        fill_page(walk, scan, page_bytes_max)
    }
}

/// The ends of a range that is not inverted, without the row of the store itself.
fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let start = range.start.as_slice();
    let start = if start == META { Bound::Excluded(start) } else { Bound::Included(start) };
    (start, range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
}

type Entry<'a> = (AccessGuard<'a, Bytes>, AccessGuard<'a, Bytes>);

fn fill_page<'a>(
    walk: impl Iterator<Item = Result<Entry<'a>, StorageError>>,
    scan: &Scan,
    page_bytes_max: usize,
) -> Result<Page, StoreError> {
    Page::fill(scan, page_bytes_max, walk, |entry| {
        let (key, stored) = entry.map_err(of_redb)?;
        if key.value().is_empty() {
            return Err(corrupt("a row has no key"));
        }
        let (revision, value) = row::split(stored.value())?;
        let value = if scan.keys_only { Vec::new() } else { value.to_vec() };
        Ok((Key::from(key.value()), Versioned { value, revision }))
    })
}
