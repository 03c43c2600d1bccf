//! The active root key, and others that rows may still be sealed under.
//!
//! Every batch that seals under the root expects the `store` row, which a rotation rewrites. That fences the root key,
//! as the keyring fences data keys: an engine that missed a rotation finds out from it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::envelope::{DekId, KeyMaterial, SealingKey};
use crate::error::Error;
use crate::keys::floor::{Floor, floor_of};
use crate::keys::{FIRST, Keyring, StoreRow};
use crate::model::Revision;
use crate::row::{Row, VaultRow};
use crate::store::{Expect, RowRevision, WriteBatch};

/// A root key: it derives data keys, and seals keyrings and the rows of the whole store.
pub(crate) struct Root {
    pub(crate) bytes: KeyMaterial,
    pub(crate) key: SealingKey,
}

impl Root {
    /// Puts the key on the heap at once: moving it would leave copies behind.
    #[inline(never)]
    pub(crate) fn new(bytes: KeyMaterial) -> Arc<Self> {
        let key = SealingKey::derive(&bytes);
        Arc::new(Self { bytes, key })
    }
}

/// The root keys that an engine knows, at one moment.
#[derive(Clone)]
pub(crate) struct Roots {
    /// Seals what is written.
    pub(crate) active: Arc<Root>,
    /// The former root, while a rotation has rows left under it.
    pub(crate) retiring: Option<Arc<Root>>,
    /// A root that this engine is about to make active. Its batch may land although the answer is lost.
    pub(crate) coming: Option<Arc<Root>>,
    /// The revision of the `store` row that names the active root: the backend's, and the sealed one.
    row_revision: RowRevision,
    pub(crate) store_revision: Revision,
    /// The ids of data keys that were shredded, in order.
    shredded: Arc<[DekId]>,
    /// The floors of shredded scopes, in order.
    floors: Arc<[Floor]>,
}

impl Roots {
    pub(crate) fn new(active: Arc<Root>, store_row: &StoreRow) -> Self {
        let retiring = store_row.body.retiring().map(Root::new);
        let mut shredded: Vec<DekId> = store_row.body.shredded().collect();
        shredded.sort_unstable();
        let mut floors: Vec<Floor> = store_row.body.floors().collect();
        floors.sort_unstable();
        Self {
            active,
            retiring,
            coming: None,
            row_revision: store_row.row_revision,
            store_revision: store_row.revision,
            shredded: shredded.into(),
            floors: floors.into(),
        }
    }

    /// These roots, with one that may soon be active.
    pub(crate) fn with_coming(self, coming: Option<Arc<Root>>) -> Self {
        Self { coming, ..self }
    }

    /// The roots of a new vault.
    pub(crate) fn first(active: Arc<Root>, row: RowRevision) -> Self {
        Self {
            active,
            retiring: None,
            coming: None,
            row_revision: row,
            store_revision: FIRST,
            shredded: Arc::new([]),
            floors: Arc::new([]),
        }
    }

    /// These roots, with the `store` row at this revision.
    pub(crate) fn at(self, row: RowRevision) -> Self {
        Self { row_revision: row, ..self }
    }

    /// The root with this id. A row names its key; keys are never tried in turn.
    pub(crate) fn find(&self, id: &DekId) -> Option<&Root> {
        let known = [Some(&self.active), self.retiring.as_ref(), self.coming.as_ref()];
        known.into_iter().flatten().map(|root| &**root).find(|root| root.key.id() == id)
    }

    /// The keyring that was read at a revision, without the keys that were shredded; `None` if it lists none of them.
    /// The store may have kept it from before its scope was shredded.
    pub(crate) fn without_shredded(
        &self,
        row: &Row<'_>,
        revision: Revision,
        keyring: &Keyring,
    ) -> Option<Keyring> {
        if revision.as_u64() < self.floor_of(row) {
            return keyring.without(|_| true);
        }
        keyring.without(|key| self.shredded.binary_search(key).is_ok())
    }

    /// The first revision at which the keyring in `row` counts.
    pub(crate) fn floor_of(&self, row: &Row<'_>) -> u64 {
        floor_of(&self.floors, row)
    }

    /// Whether the active root has this id, or directly replaced the root with this id.
    pub(crate) fn follows(&self, id: &DekId) -> bool {
        [Some(&self.active), self.retiring.as_ref()].into_iter().flatten().any(|root| root.key.id() == id)
    }

    /// Adds what a batch that seals under the active root must expect.
    pub(crate) fn expect_in(&self, batch: &mut WriteBatch) {
        batch.expect(VaultRow::Store.key(), Expect::Revision(self.row_revision));
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("active", self.active.key.id()).finish_non_exhaustive()
    }
}

/// The roots that an engine knows, replaced as a whole. No warm read of a value or credential reads it.
#[derive(Debug)]
pub(crate) struct RootCell(RwLock<RootState>);

#[derive(Debug)]
enum RootState {
    Open(Arc<Roots>),
    /// Wiped by a lock. Only the public id of the active root is left.
    Locked(DekId),
}

impl RootCell {
    pub(crate) fn new(roots: Roots) -> Self {
        Self(RwLock::new(RootState::Open(Arc::new(roots))))
    }

