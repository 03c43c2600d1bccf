//! `strongroom`: an embeddable storage engine for scoped variables and credentials.
//!
//! ```
//! # futures_executor::block_on(async {
//! use strongroom::{Environment, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition, Vault};
//! let vault = Vault::create(strongroom_memory::MemoryStore::new(), Unlock::raw_key(RawKey::generate()?)).await?;
//! let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
//! org.define(VariableDefinition::new("API_SECRET", VarFormat::String).encrypted()).await?;
//! org.set_value("API_SECRET", Scope::LinkedAccount("user_12345".parse()?), String::from("s3cret")).await?;
//! let run = ScopePath::org().linked_account("user_12345".parse()?).workflow("wf_1".parse()?);
//! let found = org.resolve("API_SECRET", &run).await?.unwrap();
//! assert_eq!((found.value.expose(), found.scope.as_str()), ("s3cret", "linked_account"));
//! # Ok::<(), strongroom::Error>(()) }).unwrap();
//! ```
//!
//! | to | use |
//! |---|---|
//! | create, open and close a vault | [`Vault`], [`VaultOptions`], [`Unlock`], [`RawKey`], [`Limits`] |
//! | choose a tenant | [`Vault::org`], [`Org`], [`Environment`] |
//! | say on whose behalf | [`Org::acting_as`], [`Actor`] |
//! | define variables | [`Org::define`], [`VariableDefinition`], [`DefinitionChange`], [`format`](mod@format) |
//! | define and set in one batch | [`Org::define_and_set`], [`DefinedAndSet`] |
//! | set, read and delete values | [`Org::set_value`], [`Org::set_values`], [`Org::value`], [`Org::delete_value`] |
//! | see what a run sees, and why | [`Org::resolve`], [`Org::resolve_all`], [`Org::explain`], [`ScopePath`] |
//! | keep accounts and their credentials | [`Org::create_account`], [`Account`], [`AppCredentials`] |
//! | refresh tokens once, whoever asks | [`AppCredentials::refresh`], [`Refresh`], [`Sleep`] |
//! | write only if nothing has changed | [`Expected`], [`WriteOptions`] |
//! | say who wrote a version, and why | [`WriteOptions::note`], [`Metadata`] |
//! | measure the caches | [`Vault::cache_stats`], [`CacheStats`] |
//! | keep sealed records of your own | [`Org::records`], [`Records`], [`RecordWrite`] |
//! | page through a list | [`PageRequest`], [`Listing`], [`DefinitionFilter`] |
//! | back up, restore and move a vault | [`Vault::backup`], [`Vault::backup_org`], [`Backup`], [`Vault::copy_to`] |
//! | check every row | [`Vault::verify`], [`Org::verify`], [`Verification`], [`VerifyReport`] |
//! | rotate keys | [`Vault::rotate_root`], [`Vault::rotate_data_keys`], [`Org::rotate_keys`], [`KeyJob`] |
//! | say how much a tenant may store, and see it | [`Quotas`], [`Org::usage`], [`Account::usage`] |
//! | destroy data for good | [`Org::shred_account`], [`Org::shred`], [`Vault::settle_shred`], [`ShredEffect`] |
//! | add, change and remove keys of the vault | [`Vault::slots`], [`Unlock`], [`KeyProvider`] |
//! | wipe keys from memory for a while | [`Vault::lock`], [`Org::lock`] |
//! | see who changed what | [`Org::audit`], [`AuditEvent`], [`Settings::audit`] |
//! | commit beside rows of your own | [`Org::plan`], [`store::Plan`] |
//! | learn that something changed | [`Org::generation`], [`Vault::watch`], [`Settings`] |
//! | list what a vault holds | [`Vault::orgs`], [`Org::scopes_with_values`], [`Org::values_of`] |
//! | find credentials that are missing or expire | [`Org::credentials_where`], [`CredentialFilter`] |
//! | hand out less than an org | [`Org::reader`], [`Account::viewer`], [`Account::bound`] |
//! | measure and trace verbs | [`VaultOptions::observer`], [`Observer`] |
//! | write a backend | [`Store`], [`store`] |
//!
//! # Cancellation
//!
//! The future of any verb may be dropped before it ends, as when the client of a request goes away. A dropped read has
//! done nothing. A dropped write has happened completely or not at all, and it may show only later which: a batch that
//! was sent can land after a read that missed it. Verbs of several batches say under *Cancellation* what they leave. To
//! learn the outcome, run the write on a task of its own; an [`Observer`] sees [`Outcome::Cancelled`].
//!
//! On a store that nobody else writes to, dropping a change of definitions, accounts or keys in flight has a cost until
//! the vault is opened again: each read also reads one small row, as on a shared store, and what runs see is no longer
//! cached.
//!
//! [`docs`] has the design, the on-disk format and the threat model.

