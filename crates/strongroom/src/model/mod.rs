//! What users write and read: definitions, values, credentials, accounts and key slots.

mod account;
mod actor;
mod credential_filter;
mod definition;
mod event;
mod for_value;
mod mark;
mod metadata;
mod page;
mod pin;
mod provider_key;
mod refresh;
mod resolved;
mod settings;
mod slot;
mod usage;
mod value;
mod version;

pub use account::{AccountProfile, Integration, LinkedAccount};
pub use actor::Actor;
pub(crate) use credential_filter::Sought;
pub use credential_filter::{CredentialFilter, CredentialPlace};
pub use definition::{DefinitionRef, StoredDefinition, VariableDefinition};
pub(crate) use event::ChainId;
pub use event::{AuditChange, AuditEvent, EventId, EventKind};
pub use mark::Mark;
pub(crate) use metadata::Entries;
pub use metadata::Metadata;
pub(crate) use page::ListId;
pub use page::{Cursor, CursorError, Listing, PageRequest};
pub use pin::{Pin, Pinned};
pub use provider_key::ProviderKey;
pub use refresh::{OnUncertain, Refresh, RefreshState, RefreshedBy, Unrefreshed};
pub use resolved::{Found, Origin, ReadError, Resolution, Resolved, Step, Trace, ValuePlace};
pub use settings::Settings;
pub use slot::{SlotId, SlotInfo, SlotKind};
pub use usage::Usage;
pub(crate) use value::Standing;
pub use value::{
    Credential, CredentialInfo, CredentialWritten, Expected, Revision, ScopedValue, Upsert, ValueWritten,
};
pub use version::Version;
