//! Raising the cost of a slot after it opened the vault.

use std::sync::Arc;

use crate::engine::gate::Pass;
use crate::keys::{Provider, Root, Slot, StoreRow, Unlock};
use crate::row::VaultRow;
use crate::store::{Expect, RowRevision, Store, WriteBatch};
use crate::verbs::vault::VaultOptions;

impl VaultOptions {
    /// Seals a passphrase's slot again if its key derivation is cheaper than today's. Any failure is ignored: the vault
    /// is open anyway, and the next `open` tries again. A retired store is not written to. Returns the revision of the
    /// `store` row if it was written: its history notes every rewrite of a slot, since the slot's next revision is
    /// counted from there.
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
