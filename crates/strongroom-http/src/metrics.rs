//! Prometheus metrics of requests, in addition to those of the vault: counts and durations, never a value or a name.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use strongroom_metrics::VaultMetrics;

/// The counters of a service and of the store under it. Cheap to clone; every clone counts into the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    requests_in_flight: Gauge,
    notes_lost: Counter,
    vault: VaultMetrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Pattern,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: Pattern,
}

/// The pattern that the path of a request matched, never the path.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Option<MatchedPath>);

impl Metrics {
    /// Counters, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let requests = Family::default();
        let request_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let requests_in_flight = Gauge::default();
        let notes_lost = Counter::default();
        let mut registry = Registry::with_prefix("strongroom");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The release of this service", build);
        registry.register("http_requests", "Requests by route and status", Clone::clone(&requests));
        let help = "Time to answer a request";
        registry.register_with_unit("http_request", help, Unit::Seconds, Clone::clone(&request_seconds));
        registry.register("http_requests_in_flight", "Requests at work", requests_in_flight.clone());
        registry.register("audit_notes_lost", "Reads that were not noted in the audit", notes_lost.clone());
        let vault = VaultMetrics::new();
        Self(Arc::new(Inner { registry, requests, request_seconds, requests_in_flight, notes_lost, vault }))
    }

    /// The counters of the vault and of the store under it, which [`MeasuredStore`](crate::MeasuredStore) and
    /// [`VaultOptions::observer`](strongroom::VaultOptions::observer) take.
    #[must_use]
    pub fn vault(&self) -> &VaultMetrics {
        &self.0.vault
    }

    /// All counters in the OpenMetrics text format. At `/metrics` a service also has those of the vault's caches.
    #[must_use]
    pub fn text(&self) -> String {
        self.text_with(&[])
    }

    /// The same, followed by the metrics of each of `more`.
    pub(crate) fn text_with(&self, more: &[Registry]) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &self.0.registry);
        text += &self.0.vault.families();
        for registry in more {
            let _ = encode_registry(&mut text, registry);
        }
        let _ = encode_eof(&mut text);
        text
    }

    /// Counts a request as in progress until the returned value is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.0.requests_in_flight.inc();
        InFlight(self.0.requests_in_flight.clone())
    }

    /// Counts the response to a request.
    pub(crate) fn answered(&self, method: &Method, route: Pattern, status: u16, time: Duration) {
        let method = method_name(method);
        let labels = RequestLabels { method, route: route.clone(), status };
        self.0.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { method, route };
        self.0.request_seconds.get_or_create(&labels).observe(time.as_secs_f64());
    }

    /// Counts reads that were answered but not noted.
    pub(crate) fn lost_notes(&self, count: usize) {
        self.0.notes_lost.inc_by(count as u64);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// A request in progress.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Pattern {
    /// The pattern of a request that has passed the router.
    pub(crate) fn of(request: &Request) -> Self {
        Self(request.extensions().get::<MatchedPath>().cloned())
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_ref().map_or("unmatched", MatchedPath::as_str)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Pattern {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// From 50 µs to 13 s: from a read of a warm cache to a request that is about to time out.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 4.0, 10))
}

/// A closed list: a label that a caller could choose would make the metrics grow without limit.
fn method_name(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let names = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    known.iter().zip(names).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}
