//! `job`: unfinished work on keys and unfinished deletes.

mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use strongroom::{DocumentId, JobOutcome, JobProgress, JobReport, KeyJob, OnUnreadable, Vault};
use strongroom_http::control;

pub(crate) use self::view::JobView;
use self::view::outcome;
use crate::client::{Call, Client, NoBody};
use crate::failure::{Exit, Failure};
use crate::output::{Output, counted};
use crate::pages;
use crate::progress::Progress;

/// `job` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum JobCommand {
    /// List unfinished jobs
    List,
    /// Continue one job, or all that are neither paused nor blocked
    Run(Run),
    /// Pause a job on keys, so that nobody runs it
    Pause(Job),
    /// Resume a paused job
    Resume(Job),
    /// Retry the rows of a blocked job
    Retry(Retry),
    /// Abandon a rotation of data keys: the new keys stay in use, and so do the old ones until a later rotation
    Abandon(Job),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Run {
    /// The id of the job, as `strongroom job list` shows it
    #[arg(value_parser = job_id)]
    id: Option<DocumentId>,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Job {
    /// The id of the job, as `strongroom job list` shows it
    #[arg(value_parser = job_id)]
    id: DocumentId,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Retry {
    /// The id of the job, as `strongroom job list` shows it
    #[arg(value_parser = job_id)]
    id: DocumentId,
    /// Destroy the old keys even if rows cannot be opened: those rows are permanently lost
    #[arg(long)]
    destroy_keys: bool,
}

#[derive(Serialize)]
struct Changed {
    id: String,
    done: &'static str,
}

#[derive(Serialize)]
struct AllRun {
    finished: usize,
    left: usize,
}

impl JobCommand {
    /// What it does to the vault, for the audit; `None` if it only reads.
    pub(crate) fn deed(&self) -> Option<String> {
        Some(match self {
            Self::List => return None,
            Self::Run(Run { id: None }) => "job run".to_owned(),
            Self::Run(Run { id: Some(id) }) => format!("job run {id}"),
            Self::Pause(Job { id }) => format!("job pause {id}"),
            Self::Resume(Job { id }) => format!("job resume {id}"),
            Self::Retry(Retry { id, destroy_keys: false }) => format!("job retry {id}"),
            Self::Retry(Retry { id, destroy_keys: true }) => format!("job retry_destroying_keys {id}"),
            Self::Abandon(Job { id }) => format!("job abandon {id}"),
        })
    }

    pub(crate) async fn run(self, vault: &Vault, output: &Output) -> Result<(), Failure> {
        let (id, is_there, done) = match self {
            Self::List => return list(vault, output).await,
            Self::Run(Run { id: None }) => return run_all(vault, output).await,
            Self::Run(Run { id: Some(id) }) => return run_one(vault, id, output).await,
            Self::Pause(Job { id }) => (id, vault.key_job(id).pause().await?, "paused"),
            Self::Resume(Job { id }) => (id, vault.key_job(id).resume().await?, "resumed"),
            Self::Retry(Retry { id, destroy_keys }) => {
                let then = if destroy_keys { OnUnreadable::DestroyKeys } else { OnUnreadable::KeepKeys };
                (id, vault.key_job(id).retry(then).await?, "made ready to be run again")
            }
            Self::Abandon(Job { id }) => (id, vault.key_job(id).abandon().await?, "abandoned"),
        };
        if !is_there {
            return Err(no_such(id));
        }
        output.done(&format!("job {id} is {done}"), &Changed { id: id.to_string(), done })
    }
}

impl JobCommand {
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (id, action, done) = match self {
            Self::List => {
                let jobs: Vec<control::Job> = client.control_items(Call { path: &["jobs"], query: &[] })?;
                return show_jobs(&jobs, output);
            }
            Self::Run(Run { id: None }) => {
                let task = client.control_task(client.control_post(&["jobs", "run"], &NoBody {})?)?;
                return output.done(&task.message.clone().unwrap_or_default(), &task);
            }
            Self::Run(Run { id: Some(_) }) => {
                return Err(Failure::not_on_server("a server runs all jobs together"));
            }
            Self::Pause(Job { id }) => (id, "pause", "paused"),
            Self::Resume(Job { id }) => (id, "resume", "resumed"),
            Self::Retry(Retry { id, destroy_keys: false }) => (id, "retry", "made ready to be run again"),
            Self::Retry(Retry { id, .. }) => (id, "retry_destroying_keys", "made ready to be run again"),
            Self::Abandon(Job { id }) => (id, "abandon", "abandoned"),
        };
        let body = control::JobAction { action: action.to_owned() };
        let _: control::Changed = client.control_post(&["jobs", &id.to_string()], &body)?;
        output.done(&format!("job {id} is {done}"), &Changed { id: id.to_string(), done })
    }
}

fn show_jobs(jobs: &[control::Job], output: &Output) -> Result<(), Failure> {
    let rows = jobs.iter().map(|job| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let tenant = [text(&job.org_id), text(&job.environment)].join(" ").trim().to_owned();
        let done = job.progress.as_ref().map(|progress| match progress.rows_total {
            Some(total) => format!("{} of {total}", progress.rows),
            None => progress.rows.to_string(),
        });
        [
            job.id.clone(),
            job.kind.clone(),
            job.state.clone(),
            tenant,
            text(&job.linked_account_id),
            text(&done),
        ]
    });
    output.list(["ID", "KIND", "STATE", "ORG", "ACCOUNT", "ROWS"], rows, &jobs)
}

