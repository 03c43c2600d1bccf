//! Marks: how far the store has come.

use crate::engine::{ATTEMPTS_MAX, Touches};
use crate::error::Error;
use crate::model::Mark;
use crate::store::WriteBatch;
use crate::verbs::vault::Vault;

impl Vault {
    /// Moves the store's count on and returns it, for [`VaultOptions::expect_at_least`] to compare. Keep the newest
    /// mark away from the store, with the key, say: a copy of the store from before it is then refused.
    ///
    /// Call it after opening, before closing, and from a timer as often as a loss would matter: a copy that was made
    /// after the last mark is not noticed. It rewrites one row. Rotation, copy, backup and restore carry the count on,
    /// if the backup was made after the first mark.
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
    /// [`Error::RolledBack`] if the store went back since the vault was opened, [`Error::Contended`],
    /// [`Error::Retired`], [`Error::Locked`], [`Error::RootRotated`], [`Error::Store`]. After a lost answer the next
    /// mark is higher all the same.
    ///
    /// [`VaultOptions::expect_at_least`]: crate::VaultOptions::expect_at_least
    pub async fn mark(&self) -> Result<Mark, Error> {
        let engine = &self.engine;
        for _ in 0..ATTEMPTS_MAX {
            let (_, mut store_row, root) = engine.open_head().await?;
            let count = store_row.body.move_mark(engine.now());
            let mut batch = WriteBatch::default();
            store_row.put_in(&mut batch, &engine.store_id, &root.key)?;
            if let Some(committed) = engine.commit(batch, Touches::Data).await? {
                engine.store_row_landed(&store_row, committed);
                return Ok(Mark { store_id: engine.store_id, count });
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}
