//! What can go wrong in sled and on the disk, as a [`StoreError`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use strongroom::store::{StoreError, StoreErrorKind};

/// A failure of sled with its cause. sled's texts name files, offsets and pages, never the bytes of a row.
pub(crate) fn of_sled(error: sled::Error) -> StoreError {
    let (kind, message) = match &error {
        // A file that ends too early is damage, not a disk that is away.
        sled::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => DAMAGED,
        sled::Error::Io(_) => (StoreErrorKind::Unavailable, "the data file could not be read or written"),
        sled::Error::Unsupported(_) => (StoreErrorKind::Unsupported, "sled cannot open this data file"),
        _ => DAMAGED,
    };
    StoreError::new(kind, message).with_source(error)
}

/// A failure of the file system, and what was to be done.
pub(crate) fn of_io(error: io::Error, message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message).with_source(error)
}

/// Data that this crate did not write, or not so.
pub(crate) fn corrupt(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

/// The refusal of everything after `cause`.
pub(crate) fn poisoned(cause: &Arc<StoreError>) -> StoreError {
    let message = "an earlier write could not be made durable: the store must be opened again";
    StoreError::new(StoreErrorKind::Poisoned, message).with_source(Arc::clone(cause))
}

/// The refusal of everything after `close`.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store was closed")
}

/// Does `work`, and makes an error of a panic. The message of the panic is left out, since it may hold a key.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(corrupt("sled panicked over its data file")))
}

const DAMAGED: (StoreErrorKind, &str) = (StoreErrorKind::Corrupt, "the data file is damaged");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_without_its_message() {
        let error = guarded::<()>(|| panic!("secret-key")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_file_that_ends_too_early_is_damage() {
        let kind = |kind: io::ErrorKind| of_sled(io::Error::from(kind).into()).kind();
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), StoreErrorKind::Corrupt);
        assert_eq!(kind(io::ErrorKind::StorageFull), StoreErrorKind::Unavailable);
    }
}