/// A job that this command ran, or saw run, until it stopped.
pub(crate) struct Ran {
    pub(crate) report: JobReport,
    /// Whether another process finished it, so that the progress is the last that was seen here.
    pub(crate) elsewhere: bool,
}

/// Runs a job until nothing is left to do, and shows its progress. While another process runs it, waits for that one.
pub(crate) async fn run_to_end(job: &KeyJob, output: &Output) -> Result<Ran, Failure> {
    let progress = Progress::without_end("rows processed");
    let mut seen_elsewhere = None;
    loop {
        let mut report = job.step().await.map_err(|error| {
            let failure = Failure::from(error);
            let next = failure.next.clone();
            failure.next(next.unwrap_or_else(|| "`strongroom job run` continues it".to_owned()))
        })?;
        match report.outcome {
            JobOutcome::Unfinished => seen_elsewhere = None,
            JobOutcome::Held { .. } => {
                if seen_elsewhere.is_none() {
                    output
                        .note(&format!("another process is running job {}: waiting until it ends", job.id()));
                }
                seen_elsewhere = Some(report.progress.clone());
                std::thread::sleep(LOOK_AGAIN_AFTER);
            }
            // The row of a finished job is gone, and its progress with it.
            JobOutcome::Finished if seen_elsewhere.is_some() => {
                report.progress = seen_elsewhere.unwrap_or_default();
                return Ok(Ran { report, elsewhere: true });
            }
            _ => return Ok(Ran { report, elsewhere: false }),
        }
        progress.reach(report.progress.done, report.progress.total);
    }
}

/// The exit of a command whose job stopped: anything but a finished job is a failure.
pub(crate) fn verdict(id: &DocumentId, report: &JobReport) -> Result<(), Failure> {
    let JobProgress { failed, keys_kept, .. } = &report.progress;
    Err(match report.outcome {
        JobOutcome::Finished => return Ok(()),
        JobOutcome::Blocked => Failure::new(
            Exit::Key,
            format!(
                "{} cannot be opened; {} kept for that",
                counted(*failed, "row"),
                counted(*keys_kept, "old key")
            ),
        )
        .next(format!(
            "restore or delete what `strongroom verify` shows, then `strongroom job retry {id}` and `job run {id}`"
        )),
        JobOutcome::Paused => Failure::new(Exit::Store, format!("job {id} is paused"))
            .next(format!("`strongroom job resume {id}`, then `strongroom job run {id}`")),
        _ => Failure::new(Exit::Store, format!("job {id} is not finished"))
            .next(format!("`strongroom job run {id}` continues it")),
    })
}

/// The rows that could not be opened, for people.
pub(crate) fn show_unreadable(progress: &JobProgress, output: &Output) -> Result<(), Failure> {
    if output.is_json() || progress.unreadable.is_empty() {
        return Ok(());
    }
    let rows = control::Progress::of(progress).unreadable.into_iter().map(|row| [row.row, row.message]);
    // Several passes may need the same row.
    let rows: BTreeSet<_> = rows.collect();
    output.list(["WHERE", "WHAT"], rows, &())
}

async fn list(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let jobs = pages::all(async |page| vault.jobs(page).await).await?;
    let jobs: Vec<_> = jobs.iter().map(control::Job::of).collect();
    show_jobs(&jobs, output)
}

async fn run_all(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let finished = vault.run_jobs().await?;
    let left = pages::all(async |page| vault.jobs(page).await).await?.len();
    if left > 0 {
        output.note(
            "one that is left is paused, blocked or held by another process, for up to 30 s after that has ended: \
             `strongroom job list` shows the jobs; run `strongroom job run` again then",
        );
    }
    output.done(&format!("{} finished, {left} left", counted(finished, "job")), &AllRun { finished, left })
}

async fn run_one(vault: &Vault, id: DocumentId, output: &Output) -> Result<(), Failure> {
    let job = vault.key_job(id);
    if job.info().await?.is_none() {
        return Err(no_such(id));
    }
    let Ran { report, elsewhere } = run_to_end(&job, output).await?;
    show_unreadable(&report.progress, output)?;
    let rows = counted(report.progress.done, "row");
    let sentence = match elsewhere {
        true => format!("another process finished job {id}"),
        false => format!("job {id} is {}: {rows}", outcome(report.outcome)),
    };
    output.done(&sentence, &JobView::of(&id, &report))?;
    verdict(&id, &report)
}

fn job_id(text: &str) -> Result<DocumentId, &'static str> {
    text.parse().map_err(|_| "a job is named by its id, which `strongroom job list` shows")
}

fn no_such(id: DocumentId) -> Failure {
    Failure::not_found(format!("there is no job on keys {id}")).next(
        "`strongroom job list` lists the jobs; a finished one is gone, and `job run` alone continues a delete",
    )
}

/// How long to wait before looking again at a job that another process runs.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
