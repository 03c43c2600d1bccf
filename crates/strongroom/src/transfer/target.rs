//! The target of rows that are sealed under other keys: a store that is becoming a vault, or a live vault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::org_restore::OrgRestore;
use super::sides::Side;
use super::staged::StagedVault;
use crate::clock::Timestamp;
use crate::engine::{ATTEMPTS_MAX, Engine, Touches, read_from};
use crate::error::{Damage, Error};
use crate::id::LinkedAccountId;
use crate::keys::{Keyring, ScopeKeys};
use crate::model::Revision;
use crate::row::{Row, RowKind, SealedRow, TenantId, encode_epoch};
use crate::store::{Committed, Expect, Key, RowRevision, Store, Versioned, WriteBatch};

/// Where the batches go.
#[derive(Clone, Copy)]
pub(super) enum Destination<'d> {
    /// A store that is becoming a vault.
    Staged(&'d StagedVault<'d>),
    /// A live vault.
    Vault { engine: &'d Engine, restore: &'d OrgRestore },
}

/// Writes the rows of one tenant to the target.
pub(super) struct Target<'t> {
    id: &'t TenantId,
    /// Opens and seals rows of the target.
    pub(super) side: &'t Side,
    destination: Destination<'t>,
    /// The creation time of new keys.
    now: Timestamp,
    batch: WriteBatch,
    bytes_len: usize,
    keyrings: BTreeMap<Option<LinkedAccountId>, TargetKeyring>,
    /// The scopes whose keys seal rows of the batch.
    used: BTreeSet<Option<LinkedAccountId>>,
}

/// A keyring of the target.
struct TargetKeyring {
    keys: Arc<ScopeKeys>,
    /// `None` until the batch that creates it has landed.
    row: Option<RowRevision>,
}

impl<'t> Target<'t> {
    pub(super) fn new(
        id: &'t TenantId,
        side: &'t Side,
        destination: Destination<'t>,
        now: Timestamp,
    ) -> Self {
        let (keyrings, used) = (BTreeMap::new(), BTreeSet::new());
        Self { id, side, destination, now, batch: WriteBatch::default(), bytes_len: 0, keyrings, used }
    }

    /// The keys of a scope, created on first use.
    pub(super) async fn keys(&mut self, account: Option<&LinkedAccountId>) -> Result<Arc<ScopeKeys>, Error> {
        let scope = account.cloned();
        if let Some(made) = self.keyrings.get(&scope) {
            return Ok(Arc::clone(&made.keys));
        }
        let row = self.id.keyring(account);
        let made = match self.find(&row.key()).await? {
            Some(found) => {
                let keys = ScopeKeys::open(&self.side.roots, &self.side.store_id, &row, &found)?;
                TargetKeyring { keys: Arc::new(keys), row: Some(found.revision) }
            }
            None => self.make_keyring(&row).await?,
        };
        let keys = Arc::clone(&made.keys);
        self.keyrings.insert(scope, made);
        Ok(keys)
    }

    async fn make_keyring(&mut self, row: &Row<'_>) -> Result<TargetKeyring, Error> {
        let keys = Arc::new(self.new_keys(row)?);
        self.push(row.key(), self.side.seal_keyring(row, &keys)?).await?;
        Ok(TargetKeyring { keys, row: None })
    }

    /// Adds the org's keyring without a key, as an unfinished shred leaves it.
    pub(super) async fn put_dropped_org_keys(&mut self) -> Result<(), Error> {
        let row = self.id.keyring(None);
        if self.find(&row.key()).await?.is_some() {
            return Ok(());
        }
        let dropped = self.new_keys(&row)?.dropped();
        self.push(row.key(), self.side.seal_keyring(&row, &dropped)?).await
    }

    fn new_keys(&self, row: &Row<'_>) -> Result<ScopeKeys, Error> {
        let address = row.address(&self.side.store_id, None, Revision::UNWRITTEN);
        let keyring = Keyring::generate(&self.side.roots.active.bytes, &address, self.now)?;
        // Above those that no longer count, if a shred of the scope is noted.
        let revision = Revision::from_u64(self.side.roots.floor_of(row)).next();
        Ok(ScopeKeys::new(keyring, revision, RowRevision(0)))
    }

    /// Adds a row that no data key seals, unless an earlier run wrote it.
    pub(super) async fn put(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        if self.is_there(&key, &row).await? { Ok(()) } else { self.push(key, row).await }
    }

