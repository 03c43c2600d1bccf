//! Health, readiness and metrics.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use strongroom::{Environment, OrgId};

use crate::caches;
use crate::error::Failure;
use crate::service::Service;

/// The process is alive.
pub(crate) async fn healthz() -> &'static str {
    "ok"
}

/// The store can be read, and the service is not about to stop.
pub(crate) async fn readyz(State(service): State<Service>) -> Result<&'static str, Failure> {
    if service.is_draining() {
        return Err(Failure::overloaded());
    }
    // A record that nobody writes, of an org that nobody has: the read goes to the store, past every cache.
    let nobody: OrgId = "000000000000000000000000".parse().map_err(strongroom::Error::from)?;
    let records =
        service.org(nobody, Environment::test()).records("ready".parse().map_err(strongroom::Error::from)?);
    records.get(&"ready".parse().map_err(strongroom::Error::from)?).await?;
    Ok("ready")
}

/// Everything that is counted, in the OpenMetrics text format.
pub(crate) async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let caches = caches::registry(&service.inner.vault.cache_stats());
    ([(header::CONTENT_TYPE, kind)], service.inner.metrics.text_with(&caches))
}
