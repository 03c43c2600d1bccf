//! The grammar that scripts rely on, and what each command works on.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use futures_executor::block_on;
use strongroom::DefinitionName;
use strongroom_http::control::Reason;

use crate::client::Client;
use crate::commands::account::AccountCommand;
use crate::commands::allow::Allow;
use crate::commands::api_key::ApiKeyCommand;
use crate::commands::audit::Audit;
use crate::commands::backup::Backup;
use crate::commands::checkpoint::Checkpoint;
use crate::commands::completions::Completions;
use crate::commands::copy::Copy;
use crate::commands::credential::CredentialCommand;
use crate::commands::define::Define;
use crate::commands::delete::Delete;
use crate::commands::diff::Diff;
use crate::commands::doctor::Doctor;
use crate::commands::edit::Edit;
use crate::commands::environments::{Environments, Orgs};
use crate::commands::explain::Explain;
use crate::commands::export::Export;
use crate::commands::get::Get;
use crate::commands::health::Health;
use crate::commands::history::History;
use crate::commands::import::Import;
use crate::commands::init::Init;
use crate::commands::inject::Inject;
use crate::commands::job::JobCommand;
use crate::commands::list::List;
use crate::commands::man::Man;
use crate::commands::migrate::Migrate;
use crate::commands::resolve::Resolve;
use crate::commands::restore::Restore;
use crate::commands::revert::Revert;
use crate::commands::rotate::Rotate;
use crate::commands::run::Run;
use crate::commands::search::Search;
use crate::commands::serve::Serve;
use crate::commands::set::Set;
use crate::commands::show::Show;
use crate::commands::shred::Shred;
use crate::commands::slot::SlotCommand;
use crate::commands::undo::Undo;
use crate::commands::verify::Verify;
use crate::config::{Config, Globals, Project, Server};
use crate::consent;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::suggest::Asks;

/// Variables and credentials, sealed before they reach their store.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, propagate_version = true, max_term_width = 100, after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    #[command(flatten)]
    Work(Work),
    /// Print the completions for a shell
    Completions(Completions),
    /// Write the manual pages to a directory
    Man(Man),
    /// Check the health of a server; needs no key
    Health(Health),
    /// Allow the settings of the project's .strongroom.toml until the file changes
    Allow(Allow),
}

/// The commands that work on a vault.
#[derive(Debug, Clone, Subcommand)]
enum Work {
    /// Create a new vault, and a root key file if there is none
    Init(Init),
    /// Define a variable, or change its definition with --change
    Define(Box<Define>),
    /// Show a definition: its format with all parameters, scopes and default
    Show(Show),
    /// Set a variable to the exact bytes of standard input, or to the line typed at a hidden prompt
    Set(Set),
    /// Read a variable at exactly one scope; with --reveal, its exact bytes
    Get(Get),
    /// Show what a run sees: a workflow's value, otherwise the account's, the org's, or the default
    Resolve(Resolve),
    /// Show where a variable is looked for and where it is found, without its value
    Explain(Explain),
    /// List the definitions, or the values of one scope
    List(List),
    /// Find variables and accounts by a part of their name or description
    Search(Search),
    /// List the orgs of the vault
    Orgs(Orgs),
    /// List the environments of the org
    Environments(Environments),
    /// Change the values of one scope in $EDITOR; only changes are written
    ///
    /// The draft is in a private directory, which is overwritten and removed afterwards. What an editor keeps elsewhere
    /// stays there, such as vim's ~/.viminfo and its `undodir`
    Edit(Edit),
    /// Delete a value; `undo` brings it back if versions of it are kept
    Delete(Delete),
    /// List the versions of a value: when each was written, by whom and why
    History(History),
    /// Undo the last change of a value, or its deletion
    Undo(Undo),
    /// Restore a former version of a value
    Revert(Revert),
    /// Credentials of a linked account's apps
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Linked accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Set the variables of a `.env`, JSON or YAML file, all or none
    Import(Import),
    /// Print what a run sees; with --for, exactly as one reader expects it
    Export(Box<Export>),
    /// Compare two environments, orgs or scopes, or one with its past, without showing a value
    Diff(Box<Diff>),
    /// Copy values, and the definitions that they need, between environments, orgs or scopes
    Copy(Box<Copy>),
    /// Fill the `{{ NAME }}` of a template with what a run sees
    Inject(Inject),
    /// Run a command with the resolved variables as its environment
    Run(Run),
    /// Check the store, its keys, jobs and variables, and say what to do about each finding
    #[command(alias = "status")]
    Doctor(Doctor),
    /// Check that every row of the store opens, obeys its definition and matches the rows that belong to it
    Verify(Verify),
    /// Check every row and record its state in a file for a later `verify --checkpoint`
    Checkpoint(Checkpoint),
    /// Write the whole vault to one file, sealed as it is stored; with --org, one org under a key of its own
    Backup(Backup),
    /// Restore a backup: as it was, as a new vault, or with --org one org into an existing vault
    Restore(Restore),
    /// Move the vault to another store; the old one then refuses writes
    Migrate(Migrate),
    /// API keys of the environment, for clients of the server
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Key slots: the passphrases and root keys that open the vault
    #[command(subcommand)]
    Slot(SlotCommand),
    /// Give the vault new keys; everything stays readable
    #[command(subcommand)]
    Rotate(Rotate),
    /// Destroy keys, and everything that was sealed with them
    #[command(subcommand)]
    Shred(Shred),
    /// List who changed what; also turn the audit on or off, export it, check an export, or drop old events
    Audit(Audit),
    /// Jobs that a crash or a pause left unfinished
    #[command(subcommand)]
    Job(JobCommand),
    /// Serve the vault over HTTP; if there is none, create one, with an API key and two requests to try
    Serve(Box<Serve>),
}

