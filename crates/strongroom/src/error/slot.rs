//! Why key slots cannot be used or changed.

use crate::model::{ProviderKey, SlotId};

/// Why a key slot cannot be used, added, changed or removed. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The vault has no key slot for the kind of key that was presented.
    #[error("the vault has no key slot of this kind: use {0}")]
    NoneOfThisKind(&'static str),
    /// No such key slot.
    #[error("key slot {0} not found")]
    NotFound(SlotId),
    /// The sealed `store` row lists the slot, but its own row is missing: the store lost it, or hides it.
    #[error("the row of key slot {0} is missing from the store: put it back, or remove the slot")]
    RowMissing(SlotId),
    /// Without this slot, nothing could open the vault.
    #[error("this is the last key slot that can open the vault: add another one first")]
    Last,
    /// The provider's key was destroyed for a shred, or is about to be
    /// ([`Vault::settle_shred`](crate::Vault::settle_shred)): a slot that uses it could not be opened.
    #[error("the provider's key `{}` is destroyed or about to be, for a shred: use another key", .0.id)]
    KeyShredded(ProviderKey),
    /// The raw key or passphrase already opens this slot.
    #[error("this key already opens slot {0}: give each slot a key of its own")]
    KeyTaken(SlotId),
    /// The vault has the maximum number of slots: 8 of one kind, or 24 including those that cannot be read.
    #[error("there are {0} key slots, which is the maximum: remove one first")]
    TooMany(usize),
    /// A rotation of the root key needs every slot to be kept or dropped, and this one was neither.
    #[error("the key of slot {0} was not presented: present it, or name the slot as dropped")]
    NotPresented(SlotId),
}
