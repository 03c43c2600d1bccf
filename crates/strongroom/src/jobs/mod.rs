//! Jobs: work that outlives the call that began it, done in bounded batches and continued after a crash. This file
//! holds the sweeps: what a delete leaves to be removed. [`rotation`] holds jobs on keys, [`shred`] and [`shred_org`]
//! what shredding adds.
//!
//! The first batch of a delete makes everything unreachable and writes the job. Each sweep batch expects the job's row,
//! so that no runner continues after another has finished; each row is deleted only as it was read. An account or
//! integration can be created again once it is swept, so a batch also expects that its row still names this job: a job
//! that a later delete overtook has nothing left to do.

pub(crate) mod definition;
pub(crate) mod narrow;
pub(crate) mod rotation;
pub(crate) mod shred;
pub(crate) mod shred_org;
mod until_landed;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::ATTEMPTS_MAX;
use crate::error::{Damage, Error};
use crate::id::{AppId, DocumentId, LinkedAccountId};
use crate::jobs::shred_org::sweep_org;
use crate::row::body::Sweep;
use crate::row::{Row, RowKind, SealedRow, Subject, TenantId, TenantRow};
use crate::scope::Scope;
use crate::store::{Key, KeyRange, RowRevision, Scan, Versioned};
use crate::tenant::{Draft, Needs, Tenant, View};

pub(crate) use until_landed::until_landed;

/// The id of a job of a tenant.
pub(crate) type JobId = DocumentId;

/// Runs a job to its end. If its row is gone, another runner finished it.
pub(crate) async fn run_job(tenant: &Tenant, job: &JobId) -> Result<(), Error> {
    match Sweeper::of(tenant, job).await? {
        Some((sweeper, sweep)) => sweeper.run(&sweep).await,
        None => Ok(()),
    }
}

/// Runs the job that the row at `marked` names, unless another runner finished it meanwhile.
pub(crate) async fn finish_job(
    tenant: &Tenant,
    job: &[u8; 12],
    marked: (Key, RowRevision),
) -> Result<(), Error> {
    let missing = || Error::damaged("a job row", Damage::Missing);
    let id = JobId::from_bytes(job).ok_or_else(missing)?;
    tenant.engine.refuse_planned(&tenant.id.job(&id).key())?;
    if is_lost_job(tenant, job, marked).await? {
        return Err(missing());
    }
    run_job(tenant, &id).await
}

/// Whether the job that the row at `marked` names is gone, while the row is unchanged: that can only be damage.
pub(crate) async fn is_lost_job(
    tenant: &Tenant,
    job: &[u8; 12],
    (key, revision): (Key, RowRevision),
) -> Result<bool, Error> {
    let Some(job) = JobId::from_bytes(job) else { return Ok(true) };
    // Both rows come from one snapshot.
    let [job_row, marked_row] = tenant.engine.read([tenant.id.job(&job).key(), key]).await?;
    Ok(job_row.is_none() && marked_row.is_some_and(|row| row.revision == revision))
}

/// One run of a job.
pub(crate) struct Sweeper<'t> {
    pub(crate) tenant: &'t Tenant,
    id: JobId,
    pub(crate) job: Key,
    /// The revision of the job's row. A rotation of the root rewrites the row without changing the job.
    job_row: AtomicU64,
}

/// What a sweep deletes: the rows of an account, or of one of its integrations. The row of the account or integration
/// names the job until the sweep ends.
#[derive(Clone, Copy)]
pub(crate) struct SweepTarget<'s> {
    account: &'s LinkedAccountId,
    app: Option<&'s AppId>,
}

impl SweepTarget<'_> {
    fn key(&self, tenant_id: &TenantId) -> Key {
        match self.app {
            None => tenant_id.account(self.account).key(),
            Some(app) => tenant_id.integration(self.account, app).key(),
        }
    }
}

/// What a sweep does with a row.
enum SweepAction {
    Keep,
    /// Deletes it, together with these index rows.
    Delete(Vec<Key>),
    /// Deletes a row that cannot be opened: its document id is unknown, so the index row of that id has to be searched
    /// for.
    DeleteDamaged(Vec<Key>),
}

