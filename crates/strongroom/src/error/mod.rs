//! The engine's one error type for its users.

mod invalid;
mod key_file;
mod kind;
mod provider;
mod refresh;
mod slot;
mod wrong_store;

use crate::envelope::{Argon2Error, DekId, OpenError, RECORD_LEN_MAX, SealError};
use crate::format::FormatError;
use crate::id::{ConnectionId, DefinitionId, IntegrationId, LinkedAccountId, OrgId, WorkflowId};
use crate::limits::Quota;
use crate::model::{DefinitionRef, Revision};
use crate::random::RandomError;
use crate::row::{LATER_VERSION, RowError};
use crate::scope::{Scope, ScopeKind};
use crate::store::{StoreError, StoreErrorKind};

pub use invalid::Invalid;
pub use key_file::KeyFileError;
pub use kind::ErrorKind;
pub use provider::{ProviderError, ProviderErrorKind};
pub use refresh::RefreshError;
pub use slot::SlotError;
pub use wrong_store::WrongStore;

/// An error of the engine. No variant carries a value, key or credential. [`kind`](Self::kind) says what to do about
/// it. The text of an error never repeats that of its [`source`](std::error::Error::source): print the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request breaks a rule, regardless of what is stored.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store is empty, or holds something other than the requested vault, or half a vault.
    #[error(transparent)]
    WrongStore(#[from] WrongStore),
    /// A key slot cannot be used, added, changed or removed.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The operating system refused something.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A value does not match the definition's format.
    #[error("the value does not match the format of variable definition `{name}`: {rule}")]
    InvalidValue {
        /// Which definition.
        definition: DefinitionId,
        /// Its name.
        name: String,
        /// The rule that failed.
        rule: FormatError,
    },
    /// A stored value does not match the new format of its definition. Nothing was written.
    #[error("the value at {scope} does not match the new format: {rule}")]
    ValueMismatch {
        /// The scope of the value; there may be more.
        scope: Scope,
        /// The rule that it breaks.
        rule: FormatError,
    },
    /// The metadata for a version breaks a rule. Nothing was written.
    #[error("the metadata of the version is invalid: {0}")]
    InvalidMetadata(&'static str),
    /// A text is over its limit in bytes. Nothing was written.
    #[error("{what} must be at most {max} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// No such definition in this org and environment.
    #[error("variable definition {0} not found")]
    DefinitionNotFound(DefinitionRef<'static>),
    /// No such version: it is older than those that are kept, or it notes that the value was deleted.
    #[error("version {} is not kept: look for another one in the history", .0.as_u64())]
    VersionNotFound(Revision),
    /// Some of the pinned values are no longer kept. These are the names of their definitions.
    #[error("these pinned values are no longer kept: `{}`; resolve again, and keep more versions", .0.join("`, `"))]
    NotAsPinned(Vec<String>),
    /// The name is taken by the definition with this id.
    #[error("a variable definition with this name exists: {0}")]
    DefinitionExists(DefinitionId),
    /// The org already has the maximum number of definitions in this environment.
    #[error("there can be at most {0} variable definitions: delete some first")]
    TooManyDefinitions(usize),
    /// The linked account or the org would hold more than its quota allows. Nothing was written.
    #[error(
        "there can be at most {max} {quota}: delete some first, or have the operator raise `{name}`",
        name = .quota.as_str()
    )]
    OverQuota {
        /// Which quota.
        quota: Quota,
        /// The most that it allows.
        max: u64,
    },
    /// The definition allows no value at this scope.
    #[error("variable definition `{name}` allows no value at {scope} scope")]
    ScopeNotAllowed {
        /// Which definition.
        definition: DefinitionId,
        /// Its name.
        name: String,
        /// The refused scope.
        scope: ScopeKind,
    },
    /// A scope cannot be removed from a definition while a value is set there.
    #[error("variable definition {definition} has a value at {scope}: delete it before you remove the scope")]
    ScopeInUse {
        /// Which definition.
        definition: DefinitionId,
        /// A scope that holds a value.
        scope: Scope,
    },
    /// No such linked account in this org and environment.
    #[error("linked account {0} not found")]
    AccountNotFound(LinkedAccountId),
    /// The linked account already exists.
    #[error("linked account {0} exists")]
    AccountExists(LinkedAccountId),
    /// The linked account has no such integration, or not this connection of it.
    #[error(
        "{} not found for linked account {account}: add it first, or register the account with it",
        missing(integration, connection.as_ref())
    )]
    IntegrationNotFound {
        /// Which account.
        account: LinkedAccountId,
        /// The integration that is missing, or lacks the connection.
        integration: IntegrationId,
        /// The missing connection; `None` for the default one.
        connection: Option<ConnectionId>,
    },
    /// The document is not as the caller expected. Nothing was written.
    #[error("the document is not at the expected revision: read it again and decide again")]
    Unexpected {
        /// Its actual revision; `None` if there is no document.
        found: Option<Revision>,
    },
    /// Other writers were faster every time. Nothing was written, unless by a verb that writes several batches: some of
    /// those may have landed.
    #[error("other writers changed the same rows {0} times in a row: try again later")]
    Contended(u32),
    /// The store lost its answer, and its rows do not show whether the write was applied, or may still be. A write that
    /// replaces or deletes something is repeated automatically. One that only creates something is not, since a late
    /// copy of it would bring back what was deleted in between.
    #[error("the store lost its answer: the write may or may not have been applied; read to find out")]
    Indeterminate(#[source] StoreError),
    /// The vault, or the org in this environment, is locked. Nothing was written.
    #[error("the vault or this org is locked: unlock it first")]
    Locked,
    /// The passphrase or key does not open this vault.
    #[error("the passphrase or key does not open this vault: try another one")]
    WrongKey,
    /// A text is not a raw key.
    #[error("a raw key is 64 hexadecimal digits, or base64 of exactly 32 bytes")]
    InvalidKey,
    /// A key file could not be read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A key provider failed; its kind says what to do. Nothing was written.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Another engine rotated the root key. Nothing was written.
    #[error("the vault has a new root key, which this engine does not hold: open the vault again")]
    RootRotated,
    /// A rotation of the root key is in progress. Nothing was written.
    #[error("a rotation of the root key is in progress: run its job to the end first")]
    RotationUnderway,
    /// Parameters of the key derivation are below the floor or above the ceiling.
    #[error(transparent)]
    KeyDerivation(#[from] Argon2Error),
    /// A row was written by a later release: it has a later version, or its sealed content has an entry with this
    /// number, which only that release knows. Content that opens and does not say what it is has the next version.
    #[error("{row} has version {version}, which this release cannot read: use a newer release")]
    UnknownVersion {
        /// Which row.
        row: String,
        /// Its version.
        version: u8,
    },
    /// A row was sealed under a key that its keyring does not list.
    #[error(
        "{row} was sealed under data key {dek_id}, which its keyring does not list: restore it from a backup"
    )]
    UnknownKey {
        /// Which row.
        row: String,
        /// The missing key.
        dek_id: DekId,
    },
    /// A row was altered, cut short, moved or replaced. Nothing was written.
    #[error("{row} is damaged: {cause}; restore a former version of it, or a backup")]
    Damaged {
        /// Which row.
        row: String,
        /// What is wrong with it.
        cause: Damage,
    },
    /// A row, or the whole store, is older than it was when seen before: the store was rolled back, a row of an older
    /// copy was put back, or the answer comes from a replica that lags behind. Nothing was written.
    #[error(
        "{row} is older than it was before: an older copy of the store or of this row was put back; \
         bring the newest one back, restore the newest backup, or accept this one as KEYS.md says"
    )]
    RolledBack {
        /// Which row.
        row: String,
        /// The revision that was seen before; `u64::MAX` for a row that was deleted.
        seen: u64,
        /// The revision that the store shows now.
        found: u64,
    },
    /// A file cannot be restored. Nothing was written.
    #[error("the backup file cannot be restored: {0}")]
    BadBackup(BackupFault),
    /// A file is not a checkpoint that this vault can be compared with.
    #[error("the checkpoint cannot be used: {0}")]
    BadCheckpoint(CheckpointFault),
    /// The file of a backup, an audit export or a checkpoint could not be read or written.
    #[error("the file could not be read or written")]
    BackupFile(#[source] std::io::Error),
    /// The vault was moved to another store, or is being moved, and takes no more writes here. It can still be read.
    #[error("the vault was moved to another store and takes no more writes here: open it there")]
    Retired,
    /// The org cannot be restored where it already has rows.
    #[error("org {0} already exists: restore it into a vault that does not have it")]
    OrgNotEmpty(OrgId),
    /// The org is being restored, or its restore was interrupted: until that is finished, nothing of the org is read or
    /// written. [`Backup::restore_org`](crate::Backup::restore_org) with the same file finishes it, and
    /// [`Vault::abandon_restore`](crate::Vault::abandon_restore) deletes what it wrote.
    #[error("the restore of org {0} is unfinished: run the same one again, or delete what it wrote")]
    RestoreUnfinished(OrgId),
    /// The backup, or the vault to be backed up, holds nothing of the org.
    #[error("org {0} not found")]
    OrgNotFound(OrgId),
    /// The copy differs from its source. The source is unchanged.
    #[error("the copy differs from its source, which is unchanged: copy to another store")]
    CopyDiffers,
    /// There are more values than a batch of the store takes. Nothing was written.
    #[error("{}", too_many_values(*.fit))]
    TooManyValues {
        /// How many of the given values fit, from the first. 0 if the rest of the write, such as its definitions and
        /// records, fills a batch.
        fit: usize,
    },
    /// No value is set at the workflow of a [strict](crate::ScopePath::strict) path.
    #[error("no value is set at workflow {0}: check its id, or resolve without `ScopePath::strict`")]
    WorkflowUnknown(WorkflowId),
    /// Credentials were not refreshed.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The backend failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with a damaged row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// There is no such row.
    #[error("it is missing")]
    Missing,
    /// Its bytes are not a valid row of this kind.
    #[error("its bytes are not a valid row of this kind")]
    Malformed,
    /// It does not open at its own address: it was altered, or moved here from another address.
    #[error("it was altered, or belongs to another address")]
    Rejected,
    /// It opens, but its content contradicts itself or another row.
    #[error("its parts contradict one another")]
    Inconsistent,
}

