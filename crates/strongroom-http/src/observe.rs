//! What surrounds every request: admission, time, an id, a span, and a line in the log and the metrics.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use crate::error::Failure;
use crate::metrics::Route;
use crate::service::Service;

/// Answers a request, or refuses it at once where the service has too many already.
pub(crate) async fn observe(State(service): State<Service>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let id = own_id(request.headers()).map_or_else(|| service.inner.request_ids.next(), str::to_owned);
    let route = Route::of(&request);
    let span = tracing::info_span!("request", %method, route = %route.as_str(), %id);

    let mut response = answer(&service, request, next).instrument(span.clone()).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    let (status, time) = (response.status(), start.elapsed());
    service.inner.metrics.answered(&method, route, status, time);
    span.in_scope(|| tracing::info!(status = status.as_u16(), micros = time.as_micros(), "answered"));
    response
}

async fn answer(service: &Service, mut request: Request, next: Next) -> Response {
    let Ok(_permit) = service.inner.permits.try_acquire() else {
        return Failure::overloaded().into_response();
    };
    let _in_flight = service.inner.metrics.begin();
    let limits = &service.inner.limits;
    let header_bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes > limits.header_bytes_max {
        return Failure::of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response();
    }
    DefaultBodyLimit::max(limits.body_bytes_max).apply(&mut request);
    // A write that is cut off is applied or not applied, never half.
    match tokio::time::timeout(limits.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::overloaded().into_response(),
    }
}

/// The caller's own `x-request-id`, if it is a short word.
fn own_id(headers: &HeaderMap) -> Option<&str> {
    let word = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    };
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(word)
}

/// New ids of requests. They are numbered, and hashed under a key of this process: an id tells nothing of how many
/// requests there were.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    key: RandomState,
    last: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.key.hash_one(number))
    }
}

const REQUEST_ID: &str = "x-request-id";
