//! Health, readiness and metrics.

use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
#[cfg(feature = "tls")]
use prometheus_client::registry::Unit;
use strongroom::PageRequest;

use crate::caches;
use crate::error::Failure;
use crate::process;
use crate::service::Service;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// The process is alive, and not in a state that only a restart ends.
pub(crate) async fn healthz(State(service): State<Service>) -> Result<&'static str, Failure> {
    if service.inner.health.is_stuck() { Err(Failure::overloaded()) } else { Ok("ok") }
}

/// The store can be read and written, and the service is not about to stop.
pub(crate) async fn readyz(State(service): State<Service>) -> Result<&'static str, Failure> {
    if service.is_draining() {
        return Err(Failure::overloaded());
    }
    service.check_ready().await.map(|()| "ready")
}

/// Everything that is counted, in the OpenMetrics text format.
pub(crate) async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let vault = service.vault();
    let mut more = vec![caches::registry(&vault.cache_stats()), process::registry()];
    // If a store does not answer at once, no jobs are shown; its own counts show that it does not.
    let jobs = vault.jobs(PageRequest::first(PageRequest::LIMIT_MAX));
    if let Ok(Ok(jobs)) = tokio::time::timeout(JOBS_PATIENCE, jobs).await {
        more.push(jobs_registry(jobs.items.len()));
    }
    #[cfg(feature = "tls")]
    more.extend(service.inner.tls.get().map(certificate_registry));
    ([(header::CONTENT_TYPE, kind)], service.inner.metrics.text_with(&more))
}

/// A scrape must not wait for a slow store.
const JOBS_PATIENCE: Duration = Duration::from_millis(250);

fn jobs_registry(unfinished: usize) -> Registry {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(unfinished).unwrap_or(i64::MAX));
    let mut registry = Registry::with_prefix("strongroom");
    registry.register("jobs_unfinished", "Jobs that are not finished, at most 1,000", gauge);
    registry
}

#[cfg(feature = "tls")]
fn certificate_registry(tls: &Tls) -> Registry {
    let not_after = tls.not_after().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(not_after).unwrap_or(i64::MAX));
    let mut registry = Registry::with_prefix("strongroom");
    let help = "When the certificate of the server expires, since 1970";
    registry.register_with_unit("tls_certificate_not_after", help, Unit::Seconds, gauge);
    registry
}
