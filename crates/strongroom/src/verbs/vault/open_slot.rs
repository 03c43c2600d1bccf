//! Opening a slot, and raising its cost afterwards.

use std::sync::Arc;

use crate::engine::gate::Pass;
use crate::engine::head::{Head, SLOTS_OF_A_KIND_MAX};
use crate::envelope::KeyMaterial;
use crate::error::{Damage, Error, SlotError};
use crate::keys::provider::ProviderErrorKind;
use crate::keys::{Provider, Root, Slot, StoreRow, Unlock};
use crate::row::VaultRow;
use crate::store::{Expect, RowRevision, Store, WriteBatch};
use crate::verbs::vault::VaultOptions;

/// The slot that opened, and the root key from it.
pub(crate) struct OpenedSlot<'h> {
    pub(crate) slot: &'h Slot,
    pub(crate) row_revision: RowRevision,
    pub(crate) root: KeyMaterial,
}

impl VaultOptions {
    /// The root key from the first slot that `unlock` opens.
    pub(crate) async fn open_slots<'h>(
        &self,
        head: &'h Head,
        unlock: &Unlock,
    ) -> Result<OpenedSlot<'h>, Error> {
        // Bounds the work: each slot of a kind costs a key derivation, and a hostile store could add any number.
        if head.slots.iter().filter(|row| row.is_of(unlock.tag())).count() > SLOTS_OF_A_KIND_MAX {
            return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
        }
        let mut refusal = None;
        for row in &head.slots {
            let opened = match &row.slot {
                Ok(slot) => unlock.open_slot(slot, &self.argon2_bounds()).await.map(|root| (slot, root)),
                Err(fault) => Err((*fault).into()),
            };
            match opened {
                Ok((slot, root)) => return Ok(OpenedSlot { slot, row_revision: row.row_revision, root }),
                Err(error) => refusal = Some(worse(refusal, error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::damaged("the key slot", Damage::Missing)))
    }

    /// Seals a passphrase's slot again if its key derivation is cheaper than today's. Any failure is ignored: the
    /// vault is open all the same, and the next `open` tries again. A retired store is not written to. Returns the
    /// revision of the `store` row if it was written: its history notes every rewrite of a slot, since the slot's next
    /// revision is counted from there.
    pub(crate) async fn upgrade_slot(
        &self,
        store: &dyn Store,
        unlock: &Unlock,
        (slot, row, pass): (&Slot, RowRevision, Pass),
        (mut store_row, root): (StoreRow, &Root),
    ) -> Option<RowRevision> {
        let Provider::Passphrase { params, .. } = &slot.provider else { return None };
        let raised = self.argon2_bounds().raise(params).filter(|_| self.upgrades_slots)?;
        // The slot opened, so its own revision is authentic.
        let raised = unlock.seal_slot(slot.place.next(), &root.bytes, raised).await.ok()?;
        store_row.body.hold(&raised, self.time().now()).ok()?;
        let key = VaultRow::Slot(slot.place.id).key();
        let mut batch = WriteBatch::default();
        batch.expect(key.clone(), Expect::Revision(row));
        batch.put(key, raised.encode());
        // Every change of a slot and every new root writes this row too, so this batch cannot undo one.
        store_row.put_in(&mut batch, &slot.place.store_id, &root.key).ok()?;
        let (header, as_read) = pass.expectation();
        batch.expect(header, as_read);
        store.commit(Arc::new(batch)).await.ok().map(|committed| committed.revision)
    }
}

/// The more useful error of two slots that did not open: an outage, then damage, then a wrong key, then a slot of
/// another kind.
fn worse(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::Slot(SlotError::NoneOfThisKind(_)) => 0,
        Error::WrongKey => 1,
        Error::Provider(error) if error.kind() == ProviderErrorKind::NotThisKey => 1,
        Error::Provider(_) => 3,
        _ => 2,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}