/// Why a backup file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFault {
    /// It does not start like a backup.
    #[error("it is not a backup of a vault")]
    NotABackup,
    /// The end of the file is missing.
    #[error("it was cut short")]
    Truncated,
    /// Its checksums are wrong: it decayed, or was changed by someone who does not know the format.
    #[error("it is damaged")]
    Decayed,
    /// Its checksums are right but its keyed hashes are not, or its parts are out of order.
    #[error("it was altered, or its parts are not of one file")]
    Altered,
    /// It holds one org, but a whole vault is needed.
    #[error("it holds one org, not a vault: restore it into a vault")]
    OneOrg,
}

/// What the operating system refused. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: check its random number generator")]
    Random,
    /// The thread for the key derivation could not be started.
    #[error(
        "the thread for the key derivation could not be started: allow this process more threads or memory"
    )]
    Thread,
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// It does not start like a checkpoint.
    #[error("it is not a checkpoint of a vault")]
    NotACheckpoint,
    /// The end of the file is missing.
    #[error("it was cut short")]
    Truncated,
    /// It decayed, was altered, or its parts are out of order.
    #[error("it is damaged or was altered")]
    Altered,
    /// It was made of another vault, or before the root key was rotated.
    #[error("it is of another vault, or of this one before its root key was rotated: make a new one")]
    OtherKey,
}

