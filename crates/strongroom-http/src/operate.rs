//! Health, readiness and metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use strongroom::{Environment, OrgId, PageRequest};

use crate::caches;
use crate::error::Failure;
use crate::process;
use crate::service::Service;

/// The process is alive, and not in a state that only a restart ends.
pub(crate) async fn healthz(State(service): State<Service>) -> Result<&'static str, Failure> {
    if service.inner.health.is_stuck() { Err(Failure::overloaded()) } else { Ok("ok") }
}

/// The store can be read and written, and the service is not about to stop.
pub(crate) async fn readyz(State(service): State<Service>) -> Result<&'static str, Failure> {
    if service.is_draining() {
        return Err(Failure::overloaded());
    }
    // A record that nobody writes, of an org that nobody has: the read goes to the store, past every cache.
    let nobody: OrgId = "000000000000000000000000".parse().map_err(strongroom::Error::from)?;
    let records =
        service.org(nobody, Environment::test()).records("ready".parse().map_err(strongroom::Error::from)?);
    records.get(&"ready".parse().map_err(strongroom::Error::from)?).await?;
    service.check_writes().await?;
    Ok("ready")
}

/// Everything that is counted, in the OpenMetrics text format.
pub(crate) async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let vault = service.vault();
    let mut more = vec![caches::registry(&vault.cache_stats()), process::registry()];
    // A store that does not answer at once has no jobs to show; that it does not is in its own counts.
    let jobs = vault.jobs(PageRequest::first(PageRequest::LIMIT_MAX));
    if let Ok(Ok(jobs)) = tokio::time::timeout(JOBS_PATIENCE, jobs).await {
        more.push(jobs_registry(jobs.items.len()));
    }
    ([(header::CONTENT_TYPE, kind)], service.inner.metrics.text_with(&more))
}

/// A scrape must not wait for a store that is slow.
const JOBS_PATIENCE: Duration = Duration::from_millis(250);

fn jobs_registry(unfinished: usize) -> Registry {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(unfinished).unwrap_or(i64::MAX));
    let mut registry = Registry::with_prefix("strongroom");
    registry.register("jobs_unfinished", "Jobs that are not finished, at most 1,000", gauge);
    registry
}
