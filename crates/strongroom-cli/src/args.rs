//! What may be typed: the grammar that scripts rely on.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use strongroom::{
    CredentialKey, DefinitionName, DocumentId, Environment, LinkedAccountId, OrgId, ScopeKind, SlotId,
};
use tracing_subscriber::filter::LevelFilter;

use crate::commands::backup::Restore;
use crate::commands::define::Define;
use crate::commands::import::Import;
use crate::commands::job::JobCommand;
use crate::commands::rotate::Rotate;
use crate::commands::shred::Shred;
use crate::config::{KeySource, socket_address};
use crate::limits::LimitSettings;
use crate::scope_args::{PathArgs, ScopeArgs};

/// Variables and credentials, sealed against their own store.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, propagate_version = true, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Where the vault is: `redb:PATH`, `sled:PATH`, `postgres://USER@HOST/DATABASE`, `memory`, or a PATH whose kind is found out [default: strongroom-data]
    #[arg(long, global = true, value_name = "SPEC")]
    pub(crate) store: Option<String>,
    /// A file with the root key: 64 hex digits or base64 [default: the store's path with `.key` added]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) root_key_file: Option<PathBuf>,
    /// A file with the passphrase; one newline at its end is left out
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Work on a server instead of a store, such as http://127.0.0.1:7077; its key says which org and environment, and what it does not tell is null in JSON
    #[arg(long, global = true, value_name = "URL",
        conflicts_with_all = ["store", "root_key_file", "passphrase_file", "org", "environment"])]
    pub(crate) url: Option<String>,
    /// A file with the API key of the server
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// The org, 24 hex digits [default: 000000000000000000000001]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) org: Option<OrgId>,
    /// The environment [default: test]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) environment: Option<Environment>,
    /// The configuration file [default: strongroom/config.toml where the system keeps a user's settings]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON instead of tables; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new vault, and its root key file unless there is one
    Init {
        /// Ask for a passphrase and use it instead of a root key file
        #[arg(long, conflicts_with_all = ["root_key_file", "passphrase_file"])]
        ask_passphrase: bool,
    },
    /// Define a variable
    Define(Box<Define>),
    /// Set a variable to the exact bytes of standard input, or to what is typed at a hidden prompt
    Set {
        name: DefinitionName,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        misplaced: Misplaced,
    },
    /// Read a variable at exactly one scope; with --reveal, its exact bytes
    Get {
        name: DefinitionName,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Show the value
        #[arg(long)]
        reveal: bool,
    },
    /// Show what a run sees: the workflow's values, else the account's, else the org's, else defaults
    Resolve {
        /// One variable; all of them without it
        name: Option<DefinitionName>,
        #[command(flatten)]
        path: PathArgs,
        /// Show the values
        #[arg(long)]
        reveal: bool,
    },
    /// Show where a variable is looked for and where it is found, without its value
    Explain {
        name: DefinitionName,
        #[command(flatten)]
        path: PathArgs,
    },
    /// List the definitions, or the values of one scope
    List {
        /// List values: the org's, unless an account or workflow is named
        #[arg(long)]
        values: bool,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Delete a value
    Delete {
        name: DefinitionName,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Delete the definition and its values at all scopes
        #[arg(long, conflicts_with_all = ["account", "workflow"])]
        definition: bool,
    },
    /// Credentials of a linked account's default app
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Linked accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Set what a `.env` or JSON file holds, all of it or none
    Import(Import),
    /// Print what a run sees as a `.env` or JSON file
    Export {
        #[command(flatten)]
        path: PathArgs,
        /// The form of the file
        #[arg(long, value_enum, default_value_t)]
        format: FileFormat,
        /// Agree that the values are shown; nothing is exported without it
        #[arg(long, required = true)]
        reveal: bool,
    },
    /// Run a command with what it resolves to as its environment
    Run {
        #[command(flatten)]
        path: PathArgs,
        /// Start from an empty environment instead of this one
        #[arg(long)]
        clear_env: bool,
        /// The command and its arguments, executed without a shell
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Check every row of the store: that it opens, keeps the rules of its definition and stands with what belongs to it
    Verify {
        /// Only the org and environment of --org and --environment
        #[arg(long)]
        org_only: bool,
    },
    /// Write the whole vault to one file, sealed as it is; with --org, one org under a key of its own
    Backup {
        /// A file that does not exist yet
        file: PathBuf,
        /// The key of the backup of one org; it is made if it is not there [default: FILE.key]
        #[arg(long, value_name = "KEY")]
        backup_key_file: Option<PathBuf>,
    },
    /// Restore a backup: as it was, as a new vault, or with --org one org into the vault that is there
    Restore(Restore),
    /// Move the vault to another store; this one takes no more writes then
    Migrate {
        /// Where to: `redb:PATH`, `sled:PATH`, `postgres://USER@HOST/DATABASE`, or a PATH
        #[arg(long, value_name = "SPEC")]
        to: String,
    },
    /// API keys of the environment, with which clients call the server
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Key slots: which passphrases and root keys open the vault
    #[command(subcommand)]
    Slot(SlotCommand),
    /// Give the vault new keys; everything stays readable
    #[command(subcommand)]
    Rotate(Rotate),
    /// Destroy keys, and with them what was sealed under them
    #[command(subcommand)]
    Shred(Shred),
    /// Work that a crash or a pause left unfinished
    #[command(subcommand)]
    Job(JobCommand),
    /// Serve the vault over HTTP; makes one if there is none, with an API key and two requests to try
    Serve {
        /// The address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7077]
        #[arg(long, value_name = "ADDR", value_parser = socket_address)]
        listen: Option<SocketAddr>,
        /// What to log on standard error: off, error, warn, info (each request), debug or trace; never a value
        #[arg(long, value_name = "LEVEL", default_value = "warn")]
        log: LevelFilter,
        /// Turn off core dumps and debuggers for this process, which holds keys
        #[arg(long)]
        no_core_dumps: bool,
        #[command(flatten)]
        limits: Box<LimitSettings>,
    },
    /// Print the completions of a shell
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Set a credential to the exact bytes of standard input, or to what is typed at a hidden prompt
    Set {
        key: CredentialKey,
        /// The linked account
        #[arg(long, value_name = "ID")]
        account: LinkedAccountId,
        #[command(flatten)]
        misplaced: Misplaced,
    },
    /// List key names and times
    List {
        /// The linked account
        #[arg(long, value_name = "ID")]
        account: LinkedAccountId,
    },
    /// Delete a credential
    Delete {
        key: CredentialKey,
        /// The linked account
        #[arg(long, value_name = "ID")]
        account: LinkedAccountId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Register a linked account
    Create {
        id: LinkedAccountId,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
        /// With the default app, under which credentials can stand
        #[arg(long)]
        default_app: bool,
    },
    /// List the registered linked accounts
    List,
    /// Delete a linked account with its values, credentials and keys
    Delete { id: LinkedAccountId },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Make a key and print it; it cannot be shown again
    Create {
        /// For people: who or what uses it
        name: String,
        /// Refuse it after this time, such as 30d or 12h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List the keys without showing them
    List,
    /// Refuse a key from now on
    Revoke { id: DocumentId },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SlotCommand {
    /// List what opens the vault, without showing it
    List,
    /// Let one more key open the vault; a passphrase is asked for unless a file is named
    Add {
        #[command(flatten)]
        key: NewKeyArgs,
    },
    /// Put another key in a slot's place; what opened it before opens it no more
    Change {
        id: SlotId,
        #[command(flatten)]
        key: NewKeyArgs,
    },
    /// Remove a slot; the last one that opens the vault stays
    Remove { id: SlotId },
}

/// What opens a new slot.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct NewKeyArgs {
    /// A file with the new root key, which is made if it is not there
    #[arg(long, value_name = "FILE")]
    new_root_key_file: Option<PathBuf>,
    /// A file with the new passphrase; one newline at its end is left out
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

impl NewKeyArgs {
    pub(crate) fn source(self) -> Option<KeySource> {
        let passphrase = self.new_passphrase_file.map(KeySource::PassphraseFile);
        self.new_root_key_file.map(KeySource::RootKeyFile).or(passphrase)
    }
}

/// A value in the wrong place, and what looks like an option. It is taken, so that the refusal need not repeat it.
#[derive(Debug, clap::Args)]
pub(crate) struct Misplaced {
    #[arg(hide = true, num_args = 0.., allow_hyphen_values = true, value_name = "VALUE")]
    pub(crate) values: Vec<OsString>,
}

/// The form of a file of variables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileFormat {
    /// `NAME=value` lines
    #[default]
    Env,
    /// One JSON object of names and values
    Json,
}

/// Reads one of the three wire names of a scope.
pub(crate) fn scope_kind(text: &str) -> Result<ScopeKind, strongroom::UnknownScope> {
    text.parse()
}

const AFTER_HELP: &str = "\
Secrets are read from standard input, a hidden prompt or a file, never from arguments. Values are shown as
[REDACTED] unless --reveal is given.

A setting is taken from its option, else from the environment (STRONGROOM_STORE, STRONGROOM_ROOT_KEY_FILE,
STRONGROOM_PASSPHRASE_FILE, STRONGROOM_URL, STRONGROOM_API_KEY_FILE, STRONGROOM_ORG, STRONGROOM_ENVIRONMENT,
STRONGROOM_LISTEN, STRONGROOM_CONFIG), else from the configuration file (the same names in lower case). The limits
of `serve` have the names of its options (STRONGROOM_RATE_LIMIT and so on); in the file they stand in a table [limits].

Exit codes: 0 done, 1 anything else, 2 usage, 3 not found, 4 invalid value, 5 wrong key or damaged data,
6 the store failed or cannot be used. `run` passes on the code of its command; 126 and 127 say that it could not
be started or found. 141, without a word: no one read the output to its end, as with `| head -1`.";
