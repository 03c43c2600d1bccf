//! The grammar that scripts rely on, and running what was typed.

mod dispatch;
mod needs;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
use crate::config::{Config, Globals};
use crate::consent;
use crate::failure::Failure;
use crate::output::Output;

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
    ///
    /// It does not look at every row, such as the keys and values of accounts: `verify` does.
    #[command(alias = "status")]
    Doctor(Doctor),
    /// Check that every row of the store opens, obeys its definition and matches the rows that belong to it
    Verify(Verify),
    /// Check every row and record its state in a file for a later `verify --checkpoint`
    Checkpoint(Checkpoint),
    /// Write the whole vault to one file, sealed as it is stored; with --org, one org under a key of its own
    ///
    /// The rows are not opened, so a damaged one is damaged in the backup too: `strongroom verify` first finds it.
    Backup(Backup),
    /// Restore a backup: as it was, as a new vault, or with --org one org into an existing vault
    ///
    /// The org must have nothing in that vault. One account, or one value, is not restored by itself: restore the
    /// backup with --as-new into another store, and read there what you need.
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
        let writes = !work.only_reads() && !work.is_dry_run();
        let config = Config { writes, expects_org, ..config };
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
                Err(failure) => consent::ask(failure, || work.place(&config, output))?,
                done => return done,
            }
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
