//! Slots: how a new one is made, and which one opens.

use zeroize::Zeroizing;

use super::VaultOptions;
use crate::engine::Root;
use crate::envelope::{Provider, Slot, SlotError, StoreId, random};
use crate::error::{Damage, Error};
use crate::keyspace::StoreKeys;
use crate::store::{Key, Page, Versioned};
use crate::unlock::Unlock;

impl VaultOptions {
    pub(super) async fn new_slot(
        &self,
        store_id: StoreId,
        unlock: &Unlock,
        root: &Root,
    ) -> Result<Slot, Error> {
        let provider = unlock.new_provider(self.argon2)?;
        let base = unlock.base(&provider).await?.ok_or(Error::WrongKey)?;
        let mut id = [0; 16];
        random::fill(&mut id)?;
        Ok(Slot::seal(id, store_id, provider, &base, &root.bytes)?)
    }

    /// The root key from the first slot that `unlock` opens.
    pub(super) async fn open_slots(
        &self,
        store_id: &StoreId,
        slots: &Page,
        unlock: &Unlock,
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        if slots.more {
            return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
        }
        let mut refusal = None;
        for (key, row) in &slots.rows {
            match self.open_slot(store_id, key, row, unlock).await {
                Ok(root) => return Ok(root),
                Err(error) => refusal = Some(worse(refusal, error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::damaged("the key slot", Damage::Missing)))
    }

    async fn open_slot(
        &self,
        store_id: &StoreId,
        key: &Key,
        row: &Versioned,
        unlock: &Unlock,
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        let slot = Slot::decode(&row.value).map_err(|error| Error::row("the key slot", error))?;
        if slot.store_id != *store_id || StoreKeys::slot(&slot.id) != *key {
            return Err(Error::damaged("the key slot", Damage::Inconsistent));
        }
        if let Provider::Passphrase { params, .. } = &slot.provider {
            params.check_ceiling(&self.argon2_ceiling)?;
        }
        let Some(base) = unlock.base(&slot.provider).await? else {
            return Err(Error::NoSuchSlot(slot.provider.name()));
        };
        slot.open(&base).map_err(|error| match error {
            SlotError::WrongKey => Error::WrongKey,
            SlotError::Damaged => Error::damaged("the key slot", Damage::Rejected),
            SlotError::UnknownVersion(version) => {
                Error::UnknownVersion { row: "the key slot".to_owned(), version }
            }
        })
    }
}

/// Of two slots that did not open, the one whose reason tells more: damage, then a wrong key, then another kind.
fn worse(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::NoSuchSlot(_) => 0,
        Error::WrongKey => 1,
        _ => 2,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}