impl Error {
    /// Whether a stale cached row may be the cause, so that reading from the store may help.
    pub(crate) fn may_be_stale(&self) -> bool {
        matches!(
            self,
            Self::DefinitionNotFound(_) | Self::Invalid(Invalid::DuplicateValue(_)) | Self::UnknownKey { .. }
        )
    }

    /// Whether a row cannot be read, however often one tries.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::UnknownKey { .. } | Self::UnknownVersion { .. })
    }

    /// Whether a job failed because of its own rows, so that other jobs can continue.
    pub(crate) fn is_of_one_job(&self) -> bool {
        self.is_damage()
            || matches!(self, Self::Contended(_) | Self::RolledBack { .. } | Self::RestoreUnfinished(_))
    }

    /// For what a type allows and the code rules out: a write of one document landed and returned none.
    pub(crate) fn no_result() -> Self {
        let message =
            "a write that landed returned no result, which is a fault of strongroom: please report it";
        Self::Store(StoreError::new(StoreErrorKind::Corrupt, message))
    }

    /// The error for a damaged row.
    pub(crate) fn damaged(row: impl Into<String>, cause: Damage) -> Self {
        Self::Damaged { row: row.into(), cause }
    }

    /// The error for a row whose record did not open.
    pub(crate) fn open(row: impl Into<String>, error: OpenError) -> Self {
        let row = row.into();
        match error {
            // No release writes these.
            OpenError::UnknownVersion(0) | OpenError::UnknownSuite(0) => {
                Self::damaged(row, Damage::Malformed)
            }
            OpenError::UnknownVersion(version) => Self::UnknownVersion { row, version },
            OpenError::UnknownSuite(version) => Self::UnknownVersion { row, version },
            OpenError::UnknownKey(dek_id) => Self::UnknownKey { row, dek_id },
            OpenError::Malformed => Self::Damaged { row, cause: Damage::Malformed },
            OpenError::Rejected => Self::Damaged { row, cause: Damage::Rejected },
        }
    }

    /// The error for a row that could not be decoded.
    pub(crate) fn row(row: impl Into<String>, error: RowError) -> Self {
        let row = row.into();
        match error {
            RowError::UnknownVersion(version) => Self::UnknownVersion { row, version },
            RowError::Malformed => Self::Damaged { row, cause: Damage::Malformed },
        }
    }

    /// The error for a row that opened, but whose content could not be decoded. Whoever wrote it had the key, so it is
    /// whole, and of a later release.
    pub(crate) fn content(row: impl Into<String>, error: RowError) -> Self {
        let version = match error {
            RowError::UnknownVersion(version) => version,
            RowError::Malformed => LATER_VERSION,
        };
        Self::UnknownVersion { row: row.into(), version }
    }
}

