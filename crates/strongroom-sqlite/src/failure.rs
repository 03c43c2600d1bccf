//! What can go wrong in SQLite, as a [`StoreError`].

use std::sync::Arc;

use rusqlite::{Error, ErrorCode};
use strongroom_store::{StoreError, StoreErrorKind};

/// A SQLite error with its cause, which several batches may share. SQLite's texts name tables and statements, never the
/// bytes of a row.
pub(crate) fn of_sqlite(error: impl Into<Arc<Error>>) -> StoreError {
    let error = error.into();
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (StoreErrorKind::Contention, "another program writes to the file for too long")
        }
        Some(ErrorCode::NotADatabase) => {
            (StoreErrorKind::Unsupported, "the file is not an SQLite database: choose another path")
        }
        Some(ErrorCode::DatabaseCorrupt) => (StoreErrorKind::Corrupt, "the database file is damaged"),
        // In the words of `io::ErrorKind::StorageFull`, by which a full disk is known whatever the store.
        Some(ErrorCode::DiskFull) => {
            (StoreErrorKind::Unavailable, "the database file could not be written: no storage space")
        }
        Some(_) => (StoreErrorKind::Unavailable, "the database file could not be read or written"),
        None => (StoreErrorKind::Corrupt, "the tables hold something that strongroom did not write"),
    };
    StoreError::new(kind, message).with_source(error)
}

/// Something that cannot be a store of this kind.
pub(crate) fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_as_the_system_names_it() {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        let error = of_sqlite(Error::SqliteFailure(full, None));
        assert!(error.to_string().contains(&std::io::ErrorKind::StorageFull.to_string()), "{error}");
    }
}
