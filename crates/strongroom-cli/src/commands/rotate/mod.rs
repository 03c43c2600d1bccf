//! `rotate`: new data keys, or a new root key.

mod data;
mod root;

pub(crate) use self::data::Data;
pub(crate) use self::root::Root;

/// `rotate` as it is typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Rotate {
    /// Create new data keys for the org and environment and for its accounts, and reseal every row
    Data(Data),
    /// Create a new root key and reseal every keyring
    #[command(after_help = root::HELP)]
    Root(Root),
}
