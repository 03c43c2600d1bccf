//! What can go wrong at the server and on the way, as a [`StoreError`].
//!
//! A server's text may quote a key (a unique violation does), so only the five characters of the SQLSTATE are passed
//! on.

use std::io;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use strongroom_store::{StoreError, StoreErrorKind};
use tokio_postgres::Error;

/// The server's code for what went wrong; the manual of PostgreSQL lists them.
#[derive(Debug, thiserror::Error)]
#[error("SQLSTATE {0}")]
struct Code(String);

/// A failure of one attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    pub(crate) retry: Retry,
}

/// Whether an immediate retry may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Another writer was in the way, or a read lost its connection.
    Again,
    /// The session no longer takes writes, for example because its server became a standby. Another session may lead to
    /// another server.
    OnAnotherSession,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let retry = if error.kind() == StoreErrorKind::Contention { Retry::Again } else { Retry::Never };
        Self { error, retry }
    }
}

/// A statement that changes nothing, or whose transaction was certainly undone.
pub(crate) fn of_read(error: Error) -> Failure {
    match code(&error) {
        Some(_) => of_answer(error).into(),
        None => {
            Failure { error: unavailable("the connection was lost").with_cause(error), retry: Retry::Again }
        }
    }
}

/// A statement of a transaction that is not committed.
pub(crate) fn of_write(error: Error) -> Failure {
    match code(&error) {
        Some(READ_ONLY) => Failure { error: of_answer(error), retry: Retry::OnAnotherSession },
        Some(_) => of_answer(error).into(),
        None => indeterminate("the connection was lost before the server answered").with_cause(error).into(),
    }
}

/// The `COMMIT` itself: unless it was certainly undone, it may be done.
pub(crate) fn of_commit(error: Error) -> Failure {
    let surely_undone = code(&error).is_some_and(|code| code.starts_with("40") && code != UNKNOWN_COMPLETION);
    if surely_undone {
        return of_answer(error).into();
    }
    indeterminate("the server did not say whether it committed").with_cause(error).into()
}

/// A transaction that is one statement: its error may be one of its commit, so unless it was certainly undone, it may
/// be done.
pub(crate) fn of_whole(error: Error) -> Failure {
    let is_surely_undone = |code: &str| {
        // Errors that come before a commit, by the server's code or by its class.
        matches!(code, "55P03" | "57014" | RACED | READ_ONLY)
            || matches!(code.get(..2), Some("0A" | "22" | "23" | "26" | "40" | "42" | "54"))
                && code != UNKNOWN_COMPLETION
    };
    if code(&error).is_some_and(is_surely_undone) { of_write(error) } else { of_commit(error) }
}

/// A connection that could not be made.
pub(crate) fn of_connect(error: Error) -> StoreError {
    match code(&error) {
        Some(code) if code.starts_with("28") => unavailable("the server refused the user or its password"),
        Some("3D000") => unavailable("the server has no such database"),
        Some(code) if code.starts_with("53") => unavailable("the server takes no more connections"),
        _ => unavailable(of_handshake(&error).unwrap_or("no connection to the server could be made")),
    }
    .with_cause(error)
}

/// Why TLS failed.
fn of_handshake(error: &Error) -> Option<&'static str> {
    let source = std::error::Error::source(error)?;
    let Some(io) = source.downcast_ref::<io::Error>() else {
        return (source.to_string() == NO_TLS).then_some("the server offers no TLS, and sslmode asks for it");
    };
    match io.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => {
            Some("the server's certificate is not valid for its name, or not of an authority that is trusted")
        }
        _ => Some("no connection by TLS could be made"),
    }
}

/// A pool gave no connection. Nothing was sent.
pub(crate) fn of_pool(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => unavailable("every connection of the pool stayed in use"),
        PoolError::Timeout(_) => unavailable("the server did not accept a connection in time"),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => of_connect(error),
        PoolError::PostCreateHook(HookError::Message(message)) => {
            StoreError::new(StoreErrorKind::Unsupported, message)
        }
        PoolError::Closed => closed(),
        PoolError::NoRuntimeSpecified => unavailable("the pool has no runtime"),
    }
}

