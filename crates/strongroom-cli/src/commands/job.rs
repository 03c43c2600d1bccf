//! `job`: work on keys and deletes that is not finished.

use serde_json::{Value, json};
use strongroom::{
    DocumentId, JobInfo, JobKind, JobOutcome, JobProgress, JobReport, JobState, KeyJob, OnUnreadable,
    Unreadable, UnreadableCause, Vault,
};

use crate::commands::list::all_pages;
use crate::failure::{Exit, Failure};
use crate::output::{Output, time};
use crate::progress::Progress;

/// Jobs as they are typed.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum JobCommand {
    /// List what is not finished
    List,
    /// Go on with one job, or with all that are neither paused nor blocked
    Run { id: Option<DocumentId> },
    /// Let nobody go on with a job on keys
    Pause { id: DocumentId },
    /// Let a paused job go on
    Resume { id: DocumentId },
    /// Let a blocked job look at its rows once more
    Retry {
        id: DocumentId,
        /// Destroy the old keys even if rows cannot be opened: those are lost for good
        #[arg(long)]
        destroy_keys: bool,
    },
    /// Forget a rotation of data keys: new keys stay in use, old ones too until a later rotation
    Abandon { id: DocumentId },
}

pub(crate) async fn run(vault: &Vault, command: JobCommand, output: &Output) -> Result<(), Failure> {
    let (id, is_there, did) = match command {
        JobCommand::List => return list(vault, output).await,
        JobCommand::Run { id: None } => return run_all(vault, output).await,
        JobCommand::Run { id: Some(id) } => return run_one(vault, id, output).await,
        JobCommand::Pause { id } => (id, vault.key_job(id).pause().await?, "paused"),
        JobCommand::Resume { id } => (id, vault.key_job(id).resume().await?, "resumed"),
        JobCommand::Retry { id, destroy_keys } => {
            let then = if destroy_keys { OnUnreadable::DestroyKeys } else { OnUnreadable::KeepKeys };
            (id, vault.key_job(id).retry(then).await?, "made ready to be run again")
        }
        JobCommand::Abandon { id } => (id, vault.key_job(id).abandon().await?, "abandoned"),
    };
    if !is_there {
        return Err(no_such(id));
    }
    output.done(&format!("job {id} is {did}"), &json!({ "id": id.to_string(), "done": did }))
}

/// Runs a job until nothing is left to do, and shows how far it is.
pub(crate) async fn to_its_end(job: &KeyJob) -> Result<JobReport, Failure> {
    let progress = Progress::without_end("rows gone through");
    loop {
        let report = job.step().await.map_err(|error| {
            let failure = Failure::from(error);
            let next = failure.next.clone();
            failure.next(next.unwrap_or_else(|| "`strongroom job run` goes on with it".to_owned()))
        })?;
        progress.reach(report.progress.done, report.progress.total);
        if report.outcome != JobOutcome::Unfinished {
            return Ok(report);
        }
    }
}

/// What became of a job, once it was shown: anything but an end is a failure.
pub(crate) fn verdict(id: &DocumentId, report: &JobReport) -> Result<(), Failure> {
    let JobProgress { failed, keys_kept, .. } = &report.progress;
    Err(match report.outcome {
        JobOutcome::Finished => return Ok(()),
        JobOutcome::Blocked => Failure::new(
            Exit::Key,
            format!("{failed} rows cannot be opened, and {keys_kept} old keys were kept for them"),
        )
        .next(format!(
            "restore or delete what `strongroom verify` shows, then `strongroom job retry {id}` and `job run {id}`"
        )),
        JobOutcome::Paused => Failure::new(Exit::Store, format!("job {id} is paused"))
            .next(format!("`strongroom job resume {id}`, then `strongroom job run {id}`")),
        JobOutcome::Held { until } => {
            Failure::new(Exit::Store, format!("another process runs job {id}, until {} at least", time(until)))
                .next("wait for it")
        }
        _ => Failure::new(Exit::Store, format!("job {id} is not finished"))
            .next(format!("`strongroom job run {id}` goes on with it")),
    })
}

/// The rows that could not be opened, for people.
pub(crate) fn show_unreadable(progress: &JobProgress, output: &Output) -> Result<(), Failure> {
    if output.is_json() || progress.unreadable.is_empty() {
        return Ok(());
    }
    let rows = progress.unreadable.iter().map(|row| [row.row.clone(), cause(&row.cause)]);
    output.list(["WHERE", "WHAT"], rows, &())
}

