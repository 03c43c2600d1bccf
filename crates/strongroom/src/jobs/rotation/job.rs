//! The handle of a job on keys, and its row.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::{ATTEMPTS_MAX, Engine, Touches};
use crate::envelope::{SealingKey, StoreId};
use crate::error::Error;
use crate::id::DocumentId;
use crate::jobs::rotation::lease::LeaseHolder;
use crate::jobs::rotation::run::Run;
use crate::jobs::rotation::{JobProgress, OnUnreadable};
use crate::keys::{Document, Roots, open_under_root, seal};
use crate::model::Revision;
use crate::row::body::{DataPhase, JobCounts, KeyJobBody, RootBody, Status, TaskBody};
use crate::row::{Row, VaultRow};
use crate::store::{Expect, RowRevision, Versioned, WriteBatch};

/// A job on keys. Cheap to clone. Dropping it changes nothing, since the job is in the store.
#[derive(Debug, Clone)]
#[must_use = "a job does nothing until it is run, by itself or by `Vault::run_jobs`"]
pub struct KeyJob {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: DocumentId,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobReport {
    /// Whether anything is left to do.
    pub outcome: JobOutcome,
    /// The progress of the job, over all its runs.
    pub progress: JobProgress,
}

/// Whether anything of a job is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobOutcome {
    /// There is more to do: call [`KeyJob::step`] again.
    Unfinished,
    /// Nothing is left to do, and the job's row is deleted.
    Finished,
    /// Done, except that old keys were kept because some rows cannot be opened: see [`KeyJob::retry`].
    Blocked,
    /// It is paused: see [`KeyJob::resume`].
    Paused,
    /// Another runner holds it.
    Held {
        /// When it may be taken over, unless the other runner renews its lease.
        until: Timestamp,
    },
}

/// A job's row, opened.
pub(crate) struct LoadedJob {
    pub(crate) body: KeyJobBody,
    pub(crate) revision: Revision,
    pub(crate) row_revision: RowRevision,
}

impl KeyJob {
    pub(crate) fn new(engine: &Arc<Engine>, id: DocumentId) -> Self {
        Self { engine: Arc::clone(engine), id }
    }

    /// The id of the job.
    #[must_use]
    pub fn id(&self) -> &DocumentId {
        &self.id
    }

    /// Runs the job until nothing is left to do, or until it is paused, blocked or taken over.
    ///
    /// A runner holds the job by a lease of half a minute, which it renews with its batches. In a shared store, another
    /// runner takes the job over once the lease has expired. A crash loses at most one batch of work.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobOutcome};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// assert_eq!(job.run().await?.outcome, JobOutcome::Finished);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Indeterminate`] from the store; the job stays and can be run again.
    pub async fn run(&self) -> Result<JobReport, Error> {
        Run::all(self).await
    }

