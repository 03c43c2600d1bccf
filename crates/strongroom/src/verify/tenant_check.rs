//! Checks the rows of one tenant: reads their related rows, and keeps the keyrings and definitions that were opened.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use smallvec::SmallVec;

use super::related::{Jobs, RelatedRows};
use super::report::{Cause, KeyState};
use super::state::{CheckedRow, KeyMention, RowId, RowState, is_of_audit};
use crate::clock::Timestamp;
use crate::engine::ATTEMPTS_MAX;
use crate::engine::cache::{Definition, Moment};
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::keys::{KeyLookup, ScopeKeys, sealing_key_id};
use crate::model::Revision;
use crate::row::body::Sweep;
use crate::row::{Row, RowKind, SealedBy, SealedRow, Subject, TenantRow, decode_index};
use crate::store::{Key, Page, READ_OPS_MAX, Scan, Versioned};
use crate::tenant::Tenant;
use crate::tenant::job::SHRED_JOB;

/// A key scope: the org's, or that of a linked account.
pub(super) type Owner = Option<LinkedAccountId>;

/// One tenant while its rows are checked. The engine's caches are not used: verification is about what the store holds.
pub(super) struct TenantCheck {
    pub(super) tenant: Arc<Tenant>,
    /// The moment before the rows being checked were read.
    pub(super) moment: Moment,
    org_keys: Option<Arc<ScopeKeys>>,
    account_keys: HashMap<LinkedAccountId, Arc<ScopeKeys>>,
    definitions: HashMap<DefinitionId, Arc<Definition>>,
    /// Key scopes whose keyring is missing or cannot be read, so that it is reported only once.
    pub(super) unavailable: HashSet<Owner>,
    /// Definitions that cannot be read, so that each is reported only once.
    unreadable: HashSet<DefinitionId>,
    /// When the last checked row was written, if it says so.
    pub(super) written_at: Option<Timestamp>,
    /// Whether the count of definitions was checked.
    pub(super) counted: bool,
    /// Whether the restore of the org was unfinished: then what is there is a part, and is not checked.
    pub(super) is_part: bool,
    /// Whether the chains of events were walked, and what was found is in the report.
    pub(super) audited: bool,
}

/// The keys of a scope, if they are available.
pub(super) enum FoundKeys {
    Open(Arc<ScopeKeys>),
    Missing,
    Unreadable(Cause),
}

/// A definition, if it is available.
pub(super) enum FoundDefinition {
    Readable(Arc<Definition>),
    Missing,
    Unreadable(Cause),
}

impl TenantCheck {
    pub(super) fn new(tenant: Arc<Tenant>, moment: Moment) -> Self {
        Self {
            tenant,
            moment,
            org_keys: None,
            account_keys: HashMap::new(),
            definitions: HashMap::new(),
            unavailable: HashSet::new(),
            unreadable: HashSet::new(),
            written_at: None,
            counted: false,
            is_part: false,
            audited: false,
        }
    }

    /// Checks consecutive rows. A row that looks wrong is read again with its related rows before it counts: another
    /// engine may have written between the two reads.
    pub(super) async fn check_rows(&mut self, rows: &[(Key, Versioned)]) -> Result<Vec<CheckedRow>, Error> {
        self.load_org_keys().await?;
        let places: Vec<_> = rows.iter().map(|(key, _)| self.tenant.id.parse_row(key.as_bytes())).collect();
        let mut wanted = Vec::new();
        for (place, (_, row)) in places.iter().zip(rows) {
            if let Some(place) = place {
                self.needs(place, row, &mut wanted);
            }
        }
        // Many values of a page share a keyring and a definition.
        wanted.retain(|key| !self.is_opened(key));
        wanted.sort_unstable();
        wanted.dedup();
        let mut related = RelatedRows::default();
        // Several reads are not one snapshot: what then looks wrong is confirmed in one.
        for chunk in wanted.chunks(READ_OPS_MAX) {
            let rows = self.tenant.engine.read(chunk.to_vec()).await?;
            related.rows.extend(chunk.iter().cloned().zip(rows));
        }
        let (mut checked, now) = (Vec::with_capacity(rows.len() + 1), self.tenant.engine.now());
        let mut audited = self.audited;
        for (place, (key, row)) in places.into_iter().zip(rows) {
            let counts = matches!(place, Some(TenantRow::Count | TenantRow::Definition(_)));
            if counts
                && !self.counted
                && !checked.iter().any(|checked: &CheckedRow| checked.row_id.is_count())
            {
                checked.push(self.count_definitions().await?);
            }
            if !audited && place.as_ref().is_some_and(is_of_audit) {
                checked.extend(self.check_chains().await?);
                audited = true;
            }
            // `count_definitions` has checked it, together with the definitions.
            if place == Some(TenantRow::Count) {
                continue;
            }
            let state = self.check(place.as_ref(), row, &related);
            // A row that is fine, or whose keys are known to be missing, is not read a second time.
            if state.is_settled(&self.unavailable) {
                checked.push(self.with_sweep(self.checked(place, row, state), key, row, now));
                continue;
            }
            if let Some((state, row)) = self.confirm(place.as_ref(), key, row).await? {
                checked.push(self.with_sweep(self.checked(place, &row, state), key, &row, now));
            }
        }
        Ok(checked)
    }

