//! Snapshots, on connections that each serve one reader at a time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use strongroom_store::{
    KEY_BYTES_MAX, Key, Page, ReadBatch, ReadSet, RowRevision, Scan, StoreError, Versioned,
};

use crate::failure::of_sqlite;
use crate::file;

/// As many connections as there were concurrent readers.
pub(crate) struct Pool {
    pub(crate) path: PathBuf,
    pub(crate) prefix: String,
    pub(crate) idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// The answer to `request`, as of the newest commit.
    pub(crate) fn read(&self, request: &ReadBatch, page_bytes_max: usize) -> Result<ReadSet, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = idle.map_or_else(|| file::connect(&self.path), Ok)?;
        let snapshot = connection.transaction().map_err(of_sqlite)?;
        let gets = request.gets.iter().map(|key| self.get(&snapshot, key)).collect::<Result<_, _>>()?;
        let pages = request.scans.iter().map(|scan| self.page(&snapshot, scan, page_bytes_max));
        let scans = pages.collect::<Result<_, _>>()?;
        drop(snapshot);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(ReadSet { gets, scans })
    }

    fn get(&self, snapshot: &Connection, key: &Key) -> Result<Option<Versioned>, StoreError> {
        let text = format!("SELECT v, rev FROM {}_rows WHERE k = ?1", self.prefix);
        let mut get = snapshot.prepare_cached(&text).map_err(of_sqlite)?;
        get.query_row([key.as_bytes()], |row| versioned(row, 0)).optional().map_err(of_sqlite)
    }

    fn page(&self, snapshot: &Connection, scan: &Scan, bytes_max: usize) -> Result<Page, StoreError> {
        let value = if scan.keys_only { "x''" } else { "v" };
        let order = if scan.reverse { "DESC" } else { "ASC" };
        let prefix = &self.prefix;
        let text =
            format!("SELECT k, {value}, rev FROM {prefix}_rows WHERE k >= ?1 AND k < ?2 ORDER BY k {order}");
        let mut walk = snapshot.prepare_cached(&text).map_err(of_sqlite)?;
        let end = scan.range.end.as_deref().unwrap_or(&AFTER_EVERY_KEY);
        let rows = walk.query_map([&scan.range.start, end], |row| {
            Ok((Key::from(row.get_ref(0)?.as_blob()?), versioned(row, 1)?))
        });
        Page::fill(scan, bytes_max, rows.map_err(of_sqlite)?, |row| row.map_err(of_sqlite))
    }
}

/// The value at a column and the revision after it. A value of another type, which some other program has put there, is
/// not a row that the engine can open: the engine reports that for this row, and the other rows stay readable.
fn versioned(row: &Row<'_>, column: usize) -> rusqlite::Result<Versioned> {
    let value = match row.get_ref(column)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes.to_vec(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Vec::new(),
    };
    Ok(Versioned { value, revision: RowRevision(row.get(column + 1)?) })
}

const AFTER_EVERY_KEY: [u8; KEY_BYTES_MAX + 1] = [0xff; KEY_BYTES_MAX + 1];
