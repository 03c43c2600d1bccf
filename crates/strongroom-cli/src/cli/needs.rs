//! What a command needs before it runs: settings of the project, names that must exist, whether it writes.

use strongroom::DefinitionName;

use super::Work;
use crate::client::Client;
use crate::commands::account::AccountCommand;
use crate::commands::api_key::ApiKeyCommand;
use crate::commands::credential::CredentialCommand;
use crate::commands::job::JobCommand;
use crate::commands::rotate::Rotate;
use crate::commands::slot::SlotCommand;
use crate::config::{Config, Project, is_default_org};
use crate::output::Output;
use crate::suggest::Asks;

impl Work {
    /// This command with the project's settings, where nothing else was typed.
    pub(super) fn in_project(mut self, project: &Project) -> Self {
        match &mut self {
            Self::Run(run) => run.fill_in(project),
            Self::Export(export) => export.fill_in(project),
            Self::Inject(inject) => inject.fill_in(project),
            Self::Resolve(resolve) => resolve.fill_in(project),
            Self::Explain(explain) => explain.fill_in(project),
            _ => {}
        }
        self
    }

    /// The variables that it works on and that must exist.
    pub(super) fn variables(&self) -> Vec<DefinitionName> {
        match self {
            Self::Get(get) => vec![get.name.clone()],
            Self::Show(show) => vec![show.name.clone()],
            Self::Resolve(resolve) => resolve.name.iter().cloned().collect(),
            Self::Explain(explain) => vec![explain.name.clone()],
            Self::History(history) => vec![history.name.clone()],
            Self::Undo(undo) => vec![undo.name.clone()],
            Self::Revert(revert) => vec![revert.name.clone()],
            Self::Delete(delete) => vec![delete.name.clone()],
            Self::Define(define) => vec![define.name.clone()],
            Self::Export(export) => export.only_of_vault(),
            // They check this themselves.
            Self::Set(_) | Self::Copy(_) | Self::Inject(_) | Self::Import(_) | Self::Edit(_) => Vec::new(),
            // They take no name.
            Self::Init(_)
            | Self::List(_)
            | Self::Search(_)
            | Self::Orgs(_)
            | Self::Environments(_)
            | Self::Credential(_)
            | Self::Account(_)
            | Self::Diff(_)
            | Self::Run(_)
            | Self::Doctor(_)
            | Self::Verify(_)
            | Self::Checkpoint(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Migrate(_)
            | Self::ApiKey(_)
            | Self::Slot(_)
            | Self::Rotate(_)
            | Self::Shred(_)
            | Self::Audit(_)
            | Self::Job(_)
            | Self::Serve(_) => Vec::new(),
        }
    }

    /// What it requires of the chosen environment. Commands on a variable or an account report by themselves if it is
    /// not found.
    pub(super) fn asks(&self) -> Asks {
        match self {
            Self::Define(_)
            | Self::Account(AccountCommand::Create(_))
            | Self::ApiKey(ApiKeyCommand::Create(_)) => Asks::MayBeNew,
            Self::Environments(_)
            | Self::Account(AccountCommand::List)
            | Self::ApiKey(ApiKeyCommand::List) => Asks::SaysIfNot,
            Self::Search(search) if search.is_of_chosen() => Asks::SaysIfNot,
            Self::Account(AccountCommand::EndSessions(_)) => Asks::IsThere,
            Self::Verify(verify) if verify.is_of_chosen() => Asks::IsThere,
            Self::Rotate(Rotate::Data(data)) if data.is_of_chosen() => Asks::IsThere,
            _ => Asks::Nothing,
        }
    }

    /// The org and environment that it works in, for the end of its question; empty for a command that says it itself
    /// or works on the whole vault.
    pub(super) fn place(&self, config: &Config, output: &Output) -> String {
        let is_within = matches!(
            self,
            Self::Delete(_)
                | Self::Undo(_)
                | Self::Revert(_)
                | Self::Credential(_)
                | Self::Account(_)
                | Self::ApiKey(_)
                | Self::Audit(_)
        );
        if !is_within {
            return String::new();
        }
        let chosen = match &config.server {
            Some(server) => Client::open(server, output).and_then(|client| client.works_in()).ok(),
            None => Some((config.org.to_string(), config.environment.to_string())),
        };
        match chosen {
            Some((org, environment)) if is_default_org(&org) => format!(", in environment {environment}"),
            Some((org, environment)) => format!(", in org {org}, environment {environment}"),
            None => String::new(),
        }
    }

    /// Whether it leaves the store unchanged.
    pub(super) fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Get(_)
                | Self::Resolve(_)
                | Self::Explain(_)
                | Self::History(_)
                | Self::List(_)
                | Self::Search(_)
                | Self::Orgs(_)
                | Self::Environments(_)
                | Self::Show(_)
                | Self::Diff(_)
                | Self::Doctor(_)
                | Self::Inject(_)
                | Self::Export(_)
                | Self::Run(_)
                | Self::Account(AccountCommand::List | AccountCommand::Apps(_) | AccountCommand::Sessions(_))
                | Self::ApiKey(ApiKeyCommand::List)
                | Self::Credential(
                    CredentialCommand::List(_) | CredentialCommand::Reveal(_) | CredentialCommand::History(_)
                )
                | Self::Job(JobCommand::List)
                | Self::Slot(SlotCommand::List)
                | Self::Checkpoint(_)
        ) || matches!(self, Self::Audit(audit) if audit.only_reads())
            || matches!(self, Self::Verify(verify) if verify.only_reads())
    }

    /// Whether it only says what it would do, which leaves the store unchanged too.
    pub(super) fn is_dry_run(&self) -> bool {
        match self {
            Self::Import(import) => import.dry_run,
            Self::Copy(copy) => copy.dry_run,
            Self::Define(define) => define.is_dry_run(),
            Self::Account(AccountCommand::RemoveApp(remove)) => remove.dry_run,
            _ => false,
        }
    }

    /// Whether it shows something of the whole vault that belongs to no org.
    pub(super) fn is_of_vault(&self) -> bool {
        matches!(self, Self::Orgs(_) | Self::Slot(_) | Self::Job(_))
    }
}
