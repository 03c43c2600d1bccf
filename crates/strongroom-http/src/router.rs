//! The routes of the service.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Failure, REASON_HEADER, with_reason};
use crate::observe::Observed;
use crate::service::Service;
use crate::{accounts, console, control, credentials, definitions, openapi, operate, sessions, values};

/// The routes of `service`, to be mounted in an [`axum::Router`] or served as they are: the calls under
/// `/api/v2/public`, their description at `/openapi.json` and `/docs`, and `/healthz`, `/readyz` and `/metrics`, which
/// need no key: keep them from the public if that matters.
pub fn router(service: Service) -> Router {
    let (calls, description) = calls().split_for_parts();
    // A generated description is always valid JSON.
    let description = description.to_json().unwrap_or_default();
    let describe = async move || ([(header::CONTENT_TYPE, "application/json")], description);
    let console = if service.inner.logins.is_some() { console::routes() } else { Router::new() };
    let app = calls
        .merge(console)
        .route("/openapi.json", get(describe))
        .route("/docs", get(openapi::page))
        .route("/docs/start.js", get(openapi::start))
        .route("/docs/swagger-ui.js", get(openapi::script))
        .route("/docs/swagger-ui.css", get(openapi::style))
        .route("/healthz", get(operate::healthz))
        .route("/readyz", get(operate::readyz))
        .route("/metrics", get(operate::metrics))
        .fallback(no_such_call)
        .method_not_allowed_fallback(async || Failure::of_status(StatusCode::METHOD_NOT_ALLOWED));
    // After them, so that it also wraps the fallbacks.
    let app = app.layer(Observed::layer(service.clone()));
    // Last, so that a page can also read the refusals of an overloaded service.
    let app = match cors(&service) {
        Some(layer) => app.layer(layer),
        None => app,
    };
    app.with_state(service)
}

/// Also gives a reason for a path below that of the control calls, although it is not one of them.
async fn no_such_call(uri: Uri) -> Response {
    let refused = Failure::of_status(StatusCode::NOT_FOUND).into_response();
    if uri.path().starts_with(control::BASE) { with_reason(refused) } else { refused }
}

/// The origins whose pages may call; `None` for none. Without it, no response has a CORS header.
fn cors(service: &Service) -> Option<CorsLayer> {
    if service.inner.origins.is_empty() {
        return None;
    }
    let named = ["x-api-key", "linked_account_id", "x-request-id"].map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_origin(service.inner.origins.clone())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(
            named.into_iter().chain([header::AUTHORIZATION, header::CONTENT_TYPE]).collect::<Vec<_>>(),
        )
        .expose_headers(["x-request-id", REASON_HEADER, "retry-after"].map(HeaderName::from_static))
        .max_age(Duration::from_secs(600));
    Some(layer)
}

/// The calls of the contract, with the three that matter most first.
fn calls() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(openapi::Outline::openapi())
        .routes(routes!(values::set))
        .routes(routes!(values::get))
        .routes(routes!(credentials::upsert, credentials::delete))
        .routes(routes!(values::list, values::delete))
        .routes(routes!(definitions::list, definitions::create))
        .routes(routes!(definitions::get, definitions::update, definitions::delete))
        .routes(routes!(credentials::list))
        .routes(routes!(accounts::list, accounts::create, accounts::upsert))
        .routes(routes!(accounts::get, accounts::delete))
        .routes(routes!(accounts::delete_integration))
        .routes(routes!(accounts::active))
        .routes(routes!(sessions::issue))
        .routes(routes!(sessions::revoke))
        .merge(control::calls())
}
