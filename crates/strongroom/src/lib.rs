//! `strongroom`: an embeddable storage engine for scoped variables and credentials.
//!
//! How it works inside, what it writes and what it withstands stands in [`docs`].

mod account;
mod accounts;
mod cache;
mod clock;
mod credentials;
mod definitions;
pub mod docs;
mod engine;
mod envelope;
mod error;
pub mod format;
#[cfg(feature = "hazmat")]
pub mod hazmat;
#[macro_use]
mod id;
mod jobs;
mod keyspace;
mod limits;
mod model;
mod options;
mod org;
mod record;
mod records;
mod resolve;
mod scope;
mod secret;
pub mod store;
mod tenant;
mod unlock;
mod values;
mod vault;

pub use account::Account;
pub use accounts::{AccountWritten, CreateAccount, UpsertAccount};
pub use clock::{Clock, SystemClock, Timestamp};
pub use credentials::AppCredentials;
pub use definitions::{DefinitionChange, DefinitionFilter, FormatChange, Mismatch, OnMismatch};
pub use envelope::{Argon2Error, Argon2Params, DekId};
pub use error::{Damage, Error};
pub use format::{FormatError, LengthBounds, VarFormat};
pub use id::{
    CredentialKey, DefinitionId, DefinitionName, DocumentId, Environment, IdError, IntegrationId,
    LinkedAccountId, Namespace, OrgId, RecordKey, WorkflowId,
};
pub use limits::Limits;
pub use model::{
    Credential, CredentialInfo, Cursor, DefinitionRef, Expected, Found, Integration, LinkedAccount, Listing,
    Origin, PageRequest, Resolution, Resolved, Revision, ScopedValue, Step, StoredDefinition, Trace, Upsert,
    ValueWritten, VariableDefinition,
};
pub use options::WriteOptions;
pub use org::Org;
pub use records::{Record, RecordWrite, Records};
pub use scope::{Scope, ScopeKind, ScopePath, Scopes, UnknownScope};
pub use secret::Secret;
pub use store::Store;
pub use unlock::{RawKey, Unlock};
pub use values::{DeletedValue, NewValue};
pub use vault::{Vault, VaultOptions};
