//! What users write and read: definitions, values, credentials and accounts.

mod account;
mod definition;
mod page;
mod resolved;
mod value;

pub use account::{Integration, LinkedAccount};
pub use definition::{DefinitionRef, StoredDefinition, VariableDefinition};
pub use page::{Cursor, Listing, PageRequest};
pub use resolved::{Found, Origin, Resolution, Resolved, Step, Trace};
pub use value::{Credential, CredentialInfo, Expected, Revision, ScopedValue, Upsert, ValueWritten};
