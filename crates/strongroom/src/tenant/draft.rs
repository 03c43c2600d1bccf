//! A batch under construction: what a verb expects, writes and seals.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::cache::Definition;
use crate::engine::gate::Pass;
use crate::engine::{Race, Touches};
use crate::error::Error;
use crate::id::{DocumentId, LinkedAccountId};
use crate::keys::{Document, OpenedRow, Roots, ScopeKeys, active_key, seal};
use crate::model::{AuditChange, Revision};
use crate::row::body::ValueBody;
use crate::row::{Row, RowError, decode_index, encode_epoch, is_unlike_others};
use crate::store::{Committed, Expect, Key, Op, RowRevision, Versioned, WriteBatch};
use crate::tenant::event::CHANGES_AN_EVENT;
use crate::tenant::leftovers::Leftovers;
use crate::tenant::quota::Charges;
use crate::tenant::{Freshness, Tenant, View, WriteOptions};

/// A batch under construction. It expects a keyring only once, however many rows are sealed under it.
pub(crate) struct Draft<'t> {
    tenant: &'t Tenant,
    view: &'t View<'t>,
    batch: WriteBatch,
    touches: Touches,
    pub(super) keyrings: Vec<(Option<LinkedAccountId>, Arc<ScopeKeys>)>,
    roots: Option<Arc<Roots>>,
    /// The control rows that the batch writes, with their new revisions.
    wrote: Vec<(Key, Revision)>,
    /// The records of API keys and sessions that the batch writes: their keys are not used again.
    wrote_records: Vec<(Key, Revision)>,
    /// What lets the batch pass; `None` if the store was last seen to be retired.
    pass: Option<Pass>,
    /// The changes that the batch makes, for its event.
    changes: Vec<AuditChange>,
    /// Whether the batch gives an org its first key after a shred.
    pub(super) follows_shred: bool,
    /// What to delete once the batch has landed.
    pub(super) leftovers: Leftovers,
    charges: Charges,
    /// Rows that count as absent, and that the batch replaces.
    dead: Vec<(Key, RowRevision, usize)>,
    /// Whether it waits for verbs that have a turn.
    waits: bool,
}

/// The document that a write replaces.
#[derive(Clone, Copy)]
pub(crate) struct Existing {
    pub(crate) id: DocumentId,
    pub(crate) revision: Revision,
    pub(crate) created_at: Timestamp,
}

impl<'t> Draft<'t> {
    pub(crate) fn new(tenant: &'t Tenant, view: &'t View<'t>) -> Self {
        Self {
            tenant,
            view,
            batch: WriteBatch::default(),
            touches: Touches::Data,
            keyrings: Vec::new(),
            roots: None,
            wrote: Vec::new(),
            wrote_records: Vec::new(),
            pass: view.pass_before_keys.or_else(|| tenant.engine.gate.pass()),
            changes: Vec::new(),
            follows_shred: false,
            leftovers: Leftovers::default(),
            charges: Charges::default(),
            dead: Vec::new(),
            waits: view.freshness != Freshness::InTurn,
        }
    }

