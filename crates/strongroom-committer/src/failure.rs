//! The errors of every backend with a committer.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use strongroom_store::{StoreError, StoreErrorKind};

/// Does `work`, and makes an error of a panic. The message of the panic is left out, since it may hold a key.
///
/// # Errors
/// That of `work`, or `Corrupt` for a panic.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(corrupt("the backend panicked over its data file")))
}

/// Data that strongroom did not write, or not in this form.
#[must_use]
pub fn corrupt(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

/// A failure of the file system, and what could not be done.
#[must_use]
pub fn of_io(error: io::Error, message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message).with_source(error)
}

/// The error of every call after `cause`.
pub(crate) fn poisoned(cause: &Arc<StoreError>) -> StoreError {
    let message = "an earlier write could not be made durable: the store must be opened again";
    StoreError::new(StoreErrorKind::Poisoned, message).with_source(Arc::clone(cause))
}

/// The error of every call after `close`.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store was closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_without_its_message() {
        let error = guarded::<()>(|| panic!("secret-key")).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