impl<'t> Sweeper<'t> {
    /// A run of a job, and what the job is; `None` if its row is gone, or if it is left to `run_jobs`.
    async fn of(tenant: &'t Tenant, job: &JobId) -> Result<Option<(Self, Sweep)>, Error> {
        let key = tenant.id.job(job).key();
        // The plan should be small, and may never land.
        if tenant.engine.is_planned(&key) {
            return Ok(None);
        }
        let opened = tenant.engine.read_under_root(&key, |row| tenant.open_job(job, row)).await?;
        Ok(opened.map(|(sweep, revision)| {
            (Self { tenant, id: *job, job: key, job_row: AtomicU64::new(revision.0) }, sweep)
        }))
    }

    async fn run(&self, sweep: &Sweep) -> Result<(), Error> {
        match sweep {
            Sweep::Definition(id) => self.sweep_definition(id, false).await,
            Sweep::Recheck(id) => self.recheck(id).await,
            Sweep::Narrow(id, removed, at) => self.look_again(*id, *removed, *at).await,
            Sweep::Account(account) => self.sweep_account(account).await,
            Sweep::Org => sweep_org(self.tenant).await,
            Sweep::Integration(account, app) => self.sweep_integration(account, app).await,
        }
    }

    async fn sweep_account(&self, account: &LinkedAccountId) -> Result<(), Error> {
        let tenant_id = &self.tenant.id;
        let target = SweepTarget { account, app: None };
        let scope = Scope::LinkedAccount(account.clone());
        let values = tenant_id.values(&scope);
        let swept = self.sweep_range(target, values, |view, key, row| {
            let Some((_, definition)) = tenant_id.parse_value(key.as_bytes()) else {
                return Ok(SweepAction::Keep);
            };
            let mut index = vec![tenant_id.definition_value(&definition, &scope).key()];
            match self.tenant.find_in_row(view, &scope, &definition, row) {
                Ok(None) => {}
                // Nobody can read it, so it does not matter when it was set: it is deleted with its account.
                Err(Error::Damaged { .. }) => return Ok(SweepAction::DeleteDamaged(index)),
                // A value of the new account, set after the delete; or a row that only a newer release can read.
                Ok(Some(_)) | Err(Error::UnknownVersion { .. }) => return Ok(SweepAction::Keep),
                Err(error) => return Err(error),
            }
            index.extend(document_id(RowKind::ScopedValue, row).map(|id| tenant_id.value_id(&id).key()));
            Ok(SweepAction::Delete(index))
        });
        if !swept.await? {
            return Ok(());
        }
        let history = self.sweep_range(target, tenant_id.account_value_history(account), |view, key, row| {
            let Some(place) = tenant_id.parse(key) else { return Ok(SweepAction::Keep) };
            match Tenant::peek(view.keys(Some(account)), &place, &row.value) {
                // Of a value of the new account; or a row that only a newer release can read.
                Ok(Some(_)) | Err(Error::UnknownVersion { .. }) => Ok(SweepAction::Keep),
                Ok(None) | Err(Error::Damaged { .. }) => Ok(SweepAction::Delete(index_of(tenant_id, &place))),
                Err(error) => Err(error),
            }
        });
        if !history.await? {
            return Ok(());
        }
        let everything = |_: &View<'_>, _: &Key, _: &Versioned| Ok(SweepAction::Delete(Vec::new()));
        if self.sweep_range(target, tenant_id.account_credentials(account), everything).await?
            && self.sweep_range(target, tenant_id.account_credential_history(account), everything).await?
            && self.sweep_range(target, tenant_id.integrations(account), everything).await?
        {
            self.finish(Some(target)).await?;
        }
        Ok(())
    }

    async fn sweep_integration(&self, account: &LinkedAccountId, app: &AppId) -> Result<(), Error> {
        let target = SweepTarget { account, app: Some(app) };
        let credentials = self.tenant.id.credentials(account, app);
        let everything = |_: &View<'_>, _: &Key, _: &Versioned| Ok(SweepAction::Delete(Vec::new()));
        let history = self.tenant.id.credentials_history(account, app);
        if self.sweep_range(target, credentials, everything).await?
            && self.sweep_range(target, history, everything).await?
        {
            self.finish(Some(target)).await?;
        }
        Ok(())
    }

