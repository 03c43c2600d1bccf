//! The info of one job on keys.

use crate::error::{Damage, Error};
use crate::id::{Environment, LinkedAccountId, OrgId};
use crate::jobs::rotation::{JobInfo, JobKind, JobProgress, JobState, KeyJob};
use crate::row::body::{DataKeysBody, Status, TaskBody};
use crate::store::Versioned;

impl KeyJob {
    /// The job as it is in the store; `None` once it is finished.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let job = vault.rotate_data_keys(&strongroom::DataKeys::all()).await?;
    /// assert!(job.info().await?.is_some());
    /// job.run().await?;
    /// assert!(job.info().await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::jobs`](crate::Vault::jobs).
    pub async fn info(&self) -> Result<Option<JobInfo>, Error> {
        self.read(|row| self.info_of(row)).await
    }

    /// Checks that the row is that of a job on keys.
    pub(crate) fn check(&self, row: &Versioned) -> Result<(), Error> {
        self.info_of(row).map(drop)
    }

    pub(crate) fn info_of(&self, row: &Versioned) -> Result<JobInfo, Error> {
        let body = self.open(row)?.body;
        let held = body.lease.and_then(|lease| lease.held_until(self.engine.now()));
        let state = match body.status {
            Status::Paused => JobState::Paused,
            Status::Blocked => JobState::Blocked,
            Status::Ready => held.map_or(JobState::Ready, |until| JobState::Running { until }),
        };
        let (kind, (tenant, account)) = match &body.task {
            TaskBody::DataKeys(task) => (JobKind::DataKeys, subject(task).ok_or_else(malformed)?),
            TaskBody::Root(_) => (JobKind::Root, (None, None)),
        };
        let progress = Some(JobProgress::of(&body.counts));
        Ok(JobInfo { id: self.id, kind, state, tenant, account, progress })
    }
}

pub(crate) type JobSubject = (Option<(OrgId, Environment)>, Option<LinkedAccountId>);

fn subject(task: &DataKeysBody) -> Option<JobSubject> {
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

pub(crate) fn malformed() -> Error {
    Error::damaged("a job row", Damage::Malformed)
}
