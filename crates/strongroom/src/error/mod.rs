//! The engine's one error type for its users.

mod key_file;
mod kind;
mod provider;

use crate::envelope::{Argon2Error, DekId, OpenError, RECORD_LEN_MAX, SealError};
use crate::format::{BadFormat, FormatError, PatternError};
use crate::id::{DefinitionId, IdError, IntegrationId, LinkedAccountId, OrgId};
use crate::model::{CursorError, DefinitionRef, ProviderKey, Revision, SlotId};
use crate::random::RandomError;
use crate::row::RowError;
use crate::scope::{Scope, ScopeKind, UnknownScope};
use crate::store::StoreError;

pub use key_file::KeyFileError;
pub use kind::ErrorKind;
pub use provider::{ProviderError, ProviderErrorKind};

/// An error of the engine. No variant carries a value, key or credential. [`kind`](Self::kind) tells what to do about
/// it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not an id or name of the required kind.
    #[error(transparent)]
    InvalidId(#[from] IdError),
    /// A text does not name a scope.
    #[error(transparent)]
    UnknownScope(#[from] UnknownScope),
    /// A format cannot be defined.
    #[error(transparent)]
    InvalidFormat(#[from] BadFormat),
    /// A pattern was not accepted.
    #[error(transparent)]
    InvalidPattern(#[from] PatternError),
    /// A definition contradicts itself.
    #[error("the variable definition is invalid: {0}")]
    InvalidDefinition(&'static str),
    /// A definition's own default does not match its format.
    #[error("the variable definition's default is invalid: {0}")]
    InvalidDefault(FormatError),
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
    /// What was to be said about a version breaks a rule. Nothing was written.
    #[error("what is said about the version is invalid: {0}")]
    InvalidMetadata(&'static str),
    /// A text is over its limit in bytes. Nothing was written.
    #[error("{what} must be at most {max} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A name filter is not a regular expression, or too costly to compile.
    #[error("the name pattern is not a regular expression that compiles within the size limit")]
    InvalidNamePattern,
    /// A cursor does not come from a list.
    #[error(transparent)]
    InvalidCursor(#[from] CursorError),
    /// No such definition in this org and environment.
    #[error("variable definition {0} not found")]
    DefinitionNotFound(DefinitionRef<'static>),
    /// The name is taken by the definition with this id.
    #[error("a variable definition with this name exists: {0}")]
    DefinitionExists(DefinitionId),
    /// The org already has the maximum number of definitions in this environment.
    #[error("there can be at most {0} variable definitions: delete some first")]
    TooManyDefinitions(usize),
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
    /// One call sets the same definition at the same scope twice.
    #[error("variable definition {0} is set twice at one scope in one call")]
    DuplicateValue(DefinitionId),
    /// One call gives the same credential key twice.
    #[error("a credential key is given twice in one call")]
    DuplicateCredentialKey,
    /// One call writes the same record twice. Nothing was written.
    #[error("a record is given twice in one call")]
    DuplicateRecord,
    /// No such linked account in this org and environment.
    #[error("linked account {0} not found")]
    AccountNotFound(LinkedAccountId),
    /// The linked account already exists.
    #[error("linked account {0} exists")]
    AccountExists(LinkedAccountId),
    /// The linked account has no such integration.
    #[error("integration {integration} not found for linked account {account}: add it first")]
    IntegrationNotFound {
        /// Which account.
        account: LinkedAccountId,
        /// The missing integration.
        integration: IntegrationId,
    },
    /// A record of one org or environment was given to a verb of another. Nothing was written.
    #[error("the record belongs to another org or environment: write it with a verb of its own")]
    ForeignRecord,
    /// The document is not as the caller expected. Nothing was written.
    #[error("the document is not at the expected revision: read it again and decide again")]
    Unexpected {
        /// Its actual revision; `None` if there is no document.
        found: Option<Revision>,
    },
    /// Other writers were faster every time. Nothing was written.
    #[error("other writers changed the same rows {0} times in a row: try again later")]
    Contended(u32),
    /// The store lost its answer, and its rows do not show whether the write was applied.
    #[error("the store lost its answer: the write may or may not have been applied: read to find out")]
    Indeterminate(#[source] StoreError),
    /// The store holds no vault.
    #[error("the store holds no vault: check the path, or create a vault there")]
    NotInitialised,
    /// The store already holds a vault.
    #[error("the store already holds a vault: open it instead")]
    AlreadyInitialised,
    /// The store is not empty, and its rows are not a vault's.
    #[error("the store is not empty and holds no vault: check the path, nothing was written")]
    ForeignStore,
    /// The vault, or the org in this environment, is locked. Nothing was written.
    #[error("the vault or this org is locked: unlock it first")]
    Locked,
    /// The store does not hold the vault that the caller expected.
    #[error("the store does not hold the expected vault: check the path")]
    UnexpectedVault,
    /// The vault has no key slot for the kind of key that was presented.
    #[error("the vault has no key slot of this kind: use {0}")]
    NoSuchSlot(&'static str),
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
    #[error("the key provider: {provider}; {step}", provider = .0, step = .0.kind().next_step())]
    Provider(#[from] ProviderError),
    /// No such key slot.
    #[error("key slot {0} not found")]
    SlotNotFound(SlotId),
    /// Without this slot, nothing could open the vault.
    #[error("this is the last key slot that can open the vault: add another one first")]
    LastSlot,
    /// The provider's key was destroyed for a shred, or is about to be
    /// ([`Vault::settle_shred`](crate::Vault::settle_shred)): a slot that uses it could not be opened.
    #[error("the provider's key \"{}\" is destroyed or about to be, for a shred: use another key", .0.id)]
    KeyShredded(ProviderKey),
    /// The vault has the maximum number of slots: 8 of one kind, or 24 including those that cannot be read.
    #[error("there are {0} key slots, which is the maximum: remove one first")]
    TooManySlots(usize),
    /// Another engine rotated the root key. Nothing was written.
    #[error("the vault has a new root key, which this engine does not hold: open the vault again")]
    RootRotated,
    /// A rotation of the root key is in progress. Nothing was written.
    #[error("a rotation of the root key is in progress: run its job to the end first")]
    RotationUnderway,
    /// A rotation of the root key needs every slot to be kept or dropped, and this one was neither. Nothing was
    /// written.
    #[error("the key of slot {0} was not presented: present it, or name the slot as dropped")]
    SlotNotPresented(SlotId),
    /// Parameters of the key derivation are below the floor or above the ceiling.
    #[error(transparent)]
    KeyDerivation(#[from] Argon2Error),
    /// The thread for the key derivation could not be started.
    #[error("the thread for the key derivation could not be started: try again later")]
    KeyDerivationThread,
    /// A row was written by a later release: it has a later version, or what it seals has an entry of this number,
    /// which only that release knows.
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
    #[error("{row} is damaged: {cause}; restore it from a backup")]
    Damaged {
        /// Which row.
        row: String,
        /// What is wrong with it.
        cause: Damage,
    },
    /// A file cannot be restored. Nothing was written.
    #[error("the backup file cannot be restored: {0}")]
    BadBackup(BackupFault),
    /// A backup file could not be read or written.
    #[error("the backup file could not be read or written")]
    BackupFile(#[source] std::io::Error),
    /// The vault was moved to another store, or is being moved, and takes no more writes here. It can still be read.
    #[error("the vault was moved to another store and takes no more writes here: open it there")]
    Retired,
    /// The org cannot be restored where it already has rows.
    #[error("org {0} already exists: restore it into a vault that does not have it")]
    OrgNotEmpty(OrgId),
    /// The backup, or the vault that was to be backed up, holds nothing of the org.
    #[error("org {0} not found")]
    OrgNotFound(OrgId),
    /// The copy differs from its source. The source is unchanged.
    #[error("the copy differs from its source, which is unchanged: copy to another store")]
    CopyDiffers,
    /// The store holds an unfinished copy or restore.
    #[error("a copy or restore into this store is unfinished: run the same one again")]
    Unfinished,
    /// The operating system gave no random bytes. Nothing was written.
    #[error("the operating system gave no random bytes: try again later")]
    Random,
    /// The backend failed.
    #[error("the store failed: {0}")]
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
    /// It does not begin like a backup.
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

impl Error {
    /// Whether a stale cached row may be the cause, so that reading from the store may help.
    pub(crate) fn may_be_stale(&self) -> bool {
        matches!(self, Self::DefinitionNotFound(_) | Self::DuplicateValue(_) | Self::UnknownKey { .. })
    }

    /// Whether a row cannot be read, however often it is tried.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::UnknownKey { .. } | Self::UnknownVersion { .. })
    }

    /// Whether a job failed because of its own rows, so that other jobs can continue.
    pub(crate) fn is_of_one_job(&self) -> bool {
        self.is_damage() || matches!(self, Self::Contended(_))
    }

    /// The error for a damaged row.
    pub(crate) fn damaged(row: impl Into<String>, cause: Damage) -> Self {
        Self::Damaged { row: row.into(), cause }
    }

    /// The error for a row whose record did not open.
    pub(crate) fn open(row: impl Into<String>, error: OpenError) -> Self {
        let row = row.into();
        match error {
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
}

impl From<RandomError> for Error {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(_) => Self::Random,
            SealError::TooLong => Self::TooLong { what: "a sealed row", max: RECORD_LEN_MAX },
        }
    }
}
