//! Why a record was not sealed or not opened.

use super::DekId;
use crate::random::RandomError;

/// Why a record did not open. Says nothing about what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(unreachable_pub, reason = "public behind the feature `hazmat` only")]
pub enum OpenError {
    /// The bytes are not a record: empty, cut short, or of a length that sealing never produces.
    #[error("the bytes are not a sealed record: their length fits none")]
    Malformed,
    /// The record has a version that this release does not know.
    #[error("the record has version {0}, which this release cannot open: use a newer release")]
    UnknownVersion(u8),
    /// The record has a cipher suite that this release does not know. No other suite is tried.
    #[error("the record has cipher suite {0}, which this release cannot open: use a newer release")]
    UnknownSuite(u8),
    /// The record was sealed under another key.
    #[error("the record was sealed under data key {0}, which is not available")]
    UnknownKey(DekId),
    /// The record was altered, or belongs to another address.
    #[error("the record was refused: it was altered, or it was sealed for another address")]
    Rejected,
}

/// Why a value was not sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the value is too long: its record would be over {} bytes", super::RECORD_LEN_MAX)]
    TooLong,
    #[error(transparent)]
    Random(#[from] RandomError),
}
