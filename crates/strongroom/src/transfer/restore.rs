//! `replace_original`: restores a backup as the same vault.

use std::io::{Read, Seek};

use super::file::RowsFrame;
use super::open::{Backup, BackupPart};
use super::staged::{Batches, Marker, Purpose, StagedVault, exported_orgs};
use super::{Progress, Reporter};
use crate::engine::gate::Pass;
use crate::error::{BackupFault, Error};
use crate::id::OrgId;
use crate::jobs::rotation::KeyJob;
use crate::keys::{Slot, StoreRow};
use crate::model::Revision;
use crate::row::{VaultKeys, VaultRow};
use crate::store::{Key, RowRevision, Store, Versioned};
use crate::verbs::vault::Vault;

impl<R: Read + Seek + Send> Backup<R> {
    /// Restores the vault into an empty store, with its id and its keys. **The original must be gone for good**: if two
    /// live vaults share an id, a hostile backend can pass off rows of one as rows of the other. To have a second vault
    /// beside the original, use [`restore_as_new`](Self::restore_as_new).
    ///
    /// A backup that was made during a rotation of the root key comes with a job that finishes the rotation: run
    /// [`Vault::run_jobs`]. A rotation of data keys has to be started again.
    ///
    /// Nobody can open the store until the restore is complete. A restore that was interrupted continues when the same
    /// file is restored into the same store again.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, RawKey, Unlock};
    /// let mut file = Vec::new();
    /// vault.backup(&mut file, |_| ()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key of the vault
    /// let backup = Backup::open(std::io::Cursor::new(file), key).await?;
    /// let store = strongroom_memory::MemoryStore::new();
    /// let restored = backup.replace_original(store, |_| ()).await?;
    /// assert_eq!(restored.store_id(), vault.store_id());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`WrongStore::HoldsVault`](crate::WrongStore::HoldsVault) and
    /// [`WrongStore::Foreign`](crate::WrongStore::Foreign) if the store is not empty,
    /// [`WrongStore::Unfinished`](crate::WrongStore::Unfinished) if another restore or copy into it was
    /// interrupted; [`Error::BadBackup`] for a file of one org, and for a file that changed since it was opened;
    /// [`Error::Store`], with `Unsupported` for a store whose durability was not
    /// [accepted](crate::VaultOptions::accept_durability).
    pub async fn replace_original(
        mut self,
        store: impl Store,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Vault, Error> {
        self.options.refuse_unasked(&store)?;
        let Some(store_row) = self.head.store_row.clone() else {
            return Err(Error::BadBackup(BackupFault::OneOrg));
        };
        let mut report = Reporter::new(&mut progress, Some(self.rows));
        let store_id = self.head.store_id;
        let marker = Marker { purpose: Purpose::Restore, store_id, transfer_id: self.head.file_id };
        let staged = StagedVault::begin(&store, marker).await?;
        let mut reader = self.reader()?;
        // One batch takes the rows of many small frames: each commit may be a sync of the target's disk.
        let mut batches = Batches::new(&staged);
        loop {
            let frame = match reader.next()? {
                BackupPart::Rows(frame) => frame,
                // Rows are restored as they are, so it does not matter where a tenant ends.
                BackupPart::TenantEnd(_) => continue,
                BackupPart::End => break,
            };
            let rows = RowsFrame::decode(&frame.body)?.rows();
            let rows: Vec<_> = rows.map(|(key, value)| (Key::from(key), value.to_vec())).collect();
            let rows_len = rows.len();
            batches.put_new(rows).await?;
            report.advance(rows_len);
        }
        batches.flush().await?;
        let exported = exported_orgs(&store, VaultKeys::all_exports()).await?;
        let (store_row, at) = self.moved_on(store_row, &exported)?;
        let mut head_rows = vec![(VaultRow::Store.key(), store_row)];
        for row in std::mem::take(&mut self.head.slots) {
            let slot = Slot::decode(&row).map_err(|error| Error::row("the key slot", error))?;
            head_rows.push((VaultRow::Slot(slot.place.id).key(), row));
        }
        // No backup holds jobs on keys, and without this one the former root would never be dropped.
        head_rows.extend(KeyJob::to_finish_root(&self.roots, &store_id, self.options.time())?);
        let revision = staged.finish(head_rows).await?.revision;
        let pass = Pass { header: revision, settings: self.options.settings };
        let vault = self.options.assemble(store, store_id, self.roots.at(revision), Some(pass));
        vault.engine.caches.wrote(&VaultRow::Store.key(), at);
        Ok(vault)
    }

    /// The file's `store` row, and its revision. It notes the orgs that the rows say were backed up under another key,
    /// since a backup of an org may have begun after the row was read. If marks were made of the vault, their count is
    /// raised above those that the original may have made after the backup: a restore declares that the original is
    /// gone.
    fn moved_on(&self, row: Vec<u8>, exported: &[OrgId]) -> Result<(Vec<u8>, Revision), Error> {
        let (store_id, root) = (&self.head.store_id, &self.roots.active.key);
        let found = Versioned { value: row, revision: RowRevision(0) };
        let mut store_row = StoreRow::open(store_id, root, &found)?;
        let is_marked = store_row.body.mark() > 0;
        if !store_row.body.note_exported(exported)? && !is_marked {
            return Ok((found.value, store_row.revision));
        }
        if is_marked {
            store_row.body.move_mark(self.options.time().now());
        }
        let next = store_row.revision.next();
        Ok((store_row.body.seal(store_id, root, next)?, next))
    }
}
