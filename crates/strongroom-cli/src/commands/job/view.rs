//! A job that stopped, in JSON.

use serde::Serialize;
use strongroom::{DocumentId, JobOutcome, JobReport};
use strongroom_http::control::Progress;

/// A job that stopped.
#[derive(Serialize)]
pub(crate) struct JobView {
    id: String,
    outcome: &'static str,
    progress: Progress,
}

impl JobView {
    pub(crate) fn of(id: &DocumentId, report: &JobReport) -> Self {
        let (outcome, progress) = (outcome(report.outcome), Progress::of(&report.progress));
        Self { id: id.to_string(), outcome, progress }
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