/// A report with the job's id.
pub(crate) fn report_json(id: &DocumentId, report: &JobReport) -> Value {
    json!({
        "id": id.to_string(),
        "outcome": outcome(report.outcome),
        "progress": progress_json(&report.progress),
    })
}

async fn list(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let jobs = all_pages(async |page| vault.jobs(page).await).await?;
    let rows = jobs.iter().map(|job| {
        let tenant = job.tenant.as_ref().map(|(org, environment)| format!("{org} {environment}"));
        let account = job.account.as_ref().map(ToString::to_string).unwrap_or_default();
        let done = job.progress.as_ref().map(|progress| match progress.total {
            Some(total) => format!("{} of {total}", progress.done),
            None => progress.done.to_string(),
        });
        let (kind, state) = (kind(job.kind).to_owned(), state(job.state).to_owned());
        [job.id.to_string(), kind, state, tenant.unwrap_or_default(), account, done.unwrap_or_default()]
    });
    let json: Vec<_> = jobs.iter().map(info_json).collect();
    output.list(["ID", "KIND", "STATE", "ORG", "ACCOUNT", "ROWS"], rows, &json)
}

async fn run_all(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let finished = vault.run_jobs().await?;
    let left = all_pages(async |page| vault.jobs(page).await).await?.len();
    let json = json!({ "finished": finished, "left": left });
    output.done(&format!("{finished} jobs finished, {left} left"), &json)
}

async fn run_one(vault: &Vault, id: DocumentId, output: &Output) -> Result<(), Failure> {
    let job = vault.key_job(id);
    if job.info().await?.is_none() {
        return Err(no_such(id));
    }
    let report = to_its_end(&job).await?;
    show_unreadable(&report.progress, output)?;
    let sentence = format!("job {id} is {}: {} rows", outcome(report.outcome), report.progress.done);
    output.done(&sentence, &report_json(&id, &report))?;
    verdict(&id, &report)
}

fn no_such(id: DocumentId) -> Failure {
    Failure::not_found(format!("there is no job on keys {id}"))
        .next("`strongroom job list` shows which there are; a finished one is gone")
}

fn info_json(job: &JobInfo) -> Value {
    json!({
        "id": job.id.to_string(),
        "kind": kind(job.kind),
        "state": state(job.state),
        "org_id": job.tenant.as_ref().map(|(org, _)| org.to_string()),
        "environment": job.tenant.as_ref().map(|(_, environment)| environment.to_string()),
        "linked_account_id": job.account.as_ref().map(ToString::to_string),
        "progress": job.progress.as_ref().map(progress_json),
    })
}

fn progress_json(progress: &JobProgress) -> Value {
    json!({
        "rows": progress.done,
        "rows_total": progress.total,
        "failed": progress.failed,
        "keys_made": progress.keys_made,
        "keys_destroyed": progress.keys_destroyed,
        "keys_kept": progress.keys_kept,
        "worked_ms": progress.worked_ms,
        "unreadable": progress.unreadable.iter().map(unreadable_json).collect::<Vec<_>>(),
    })
}

fn unreadable_json(row: &Unreadable) -> Value {
    json!({ "row": row.row, "message": cause(&row.cause) })
}

fn cause(cause: &UnreadableCause) -> String {
    match cause {
        UnreadableCause::Damaged(damage) => damage.to_string(),
        UnreadableCause::UnknownKey(id) => format!("it was sealed under data key {id}, which is not there"),
        UnreadableCause::UnknownVersion(version) => format!("it is of version {version}, of a newer release"),
        _ => "it cannot be opened".to_owned(),
    }
}

fn kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Sweep => "sweep",
        JobKind::Recheck => "recheck",
        JobKind::Narrow => "narrow",
        JobKind::DataKeys => "data_keys",
        JobKind::Root => "root",
        _ => "other",
    }
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Ready => "ready",
        JobState::Running { .. } => "running",
        JobState::Paused => "paused",
        JobState::Blocked => "blocked",
        _ => "other",
    }
}

fn outcome(outcome: JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Finished => "finished",
        JobOutcome::Blocked => "blocked",
        JobOutcome::Paused => "paused",
        JobOutcome::Held { .. } => "held",
        _ => "unfinished",
    }
}