    /// The result for a row, with the data keys that it names.
    pub(super) fn checked(
        &self,
        place: Option<TenantRow<'static>>,
        row: &Versioned,
        state: RowState,
    ) -> CheckedRow {
        let mut keys = SmallVec::new();
        if let Some(TenantRow::Keyring(owner)) = &place {
            let ids = self.opened(owner.as_deref()).into_iter().flat_map(|keys| keys.keyring.ids());
            keys.extend(ids.map(|id| self.key_ref(owner.as_deref().cloned(), *id, 0)));
        } else if let Some((owner, id)) = self.sealed_under(place.as_ref(), row) {
            keys.push(self.key_ref(owner, id, 1));
        }
        let revision = place.as_ref().and_then(|place| revision_of(place, row));
        let row_id = place.map_or(RowId::Foreign, RowId::Tenant);
        CheckedRow { row_id, state, keys, is_row: true, revision, written_at: self.written_at, swept: None }
    }

    /// The same with its row as it was read, if a sweep takes that. The job of the org's shred stays: whoever shreds
    /// the org or writes to it finishes it, read or not, and without it, what the shred has not yet dropped would open
    /// again. But the batch that writes it drops the org's key, and no writer gives the org another one before the job
    /// is done: where there is a key, the row is no job that anybody needs.
    fn with_sweep(&self, checked: CheckedRow, key: &Key, row: &Versioned, now: Timestamp) -> CheckedRow {
        let is_in_use = self.org_keys.as_ref().is_some_and(|keys| keys.keyring.active().is_some());
        if is_shred_job(&checked.row_id) && !is_in_use { checked } else { checked.read_as(key, row, now) }
    }

    /// The key scope of a row, and which of its keys sealed it; `None` for a row that no data key seals.
    fn sealed_under(&self, place: Option<&TenantRow<'_>>, found: &Versioned) -> Option<(Owner, DekId)> {
        let place = place?;
        let SealedBy::DataKey(account) = place.sealed_by() else { return None };
        let row = Row::Tenant(&self.tenant.id, place.clone());
        Some((account.cloned(), sealing_key_id(&row, &found.value)?))
    }

    fn key_ref(&self, owner: Owner, id: DekId, rows: u64) -> KeyMention {
        let state = self.opened(owner.as_ref()).map_or(KeyState::Unlisted, |keys| {
            let active = keys.keyring.active().is_some_and(|key| *key.id() == id);
            match keys.keyring.key(&id) {
                KeyLookup::Listed(_) if active => KeyState::Active,
                KeyLookup::Listed(_) => KeyState::DecryptOnly,
                KeyLookup::Dropped => KeyState::Dropped,
                KeyLookup::Unknown => KeyState::Unlisted,
            }
        });
        KeyMention { owner, id, state, rows }
    }

    /// Checks a row again, in one snapshot of it, its related rows and the jobs. Returns the row that was checked;
    /// `None` if it was deleted meanwhile.
    async fn confirm(
        &mut self,
        place: Option<&TenantRow<'_>>,
        key: &Key,
        row: &Versioned,
    ) -> Result<Option<(RowState, Versioned)>, Error> {
        let mut row = row.clone();
        let Some(place) = place else { return Ok(Some((RowState::bad(Cause::Foreign), row))) };
        // Written between the two reads: its related rows are others now, so they are collected again.
        for _ in 0..ATTEMPTS_MAX {
            let mut gets = vec![key.clone()];
            self.needs(place, &row, &mut gets);
            let scan = Scan::new(self.tenant.id.jobs(), JOBS_MAX);
            let (rows, jobs) = self.tenant.engine.read((gets.clone(), scan)).await?;
            let jobs = self.open_jobs(&jobs);
            let related = RelatedRows { rows: gets.into_iter().zip(rows).collect(), jobs };
            let Some(now) = related.row(key) else { return Ok(None) };
            if now.revision == row.revision {
                return Ok(Some((self.check(Some(place), now, &related), row)));
            }
            row = now.clone();
        }
        Ok(Some((RowState::bad(Cause::Changing), row)))
    }

