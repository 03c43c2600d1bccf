//! A batch in the making: what a verb expects, writes and seals.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::Touches;
use crate::envelope::Context;
use crate::error::Error;
use crate::id::DocumentId;
use crate::id::LinkedAccountId;
use crate::keys::Keyring;
use crate::keys::root::Roots;
use crate::model::Revision;
use crate::row::body::Sheet;
use crate::row::body::encode_epoch;
use crate::store::Committed;
use crate::store::Expect;
use crate::store::Key;
use crate::store::RowRevision;
use crate::store::Versioned;
use crate::store::WriteBatch;
use crate::tenant::Definition;
use crate::tenant::Ground;
use crate::tenant::ScopeKeys;
use crate::tenant::Tenant;
use crate::tenant::describe;
use crate::tenant::seal_row;

/// A batch under construction. A key is expected at most once, however many rows are sealed under it.
pub(crate) struct Draft<'t> {
    tenant: &'t Tenant,
    ground: &'t Ground<'t>,
    batch: WriteBatch,
    touches: Touches,
    keyrings: Vec<(Option<LinkedAccountId>, Arc<ScopeKeys>)>,
    roots: Option<Arc<Roots>>,
    /// Whether it makes the first key of an org after a shred.
    follows_shred: bool,
}

/// A row to be sealed and put.
pub(crate) struct SealedPut<'a> {
    pub(crate) key: Key,
    pub(crate) context: Context<'a>,
    pub(crate) doc_id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) plaintext: &'a [u8],
}

/// The document that stands where another is to be put.
pub(crate) struct Standing {
    pub(crate) id: DocumentId,
    pub(crate) revision: Revision,
    pub(crate) created_at: Timestamp,
}

impl<'t> Draft<'t> {
    pub(crate) fn new(tenant: &'t Tenant, ground: &'t Ground<'t>) -> Self {
        Self {
            tenant,
            ground,
            batch: WriteBatch::default(),
            touches: Touches::Data,
            keyrings: Vec::new(),
            roots: None,
            follows_shred: false,
        }
    }

