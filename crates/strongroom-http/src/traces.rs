//! OpenTelemetry spans: one for each request, and inside it one for each verb of the engine. Feature `otel`.
//!
//! Names and attributes follow OpenTelemetry's semantic conventions for HTTP servers. They hold what the log holds:
//! ids, names and outcomes, never a value, a key or a header.

use std::time::SystemTime;

use axum::http::{HeaderMap, Method, StatusCode};
use opentelemetry::trace::{
    FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _, WithContext,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::HeaderExtractor;
use strongroom::{ErrorKind, Observation, Observer, Outcome};

/// The span of a request, which ends with the request or when the request is dropped.
pub(crate) struct RequestSpan(Context);

impl RequestSpan {
    /// Begins a span in the caller's trace, if the propagator that the host has set finds one in the headers.
    pub(crate) fn begin(method: &Method, route: &str, id: &str, headers: &HeaderMap) -> Self {
        let parent = global::get_text_map_propagator(|from| from.extract(&HeaderExtractor(headers)));
        let tracer = global::tracer(SCOPE);
        // A client may send any word there.
        let method = if method.as_str().len() <= METHOD_LEN_MAX { method.as_str() } else { "_OTHER" };
        let span = tracer
            .span_builder(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("strongroom.request.id", id.to_owned()),
            ])
            .start_with_context(&tracer, &parent);
        Self(parent.with_span(span))
    }

    /// Polls `work` inside the span.
    pub(crate) fn around<F>(&self, work: F) -> WithContext<F> {
        work.with_context(self.0.clone())
    }

    pub(crate) fn end(self, status: StatusCode) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        // By the conventions, an error of the caller is not an error of the server.
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Names the caller in the span of the request that is being polled.
pub(crate) fn note_caller(caller: &str) {
    Context::current().span().set_attribute(KeyValue::new("enduser.id", caller.to_owned()));
}

/// An observer that makes a span for each verb that ends inside a request. Feature `otel`.
///
/// ```
/// use strongroom::VaultOptions;
/// use strongroom_http::{Metrics, VerbSpans};
/// let metrics = Metrics::new();
/// let options = VaultOptions::default().observer((metrics.vault().clone(), VerbSpans));
/// # drop(options);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct VerbSpans;

impl Observer for VerbSpans {
    fn observe(&self, seen: &Observation<'_>) {
        let request = Context::current();
        if !request.span().is_recording() {
            return;
        }
        let end = SystemTime::now();
        let start = end.checked_sub(seen.duration).unwrap_or(end);
        let mut attributes = vec![
            KeyValue::new("strongroom.org", seen.org.to_string()),
            KeyValue::new("strongroom.environment", seen.environment.to_string()),
        ];
        attributes.extend(seen.name().map(|name| KeyValue::new("strongroom.name", name.into_owned())));
        attributes.extend(seen.scope.map(|scope| KeyValue::new("strongroom.scope", scope.to_string())));
        let account = seen
            .linked_account
            .map(|account| KeyValue::new("strongroom.linked_account", account.to_string()));
        attributes.extend(account);
        let integration =
            seen.integration.map(|slug| KeyValue::new("strongroom.integration", slug.to_string()));
        let connection = seen.connection.map(|id| KeyValue::new("strongroom.connection", id.to_string()));
        attributes.extend(integration.into_iter().chain(connection));
        let tracer = global::tracer(SCOPE);
        let span = tracer
            .span_builder(seen.verb)
            .with_kind(SpanKind::Internal)
            .with_start_time(start)
            .with_attributes(attributes)
            .start_with_context(&tracer, &request);
        let ended = request.with_span(span);
        let span = ended.span();
        if seen.outcome != Outcome::Ok {
            span.set_attribute(KeyValue::new("error.type", seen.outcome.as_str()));
        }
        // As above: a wrong request is not an error of the vault.
        if let Outcome::Failed(kind) = seen.outcome
            && !matches!(kind, ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict)
        {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }
}

/// The longest registered methods, such as `UPDATEREDIRECTREF`.
const METHOD_LEN_MAX: usize = 17;
const SCOPE: &str = "strongroom-http";
