//! Gets and bounded walks over one tree.

use sled::{Db, IVec};
use strongroom_store::{Key, Page, ReadBatch, ReadSet, Scan, StoreError, Versioned};

use crate::failure::of_sled;
use crate::row;

/// The answer to `request`. The caller keeps writers out meanwhile, since sled's walks are not snapshots.
pub(crate) fn read(db: &Db, request: &ReadBatch, page_bytes_max: usize) -> Result<ReadSet, StoreError> {
    Ok(ReadSet {
        gets: request.gets.iter().map(|key| get(db, key)).collect::<Result<_, _>>()?,
        scans: request.scans.iter().map(|scan| page(db, scan, page_bytes_max)).collect::<Result<_, _>>()?,
    })
}

fn get(db: &Db, key: &Key) -> Result<Option<Versioned>, StoreError> {
    let found = db.get(row::tree_key(key.as_bytes())).map_err(of_sled)?;
    found.map(|value| row::versioned(&value)).transpose()
}

fn page(db: &Db, scan: &Scan, page_bytes_max: usize) -> Result<Page, StoreError> {
    if scan.range.is_empty() {
        return Ok(Page::default());
    }
    let walk = db.range(row::tree_range(&scan.range));
    if scan.reverse {
        return fill_page(walk.rev(), scan, page_bytes_max);
    }
    fill_page(walk, scan, page_bytes_max)
}

fn fill_page(
    walk: impl Iterator<Item = sled::Result<(IVec, IVec)>>,
    scan: &Scan,
    page_bytes_max: usize,
) -> Result<Page, StoreError> {
    Page::fill(scan, page_bytes_max, walk, |entry| {
        let (tree_key, tree_value) = entry.map_err(of_sled)?;
        let (revision, value) = row::split(&tree_value)?;
        let value = if scan.keys_only { Vec::new() } else { value.to_vec() };
        Ok((row::key(&tree_key)?, Versioned { value, revision }))
    })
}
