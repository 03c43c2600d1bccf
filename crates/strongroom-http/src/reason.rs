//! Why a call was refused, in a word for programs.

use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom::{Error, ErrorKind, SlotError};
use utoipa::ToSchema;

use crate::disk::is_full_disk;

/// Why a call was refused. The status gives the class and the message is for people; this is for programs.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Reason)]
#[non_exhaustive]
pub enum Reason {
    /// There is no API key, or none that is valid here.
    BadKey,
    /// The API key lacks a right.
    LacksRight,
    /// The API key has the right only for other names or accounts.
    RightElsewhere,
    /// The API key would make or replace one that may do more than itself.
    Outranked,
    /// There is no such call.
    NoSuchCall,
    /// There is no such variable definition.
    DefinitionNotFound,
    /// There is no such linked account.
    AccountNotFound,
    /// The linked account has no such integration, or not this connection of it.
    ConnectionNotFound,
    /// There is no such credential.
    CredentialNotFound,
    /// The variable has no value there.
    ValueNotFound,
    /// The version is not kept.
    VersionNotFound,
    /// There is no such API key.
    KeyNotFound,
    /// There is no such session.
    SessionNotFound,
    /// There is no such slot.
    SlotNotFound,
    /// There is no such job or task.
    JobNotFound,
    /// Something else is not there.
    NotFound,
    /// The thing to be created already exists.
    AlreadyExists,
    /// A value does not match the format of its definition.
    InvalidValue,
    /// The definition allows no value at the scope, or a value prevents the change of its scopes.
    ScopeNotAllowed,
    /// The request contradicts what is stored.
    Conflict,
    /// The request breaks a rule.
    Invalid,
    /// The request, its headers or its path are too large.
    TooLarge,
    /// The caller sends too many requests.
    TooManyRequests,
    /// A rotation of the root key has to be finished first.
    RotationUnderway,
    /// The service cannot do it now; the same request may succeed later.
    Busy,
    /// The vault was moved to another store.
    Moved,
    /// The root key was rotated elsewhere, and the service does not have the new one yet.
    RootRotated,
    /// The vault or the org is locked.
    Locked,
    /// The disk of the store is full.
    DiskFull,
    /// The write may or may not have been made.
    Indeterminate,
    /// A key or its provider does not open the vault.
    Key,
    /// A row cannot be read.
    Damaged,
    /// The vault or its store is not in a state for this.
    Refused,
    /// The service failed.
    Internal,
    /// A reason of a later release.
    #[serde(other)]
    Unknown,
}

/// The same word as in JSON.
impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Reason {
    /// The reason for an error of the engine.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the kind fits every error; the others are those after which a client does something else"
    )]
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::DefinitionNotFound(_) => Self::DefinitionNotFound,
            Error::AccountNotFound(_) => Self::AccountNotFound,
            Error::IntegrationNotFound { .. } => Self::ConnectionNotFound,
            Error::VersionNotFound(_) => Self::VersionNotFound,
            Error::Slot(SlotError::NotFound(_)) => Self::SlotNotFound,
            Error::Slot(SlotError::Last | SlotError::TooMany(_) | SlotError::KeyTaken(_)) => Self::Invalid,
            Error::DefinitionExists(_) | Error::AccountExists(_) => Self::AlreadyExists,
            Error::InvalidValue { .. } | Error::ValueMismatch { .. } => Self::InvalidValue,
            Error::ScopeNotAllowed { .. } | Error::ScopeInUse { .. } => Self::ScopeNotAllowed,
            Error::RotationUnderway => Self::RotationUnderway,
            Error::Retired => Self::Moved,
            Error::RootRotated => Self::RootRotated,
            error if is_full_disk(error) => Self::DiskFull,
            error => Self::of_kind(error.kind()),
        }
    }

    fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::Locked => Self::Locked,
            ErrorKind::Indeterminate => Self::Indeterminate,
            ErrorKind::Key => Self::Key,
            ErrorKind::Damaged => Self::Damaged,
            ErrorKind::Refused => Self::Refused,
            // A kind of a later engine.
            _ => Self::Internal,
        }
    }
}
