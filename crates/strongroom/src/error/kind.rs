//! What a caller can do about an error.

use crate::error::{Error, ProviderErrorKind, SlotError, WrongStore};
use crate::model::ReadError;
use crate::store::StoreErrorKind;

/// What a caller can do about an [`Error`].
///
/// ```
/// use strongroom::{Environment, Error, ErrorKind, OrgId};
/// let error: Error = "no id".parse::<OrgId>().unwrap_err().into();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// ```
///
#[doc = include_str!("kinds.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks a rule, regardless of what is stored. Nothing was written: correct the request.
    Invalid,
    /// What the request names does not exist. Nothing was written.
    NotFound,
    /// The request contradicts what is stored. Nothing was written: read, and decide again.
    Conflict,
    /// Nothing was written, and the same call may succeed later.
    Busy,
    /// The vault or the org is locked: unlock it, or wait until somebody does.
    Locked,
    /// The write may or may not have been applied: read to find out.
    Indeterminate,
    /// The key that was given, or its provider, does not open this vault: give another key.
    Key,
    /// Rows or a file are damaged, or were written by a later release: restore a backup, or use that release.
    Damaged,
    /// The vault or its store is not in a state for this: an operator has to act. The error says how.
    Refused,
}

impl ErrorKind {
    /// Its name in lower case, such as `not_found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Locked => "locked",
            Self::Indeterminate => "indeterminate",
            Self::Key => "key",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
        }
    }
}

impl Error {
    /// Whether the same call may succeed later by itself. `false` for a write whose answer was lost:
    /// that may have been applied, so read first.
    ///
    /// ```
    /// use strongroom::Error;
    /// assert!(Error::Contended(16).is_retryable());
    /// assert!(!Error::WrongKey.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind() == ErrorKind::Busy
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_)
            | Self::InvalidValue { .. }
            | Self::InvalidMetadata(_)
            | Self::TooLong { .. }
            | Self::TooManyValues { .. }
            | Self::ScopeNotAllowed { .. } => ErrorKind::Invalid,
            Self::DefinitionNotFound(_)
            | Self::VersionNotFound(_)
            | Self::NotAsPinned(_)
            | Self::AccountNotFound(_)
            | Self::WorkflowUnknown(_)
            | Self::IntegrationNotFound { .. }
            | Self::OrgNotFound(_) => ErrorKind::NotFound,
            Self::DefinitionExists(_)
            | Self::AccountExists(_)
            | Self::TooManyDefinitions(_)
            | Self::OverQuota { .. }
            | Self::ValueMismatch { .. }
            | Self::ScopeInUse { .. }
            | Self::Unexpected { .. } => ErrorKind::Conflict,
            Self::Contended(_) => ErrorKind::Busy,
            Self::Locked => ErrorKind::Locked,
            Self::Indeterminate(_) => ErrorKind::Indeterminate,
            Self::WrongKey | Self::InvalidKey | Self::KeyFile(_) | Self::KeyDerivation(_) => ErrorKind::Key,
            Self::UnknownVersion { .. }
            | Self::UnknownKey { .. }
            | Self::Damaged { .. }
            | Self::BadBackup(_)
            | Self::BadCheckpoint(_) => ErrorKind::Damaged,
            Self::System(_)
            | Self::RootRotated
            | Self::RolledBack { .. }
            | Self::RotationUnderway
            | Self::BackupFile(_)
            | Self::Retired
            | Self::OrgNotEmpty(_)
            | Self::RestoreUnfinished(_)
            | Self::CopyDiffers => ErrorKind::Refused,
            Self::WrongStore(WrongStore::OtherVault) => ErrorKind::Key,
            Self::WrongStore(_) => ErrorKind::Refused,
            Self::Slot(slot) => of_slot(slot),
            Self::Refresh(refresh) => refresh.kind(),
            Self::Provider(provider) => of_provider(provider.kind()),
            Self::Store(store) => of_store(store.kind()),
        }
    }
}

fn of_slot(slot: &SlotError) -> ErrorKind {
    match slot {
        SlotError::NotFound(_) => ErrorKind::NotFound,
        SlotError::NoneOfThisKind(_) | SlotError::KeyShredded(_) | SlotError::NotPresented(_) => {
            ErrorKind::Key
        }
        SlotError::RowMissing(_) | SlotError::Last | SlotError::TooMany(_) | SlotError::KeyTaken(_) => {
            ErrorKind::Refused
        }
    }
}

