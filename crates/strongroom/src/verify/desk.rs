//! Where the rows of one tenant are judged: its keys and definitions, opened, and how a row and its counterparts are
//! read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::report::{Cause, KeyState};
use super::sight::{Jobs, Sight};
use super::verdict::{Judged, KeyRef, Subject, Verdict};
use crate::engine::ATTEMPTS_MAX;
use crate::engine::cache::Definition;
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::keys::{KeyLookup, ScopeKeys, sealing_key_id};
use crate::row::body::Sweep;
use crate::row::{Row, RowKind, SealedBy, SealedRow, TenantRow, decode_index};
use crate::store::{Key, Page, READ_OPS_MAX, Scan, Versioned};
use crate::tenant::Tenant;

/// A key scope: the org's, or that of a linked account.
pub(super) type Owner = Option<LinkedAccountId>;

/// One tenant while its rows are judged. Nothing is taken from the engine's caches: what counts is the store.
pub(super) struct Desk {
    pub(super) tenant: Arc<Tenant>,
    org_keys: Option<Arc<ScopeKeys>>,
    account_keys: HashMap<LinkedAccountId, Arc<ScopeKeys>>,
    definitions: HashMap<DefinitionId, Arc<Definition>>,
    /// Key scopes whose keyring is missing or cannot be read: that was found once, and is not found again.
    pub(super) closed: HashSet<Owner>,
    /// Whether the definitions were counted.
    pub(super) counted: bool,
}

/// The keys of a scope, as far as they can be had.
pub(super) enum Keys {
    Open(Arc<ScopeKeys>),
    Missing,
    Unreadable,
}

/// A definition, as far as it can be had.
pub(super) enum Known {
    There(Arc<Definition>),
    Absent,
    Unreadable,
}

impl Desk {
    pub(super) fn new(tenant: Arc<Tenant>) -> Self {
        Self {
            tenant,
            org_keys: None,
            account_keys: HashMap::new(),
            definitions: HashMap::new(),
            closed: HashSet::new(),
            counted: false,
        }
    }

    /// Judges rows that follow one another. What looks wrong is read again, together with its counterparts, before
    /// it counts: another writer may have been in between.
    pub(super) async fn judge_rows(&mut self, rows: &[(Key, Versioned)]) -> Result<Vec<Judged>, Error> {
        self.load_org_keys().await?;
        let places: Vec<_> = rows.iter().map(|(key, _)| self.tenant.id.parse_row(key.as_bytes())).collect();
        let mut wanted = Vec::new();
        for (place, (_, row)) in places.iter().zip(rows) {
            if let Some(place) = place {
                self.needs(place, row, &mut wanted);
            }
        }
        wanted.retain(|key| !self.is_opened(key));
        wanted.sort_unstable();
        wanted.dedup();
        let mut sight = Sight::default();
        for chunk in wanted.chunks(READ_OPS_MAX) {
            let rows = self.tenant.engine.read(chunk.to_vec()).await?;
            sight.rows.extend(chunk.iter().cloned().zip(rows));
        }
        let mut judged = Vec::with_capacity(rows.len() + 1);
        for (place, (key, row)) in places.into_iter().zip(rows) {
            let counts = matches!(place, Some(TenantRow::Count | TenantRow::Definition(_)));
            if counts && !self.counted && !judged.iter().any(|judged: &Judged| judged.subject.is_count()) {
                judged.push(self.count_definitions().await?);
            }
            if place == Some(TenantRow::Count) {
                continue;
            }
            let mut verdict = self.judge(place.as_ref(), row, &sight);
            if !verdict.is_settled(&self.closed) {
                verdict = self.confirm(place.as_ref(), key, row).await?;
            }
            judged.push(self.judged(place, row, verdict));
        }
        Ok(judged)
    }

