//! What strongroom costs, each piece of work beside the raw floor that it cannot go below.
//!
//! A [`Work`] runs the engine and its floor in one binary; the bench targets differ only in how they read it: `report`
//! interleaves the two and prints ratios, `verbs` hands both to criterion. `README.md` says how to read them.

pub mod embedded;
pub mod envelope;
pub mod formats;
pub mod growth;
pub mod history;
pub mod host;
pub mod http;
pub mod keys;
pub mod memory;
pub mod population;
pub mod postgres;
pub mod raw;
pub mod report;
pub mod run;
pub mod slots;
pub mod threads;
pub mod token;
pub mod vault;
mod writes;

pub use run::{Run, Work};