    /// Adds a row that is sealed under the keys of a scope, unless an earlier run wrote it. Its batch expects the
    /// keyring as it is.
    pub(super) async fn put_sealed(
        &mut self,
        account: Option<&LinkedAccountId>,
        key: Key,
        row: Vec<u8>,
    ) -> Result<(), Error> {
        if self.is_there(&key, &row).await? {
            return Ok(());
        }
        // `push` may first commit the batch so far, so note the scope after it: the expectation must be in the row's
        // batch.
        self.push(key, row).await?;
        self.used.insert(account.cloned());
        Ok(())
    }

    /// Whether an earlier run wrote the row.
    async fn is_there(&self, key: &Key, row: &[u8]) -> Result<bool, Error> {
        match self.find(key).await? {
            Some(there) if is_same_document(&there.value, row) => Ok(true),
            Some(_) => Err(Error::damaged("a row of the unfinished restore", Damage::Inconsistent)),
            None => Ok(false),
        }
    }

    /// Adds a note, unless it exists.
    pub(super) async fn put_note(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        match self.read(&key).await? {
            Some(_) => Ok(()),
            None => self.push(key, row).await,
        }
    }

    async fn push(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        let limits = self.store().capabilities();
        let row_len = key.as_bytes().len() + row.len();
        // Leaves room for the gate, the note, the root, the epoch, and this row with its keyring.
        let expects = self.batch.expect.len() + self.used.len() + 6;
        if expects > limits.batch_ops_max.min(BATCH_OPS_MAX)
            || self.bytes_len + row_len > limits.batch_bytes_max / 2
        {
            self.flush().await?;
        }
        self.bytes_len += row_len;
        self.batch.expect(key.clone(), Expect::Absent);
        self.batch.put(key, row);
        Ok(())
    }

    /// Commits the batch. It expects or creates each keyring whose keys seal its rows.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        if self.batch.ops.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes_len = 0;
        for scope in std::mem::take(&mut self.used) {
            if let Some(row) = self.keyrings.get(&scope).and_then(|made| made.row) {
                batch.expect(self.id.keyring(scope.as_ref()).key(), Expect::Revision(row));
            }
        }
        let committed = self.commit(batch).await?;
        for made in self.keyrings.values_mut().filter(|made| made.row.is_none()) {
            made.row = Some(committed.revision);
        }
        Ok(())
    }

    async fn commit(&self, mut batch: WriteBatch) -> Result<Committed, Error> {
        match self.destination {
            Destination::Staged(staged) => staged.commit(batch).await,
            Destination::Vault { engine, restore } => {
                restore.expect_in(&mut batch);
                // Engines may have cached that the org has no definitions.
                batch.put(self.id.epoch().key(), encode_epoch());
                let root = *self.side.roots.active.key.id();
                for _ in 0..ATTEMPTS_MAX {
                    // Read them again each time: a mark or a slot changes the revision of the `store` row, while the
                    // root stays.
                    let roots = engine.roots.get()?;
                    if *roots.active.key.id() != root {
                        break;
                    }
                    let mut batch = batch.clone();
                    roots.expect_in(&mut batch);
                    if let Some(committed) = engine.commit(batch, Touches::CachedRows).await? {
                        return Ok(committed);
                    }
                }
                Err(Error::Contended(ATTEMPTS_MAX))
            }
        }
    }

    /// The row, if an earlier run may have written it.
    async fn find(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        let resumed = match self.destination {
            Destination::Staged(staged) => staged.is_resumed(),
            Destination::Vault { restore, .. } => restore.is_resumed(),
        };
        if resumed { self.read(key).await } else { Ok(None) }
    }

    async fn read(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        let [row] = read_from(self.store(), [key.clone()]).await?;
        Ok(row)
    }

    fn store(&self) -> &dyn Store {
        match self.destination {
            Destination::Staged(staged) => staged.store,
            Destination::Vault { engine, .. } => &*engine.store,
        }
    }
}

/// Whether two rows are the same document at the same revision, sealed twice; or the same bytes, if they are not
/// sealed.
fn is_same_document(there: &[u8], here: &[u8]) -> bool {
    let kinds = [
        RowKind::ScopedValue,
        RowKind::Credential,
        RowKind::Definition,
        RowKind::Sealed,
        RowKind::Former,
        RowKind::Deleted,
        RowKind::FormerDefinition,
        RowKind::DeletedDefinition,
    ];
    let clear = |row: &[u8]| {
        let sealed = kinds.iter().find_map(|kind| SealedRow::decode(*kind, row).ok().map(|row| (*kind, row)));
        sealed.map(|(kind, row)| (kind, row.doc_id, row.revision))
    };
    there == here || clear(there).is_some_and(|known| clear(here) == Some(known))
}

/// Keeps batches small on a store that accepts more, so that memory stays constant.
const BATCH_OPS_MAX: usize = 1_024;