    /// Scans a range once and applies `action_for` to each row. `false` when there is nothing left to do: another
    /// runner finished the job, or a later delete took it over.
    async fn sweep_range(
        &self,
        target: SweepTarget<'_>,
        range: KeyRange,
        action_for: impl Fn(&View<'_>, &Key, &Versioned) -> Result<SweepAction, Error>,
    ) -> Result<bool, Error> {
        let owner = [target.account];
        let needs = Needs::org_keys().accounts(&owner);
        let place = target.key(&self.tenant.id);
        let mut rest = range;
        loop {
            let read = ([place.clone()], [Scan::new(rest.clone(), PAGE_ROWS)]);
            let (view, ([target_row], [page])) = self.tenant.read(&needs, read).await?;
            let marked = match target_row {
                Some(row) if self.is_deleting(&view, target, &row)? => row.revision,
                _ => return self.finish(None).await.map(|()| false),
            };
            let mut draft = self.draft(&view);
            draft.expect_as_read(place.clone(), Some(marked));
            let (mut deletes, mut nameless) = (false, Vec::new());
            for (key, row) in &page.rows {
                let index = match action_for(&view, key, row)? {
                    SweepAction::Keep => continue,
                    SweepAction::Delete(index) => index,
                    SweepAction::DeleteDamaged(index) => {
                        nameless.push(key.clone());
                        index
                    }
                };
                deletes = true;
                draft.delete_counted(key.clone(), row);
                index.into_iter().for_each(|key| draft.delete_once(key));
            }
            draft.delete_ids(&self.tenant.ids_leading_to(&nameless).await?);
            if deletes && !draft.commit().await?.is_landed() {
                if self.is_gone().await? {
                    return Ok(false);
                }
                // A row changed since it was read: read the page again.
                continue;
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(true),
            }
        }
    }

    /// Whether the target's row names this job.
    fn is_deleting(&self, view: &View<'_>, target: SweepTarget<'_>, row: &Versioned) -> Result<bool, Error> {
        let SweepTarget { account, app } = target;
        let deleting = match app {
            None => self.tenant.open_account(view, account, row)?.and_then(|known| known.body.deleting),
            Some(app) => {
                self.tenant.open_integration(view, account, app, row)?.and_then(|known| known.body.deleting)
            }
        };
        Ok(deleting.as_ref() == Some(self.id.as_bytes()))
    }

    /// Deletes the job's row, together with the row of the account or integration that was deleted.
    pub(crate) async fn finish(&self, target: Option<SweepTarget<'_>>) -> Result<(), Error> {
        let place = target.map(|target| (target, target.key(&self.tenant.id)));
        for _ in 0..ATTEMPTS_MAX {
            let gets: Vec<Key> = place.iter().map(|(_, key)| key.clone()).collect();
            let (view, mut rows) = self.tenant.read(&Needs::org_keys(), gets).await?;
            let mut draft = self.draft(&view);
            draft.delete(self.job.clone());
            if let Some((target, key)) = &place
                && let Some(row) = rows.pop().flatten()
                && self.is_deleting(&view, *target, &row)?
            {
                draft.delete_counted(key.clone(), &row);
            }
            if draft.commit().await?.is_landed() || self.is_gone().await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// A batch that lands only while the job is unfinished.
    pub(crate) fn draft<'d>(&'d self, view: &'d View<'d>) -> Draft<'d> {
        let mut draft = Draft::new(self.tenant, view);
        // One task runs the sweeper, so no other thread races this load. A stale revision would only make the batch
        // lose.
        let job_row = RowRevision(self.job_row.load(Ordering::Relaxed));
        draft.expect_as_read(self.job.clone(), Some(job_row));
        draft.makes_room();
        draft.set_waits(false);
        draft
    }

    /// Whether the job is over. Call it after a lost race: if the job is not over, the next batch expects its row as it
    /// is now.
    pub(crate) async fn is_gone(&self) -> Result<bool, Error> {
        let Some(row) = self.tenant.engine.get(self.job.clone()).await? else { return Ok(true) };
        self.job_row.store(row.revision.0, Ordering::Relaxed);
        Ok(false)
    }
}

/// The row in its definition's index that a deletion leaves.
fn index_of(tenant_id: &TenantId, place: &Row<'_>) -> Vec<Key> {
    match place {
        Row::Tenant(_, TenantRow::Deleted(Subject::Value(scope, definition))) => {
            vec![tenant_id.definition_value(definition, scope).key()]
        }
        _ => Vec::new(),
    }
}

/// The document id from the clear part of a row.
pub(crate) fn document_id(kind: RowKind, row: &Versioned) -> Option<DocumentId> {
    SealedRow::decode(kind, &row.value).ok().and_then(|row| row.doc_id)
}

/// How many rows a sweep reads at once: with their index rows, a batch stays within 100 operations.
pub(crate) const PAGE_ROWS: usize = 32;
pub(crate) const JOBS_PAGE: usize = 100;
