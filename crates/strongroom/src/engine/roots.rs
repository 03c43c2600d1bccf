//! Finds out which root key is active, by reading the `store` row again.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::head::{Head, read_head};
use crate::error::{Damage, Error};
use crate::keys::{Root, Roots, StoreRow, sealing_key_id};
use crate::row::{Row, VaultRow};
use crate::store::{Committed, Key, RowRevision, Versioned};

impl Engine {
    /// Reads the `store` row to find out which root is active. Takes up a root that another engine made active, if the
    /// host asked for that.
    ///
    /// # Errors
    /// [`Error::RootRotated`] if it is a root that this engine never had and cannot take up.
    pub(crate) async fn refresh_roots(&self) -> Result<(), Error> {
        loop {
            let before = self.roots.id();
            match self.try_refresh_roots().await {
                // The row may have been read just before this engine made another root active: read it again.
                Err(Error::RootRotated) if self.roots.id() != before => {}
                Err(Error::RootRotated) => self.take_up_root(before).await?,
                answer => return answer,
            }
        }
    }

    async fn try_refresh_roots(&self) -> Result<(), Error> {
        let (row, moment) = (Row::Vault(VaultRow::Store), self.caches.moment());
        let found = self.get(row.key()).await?;
        let found = found.ok_or_else(|| Error::damaged(row.name(), Damage::Missing))?;
        let malformed = || Error::damaged(row.name(), Damage::Malformed);
        let id = sealing_key_id(&row, &found.value).ok_or_else(malformed)?;
        let roots = self.roots.get()?;
        let mut named = [Some(&roots.active), roots.coming.as_ref()].into_iter().flatten();
        let active = named.find(|root| *root.key.id() == id).cloned().ok_or(Error::RootRotated)?;
        let store_row = StoreRow::open(&self.store_id, &active.key, &found)?;
        self.caches.refuse_older(&row, store_row.revision, moment)?;
        self.gate.learn_settings(store_row.body.settings()?, store_row.revision);
        let learns = self.roots.change(|known| {
            // A later row was taken over while this one was being read.
            let is_older = store_row.revision.as_u64() < known.store_revision.as_u64();
            if is_older || known.active.key.id() != roots.active.key.id() {
                return known.clone();
            }
            let coming = known.coming.clone().filter(|root| *root.key.id() != id);
            Roots::new(active, &store_row).with_coming(coming)
        });
        self.forget_shredded_if(learns);
        Ok(())
    }

    /// The head of the store, its `store` row, and the active root that opened it.
    pub(crate) async fn open_head(&self) -> Result<(Head, StoreRow, Arc<Root>), Error> {
        loop {
            let (before, moment) = (self.roots.id(), self.caches.moment());
            let head = read_head(&*self.store).await?;
            if head.store_id != self.store_id {
                return Err(Error::damaged("the store's header", Damage::Inconsistent));
            }
            let root = Arc::clone(&self.roots.get()?.active);
            let error = match head.open_store_row(&root.key) {
                Ok(store_row) => {
                    self.caches.refuse_older(&Row::Vault(VaultRow::Store), store_row.revision, moment)?;
                    self.gate.learn(head.pass(&store_row)?, store_row.revision);
                    self.learn_shreds(&store_row);
                    return Ok((head, store_row, root));
                }
                Err(error) => self.if_rotated(error).await,
            };
            // The row may have been read just before or after this engine made another root active: read it again.
            if !matches!(error, Error::UnknownKey { .. }) || self.roots.id() == before {
                return Err(error);
            }
        }
    }

    /// Takes over the shreds that a `store` row notes.
    pub(crate) fn learn_shreds(&self, store_row: &StoreRow) {
        self.forget_shredded_if(self.roots.learn(store_row));
    }

    /// Drops every keyring opened before other shreds became known. Shreds are rare, so all of them go, also those of
    /// the engine that a plan is made beside: both know the same roots.
    pub(super) fn forget_shredded_if(&self, learns: bool) {
        if learns {
            self.caches.forget_all(&[]);
            if let Some(plan) = &self.plan {
                plan.under().forget_shredded_if(learns);
            }
        }
    }

    /// Notes that this engine rewrote the `store` row, without changing the root: later batches expect it as it is now,
    /// and one from before is refused.
    pub(crate) fn store_row_landed(&self, before: &StoreRow, committed: Committed) {
        self.roots.moved(committed.revision, before);
        self.caches.wrote(&VaultRow::Store.key(), before.revision.next());
    }

    /// The true cause of a row under a root that this engine does not have: a rotation by another engine, or damage. If
    /// [rotations are followed](crate::engine::Kept::follows), the root may have been taken up, and the row opens now.
    pub(crate) async fn if_rotated(&self, error: Error) -> Error {
        if !matches!(error, Error::UnknownKey { .. }) {
            return error;
        }
        match self.refresh_roots().await {
            // If the store fails now, it is unknown which of the two it is.
            Err(
                why @ (Error::RootRotated
                | Error::Locked
                | Error::Store(_)
                | Error::Provider(_)
                | Error::System(_)
                | Error::KeyDerivation(_)
                | Error::RolledBack { .. }),
            ) => why,
            _ => error,
        }
    }

    /// Reads a row that the root key seals and opens it with `open`. A root rotation may seal the row again between
    /// the read and the opening: then it is read again.
    pub(crate) async fn read_under_root<T>(
        &self,
        key: &Key,
        open: impl Fn(&Versioned) -> Result<T, Error>,
    ) -> Result<Option<(T, RowRevision)>, Error> {
        let (mut failed_at, mut may_follow) = (None, self.kept.follows());
        loop {
            let Some(row) = self.get(key.clone()).await? else { return Ok(None) };
            match open(&row) {
                // Only while the row changes: reading the same row twice under an unknown key is no race. The row is
                // damaged, or another engine rotated the root.
                Err(Error::UnknownKey { .. }) if failed_at != Some(row.revision) => {
                    failed_at = Some(row.revision);
                }
                Err(error) => match self.if_rotated(error).await {
                    Error::UnknownKey { .. } if std::mem::take(&mut may_follow) => {}
                    error => return Err(error),
                },
                Ok(opened) => return Ok(Some((opened, row.revision))),
            }
        }
    }
}
