//! One run of a job on keys: the row as it stands, and how each piece of work moves it on.

use super::job::LoadedJob;
use crate::clock::Timestamp;
use crate::engine::{ATTEMPTS_MAX, Touches};
use crate::error::Error;
use crate::jobs::rotation::lease::LeaseHolder;
use crate::jobs::rotation::{JobOutcome, JobProgress, JobReport, KeyJob};
use crate::keys::Roots;
use crate::model::Revision;
use crate::row::VaultRow;
use crate::row::body::{FindingBody, KeyJobBody, Status, Tally, TaskBody};
use crate::store::{Committed, Expect, RowRevision, WriteBatch};
use crate::tenant::Draft;

/// A runner at work. What it knows of the job is what it last read or wrote, and every batch expects that.
pub(crate) struct Run<'j> {
    pub(crate) job: &'j KeyJob,
    holder: LeaseHolder,
    pub(crate) body: KeyJobBody,
    revision: Revision,
    row: RowRevision,
    /// When the time that was not noted yet began.
    since: Timestamp,
    /// Pieces of work since the job's row was written.
    unsaved: usize,
    /// How many of them may pass before the row is written.
    unsaved_max: usize,
}

/// What comes after a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    More,
    /// Somebody else wrote what the batch expected: read again.
    Reload,
    Finished,
}

impl<'j> Run<'j> {
    /// Runs until nothing is left to do.
    pub(crate) async fn all(job: &'j KeyJob) -> Result<JobReport, Error> {
        let Some(holder) = job.holder()? else { return report_held(job).await };
        let mut run = match Self::load(job, holder, UNSAVED_MAX).await? {
            Ok(run) => run,
            Err(report) => return Ok(report),
        };
        let mut races = 0;
        loop {
            match run.advance().await? {
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

    /// Runs one piece.
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

    /// Reads the job; the report where there is nothing to run.
    async fn load(
        job: &'j KeyJob,
        holder: LeaseHolder,
        unsaved_max: usize,
    ) -> Result<Result<Self, JobReport>, Error> {
        let Some(LoadedJob { body, revision, row }) = job.load().await? else {
            let progress = JobProgress::default();
            return Ok(Err(JobReport { outcome: JobOutcome::Finished, progress }));
        };
        let outcome = match (body.status, holder.held_until(body.lease.as_ref())) {
            (Status::Paused, _) => Some(JobOutcome::Paused),
            (Status::Blocked, _) => Some(JobOutcome::Blocked),
            (Status::Ready, held) => held.map(|until| JobOutcome::Held { until }),
        };
        Ok(match outcome {
            Some(outcome) => Err(JobReport { outcome, progress: JobProgress::of(&body.tally) }),
            None => {
                let since = job.engine.now();
                Ok(Self { job, holder, body, revision, row, since, unsaved: 0, unsaved_max })
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
        JobReport { outcome, progress: JobProgress::of(&self.body.tally) }
    }

    /// The job moves on, and nothing else is written. Unless the row must be, that is put off.
    pub(crate) async fn save(&mut self, body: KeyJobBody) -> Result<Advance, Error> {
        if self.unsaved < self.unsaved_max && self.holder.is_fresh(self.body.lease.as_ref()) {
            self.unsaved += 1;
            self.body = body;
            return Ok(Advance::More);
        }
        self.save_now(body).await
    }

    /// The job moves on, and nothing else is written.
    pub(crate) async fn save_now(&mut self, body: KeyJobBody) -> Result<Advance, Error> {
        let roots = self.job.engine.roots.get()?;
        self.save_in(WriteBatch::default(), &roots, body).await
    }

    /// The job moves on in a batch that expects the `store` row.
    pub(crate) async fn save_in(
        &mut self,
        mut batch: WriteBatch,
        roots: &Roots,
        body: KeyJobBody,
    ) -> Result<Advance, Error> {
        let body = self.stamped(body);
        let key = VaultRow::KeyJob(self.job.id).key();
        batch.expect(key.clone(), Expect::Revision(self.row));
        batch.put(key, self.job.seal(roots, &body, self.revision.next())?);
        roots.expect_in(&mut batch);
        let landed = self.job.engine.commit(batch, Touches::Data).await?;
        Ok(self.saved(body, landed))
    }

    /// The job is over in a batch that does its last work.
    pub(crate) async fn finish_in(&mut self, mut batch: WriteBatch, tally: Tally) -> Result<Advance, Error> {
        let key = VaultRow::KeyJob(self.job.id).key();
        batch.expect(key.clone(), Expect::Revision(self.row));
        batch.delete(key);
        if self.job.engine.commit(batch, Touches::Data).await?.is_none() {
            return Ok(Advance::Reload);
        }
        self.body.tally = tally;
        Ok(Advance::Finished)
    }

    /// The job moves on in the batch of what it did.
    pub(crate) async fn save_with(
        &mut self,
        mut draft: Draft<'_>,
        body: KeyJobBody,
    ) -> Result<Advance, Error> {
        let body = self.stamped(body);
        let key = VaultRow::KeyJob(self.job.id).key();
        draft.expect_as_read(key.clone(), Some(self.row));
        let roots = draft.roots()?;
        draft.put(key, self.job.seal(&roots, &body, self.revision.next())?);
        let landed = draft.commit().await?;
        Ok(self.saved(body, landed.landed()))
    }

    /// The job is over: its row goes.
    pub(crate) async fn finish(&mut self, tally: Tally) -> Result<Advance, Error> {
        if !self.job.delete(self.row).await? {
            return Ok(Advance::Reload);
        }
        self.body.tally = tally;
        Ok(Advance::Finished)
    }

    /// With the lease renewed, and the time that was worked since the row was last written.
    fn stamped(&self, mut body: KeyJobBody) -> KeyJobBody {
        let now_ms = self.job.engine.now().as_ms();
        let worked_ms = now_ms.saturating_sub(self.since.as_ms());
        body.tally.worked_ms = body.tally.worked_ms.saturating_add(worked_ms);
        body.tally.updated_ms = now_ms;
        let ended = body.status == Status::Blocked;
        body.lease = (!ended).then(|| self.holder.lease());
        body
    }

    fn saved(&mut self, body: KeyJobBody, landed: Option<Committed>) -> Advance {
        let Some(committed) = landed else { return Advance::Reload };
        self.row = committed.revision;
        self.revision = self.revision.next();
        self.since = Timestamp::from_ms(body.tally.updated_ms);
        self.body = body;
        self.unsaved = 0;
        Advance::More
    }
}

/// What a second caller on the same engine learns.
async fn report_held(job: &KeyJob) -> Result<JobReport, Error> {
    let until = job.engine.now();
    Ok(match job.load().await? {
        None => JobReport { outcome: JobOutcome::Finished, progress: JobProgress::default() },
        Some(loaded) => {
            JobReport { outcome: JobOutcome::Held { until }, progress: JobProgress::of(&loaded.body.tally) }
        }
    })
}

/// Notes rows that cannot be opened: all are counted, the first are kept.
pub(crate) fn add_findings(findings: &mut Vec<FindingBody>, new: impl IntoIterator<Item = FindingBody>) {
    let room = FINDINGS_MAX.saturating_sub(findings.len());
    findings.extend(new.into_iter().take(room));
}

/// Pages without anything to write between two writes of the job's row: a crash walks them again.
const UNSAVED_MAX: usize = 32;
/// A row can make a batch lose once, since whoever writes it seals it under the new key.
const RACES_MAX: u32 = 16 * ATTEMPTS_MAX;
/// With the longest address each, they fit a row twice over.
const FINDINGS_MAX: usize = 16;