    /// Runs one bounded step of the job: at most one batch. For hosts that share their time between many tasks.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobOutcome};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// while job.step().await?.outcome == JobOutcome::Unfinished {}
    /// assert!(vault.jobs(Default::default()).await?.items.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn step(&self) -> Result<JobReport, Error> {
        Run::once(self).await
    }

    /// Pauses the job until [`resume`](Self::resume) is called. Returns whether there is such a job. A runner that
    /// holds it stops before its next batch.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobOutcome};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// assert!(job.pause().await?);
    /// assert_eq!(job.run().await?.outcome, JobOutcome::Paused);
    /// assert!(job.resume().await?);
    /// assert_eq!(job.run().await?.outcome, JobOutcome::Finished);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Contended`] if the runner was faster every time; [`Error::Store`].
    pub async fn pause(&self) -> Result<bool, Error> {
        self.change(|body| {
            if body.status == Status::Ready {
                body.status = Status::Paused;
            }
        })
        .await
    }

    /// Lets the job continue after [`pause`](Self::pause). Returns whether there is such a job.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobState};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// job.pause().await?;
    /// assert_eq!(job.info().await?.map(|info| info.state), Some(JobState::Paused));
    /// assert!(job.resume().await?);
    /// assert_ne!(job.info().await?.map(|info| info.state), Some(JobState::Paused));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `pause`.
    pub async fn resume(&self) -> Result<bool, Error> {
        self.change(|body| {
            if body.status == Status::Paused {
                body.status = Status::Ready;
            }
        })
        .await
    }

    /// Lets a blocked job check its rows once more, and then keep or destroy the old keys as `then` says. It makes no
    /// new keys. Returns whether there is such a job.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{DataKeys, JobOutcome, OnUnreadable};
    /// let job = vault.rotate_data_keys(&DataKeys::all()).await?;
    /// if matches!(job.run().await?.outcome, JobOutcome::Blocked) {
    ///     job.retry(OnUnreadable::KeepKeys).await?; // once the rows are restored or deleted
    /// }
    /// assert!(!job.retry(OnUnreadable::KeepKeys).await?); // it has finished: there is no such job
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `pause`.
    pub async fn retry(&self, then: OnUnreadable) -> Result<bool, Error> {
        self.change(|body| {
            match &mut body.task {
                TaskBody::DataKeys(task) => task.on_unreadable = then.body(),
                TaskBody::Root(task) => task.on_unreadable = then.body(),
            }
            if body.status == Status::Blocked {
                match &mut body.task {
                    TaskBody::DataKeys(task) => {
                        task.finish_only = true;
                        task.phase = DataPhase::Seek { after: None };
                    }
                    TaskBody::Root(task) => *task = RootBody::first(then.body()),
                }
                let JobCounts { worked_ms, updated_ms, keys_made, keys_destroyed, .. } = body.counts;
                body.counts =
                    JobCounts { worked_ms, updated_ms, keys_made, keys_destroyed, ..JobCounts::default() };
                body.status = Status::Ready;
            }
        })
        .await
    }

    /// Deletes the job, but not what it did: new keys stay active, and old keys that it did not destroy still open what
    /// they sealed until a later rotation destroys them. Returns whether there was such a job.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let job = vault.rotate_data_keys(&strongroom::DataKeys::all()).await?;
    /// assert!(job.abandon().await?);
    /// assert!(job.info().await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `pause`, and [`Error::RotationUnderway`] for the job of a root rotation, without which the old root key
    /// could never be destroyed.
    pub async fn abandon(&self) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(loaded) = self.load().await? else { return Ok(false) };
            // Both roots stay in the `store` row until this job has moved the last keyring.
            if matches!(loaded.body.task, TaskBody::Root(_)) {
                return Err(Error::RotationUnderway);
            }
            if self.delete(loaded.row_revision).await? {
                return Ok(true);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// Writes a new job.
    pub(crate) async fn begin(engine: &Arc<Engine>, task: TaskBody) -> Result<Self, Error> {
        let id = engine.next_id()?;
        let job = Self { engine: Arc::clone(engine), id };
        let body = KeyJobBody::new(task, engine.now());
        for _ in 0..ATTEMPTS_MAX {
            let (mut batch, roots) = (WriteBatch::default(), engine.roots.get()?);
            let key = VaultRow::KeyJob(id).key();
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, job.seal(&roots, &body, Revision::from_u64(1))?);
            roots.expect_in(&mut batch);
            if engine.commit(batch, Touches::Data).await?.is_some() {
                return Ok(job);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    /// The job as it is in the store; `None` once it is finished.
    pub(crate) async fn load(&self) -> Result<Option<LoadedJob>, Error> {
        self.read(|row| self.open(row)).await
    }

    /// Reads the job's row; `None` once the job is finished.
    pub(crate) async fn read<T>(
        &self,
        open: impl Fn(&Versioned) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let found = self.engine.read_under_root(&VaultRow::KeyJob(self.id).key(), open).await?;
        Ok(found.map(|(opened, _)| opened))
    }

    pub(crate) fn open(&self, found: &Versioned) -> Result<LoadedJob, Error> {
        let (roots, row) = (self.engine.roots.get()?, self.row());
        let opened = open_under_root(&roots, &self.engine.store_id, &row, &found.value)?;
        let body =
            KeyJobBody::decode(&opened.plaintext).map_err(|error| Error::content(row.name(), error))?;
        Ok(LoadedJob { body, revision: opened.revision, row_revision: found.revision })
    }

    /// The first row of a job on the root, sealed under the new one.
    pub(crate) fn seal_first(&self, root: &SealingKey, task: TaskBody) -> Result<Vec<u8>, Error> {
        let body = KeyJobBody::new(task, self.engine.now());
        seal_job(root, &self.engine.store_id, self.id, &body, Revision::from_u64(1))
    }

    /// The bytes of the job's row, for a batch that expects the `store` row as `roots` knows it.
    pub(crate) fn seal(
        &self,
        roots: &Roots,
        body: &KeyJobBody,
        revision: Revision,
    ) -> Result<Vec<u8>, Error> {
        seal_job(&roots.active.key, &self.engine.store_id, self.id, body, revision)
    }

    pub(crate) fn holder(&self) -> Result<Option<LeaseHolder>, Error> {
        LeaseHolder::take(&self.engine, self.id)
    }

    /// Deletes the job's row as it was read; `false` if it changed meanwhile.
    ///
    /// If the store's answer is lost, a missing row is proof enough: a job's id is never used again.
    pub(crate) async fn delete(&self, row: RowRevision) -> Result<bool, Error> {
        let mut batch = WriteBatch::default();
        let key = VaultRow::KeyJob(self.id).key();
        batch.expect(key.clone(), Expect::Revision(row));
        batch.delete(key.clone());
        match self.engine.commit(batch, Touches::Data).await {
            Err(Error::Indeterminate(_)) if self.engine.get(key).await?.is_none() => Ok(true),
            answer => Ok(answer?.is_some()),
        }
    }

    async fn change(&self, change: impl Fn(&mut KeyJobBody)) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut loaded) = self.load().await? else { return Ok(false) };
            change(&mut loaded.body);
            let (mut batch, roots) = (WriteBatch::default(), self.engine.roots.get()?);
            let key = VaultRow::KeyJob(self.id).key();
            batch.expect(key.clone(), Expect::Revision(loaded.row_revision));
            batch.put(key, self.seal(&roots, &loaded.body, loaded.revision.next())?);
            roots.expect_in(&mut batch);
            if self.engine.commit(batch, Touches::Data).await?.is_some() {
                return Ok(true);
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }

    fn row(&self) -> Row<'static> {
        Row::Vault(VaultRow::KeyJob(self.id))
    }
}

/// The bytes of the row of a job on keys.
pub(crate) fn seal_job(
    root: &SealingKey,
    store_id: &StoreId,
    id: DocumentId,
    body: &KeyJobBody,
    revision: Revision,
) -> Result<Vec<u8>, Error> {
    let document = Document { id: None, revision, body: &body.encode() };
    seal(root, store_id, &Row::Vault(VaultRow::KeyJob(id)), &document)
}
