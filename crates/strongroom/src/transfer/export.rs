//! `backup_org`: writes one org to a file that only its own key opens.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use super::backup::{BackupSummary, BackupWriter, RowForm, next_tenant};
use super::file::{FileHead, FileId, FrameKind, FrameWriter, mac_key};
use super::section::Rows;
use super::sides::{RowKeys, Side, Sides, derived_keyring};
use super::{Progress, Reporter};
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::engine::cache::Moment;
use crate::envelope::Argon2Bounds;
use crate::error::{Damage, Error};
use crate::id::{LinkedAccountId, OrgId};
use crate::jobs::shred::note_exported;
use crate::jobs::shred_org::finish_shred;
use crate::keys::{Roots, ScopeKeys, Unlock};
use crate::model::Revision;
use crate::random;
use crate::row::{Row, TenantRow, VaultKeys, VaultRow, encode_note};
use crate::store::{Key, RowRevision, Versioned};
use crate::tenant::{Needs, Tenant};
use crate::verbs::vault::{NewVault, Vault, VaultOptions};

impl Vault {
    /// Writes all environments of one org to `out`, sealed under keys that are made only for this file: `unlock` opens
    /// it and nothing else does, and nothing in it opens the store. The backup is noted in the store before the first
    /// byte is written, because destroying the org's keys does not destroy the file.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, RawKey, Unlock};
    /// let org = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
    /// vault.org(org, Environment::test()).records("notes".parse()?).put(&"a".parse()?, "b").await?;
    /// let (mut file, key) = (Vec::new(), Unlock::raw_key(RawKey::generate()?));
    /// let summary = vault.backup_org(org, key, &mut file, |_| ()).await?;
    /// assert_eq!(summary.tenants, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`backup`](Self::backup); [`Error::OrgNotFound`], [`Error::RestoreUnfinished`]; [`Error::Damaged`] and
    /// [`Error::UnknownKey`] for a row that does not open; [`Error::Provider`], [`Error::KeyDerivation`].
    pub async fn backup_org(
        &self,
        org: OrgId,
        unlock: Unlock,
        out: impl Write + Send,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<BackupSummary, Error> {
        let engine = &self.engine;
        engine.refuse_restoring(&org).await?;
        let mut rest = VaultKeys::org(&org);
        let Some(mut found) = next_tenant(engine, rest.clone()).await? else {
            return Err(Error::OrgNotFound(org));
        };
        // A passphrase of the file costs what one of the vault's slots costs.
        let Argon2Bounds { today, ceiling } = engine.argon2;
        let options = VaultOptions::default().argon2(today).argon2_ceiling(ceiling);
        let NewVault { store_id, root, rows, .. } = options.new_vault(&unlock).await?;
        let roots = Roots::first(root, RowRevision(0));
        let mut file_id = FileId::default();
        random::fill(&mut file_id)?;
        let created_at = engine.now();
        // Only the slot: a file of one org has no `store` row.
        let slots = rows.into_iter().take(1).map(|(_, row)| row).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let head = FileHead { file_id, store_id, created_at, engine: version, slots, store_row: None };
        note_export(engine, &org, &head).await?;

        let mut frames = FrameWriter::begin(out, mac_key(&roots.active.bytes, &store_id, &file_id), file_id)?;
        frames.write(FrameKind::Head, &head.encode())?;
        let mut writer = BackupWriter::new(&*engine.store, frames, Reporter::new(&mut progress, None));
        let file = Side { store_id, roots: Arc::new(roots) };
        loop {
            let from = Tenant::of(Arc::clone(engine), found);
            rest.start = from.id.all().end.unwrap_or_default();
            // Finish an interrupted shred first: the org's keys are dropped, but keys of its accounts may be left and
            // would end up in the file.
            let (view, ()) = from.read(&Needs::org_keys(), ()).await?;
            finish_shred(&from, &view).await?;
            let id = from.id.clone();
            let (moment, keys) = (from.engine.caches.moment(), HashMap::new());
            let exporter = Box::new(Exporter { from, to: file.clone(), created_at, moment, keys });
            writer.tenant(&id, None, &mut RowForm::Exported(exporter)).await?;
            match next_tenant(engine, rest.clone()).await? {
                Some(next) => found = next,
                None => return writer.finish(),
            }
        }
    }
}

/// Notes that a file is about to be written that another key than the vault's opens.
async fn note_export(engine: &Engine, org: &OrgId, head: &FileHead) -> Result<(), Error> {
    let note = encode_note(&head.created_at.as_ms().to_be_bytes());
    note_exported(engine, &[*org], &[(VaultRow::Export(*org, head.file_id).key(), note)]).await
}

/// Converts rows of one tenant into rows of a file.
pub(super) struct Exporter {
    from: Tenant,
    to: Side,
    created_at: Timestamp,
    /// The moment before the first of the rows was read.
    moment: Moment,
    /// The keys of recently used scopes.
    keys: HashMap<Option<LinkedAccountId>, KeyPair>,
}

/// The keys of a scope in the store and in the file.
struct KeyPair {
    from: Option<Arc<ScopeKeys>>,
    to: Arc<ScopeKeys>,
}

impl Exporter {
    pub(super) async fn export(&mut self, rows: Rows) -> Result<Vec<(Key, Vec<u8>)>, Error> {
        let mut exported = Vec::with_capacity(rows.len());
        for (key, found) in rows {
            // A copy of the tenant's id, since the row borrows it while `self` is borrowed mutably.
            let id = self.from.id.clone();
            let row = id.parse(&key).ok_or_else(|| Error::damaged("the key of a row", Damage::Malformed))?;
            if let Some(bytes) = self.export_row(&row, &found).await? {
                exported.push((key, bytes));
            }
        }
        Ok(exported)
    }

