//! Marks: a count that shows how recent a store is.

use crate::engine::{ATTEMPTS_MAX, Touches};
use crate::error::{Error, WrongStore};
use crate::keys::StoreBody;
use crate::model::Mark;
use crate::store::WriteBatch;
use crate::verbs::vault::Vault;

impl Vault {
    /// Advances the store's count and returns it, for [`VaultOptions::expect_at_least`] to compare. Keep the newest
    /// mark away from the store, for example with the key: a copy of the store from before the mark is then refused.
    ///
    /// Call it after opening, before closing, and from a timer as often as a loss would matter: a copy made after the
    /// last mark goes unnoticed. It rewrites one row. Rotation, copy, backup and restore carry the count over, if the
    /// backup was made after the first mark.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::sync::Arc;
    /// use strongroom::{RawKey, Unlock, Vault, VaultOptions};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    /// let store = Arc::new(strongroom_memory::MemoryStore::new());
    /// let vault = Vault::create(store.clone(), key()).await?;
    /// let kept = vault.mark().await?.to_string(); // in a file beside the key, say
    /// VaultOptions::default().expect_at_least(kept.parse()?).open(store, key()).await?;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::RolledBack`] if the store was rolled back since the vault was opened, [`Error::Contended`],
    /// [`Error::Retired`], [`Error::Locked`], [`Error::RootRotated`], [`Error::Store`]. After a lost answer the next
    /// mark is still higher.
    ///
    /// [`VaultOptions::expect_at_least`]: crate::VaultOptions::expect_at_least
    pub async fn mark(&self) -> Result<Mark, Error> {
        self.move_mark(0).await
    }

    /// [`mark`](Self::mark), if the store is at least as recent as a kept mark. If several processes keep one mark,
    /// each calls this with the kept one: another process may have advanced it since this one opened the store.
    /// Otherwise an older copy, put back meanwhile, would be taken for the newest.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let kept = vault.mark().await?; // by another process, say
    /// assert!(vault.mark_after(kept).await?.is_after(&kept));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`mark`](Self::mark); [`Error::RolledBack`] also if the store is older than `kept`, and
    /// [`WrongStore::OtherVault`](crate::WrongStore::OtherVault) if `kept` belongs to another store. Nothing is written
    /// then.
    pub async fn mark_after(&self, kept: Mark) -> Result<Mark, Error> {
        if kept.store_id != self.engine.store_id {
            return Err(Error::WrongStore(WrongStore::OtherVault));
        }
        self.move_mark(kept.count).await
    }

    /// Finds out whether the store takes writes, by rewriting a row unchanged. It does not advance the mark.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// vault.check_writes().await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`mark`](Self::mark).
    pub async fn check_writes(&self) -> Result<(), Error> {
        self.rewrite(|_| Ok(())).await
    }

    async fn move_mark(&self, kept: u64) -> Result<Mark, Error> {
        let (store_id, now) = (self.engine.store_id, self.engine.now());
        let move_on = |body: &mut StoreBody| {
            body.refuse_before(kept)?;
            Ok(Mark { store_id, count: body.move_mark(now) })
        };
        self.rewrite(move_on).await
    }

    /// Writes the `store` row with a change.
    async fn rewrite<T>(&self, change: impl Fn(&mut StoreBody) -> Result<T, Error>) -> Result<T, Error> {
        let engine = &self.engine;
        for _ in 0..ATTEMPTS_MAX {
            let (_, mut store_row, root) = engine.open_head().await?;
            let changed = change(&mut store_row.body)?;
            let mut batch = WriteBatch::default();
            store_row.put_in(&mut batch, &engine.store_id, &root.key)?;
            if let Some(committed) = engine.commit(batch, Touches::Data).await? {
                engine.store_row_landed(&store_row, committed);
                return Ok(changed);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}