impl Args {
    /// Runs the command that was typed.
    pub(crate) fn run(self, output: &Output) -> Result<ExitCode, Failure> {
        let work = match self.command {
            Command::Completions(completions) => {
                return completions.run(Self::command()).map(|()| ExitCode::SUCCESS);
            }
            Command::Health(health) => return health.run(&self.globals, output).map(|()| ExitCode::SUCCESS),
            Command::Allow(allow) => return allow.run(output).map(|()| ExitCode::SUCCESS),
            Command::Man(man) => return man.run(Self::command()).map(|()| ExitCode::SUCCESS),
            Command::Work(Work::Audit(audit)) if audit.is_offline() => {
                return audit.run_offline(output).map(|()| ExitCode::SUCCESS);
            }
            Command::Work(work) => work,
        };
        let config = Config::load(&self.globals)?;
        let work = work.in_project(&config.project);
        let expects_org = work.only_reads() && !work.is_of_vault();
        let config = Config { writes: !work.only_reads(), expects_org, ..config };
        let work = match work {
            // They ask no questions, and keep the configuration while they run.
            Work::Serve(serve) if config.server.is_none() => {
                return serve.run(config, output).map(|()| ExitCode::SUCCESS);
            }
            Work::Run(run) if config.server.is_none() => return run.run(config, output),
            work => work,
        };
        loop {
            let done = match &config.server {
                Some(server) => work.clone().on_server(server, output),
                None => work.clone().on_store(&config, output),
            };
            match done {
                Err(failure) => consent::ask(failure)?,
                done => return done,
            }
        }
    }
}

