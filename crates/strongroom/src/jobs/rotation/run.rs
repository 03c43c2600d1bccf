//! One run of a job on keys: the job's row as it is, and how each step of work changes it.

use super::job::LoadedJob;
use crate::clock::Timestamp;
use crate::engine::Touches;
use crate::error::Error;
use crate::jobs::rotation::lease::LeaseHolder;
use crate::jobs::rotation::{JobOutcome, JobProgress, JobReport, KeyJob};
use crate::keys::Roots;
use crate::model::Revision;
use crate::row::VaultRow;
use crate::row::body::{FindingBody, JobCounts, KeyJobBody, Status, TaskBody};
use crate::store::{Committed, Expect, RowRevision, WriteBatch};
use crate::tenant::Draft;

/// One run of a job. It knows the job as it last read or wrote it, and every batch expects that state.
pub(crate) struct Run<'j> {
    pub(crate) job: &'j KeyJob,
    holder: LeaseHolder,
    pub(crate) body: KeyJobBody,
    revision: Revision,
    row_revision: RowRevision,
    /// The time from which work has not been added to the counts.
    since: Timestamp,
    /// Steps since the job's row was last written.
    unsaved: usize,
    /// How many steps may pass before the row has to be written.
    unsaved_max: usize,
}

/// What to do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    More,
    /// Another writer changed what the batch expected: read the job again.
    Reload,
    Finished,
}

impl<'j> Run<'j> {
    /// Runs until nothing is left to do, or the job is paused, blocked or taken over.
    pub(crate) async fn all(job: &'j KeyJob) -> Result<JobReport, Error> {
        let Some(holder) = job.holder()? else { return report_held(job).await };
        let mut run = match Self::load(job, holder, UNSAVED_MAX).await? {
            Ok(run) => run,
            Err(report) => return Ok(report),
        };
        let mut races = 0;
        loop {
            match run.advance().await? {
                // Only consecutive races count: a long job beside busy writers loses many in all.
                Advance::More => races = 0,
                Advance::Finished => return Ok(run.report(JobOutcome::Finished)),
                Advance::Reload if races == RACES_MAX => return Err(Error::Contended(RACES_MAX)),
                Advance::Reload => {
                    races += 1;
                    run = match Self::load(job, run.holder, UNSAVED_MAX).await? {
                        Ok(run) => run,
                        Err(report) => return Ok(report),
                    };
                }
            }
            if run.body.status == Status::Blocked {
                return Ok(run.report(JobOutcome::Blocked));
            }
        }
    }

    /// Runs one step.
    pub(crate) async fn once(job: &'j KeyJob) -> Result<JobReport, Error> {
        let Some(holder) = job.holder()? else { return report_held(job).await };
        let mut run = match Self::load(job, holder, 0).await? {
            Ok(run) => run,
            Err(report) => return Ok(report),
        };
        let outcome = match run.advance().await? {
            Advance::Finished => JobOutcome::Finished,
            _ if run.body.status == Status::Blocked => JobOutcome::Blocked,
            _ => JobOutcome::Unfinished,
        };
        Ok(run.report(outcome))
    }

    /// Reads the job; returns a report instead if there is nothing to run.
    async fn load(
        job: &'j KeyJob,
        holder: LeaseHolder,
        unsaved_max: usize,
    ) -> Result<Result<Self, JobReport>, Error> {
        let Some(LoadedJob { body, revision, row_revision: row }) = job.load().await? else {
            let progress = JobProgress::default();
            return Ok(Err(JobReport { outcome: JobOutcome::Finished, progress }));
        };
        let outcome = match (body.status, holder.held_until(body.lease.as_ref())) {
            (Status::Paused, _) => Some(JobOutcome::Paused),
            (Status::Blocked, _) => Some(JobOutcome::Blocked),
            (Status::Ready, held) => held.map(|until| JobOutcome::Held { until }),
        };
        Ok(match outcome {
            Some(outcome) => Err(JobReport { outcome, progress: JobProgress::of(&body.counts) }),
            None => {
                let since = job.engine.now();
                Ok(Self { job, holder, body, revision, row_revision: row, since, unsaved: 0, unsaved_max })
            }
        })
    }

    async fn advance(&mut self) -> Result<Advance, Error> {
        match self.body.task.clone() {
            TaskBody::DataKeys(task) => self.advance_data(task).await,
            TaskBody::Root(task) => self.advance_root(task).await,
        }
    }

    fn report(&self, outcome: JobOutcome) -> JobReport {
        JobReport { outcome, progress: JobProgress::of(&self.body.counts) }
    }

    /// Advances the job; nothing else is written. While the lease is fresh, the write of the job's row is put off,
    /// since a crash then only repeats these steps.
    pub(crate) async fn save(&mut self, body: KeyJobBody) -> Result<Advance, Error> {
        // A lease that is about to end is renewed by a write, whatever was done.
        if self.unsaved < self.unsaved_max && self.holder.is_fresh(self.body.lease.as_ref()) {
            self.unsaved += 1;
            self.body = body;
            return Ok(Advance::More);
        }
        self.save_now(body).await
    }

