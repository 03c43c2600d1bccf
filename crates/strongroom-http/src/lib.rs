//! `strongroom-http`: an axum router, or a server of its own, over a [`strongroom::Vault`].

mod accounts;
mod auth;
mod credentials;
mod definitions;
mod error;
mod limits;
mod metrics;
mod openapi;
mod page;
mod request;
mod router;
mod service;
mod sessions;
mod time;
mod values;

pub use auth::{ApiKeyInfo, ApiKeyPage, ApiKeys, CreatedApiKey, NewApiKey};
pub use limits::{Limits, Rate};
pub use metrics::Metrics;
pub use router::router;
pub use service::{Service, ServiceOptions};
