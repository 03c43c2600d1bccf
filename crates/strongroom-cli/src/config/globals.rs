//! The options that every command takes.

use std::path::PathBuf;

use strongroom::{Environment, OrgId};

/// What every command takes. `-h` leaves them out, `--help` explains them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Where the vault is
    ///
    /// `redb:PATH`, `sled:PATH`, `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, `memory`, or a PATH whose kind is
    /// detected [default: strongroom/vault in the user's data directory]
    #[arg(long, global = true, hide_short_help = true, value_name = "SPEC")]
    pub(crate) store: Option<String>,
    /// How long to wait for a store that another process has open, or for each answer of a server [default: 5 and 60]
    ///
    /// What a server does in many steps, such as a rotation, may take longer: the command asks how far it is. With 0,
    /// no store is waited for, and a server for a second
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// A file with the root key
    ///
    /// 64 hex digits or base64 [default: one for this store, in strongroom/keys in the user's configuration directory]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        conflicts_with = "passphrase_file"
    )]
    pub(crate) root_key_file: Option<PathBuf>,
    /// A file with the passphrase; one line end at its end is ignored
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Work on a server instead of a store
    ///
    /// Such as http://127.0.0.1:7077; its API key selects the org and environment, and fields that the server does not
    /// return are null in JSON
    #[arg(long, global = true, hide_short_help = true, value_name = "URL",
        conflicts_with_all = ["store", "root_key_file", "passphrase_file", "org", "environment"])]
    pub(crate) url: Option<String>,
    /// A file with the API key for the server
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// A PEM file of CA certificates to trust for the server, instead of the public ones
    #[cfg(feature = "tls")]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The org, 24 hex digits [default: 000000000000000000000001]
    #[arg(long, global = true, hide_short_help = true, value_name = "ID")]
    pub(crate) org: Option<OrgId>,
    /// The environment [default: test]
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) environment: Option<Environment>,
    /// The configuration file [default: strongroom/config.toml in the user's configuration directory]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Ignore the `.strongroom.toml` of the project
    ///
    /// The nearest one, in the working directory or above it, sets the `environment`, and the `account` and the
    /// `prefix` of what a run sees. It is used once `strongroom allow` was run there, until it is changed
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_project: bool,
    /// Open the store although it is older than this user last saw it, or another vault has replaced it
    ///
    /// This is recorded in the file of the store's mark, in the configuration directory, and the mark starts again from
    /// there
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) accept_rollback: bool,
    /// Print JSON instead of tables, also for errors
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) json: bool,
}