    /// What was judged, with the data keys that the row names.
    pub(super) fn judged(
        &self,
        place: Option<TenantRow<'static>>,
        row: &Versioned,
        verdict: Verdict,
    ) -> Judged {
        let mut keys = SmallVec::new();
        if let Some(TenantRow::Keyring(owner)) = &place {
            let ids = self.opened(owner.as_deref()).into_iter().flat_map(|keys| keys.keyring.ids());
            keys.extend(ids.map(|id| self.key_ref(owner.as_deref().cloned(), *id, 0)));
        } else if let Some((owner, id)) = self.sealed_under(place.as_ref(), row) {
            keys.push(self.key_ref(owner, id, 1));
        }
        let subject = place.map_or(Subject::Foreign, Subject::Tenant);
        Judged { subject, verdict, keys, is_row: true }
    }

    /// The key scope of a row, and which of its keys sealed it; `None` for a row that no data key seals.
    fn sealed_under(&self, place: Option<&TenantRow<'_>>, found: &Versioned) -> Option<(Owner, DekId)> {
        let place = place?;
        let SealedBy::DataKey(account) = place.sealed_by() else { return None };
        let row = Row::Tenant(&self.tenant.id, place.clone());
        Some((account.cloned(), sealing_key_id(&row, &found.value)?))
    }

    fn key_ref(&self, owner: Owner, id: DekId, rows: u64) -> KeyRef {
        let state = self.opened(owner.as_ref()).map_or(KeyState::Unlisted, |keys| {
            let active = keys.keyring.active().is_some_and(|key| *key.id() == id);
            match keys.keyring.key(&id) {
                KeyLookup::Listed(_) if active => KeyState::Active,
                KeyLookup::Listed(_) => KeyState::DecryptOnly,
                KeyLookup::Dropped => KeyState::Dropped,
                KeyLookup::Unknown => KeyState::Unlisted,
            }
        });
        KeyRef { owner, id, state, rows }
    }

    /// Judges a row by one snapshot of it, its counterparts and the jobs.
    async fn confirm(
        &mut self,
        place: Option<&TenantRow<'_>>,
        key: &Key,
        row: &Versioned,
    ) -> Result<Verdict, Error> {
        let Some(place) = place else { return Ok(Verdict::bad(Cause::Foreign)) };
        let mut row = row.clone();
        for _ in 0..ATTEMPTS_MAX {
            let mut gets = vec![key.clone()];
            self.needs(place, &row, &mut gets);
            let scan = Scan::new(self.tenant.id.jobs(), JOBS_MAX);
            let (rows, jobs) = self.tenant.engine.read((gets.clone(), scan)).await?;
            let jobs = self.open_jobs(&jobs);
            let sight = Sight { rows: gets.into_iter().zip(rows).collect(), jobs };
            // Gone meanwhile, and with it whatever was wrong.
            let Some(now) = sight.row(key) else { return Ok(Verdict::Fine) };
            if now.revision == row.revision {
                return Ok(self.judge(Some(place), now, &sight));
            }
            row = now.clone();
        }
        Ok(Verdict::bad(Cause::Changing))
    }