    /// Collects the keys of the rows that a row is checked against, as far as the row names them.
    fn needs(&self, place: &TenantRow<'_>, row: &Versioned, needed: &mut Vec<Key>) {
        let keys = &self.tenant.id;
        let index = || decode_index(&row.value).ok();
        if !matches!(
            place,
            TenantRow::Epoch
                | TenantRow::Generation
                | TenantRow::Job(_)
                | TenantRow::ValueId(_)
                | TenantRow::DefinitionValue(..)
        ) {
            needed.push(keys.keyring(None).key());
        }
        match place {
            TenantRow::Value(scope, definition) => {
                needed.extend(scope.linked_account().map(|account| keys.keyring(Some(account)).key()));
                needed.extend([
                    keys.definition(definition).key(),
                    keys.definition_value(definition, scope).key(),
                ]);
                let sealed = SealedRow::decode(RowKind::ScopedValue, &row.value).ok();
                needed.extend(sealed.and_then(|row| row.doc_id).map(|id| keys.value_id(&id).key()));
            }
            TenantRow::ValueId(_) => needed.extend(index().map(Key::from)),
            TenantRow::DefinitionValue(definition, scope) => needed.extend([
                keys.value(scope, definition).key(),
                keys.deleted(&Subject::value(scope, definition)).key(),
            ]),
            TenantRow::Former(subject, _) | TenantRow::Deleted(subject) => {
                needed.extend(subject.account().map(|account| keys.keyring(Some(account)).key()));
                if matches!(place, TenantRow::Deleted(_)) {
                    needed.push(self.tenant.current(subject).key());
                }
                match subject {
                    Subject::Value(scope, definition) => needed.extend([
                        keys.definition(definition).key(),
                        keys.definition_value(definition, scope).key(),
                    ]),
                    Subject::Credential(account, integration, _) => {
                        needed.push(keys.integration(account, integration).key());
                    }
                    Subject::Definition(id) => {
                        needed.extend([keys.definition(id).key(), keys.deleted(subject).key()]);
                    }
                }
            }
            TenantRow::DefinitionName(_) => {
                let id = index().and_then(DefinitionId::from_bytes);
                needed.extend(id.map(|id| keys.definition(&id).key()));
            }
            TenantRow::Definition(id) => {
                let opened = self.tenant.open_definition(self.org_keys.as_ref(), *id, row, self.moment);
                let name = opened.ok().flatten().map(|known| known.stored.definition.name);
                let name = name.and_then(|name| name.parse().ok());
                needed.extend(name.map(|name| keys.definition_name(&name).key()));
            }
            TenantRow::Integration(account, _) => needed.push(keys.account(account).key()),
            TenantRow::Credential(account, integration, _) => {
                needed.extend([
                    keys.keyring(Some(account)).key(),
                    keys.integration(account, integration).key(),
                ]);
            }
            _ => {}
        }
        // A hostile index row may name a key that is too long for any store to look up.
        needed.retain(|key| key.as_bytes().len() <= crate::store::KEY_BYTES_MAX);
    }

    /// Whether the keyring or definition at a key was opened already. It may have changed since: a row that then looks
    /// wrong is confirmed by a snapshot.
    fn is_opened(&self, key: &Key) -> bool {
        match self.tenant.id.parse_row(key.as_bytes()) {
            Some(TenantRow::Keyring(None)) => self.org_keys.is_some(),
            Some(TenantRow::Keyring(Some(account))) => self.account_keys.contains_key(&*account),
            Some(TenantRow::Definition(id)) => self.definitions.contains_key(&id),
            _ => false,
        }
    }

    async fn load_org_keys(&mut self) -> Result<(), Error> {
        if self.org_keys.is_none() && !self.unavailable.contains(&None) {
            let key = self.tenant.id.keyring(None).key();
            if let Some(row) = self.tenant.engine.get(key).await? {
                // What does not open is reported at its own row, and by every row that needs it.
                self.open_keys(None, &row).ok();
            }
        }
        Ok(())
    }

    fn open_jobs(&self, page: &Page) -> Jobs {
        let mut jobs = Jobs { more: page.more, ..Jobs::default() };
        for (key, row) in &page.rows {
            let Some(TenantRow::Job(id)) = self.tenant.id.parse_row(key.as_bytes()) else { continue };
            jobs.ids.push(*id.as_bytes());
            let opened = self.tenant.open_under_root(&self.tenant.id.job(&id), &row.value);
            jobs.sweeps.extend(opened.ok().and_then(|opened| Sweep::decode(&opened.plaintext).ok()));
        }
        jobs
    }

