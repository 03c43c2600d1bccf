//! The root key in use, and the others that rows may still be under.
//!
//! Every batch that seals under the root expects the `store` row, which a new root rewrites: that is the fence of the
//! root, as the keyring is that of data keys. An engine that learned nothing of a new root is told by it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::envelope::{DekId, KeyMaterial, SealingKey};
use crate::error::Error;
use crate::keys::StoreRow;
use crate::row::VaultRow;
use crate::store::{Expect, RowRevision, WriteBatch};

/// A root key: it derives data keys, and seals keyrings and the rows of the whole store.
pub(crate) struct Root {
    pub(crate) bytes: KeyMaterial,
    pub(crate) key: SealingKey,
}

impl Root {
    /// On the heap at once: a key that is moved leaves copies of itself behind.
    #[inline(never)]
    pub(crate) fn new(bytes: KeyMaterial) -> Arc<Self> {
        let key = SealingKey::derive(&bytes);
        Arc::new(Self { bytes, key })
    }
}

/// The root keys that an engine knows, as they were at one point.
#[derive(Clone)]
pub(crate) struct Roots {
    /// Seals what is written.
    pub(crate) active: Arc<Root>,
    /// The one before, while a rotation leaves rows under it.
    pub(crate) retiring: Option<Arc<Root>>,
    /// One that this engine is about to make active: its batch may land though the answer gets lost.
    pub(crate) coming: Option<Arc<Root>>,
    /// The `store` row's revision when it named the active one.
    row: RowRevision,
}

impl Roots {
    pub(crate) fn new(active: Arc<Root>, store_row: &StoreRow) -> Self {
        let retiring = store_row.body.retiring().map(Root::new);
        Self { active, retiring, coming: None, row: store_row.row }
    }

    /// The same with a root that may soon be active.
    pub(crate) fn with_coming(self, coming: Option<Arc<Root>>) -> Self {
        Self { coming, ..self }
    }

    /// Those of a new vault.
    pub(crate) fn first(active: Arc<Root>, row: RowRevision) -> Self {
        Self { active, retiring: None, coming: None, row }
    }

    /// The same once the `store` row stands at this revision.
    pub(crate) fn at(self, row: RowRevision) -> Self {
        Self { row, ..self }
    }

    /// The root with this id. A row names its key; none is tried.
    pub(crate) fn find(&self, id: &DekId) -> Option<&Root> {
        let known = [Some(&self.active), self.retiring.as_ref(), self.coming.as_ref()];
        known.into_iter().flatten().map(|root| &**root).find(|root| root.key.id() == id)
    }

    /// Whether the active root is the one with this id, or says that it took its place.
    pub(crate) fn follows(&self, id: &DekId) -> bool {
        [Some(&self.active), self.retiring.as_ref()].into_iter().flatten().any(|root| root.key.id() == id)
    }

    /// What a batch that seals under the active root expects.
    pub(crate) fn expect_in(&self, batch: &mut WriteBatch) {
        batch.expect(VaultRow::Store.key(), Expect::Revision(self.row));
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("active", self.active.key.id()).finish_non_exhaustive()
    }
}

/// What an engine knows of root keys, replaced as a whole. No warm verb looks at it.
#[derive(Debug)]
pub(crate) struct RootCell(RwLock<Held>);

#[derive(Debug)]
enum Held {
    Open(Arc<Roots>),
    /// Wiped by a lock; the public id of the active one is left.
    Locked(DekId),
}

impl RootCell {
    pub(crate) fn new(roots: Roots) -> Self {
        Self(RwLock::new(Held::Open(Arc::new(roots))))
    }

    /// # Errors
    /// [`Error::Locked`] while the vault is locked.
    pub(crate) fn get(&self) -> Result<Arc<Roots>, Error> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Held::Open(roots) => Ok(Arc::clone(roots)),
            Held::Locked(_) => Err(Error::Locked),
        }
    }

    /// The public id of the active one, which a lock leaves.
    pub(crate) fn id(&self) -> DekId {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Held::Open(roots) => *roots.active.key.id(),
            Held::Locked(id) => *id,
        }
    }

    /// Lets go of all of them. Each is wiped when the last verb that uses it ends.
    pub(crate) fn lock(&self) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Held::Open(roots) = &*held {
            *held = Held::Locked(*roots.active.key.id());
        }
    }

    /// Takes those that a slot gave, where a lock let go of them.
    pub(crate) fn unlock(&self, roots: Roots) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, Held::Locked(_)) {
            *held = Held::Open(Arc::new(roots));
        }
    }

    /// Changes what is known; nothing is while the vault is locked.
    pub(crate) fn change(&self, change: impl FnOnce(&Roots) -> Roots) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Held::Open(roots) = &mut *held {
            *roots = Arc::new(change(roots));
        }
    }

    /// A root of this engine's making may soon be active.
    pub(crate) fn announce(&self, coming: &Arc<Root>) {
        self.change(|roots| Roots { coming: Some(Arc::clone(coming)), ..roots.clone() });
    }

    /// The engine itself rewrote the `store` row, and the root stayed.
    pub(crate) fn moved(&self, row: RowRevision) {
        self.change(|roots| Roots { row, ..roots.clone() });
    }
}
