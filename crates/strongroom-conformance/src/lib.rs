//! The rules of a [`strongroom`] store as tests, for everyone who writes a backend.
//!
//! One line in a backend's `tests/conformance.rs` becomes one named `#[test]` a rule:
//!
//! ```
//! strongroom_conformance::store_tests!(strongroom_memory::MemoryStore::new());
//! ```
//!
//! A durable store is given as an empty place and how to open what is there, such as
//! `store_tests!(tempfile::tempdir().unwrap(), |dir| SledStore::open(dir.path()))`. What a store claims is what is
//! tested: this form adds the rules about reopening, and either form refuses a store whose [`Durability`] does not fit
//! it. No test sleeps or needs a runtime, and timing cannot fail a store that keeps the rules.
//!
//! For the layers above a store there are [`Faulty`], a wrapper that fails as told, and [`crash_at_every_commit`],
//! which stops an operation at each of its writes. [`Model`] and [`replay`] compare a store with a plain map, step by
//! step, from bytes that a fuzzer or a random generator chose.
//!
//! For hosts with a key provider there is [`FakeProvider`], which denies, loses keys and is out of reach as told.
//!
//! For hosts that refresh credentials there is [`TokenServer`], which takes each token once and loses answers;
//! [`use_tokens`] lives on its tokens.
//!
//! Examples in documentation start from [`with_vault`], [`with_org`], [`with_port`], [`with_account`] or
//! [`with_shared`].
//!
//! [`outage`] is for durable stores: a process that is killed in the midst of its writes, and a power cut.
//!
//! It is not: a test of a failed sync or of group commit. Those need the backend's own means.
//!
//! [`Durability`]: strongroom::store::Durability

mod batch;
mod cases;
mod crash;
mod example;
mod faulty;
pub mod keepsake;
mod model;
mod opened;
pub mod outage;
mod patience;
mod provider;
mod replay;
mod step;
mod store_tests;
mod subject;
mod tokens;

pub use cases::{Case, DURABLE_CASES, EVERY_CASE, run};
pub use crash::{Stop, crash_at_every_commit};
pub use example::{with_account, with_org, with_port, with_shared, with_vault};
pub use faulty::{Fault, Faulty};
pub use model::{Mismatch, Model};
pub use provider::{FakeProvider, OnDestroy};
pub use replay::replay;
pub use step::{Claim, Step};
pub use subject::Subject;
pub use tokens::{Answer, TokenClient, TokenCounts, TokenServer, Use, number_of, tokens, use_tokens};
