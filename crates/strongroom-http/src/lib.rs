#![doc = include_str!("../docs/HTTP.md")]
#![warn(clippy::wildcard_enum_match_arm)] // a new case must not compile until it is thought of

mod accounts;
mod auth;
mod caches;
mod caller;
mod connection;
mod console;
pub mod control;
mod credentials;
mod definitions;
mod disk;
mod error;
mod limits;
mod load;
mod logins;
mod metrics;
mod observe;
mod openapi;
mod operate;
mod page;
mod process;
mod read_notes;
mod reason;
mod remedy;
mod request;
mod resuming;
mod router;
mod server;
mod service;
mod sessions;
mod status;
mod tasks;
mod time;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "otel")]
mod traces;
mod values;

pub use auth::{
    ApiKeyInfo, ApiKeyPage, ApiKeys, CreatedApiKey, Grant, GrantError, MadeKeys, NewApiKey, Right,
    UnknownRight,
};
pub use limits::{Limits, Rate};
pub use metrics::Metrics;
pub use read_notes::WhenFull;
pub use resuming::{ResumingStore, StoreHealth};
pub use router::router;
pub use server::serve;
#[cfg(feature = "tls")]
pub use server::serve_tls;
pub use service::{Service, ServiceOptions};
pub use status::{ErrorCode, ErrorStatus, HttpErrorType};
/// The counters of a vault and of its store: the crate `strongroom-metrics`.
pub use strongroom_metrics::{MeasuredStore, VaultMetrics};
#[cfg(feature = "tls")]
pub use tls::Tls;
#[cfg(feature = "otel")]
pub use traces::VerbSpans;
