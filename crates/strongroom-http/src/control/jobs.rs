//! Jobs, rotation of data keys, and checks, with their progress.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use strongroom::{
    DataKeys, DocumentId, Error, JobOutcome, KeyJob, OnUnreadable, PageRequest, Vault, VerifyReport,
};

use super::BASE;
use super::accounts::account_id;
use super::bodies::{Changed, Job, JobAction, NoFields, Page, Rotate};
use super::operator::{Operator, full};
use super::queries::PageQuery;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::remedy::next_of;
use crate::request::{Body, Query, Segment};
use crate::tasks::{Outcome, Reporter, Task, TaskFinding};

/// Lists unfinished jobs of the whole vault
#[utoipa::path(
    get, context_path = BASE, path = "/jobs", tag = "control: vault", params(PageQuery),
    responses((status = 200, body = Page<Job>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Job>>, Failure> {
    operator.may(Right::Operate)?;
    let found = operator.vault().jobs(query.request()?).await.map_err(full)?;
    Ok(Json(Page::of(found, |job| Job::of(&job))))
}

/// Runs all jobs that are neither paused nor blocked, as a task
#[utoipa::path(
    post, context_path = BASE, path = "/jobs/run", tag = "control: vault",
    responses((status = 200, body = Task), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn run(
    operator: Operator,
    Body(NoFields {}): Body<NoFields>,
) -> Result<Json<Task>, Failure> {
    let vault = operator.vault().clone();
    let run = async {
        start(&operator, "jobs", move |_| async move {
            let finished = vault.run_jobs().await?;
            let left = vault.jobs(PageRequest::first(PageRequest::LIMIT_MAX)).await?.items.len();
            Ok(Outcome::done(match left {
                0 => format!("{finished} jobs were finished"),
                left => format!(
                    "{finished} jobs were finished, and {left} are left: each is paused, blocked or being run, by this \
                     server itself or another process"
                ),
            }))
        })
    };
    operator.operate("job run", run).await
}

/// Pauses, resumes, retries or abandons a job on keys
#[utoipa::path(
    post, context_path = BASE, path = "/jobs/{id}", tag = "control: vault", request_body = JobAction,
    params(("id" = String, Path)),
    responses((status = 200, body = Changed), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn act(
    operator: Operator,
    Segment(id): Segment,
    Body(body): Body<JobAction>,
) -> Result<Json<Changed>, Failure> {
    operator.may(Right::Operate)?;
    let absent = || Failure::absent(Reason::JobNotFound, "Job not found");
    let job_id: DocumentId = id.parse().map_err(|_| absent())?;
    if !ACTIONS.contains(&body.action.as_str()) {
        let message = "action is pause, resume, retry, retry_destroying_keys or abandon";
        return Err(Failure::bad_request(message));
    }
    let job = operator.vault().key_job(job_id);
    let act = async {
        let done = match body.action.as_str() {
            "pause" => job.pause().await,
            "resume" => job.resume().await,
            "retry" => job.retry(OnUnreadable::KeepKeys).await,
            "retry_destroying_keys" => job.retry(OnUnreadable::DestroyKeys).await,
            _ => job.abandon().await,
        };
        if done.map_err(full)? { Ok(()) } else { Err(absent()) }
    };
    operator.operate(&format!("job {} {job_id}", body.action), act).await?;
    Ok(Json(Changed { id, done: body.action }))
}

/// Rotates data keys, as a task; everything stays readable
///
/// If a rotation is already running, it is returned, and no other one begins.
#[utoipa::path(
    post, context_path = BASE, path = "/rotate", tag = "control: vault", request_body = Rotate,
    responses((status = 200, body = Task), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn rotate(operator: Operator, Body(body): Body<Rotate>) -> Result<Json<Task>, Failure> {
    operator.may(Right::Operate)?;
    if body.all && body.linked_account_id.is_some() {
        return Err(Failure::bad_request("linked_account_id and all must not stand together"));
    }
    let (org, environment) = (*operator.org.id(), operator.org.environment().clone());
    let mut keys = match &body.linked_account_id {
        Some(account) => {
            let account = account_id(account)?;
            operator.refuse_unknown(&account).await?;
            DataKeys::of_account(org, environment, account)
        }
        None if body.all => DataKeys::all(),
        None => DataKeys::of_org(org, environment),
    };
    if let Some(secs) = body.older_than_secs {
        keys = keys.older_than(Duration::from_secs(secs));
    }
    if let Some(rows) = body.rows_at_least {
        keys = keys.rows_at_least(rows);
    }
    // Before the response, which then says why a rotation is refused.
    let begin = async {
        let (task, reporter) = match begin(&operator, "rotate")? {
            Begun::New(task, reporter) => (task, reporter),
            Begun::Running(task) => return Ok((task, None)),
        };
        match operator.vault().rotate_data_keys(&keys).await {
            Ok(job) => Ok((task, Some((job, reporter)))),
            Err(error) => {
                let failure = Failure::in_full(&error);
                reporter.end(Err(error));
                Err(failure)
            }
        }
    };
    let (task, begun) = operator.operate("rotate data", begin).await?;
    let Some((job, reporter)) = begun else {
        operator.note_operation("rotate data: one runs already").await?;
        return Ok(Json(task));
    };
    tokio::spawn(async move {
        let ended = rotate_to_end(&job, &reporter).await;
        if matches!(&ended, Ok((0, _))) {
            // Its beginning has already been noted.
            let _ = operator.note_operation("rotate data: no key was due").await;
        }
        reporter.end(ended.map(|(_, outcome)| outcome));
    });
    Ok(Json(task))
}

const ACTIONS: [&str; 5] = ["pause", "resume", "retry", "retry_destroying_keys", "abandon"];

/// Checks every row of the vault, as a task
#[utoipa::path(
    post, context_path = BASE, path = "/verify", tag = "control: vault",
    responses((status = 200, body = Task), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn verify(
    operator: Operator,
    Body(NoFields {}): Body<NoFields>,
) -> Result<Json<Task>, Failure> {
    operator.may(Right::Operate)?;
    let vault = operator.vault().clone();
    start(&operator, "verify", move |reporter| async move { verify_to_end(&vault, &reporter).await })
}

/// Lists the tasks of this service: those that are running, and the last ones that ended
#[utoipa::path(
    get, context_path = BASE, path = "/tasks", tag = "control: vault",
    responses((status = 200, body = Vec<Task>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn tasks(operator: Operator) -> Result<Json<Vec<Task>>, Failure> {
    operator.may(Right::Operate)?;
    Ok(Json(operator.service.inner.tasks.list()))
}

/// One task with its progress
#[utoipa::path(
    get, context_path = BASE, path = "/tasks/{id}", tag = "control: vault", params(("id" = String, Path)),
    responses((status = 200, body = Task), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn task(operator: Operator, Segment(id): Segment) -> Result<Json<Task>, Failure> {
    operator.may(Right::Operate)?;
    let found = operator.service.inner.tasks.find(&id);
    found.map(Json).ok_or_else(|| Failure::absent(Reason::JobNotFound, "Task not found"))
}

/// The result of beginning a task.
enum Begun {
    New(Task, Reporter),
    /// A task of this kind is already running.
    Running(Task),
}

fn begin(operator: &Operator, kind: &'static str) -> Result<Begun, Failure> {
    let tasks = &operator.service.inner.tasks;
    if let Some((task, reporter)) = tasks.begin(kind, operator.service.now()).map_err(full)? {
        return Ok(Begun::New(task, reporter));
    }
    let running = tasks.list().into_iter().rev().find(|task| task.kind == kind);
    running.map(Begun::Running).ok_or_else(Failure::overloaded)
}

/// Starts a task, unless one of its kind is running: then returns that one.
fn start<F>(
    operator: &Operator,
    kind: &'static str,
    work: impl FnOnce(Arc<Reporter>) -> F,
) -> Result<Json<Task>, Failure>
where
    F: Future<Output = Result<Outcome, Error>> + Send + 'static,
{
    let (task, reporter) = match begin(operator, kind)? {
        Begun::New(task, reporter) => (task, Arc::new(reporter)),
        Begun::Running(task) => return Ok(Json(task)),
    };
    let work = work(Arc::clone(&reporter));
    tokio::spawn(async move { reporter.end(work.await) });
    Ok(Json(task))
}

/// How many keys were made, and the outcome. While another process runs the job, waits for that one.
async fn rotate_to_end(job: &KeyJob, reporter: &Reporter) -> Result<(u64, Outcome), Error> {
    let mut is_elsewhere = false;
    let report = loop {
        let report = job.step().await?;
        match report.outcome {
            JobOutcome::Unfinished => {
                is_elsewhere = false;
                // An embedded store never yields.
                tokio::task::yield_now().await;
            }
            JobOutcome::Held { .. } => {
                is_elsewhere = true;
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            JobOutcome::Finished | JobOutcome::Blocked | JobOutcome::Paused | _ => break report,
        }
        reporter.at(report.progress.done, report.progress.total);
    };
    let (progress, id) = (&report.progress, job.id());
    let (made, destroyed) = (progress.keys_made, progress.keys_destroyed);
    let (kept, failed) = (progress.keys_kept, progress.failed);
    let stopped = |reason, message| Outcome { reason: Some(reason), ..Outcome::done(message) };
    let outcome = match report.outcome {
        // The row of a finished job is gone, and its progress with it; but some key was due.
        JobOutcome::Finished if is_elsewhere => {
            return Ok((1, Outcome::done(format!("another process took job {id} over and finished it"))));
        }
        JobOutcome::Finished => {
            Outcome::done(format!("{made} new data keys; {destroyed} old keys destroyed, {kept} kept"))
        }
        JobOutcome::Blocked => {
            let message = format!("{failed} rows cannot be opened; job {id} keeps {kept} old keys for that");
            stopped(Reason::Damaged, message)
        }
        JobOutcome::Unfinished | JobOutcome::Paused | JobOutcome::Held { .. } | _ => {
            stopped(Reason::Refused, format!("job {id} stopped; the list of jobs says why"))
        }
    };
    reporter.at(progress.done, progress.total);
    Ok((made, outcome))
}

async fn verify_to_end(vault: &Vault, reporter: &Reporter) -> Result<Outcome, Error> {
    let mut check = vault.verification();
    while check.step().await? {
        reporter.at(check.report().rows, None);
        tokio::task::yield_now().await;
    }
    let report = check.into_report();
    reporter.at(report.rows, Some(report.rows));
    Ok(Outcome { findings: findings(&report), ..Outcome::done(verdict(&report)) })
}

fn verdict(report: &VerifyReport) -> String {
    match report.is_clean() {
        true => format!("{} rows are whole", report.rows),
        false => match report.findings_total {
            1 => format!("1 finding in {} rows checked", report.rows),
            total => format!("{total} findings in {} rows checked", report.rows),
        },
    }
}

fn findings(report: &VerifyReport) -> Vec<TaskFinding> {
    let one = |finding: &strongroom::Finding| TaskFinding {
        row: finding.path.row.as_str().to_owned(),
        org_id: finding.path.org.map(|id| id.to_string()),
        environment: finding.path.environment.as_ref().map(ToString::to_string),
        linked_account_id: finding.path.linked_account.as_ref().map(ToString::to_string),
        workflow_id: finding.path.workflow.as_ref().map(ToString::to_string),
        variable_definition_id: finding.path.definition_id.map(|id| id.to_string()),
        name: finding.path.name.clone().or_else(|| finding.path.definition_name.clone()),
        connection: finding.path.connection.as_ref().map(ToString::to_string),
        key: finding.path.key_name.clone(),
        cause: finding.cause.as_str().to_owned(),
        message: finding.to_string(),
        // Where the step is taken, other settings may hold.
        next: next_of(finding, None),
    };
    report.findings.iter().take(FINDINGS_MAX).map(one).collect()
}

const FINDINGS_MAX: usize = 100;
/// How long to wait before looking again at a job that another process runs.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