mod clock;
pub mod docs;
mod engine;
mod envelope;
mod error;
pub mod format;
#[cfg(feature = "harden")]
mod harden;
#[cfg(feature = "hazmat")]
pub mod hazmat;
#[macro_use]
mod id;
mod jobs;
mod keys;
mod limits;
mod model;
mod random;
mod row;
mod scope;
mod secret;
mod tenant;
mod transfer;
mod verbs;
mod verify;

pub use clock::{Clock, ManualClock, Sleep, SystemClock, Timestamp};
pub use engine::cache::{CacheCounts, CacheStats};
pub use engine::observer::{Observation, Observer, Outcome};
#[cfg(feature = "tracing")]
pub use engine::traced::TracingObserver;
pub use engine::watch::{Moved, Watch};
pub use envelope::{Argon2Error, Argon2Params, DekId};
pub use error::RefreshError;
pub use error::{
    BackupFault, CheckpointFault, Damage, Error, ErrorKind, Invalid, KeyFileError, SlotError, SystemError,
    WrongStore,
};
pub use format::{FormatError, LengthBounds, VarFormat};
#[cfg(feature = "harden")]
pub use harden::{harden_process, lock_memory};
pub use id::{
    ActorName, ConnectionId, CredentialKey, DefinitionId, DefinitionName, DocumentId, Environment, IdError,
    IntegrationId, LinkedAccountId, Namespace, OrgId, RecordKey, RequestId, WorkflowId,
};
pub use jobs::rotation::{
    DataKeys, JobInfo, JobKind, JobOutcome, JobProgress, JobReport, JobState, KeyJob, NewRoot, OnUnreadable,
    RootRotation, Unreadable, UnreadableCause,
};
pub use jobs::shred::{Assume, DestroyedKey, NotDestroyed, ShredEffect, ShredReceipt};
pub use keys::provider::{self, KeyProvider};
pub use keys::{RawKey, Unlock};
pub use limits::{Limits, Quota, Quotas};
pub use model::{
    AccountProfile, Actor, AuditChange, AuditEvent, Credential, CredentialFilter, CredentialInfo,
    CredentialPlace, CredentialWritten, Cursor, CursorError, DefinitionRef, EventId, EventKind, Expected,
    Found, Integration, LinkedAccount, Listing, Mark, Metadata, OnUncertain, Origin, PageRequest, Pin,
    Pinned, ReadError, Refresh, RefreshState, RefreshedBy, Resolution, Resolved, Revision, ScopedValue,
    Settings, SlotId, SlotInfo, SlotKind, Step, StoredDefinition, Trace, Unrefreshed, Upsert, Usage,
    ValuePlace, ValueWritten, VariableDefinition, Version,
};
pub use scope::{Scope, ScopeKind, ScopePath, Scopes, UnknownScope};
pub use secret::{NotBytes, Secret, SecretBytes};
/// Implements [`Variables`] for a struct: the crate `strongroom-derive`.
#[cfg(feature = "derive")]
pub use strongroom_derive::Variables;
/// The trait that a backend implements, with its batches, pages and errors: the crate `strongroom-store`.
pub use strongroom_store as store;
pub use strongroom_store::Store;
pub use tenant::record::{Record, RecordWritten};
pub use tenant::variables::{Variable, Variables};
pub use tenant::{NewCredential, NewValue, RecordWrite, WriteOptions};
pub use transfer::{Backup, BackupSummary, CopySummary, Phase, Progress, RestoreSummary};
pub use verbs::account::Account;
pub use verbs::accounts::{AccountWritten, CreateAccount, UpdateAccount, UpsertAccount};
pub use verbs::audit::{AuditBuffer, AuditCheck, AuditDigest, AuditFilter, AuditNote};
pub use verbs::credentials::{AppCredentials, Credentials, Refreshed, Replaced};
pub use verbs::definitions::{
    DefinitionChange, DefinitionDiffers, DefinitionFilter, DefinitionPart, Ensured, FormatChange, Mismatch,
    OnMismatch,
};
pub use verbs::generation::Generation;
pub use verbs::items::Items;
pub use verbs::org::Org;
pub use verbs::reader::{Reader, Viewer};
pub use verbs::records::{IfChanged, Records, Stamp};
pub use verbs::slots::Slots;
pub use verbs::values::{DefinedAndSet, DeletedValue};
pub use verbs::vault::{Vault, VaultOptions};
pub use verify::{
    Cause, Finding, Index, KeyState, KeyUse, Parent, RowName, RowPath, Verification, VerifyReport,
};