fn of_provider(kind: ProviderErrorKind) -> ErrorKind {
    match kind {
        ProviderErrorKind::Denied | ProviderErrorKind::NotThisKey | ProviderErrorKind::Corrupt => {
            ErrorKind::Key
        }
        ProviderErrorKind::Unavailable => ErrorKind::Busy,
        ProviderErrorKind::Unsupported => ErrorKind::Refused,
    }
}

fn of_store(kind: StoreErrorKind) -> ErrorKind {
    match kind {
        StoreErrorKind::TooLarge => ErrorKind::Invalid,
        // A closed store means that its process is ending: the next process answers.
        StoreErrorKind::Contention
        | StoreErrorKind::Unavailable
        | StoreErrorKind::InUse
        | StoreErrorKind::Closed => ErrorKind::Busy,
        StoreErrorKind::Indeterminate => ErrorKind::Indeterminate,
        StoreErrorKind::Corrupt => ErrorKind::Damaged,
        // The engine handles every failed expectation: one that reaches this is a fault of the store.
        StoreErrorKind::Conflict { .. } | StoreErrorKind::Poisoned | StoreErrorKind::Unsupported => {
            ErrorKind::Refused
        }
        // A kind from a later `strongroom-store`.
        _ => ErrorKind::Refused,
    }
}

impl ReadError {
    /// What the host can do about it, as [`Error::kind`](Error::kind) does for errors of the engine: `NotFound` for a
    /// missing variable, `Conflict` for a value that does not fit, `Invalid` for a type that cannot be read from
    /// variables.
    ///
    /// ```
    /// use strongroom::{ErrorKind, ReadError};
    /// assert_eq!(ReadError::Missing("PORT".into()).kind(), ErrorKind::NotFound);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Unfit(_) => ErrorKind::Conflict,
            Self::Shape => ErrorKind::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProviderError;
    use crate::store::StoreError;

    #[test]
    fn the_documented_table_names_every_error_under_its_kind() {
        let (code, table) = (include_str!("kind.rs"), include_str!("kinds.md"));
        let arms = code.split("match self {\n            Self::Invalid(_)\n").nth(1).unwrap();
        let arms = format!("Self::Invalid(_){}", arms.split("fn of_slot").next().unwrap());
        let mut named = 0;
        // Whatever follows the last `ErrorKind` is decided by an inner error.
        for arm in arms.split("=> ").collect::<Vec<_>>().windows(2) {
            let Some(kind) = arm[1].split("ErrorKind::").nth(1) else { continue };
            let kind = kind.split(|c: char| !c.is_alphabetic()).next().unwrap();
            let row = table.lines().find(|row| row.starts_with(&format!("| `{kind}` |"))).unwrap();
            let own = arm[0].rsplit("ErrorKind::").next().unwrap();
            for error in own.split("Self::").skip(1) {
                let error = error.split(|c: char| !c.is_alphabetic()).next().unwrap();
                assert!(row.contains(&format!("`{error}`")) || error == "WrongStore", "{error} is {kind}");
                named += 1;
            }
        }
        assert!(named > 35, "only {named} found");
    }

    #[test]
    fn an_outage_is_busy_wherever_it_is() {
        let provider = Error::from(ProviderError::new(ProviderErrorKind::Unavailable, ""));
        let store = Error::from(StoreError::new(StoreErrorKind::Unavailable, ""));
        assert_eq!([provider.kind(), store.kind()], [ErrorKind::Busy; 2]);
    }

    #[test]
    fn a_lost_answer_is_indeterminate_whoever_lost_it() {
        let lost = || StoreError::new(StoreErrorKind::Indeterminate, "");
        let kinds = [Error::from(lost()).kind(), Error::Indeterminate(lost()).kind()];
        assert_eq!(kinds, [ErrorKind::Indeterminate; 2]);
    }

    #[test]
    fn a_store_that_fails_for_good_is_never_busy() {
        for kind in [StoreErrorKind::Corrupt, StoreErrorKind::Poisoned, StoreErrorKind::Unsupported] {
            assert_ne!(Error::from(StoreError::new(kind, "")).kind(), ErrorKind::Busy, "{kind:?}");
        }
    }
}