    pub(crate) fn tenant(&self) -> &'t Tenant {
        self.tenant
    }

    pub(crate) fn ground(&self) -> &'t Ground<'t> {
        self.ground
    }

    /// The keys of a scope as they were read.
    pub(crate) fn keys(&self, account: Option<&LinkedAccountId>) -> Option<&'t Arc<ScopeKeys>> {
        self.ground.keys(account)
    }

    /// The value or credential in `row`; `None` when the key that sealed it was dropped.
    pub(crate) fn standing(
        &self,
        account: Option<&LinkedAccountId>,
        context: &Context<'_>,
        row: &Versioned,
    ) -> Result<Option<Standing>, Error> {
        let Some(opened) = self.tenant.open(self.keys(account), context, &row.value)? else {
            return Ok(None);
        };
        let times = Sheet::decode_times(&opened.plaintext);
        let (created_at, _) = times.map_err(|error| Error::row(describe(context), error))?;
        Ok(Some(Standing { id: opened.document_id(context)?, revision: opened.revision, created_at }))
    }

    /// A new document id.
    pub(crate) fn new_id(&self) -> Result<DocumentId, Error> {
        Ok(DocumentId::generate(&*self.tenant.engine.clock)?)
    }

    /// Expects a row to be as it was read: at this revision, or absent.
    pub(crate) fn expect_as_read(&mut self, key: Key, read: Option<RowRevision>) {
        self.batch.expect(key, read.map_or(Expect::Absent, Expect::Revision));
    }

    /// Expects a definition to be as it was read.
    pub(crate) fn expect_definition(&mut self, definition: &Definition) {
        self.expect_once(self.tenant.keys.definition(&definition.stored.id), Some(definition.row));
    }

    /// Expects a row to be as it was read, unless the batch does so already.
    fn expect_once(&mut self, key: Key, read: Option<RowRevision>) {
        if !self.batch.expect.iter().any(|(known, _)| *known == key) {
            self.expect_as_read(key, read);
        }
    }

    pub(crate) fn put(&mut self, key: Key, row: Vec<u8>) {
        self.batch.put(key, row);
    }

    pub(crate) fn delete(&mut self, key: Key) {
        self.batch.delete(key);
    }

    /// Seals a row under the active key of a scope and puts it. The batch expects the keyring that was read, or
    /// makes the scope's first key.
    pub(crate) fn put_sealed(
        &mut self,
        account: Option<&LinkedAccountId>,
        put: SealedPut<'_>,
    ) -> Result<(), Error> {
        let keys = self.scope_keys(account)?;
        let key = Tenant::active_key(&keys, &put.context)?;
        let row = seal_row(key, &put.context, put.doc_id, put.revision, put.plaintext)?;
        self.batch.put(put.key, row);
        Ok(())
    }

    /// Seals a row of the whole store under the root key and puts it.
    pub(crate) fn put_under_root(&mut self, put: SealedPut<'_>) -> Result<(), Error> {
        let roots = self.roots()?;
        let row = seal_row(&roots.active.key, &put.context, put.doc_id, put.revision, put.plaintext)?;
        self.batch.put(put.key, row);
        Ok(())
    }

    /// The root that this batch seals under. It cannot land once another one is active.
    pub(crate) fn roots(&mut self) -> Result<Arc<Roots>, Error> {
        if let Some(roots) = &self.roots {
            return Ok(Arc::clone(roots));
        }
        let roots = self.tenant.engine.roots.get()?;
        roots.expect_in(&mut self.batch);
        self.roots = Some(Arc::clone(&roots));
        Ok(roots)
    }

    /// The keys that this batch seals under in a scope.
    pub(crate) fn scope_keys(&mut self, account: Option<&LinkedAccountId>) -> Result<Arc<ScopeKeys>, Error> {
        if let Some((_, keys)) = self.keyrings.iter().find(|(owner, _)| owner.as_ref() == account) {
            return Ok(Arc::clone(keys));
        }
        let read = self.keys(account);
        let keys = match read {
            Some(keys) if keys.keyring.active().is_some() => {
                self.expect_once(self.tenant.keys.keyring(account), Some(keys.row));
                Arc::clone(keys)
            }
            _ => self.first_key(account, read)?,
        };
        self.keyrings.push((account.cloned(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Drops every key of a scope: what they sealed is as good as gone.
    pub(crate) fn drop_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<(), Error> {
        self.put_keyring(account, keys.keyring.drop_keys(), keys.revision.next(), Some(keys.row))?;
        self.changes_cached_rows();
        Ok(())
    }

    /// Gives a scope a new active key; the former ones still open what they sealed. Answers the keyring's revision.
    pub(crate) fn turn_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<Revision, Error> {
        let engine = &self.tenant.engine;
        let context = self.tenant.keyring_context(account);
        let turned = keys.keyring.renew(&self.roots()?.active.bytes, &context, engine.now())?;
        let revision = keys.revision.next();
        self.put_keyring(account, turned, revision, Some(keys.row))?;
        Ok(revision)
    }

    /// Destroys the keys of a scope that no row is sealed under any more.
    pub(crate) fn destroy_retired_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<(), Error> {
        let alone = keys.keyring.destroy_retired();
        self.put_keyring(account, alone, keys.revision.next(), Some(keys.row)).map(|_| ())
    }

    /// Marks the batch as one that changes definitions, keyrings or accounts: other engines see a new epoch.
    pub(crate) fn changes_cached_rows(&mut self) {
        if self.touches == Touches::Data {
            self.touches = Touches::CachedRows;
            self.batch.put(self.tenant.keys.epoch(), encode_epoch());
        }
    }

    /// Whether nothing is written yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.ops.is_empty()
    }

    /// Applies the batch; `None` when another writer was faster, or a shred of the org had to be finished first. That
    /// none comes in between is told by the org's keyring, which the batch expects as it was read.
    pub(crate) async fn commit(self) -> Result<Option<Committed>, Error> {
        if self.follows_shred && self.tenant.finish_shred(self.ground).await? {
            return Ok(None);
        }
        self.send().await
    }

    /// Applies the batch of a verb that makes no org's first key.
    pub(crate) async fn send(self) -> Result<Option<Committed>, Error> {
        self.tenant.engine.commit(self.batch, self.touches).await
    }

    fn first_key(
        &mut self,
        account: Option<&LinkedAccountId>,
        read: Option<&Arc<ScopeKeys>>,
    ) -> Result<Arc<ScopeKeys>, Error> {
        let engine = &self.tenant.engine;
        self.expect_no_shred(account);
        let context = self.tenant.keyring_context(account);
        let root = Arc::clone(&self.roots()?.active);
        let keyring = match read {
            Some(keys) => keys.keyring.renew(&root.bytes, &context, engine.now())?,
            None => Keyring::generate(&root.bytes, &context, engine.now())?,
        };
        let revision = read.map_or(Revision::from_u64(1), |keys| keys.revision.next());
        self.put_keyring(account, keyring, revision, read.map(|keys| keys.row))
    }

    /// A first key must not slip past the shred of an org: one of an account comes with the org's keys as they were
    /// read, and one of the org once no shred is under way.
    fn expect_no_shred(&mut self, account: Option<&LinkedAccountId>) {
        let Some(org) = self.keys(None).map(|keys| keys.row) else { return };
        match account {
            Some(_) => self.expect_once(self.tenant.keys.keyring(None), Some(org)),
            None => self.follows_shred = true,
        }
    }

    fn put_keyring(
        &mut self,
        account: Option<&LinkedAccountId>,
        keyring: Keyring,
        revision: Revision,
        read: Option<RowRevision>,
    ) -> Result<Arc<ScopeKeys>, Error> {
        let key = self.tenant.keys.keyring(account);
        let context = self.tenant.keyring_context(account);
        let root = Arc::clone(&self.roots()?.active);
        let row = seal_row(&root.key, &context, None, revision, &keyring.encode())?;
        self.expect_once(key.clone(), read);
        self.batch.put(key, row);
        if read.is_some() {
            self.changes_cached_rows();
        }
        Ok(Arc::new(ScopeKeys::new(keyring, revision, read.unwrap_or(RowRevision(0)))))
    }
}
