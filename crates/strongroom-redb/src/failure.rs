//! What can go wrong in redb, as a [`StoreError`].

use std::io;

use redb::Error;
use strongroom_store::{StoreError, StoreErrorKind};

/// A redb error with its cause. redb's texts name pages, tables and types, never the bytes of a row.
pub(crate) fn of_redb(error: impl Into<Error>) -> StoreError {
    let error = error.into();
    let (kind, message) = match &error {
        Error::DatabaseAlreadyOpen => (StoreErrorKind::InUse, ALREADY_OPEN),
        Error::UpgradeRequired(_) => (StoreErrorKind::Unsupported, OTHER_VERSION),
        Error::LockProtocolMismatch => (StoreErrorKind::InUse, OTHER_LOCKS),
        Error::Io(io) if !is_damage(io) => (StoreErrorKind::Unavailable, UNREADABLE),
        Error::PreviousIo => (StoreErrorKind::Unavailable, UNREADABLE),
        _ => (StoreErrorKind::Corrupt, "the data file is damaged"),
    };
    StoreError::new(kind, message).with_source(error)
}

/// A file that ends too early or makes no sense is damaged; the disk is not missing.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

/// Something else is at the place of the store.
pub(crate) fn foreign(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

const ALREADY_OPEN: &str = "the store is already open in another process, or by another handle of this one";
const OTHER_VERSION: &str =
    "the data file is of another version of redb: open it with the program that wrote it";
const OTHER_LOCKS: &str =
    "another process has the file open with a version of redb whose locks differ: end it first";
const UNREADABLE: &str = "the data file could not be read or written";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_ends_too_early_is_damage() {
        let kind = |kind: io::ErrorKind| of_redb(Error::Io(io::Error::from(kind))).kind();
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), StoreErrorKind::Corrupt);
        assert_eq!(kind(io::ErrorKind::StorageFull), StoreErrorKind::Unavailable);
    }
}