    /// # Errors
    /// [`Error::Locked`] while the vault is locked.
    pub(crate) fn get(&self) -> Result<Arc<Roots>, Error> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            RootState::Open(roots) => Ok(Arc::clone(roots)),
            RootState::Locked(_) => Err(Error::Locked),
        }
    }

    /// The public id of the active root, also while locked.
    pub(crate) fn id(&self) -> DekId {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            RootState::Open(roots) => *roots.active.key.id(),
            RootState::Locked(id) => *id,
        }
    }

    /// Drops all roots. Each is wiped when the last verb that uses it ends.
    pub(crate) fn lock(&self) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let RootState::Open(roots) = &*held {
            *held = RootState::Locked(*roots.active.key.id());
        }
    }

    /// Sets the roots that a slot gave, if a lock dropped them. Otherwise the present ones are newer or equal, and are
    /// kept.
    pub(crate) fn unlock(&self, roots: Roots) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, RootState::Locked(_)) {
            *held = RootState::Open(Arc::new(roots));
        }
    }

    /// Changes the roots; does nothing while the vault is locked. Returns whether the known shreds changed.
    pub(crate) fn change(&self, change: impl FnOnce(&Roots) -> Roots) -> bool {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let RootState::Open(roots) = &mut *held else { return false };
        let changed = change(roots);
        let others = (&changed.shredded, &changed.floors) != (&roots.shredded, &roots.floors);
        *roots = Arc::new(changed);
        others
    }

    /// Takes over the shreds that a later `store` row notes: another process may have made them since the root was
    /// read. Returns whether the known shreds changed.
    pub(crate) fn learn(&self, store_row: &StoreRow) -> bool {
        self.change(|roots| {
            let is_later = store_row.revision.as_u64() > roots.store_revision.as_u64();
            if !is_later || *roots.active.key.id().as_bytes() != store_row.body.root_id {
                return roots.clone();
            }
            Roots::new(Arc::clone(&roots.active), store_row).with_coming(roots.coming.clone())
        })
    }

    /// Adds a root that this engine is about to make active. Call it before the commit: if the answer is lost, the
    /// engine can still open what others seal under that root.
    pub(crate) fn announce(&self, coming: &Arc<Root>) {
        self.change(|roots| Roots { coming: Some(Arc::clone(coming)), ..roots.clone() });
    }

    /// Notes the new revision, and the shreds that the row now notes, after this engine rewrote the `store` row without
    /// changing the root.
    pub(crate) fn moved(&self, row: RowRevision, store_row: &StoreRow) {
        self.change(|roots| {
            let store_revision = store_row.revision.next();
            // Another task has already taken over a later row and its shreds.
            if store_revision.as_u64() <= roots.store_revision.as_u64() {
                return roots.clone();
            }
            let noted = Roots::new(Arc::clone(&roots.active), store_row);
            Roots {
                row_revision: row,
                store_revision,
                shredded: noted.shredded,
                floors: noted.floors,
                ..roots.clone()
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Environment;
    use crate::keys::StoreBody;
    use crate::row::TenantId;

    /// Shreds that the row of a revision notes: a key and a floor of that number.
    fn row_of(root: &Root, number: u64) -> StoreRow {
        let mut body = StoreBody::new(root.key.id());
        body.note_shredded(&[DekId::from_bytes([number.to_be_bytes()[7]; 16])]).unwrap();
        body.note_floor(Floor::of(&tenant().keyring(None), Revision::from_u64(number))).unwrap();
        StoreRow { body, row_revision: RowRevision(number), revision: Revision::from_u64(number) }
    }

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    /// The number of the row that the roots have their shreds from, and of the row that a batch expects.
    fn numbers(cell: &RootCell) -> (u64, u64, u64) {
        let roots = cell.get().unwrap();
        let floor = roots.floor_of(&tenant().keyring(None));
        assert_eq!(*roots.shredded, [DekId::from_bytes([floor.to_be_bytes()[7]; 16])]);
        (floor, roots.store_revision.as_u64(), roots.row_revision.0)
    }

    #[test]
    fn shreds_are_learned_from_a_later_row_under_the_same_root_alone() {
        let [root, other] = [1, 2].map(|byte| Root::new(Box::new(zeroize::Zeroizing::new([byte; 32]))));
        let cell = RootCell::new(Roots::new(Arc::clone(&root), &row_of(&root, 5)));
        for (row, learned) in [(row_of(&root, 4), 5), (row_of(&other, 9), 5), (row_of(&root, 6), 6)] {
            assert_eq!(cell.learn(&row), learned != 5);
            assert_eq!(numbers(&cell), (learned, learned, learned));
        }
    }

    #[test]
    fn a_row_that_was_rewritten_is_followed_and_never_back() {
        let root = Root::new(Box::new(zeroize::Zeroizing::new([1; 32])));
        let cell = RootCell::new(Roots::new(Arc::clone(&root), &row_of(&root, 5)));
        // It is written at the revision after that at which it was read.
        cell.moved(RowRevision(40), &row_of(&root, 4));
        assert_eq!(numbers(&cell), (5, 5, 5));
        cell.moved(RowRevision(70), &row_of(&root, 6));
        assert_eq!(numbers(&cell), (6, 7, 70));
    }
}