    /// The keys of the rows by which a row is judged, as far as they can be told from it.
    fn needs(&self, place: &TenantRow<'_>, row: &Versioned, needed: &mut Vec<Key>) {
        let keys = &self.tenant.id;
        let index = || decode_index(&row.value).ok();
        if !matches!(
            place,
            TenantRow::Epoch | TenantRow::Job(_) | TenantRow::ValueId(_) | TenantRow::DefinitionValue(..)
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
            TenantRow::DefinitionValue(definition, scope) => needed.push(keys.value(scope, definition).key()),
            TenantRow::DefinitionName(_) => {
                let id = index().and_then(DefinitionId::from_bytes);
                needed.extend(id.map(|id| keys.definition(&id).key()));
            }
            TenantRow::Definition(id) => {
                let opened = self.tenant.open_definition(self.org_keys.as_ref(), *id, row);
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
        // A hostile index row may lead to a key that no store takes.
        needed.retain(|key| key.as_bytes().len() <= crate::store::KEY_BYTES_MAX);
    }

    /// Whether what stands at a key was opened already, as it stood a moment ago.
    fn is_opened(&self, key: &Key) -> bool {
        match self.tenant.id.parse_row(key.as_bytes()) {
            Some(TenantRow::Keyring(None)) => self.org_keys.is_some(),
            Some(TenantRow::Keyring(Some(account))) => self.account_keys.contains_key(&*account),
            Some(TenantRow::Definition(id)) => self.definitions.contains_key(&id),
            _ => false,
        }
    }

    async fn load_org_keys(&mut self) -> Result<(), Error> {
        if self.org_keys.is_none() && !self.closed.contains(&None) {
            let key = self.tenant.id.keyring(None).key();
            if let Some(row) = self.tenant.engine.get(key).await? {
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

    /// Keys that were opened, if they still are.
    pub(super) fn opened(&self, owner: Option<&LinkedAccountId>) -> Option<&Arc<ScopeKeys>> {
        match owner {
            Some(account) => self.account_keys.get(account),
            None => self.org_keys.as_ref(),
        }
    }

    /// Notes that the keys of a scope cannot be had. `false` when that was known.
    pub(super) fn close(&mut self, owner: Owner) -> bool {
        if self.closed.len() >= CLOSED_MAX {
            self.closed.clear();
        }
        self.closed.insert(owner)
    }

    /// Opens the row of a keyring, and keeps its keys.
    pub(super) fn open_keys(
        &mut self,
        owner: Option<&LinkedAccountId>,
        row: &Versioned,
    ) -> Result<Arc<ScopeKeys>, Error> {
        if let Some(keys) = self.opened(owner).filter(|keys| keys.row == row.revision) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(self.tenant.open_keyring(owner, row)?);
        match owner {
            Some(account) => {
                make_room(&mut self.account_keys);
                self.account_keys.insert(account.clone(), Arc::clone(&keys));
            }
            None => self.org_keys = Some(Arc::clone(&keys)),
        }
        Ok(keys)
    }

    /// The keys of a scope: those in sight, else those that were opened before.
    pub(super) fn keys(&mut self, owner: Option<&LinkedAccountId>, sight: &Sight) -> Keys {
        let key = self.tenant.id.keyring(owner).key();
        if let Some(row) = sight.row(&key) {
            return self.open_keys(owner, row).map_or(Keys::Unreadable, Keys::Open);
        }
        match self.opened(owner) {
            Some(keys) if !sight.holds(&key) => Keys::Open(Arc::clone(keys)),
            _ => Keys::Missing,
        }
    }

    /// A definition: that in sight, else the one that was opened before.
    pub(super) fn definition(&mut self, id: DefinitionId, org: &Arc<ScopeKeys>, sight: &Sight) -> Known {
        let key = self.tenant.id.definition(&id).key();
        let known = self.definitions.get(&id);
        let Some(row) = sight.row(&key) else {
            return match known {
                Some(known) if !sight.holds(&key) => Known::There(Arc::clone(known)),
                _ => Known::Absent,
            };
        };
        if let Some(known) = known.filter(|known| known.row == row.revision) {
            return Known::There(Arc::clone(known));
        }
        match self.tenant.open_definition(Some(org), id, row) {
            Ok(Some(definition)) => {
                let definition = Arc::new(definition);
                make_room(&mut self.definitions);
                self.definitions.insert(id, Arc::clone(&definition));
                Known::There(definition)
            }
            Ok(None) => Known::Absent,
            Err(_) => Known::Unreadable,
        }
    }
}

/// Keeps a map bounded: rows of one scope follow one another, so that what is dropped is seldom needed again.
fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= OPENED_MAX {
        map.clear();
    }
}

/// How many keyrings, and how many definitions, are kept opened: a tenant has at most 1,000 definitions.
const OPENED_MAX: usize = 1_024;
/// How many key scopes without keys are remembered.
const CLOSED_MAX: usize = 4_096;
/// How many unfinished jobs of a tenant are looked at.
const JOBS_MAX: usize = 256;
