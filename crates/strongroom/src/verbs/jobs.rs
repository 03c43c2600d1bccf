//! Verbs on jobs.

use std::sync::Arc;

use crate::error::{Error, Invalid};
use crate::id::DocumentId;
use crate::jobs::rotation::list::malformed;
use crate::jobs::rotation::{JobInfo, JobKind, JobOutcome, JobState, KeyJob, OnUnreadable};
use crate::jobs::{JOBS_PAGE, JobId, run_job};
use crate::model::{Cursor, ListId, Listing, PageRequest};
use crate::row::body::{RootBody, Sweep, TaskBody};
use crate::row::{TenantId, TenantRow, VaultKeys, VaultRow};
use crate::store::{Key, Versioned};
use crate::tenant::Tenant;
use crate::verbs::vault::Vault;

impl Vault {
    /// Finishes interrupted deletes of every org, and continues jobs on keys, except those that are paused, blocked or
    /// run by another engine. Values of a custom format are left to a process that has its check
    /// ([`VaultOptions::custom_format`](crate::VaultOptions::custom_format)). If the store has lost the job of a root
    /// rotation, that job begins again. Returns how many jobs it finished. A host may call it at any time, for example
    /// once after opening.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// assert_eq!(vault.run_jobs().await?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`] for the first row that cannot be read,
    /// [`Error::Contended`], or [`Error::RestoreUnfinished`]: the other jobs are finished first. [`Error::Store`].
    ///
    /// # Cancellation
    /// If dropped, the next call does the rest.
    pub async fn run_jobs(&self) -> Result<usize, Error> {
        let (mut finished, mut left) = (0, None);
        let mut rest = VaultKeys::jobs();
        loop {
            let page = self.engine.scan(rest.clone(), JOBS_PAGE).await?;
            for (key, _) in &page.rows {
                match self.run_job_at(key).await {
                    Ok(()) => finished += 1,
                    // The org is locked, or the check of a custom format is registered elsewhere: a later run, or that
                    // process, finishes the job. A locked vault fails earlier, at the scan.
                    Err(Error::Locked | Error::Invalid(Invalid::Definition { .. })) => {}
                    // Reported at the end: one broken job must not keep the others from being finished.
                    Err(error) if error.is_of_one_job() => left = left.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => break,
            }
        }
        finished += self.run_key_jobs(&mut left).await?;
        left.map_or(Ok(finished), Err)
    }

    async fn run_job_at(&self, key: &Key) -> Result<(), Error> {
        let (tenant, job) = self.tenant_job(key)?;
        // What the job is to sweep may still be on its way.
        self.engine.refuse_restoring(&tenant.id.org).await?;
        run_job(&tenant, &job).await
    }
}

impl Vault {
    /// The handle of the job on keys with this id. No I/O: the job need not exist.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::DataKeys;
    /// let id = *vault.rotate_data_keys(&DataKeys::all()).await?.id(); // kept by the host, say
    /// vault.key_job(id).run().await?;
    /// assert!(vault.key_job(id).info().await?.is_none());
    /// # Ok(()) });
    /// ```
    pub fn key_job(&self, id: DocumentId) -> KeyJob {
        KeyJob::new(&self.engine, id)
    }
}

impl Vault {
    /// The unfinished jobs: interrupted deletes, and jobs on keys with their progress.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobState, PageRequest};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// job.pause().await?;
    /// let jobs = vault.jobs(PageRequest::default()).await?.items;
    /// assert_eq!((jobs[0].id, jobs[0].state), (*job.id(), JobState::Paused));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor); [`Error::Damaged`], [`Error::UnknownVersion`] and
    /// [`Error::UnknownKey`] for a job that cannot be read;
    /// [`Error::Store`].
    pub async fn jobs(&self, page: PageRequest) -> Result<Listing<JobInfo>, Error> {
        let all = VaultKeys::all_jobs();
        let mut items = Vec::new();
        // A cursor leaves out the first byte of the key, which is the same for every job.
        let list = ListId { name: "jobs", start: &[0] };
        let mut last = page.place_in(list)?.map(|place| [&[0], place].concat());
        loop {
            let rest = match &last {
                Some(last) => all.clone().after(last),
                None => all.clone(),
            };
            let found = self.engine.scan(rest, page.limit - items.len() + 1).await?;
            for (key, row) in &found.rows {
                if items.len() == page.limit {
                    let next = last.as_deref().and_then(|last| last.get(1..));
                    return Ok(Listing { items, next: next.map(|place| Cursor::new(list, place)) });
                }
                let info = match self.job_info(key, row) {
                    Err(error) => match self.engine.if_rotated(error).await {
                        // The root may have been taken up, if rotations are followed.
                        Error::UnknownKey { .. } => self.job_info(key, row),
                        error => Err(error),
                    },
                    info => info,
                };
                items.push(info?);
                last = Some(key.as_bytes().to_vec());
            }
            if !found.more {
                return Ok(Listing { items, next: None });
            }
        }
    }

