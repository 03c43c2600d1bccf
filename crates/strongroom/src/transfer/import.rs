//! `restore_as_new` and `restore_org`: the rows of a file, sealed under other keys.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek};
use std::sync::Arc;

use super::file::RowsFrame;
use super::open::{Backup, BackupPart, BackupReader};
use super::org_restore::OrgRestore;
use super::section::read_range;
use super::sides::{RowKeys, Side, Sides};
use super::staged::{Marker, Purpose, StagedVault, exported_orgs};
use super::target::{Destination, Target};
use super::{Progress, Reporter};
use crate::engine::gate::Pass;
use crate::engine::head::{Head, SlotRow};
use crate::engine::{Engine, read_from};
use crate::envelope::StoreId;
use crate::error::{BackupFault, Damage, Error, WrongStore};
use crate::id::{DefinitionId, DefinitionName, DocumentId, Environment, LinkedAccountId, OrgId};
use crate::jobs::shred::note_exported;
use crate::keys::{Document, Roots, ScopeKeys, Unlock};
use crate::model::Revision;
use crate::row::body::decode_definition;
use crate::row::{
    Row, RowKind, SealedRow, Subject, TenantId, TenantRow, VaultKeys, VaultRow, decode_index, encode_index,
};
use crate::scope::Scope;
use crate::store::{Key, KeyRange, RowRevision, Store, Versioned};
use crate::tenant::GRANDFATHERED;
use crate::tenant::job::SHRED_JOB;
use crate::verbs::vault::{NewVault, Vault};

/// What a restore into a live vault wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreSummary {
    /// How many rows of the file were read.
    pub rows: u64,
    /// How many environments of the org.
    pub tenants: u64,
}