impl From<RandomError> for Error {
    fn from(_: RandomError) -> Self {
        Self::System(SystemError::Random)
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(_) => Self::System(SystemError::Random),
            SealError::TooLong => Self::TooLong { what: "a sealed row", max: RECORD_LEN_MAX },
        }
    }
}

/// What to do about a write that does not fit into a batch.
fn too_many_values(fit: usize) -> String {
    match fit {
        0 => "the records and changes of this write do not fit into one batch of the store: pass fewer"
            .to_owned(),
        fit => format!(
            "a batch of the store takes {fit} of these values: set that many at a time, or use `set_values_in_parts`"
        ),
    }
}

/// What is missing: an integration, or a connection of it.
fn missing(integration: &IntegrationId, connection: Option<&ConnectionId>) -> String {
    match connection {
        Some(connection) => format!("connection {connection} of integration {integration}"),
        None => format!("integration {integration}"),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn the_text_of_an_error_does_not_repeat_its_cause() {
        let cause = || io::Error::other("no space left");
        let store =
            || StoreError::new(StoreErrorKind::Unavailable, "the disk cannot be used").with_source(cause());
        let provider = ProviderError::new(ProviderErrorKind::Unavailable, "no token").with_source(cause());
        let errors = [
            Error::from(store()),
            Error::Indeterminate(store()),
            Error::from(provider),
            Error::BackupFile(cause()),
            Error::from(KeyFileError::Failed(cause())),
        ];
        for error in errors {
            let (mut texts, mut next) = (Vec::new(), Some(&error as &dyn std::error::Error));
            while let Some(one) = next {
                texts.push(one.to_string());
                next = one.source();
            }
            assert!(texts.len() > 1 && error.source().is_some(), "{texts:?} has no cause");
            for (text, cause) in texts.iter().zip(texts.iter().skip(1)) {
                assert!(!text.contains(cause), "{text:?} repeats {cause:?}");
            }
        }
    }
}