    /// Runs jobs on keys. Returns how many were finished.
    pub(crate) async fn run_key_jobs(&self, left: &mut Option<Error>) -> Result<usize, Error> {
        self.begin_lost_root_job().await?;
        let mut finished = 0;
        let mut rest = VaultKeys::key_jobs();
        loop {
            let page = self.engine.scan(rest.clone(), JOBS_PAGE).await?;
            for (key, _) in &page.rows {
                let Some(VaultRow::KeyJob(id)) = VaultRow::parse(key) else {
                    left.get_or_insert_with(malformed);
                    continue;
                };
                match self.key_job(id).run().await {
                    Ok(report) => finished += usize::from(report.outcome == JobOutcome::Finished),
                    Err(error) if error.is_of_one_job() => {
                        left.get_or_insert(error);
                    }
                    // As above: a later run finishes it.
                    Err(Error::Locked) => {}
                    Err(error) => return Err(error),
                }
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(finished),
            }
        }
    }

    /// Begins the job of a root rotation again if the store has lost or hidden it. Without the job, the former root
    /// would stay, and no other rotation could begin.
    async fn begin_lost_root_job(&self) -> Result<(), Error> {
        if self.engine.roots.get()?.retiring.is_none() {
            return Ok(());
        }
        // Before the jobs are read: the job is written together with the former root, and deleted with it.
        self.engine.refresh_roots().await?;
        let jobs = self.engine.scan(VaultKeys::key_jobs(), JOBS_PAGE).await?;
        let is_other = |(key, row): &(Key, Versioned)| match VaultRow::parse(key) {
            Some(VaultRow::KeyJob(id)) => {
                self.key_job(id).info_of(row).is_ok_and(|info| info.kind != JobKind::Root)
            }
            _ => false,
        };
        if self.engine.roots.get()?.retiring.is_some() && !jobs.more && jobs.rows.iter().all(is_other) {
            let task = TaskBody::Root(RootBody::first(OnUnreadable::default().body()));
            drop(KeyJob::begin(&self.engine, task).await?);
        }
        Ok(())
    }

    /// The tenant and id in the key of a tenant's job.
    fn tenant_job(&self, key: &Key) -> Result<(Tenant, JobId), Error> {
        let id = TenantId::of_key(key).ok_or_else(malformed)?;
        match id.parse_row(key.as_bytes()) {
            Some(TenantRow::Job(job)) => Ok((Tenant::of(Arc::clone(&self.engine), id), job)),
            _ => Err(malformed()),
        }
    }

    fn job_info(&self, key: &Key, row: &Versioned) -> Result<JobInfo, Error> {
        if let Some(VaultRow::KeyJob(id)) = VaultRow::parse(key) {
            return self.key_job(id).info_of(row);
        }
        let (tenant, id) = self.tenant_job(key)?;
        let sweep = tenant.open_job(&id, row)?;
        let (kind, account) = match sweep {
            Sweep::Narrow(..) => (JobKind::Narrow, None),
            Sweep::Recheck(_) => (JobKind::Recheck, None),
            Sweep::Definition(_) | Sweep::Org => (JobKind::Sweep, None),
            Sweep::Account(account) | Sweep::Integration(account, _) => (JobKind::Sweep, Some(account)),
        };
        let tenant = Some((tenant.id.org, tenant.id.environment));
        Ok(JobInfo { id, kind, state: JobState::Ready, tenant, account, progress: None })
    }
}
