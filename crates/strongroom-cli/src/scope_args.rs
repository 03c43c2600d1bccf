//! Options that choose a scope, or the path of a run.

use strongroom::{LinkedAccountId, Scope, ScopePath, WorkflowId};

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

    pub(crate) fn names_one(&self) -> bool {
        self.account.is_some() || self.workflow.is_some()
    }
}

/// The account and workflow of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct PathArgs {
    /// Within this linked account
    #[arg(long, value_name = "ID")]
    account: Option<LinkedAccountId>,
    /// Within this workflow
    #[arg(long, value_name = "ID")]
    workflow: Option<WorkflowId>,
}

impl PathArgs {
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

/// The field that names the account or workflow of a scope in the wire contract, and its id.
pub(crate) fn scope_field(scope: &Scope) -> Option<(&'static str, &str)> {
    match scope {
        Scope::Org => None,
        Scope::LinkedAccount(account) => Some(("linked_account_id", account.as_str())),
        Scope::Workflow(workflow) => Some(("workflow_id", workflow.as_str())),
    }
}
