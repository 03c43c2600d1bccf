//! Where the rows of a file land under other keys: a store that is becoming a vault, or a live vault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arrival::Arrival;
use crate::engine::Touches;
use crate::error::{Damage, Error};
use crate::id::LinkedAccountId;
use crate::keys::Keyring;
use crate::keys::root::Roots;
use crate::model::Revision;
use crate::row::body::{RowKind, SealedRow, encode_epoch};
use crate::store::{Committed, Expect, Key, ReadBatch, RowRevision, Store, Versioned, WriteBatch};
use crate::tenant::{ScopeKeys, Tenant, seal_row};

/// Who takes the batches.
#[derive(Clone, Copy)]
pub(super) enum Taker<'l> {
    Arrival(&'l Arrival<'l>),
    /// The vault of the tenant, and whether an earlier run may have written rows.
    Live {
        resumed: bool,
    },
}

/// The place of one tenant's rows.
pub(super) struct Landing<'l> {
    pub(super) to: &'l Tenant,
    taker: Taker<'l>,
    /// What a batch that lands is sealed under.
    roots: Arc<Roots>,
    batch: WriteBatch,
    bytes_len: usize,
    keyrings: BTreeMap<Option<LinkedAccountId>, Made>,
    /// Under the keys of which scopes rows of the batch are sealed.
    used: BTreeSet<Option<LinkedAccountId>>,
}

/// A keyring of the target.
struct Made {
    keys: Arc<ScopeKeys>,
    /// `None` while it is in the batch.
    row: Option<RowRevision>,
}

impl<'l> Landing<'l> {
    pub(super) fn new(to: &'l Tenant, taker: Taker<'l>) -> Result<Self, Error> {
        let (keyrings, used) = (BTreeMap::new(), BTreeSet::new());
        let roots = to.engine.roots.get()?;
        Ok(Self { to, taker, roots, batch: WriteBatch::default(), bytes_len: 0, keyrings, used })
    }

    /// The keys of a scope, made on first use.
    pub(super) async fn keys(&mut self, account: Option<&LinkedAccountId>) -> Result<Arc<ScopeKeys>, Error> {
        let scope = account.cloned();
        if let Some(made) = self.keyrings.get(&scope) {
            return Ok(Arc::clone(&made.keys));
        }
        let key = self.to.keys.keyring(account);
        let made = match self.find(&key).await? {
            Some(row) => {
                let keys = Arc::new(self.to.open_keyring(account, &row)?);
                Made { keys, row: Some(row.revision) }
            }
            None => self.make_keyring(account, key).await?,
        };
        let keys = Arc::clone(&made.keys);
        self.keyrings.insert(scope, made);
        Ok(keys)
    }

    async fn make_keyring(&mut self, account: Option<&LinkedAccountId>, key: Key) -> Result<Made, Error> {
        let engine = &self.to.engine;
        let context = self.to.keyring_context(account);
        let keyring = Keyring::generate(&self.roots.active.bytes, &context, engine.now())?;
        let revision = Revision::from_u64(1);
        let row = seal_row(&self.roots.active.key, &context, None, revision, &keyring.encode())?;
        self.push(key, row).await?;
        let keys = Arc::new(ScopeKeys::new(keyring, revision, RowRevision(0)));
        Ok(Made { keys, row: None })
    }

    /// Puts a row that no data key seals, unless an earlier run did.
    pub(super) async fn put(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        if self.is_there(&key, &row).await? { Ok(()) } else { self.push(key, row).await }
    }

    /// Puts a row that was sealed under the keys of a scope, unless an earlier run did. Its batch expects them as they
    /// are.
    pub(super) async fn put_sealed(
        &mut self,
        account: Option<&LinkedAccountId>,
        key: Key,
        row: Vec<u8>,
    ) -> Result<(), Error> {
        if self.is_there(&key, &row).await? {
            return Ok(());
        }
        // Before it takes the row in, this may send the batch so far: what is expected goes with the row.
        self.push(key, row).await?;
        self.used.insert(account.cloned());
        Ok(())
    }

    /// Whether an earlier run put the row.
    async fn is_there(&self, key: &Key, row: &[u8]) -> Result<bool, Error> {
        match self.find(key).await? {
            Some(there) if is_same_document(&there.value, row) => Ok(true),
            Some(_) => Err(Error::damaged("a row of the unfinished restore", Damage::Inconsistent)),
            None => Ok(false),
        }
    }

    /// Puts a note, unless it stands there.
    pub(super) async fn put_note(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        match self.read(&key).await? {
            Some(_) => Ok(()),
            None => self.push(key, row).await,
        }
    }

    async fn push(&mut self, key: Key, row: Vec<u8>) -> Result<(), Error> {
        let limits = self.store().capabilities();
        let row_len = key.as_bytes().len() + row.len();
        // Room for the gate, the root, the epoch and the keyring of the row to come.
        let expects = self.batch.expect.len() + self.used.len() + 5;
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

    /// Commits what was put. What is sealed was sealed under a keyring that the batch expects, or makes.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        if self.batch.ops.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes_len = 0;
        for scope in std::mem::take(&mut self.used) {
            if let Some(row) = self.keyrings.get(&scope).and_then(|made| made.row) {
                batch.expect(self.to.keys.keyring(scope.as_ref()), Expect::Revision(row));
            }
        }
        let committed = self.commit(batch).await?;
        for made in self.keyrings.values_mut().filter(|made| made.row.is_none()) {
            made.row = Some(committed.revision);
        }
        Ok(())
    }

    async fn commit(&self, mut batch: WriteBatch) -> Result<Committed, Error> {
        match self.taker {
            Taker::Arrival(arrival) => arrival.commit(batch).await,
            Taker::Live { .. } => {
                // An empty catalog may be cached, here and elsewhere.
                batch.put(self.to.keys.epoch(), encode_epoch());
                self.roots.expect_in(&mut batch);
                let committed = self.to.engine.commit(batch, Touches::CachedRows).await?;
                committed.ok_or(Error::Contended(1))
            }
        }
    }

    /// What an earlier run put there.
    async fn find(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        let resumed = match self.taker {
            Taker::Arrival(arrival) => arrival.is_resumed(),
            Taker::Live { resumed } => resumed,
        };
        if resumed { self.read(key).await } else { Ok(None) }
    }

    async fn read(&self, key: &Key) -> Result<Option<Versioned>, Error> {
        let request = ReadBatch { gets: vec![key.clone()], scans: Vec::new() };
        Ok(self.store().read(&request).await?.gets.pop().flatten())
    }

    fn store(&self) -> &dyn Store {
        match self.taker {
            Taker::Arrival(arrival) => arrival.store,
            Taker::Live { .. } => &*self.to.engine.store,
        }
    }
}

/// Whether two rows are one document at one revision, sealed twice; or the same bytes, where nothing is sealed.
fn is_same_document(there: &[u8], here: &[u8]) -> bool {
    let kinds = [RowKind::ScopedValue, RowKind::Credential, RowKind::Definition, RowKind::Sealed];
    let clear = |row: &[u8]| {
        let sealed = kinds.iter().find_map(|kind| SealedRow::decode(*kind, row).ok().map(|row| (*kind, row)));
        sealed.map(|(kind, row)| (kind, row.doc_id, row.revision))
    };
    there == here || clear(there).is_some_and(|known| clear(here) == Some(known))
}

const BATCH_OPS_MAX: usize = 1_024;