    /// Advances the job and writes its row at once.
    pub(crate) async fn save_now(&mut self, body: KeyJobBody) -> Result<Advance, Error> {
        let roots = self.job.engine.roots.get()?;
        self.save_in(WriteBatch::default(), &roots, body).await
    }

    /// Advances the job in a batch that also expects the `store` row.
    pub(crate) async fn save_in(
        &mut self,
        mut batch: WriteBatch,
        roots: &Roots,
        body: KeyJobBody,
    ) -> Result<Advance, Error> {
        let body = self.stamped(body);
        let key = VaultRow::KeyJob(self.job.id).key();
        batch.expect(key.clone(), Expect::Revision(self.row_revision));
        batch.put(key, self.job.seal(roots, &body, self.revision.next())?);
        // The body is sealed under the active root: after a rotation of it, this row would not open.
        roots.expect_in(&mut batch);
        let landed = self.job.engine.commit(batch, Touches::Data).await?;
        Ok(self.saved(body, landed))
    }

    /// Ends the job in the batch that does its last work.
    pub(crate) async fn finish_in(
        &mut self,
        mut batch: WriteBatch,
        counts: JobCounts,
    ) -> Result<Advance, Error> {
        let key = VaultRow::KeyJob(self.job.id).key();
        batch.expect(key.clone(), Expect::Revision(self.row_revision));
        batch.delete(key);
        if self.job.engine.commit(batch, Touches::Data).await?.is_none() {
            return Ok(Advance::Reload);
        }
        self.body.counts = counts;
        Ok(Advance::Finished)
    }

    /// Advances the job in the batch of the work that was done.
    pub(crate) async fn save_with(
        &mut self,
        mut draft: Draft<'_>,
        body: KeyJobBody,
    ) -> Result<Advance, Error> {
        let body = self.stamped(body);
        let key = VaultRow::KeyJob(self.job.id).key();
        draft.expect_as_read(key.clone(), Some(self.row_revision));
        let roots = draft.roots()?;
        draft.put(key, self.job.seal(&roots, &body, self.revision.next())?);
        let landed = draft.commit().await?;
        Ok(self.saved(body, landed.landed()))
    }

    /// Ends the job: deletes its row.
    pub(crate) async fn finish(&mut self, counts: JobCounts) -> Result<Advance, Error> {
        if !self.job.delete(self.row_revision).await? {
            return Ok(Advance::Reload);
        }
        self.body.counts = counts;
        Ok(Advance::Finished)
    }

    /// The body with the lease renewed, and with the time worked since the row was last written.
    fn stamped(&self, mut body: KeyJobBody) -> KeyJobBody {
        let now_ms = self.job.engine.now().as_ms();
        let worked_ms = now_ms.saturating_sub(self.since.as_ms());
        body.counts.worked_ms = body.counts.worked_ms.saturating_add(worked_ms);
        body.counts.updated_ms = now_ms;
        // A blocked job waits for a person, and nobody should wait for its lease as well.
        let ended = body.status == Status::Blocked;
        body.lease = (!ended).then(|| self.holder.lease());
        body
    }

    fn saved(&mut self, body: KeyJobBody, landed: Option<Committed>) -> Advance {
        let Some(committed) = landed else { return Advance::Reload };
        self.row_revision = committed.revision;
        self.revision = self.revision.next();
        self.since = Timestamp::from_ms(body.counts.updated_ms);
        self.body = body;
        self.unsaved = 0;
        Advance::More
    }
}

/// The report for a second caller on the same engine.
async fn report_held(job: &KeyJob) -> Result<JobReport, Error> {
    let until = job.engine.now();
    Ok(match job.load().await? {
        None => JobReport { outcome: JobOutcome::Finished, progress: JobProgress::default() },
        Some(loaded) => {
            JobReport { outcome: JobOutcome::Held { until }, progress: JobProgress::of(&loaded.body.counts) }
        }
    })
}

/// Adds rows that cannot be opened: all are counted, only the first are kept.
pub(crate) fn add_findings(findings: &mut Vec<FindingBody>, new: impl IntoIterator<Item = FindingBody>) {
    let room = FINDINGS_MAX.saturating_sub(findings.len());
    findings.extend(new.into_iter().take(room));
}

/// How many steps without anything to write may pass between two writes of the job's row: a crash repeats them.
const UNSAVED_MAX: usize = 32;
/// More than for one write: each row of a step that others write can make a batch lose, but only once, since their
/// write seals it under the new key.
const RACES_MAX: u32 = 1_100;
/// Even with the longest addresses, the findings fill only half a row.
const FINDINGS_MAX: usize = 16;
