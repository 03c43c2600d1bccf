//! Checkpoints: the key and revision of every sealed row at one time, in a sealed file that is kept elsewhere, to
//! compare a store with.

mod compare;
mod file;

use std::io::{Read, Write};

use super::Verification;
use super::report::VerifyReport;
use crate::error::Error;
use crate::verbs::vault::Vault;

pub(super) use compare::{Comparison, Met};
use file::CheckpointWriter;

impl Vault {
    /// Checks every row, as [`verify`](Self::verify) does, and writes the key and revision of each row that opens to a
    /// file: [`verify_against`](Self::verify_against) then shows which rows were rolled back since, or are gone. Keep
    /// it away from the store. The file is sealed under a key derived from the root key, so its keeper learns only its
    /// length. After a rotation of the root key it no longer opens, so make a new one then.
    ///
    /// The file takes some 30 bytes for each value, credential, record and so on, and writing it takes the memory of
    /// one block. Buffer `out`. If this returns an error, or its future is dropped, the file is incomplete.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let mut file = Vec::new();
    /// assert!(vault.checkpoint(&mut file).await?.is_clean());
    /// let report = vault.verify_against(file.as_slice()).await?;
    /// assert!(report.is_clean() && report.questions_total == 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::BackupFile`] if the file cannot be written, [`Error::Locked`], and [`Error::Store`]. What is wrong
    /// with rows is in the report, and such rows are not in the file.
    pub async fn checkpoint(&self, out: impl Write + Send) -> Result<VerifyReport, Error> {
        let (engine, mut check) = (&self.engine, self.verification());
        let root = engine.roots.get()?.active.clone();
        let mut writer = CheckpointWriter::begin(out, &root.bytes, &engine.store_id, engine.now())?;
        check.stamps = Some(Vec::new());
        loop {
            let is_more = check.step().await?;
            for (key, revision) in check.stamps.iter_mut().flat_map(|stamps| stamps.drain(..)) {
                writer.push(key.as_bytes(), revision)?;
            }
            if !is_more {
                writer.finish()?;
                return Ok(check.into_report());
            }
        }
    }

    /// Checks every row, as [`verify`](Self::verify) does, and compares it with a [`checkpoint`](Self::checkpoint). A
    /// row that was rolled back is a finding, [`Cause::RolledBack`]. A row that is gone, or that was created again at
    /// the same address, is a question ([`VerifyReport::questions`]): only you can know whether somebody deleted it. A
    /// former version that is gone is a question too, unless its document was deleted, or was written later than a
    /// minute before the checkpoint, since that write may have dropped it.
    ///
    /// A row newer than the checkpoint is not compared: [`VerifyReport::added`] counts such rows. It takes the memory
    /// of one block of the file, and about as long as `verify`.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Cause, Environment};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let (notes, key) = (org.records("notes".parse()?), "a".parse()?);
    /// notes.put(&key, "1").await?;
    /// let mut file = Vec::new();
    /// vault.checkpoint(&mut file).await?;
    /// notes.delete(&key).await?;
    /// let report = vault.verify_against(file.as_slice()).await?;
    /// assert!(report.is_clean() && report.questions[0].cause == Cause::Gone);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::BadCheckpoint`] for a file that is not a whole checkpoint of this vault, or from before the last
    /// rotation of the root key; [`Error::BackupFile`] if it cannot be read; [`Error::Store`].
    ///
    /// [`Cause::RolledBack`]: crate::Cause::RolledBack
    pub async fn verify_against(&self, checkpoint: impl Read + Send) -> Result<VerifyReport, Error> {
        self.verification().against(checkpoint)?.finish().await
    }
}

impl Verification<'static> {
    /// Compares the rows with a [`checkpoint`](Vault::checkpoint) of the vault as well.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let mut file = Vec::new();
    /// vault.checkpoint(&mut file).await?;
    /// let mut check = vault.verification().against(file.as_slice())?;
    /// while check.step().await? {}
    /// assert_eq!(check.report().added, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::verify_against`].
    pub fn against<'c>(self, checkpoint: impl Read + Send + 'c) -> Result<Verification<'c>, Error> {
        let roots = self.engine.roots.get()?;
        let comparison = Comparison::begin(Box::new(checkpoint), &roots, &self.engine.store_id)?;
        // Moved field by field: a comparison lives as long as its file, which is part of the type.
        Ok(Verification {
            engine: self.engine,
            ranges: self.ranges,
            all: self.all,
            vault_rows_due: self.vault_rows_due,
            tenant_check: self.tenant_check,
            keys: self.keys,
            report: self.report,
            former_gone: self.former_gone,
            comparison: Some(comparison),
            stamps: self.stamps,
        })
    }
}