    pub(crate) fn tenant(&self) -> &'t Tenant {
        self.tenant
    }

    pub(crate) fn view(&self) -> &'t View<'t> {
        self.view
    }

    pub(super) fn charges(&mut self) -> &mut Charges {
        &mut self.charges
    }

    /// The keys of a scope as they were read.
    pub(crate) fn keys(&self, account: Option<&LinkedAccountId>) -> Option<&'t Arc<ScopeKeys>> {
        self.view.keys(account)
    }

    /// The keys that this batch seals under in a scope.
    pub(crate) fn scope_keys(&mut self, account: Option<&LinkedAccountId>) -> Result<Arc<ScopeKeys>, Error> {
        if let Some((_, keys)) = self.keyrings.iter().find(|(owner, _)| owner.as_ref() == account) {
            return Ok(Arc::clone(keys));
        }
        let read = self.keys(account);
        let keys = match read {
            Some(keys) if keys.keyring.active().is_some() => {
                self.expect_once(self.tenant.id.keyring(account).key(), Some(keys.row_revision));
                Arc::clone(keys)
            }
            _ => self.first_key(account, read)?,
        };
        self.keyrings.push((account.cloned(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// The document in the row of a value or credential. `None` if the key that sealed it was dropped.
    pub(crate) fn existing(
        &self,
        place: &Row<'_>,
        bytes: &[u8],
    ) -> Result<Option<(Existing, OpenedRow)>, Error> {
        // Open it rather than trust it: its revision decides what the batch expects and which version is next.
        let keys = self.keys(place.sealed_by().account());
        let Some(opened) = self.tenant.open(keys, place, bytes)? else { return Ok(None) };
        let around = ValueBody::decode_around(&opened.plaintext);
        let (times, _) = around.map_err(|error| Error::content(place.name(), error))?;
        let (id, revision) = (opened.document_id(place)?, opened.revision);
        Ok(Some((Existing { id, revision, created_at: times.created_at }, opened)))
    }

    /// How many operations the batch has room for besides those that a commit adds to it. `None` if it has no room even
    /// for those, so that the store would refuse it.
    pub(crate) fn room(&self, options: &WriteOptions) -> Option<usize> {
        let max = self.tenant.engine.store.capabilities().batch_ops_max;
        let left = max.saturating_sub(self.batch.ops.len().max(self.batch.expect.len()));
        left.checked_sub(ADDED_BY_COMMIT + options.records.len() + self.changes.len() / CHANGES_AN_EVENT)
    }

    /// The bytes of the rows that the batch puts.
    pub(crate) fn bytes(&self) -> usize {
        let len = |op: &Op| match op {
            Op::Put(_, row) => row.len(),
            Op::Delete(_) => 0,
        };
        self.batch.ops.iter().map(len).sum()
    }

    /// A new document id.
    pub(crate) fn new_id(&self) -> Result<DocumentId, Error> {
        self.tenant.engine.next_id()
    }

    /// Expects a row to be as it was read: at this revision, or absent.
    pub(crate) fn expect_as_read(&mut self, key: Key, read: Option<RowRevision>) {
        self.batch.expect(key, read.map_or(Expect::Absent, Expect::Revision));
    }

    /// Expects a definition to be as it was read.
    pub(crate) fn expect_definition(&mut self, definition: &Definition) {
        self.expect_once(
            self.tenant.id.definition(&definition.stored.id).key(),
            Some(definition.row_revision),
        );
    }

    /// Expects a row to be as it was read, unless the batch does so already.
    pub(crate) fn expect_once(&mut self, key: Key, read: Option<RowRevision>) {
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

    /// Deletes a row, unless the batch does so already: values that a store copied lead to the same id.
    pub(crate) fn delete_once(&mut self, key: Key) {
        if !self.writes(&key) {
            self.batch.delete(key);
        }
    }

    /// Writes no index row in the place of one that a later release wrote.
    pub(crate) async fn spare_later_indexes(&mut self) -> Result<(), Error> {
        let is_later = |row: Versioned| matches!(decode_index(&row.value), Err(RowError::UnknownVersion(_)));
        for op in std::mem::take(&mut self.batch.ops) {
            let found = self.tenant.engine.get(op.key().clone()).await?;
            if !found.is_some_and(is_later) {
                self.batch.ops.push(op);
            }
        }
        Ok(())
    }

    /// Whether the batch puts or deletes this row.
    pub(crate) fn writes(&self, key: &Key) -> bool {
        self.batch.ops.iter().any(|op| op.key() == key)
    }

    /// Seals a row under the active key of its scope and puts it, expecting the row as it was read: at this revision,
    /// or absent. The batch also expects the keyring as it was read, or creates it.
    pub(crate) fn put_sealed(
        &mut self,
        place: &Row<'_>,
        read: Option<RowRevision>,
        document: &Document<'_>,
    ) -> Result<(), Error> {
        let bytes = self.seal(place, document)?;
        self.put_as_read(place.key(), read, bytes);
        Ok(())
    }

    /// Notes that the row put at `key` replaces a row that was read and counts as absent.
    pub(crate) fn replace_dead(&mut self, key: Key, row: &Versioned) {
        self.dead.push((key, row.revision, row.value.len()));
    }

    /// Puts a sealed row that counts in a quota, in place of the one that was read, if there is one.
    pub(crate) fn put_counted(
        &mut self,
        place: &Row<'_>,
        read: Option<(RowRevision, usize)>,
        document: &Document<'_>,
    ) -> Result<usize, Error> {
        let key = place.key();
        let dead = self.dead.iter().find(|(dead, ..)| *dead == key);
        let read = read.or(dead.map(|(_, revision, len)| (*revision, *len)));
        let bytes = self.seal(place, document)?;
        let len = bytes.len();
        self.put_as_read(key.clone(), read.map(|(revision, _)| revision), bytes);
        self.charge(&key, read.map(|(_, len)| len), Some(len));
        Ok(len)
    }

    /// Puts a sealed row in place of whatever is there when the batch lands. Returns its length in bytes.
    pub(crate) fn put_sealed_over(
        &mut self,
        place: &Row<'_>,
        document: &Document<'_>,
    ) -> Result<usize, Error> {
        let bytes = self.seal(place, document)?;
        let len = bytes.len();
        self.batch.put(place.key(), bytes);
        Ok(len)
    }

    /// The bytes of a row, sealed under the active key of its scope.
    fn seal(&mut self, place: &Row<'_>, document: &Document<'_>) -> Result<Vec<u8>, Error> {
        let keys = self.scope_keys(place.sealed_by().account())?;
        seal(active_key(&keys.keyring, place)?, &self.tenant.engine.store_id, place, document)
    }

    /// Puts a row that the root key seals, expecting it as it was read.
    pub(crate) fn put_under_root(
        &mut self,
        place: &Row<'_>,
        read: Option<RowRevision>,
        document: &Document<'_>,
    ) -> Result<(), Error> {
        let roots = self.roots()?;
        let bytes = seal(&roots.active.key, &self.tenant.engine.store_id, place, document)?;
        self.put_as_read(place.key(), read, bytes);
        Ok(())
    }

    /// Puts a row, expecting it as it was read: at this revision, or absent.
    pub(crate) fn put_as_read(&mut self, key: Key, read: Option<RowRevision>, bytes: Vec<u8>) {
        self.expect_as_read(key.clone(), read);
        self.batch.put(key, bytes);
    }

    /// Notes that the batch writes a control row: once it has landed, an older one is refused.
    pub(crate) fn wrote(&mut self, key: Key, revision: Revision) {
        self.wrote.push((key, revision));
    }

    /// Notes that the batch writes the record of an API key or a session, or deletes it.
    pub(super) fn wrote_record(&mut self, key: Key, revision: Revision) {
        self.wrote_records.push((key, revision));
    }

    /// Deletes a row, expecting it as it was read.
    pub(crate) fn delete_as_read(&mut self, key: Key, read: RowRevision) {
        self.expect_as_read(key.clone(), Some(read));
        self.batch.delete(key);
    }

    /// The root that this batch seals under. The batch fails if another one becomes active first.
    pub(crate) fn roots(&mut self) -> Result<Arc<Roots>, Error> {
        if let Some(roots) = &self.roots {
            return Ok(Arc::clone(roots));
        }
        let roots = self.tenant.engine.roots.get()?;
        roots.expect_in(&mut self.batch);
        self.roots = Some(Arc::clone(&roots));
        Ok(roots)
    }

    /// Bumps the epoch in this batch, since it changes definitions, keyrings or accounts, so that other engines stop
    /// using what they cached before.
    pub(crate) fn bump_epoch(&mut self) {
        if self.touches == Touches::Data {
            self.touches = Touches::CachedRows;
            self.batch.put(self.tenant.id.epoch().key(), encode_epoch());
        }
    }

    /// Whether the vault has an audit.
    pub(crate) fn is_audited(&self) -> bool {
        self.pass.is_some_and(|pass| pass.settings.audit)
    }

    pub(super) fn changes(&mut self) -> &mut Vec<AuditChange> {
        &mut self.changes
    }

    /// Sets whether the batch waits for verbs that have the turn at a row that it expects. One that is part of a job
    /// does not: a verb may run the job while it has a turn.
    pub(crate) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Whether the batch replaces a sealed row that was read: then it can land only once, and the row shows whether it
    /// did.
    pub(crate) fn replaces_sealed_row(&self) -> bool {
        let is_replaced = |key: &Key| {
            let expected = self.batch.expect.iter().find(|(known, _)| known == key);
            matches!(expected, Some((_, Expect::Revision(_))))
        };
        self.batch.ops.iter().any(|op| match op {
            Op::Put(key, row) => is_unlike_others(row) && is_replaced(key),
            Op::Delete(_) => false,
        })
    }

    /// Whether nothing is written yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.ops.is_empty()
    }

    /// Deletes a row that counts in a quota, expecting it as it was read.
    pub(crate) fn delete_counted(&mut self, key: Key, read: &Versioned) {
        self.charge(&key, Some(read.value.len()), None);
        self.delete_as_read(key, read.revision);
    }

    /// Applies the batch, unless a quota refuses it. A shred of the org in between makes it fail, since the batch
    /// expects the org's keyring as it was read.
    pub(crate) async fn commit(mut self) -> Result<Attempt<Committed>, Error> {
        let engine = &self.tenant.engine;
        let Some(pass) = self.pass else {
            // The store takes writes again: plan under its present settings.
            engine.pass().await?;
            return Ok(Attempt::AGAIN);
        };
        if self.waits && engine.turns.wait_for_holders(&self.batch).await {
            return Ok(Attempt::AGAIN);
        }
        if pass.settings.generations {
            self.move_generation();
        }
        if !self.changes.is_empty() {
            // The event may be the first that the org's keys seal since a shred, so make them before the check.
            self.scope_keys(None)?;
        }
        if self.follows_shred && self.tenant.has_unfinished_shred(self.view).await? {
            return Ok(Attempt::AfterShred);
        }
        let reserved = self.tenant.reserve(&self.charges).await?;
        let event = match self.put_event().await {
            Ok(event) => event,
            Err(error) => {
                // Nothing was sent.
                reserved.settle(false);
                return Err(error);
            }
        };
        // An error ends the chain of the event and leaves what was reserved: the batch may have landed.
        let race = engine.commit_under(pass, self.batch, self.touches).await?;
        let has_landed = matches!(race, Race::Won(_));
        reserved.settle(has_landed);
        if let Some(event) = event {
            event.settle(has_landed);
        }
        let committed = match race {
            Race::Won(committed) => committed,
            Race::Lost(mut rows) => {
                // All writers of a scope expect its keyring, which changes rarely: nobody races for it.
                let owners = self.keyrings.iter().map(|(owner, _)| owner.as_ref());
                let keyrings: Vec<Key> = owners.map(|owner| self.tenant.id.keyring(owner).key()).collect();
                rows.retain(|row| !keyrings.contains(row));
                return Ok(Attempt::Lost(rows));
            }
        };
        self.wrote.iter().for_each(|(key, revision)| engine.caches.wrote(key, *revision));
        self.wrote_records.iter().for_each(|(key, revision)| engine.caches.wrote_record(key, *revision));
        self.leftovers.delete(engine, committed).await?;
        Ok(Attempt::Landed(committed))
    }

    /// Puts the generation row if the batch writes what runs see. Nothing expects that row, so it adds no conflicts
    /// between writers of one org.
    fn move_generation(&mut self) {
        let tenant_id = &self.tenant.id;
        if self.batch.ops.iter().any(|op| tenant_id.is_seen_by_runs(op.key().as_bytes())) {
            self.batch.put(tenant_id.generation().key(), encode_epoch());
        }
    }
}

/// The outcome of an attempt to write, apart from errors.
#[must_use]
pub(crate) enum Attempt<T> {
    /// It is in the store.
    Landed(T),
    /// Another writer was faster, at these rows if they are known: read and decide again.
    Lost(Vec<Key>),
    /// A shred of the org was interrupted. It must be finished before the org gets a new key.
    AfterShred,
}

impl<T> Attempt<T> {
    /// What was read is out of date: read and decide again.
    pub(crate) const AGAIN: Self = Self::Lost(Vec::new());

    pub(crate) fn map<U>(self, landed: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Landed(value) => Attempt::Landed(landed(value)),
            Self::Lost(rows) => Attempt::Lost(rows),
            Self::AfterShred => Attempt::AfterShred,
        }
    }

    pub(crate) fn landed(self) -> Option<T> {
        match self {
            Self::Landed(value) => Some(value),
            Self::Lost(_) | Self::AfterShred => None,
        }
    }

    pub(crate) fn is_landed(&self) -> bool {
        matches!(self, Self::Landed(_))
    }
}

impl<T> From<Option<T>> for Attempt<T> {
    fn from(landed: Option<T>) -> Self {
        landed.map_or(Self::AGAIN, Self::Landed)
    }
}

/// The most operations that a commit adds: what the gate expects, the rows of an event, the epoch and the generation.
const ADDED_BY_COMMIT: usize = 8;
