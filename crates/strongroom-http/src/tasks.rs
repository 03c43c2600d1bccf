//! Work that takes longer than a request: it continues in the service, and can be looked up by its id.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use strongroom::{DocumentId, Error, Timestamp};
use utoipa::ToSchema;

use crate::auth::random;
use crate::reason::Reason;
use crate::time;

/// A long-running operation in this service. It is forgotten some time after its end, and when the service ends.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// `jobs`, `rotate` or `verify`.
    pub kind: String,
    /// `running`, `finished` or `failed`.
    pub state: String,
    /// Rows that are done.
    pub done: u64,
    /// The total, if that is known.
    pub total: Option<u64>,
    /// The result, in words.
    pub message: Option<String>,
    /// Why it failed, for programs.
    pub reason: Option<Reason>,
    /// What a verification found.
    pub findings: Vec<TaskFinding>,
    /// When it began.
    pub started_at: String,
}

/// A row that is damaged or misplaced.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskFinding {
    /// What the row is, such as `value`.
    pub row: String,
    /// The org.
    pub org_id: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The linked account.
    pub linked_account_id: Option<String>,
    /// The workflow.
    pub workflow_id: Option<String>,
    /// The variable definition.
    pub variable_definition_id: Option<String>,
    /// The name of the definition, an integration, or the id of something else.
    pub name: Option<String>,
    /// Which connection of the integration; none for the default one.
    pub connection: Option<String>,
    /// The key of a credential.
    pub key: Option<String>,
    /// What is wrong, in one word.
    pub cause: String,
    /// Where it is and what is wrong.
    pub message: String,
    /// What to do about it, in the words of the command line.
    #[serde(default)]
    pub next: String,
}

/// The tasks of a service. Those that ended are kept until there are too many.
#[derive(Default)]
pub(crate) struct Tasks(Arc<Mutex<VecDeque<Task>>>);

/// The handle through which a task's work reports its progress.
pub(crate) struct Reporter {
    tasks: Arc<Mutex<VecDeque<Task>>>,
    id: String,
}

/// The result of a task.
pub(crate) struct Outcome {
    pub(crate) message: String,
    pub(crate) findings: Vec<TaskFinding>,
    /// Why it is not done, if it stopped early.
    pub(crate) reason: Option<Reason>,
}

impl Outcome {
    /// It is done.
    pub(crate) fn done(message: String) -> Self {
        Self { message, findings: Vec::new(), reason: None }
    }
}

impl Tasks {
    /// Begins a task; `None` if one of this kind is running already.
    pub(crate) fn begin(
        &self,
        kind: &'static str,
        now: Timestamp,
    ) -> Result<Option<(Task, Reporter)>, Error> {
        let id = DocumentId::from(*random()?).to_string();
        let mut tasks = self.lock();
        if tasks.iter().any(|task| task.kind == kind && task.state == RUNNING) {
            return Ok(None);
        }
        // The oldest that ended goes first. At most one of each kind runs, so there is always one that ended.
        while tasks.len() >= TASKS_MAX {
            let Some(ended) = tasks.iter().position(|task| task.state != RUNNING) else { break };
            tasks.remove(ended);
        }
        let task = Task {
            id: id.clone(),
            kind: kind.to_owned(),
            state: RUNNING.to_owned(),
            done: 0,
            total: None,
            message: None,
            reason: None,
            findings: Vec::new(),
            started_at: time::iso(now),
        };
        tasks.push_back(task.clone());
        Ok(Some((task, Reporter { tasks: Arc::clone(&self.0), id })))
    }

    pub(crate) fn list(&self) -> Vec<Task> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Task> {
        self.lock().iter().find(|task| task.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Task>> {
        // Every change is one assignment, so that a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TaskFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskFinding").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("len", &self.lock().len()).finish()
    }
}

impl Reporter {
    pub(crate) fn at(&self, done: u64, total: Option<u64>) {
        self.change(|task| {
            task.done = done;
            task.total = total;
        });
    }

    pub(crate) fn end(&self, outcome: Result<Outcome, Error>) {
        self.change(|task| match outcome {
            Ok(Outcome { message, findings, reason }) => {
                task.state = if reason.is_none() { "finished" } else { "failed" }.to_owned();
                task.reason = reason;
                task.message = Some(message);
                task.findings = findings;
            }
            Err(error) => {
                tracing::error!(%error, kind = task.kind, "a task failed");
                task.state = "failed".to_owned();
                task.message = Some(error.to_string());
                task.reason = Some(Reason::of(&error));
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Task)) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.iter_mut().find(|task| task.id == self.id) {
            change(task);
        }
    }
}

/// A task whose work was dropped, for example because the service ends, must not look as if it were still running.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.change(|task| {
            if task.state == RUNNING {
                task.state = "failed".to_owned();
                task.message = Some("it was broken off".to_owned());
                task.reason = Some(Reason::Busy);
            }
        });
    }
}

const RUNNING: &str = "running";
const TASKS_MAX: usize = 64;
