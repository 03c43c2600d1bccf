//! `verify`: whether every row of a store is whole and stands with the rows that belong to it.
//!
//! One walk in key order, a page at a time, in flat memory. Each row is opened at its own address and judged by its
//! counterparts, which are read by their keys. Nothing is held against a row that another writer may have been in
//! the middle of: what looks wrong is read again with its counterparts in one snapshot before it is reported.

mod desk;
mod judge;
mod report;
mod sight;
mod store_rows;
mod verdict;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use verdict::Subject;

use self::desk::{Desk, Owner};
use self::verdict::{Judged, KeyRef, Verdict};
use crate::engine::Engine;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::row::{TenantId, TenantRow};
use crate::store::{Key, KeyRange, Versioned};
use crate::tenant::Tenant;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

pub use crate::row::{RowName, RowPath};
pub use report::{Cause, Finding, Index, KeyState, KeyUse, Parent, VerifyReport};

impl Vault {
    /// Checks every row of the store. Nothing is written, and writers may go on.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let report = vault.verify().await?;
    /// assert!(report.is_clean(), "{report}");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read. What is wrong with rows stands in the report.
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.verification().finish().await
    }

    /// [`verify`](Self::verify), step by step.
    #[must_use]
    pub fn verification(&self) -> Verification {
        let mut check = Verification::of(&self.engine, [KeyRange::all()]);
        check.heads_due = true;
        check
    }
}

impl Org {
    /// Checks every row of the org in its environment. Nothing is written, and writers may go on.
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
    /// [`Error::Store`] when the store cannot be read. What is wrong with rows stands in the report.
    pub async fn verify(&self) -> Result<VerifyReport, Error> {
        self.verification().finish().await
    }

    /// [`verify`](Self::verify), step by step.
    #[must_use]
    pub fn verification(&self) -> Verification {
        let keys = &self.tenant.id;
        Verification::of(&self.tenant.engine, [keys.jobs(), keys.all()])
    }
}

/// A verification under way: a page of rows a step, so that its progress can be shown.
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
pub struct Verification {
    engine: Arc<Engine>,
    ranges: VecDeque<KeyRange>,
    /// Whether the rows without which there is no vault are still to be looked for.
    heads_due: bool,
    desk: Option<Desk>,
    /// Where in the report each key stands.
    keys: HashMap<(Key, DekId), usize>,
    report: VerifyReport,
}

impl Verification {
    fn of(engine: &Arc<Engine>, ranges: impl Into<VecDeque<KeyRange>>) -> Self {
        Self {
            engine: Arc::clone(engine),
            ranges: ranges.into(),
            heads_due: false,
            desk: None,
            keys: HashMap::new(),
            report: VerifyReport::default(),
        }
    }

    /// Looks at the next page of rows; `false` once there are none left. After an error, or when its future was
    /// dropped, the next step goes on where this one was.
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
        if self.heads_due {
            let missing = store_rows::missing(&self.engine).await?;
            missing.into_iter().for_each(|judged| self.absorb(None, judged));
            self.heads_due = false;
        }
        let Some(range) = self.ranges.front().cloned() else { return Ok(false) };
        let page = self.engine.scan(range.clone(), PAGE_ROWS).await?;
        let mut rest = page.rows.as_slice();
        while let Some((first, row)) = rest.first() {
            let tenant = TenantId::of_key(first);
            let is_same = |(key, _): &&(Key, Versioned)| {
                tenant.as_ref().is_some_and(|tenant| tenant.owns(key.as_bytes()))
            };
            // A row of the whole store is judged by itself.
            let len = rest.iter().take_while(is_same).count().max(1);
            let (run, behind) = rest.split_at(len);
            rest = behind;
            let Some((last, _)) = run.last() else { break };
            match tenant {
                Some(tenant) => self.judge_tenant(tenant, run).await?,
                None => {
                    let judged = store_rows::judge(&self.engine, first, row).await?;
                    self.absorb(None, judged);
                }
            }
            if let Some(left) = self.ranges.front_mut() {
                *left = range.clone().after(last.as_bytes());
            }
        }
        if !page.more || page.rows.is_empty() {
            self.ranges.pop_front();
        }
        Ok(!self.ranges.is_empty())
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> &VerifyReport {
        &self.report
    }

    /// What was found.
    #[must_use]
    pub fn into_report(self) -> VerifyReport {
        self.report
    }

    async fn finish(mut self) -> Result<VerifyReport, Error> {
        while self.step().await? {}
        Ok(self.report)
    }

    async fn judge_tenant(&mut self, id: TenantId, rows: &[(Key, Versioned)]) -> Result<(), Error> {
        let known = self.desk.take();
        let same = |desk: &Desk| desk.tenant.id == id;
        let desk = match known.filter(same) {
            Some(desk) => desk,
            None => Desk::new(Arc::new(Tenant::of(Arc::clone(&self.engine), id))),
        };
        let desk = self.desk.insert(desk);
        let tenant = Arc::clone(&desk.tenant);
        if self.engine.may_open(&tenant.id).is_err() {
            self.engine.roots.get()?;
            self.report.rows += rows.len() as u64;
            self.report.unverifiable += rows.len() as u64;
            return Ok(());
        }
        let judged = desk.judge_rows(rows).await?;
        judged.into_iter().for_each(|judged| self.absorb(Some(&tenant), judged));
        Ok(())
    }

    fn absorb(&mut self, tenant: Option<&Arc<Tenant>>, judged: Judged) {
        let Judged { subject, verdict, keys, is_row } = judged;
        let id = tenant.map(|tenant| &tenant.id);
        self.report.rows += u64::from(is_row);
        self.report.jobs += u64::from(subject.is_job());
        match verdict {
            Verdict::Fine => {}
            Verdict::Grandfathered => self.report.grandfathered += 1,
            Verdict::Leftover => self.report.leftover += 1,
            Verdict::NoDefinition => self.report.unverifiable += 1,
            Verdict::NoKeys(owner) => {
                self.report.unverifiable += 1;
                self.close(owner);
            }
            Verdict::NoKeyring(owner) => {
                self.report.unverifiable += 1;
                let keyring = Subject::Tenant(TenantRow::Keyring(owner.clone().map(Cow::Owned)));
                if self.close(owner) {
                    self.report.find(keyring.path(id), Cause::Damaged(Damage::Missing));
                }
            }
            Verdict::Bad(causes) => {
                causes.into_iter().for_each(|cause| self.report.find(subject.path(id), cause));
            }
        }
        let (Some(tenant), Some(desk)) = (tenant, &mut self.desk) else { return };
        desk.counted |= subject.is_count();
        keys.into_iter().for_each(|key| self.refer(tenant, key));
    }

    /// Notes that the keys of a scope cannot be had. `false` when that was known.
    fn close(&mut self, owner: Owner) -> bool {
        self.desk.as_mut().is_none_or(|desk| desk.close(owner))
    }

    fn refer(&mut self, tenant: &Tenant, key: KeyRef) {
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
            // A keyring lists each of its keys once.
            self.report.keys_left_off += u64::from(key.rows == 0);
        }
    }
}

/// Says how far it is.
impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").field("rows", &self.report.rows).finish_non_exhaustive()
    }
}

/// How many rows a step looks at.
const PAGE_ROWS: usize = 100;
/// How many keys are listed.
const KEYS_MAX: usize = 4_096;
