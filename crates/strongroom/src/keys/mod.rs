//! Key custody: the keys that open and seal rows, and how they are obtained. It calls no store and knows neither cache
//! nor engine.
//!
//! | noun | is |
//! |---|---|
//! | root key | 32 bytes that derive data keys, and seal keyrings and the rows of the whole store |
//! | slot | a way to the root key: a passphrase, a raw key or a provider's key |
//! | key scope | an org in one environment, or one linked account in it |
//! | data key | seals the rows of one key scope |
//! | keyring | the data keys of one key scope, and the ids of those that were dropped |

mod floor;
mod keyring;
pub mod provider;
mod raw_key;
mod root;
mod scope_keys;
mod sealed;
mod slot;
mod slot_provider;
mod store_row;
mod unlock;

pub(crate) use floor::{Floor, first_after_drop, revision_at};
pub(crate) use keyring::{KeyLookup, Keyring};
pub use raw_key::RawKey;
pub(crate) use root::{Root, RootCell, Roots};
pub(crate) use scope_keys::ScopeKeys;
pub(crate) use sealed::{Document, OpenedRow, active_key, open, open_under_root, peek, seal, sealing_key_id};
pub(crate) use slot::{Slot, SlotOpenError, SlotPlace};
pub(crate) use slot_provider::{ExternalKey, Provider};
pub(crate) use store_row::{FIRST, KeyEnd, KeyHeld, SlotHeld, StoreBody, StoreRow};
pub use unlock::Unlock;
