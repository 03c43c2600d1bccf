//! `strongroom`: an embeddable storage engine for scoped variables and credentials.

mod envelope;
pub mod format;
#[cfg(feature = "hazmat")]
pub mod hazmat;
pub mod store;

pub use envelope::{Argon2Params, DekId};
