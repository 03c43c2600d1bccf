//! Which status, type and code each error of the engine has over HTTP.

use axum::http::StatusCode;
use serde::Serialize;
use strongroom::Error;
use strongroom::store::StoreErrorKind;
use utoipa::ToSchema;

/// How an error of the engine is shown over HTTP. A host with routes of its own can use the same table.
///
/// ```
/// use strongroom_http::{ErrorCode, ErrorStatus, HttpErrorType};
/// let status = ErrorStatus::of(&strongroom::Error::DuplicateCredentialKey);
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
        let fault = if let Error::Store(store) = error { of_store(&store.kind()) } else { of_engine(error) };
        let status = fault.status();
        Self { status: status.as_u16(), http_error_type: HttpErrorType::of(status), code: fault.code() }
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

/// Whose fault an error of the engine is, as far as a client can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The request breaks a rule.
    Request,
    /// The request names something that does not exist.
    Missing,
    /// The service or its store is broken or set up wrongly: an operator has to act.
    Service,
    /// The same request may succeed later.
    Moment,
}

impl Fault {
    fn status(self) -> StatusCode {
        match self {
            Self::Request => StatusCode::BAD_REQUEST,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Service => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Moment => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(self) -> ErrorCode {
        match self {
            Self::Request => ErrorCode::ServerError,
            Self::Missing => ErrorCode::ResourceNotFound,
            Self::Service | Self::Moment => ErrorCode::InternalServerError,
        }
    }
}

/// A function from the variants of an enum to faults, and the same as a list of names, with which a test compares the
/// documentation.
macro_rules! faults {
    ($of:ident, $names:ident, $error:ident { $($fault:ident: $($variant:ident),+;)+ }) => {
        fn $of(error: &$error) -> Fault {
            match error {
                $($($error::$variant { .. } => Fault::$fault,)+)+
                // Only for variants of a later engine: the lint on wildcards fails the build for one that is missing.
                _ => Fault::Service,
            }
        }

        #[cfg(test)]
        const $names: &[(Fault, &[&str])] = &[$((Fault::$fault, &[$(stringify!($variant)),+])),+];
    };
}

faults! { of_engine, ENGINE, Error {
    Missing: DefinitionNotFound, AccountNotFound, IntegrationNotFound, SlotNotFound, OrgNotFound;
    Request:
        InvalidId, UnknownScope, InvalidFormat, InvalidPattern, InvalidDefinition, InvalidDefault, InvalidValue,
        ValueMismatch, TooLong, InvalidNamePattern, InvalidCursor, DefinitionExists, TooManyDefinitions,
        ScopeNotAllowed, ScopeInUse, DuplicateValue, DuplicateCredentialKey, DuplicateRecord, AccountExists,
        ForeignRecord, Unexpected;
    Moment: Contended, Locked;
    Service:
        Indeterminate, NotInitialised, AlreadyInitialised, ForeignStore, UnexpectedVault, NoSuchSlot, WrongKey,
        InvalidKey, KeyFile, Provider, LastSlot, KeyShredded, TooManySlots, RootRotated, RotationUnderway,
        SlotNotPresented, KeyDerivation, KeyDerivationThread, UnknownVersion, UnknownKey, Damaged, BadBackup,
        BackupFile, Retired, OrgNotEmpty, CopyDiffers, Unfinished, Random, Store;
}}

faults! { of_store, STORE, StoreErrorKind {
    Request: TooLarge;
    Moment: Contention, Unavailable, Closed;
    Service: Conflict, Indeterminate, Corrupt, Poisoned, Unsupported;
}}

#[cfg(test)]
mod tests {
    use strongroom::store::StoreError;

    use super::*;

    /// The table of `docs/HTTP.md`, as this file has it.
    fn table() -> String {
        let mut table = String::from("| [`strongroom::Error`] | status |\n|---|---|\n");
        for fault in [Fault::Request, Fault::Missing, Fault::Service, Fault::Moment] {
            let of_fault = |names: &[(Fault, &[&'static str])]| -> Vec<&'static str> {
                names
                    .iter()
                    .filter(|(of, _)| *of == fault)
                    .flat_map(|(_, names)| names.iter().copied())
                    .collect()
            };
            let engine = of_fault(ENGINE).into_iter().filter(|name| *name != "Store");
            let mut names: Vec<_> = engine.map(|name| format!("`{name}`")).collect();
            names.extend(of_fault(STORE).iter().map(|kind| format!("`Store` with `{kind}`")));
            table += &format!("| {} | {} |\n", names.join(", "), fault.status().as_u16());
        }
        table
    }

    #[test]
    fn the_documented_table_of_errors_is_that_of_the_code() {
        let table = table();
        assert!(include_str!("../docs/HTTP.md").contains(&table), "docs/HTTP.md must contain:\n\n{table}");
    }

    #[test]
    fn a_failed_store_is_told_apart_by_its_kind() {
        let status = |kind| ErrorStatus::of(&StoreError::new(kind, "").into()).status;
        assert_eq!(status(StoreErrorKind::TooLarge), 400);
        assert_eq!(status(StoreErrorKind::Unavailable), 503);
        assert_eq!(status(StoreErrorKind::Corrupt), 500);
    }
}