/// A statement that prepares the store: its tables, or a session.
pub(crate) fn of_setup(error: Error) -> StoreError {
    match code(&error) {
        Some("42501") => unavailable("the role may not use or create the tables").with_cause(error),
        Some(_) => of_answer(error),
        None => unavailable("the connection was lost").with_cause(error),
    }
}

/// A statement that the role may not send.
pub(crate) fn denied(message: String, error: Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message).with_cause(error)
}

/// The SQLSTATE of a server's answer; `None` where there was no answer.
pub(crate) fn code(error: &Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// The refusal of every call after `close`.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store was closed")
}

/// A call whose thread ended before it did.
pub(crate) fn unanswered() -> StoreError {
    unavailable("the store was dropped before it could answer")
}

/// The server could not be reached or did not answer; nothing was written.
pub(crate) fn unavailable(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message)
}

/// The batch was sent, and whether it was applied is not known.
pub(crate) fn indeterminate(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Indeterminate, message)
}

/// The server's data is not what this crate wrote.
pub(crate) fn corrupt(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

pub(crate) fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

/// An answer whose SQLSTATE comes from another driver.
#[cfg(feature = "sqlx-0_8")]
pub(crate) fn of_sqlstate(code: &str) -> StoreError {
    let (kind, message) = kind_of(code);
    StoreError::new(kind, message).with_source(Code(code.to_owned()))
}

fn of_answer(error: Error) -> StoreError {
    let (kind, message) = kind_of(code(&error).unwrap_or_default());
    StoreError::new(kind, message).with_cause(error)
}

fn kind_of(code: &str) -> (StoreErrorKind, &'static str) {
    match (code, code.get(..2).unwrap_or_default()) {
        (UNKNOWN_COMPLETION, _) => {
            (StoreErrorKind::Indeterminate, "the server does not know whether it committed")
        }
        ("55P03" | "23505" | RACED, _) | (_, "40") => {
            (StoreErrorKind::Contention, "the server gave way to another writer")
        }
        ("57014", _) => (StoreErrorKind::Unavailable, "the server cancelled the statement"),
        ("26000" | "42P05", _) => (StoreErrorKind::Unsupported, MIXES),
        (READ_ONLY, _) => (StoreErrorKind::Unavailable, "the server takes no writes"),
        ("42P01" | "42703", _) => (StoreErrorKind::Corrupt, "the tables are not as they were created"),
        ("XX001" | "XX002", _) => (StoreErrorKind::Corrupt, "the server's data is damaged"),
        (_, "54") => (StoreErrorKind::TooLarge, "the server has a lower limit"),
        (_, "0A") | ("42601" | "42883", _) => {
            (StoreErrorKind::Unsupported, "the server does not know a statement")
        }
        _ => (StoreErrorKind::Unavailable, "the server refused a statement"),
    }
}

trait WithCause {
    fn with_cause(self, error: Error) -> Self;
}

impl WithCause for StoreError {
    /// Adds what may be shown of the cause: a code, or an error of the connection.
    fn with_cause(self, error: Error) -> Self {
        if let Some(code) = code(&error) {
            return self.with_source(Code(code.to_owned()));
        }
        let Some(source) = error.into_source() else { return self };
        match source.downcast::<io::Error>() {
            Ok(io) => self.with_source(*io),
            Err(_) => self,
        }
    }
}

/// The driver's text for a server that refuses TLS.
const NO_TLS: &str = "server does not support TLS";
/// Another transaction added a row that must not be there: a division by zero of our own.
const RACED: &str = "22012";
/// A write in a session that takes none.
const READ_ONLY: &str = "25006";
/// The statement may or may not have been carried out.
const UNKNOWN_COMPLETION: &str = "40003";

pub(crate) const MIXES: &str = "a pooler between this process and the server keeps no prepared statements, as in \
     transaction mode: write prepare=unnamed in the address, or let it pool by sessions";
