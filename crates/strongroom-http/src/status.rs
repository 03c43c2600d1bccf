//! The status, type and code of each kind of engine error over HTTP.

use axum::http::StatusCode;
use serde::Serialize;
use strongroom::{Error, ErrorKind};
use utoipa::ToSchema;

use crate::disk::is_full_disk;

/// How an error of the engine is shown over HTTP. A host with routes of its own can use the same table.
///
/// ```
/// use strongroom_http::{ErrorCode, ErrorStatus, HttpErrorType};
/// let status = ErrorStatus::of(&strongroom::Error::Invalid(strongroom::Invalid::DuplicateCredentialKey));
/// assert_eq!(status.status, 400);
/// assert_eq!(status.http_error_type, HttpErrorType::BadRequest);
/// assert_eq!(status.code, ErrorCode::ServerError);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorStatus {
    /// The HTTP status.
    pub status: u16,
    /// The class of the error.
    pub http_error_type: HttpErrorType,
    /// The code of the error.
    pub code: ErrorCode,
}

/// The code of an error, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = Code)]
pub enum ErrorCode {
    /// `SERVER_ERROR`: any other refusal of a request.
    ServerError,
    /// `RESOURCE_NOT_FOUND`.
    ResourceNotFound,
    /// `INVALID_TOKEN`.
    InvalidToken,
    /// `INVALID_LINKED_ACCOUNT_ID`.
    InvalidLinkedAccountId,
    /// `INTERNAL_SERVER_ERROR`: the service failed, or cannot serve the request now.
    InternalServerError,
}

/// The class of an error, a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HttpErrorType {
    /// `BAD_REQUEST`: any 4xx that has no class of its own.
    BadRequest,
    /// `UNAUTHORIZED`.
    Unauthorized,
    /// `NOT_FOUND`.
    NotFound,
    /// `INTERNAL_SERVER_ERROR`: any 5xx.
    InternalServerError,
}

impl ErrorStatus {
    /// The status of `error`. A kind of error that this release does not know is a 500.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let status = if is_full_disk(error) {
            StatusCode::INSUFFICIENT_STORAGE
        } else if matches!(error, Error::RootRotated | Error::Retired | Error::RestoreUnfinished(_)) {
            // Until the vault is opened with the root key from another process, or in the store that it was moved to,
            // or the restore is finished.
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            status_of(error.kind())
        };
        let code = match status {
            StatusCode::BAD_REQUEST => ErrorCode::ServerError,
            StatusCode::NOT_FOUND => ErrorCode::ResourceNotFound,
            _ => ErrorCode::InternalServerError,
        };
        Self { status: status.as_u16(), http_error_type: HttpErrorType::of(status), code }
    }
}

impl HttpErrorType {
    /// The class of a status.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::NOT_FOUND => Self::NotFound,
            status if status.is_server_error() => Self::InternalServerError,
            _ => Self::BadRequest,
        }
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::Conflict => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Busy | ErrorKind::Locked => StatusCode::SERVICE_UNAVAILABLE,
        // The first four are for an operator to act on. A kind of a later engine is unknown.
        ErrorKind::Indeterminate | ErrorKind::Key | ErrorKind::Damaged | ErrorKind::Refused | _ => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom::store::{StoreError, StoreErrorKind};

    use super::*;

    #[test]
    fn a_failed_store_is_told_apart_by_its_kind() {
        let status = |kind| ErrorStatus::of(&StoreError::new(kind, "").into()).status;
        assert_eq!(status(StoreErrorKind::TooLarge), 400);
        assert_eq!(status(StoreErrorKind::Unavailable), 503);
        assert_eq!(status(StoreErrorKind::Corrupt), 500);
    }
}
