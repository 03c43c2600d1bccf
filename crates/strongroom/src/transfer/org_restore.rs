//! The note that an org is being restored. While it is there, everybody else leaves the org alone, so what is there is
//! what the restore wrote: the same restore can continue it, and all of it can be deleted.

use crate::engine::restoring::note_of;
use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::error::Error;
use crate::id::OrgId;
use crate::row::{VaultKeys, VaultRow, decode_note, encode_header, encode_note};
use crate::store::{Expect, Key, KeyRange, RowRevision, Scan, WriteBatch};
use crate::verbs::vault::Vault;

/// The restore of an org, as this run noted it. A later run that takes over writes the note again.
pub(super) struct OrgRestore {
    note: Key,
    revision: RowRevision,
    resumed: bool,
}

impl Vault {
    /// The orgs whose restores are unfinished: under way, or interrupted. Nothing of them can be read or written until
    /// then.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// assert!(vault.unfinished_restores().await?.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn unfinished_restores(&self) -> Result<Vec<OrgId>, Error> {
        self.engine.restoring().await
    }

    /// Deletes what an unfinished restore of the org wrote, keys included. Afterwards the vault holds nothing of the
    /// org, which can be restored from any backup or set up again. Returns how many rows there were; 0 if no restore of
    /// the org is unfinished. A run of the restore that is still under way fails.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let id = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
    /// assert_eq!(vault.abandon_restore(&id).await?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Contended`] if a run of the restore interfered; [`Error::Store`].
    ///
    /// If dropped, the restore stays unfinished: this or the same restore can be run again.
    pub async fn abandon_restore(&self, org: &OrgId) -> Result<u64, Error> {
        let engine = &*self.engine;
        let note = note_of(org);
        let Some(found) = engine.get(note.clone()).await? else { return Ok(0) };
        let taken = OrgRestore::take(engine, note, Some(found.revision), found.value).await?;
        // A keyring goes after what it opens, so that the same restore can continue from wherever this stops.
        let rows = [VaultKeys::jobs_of(org), VaultKeys::org(org)];
        let mut deleted = 0;
        for range in rows {
            deleted += taken.delete_from_end(engine, range).await?;
        }
        engine.caches.begin_again(&VaultKeys::org(org).start);
        engine.tallies.forget(&VaultKeys::org(org).start);
        taken.end(engine).await?;
        Ok(deleted)
    }
}

impl OrgRestore {
    /// Notes that an org is being restored from this file, or takes over an earlier run that did.
    pub(super) async fn begin(engine: &Engine, org: &OrgId, file_id: &[u8; 16]) -> Result<Self, Error> {
        let note = note_of(org);
        let rows = || Scan::new(VaultKeys::org(org), 1).keys_only();
        let ([known], [first]) = engine.read(([note.clone()], [rows()])).await?;
        if let Some(known) = known {
            let known_id =
                decode_note(&known.value).map_err(|error| Error::row("the note of a restore", error))?;
            if known_id != file_id {
                return Err(Error::RestoreUnfinished(*org));
            }
            return Self::take(engine, note, Some(known.revision), known.value).await;
        }
        if !first.rows.is_empty() {
            return Err(Error::OrgNotEmpty(*org));
        }
        engine.caches.begin_again(&VaultKeys::org(org).start);
        let begun = Self::take(engine, note, None, encode_note(file_id)).await?;
        // A writer may have been faster. From now on, none gives the org its first key.
        if !engine.read(rows()).await?.rows.is_empty() {
            begun.end(engine).await?;
            return Err(Error::OrgNotEmpty(*org));
        }
        Ok(begun)
    }

    async fn take(
        engine: &Engine,
        note: Key,
        read: Option<RowRevision>,
        bytes: Vec<u8>,
    ) -> Result<Self, Error> {
        let mut batch = WriteBatch::default();
        batch.expect(note.clone(), read.map_or(Expect::Absent, Expect::Revision));
        batch.put(note.clone(), bytes);
        if read.is_none() {
            // Every batch expects the header. With its new revision, none lands that was planned before the note.
            batch.put(VaultRow::Header.key(), encode_header(&engine.store_id));
        }
        let Some(committed) = engine.commit(batch, Touches::Data).await? else {
            return Err(Error::Contended(1));
        };
        if read.is_none() {
            engine.look_at_gate().await?;
        }
        Ok(Self { note, revision: committed.revision, resumed: read.is_some() })
    }

    /// Whether an earlier run may have written rows.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Makes a batch land only while no other run has taken over.
    pub(super) fn expect_in(&self, batch: &mut WriteBatch) {
        batch.expect(self.note.clone(), Expect::Revision(self.revision));
    }

    /// Deletes all rows of a range, the last first. Returns how many there were.
    async fn delete_from_end(&self, engine: &Engine, range: KeyRange) -> Result<u64, Error> {
        let rows_max = engine.store.capabilities().batch_ops_max.min(DELETES_MAX);
        let mut deleted = 0;
        loop {
            let scan = Scan::new(range.clone(), rows_max).keys_only().reverse();
            let page = engine.read(scan).await?;
            if page.rows.is_empty() {
                return Ok(deleted);
            }
            let mut batch = WriteBatch::default();
            page.rows.iter().for_each(|(key, _)| batch.delete(key.clone()));
            self.commit(engine, batch, Touches::CachedRows).await?;
            deleted += page.rows.len() as u64;
        }
    }

    /// Deletes the note.
    pub(super) async fn end(self, engine: &Engine) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.delete(self.note.clone());
        self.commit(engine, batch, Touches::Data).await
    }

    async fn commit(&self, engine: &Engine, mut batch: WriteBatch, touches: Touches) -> Result<(), Error> {
        self.expect_in(&mut batch);
        // Nobody else writes here while the note is this run's, but the settings of the vault may change.
        for _ in 0..ATTEMPTS_MAX {
            if engine.commit(batch.clone(), touches).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// How many rows one batch deletes: with what it expects, it stays within 100 operations.
const DELETES_MAX: usize = 64;
