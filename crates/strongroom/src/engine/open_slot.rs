//! Which key slot a key opens, and the root key in it.

use crate::engine::head::{Head, SLOTS_OF_A_KIND_MAX};
use crate::envelope::{Argon2Bounds, Argon2Error, KeyMaterial};
use crate::error::{Damage, Error, SlotError};
use crate::keys::provider::ProviderErrorKind;
use crate::keys::{Root, Roots, Slot, Unlock};
use crate::model::SlotId;
use crate::store::RowRevision;

/// The slot that opened, and the root key from it.
pub(crate) struct OpenedSlot<'h> {
    pub(crate) slot: &'h Slot,
    pub(crate) row_revision: RowRevision,
    pub(crate) root: KeyMaterial,
}

impl Head {
    /// The root key from the first slot that `unlock` opens.
    pub(crate) async fn open_slots(
        &self,
        unlock: &Unlock,
        bounds: &Argon2Bounds,
    ) -> Result<OpenedSlot<'_>, Error> {
        // Bounds the work: each slot of a kind costs a key derivation, and a hostile store could add any number.
        if self.slots.iter().filter(|row| row.is_of(unlock.tag())).count() > SLOTS_OF_A_KIND_MAX {
            return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
        }
        let mut refusal = None;
        for row in &self.slots {
            let opened = match row.slot() {
                Ok(slot) => unlock.open_slot(slot, bounds).await.map(|root| (slot, root)),
                Err(error) => Err(error),
            };
            match opened {
                Ok((slot, root)) => return Ok(OpenedSlot { slot, row_revision: row.row_revision, root }),
                Err(error) => refusal = Some(worse(refusal, error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::damaged("the key slot", Damage::Missing)))
    }

    /// The roots that `unlock` opens, checked against the `store` row, and the slot that it opens.
    pub(crate) async fn open_roots(
        &self,
        unlock: &Unlock,
        bounds: &Argon2Bounds,
    ) -> Result<(Roots, SlotId), Error> {
        let OpenedSlot { slot, root, .. } = self.open_slots(unlock, bounds).await?;
        let root = Root::new(root);
        let store_row = self.open_store_row(&root.key)?;
        if store_row.body.held(slot).is_none() {
            return Err(Error::damaged(slot.row_name(), Damage::Inconsistent));
        }
        Ok((Roots::new(root, &store_row), SlotId::from_bytes(slot.place.id)))
    }
}

/// The more useful error of two slots that did not open: an outage before damage, then a wrong key, then a slot of
/// another kind.
fn worse(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Slot(SlotError::NoneOfThisKind(_)) => 0,
        Error::WrongKey => 1,
        Error::Provider(error) if error.kind() == ProviderErrorKind::NotThisKey => 1,
        Error::Provider(_) | Error::System(_) | Error::KeyDerivation(Argon2Error::NoMemory) => 3,
        _ => 2,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}
