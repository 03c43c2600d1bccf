//! `verify`: checks that every row of a store is whole and agrees with the rows that it refers to.
//!
//! The store is scanned once in key order, a page at a time, in constant memory. Each row is opened at its own address
//! and compared with its related rows, which are read by key. A row that looks wrong may only have been read between
//! two writes of another engine, so it is read again with its related rows in one snapshot before it is reported.

mod audit_export;
mod chains;
mod check;
mod checkpoint;
mod names;
mod related;
mod report;
mod state;
mod sweep;
mod tenant_check;
mod vault_rows;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use self::checkpoint::{Comparison, Met};
use self::state::{CheckedRow, KeyMention, RowId, RowState};
use self::tenant_check::TenantCheck;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::engine::cache::Moment;
use crate::engine::restoring::note_of;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::model::Revision;
use crate::row::{TenantId, TenantRow, VaultRow};
use crate::store::{Key, KeyRange, Versioned};
use crate::tenant::Tenant;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

pub use crate::row::{RowName, RowPath};
pub use report::{Cause, Finding, Index, KeyState, KeyUse, Parent, VerifyReport};

impl Vault {
    /// Checks every row of the store. It writes nothing, and others may write meanwhile.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let report = vault.verify().await?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read. What is wrong with rows is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.verification().finish().await
    }

    /// [`verify`](Self::verify), step by step.
    #[must_use]
    pub fn verification(&self) -> Verification<'static> {
        let mut check = Verification::of(&self.engine, [KeyRange::all()]);
        check.vault_rows_due = true;
        check
    }
}

impl Org {
    /// Checks every row of the org in this environment. It writes nothing, and others may write meanwhile.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// let report = org.verify().await?;
    /// assert!(report.is_clean() && report.rows > 0);
    /// assert_eq!(report.keys[0].state.as_str(), "active");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read. What is wrong with rows is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.verification().finish().await
    }

    /// [`verify`](Self::verify), step by step.
    #[must_use]
    pub fn verification(&self) -> Verification<'static> {
        let keys = &self.tenant.id;
        let note = KeyRange::prefix(note_of(&keys.org).as_bytes());
        Verification::of(&self.tenant.engine, [keys.jobs(), note, keys.all()])
    }
}

/// A verification in progress: each step checks one page of rows, so that a host can show how far it is.
///
/// ```
/// # strongroom_conformance::with_vault(async |vault| {
/// let mut check = vault.verification();
/// while check.step().await? {
///     eprintln!("{} rows", check.report().rows);
/// }
/// assert!(check.report().is_clean());
/// # Ok(()) });
/// ```
pub struct Verification<'c> {
    engine: Arc<Engine>,
    /// What is left to be read of `all`.
    ranges: VecDeque<KeyRange>,
    all: Vec<KeyRange>,
    /// Whether the rows that every vault must have still have to be looked up.
    vault_rows_due: bool,
    tenant_check: Option<TenantCheck>,
    /// The index of each key in the report.
    keys: HashMap<(Key, DekId), usize>,
    report: VerifyReport,
    /// The checkpoint that the rows are compared with.
    comparison: Option<Comparison<'c>>,
    /// Former versions of the checkpoint that are gone, still to be checked.
    former_gone: Vec<Key>,
    /// The rows that opened, for a checkpoint that is being written.
    stamps: Option<Vec<(Key, Revision)>>,
}