    /// Keys that were opened before and are still kept.
    pub(super) fn opened(&self, owner: Option<&LinkedAccountId>) -> Option<&Arc<ScopeKeys>> {
        match owner {
            Some(account) => self.account_keys.get(account),
            None => self.org_keys.as_ref(),
        }
    }

    /// Notes that the keys of a scope are unavailable. `false` if that was known already.
    pub(super) fn mark_unavailable(&mut self, owner: Owner) -> bool {
        note(&mut self.unavailable, owner)
    }

    /// Notes that a definition cannot be read. `false` if that was known already.
    pub(super) fn mark_unreadable(&mut self, definition: DefinitionId) -> bool {
        note(&mut self.unreadable, definition)
    }

    /// Opens the row of a keyring and keeps its keys.
    pub(super) fn open_keys(
        &mut self,
        owner: Option<&LinkedAccountId>,
        row: &Versioned,
    ) -> Result<Arc<ScopeKeys>, Error> {
        if let Some(keys) = self.opened(owner).filter(|keys| keys.row_revision == row.revision) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(self.tenant.open_keyring(owner, row, self.moment)?);
        match owner {
            Some(account) => {
                make_room(&mut self.account_keys);
                self.account_keys.insert(account.clone(), Arc::clone(&keys));
            }
            None => self.org_keys = Some(Arc::clone(&keys)),
        }
        Ok(keys)
    }

    /// The keys of a scope: from the related rows if its keyring was read with them, otherwise those opened before.
    pub(super) fn keys(&mut self, owner: Option<&LinkedAccountId>, related: &RelatedRows) -> FoundKeys {
        let key = self.tenant.id.keyring(owner).key();
        if let Some(row) = related.row(&key) {
            let unreadable = |error| FoundKeys::Unreadable(Cause::of(error));
            return self.open_keys(owner, row).map_or_else(unreadable, FoundKeys::Open);
        }
        match self.opened(owner) {
            Some(keys) if !related.holds(&key) => FoundKeys::Open(Arc::clone(keys)),
            _ => FoundKeys::Missing,
        }
    }

    /// A definition: from the related rows if it was read with them, otherwise the one opened before.
    pub(super) fn definition(
        &mut self,
        id: DefinitionId,
        org: &Arc<ScopeKeys>,
        related: &RelatedRows,
    ) -> FoundDefinition {
        let key = self.tenant.id.definition(&id).key();
        let known = self.definitions.get(&id);
        let Some(row) = related.row(&key) else {
            return match known {
                Some(known) if !related.holds(&key) => FoundDefinition::Readable(Arc::clone(known)),
                _ => FoundDefinition::Missing,
            };
        };
        if let Some(known) = known.filter(|known| known.row_revision == row.revision) {
            return FoundDefinition::Readable(Arc::clone(known));
        }
        match self.tenant.open_definition(Some(org), id, row, self.moment) {
            Ok(Some(definition)) => {
                let definition = Arc::new(definition);
                make_room(&mut self.definitions);
                self.definitions.insert(id, Arc::clone(&definition));
                FoundDefinition::Readable(definition)
            }
            Ok(None) => FoundDefinition::Missing,
            Err(error) => FoundDefinition::Unreadable(Cause::of(error)),
        }
    }
}

fn is_shred_job(row: &RowId) -> bool {
    matches!(row, RowId::Tenant(TenantRow::Job(id)) if *id == SHRED_JOB)
}

/// The revision that a sealed row states; `None` for a row that is not sealed, and for a job, whose row is deleted when
/// it is done.
fn revision_of(place: &TenantRow<'_>, row: &Versioned) -> Option<Revision> {
    if place.sealed_by() == SealedBy::Nothing || matches!(place, TenantRow::Job(_)) {
        return None;
    }
    Some(SealedRow::decode(place.kind(), &row.value).ok()?.revision)
}

/// Memory is bounded: what is forgotten here is only checked, and reported, again.
fn note<T: Eq + Hash>(set: &mut HashSet<T>, item: T) -> bool {
    if set.len() >= NOTED_MAX {
        set.clear();
    }
    set.insert(item)
}

/// Keeps a map bounded. The rows of one scope are consecutive, so what is dropped is seldom needed again.
fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= OPENED_MAX {
        map.clear();
    }
}

/// How many keyrings, and how many definitions, are kept open: a tenant has at most 1,000 definitions.
const OPENED_MAX: usize = 1_024;
/// How many key scopes without keys, and how many unreadable definitions, are remembered.
const NOTED_MAX: usize = 4_096;
/// How many unfinished jobs of a tenant are read. With more, any row may belong to one of them: see [`Jobs::more`].
const JOBS_MAX: usize = 256;
