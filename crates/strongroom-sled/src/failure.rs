//! What can go wrong in sled, as a [`StoreError`].

use std::io;

use strongroom_store::{StoreError, StoreErrorKind};

/// A sled error with its cause. sled's texts name files, offsets and pages, never the bytes of a row.
pub(crate) fn of_sled(error: sled::Error) -> StoreError {
    let (kind, message) = match &error {
        // A file that ends too early is damaged; the disk is not missing.
        sled::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => DAMAGED,
        sled::Error::Io(_) => (StoreErrorKind::Unavailable, "the data file could not be read or written"),
        sled::Error::Unsupported(_) => (StoreErrorKind::Unsupported, "sled cannot open this data file"),
        _ => DAMAGED,
    };
    StoreError::new(kind, message).with_source(error)
}

const DAMAGED: (StoreErrorKind, &str) = (StoreErrorKind::Corrupt, "the data file is damaged");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_ends_too_early_is_damage() {
        let kind = |kind: io::ErrorKind| of_sled(io::Error::from(kind).into()).kind();
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), StoreErrorKind::Corrupt);
        assert_eq!(kind(io::ErrorKind::StorageFull), StoreErrorKind::Unavailable);
    }
}