impl<R: Read + Seek + Send> Backup<R> {
    /// Restores the backup into an empty store as a new vault, with a store id, root key and data keys of its own,
    /// opened by `unlock`. Every row is opened and sealed again. Ids, revisions, times and names of documents stay the
    /// same. The original can remain in use.
    ///
    /// Nobody can open the store until the restore is complete. A restore that was interrupted continues when the same
    /// file is restored into the same store with the same key.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, RawKey, Unlock};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([7; 32])); // of a key file, say
    /// let mut file = Vec::new();
    /// vault.backup(&mut file, |_| ()).await?;
    /// let backup = Backup::open(std::io::Cursor::new(file), key()).await?;
    /// let store = strongroom_memory::MemoryStore::new();
    /// let other = backup.restore_as_new(store, key(), |_| ()).await?;
    /// assert_ne!(other.store_id(), vault.store_id());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`replace_original`](Self::replace_original); [`Error::Damaged`] and [`Error::UnknownKey`] for a row
    /// that does not open; [`Error::WrongKey`] if the interrupted run used another key; [`Error::Provider`].
    ///
    /// If dropped, the store holds an unfinished restore, which nothing opens: the same restore again completes it.
    pub async fn restore_as_new(
        mut self,
        store: impl Store,
        unlock: Unlock,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Vault, Error> {
        self.options.refuse_unasked(&store)?;
        let transfer_id = self.head.file_id;
        let known = Marker::of(&store).await?;
        let (store_id, roots, slot, rows) = match known {
            Some(Marker { purpose: Purpose::AsNew, store_id, transfer_id: known })
                if known == transfer_id =>
            {
                let head = head_of(&store, store_id).await?;
                let (roots, slot) = head.open_roots(&unlock, &self.options.argon2_bounds()).await?;
                // The settings with which the new vault was begun.
                self.options.settings = head.open_store_row(&roots.active.key)?.body.settings()?;
                (store_id, roots, slot, Vec::new())
            }
            Some(_) => return Err(Error::WrongStore(WrongStore::Unfinished)),
            None => {
                let NewVault { store_id, root, slot, rows } = self.options.new_vault(&unlock).await?;
                (store_id, Roots::first(root, RowRevision(0)), slot, rows)
            }
        };
        self.options.keep(unlock, slot);
        let marker = Marker { purpose: Purpose::AsNew, store_id, transfer_id };
        let staged = StagedVault::begin_with(&store, marker, rows).await?;
        let side = Side { store_id, roots: Arc::new(roots) };
        let report = Reporter::new(&mut progress, Some(self.rows));
        self.import(&side, Destination::Staged(&staged), None, report).await?;
        let store_row = staged.note_exported(&side.roots.active.key).await?;
        let header = staged.finish(Vec::new()).await?.revision;
        let pass = Pass { header, settings: self.options.settings };
        let roots = Roots::new(Arc::clone(&side.roots.active), &store_row);
        let vault = self.options.assemble(store, store_id, roots, Some(pass));
        vault.engine.caches.wrote(&VaultRow::Store.key(), store_row.revision);
        Ok(vault)
    }

    /// Restores one org, with all its environments, into a vault that holds nothing of it. Its rows are sealed under
    /// the vault's keys. Ids, revisions, times and names of documents stay the same.
    ///
    /// Until the restore is complete, every other verb refuses the org with [`Error::RestoreUnfinished`]. A restore
    /// that was interrupted continues when the same org is restored from the same file again;
    /// [`Vault::abandon_restore`](crate::Vault::abandon_restore) deletes what it wrote.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, Environment, RawKey, Unlock, Vault};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([8; 32])); // only for this file
    /// let id = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
    /// vault.org(id, Environment::test()).records("notes".parse()?).put(&"a".parse()?, "b").await?;
    /// let mut file = Vec::new();
    /// vault.backup_org(id, key(), &mut file, |_| ()).await?;
    /// let mut backup = Backup::open(std::io::Cursor::new(file), key()).await?;
    /// let elsewhere = Vault::create(strongroom_memory::MemoryStore::new(), key()).await?;
    /// backup.restore_org(id, &elsewhere, |_| ()).await?;
    /// assert!(elsewhere.org(id, Environment::test()).verify().await?.rows > 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::OrgNotFound`] if the file holds nothing of the org, [`Error::OrgNotEmpty`] if the vault already
    /// holds something of it, [`Error::RestoreUnfinished`] if a restore of another file was interrupted;
    /// [`Error::Damaged`] and [`Error::UnknownKey`] for a row that does not open; [`Error::Contended`] if another run
    /// of the restore took over, or another writer interfered; [`Error::BadBackup`] and [`Error::BackupFile`] if the
    /// file changed since it was opened.
    pub async fn restore_org(
        &mut self,
        org: OrgId,
        vault: &Vault,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<RestoreSummary, Error> {
        let engine = &vault.engine;
        if !self.tenants()?.iter().any(|(held, _)| *held == org) {
            return Err(Error::OrgNotFound(org));
        }
        let restore = OrgRestore::begin(engine, &org, &self.head.file_id).await?;
        let report = Reporter::new(&mut progress, None);
        let side = Side { store_id: engine.store_id, roots: engine.roots.get()? };
        let summary =
            self.import(&side, Destination::Vault { engine, restore: &restore }, Some(org), report).await?;
        engine.tallies.forget(&VaultKeys::org(&org).start);
        seal_export_notes(engine, VaultKeys::exports(&org)).await?;
        restore.end(engine).await?;
        Ok(summary)
    }

    /// The orgs and environments that it holds rows of, in the order of the file. Reads the whole file.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Backup, Environment, RawKey, Unlock};
    /// let id = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
    /// vault.org(id, Environment::test()).records("notes".parse()?).put(&"a".parse()?, "b").await?;
    /// let mut file = Vec::new();
    /// vault.backup(&mut file, |_| ()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key of the vault
    /// let mut backup = Backup::open(std::io::Cursor::new(file), key).await?;
    /// assert_eq!(backup.tenants()?, [(id, Environment::test())]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::BadBackup`] and [`Error::BackupFile`] if the file changed since it was opened.
    pub fn tenants(&mut self) -> Result<Vec<(OrgId, Environment)>, Error> {
        let (mut reader, mut held) = (self.reader()?, Vec::new());
        loop {
            match reader.next()? {
                BackupPart::TenantEnd(end) => held.push((end.org, end.environment)),
                BackupPart::End => return Ok(held),
                BackupPart::Rows(_) => {}
            }
        }
    }

    /// Imports all tenants, or only those of one org. The rows of each tenant are read twice: first for the keyrings,
    /// which may have been written after the rows that they open.
    async fn import(
        &mut self,
        to: &Side,
        destination: Destination<'_>,
        only: Option<OrgId>,
        mut report: Reporter<'_>,
    ) -> Result<RestoreSummary, Error> {
        let from = Side { store_id: self.head.store_id, roots: Arc::new(self.roots.clone()) };
        let now = match destination {
            Destination::Vault { engine, .. } => engine.now(),
            Destination::Staged(_) => self.options.time().now(),
        };
        let mut summary = RestoreSummary { rows: 0, tenants: 0 };
        let mut reader = self.reader()?;
        loop {
            let start = reader.position()?;
            let mut keyrings = Keyrings::default();
            let end = loop {
                match reader.next()? {
                    BackupPart::Rows(frame) => keyrings.take(&RowsFrame::decode(&frame.body)?)?,
                    BackupPart::TenantEnd(end) => break end,
                    BackupPart::End => return Ok(summary),
                }
            };
            // Another org: its rows were read only to find where they end.
            if only.is_some_and(|org| org != end.org) {
                continue;
            }
            let tenant = TenantId::new(end.org, end.environment.clone());
            reader.rewind(start)?;
            let target = Target::new(&tenant, to, destination, now);
            summary.rows +=
                Import::new(&tenant, &from, target, keyrings).run(&mut reader, &mut report).await?;
            summary.tenants += 1;
        }
    }
}

/// What must be known about a tenant before its rows can be moved.
#[derive(Default)]
struct Keyrings {
    sealed: BTreeMap<Option<LinkedAccountId>, Vec<u8>>,
    opened: BTreeMap<Option<LinkedAccountId>, Arc<ScopeKeys>>,
    /// The keys of the index rows that mark a value as not matching its definition's changed format.
    marked: HashSet<Key>,
    /// The keys of the index rows that lead to the note of a value's deletion.
    deleted: HashSet<Key>,
}

impl Keyrings {
    fn take(&mut self, frame: &RowsFrame<'_>) -> Result<(), Error> {
        // All rows of a frame belong to one tenant.
        let mut tenant = None;
        for (key, row) in frame.rows() {
            let key = Key::from(key);
            // Notes belong to the org, not to one of its tenants.
            if is_note(&key) {
                continue;
            }
            let tenant = match &tenant {
                Some(tenant) => tenant,
                None => tenant.insert(TenantId::of_key(&key).ok_or_else(altered)?),
            };
            match tenant.parse_row(key.as_bytes()) {
                Some(TenantRow::Keyring(account)) => {
                    self.sealed.insert(account.map(Cow::into_owned), row.to_vec());
                }
                Some(TenantRow::DefinitionValue(..)) if decode_index(row) == Ok(GRANDFATHERED) => {
                    self.marked.insert(key);
                }
                Some(TenantRow::Deleted(Subject::Value(scope, definition))) => {
                    self.deleted.insert(tenant.definition_value(&definition, &scope).key());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        tenant: &TenantId,
        side: &Side,
        account: Option<&LinkedAccountId>,
    ) -> Result<Option<Arc<ScopeKeys>>, Error> {
        let scope = account.cloned();
        if let Some(keys) = self.opened.get(&scope) {
            return Ok(Some(Arc::clone(keys)));
        }
        let Some(row) = self.sealed.get(&scope) else { return Ok(None) };
        let found = Versioned { value: row.clone(), revision: RowRevision(0) };
        let row = tenant.keyring(account);
        let keys = Arc::new(ScopeKeys::open(&side.roots, &side.store_id, &row, &found)?);
        self.opened.insert(scope, Arc::clone(&keys));
        Ok(Some(keys))
    }
}

/// The import of one tenant.
struct Import<'i> {
    tenant: &'i TenantId,
    from: &'i Side,
    target: Target<'i>,
    keyrings: Keyrings,
    definitions: u64,
    /// The keys of index rows that were written, of those to which two rows may lead. In a backup of a tenant that was
    /// always being written to, two definitions may have the same name, which leads to the first; and a value may be
    /// there together with its deletion, as after a store has put one of them back.
    indexed: HashSet<Key>,
    /// The revision of the count of definitions.
    count: Option<Revision>,
}

impl<'i> Import<'i> {
    fn new(tenant: &'i TenantId, from: &'i Side, target: Target<'i>, keyrings: Keyrings) -> Self {
        Self { tenant, from, target, keyrings, definitions: 0, indexed: HashSet::new(), count: None }
    }

    async fn run(
        mut self,
        reader: &mut BackupReader<'_, impl Read + Seek>,
        report: &mut Reporter<'_>,
    ) -> Result<u64, Error> {
        let mut rows_len = 0;
        while let BackupPart::Rows(frame) = reader.next()? {
            let frame = RowsFrame::decode(&frame.body)?;
            let mut frame_rows = 0;
            for (key, row) in frame.rows() {
                self.import_row(Key::from(key), row).await?;
                frame_rows += 1;
            }
            rows_len += frame_rows as u64;
            report.advance(frame_rows);
        }
        self.import_count().await?;
        self.target.flush().await?;
        Ok(rows_len)
    }

    async fn import_row(&mut self, key: Key, bytes: &[u8]) -> Result<(), Error> {
        if is_note(&key) {
            return self.target.put_note(key, bytes.to_vec()).await;
        }
        // The file is as it was written: the store had this row.
        let foreign = || Error::damaged("the key of a row", Damage::Malformed);
        let row = self.tenant.parse(&key).ok_or_else(foreign)?;
        let Row::Tenant(_, place) = &row else { return Err(altered()) };
        match place {
            // Index rows are made again, from the rows that they lead to.
            TenantRow::DefinitionName(_) | TenantRow::DefinitionValue(..) | TenantRow::ValueId(_) => {
                return Ok(());
            }
            TenantRow::Keyring(_) | TenantRow::Epoch | TenantRow::Generation => return Ok(()),
            TenantRow::Count => {
                let sealed = SealedRow::decode(RowKind::Sealed, bytes);
                self.count = Some(sealed.map_err(|error| Error::row("the count", error))?.revision);
                return Ok(());
            }
            TenantRow::Job(id) if *id == SHRED_JOB => {
                let org = self.keyrings.open(self.tenant, self.from, None)?;
                // The shred is over, and its job was read before its end or put back.
                if org.is_some_and(|keys| keys.keyring.active().is_some()) {
                    return Ok(());
                }
                // The org gets no keys, so the next write to it finishes the shred.
                self.target.put_dropped_org_keys().await?;
            }
            _ => {}
        }
        let by = row.sealed_by();
        let account = by.account();
        let from = self.keyrings.open(self.tenant, self.from, account)?;
        let to = match &from {
            // A scope whose keys were dropped has no readable rows, so the target needs no keys for it.
            Some(keys) if keys.keyring.active().is_some() => Some(self.target.keys(account).await?),
            _ => None,
        };
        let sides = Sides { from: self.from, to: self.target.side };
        let keys = RowKeys { from: from.as_ref(), to: to.as_ref() };
        let Some(moved) = sides.move_row(&row, &keys, bytes)? else { return Ok(()) };
        match place {
            TenantRow::Definition(id) => self.import_name(id, from.as_ref(), bytes).await?,
            TenantRow::Value(scope, definition) => {
                self.import_id(scope, definition, &moved).await?;
                self.import_index(scope, definition).await?;
            }
            TenantRow::Deleted(Subject::Value(scope, definition)) => {
                self.import_index(scope, definition).await?;
            }
            _ => {}
        }
        self.target.put_sealed(account, key, moved).await
    }

    async fn import_name(
        &mut self,
        id: &DefinitionId,
        keys: Option<&Arc<ScopeKeys>>,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let row = self.tenant.definition(id);
        let Some(opened) = self.from.open(keys, &row, bytes)? else { return Ok(()) };
        let stored = decode_definition(*id, opened.revision, &opened.plaintext)
            .map_err(|error| Error::content("a variable definition", error))?;
        self.definitions += 1;
        let name: DefinitionName = stored.definition.name.parse()?;
        let name = self.tenant.definition_name(&name).key();
        if !self.indexed.insert(name.clone()) {
            return Ok(());
        }
        self.target.put(name, encode_index(id.as_bytes())).await
    }

    async fn import_id(&mut self, scope: &Scope, definition: &DefinitionId, row: &[u8]) -> Result<(), Error> {
        let keys = self.tenant;
        let sealed = SealedRow::decode(RowKind::ScopedValue, row);
        let id: Option<DocumentId> = sealed.map_err(|error| Error::row("a scoped value", error))?.doc_id;
        let id = id.ok_or_else(|| Error::damaged("a scoped value", Damage::Inconsistent))?;
        let value = keys.value(scope, definition).key();
        self.target.put(keys.value_id(&id).key(), encode_index(value.as_bytes())).await
    }

    /// Writes the index row that leads from a definition to a value, or to the note of its deletion.
    async fn import_index(&mut self, scope: &Scope, definition: &DefinitionId) -> Result<(), Error> {
        let index = self.tenant.definition_value(definition, scope).key();
        if self.keyrings.deleted.contains(&index) && !self.indexed.insert(index.clone()) {
            return Ok(());
        }
        let mark: &[u8] = if self.keyrings.marked.contains(&index) { GRANDFATHERED } else { &[] };
        self.target.put(index, encode_index(mark)).await
    }

    /// Writes the number of imported definitions. It is the file's own count unless the tenant was always being written
    /// to.
    async fn import_count(&mut self) -> Result<(), Error> {
        let Some(revision) = self.count else { return Ok(()) };
        let from = self.keyrings.open(self.tenant, self.from, None)?;
        if from.is_none_or(|keys| keys.keyring.active().is_none()) {
            return Ok(());
        }
        let keys = self.target.keys(None).await?;
        let row = self.tenant.count();
        let document = Document { id: None, revision, body: &self.definitions.to_be_bytes() };
        let bytes = self.target.side.seal(&keys, &row, &document)?;
        self.target.put_sealed(None, row.key(), bytes).await
    }
}

/// The head of a store whose header is not written yet.
async fn head_of(store: &dyn Store, store_id: StoreId) -> Result<Head, Error> {
    let [store_row] = read_from(store, [VaultRow::Store.key()]).await?;
    let slots = read_range(store, &VaultKeys::slots()).await?;
    let slots = slots.iter().map(|(key, row)| SlotRow::decode(&store_id, key, row)).collect();
    Ok(Head { store_id, store_row, slots, header: RowRevision(0), is_retired: false })
}

/// Seals which orgs have notes of backups under other keys. The notes came with the rows.
async fn seal_export_notes(engine: &Engine, all: KeyRange) -> Result<(), Error> {
    let orgs = exported_orgs(&*engine.store, all).await?;
    if orgs.is_empty() { Ok(()) } else { note_exported(engine, &orgs, &[]).await }
}

/// Whether this is the key of a note that the org was backed up under another key.
fn is_note(key: &Key) -> bool {
    VaultRow::parse(key).is_some_and(VaultRow::is_note)
}

fn altered() -> Error {
    Error::BadBackup(BackupFault::Altered)
}
