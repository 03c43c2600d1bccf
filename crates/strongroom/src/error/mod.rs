//! The one error of the engine's users.

mod key_file;
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
pub use provider::{ProviderError, ProviderErrorKind};

/// Why the engine did not do what it was asked. No variant carries a value, key or credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not an id or name of the required kind.
    #[error(transparent)]
    InvalidId(#[from] IdError),
    /// A text names no scope.
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
    /// A definition's own default, or its format, is refused.
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
    /// A stored value does not match the format that its definition was to get. Nothing was written.
    #[error("the value at {scope} does not match the new format: {rule}")]
    ValueMismatch {
        /// Where the value stands; there may be more.
        scope: Scope,
        /// The rule that it breaks.
        rule: FormatError,
    },
    /// A text is over its limit in bytes. Nothing was written.
    #[error("{what} must be at most {max} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A name filter is not a regular expression, or too costly a one.
    #[error("the name pattern is not a regular expression that compiles within the size limit")]
    InvalidNamePattern,
    /// A cursor is not one that a list gave.
    #[error(transparent)]
    InvalidCursor(#[from] CursorError),
    /// No such definition in this org and environment.
    #[error("variable definition {0} not found")]
    DefinitionNotFound(DefinitionRef<'static>),
    /// The name is taken, by the definition with this id.
    #[error("a variable definition with this name exists: {0}")]
    DefinitionExists(DefinitionId),
    /// The org and environment hold as many definitions as they may.
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
    /// A scope cannot be removed from a definition while a value stands there.
    #[error("variable definition {definition} has a value at {scope}: delete it before the scope is removed")]
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
    #[error("a credential key stands twice in one call")]
    DuplicateCredentialKey,
    /// One call takes the same record along twice. Nothing was written.
    #[error("a record is taken along twice in one call")]
    DuplicateRecord,
    /// No such linked account in this org and environment.
    #[error("linked account {0} not found")]
    AccountNotFound(LinkedAccountId),
    /// The linked account exists already.
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
    /// A record of one org or environment was handed to a verb of another. Nothing was written.
    #[error("the record belongs to another org or environment than the verb that was to take it along")]
    ForeignRecord,
    /// What the caller expected of the document does not hold. Nothing was written.
    #[error("the document is not at the expected revision: read it again and decide anew")]
    Unexpected {
        /// The revision it stands at; `None` where there is no document.
        found: Option<Revision>,
    },
    /// Other writers won every time. Nothing was written.
    #[error("other writers changed the same rows {0} times in a row: try again later")]
    Contended(u32),
    /// The store lost its answer, and what it holds now does not tell whether the write was applied.
    #[error("the store lost its answer: the write may or may not have been applied, read to find out")]
    Indeterminate(#[source] StoreError),
    /// The store holds no vault: create one, or look whether the path is right.
    #[error("the store holds no vault: check the path, or create a vault there")]
    NotInitialised,
    /// The store holds a vault already.
    #[error("the store holds a vault already: open it instead")]
    AlreadyInitialised,
    /// The store holds rows, and they are not a vault's.
    #[error("the store holds something else than a vault: check the path, nothing was written")]
    ForeignStore,
    /// The vault, or the org in its environment, was locked. Nothing was written.
    #[error("it is locked: unlock it with a key that opens the vault")]
    Locked,
    /// The vault is not the one that the caller expected.
    #[error("the store holds another vault than the expected one: check the path")]
    UnexpectedVault,
    /// The vault has no key slot of the kind that was presented.
    #[error("the vault has no key slot of this kind: there is one of {0}")]
    NoSuchSlot(&'static str),
    /// The passphrase or key is not this vault's.
    #[error("the passphrase or key does not open this vault: present another one")]
    WrongKey,
    /// A text is not a raw key.
    #[error("a raw key is 64 hexadecimal digits, or base64 of exactly 32 bytes")]
    InvalidKey,
    /// A key file was not read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A key provider did not do its part; its kind says what to do. Nothing was written.
    #[error("the key provider: {provider}; {step}", provider = .0, step = .0.kind().next_step())]
    Provider(#[from] ProviderError),
    /// No such key slot.
    #[error("key slot {0} not found")]
    SlotNotFound(SlotId),
    /// Without this slot nothing would open the vault.
    #[error("this is the last key slot that can open the vault: add another one first")]
    LastSlot,
    /// The provider's key was destroyed for a shred, or is about to be
    /// ([`Vault::settle_shred`](crate::Vault::settle_shred)): a slot under it would open nothing.
    #[error("the provider's key \"{}\" is destroyed or about to be, for a shred: use another key", .0.id)]
    KeyShredded(ProviderKey),
    /// There are as many slots as there may be: 8 of one kind, or 24 with those that cannot be read.
    #[error("there are {0} key slots, the most of one kind or of all: remove one first")]
    TooManySlots(usize),
    /// Another engine gave the vault a new root key. Nothing was written.
    #[error("the vault has a new root key, which this engine does not hold: open the vault again")]
    RootRotated,
    /// A rotation of the root key is not finished. Nothing was written.
    #[error("a rotation of the root key is under way: run its job to the end first")]
    RotationUnderway,
    /// A new root key was to be made, and the key of this slot was neither presented nor was the slot named as dropped.
    /// Nothing was written.
    #[error("the key of slot {0} was not presented: present it, or name the slot as dropped")]
    SlotNotPresented(SlotId),
    /// Parameters of the key derivation are below the floor or above the ceiling.
    #[error(transparent)]
    KeyDerivation(#[from] Argon2Error),
    /// The key derivation's thread could not be run.
    #[error("the key derivation could not be run on a thread of its own: try again later")]
    KeyDerivationThread,
    /// A row is of a later version than this release knows.
    #[error("{row} is of version {version}, which this release cannot read: use a newer one")]
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
    /// A file is not a backup that can be restored. Nothing was written.
    #[error("the backup file cannot be restored: {0}")]
    BadBackup(BackupFault),
    /// A backup file could not be read or written.
    #[error("the backup file could not be read or written")]
    BackupFile(#[source] std::io::Error),
    /// The vault was copied to another store, or is about to be, and takes no more writes here. It still reads.
    #[error("the vault was moved to another store, and this one takes no writes: open it there")]
    Retired,
    /// An org is to be restored where rows of it are.
    #[error("org {0} holds something already: restore it where it does not exist")]
    OrgNotEmpty(OrgId),
    /// A backup holds nothing of an org.
    #[error("the backup holds nothing of org {0}")]
    OrgNotFound(OrgId),
    /// A copy does not hold what its source holds. The source is as it was.
    #[error("the copy differs from its source, which is as it was: copy to another store")]
    CopyDiffers,
    /// The store holds what a copy or restore left that has not come to its end.
    #[error("a copy or restore into this store has not come to its end: run the same one again")]
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
    /// Its bytes are not those of such a row.
    #[error("its bytes have not the form of such a row")]
    Malformed,
    /// It does not open at its own address: altered, or brought here from elsewhere.
    #[error("it was altered, or belongs to another address")]
    Rejected,
    /// It opens, and what is inside does not fit together.
    #[error("its parts contradict one another")]
    Inconsistent,
}

/// Why a backup file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFault {
    /// It does not begin as a backup does.
    #[error("it is no backup of a vault")]
    NotABackup,
    /// It ends before its end.
    #[error("it was cut short")]
    Truncated,
    /// Its checksums do not hold: it decayed, or was changed by someone who does not know the format.
    #[error("it is damaged")]
    Decayed,
    /// Its checksums hold and its keyed hashes do not, or its parts are not in their order.
    #[error("it was altered, or its parts are not of one file")]
    Altered,
    /// It holds one org, and a whole vault was asked for.
    #[error("it holds one org, not a vault: restore it into a vault")]
    OneOrg,
}

impl Error {
    /// Whether a cached row may be the cause, so that reading anew may help.
    pub(crate) fn may_be_stale(&self) -> bool {
        matches!(self, Self::DefinitionNotFound(_) | Self::DuplicateValue(_) | Self::UnknownKey { .. })
    }

    /// Whether a row cannot be read, whatever is tried.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::UnknownKey { .. } | Self::UnknownVersion { .. })
    }

    /// Whether a job failed for rows of its own, so that others can go on.
    pub(crate) fn is_of_one_job(&self) -> bool {
        self.is_damage() || matches!(self, Self::Contended(_))
    }

    /// `row` does not hold what such a row must.
    pub(crate) fn damaged(row: impl Into<String>, cause: Damage) -> Self {
        Self::Damaged { row: row.into(), cause }
    }

    /// Why the row called `row` did not open.
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

    /// Why the row called `row` was not read.
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
