//! `strongroom`: an embeddable storage engine for scoped variables and credentials.

pub mod format;
pub mod store;
