//! What a host calls: the handles and their verbs.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod definitions;
pub(crate) mod generation;
pub(crate) mod items;
pub(crate) mod jobs;
pub(crate) mod lock;
mod mark;
pub(crate) mod org;
mod past;
mod pinned;
mod plan;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod resolve;
pub(crate) mod rotation;
pub(crate) mod settings;
pub(crate) mod shred;
pub(crate) mod slots;
pub(crate) mod usage;
pub(crate) mod values;
pub(crate) mod vault;
