//! `strongroom`: an embeddable storage engine for scoped variables and credentials.

pub mod store;
