//! Options that choose a scope, or the path of a run.

use strongroom::{LinkedAccountId, Scope, ScopePath, WorkflowId};

use crate::config::Project;
use crate::failure::Failure;

/// One scope: the org's, unless an account or workflow is given.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub(crate) struct ScopeArgs {
    /// At this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// At this workflow
    #[arg(long, value_name = "ID")]
    workflow: Option<WorkflowId>,
}

impl ScopeArgs {
    pub(crate) fn scope(&self) -> Scope {
        match (&self.account, &self.workflow) {
            (Some(account), _) => Scope::LinkedAccount(account.clone()),
            (None, Some(workflow)) => Scope::Workflow(workflow.clone()),
            (None, None) => Scope::Org,
        }
    }

    /// The scope of values to set.
    pub(crate) fn scope_to_set(&self) -> Result<Scope, Failure> {
        to_set(self.scope())
    }

    pub(crate) fn names_one(&self) -> bool {
        self.account.is_some() || self.workflow.is_some()
    }
}

/// The account and workflow of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PathArgs {
    /// Within this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// Within this workflow
    #[arg(long, value_name = "ID")]
    workflow: Option<WorkflowId>,
}

/// The path of a run, and which of its variables the run gets.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) path: PathArgs,
    /// Only variables whose names start with TEXT, which is removed
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
}

impl RunArgs {
    /// The name of a variable in the run; `None` for one that the run does not get.
    pub(crate) fn name_in_run<'n>(&self, name: &'n str) -> Option<&'n str> {
        match &self.prefix {
            Some(prefix) => name.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty()),
            None => Some(name),
        }
    }

    /// The name in the vault of a variable of the run.
    pub(crate) fn name_in_vault(&self, name: &str) -> String {
        [self.prefix.as_deref().unwrap_or_default(), name].concat()
    }

    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.path.fill_in(project);
        if self.prefix.is_none() {
            self.prefix.clone_from(&project.prefix);
        }
    }
}

impl PathArgs {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        if self.account.is_none() {
            self.account.clone_from(&project.account);
        }
    }

    pub(crate) fn account(&self) -> Option<&LinkedAccountId> {
        self.account.as_ref()
    }

    pub(crate) fn path(&self) -> ScopePath {
        let mut path = ScopePath::org();
        if let Some(account) = &self.account {
            path = path.linked_account(account.clone());
        }
        if let Some(workflow) = &self.workflow {
            path = path.workflow(workflow.clone());
        }
        path
    }

    /// The same as query parameters.
    pub(crate) fn query(&self) -> Vec<(&'static str, &str)> {
        let account = self.account.as_ref().map(|id| ("linked_account_id", id.as_str()));
        let workflow = self.workflow.as_ref().map(|id| ("workflow_id", id.as_str()));
        account.into_iter().chain(workflow).collect()
    }
}

/// The scope of values to set.
pub(crate) fn to_set(scope: Scope) -> Result<Scope, Failure> {
    if let Scope::LinkedAccount(account) = &scope {
        refuse_blank_ends(account)?;
    }
    Ok(scope)
}

/// Fails for an id that cannot be sent in an HTTP header, which trims blanks at both ends: nothing new is written under
/// it. Existing values can be read and deleted.
pub(crate) fn refuse_blank_ends(account: &LinkedAccountId) -> Result<(), Failure> {
    if account.as_str().trim() == account.as_str() {
        return Ok(());
    }
    Err(Failure::invalid("a linked account id neither begins nor ends with a blank")
        .next("nothing was written"))
}

/// The linked account that is the scope.
pub(crate) fn account_of(scope: &Scope) -> Option<&LinkedAccountId> {
    match scope {
        Scope::LinkedAccount(account) => Some(account),
        Scope::Org | Scope::Workflow(_) => None,
    }
}

/// The field that names the account or workflow of a scope in the wire contract, and its id.
pub(crate) fn scope_field(scope: &Scope) -> Option<(&'static str, &str)> {
    match scope {
        Scope::Org => None,
        Scope::LinkedAccount(account) => Some(("linked_account_id", account.as_str())),
        Scope::Workflow(workflow) => Some(("workflow_id", workflow.as_str())),
    }
}
