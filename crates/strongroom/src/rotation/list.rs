//! The list of all jobs, and the run of all that may go on.

use super::job::{JobOutcome, KeyJob};
use super::progress::{JobInfo, JobKind, JobProgress, JobState};
use crate::clock::Timestamp;
use crate::error::{Damage, Error};
use crate::id::{Environment, LinkedAccountId, OrgId};
use crate::keyspace::{StoreKeys, parse_job, parse_key_job};
use crate::model::{Cursor, Listing, PageRequest};
use crate::record::{DataKeysSheet, Status, Sweep, TaskSheet};
use crate::store::{Key, Versioned};
use crate::vault::Vault;

impl Vault {
    /// The jobs that are not finished: what deletes left to be swept, and jobs on keys with their progress.
    ///
    /// ```
    /// # futures_executor::block_on(async { let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?;
    /// use strongroom::{DataKeys, JobState, PageRequest};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// job.pause().await?;
    /// let jobs = vault.jobs(PageRequest::default()).await?.items;
    /// assert_eq!((jobs[0].id, jobs[0].state), (*job.id(), JobState::Paused));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::UnknownKey`] for a job that cannot be read;
    /// [`Error::Store`].
    pub async fn jobs(&self, page: PageRequest) -> Result<Listing<JobInfo>, Error> {
        let all = StoreKeys::all_jobs();
        let mut items = Vec::new();
        let mut last = page.after.map(|cursor| [&[0], cursor.0.as_slice()].concat());
        loop {
            let rest = match &last {
                Some(last) => all.clone().after(last),
                None => all.clone(),
            };
            let found = self.engine.scan(rest, page.limit - items.len() + 1).await?;
            for (key, row) in &found.rows {
                if items.len() == page.limit {
                    let next = last.as_deref().and_then(|last| last.get(1..));
                    return Ok(Listing { items, next: next.map(|rest| Cursor(rest.to_vec())) });
                }
                items.push(self.job_info(key, row)?);
                last = Some(key.as_bytes().to_vec());
            }
            if !found.more || found.rows.is_empty() {
                return Ok(Listing { items, next: None });
            }
        }
    }

    /// Runs jobs on keys; answers how many were finished.
    pub(crate) async fn run_key_jobs(&self, left: &mut Option<Error>) -> Result<usize, Error> {
        let mut finished = 0;
        let mut rest = StoreKeys::key_jobs();
        loop {
            let page = self.engine.scan(rest.clone(), JOBS_PAGE).await?;
            for (key, _) in &page.rows {
                let Some(id) = parse_key_job(key) else {
                    left.get_or_insert_with(malformed);
                    continue;
                };
                match self.key_job(id).run().await {
                    Ok(report) => finished += usize::from(report.outcome == JobOutcome::Finished),
                    Err(error) if error.is_of_one_job() => {
                        left.get_or_insert(error);
                    }
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

    fn job_info(&self, key: &Key, row: &Versioned) -> Result<JobInfo, Error> {
        if let Some(id) = parse_key_job(key) {
            return self.key_job(id).info_of(row);
        }
        let (org, environment, id) = parse_job(key).ok_or_else(malformed)?;
        let sweep = self.org(org, environment.clone()).tenant.open_job(&id, row)?;
        let (kind, account) = match sweep {
            Sweep::Narrow(..) => (JobKind::Narrow, None),
            Sweep::Recheck(_) => (JobKind::Recheck, None),
            Sweep::Definition(_) | Sweep::Org => (JobKind::Sweep, None),
            Sweep::Account(account) | Sweep::Integration(account, _) => (JobKind::Sweep, Some(account)),
        };
        let tenant = Some((org, environment));
        Ok(JobInfo { id, kind, state: JobState::Ready, tenant, account, progress: None })
    }
}

impl KeyJob {
    /// The job as it stands; `None` when it is finished.
    ///
    /// ```
    /// # futures_executor::block_on(async { let vault = strongroom::Vault::create(strongroom_memory::MemoryStore::new(), strongroom::Unlock::raw_key(strongroom::RawKey::generate()?)).await?;
    /// let job = vault.rotate_data_keys(&strongroom::DataKeys::all()).await?;
    /// assert!(job.info().await?.is_some());
    /// job.run().await?;
    /// assert!(job.info().await?.is_none());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::jobs`].
    pub async fn info(&self) -> Result<Option<JobInfo>, Error> {
        match self.engine.get(StoreKeys::key_job(&self.id)).await? {
            Some(row) => self.info_of(&row).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the row is one of such a job.
    pub(crate) fn check(&self, row: &Versioned) -> Result<(), Error> {
        self.info_of(row).map(drop)
    }

    fn info_of(&self, row: &Versioned) -> Result<JobInfo, Error> {
        let sheet = self.open(row)?.sheet;
        let held = sheet.lease.map(|lease| Timestamp::from_ms(lease.until_ms));
        let held = held.filter(|until| *until > self.engine.now());
        let state = match sheet.status {
            Status::Paused => JobState::Paused,
            Status::Blocked => JobState::Blocked,
            Status::Ready => held.map_or(JobState::Ready, |until| JobState::Running { until }),
        };
        let (kind, (tenant, account)) = match &sheet.task {
            TaskSheet::DataKeys(task) => (JobKind::DataKeys, subject(task).ok_or_else(malformed)?),
            TaskSheet::Root(_) => (JobKind::Root, (None, None)),
        };
        let progress = Some(JobProgress::of(&sheet.tally));
        Ok(JobInfo { id: self.id, kind, state, tenant, account, progress })
    }
}

type Subject = (Option<(OrgId, Environment)>, Option<LinkedAccountId>);

fn subject(task: &DataKeysSheet) -> Option<Subject> {
    let tenant = match (&task.org, &task.environment) {
        (Some(org), Some(environment)) => Some((org.parse().ok()?, environment.parse().ok()?)),
        _ => None,
    };
    let account = match &task.account {
        Some(account) => Some(account.parse().ok()?),
        None => None,
    };
    Some((tenant, account))
}

fn malformed() -> Error {
    Error::damaged("a job row", Damage::Malformed)
}

const JOBS_PAGE: usize = 100;