impl Verification<'_> {
    fn of(engine: &Arc<Engine>, ranges: impl Into<VecDeque<KeyRange>>) -> Self {
        let ranges = ranges.into();
        Self {
            engine: Arc::clone(engine),
            all: ranges.iter().cloned().collect(),
            ranges,
            vault_rows_due: false,
            tenant_check: None,
            keys: HashMap::new(),
            report: VerifyReport::default(),
            comparison: None,
            former_gone: Vec::new(),
            stamps: None,
        }
    }

    /// Checks the next page of rows; `false` once there are none left. After an error, or if the future is dropped, the
    /// next step continues where this one began.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let mut verification = vault.verification();
    /// while verification.step().await? {}
    /// assert!(verification.report().is_clean());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read.
    pub async fn step(&mut self) -> Result<bool, Error> {
        if self.vault_rows_due {
            let faults = vault_rows::faults_of_head(&self.engine).await?;
            for checked in faults {
                self.record(None, checked)?;
            }
            self.vault_rows_due = false;
        }
        while let Some(gone) = self.former_gone.last().cloned() {
            // Before it is removed, so that it is checked again if this future is dropped.
            let is_missing = self.is_missing_former(&gone).await?;
            self.former_gone.pop();
            if is_missing {
                self.report.ask(path_of(&gone), Cause::Gone);
            }
        }
        let Some(range) = self.ranges.front().cloned() else {
            self.name_definitions().await?;
            return Ok(false);
        };
        let moment = self.engine.caches.moment();
        let page = self.engine.scan(range.clone(), PAGE_ROWS).await?;
        let mut rest = page.rows.as_slice();
        while let Some((first, row)) = rest.first() {
            let tenant = TenantId::of_key(first);
            let is_same = |(key, _): &&(Key, Versioned)| {
                tenant.as_ref().is_some_and(|tenant| tenant.owns(key.as_bytes()))
            };
            // A row of the whole store is a run of one: it has no related rows to read with others.
            let len = rest.iter().take_while(is_same).count().max(1);
            let (run, behind) = rest.split_at(len);
            rest = behind;
            let Some((last, _)) = run.last() else { break };
            match tenant {
                Some(tenant) => self.check_tenant(tenant, run, moment).await?,
                None => {
                    if let Some(checked) = vault_rows::check(&self.engine, first, row, moment).await? {
                        self.record(None, checked.read_as(first, row, self.engine.now()))?;
                    }
                }
            }
            if let Some(left) = self.ranges.front_mut() {
                *left = range.clone().after(last.as_bytes());
            }
        }
        if !page.more {
            self.ranges.pop_front();
        }
        if self.ranges.is_empty() {
            self.note_gone_before(None)?;
        }
        let is_done = self.ranges.is_empty() && self.former_gone.is_empty();
        if is_done {
            self.name_definitions().await?;
        }
        Ok(!is_done)
    }

    /// Whether a former version is gone without a reason. Every write of a document may drop some, but its document was
    /// not written since the checkpoint.
    async fn is_missing_former(&self, gone: &Key) -> Result<bool, Error> {
        let Some(comparison) = &self.comparison else { return Ok(false) };
        let Some(id) = TenantId::of_key(gone) else { return Ok(false) };
        let Some(TenantRow::Former(subject, _)) = id.parse_row(gone.as_bytes()) else { return Ok(false) };
        let tenant = Tenant::of(Arc::clone(&self.engine), id.clone());
        match tenant.current_version(&subject).await {
            Ok(current) => {
                let readable = current.filter(|current| current.unreadable.is_none());
                Ok(readable.is_some_and(|current| comparison.was_made_after(current.written_at)))
            }
            // The row itself is reported, or its org is locked.
            Err(Error::Locked | Error::RolledBack { .. }) => Ok(false),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The findings so far.
    #[must_use]
    pub fn report(&self) -> &VerifyReport {
        &self.report
    }

    /// The findings.
    #[must_use]
    pub fn into_report(self) -> VerifyReport {
        self.report
    }

    async fn finish(mut self) -> Result<VerifyReport, Error> {
        while self.step().await? {}
        Ok(self.report)
    }

    async fn check_tenant(
        &mut self,
        id: TenantId,
        rows: &[(Key, Versioned)],
        moment: Moment,
    ) -> Result<(), Error> {
        let known = self.tenant_check.take();
        let same = |tenant_check: &TenantCheck| tenant_check.tenant.id == id;
        let tenant_check = match known.filter(same) {
            Some(tenant_check) => tenant_check,
            None => {
                let is_part = self.engine.get(note_of(&id.org)).await?.is_some();
                let tenant = Arc::new(Tenant::of(Arc::clone(&self.engine), id));
                let mut check = TenantCheck::new(tenant, moment);
                check.is_part = is_part;
                check
            }
        };
        let tenant_check = self.tenant_check.insert(tenant_check);
        tenant_check.moment = moment;
        let tenant = Arc::clone(&tenant_check.tenant);
        if tenant_check.is_part || self.engine.refuse_locked_tenant(&tenant.id).is_err() {
            // A lock of the whole vault is an error; a lock or restore of one org only leaves its rows unchecked.
            self.engine.roots.get()?;
            self.report.rows += rows.len() as u64;
            self.report.unverifiable += rows.len() as u64;
            return rows.iter().try_for_each(|(key, _)| self.compare(key, None, None));
        }
        let checked = tenant_check.check_rows(rows).await?;
        checked.into_iter().try_for_each(|checked| self.record(Some(&tenant), checked))
    }

    fn record(&mut self, tenant: Option<&Arc<Tenant>>, checked: CheckedRow) -> Result<(), Error> {
        let id = tenant.map(|tenant| &tenant.id);
        self.set_beside_checkpoint(id, &checked)?;
        let CheckedRow { row_id, state, keys, is_row, swept, .. } = checked;
        self.report.rows += u64::from(is_row);
        self.report.jobs += u64::from(row_id.is_job());
        match state {
            RowState::Fine => {}
            RowState::Grandfathered => self.report.grandfathered += 1,
            RowState::Leftover => self.report.leftover += 1,
            RowState::NoDefinition(definition, cause) => {
                self.report.unverifiable += 1;
                self.find_once(id, TenantRow::Definition(definition), cause);
            }
            RowState::NoKeys(owner, cause) => {
                self.report.unverifiable += 1;
                self.find_once(id, TenantRow::Keyring(owner.map(Cow::Owned)), cause);
            }
            RowState::NoKeyring(owner) => {
                self.report.unverifiable += 1;
                let missing = Cause::Damaged(Damage::Missing);
                self.find_once(id, TenantRow::Keyring(owner.map(Cow::Owned)), missing);
            }
            RowState::Bad(causes) => {
                if let RowId::Tenant(row) = &row_id {
                    self.is_first_finding(row);
                }
                let path = || row_id.path(id);
                causes.into_iter().for_each(|cause| self.report.find(path(), cause, swept.clone()));
            }
        }
        let (Some(tenant), Some(tenant_check)) = (tenant, &mut self.tenant_check) else { return Ok(()) };
        tenant_check.counted |= row_id.is_count();
        // What the walk of the chains found comes before the first row of the audit.
        tenant_check.audited |= row_id.is_of_audit();
        keys.into_iter().for_each(|key| self.record_key(tenant, key));
        Ok(())
    }

    /// Compares a row with the checkpoint, or notes it for the one being written.
    fn set_beside_checkpoint(&mut self, id: Option<&TenantId>, checked: &CheckedRow) -> Result<(), Error> {
        if !checked.is_row || (self.comparison.is_none() && self.stamps.is_none()) {
            return Ok(());
        }
        let Some(key) = checked.row_id.key(id) else { return Ok(()) };
        if let (Some(stamps), Some(revision)) = (&mut self.stamps, checked.revision)
            && matches!(checked.state, RowState::Fine | RowState::Grandfathered)
        {
            stamps.push((key.clone(), revision));
        }
        // A row that a job is about to sweep counts as deleted.
        if checked.state == RowState::Leftover {
            return self.compare(&key, None, None);
        }
        self.compare(&key, checked.revision, checked.written_at)
    }

    /// Compares a row with the checkpoint.
    fn compare(
        &mut self,
        key: &Key,
        revision: Option<Revision>,
        written_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.note_gone_before(Some(key))?;
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        match comparison.meet(key, revision)? {
            Met::Fine => {}
            Met::Added => {
                self.report.added += u64::from(revision.is_some());
                if written_at.is_some_and(|written_at| comparison.was_made_after(written_at)) {
                    self.report.ask(path_of(key), Cause::PutBack);
                }
            }
            Met::WentBack(cause) => self.report.find(path_of(key), cause, None),
            Met::Replaced => self.report.ask(path_of(key), Cause::Replaced),
        }
        Ok(())
    }

    /// Notes the rows of the checkpoint that come before `key`, or all that are left: they are gone.
    fn note_gone_before(&mut self, key: Option<&Key>) -> Result<(), Error> {
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        while let Some(gone) = comparison.gone_before(key)? {
            // A verification of one org does not cover the others.
            if !self.all.iter().any(|range| range.contains(gone.as_bytes())) {
                continue;
            }
            match is_of_history(&gone) {
                true if self.former_gone.len() < FORMER_GONE_MAX => self.former_gone.push(gone),
                _ => self.report.ask(path_of(&gone), Cause::Gone),
            }
        }
        Ok(())
    }

    /// Reports a row that others need, unless it was: its own comes before theirs, but a damaged store may find a row
    /// by its key that no scan shows.
    fn find_once(&mut self, id: Option<&TenantId>, row: TenantRow<'static>, cause: Cause) {
        if self.is_first_finding(&row) {
            self.report.find(RowId::Tenant(row).path(id), cause, None);
        }
    }

    /// Notes that a keyring or definition is reported. `false` if it was already.
    fn is_first_finding(&mut self, row: &TenantRow<'_>) -> bool {
        let Some(tenant_check) = &mut self.tenant_check else { return true };
        match row {
            TenantRow::Keyring(owner) => tenant_check.mark_unavailable(owner.as_deref().cloned()),
            TenantRow::Definition(id) => tenant_check.mark_unreadable(*id),
            _ => true,
        }
    }

    fn record_key(&mut self, tenant: &Tenant, key: KeyMention) {
        let place = (tenant.id.keyring(key.owner.as_ref()).key(), key.id);
        let known = self.keys.get(&place).and_then(|index| self.report.keys.get_mut(*index));
        if let Some(known) = known {
            known.rows += key.rows;
            known.state = key.state;
        } else if self.keys.len() < KEYS_MAX {
            self.keys.insert(place, self.report.keys.len());
            self.report.keys.push(KeyUse {
                org: tenant.id.org,
                environment: tenant.id.environment.clone(),
                linked_account: key.owner,
                dek_id: key.id,
                state: key.state,
                rows: key.rows,
            });
        } else {
            // Counts keys, not rows: only the keyring that lists a key mentions it with no rows.
            self.report.keys_left_off += u64::from(key.rows == 0);
        }
    }
}

/// The row at a key.
fn path_of(key: &Key) -> RowPath {
    let tenant = TenantId::of_key(key);
    let row_id = match &tenant {
        Some(tenant) => tenant.parse_row(key.as_bytes()).map(RowId::Tenant),
        None => VaultRow::parse(key).map(RowId::Vault),
    };
    row_id.unwrap_or(RowId::Foreign).path(tenant.as_ref())
}

fn is_of_history(key: &Key) -> bool {
    let row = TenantId::of_key(key).and_then(|tenant| tenant.parse_row(key.as_bytes()));
    matches!(row, Some(TenantRow::Former(..) | TenantRow::Deleted(_)))
}

/// Shows how many rows were checked.
impl std::fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").field("rows", &self.report.rows).finish_non_exhaustive()
    }
}

/// How many rows a step checks.
const PAGE_ROWS: usize = 100;
/// How many former versions wait to be checked; beyond that number between two rows, they become questions at once.
const FORMER_GONE_MAX: usize = 4_096;
/// How many keys the report lists, so that it stays small whatever the store holds.
const KEYS_MAX: usize = 4_096;
