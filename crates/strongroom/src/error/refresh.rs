//! Why credentials were not refreshed.

use crate::clock::Timestamp;
use crate::error::ErrorKind;

/// Why [`AppCredentials::refresh`](crate::AppCredentials::refresh) did not refresh, apart from an error of the host's
/// own exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The lease is too short or too long. Nothing was called or written.
    #[error(
        "a lease lasts from 1 second to 1 hour: choose one that is longer than the provider takes to answer"
    )]
    LeaseOutOfBounds,
    /// A token that is still good lives shorter than the lease lasts. Nothing was called or written.
    #[error("the lease outlasts a token: choose a shorter one")]
    LeaseOutlivesToken,
    /// A refresh began and nobody knows how it ended: its process died or was paused, or its answer was lost. The
    /// credentials are as they were before it, and the provider may have used them up.
    #[error(
        "a refresh of the credentials began at {since} and its outcome is unknown: \
         try the credentials that are kept, or connect again"
    )]
    Uncertain {
        /// When it began.
        since: Timestamp,
    },
    /// The provider said that the credentials are not valid, to whoever tried to refresh them. Nothing was called.
    #[error(
        "the provider rejected the credentials at a refresh that began at {since}: \
         the customer has to connect again"
    )]
    Rejected {
        /// When that refresh began.
        since: Timestamp,
    },
    /// Another caller was to refresh the credentials, and could not, or not in the time that this one waits.
    #[error("another caller was refreshing the credentials and did not succeed in time: try again later")]
    StillStale,
}

impl RefreshError {
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::LeaseOutOfBounds | Self::LeaseOutlivesToken => ErrorKind::Invalid,
            Self::Uncertain { .. } => ErrorKind::Indeterminate,
            Self::Rejected { .. } => ErrorKind::Refused,
            Self::StillStale => ErrorKind::Busy,
        }
    }
}
