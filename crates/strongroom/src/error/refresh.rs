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
    /// The lease is longer than the lifetime of the tokens from the last refresh, which are still good. Nothing was
    /// called or written. A token that the host has set itself is not refused for this, however little of its lifetime
    /// is left, and neither is one that has expired.
    #[error("the lease outlasts the tokens that the provider gives: choose a shorter one")]
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
    /// The provider rejected the credentials as invalid when a caller tried to refresh them. Nothing was called, unless
    /// by a caller that took over from this one after its lease had ended.
    #[error(
        "the provider rejected the credentials at a refresh that began at {since}: \
         the customer has to connect again"
    )]
    Rejected {
        /// When that refresh began.
        since: Timestamp,
    },
    /// `seen` belongs to another account, integration or connection. Nothing was called.
    #[error(
        "these credentials are of another integration or connection: pass what `get_all` of this one returned"
    )]
    OfAnother,
    /// The exchange returned neither credentials nor an error. The kept ones may be used up: the outcome is uncertain.
    #[error(
        "a refresh that began at {since} returned no credentials, so its outcome is unknown: \
         let the exchange return `Unrefreshed` if the provider issued none"
    )]
    NothingIssued {
        /// When it began.
        since: Timestamp,
    },
    /// The provider issued credentials that cannot be stored: their key name is invalid or given twice, or their value
    /// is too long. The others are stored. In place of the refused ones the old credentials are kept, which the
    /// provider may have used up: the outcome is uncertain.
    #[error(
        "{refused} of the credentials that a refresh returned cannot be stored, the first at index {first}, \
         and {stored} were stored: check their key names and lengths, and connect again"
    )]
    AnswerRefused {
        /// When the refresh began.
        since: Timestamp,
        /// The index of the first of them in what the exchange returned.
        first: usize,
        /// How many there are.
        refused: usize,
        /// How many credentials can be stored. They are, unless somebody wrote the same ones meanwhile.
        stored: usize,
    },
    /// The account or the connection was deleted while the provider answered, and may have been added again. The issued
    /// credentials are not stored: only the exchange has seen them. So let it keep what is needed to revoke a token.
    #[error(
        "the account or its connection was deleted during a refresh that began at {since}, and what the provider \
         issued is stored nowhere: revoke it at the provider"
    )]
    Gone {
        /// When the refresh began.
        since: Timestamp,
    },
    /// Another caller was refreshing the credentials, but failed, or took longer than this one waits.
    #[error("another caller was refreshing the credentials and did not succeed in time: try again later")]
    StillStale,
}

impl RefreshError {
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::LeaseOutOfBounds | Self::LeaseOutlivesToken | Self::OfAnother => ErrorKind::Invalid,
            Self::Uncertain { .. } | Self::NothingIssued { .. } | Self::AnswerRefused { .. } => {
                ErrorKind::Indeterminate
            }
            Self::Rejected { .. } => ErrorKind::Refused,
            Self::Gone { .. } => ErrorKind::NotFound,
            Self::StillStale => ErrorKind::Busy,
        }
    }
}
