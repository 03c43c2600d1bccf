//! The settings of a vault, which every engine obeys.

use crate::engine::gate::Pass;
use crate::engine::{ATTEMPTS_MAX, Touches};
use crate::error::Error;
use crate::model::Settings;
use crate::row::{VaultRow, encode_header};
use crate::store::WriteBatch;
use crate::verbs::vault::Vault;

impl Vault {
    /// The settings that every engine of the vault obeys.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// assert!(!vault.settings().await?.generations); // off unless set
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Locked`], [`Error::RootRotated`], [`Error::Damaged`], and
    /// [`Error::UnknownVersion`] for a setting of a later release.
    pub async fn settings(&self) -> Result<Settings, Error> {
        let (_, store_row, _) = self.engine.open_head().await?;
        store_row.body.settings()
    }

    /// Changes the settings that every engine of the vault obeys. Every write that lands afterwards obeys them,
    /// including writes of processes that have the vault open, and batches in flight: these are planned again.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// vault.change_settings(|settings| settings.generations = true).await?;
    /// assert!(vault.settings().await?.generations);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`settings`](Self::settings); [`Error::Retired`]; [`Error::Contended`] if other writers were faster 16
    /// times in a row; [`Error::Indeterminate`].
    pub async fn change_settings(&self, change: impl Fn(&mut Settings)) -> Result<(), Error> {
        let engine = &self.engine;
        for _ in 0..ATTEMPTS_MAX {
            let (head, mut store_row, root) = engine.open_head().await?;
            let before = head.pass(&store_row)?.ok_or(Error::Retired)?;
            let mut settings = before.settings;
            change(&mut settings);
            if settings == before.settings {
                return Ok(());
            }
            store_row.body.set_settings(settings);
            let mut batch = WriteBatch::default();
            store_row.put_in(&mut batch, &engine.store_id, &root.key)?;
            // Every batch expects the header. Its new revision makes writers that planned under the former settings
            // read them again.
            batch.put(VaultRow::Header.key(), encode_header(&engine.store_id));
            if let Some(committed) = engine.commit_under(before, batch, Touches::Data).await?.won() {
                engine.store_row_landed(&store_row, committed);
                let pass = Pass { header: committed.revision, settings };
                engine.gate.learn(Some(pass), store_row.revision.next());
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}
