//! Jobs in JSON and in tables.

use serde::Serialize;
use strongroom::{
    DocumentId, JobInfo, JobKind, JobOutcome, JobProgress, JobReport, JobState, Unreadable, UnreadableCause,
};

/// A job that stopped.
#[derive(Serialize)]
pub(crate) struct JobView<'a> {
    id: String,
    outcome: &'static str,
    progress: ProgressView<'a>,
}

/// A job in a list.
#[derive(Serialize)]
pub(super) struct JobInfoView<'a> {
    id: String,
    kind: &'static str,
    state: &'static str,
    org_id: Option<String>,
    environment: Option<String>,
    linked_account_id: Option<String>,
    progress: Option<ProgressView<'a>>,
}

#[derive(Serialize)]
struct ProgressView<'a> {
    rows: u64,
    rows_total: Option<u64>,
    failed: u64,
    keys_made: u64,
    keys_destroyed: u64,
    keys_kept: u64,
    worked_ms: u64,
    unreadable: Vec<UnreadableView<'a>>,
}

#[derive(Serialize)]
struct UnreadableView<'a> {
    row: &'a str,
    message: String,
}

impl<'a> JobView<'a> {
    pub(crate) fn of(id: &DocumentId, report: &'a JobReport) -> Self {
        let (outcome, progress) = (outcome(report.outcome), ProgressView::of(&report.progress));
        Self { id: id.to_string(), outcome, progress }
    }
}

impl<'a> JobInfoView<'a> {
    pub(super) fn of(job: &'a JobInfo) -> Self {
        Self {
            id: job.id.to_string(),
            kind: kind(job.kind),
            state: state(job.state),
            org_id: job.tenant.as_ref().map(|(org, _)| org.to_string()),
            environment: job.tenant.as_ref().map(|(_, environment)| environment.to_string()),
            linked_account_id: job.account.as_ref().map(ToString::to_string),
            progress: job.progress.as_ref().map(ProgressView::of),
        }
    }

    pub(super) fn cells(&self) -> [String; 6] {
        let tenant = self.org_id.as_ref().zip(self.environment.as_ref());
        let done = self.progress.as_ref().map(|progress| match progress.rows_total {
            Some(total) => format!("{} of {total}", progress.rows),
            None => progress.rows.to_string(),
        });
        [
            self.id.clone(),
            self.kind.to_owned(),
            self.state.to_owned(),
            tenant.map(|(org, environment)| format!("{org} {environment}")).unwrap_or_default(),
            self.linked_account_id.clone().unwrap_or_default(),
            done.unwrap_or_default(),
        ]
    }
}

impl<'a> ProgressView<'a> {
    fn of(progress: &'a JobProgress) -> Self {
        Self {
            rows: progress.done,
            rows_total: progress.total,
            failed: progress.failed,
            keys_made: progress.keys_made,
            keys_destroyed: progress.keys_destroyed,
            keys_kept: progress.keys_kept,
            worked_ms: progress.worked_ms,
            unreadable: progress.unreadable.iter().map(UnreadableView::of).collect(),
        }
    }
}

impl<'a> UnreadableView<'a> {
    fn of(row: &'a Unreadable) -> Self {
        Self { row: &row.row, message: cause(&row.cause) }
    }
}

pub(super) fn cause(cause: &UnreadableCause) -> String {
    match cause {
        UnreadableCause::Damaged(damage) => damage.to_string(),
        UnreadableCause::UnknownKey(id) => format!("it was sealed under data key {id}, which is missing"),
        UnreadableCause::UnknownVersion(version) => format!("it has version {version}, from a newer release"),
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

pub(super) fn outcome(outcome: JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Finished => "finished",
        JobOutcome::Blocked => "blocked",
        JobOutcome::Paused => "paused",
        JobOutcome::Held { .. } => "held",
        _ => "unfinished",
    }
}
