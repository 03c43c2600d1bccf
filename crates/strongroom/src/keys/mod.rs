//! Key custody: how a vault is opened, and the keys that open and seal its rows.

pub(crate) mod keyring;
pub(crate) mod root;
pub(crate) mod slot;
pub(crate) mod slot_provider;
pub(crate) mod store_row;
pub(crate) mod unlock;

pub(crate) use keyring::{KeyLookup, Keyring};
pub(crate) use slot::{Slot, SlotError, SlotPlace};
pub(crate) use slot_provider::{ExternalKey, Provider};
pub(crate) use store_row::{KeyEnd, KeyHeld, StoreRow};
