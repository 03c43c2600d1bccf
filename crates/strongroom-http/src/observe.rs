//! The layer around every request: its permit, its time limit, an id, a span, a line in the log, and the metrics.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use axum::routing::future::RouteFuture;
use strongroom::RequestId;
use tower::Layer;
use tower::layer::layer_fn;
use tracing::{Instrument as _, Span};

use crate::control;
use crate::error::{Failure, with_reason};
use crate::load::{ClientAddress, RequestPermit};
use crate::metrics::Pattern;
use crate::service::Service;
#[cfg(feature = "otel")]
use crate::traces::RequestSpan;

/// A route of the service, observed. (`axum::middleware::from_fn` would box the route twice more for each request.)
#[derive(Clone)]
pub(crate) struct Observed {
    route: Route,
    service: Service,
    request_ids: Arc<RequestIds>,
}

impl Observed {
    /// The layer that goes around every route of `service`.
    pub(crate) fn layer(service: Service) -> impl Layer<Route, Service = Self> + Clone {
        let request_ids = Arc::new(RequestIds::default());
        layer_fn(move |route| Self { route, service: service.clone(), request_ids: Arc::clone(&request_ids) })
    }
}

impl tower::Service<Request> for Observed {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route is always ready: too many requests are refused in `call`, with a response.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let service = self.service.clone();
        let seen = Seen::of(&request, &self.request_ids);
        let limits = &service.inner.limits;
        let too_large = header_bytes(request.headers()) > limits.header_bytes_max;
        let client = ClientAddress::of(request.headers(), request.extensions(), limits.proxies);
        let permit = Arc::new(RequestPermit::new(&service.inner.load, client));
        request.extensions_mut().insert(Arc::clone(&permit));
        // Writes of the request name it.
        if let Ok(id) = seen.id.parse::<RequestId>() {
            request.extensions_mut().insert(id);
        }
        // The future does nothing before it is polled, so a request without a permit costs nothing.
        let answer = self.route.call(request);
        Box::pin(async move {
            let (method, route, id) = (&seen.method, seen.route.as_str(), &seen.id);
            let span = tracing::info_span!("request", %method, %route, %id, caller = tracing::field::Empty);
            let unanswered = Unanswered { seen: &seen, service: &service, span: &span };
            let response = if too_large {
                Failure::of_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response()
            } else {
                let answer = admit(&service, &permit, route, answer).instrument(span.clone());
                #[cfg(feature = "otel")]
                let answer = seen.trace.around(answer);
                answer.await
            };
            // Without the time that a refusal is held back, which would look like a slow response.
            let time = seen.start.elapsed();
            if response.status() == StatusCode::TOO_MANY_REQUESTS && !service.is_draining() {
                permit.hold_back().await;
            }
            unanswered.end();
            let is_control = control::path_in(route).is_some();
            let response = if is_control { with_reason(response) } else { response };
            let is_read = seen.method == Method::GET;
            let response = if is_read { permit.count_answer(response) } else { response };
            Ok(seen.finish(&service, &span, time, response))
        })
    }
}

/// Awaits the response of a route, or refuses the request at once if too many are in progress.
async fn admit(
    service: &Service,
    permit: &RequestPermit,
    route: &str,
    answer: RouteFuture<Infallible>,
) -> Response {
    if let Err(refused) = permit.resume()
        && !ALWAYS_ANSWERED.iter().any(|path| route.ends_with(path))
    {
        return refused.into_response();
    }
    let _in_flight = service.inner.metrics.begin();
    // Dropping the future is safe: a write that is cut off is applied or not applied, never half.
    match tokio::time::timeout(service.inner.limits.request_timeout, answer).await {
        Ok(Ok(response)) => response,
        Err(_) => {
            // The store may hang.
            service.watch_outage();
            Failure::overloaded().into_response()
        }
    }
}

/// What the log and the metrics record of a request.
struct Seen {
    start: Instant,
    method: Method,
    route: Pattern,
    id: String,
    #[cfg(feature = "otel")]
    trace: RequestSpan,
}

impl Seen {
    fn of(request: &Request, request_ids: &RequestIds) -> Self {
        let start = Instant::now();
        let id = own_id(request.headers());
        let id = id.map_or_else(|| request_ids.next(), str::to_owned);
        let (method, route) = (request.method().clone(), Pattern::of(request));
        #[cfg(feature = "otel")]
        let trace = RequestSpan::begin(&method, route.as_str(), &id, request.headers());
        Self {
            start,
            method,
            route,
            id,
            #[cfg(feature = "otel")]
            trace,
        }
    }

    /// Counts and logs the response, and adds the headers that every response has.
    fn finish(self, service: &Service, span: &Span, time: Duration, mut response: Response) -> Response {
        if response.extensions().get().is_some_and(Failure::is_root_rotated) {
            service.take_up_root();
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A browser that guessed the type of a response could run what a tenant wrote.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Nothing may run in a response either, whatever its type. Only pages have their own policies.
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING_RUNS));
        if let Ok(id) = HeaderValue::try_from(self.id) {
            headers.insert(REQUEST_ID, id);
        }
        let status = response.status();
        let refused = response.extensions().get::<Failure>();
        if refused.is_some_and(Failure::is_of_outage) {
            service.watch_outage();
        }
        let error = refused.and_then(Failure::cause);
        service.inner.metrics.answered(&self.method, self.route, status.as_u16(), time);
        #[cfg(feature = "otel")]
        self.trace.end(status);
        span.in_scope(|| tracing::info!(status = status.as_u16(), micros = micros(time), error, "answered"));
        response
    }
}

/// A request until there is a response. If dropped, it was cut off: its client went away, or the server stopped.
struct Unanswered<'r> {
    seen: &'r Seen,
    service: &'r Service,
    span: &'r Span,
}

impl Unanswered<'_> {
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let (seen, time) = (self.seen, self.seen.start.elapsed());
        self.service.inner.metrics.answered(&seen.method, seen.route.clone(), CUT_OFF, time);
        self.span.in_scope(|| tracing::info!(status = CUT_OFF, micros = micros(time), "cut off"));
    }
}

/// nginx's status for a request that its client abandoned. No response has it.
const CUT_OFF: u16 = 499;
const NOTHING_RUNS: &str = "default-src 'none'; frame-ancestors 'none'";

/// As a 64-bit number: a larger one is text in JSON.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The caller's own `x-request-id`, if it is a short word: any other text could flood or forge the log.
fn own_id(headers: &HeaderMap) -> Option<&str> {
    let word = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    };
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(word)
}

/// Ids of requests: their number, hashed under a key of this process, so that an id does not reveal how many requests
/// there were.
#[derive(Debug, Default)]
struct RequestIds {
    key: RandomState,
    last: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        // Relaxed: the numbers only have to differ.
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.key.hash_one(number))
    }
}

/// Routes that respond however many requests are in progress: an overloaded service is alive, and must be seen to be
/// overloaded.
const ALWAYS_ANSWERED: [&str; 2] = ["/healthz", "/metrics"];
const REQUEST_ID: &str = "x-request-id";
