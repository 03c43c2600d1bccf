//! The commands, one noun or verb per file: its grammar, its output, and its work on a vault or on a server.

pub(crate) mod account;
pub(crate) mod api_key;
pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod credential;
pub(crate) mod define;
pub(crate) mod delete;
pub(crate) mod explain;
pub(crate) mod export;
mod file_format;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod job;
pub(crate) mod list;
pub(crate) mod migrate;
pub(crate) mod resolve;
pub(crate) mod restore;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod set;
pub(crate) mod shred;
pub(crate) mod slot;
pub(crate) mod verify;