impl Work {
    /// Commands that read standard input or a prompt do so before a store is opened: the process at the other end of
    /// the pipe may need the same store, and a person needs time.
    fn on_store(self, config: &Config, output: &Output) -> Result<ExitCode, Failure> {
        match self {
            Self::Set(set) => {
                let value = set.read(output)?;
                let run = async |session: &Session| set.run(value, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Credential(CredentialCommand::Set(set)) => {
                let value = set.read(output)?;
                let run = async |session: &Session| set.run(value, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Import(import) => {
                let entries = import.read(output)?;
                let run = async |session: &Session| import.run(entries, session, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Inject(inject) => {
                let template = inject.read()?;
                let run = async |session: &Session| inject.run(&template, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Slot(slot) => {
                let typed = slot.typed_key()?;
                loop {
                    let slot = slot.clone();
                    let run =
                        async |session: &Session| slot.run(typed.as_ref(), config, session, output).await;
                    match block_on(Session::with(config, output, run)) {
                        // Here, since the key was already typed.
                        Err(failure) => consent::ask(failure)?,
                        done => break done,
                    }
                }
            }
            Self::Init(init) => block_on(init.run(config, output)),
            Self::Restore(restore) => block_on(restore.run(config, output)),
            Self::Edit(edit) => block_on(edit.run(config, output)),
            Self::Doctor(doctor) => block_on(doctor.run(config, output)),
            Self::Rotate(Rotate::Root(root)) => block_on(root.run(config, output)),
            in_session => {
                let run = async |session: &Session| in_session.in_session(session, config, output).await;
                block_on(Session::with(config, output, run))
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// Works on an open vault, which is closed afterwards even if the command failed.
    async fn in_session(self, session: &Session, config: &Config, output: &Output) -> Result<(), Failure> {
        let (org, vault) = (&session.org, &session.vault);
        self.asks().of(vault, org, output).await?;
        match self {
            Self::Define(command) => command.run(org, output).await,
            Self::Show(command) => command.run(org, output).await,
            Self::Get(command) => command.run(org, output).await,
            Self::Resolve(command) => command.run(org, output).await,
            Self::Explain(command) => command.run(org, output).await,
            Self::Delete(command) => command.run(org, output).await,
            Self::History(command) => command.run(org, output).await,
            Self::Undo(command) => command.run(org, output).await,
            Self::Revert(command) => command.run(org, output).await,
            Self::Credential(command) => command.run(org, output).await,
            Self::Account(command) => command.run(org, output).await,
            Self::Export(command) => command.run(org, output).await,
            Self::ApiKey(command) => command.run(org, output).await,
            Self::List(command) => command.run(session, output).await,
            Self::Search(command) => command.run(session, output).await,
            Self::Orgs(command) => command.run(session, output).await,
            Self::Environments(command) => command.run(session, output).await,
            Self::Diff(command) => command.run(session, output).await,
            Self::Copy(command) => command.run(session, output).await,
            Self::Verify(command) => command.run(session, output).await,
            Self::Checkpoint(command) => command.run(session, output).await,
            Self::Audit(command) => command.run(session, output).await,
            Self::Migrate(command) => command.run(config, session, output).await,
            Self::Job(command) => match command.deed() {
                Some(deed) => session.operate(&deed, command.run(vault, output)).await,
                None => command.run(vault, output).await,
            },
            Self::Backup(backup) => backup.run(config, session, output).await,
            Self::Rotate(Rotate::Data(data)) => {
                session.operate("rotate data", data.run(session, output)).await
            }
            Self::Shred(Shred::Account(account)) => account.run(session, output).await,
            Self::Run(_)
            | Self::Serve(_)
            | Self::Init(_)
            | Self::Restore(_)
            | Self::Edit(_)
            | Self::Doctor(_)
            | Self::Rotate(Rotate::Root(_))
            | Self::Set(_)
            | Self::Import(_)
            | Self::Inject(_)
            | Self::Slot(_) => Err(Failure::usage("this command opens the vault itself")),
        }
    }

    /// The same with the project's settings, where nothing else was typed.
    fn in_project(mut self, project: &Project) -> Self {
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
    fn variables(&self) -> Vec<DefinitionName> {
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
    fn asks(&self) -> Asks {
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

    /// Whether it leaves the store unchanged.
    fn only_reads(&self) -> bool {
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
                | Self::Credential(CredentialCommand::List(_) | CredentialCommand::History(_))
                | Self::Job(JobCommand::List)
                | Self::Slot(SlotCommand::List)
                | Self::Checkpoint(_)
        ) || matches!(self, Self::Audit(audit) if audit.only_reads())
            || matches!(self, Self::Verify(verify) if verify.only_reads())
    }

    /// Whether it shows something of the whole vault that belongs to no org.
    fn is_of_vault(&self) -> bool {
        matches!(self, Self::Orgs(_) | Self::Slot(_) | Self::Job(_))
    }

    fn on_server(self, server: &Server, output: &Output) -> Result<ExitCode, Failure> {
        let client = || {
            let client = Client::open(server, output)?;
            client.refuse_elsewhere(server).map(|()| client)
        };
        let named = self.variables();
        let done = match self {
            Self::Run(run) => return run.on_server(client()?, output),
            Self::Define(define) => define.on_server(&client()?, output),
            Self::Show(show) => show.on_server(&client()?, output),
            Self::Set(set) => set.on_server(&client()?, output),
            Self::Resolve(resolve) => resolve.on_server(&client()?, output),
            Self::List(list) => list.on_server(&client()?, output),
            Self::Search(search) => search.on_server(&client()?, output),
            Self::Orgs(orgs) => orgs.on_server(&client()?, output),
            Self::Environments(environments) => environments.on_server(&client()?, output),
            Self::Delete(delete) => delete.on_server(&client()?, output),
            Self::Credential(command) => command.on_server(&client()?, output),
            Self::Account(command) => command.on_server(&client()?, output),
            Self::Get(get) => get.on_server(&client()?, output),
            Self::Explain(explain) => explain.on_server(&client()?, output),
            Self::Export(export) => export.on_server(&client()?, output),
            Self::Inject(inject) => inject.on_server(&client()?, output),
            Self::History(history) => history.on_server(&client()?, output),
            Self::Undo(undo) => undo.on_server(&client()?, output),
            Self::Import(import) => import.on_server(&client()?, output),
            Self::ApiKey(command) => command.on_server(&client()?, output),
            Self::Slot(command) => command.on_server(&client()?, output),
            Self::Rotate(Rotate::Data(data)) => data.on_server(&client()?, output),
            Self::Job(command) => command.on_server(&client()?, output),
            Self::Audit(audit) => audit.on_server(&client()?, output),
            Self::Verify(verify) => verify.on_server(&client()?, output),
            Self::Backup(backup) => backup.on_server(&client()?, output),
            Self::Revert(revert) => revert.on_server(&client()?, output),
            Self::Edit(edit) => edit.on_server(&client()?, output),
            Self::Diff(diff) => diff.on_server(&client()?, output),
            Self::Copy(copy) => copy.on_server(&client()?, output),
            Self::Doctor(doctor) => doctor.on_server(&client()?, output),
            Self::Init(_)
            | Self::Serve(_)
            | Self::Rotate(Rotate::Root(_))
            | Self::Shred(_)
            | Self::Checkpoint(_)
            | Self::Restore(_)
            | Self::Migrate(_) => {
                Err(Failure::not_on_server("this needs a key of the vault, which never travels"))
            }
        };
        match done {
            // The server does not say which name it was, nor which one was probably meant.
            Err(failure) if failure.is(Reason::DefinitionNotFound) && !named.is_empty() => {
                let client = client()?;
                named.iter().try_for_each(|name| client.refuse_unknown(name)).and(Err(failure))
            }
            done => done.map(|()| ExitCode::SUCCESS),
        }
    }
}

const AFTER_HELP: &str = "\
Secrets are read from standard input, a hidden prompt or a file, never from arguments. Values are shown as \
[REDACTED] unless --reveal is given.

A setting comes from its option, otherwise from the environment (STRONGROOM_STORE, STRONGROOM_ROOT_KEY_FILE, \
STRONGROOM_PASSPHRASE_FILE, STRONGROOM_URL, STRONGROOM_API_KEY_FILE, STRONGROOM_API_KEY, STRONGROOM_CA_FILE, \
STRONGROOM_ORG, \
STRONGROOM_ENVIRONMENT, STRONGROOM_LISTEN, STRONGROOM_CONFIG), otherwise from the nearest .strongroom.toml in or \
above the working directory (only `environment`, the `account` of what a run sees and the `prefix` of `run`, \
`export` and `inject`, once `strongroom allow` was run there), otherwise from the configuration file (the same names \
in lower case; an API key only by its file). The limits of `serve` are named as its options (STRONGROOM_RATE_LIMIT \
and so on); in the file they are in tables, [limits] and [quotas].

Exit codes: 0 done, 1 anything else, 2 usage, 3 not found, 4 invalid value, 5 wrong key or damaged data, 6 the store \
failed or cannot be used. `run` returns the code of its command, and 126 or 127 if the command could not be started or \
found. 141, without a message, if the reader of the output stopped early, as with `| head -1`.";

#[cfg(test)]
mod tests {
    use super::*;

    fn without_help(command: &clap::Command, path: &str) -> Vec<String> {
        let path = format!("{path} {}", command.get_name());
        let is_bare = |argument: &&clap::Arg| {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            help.is_empty() && !argument.is_hide_set()
        };
        let own =
            command.get_arguments().filter(is_bare).map(|argument| format!("{path} {}", argument.get_id()));
        let below = command.get_subcommands().flat_map(|below| without_help(below, &path));
        own.chain(below).collect()
    }

    #[test]
    fn every_argument_says_what_it_is() {
        assert_eq!(without_help(&Args::command(), ""), Vec::<String>::new());
    }
}