    async fn export_row(&mut self, row: &Row<'_>, found: &Versioned) -> Result<Option<Vec<u8>>, Error> {
        match self.export_as_read(row, found).await {
            // The scope's key or the root was rotated after the row or its keyring was read: read both again.
            Err(Error::UnknownKey { .. }) => {
                self.keys.remove(&row.sealed_by().account().cloned());
                let Some(found) = self.from.engine.get(row.key()).await? else { return Ok(None) };
                self.export_as_read(row, &found).await
            }
            exported => exported,
        }
    }

    async fn export_as_read(&mut self, row: &Row<'_>, found: &Versioned) -> Result<Option<Vec<u8>>, Error> {
        match row {
            Row::Tenant(_, TenantRow::Keyring(account)) => self.export_keyring(account.as_deref(), found),
            _ => self.move_row(row, found).await,
        }
    }

    async fn move_row(&mut self, row: &Row<'_>, found: &Versioned) -> Result<Option<Vec<u8>>, Error> {
        let by = row.sealed_by();
        let account = by.account();
        if !self.keys.contains_key(&account.cloned()) {
            let key = self.from.id.keyring(account).key();
            let open = |row: &Versioned| self.from.open_keyring(account, row, self.moment);
            let from = self.from.engine.read_under_root(&key, open).await?;
            self.remember_keys(account, from.map(|(keys, _)| keys))?;
        }
        let known = self.keys.get(&account.cloned());
        let keys =
            RowKeys { from: known.and_then(|known| known.from.as_ref()), to: known.map(|known| &known.to) };
        let engine = &self.from.engine;
        let from = Side { store_id: engine.store_id, roots: engine.roots.get()? };
        Sides { from: &from, to: &self.to }.move_row(row, &keys, &found.value)
    }

    /// The file's keyring in place of the store's: one key of its own, and no tombstones.
    fn export_keyring(
        &mut self,
        account: Option<&LinkedAccountId>,
        row: &Versioned,
    ) -> Result<Option<Vec<u8>>, Error> {
        let from = self.from.open_keyring(account, row, self.moment)?;
        let is_dropped = from.keyring.active().is_none();
        let to = self.remember_keys(account, Some(from))?;
        if is_dropped {
            return Ok(None);
        }
        self.to.seal_keyring(&self.from.id.keyring(account), &to).map(Some)
    }

    fn remember_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        from: Option<ScopeKeys>,
    ) -> Result<Arc<ScopeKeys>, Error> {
        let keyring = derived_keyring(&self.to, &self.from.id.keyring(account), self.created_at)?;
        let (revision, row) = (Revision::from_u64(1), RowRevision(0));
        let to = Arc::new(ScopeKeys::new(keyring, revision, row));
        if self.keys.len() >= KEYS_MAX {
            self.keys.clear();
        }
        let known = KeyPair { from: from.map(Arc::new), to: Arc::clone(&to) };
        self.keys.insert(account.cloned(), known);
        Ok(to)
    }
}

/// How many scopes' keys are kept in memory.
const KEYS_MAX: usize = 1_024;
