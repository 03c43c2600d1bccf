//! The routes of the service.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Failure;
use crate::observe::Observed;
use crate::service::Service;
use crate::{accounts, control, credentials, definitions, openapi, operate, sessions, values};

/// The routes of `service`, to be mounted in an [`axum::Router`] or served as they are: the calls under
/// `/api/v2/public`, their description at `/openapi.json` and `/docs`, and `/healthz`, `/readyz` and `/metrics`, which
/// need no key: keep them from the public where that matters.
pub fn router(service: Service) -> Router {
    let (calls, description) = calls().split_for_parts();
    // A generated description is always valid JSON.
    let description = description.to_json().unwrap_or_default();
    let describe = async move || ([(header::CONTENT_TYPE, "application/json")], description);
    calls
        .route("/openapi.json", get(describe))
        .route("/docs", get(openapi::page))
        .route("/docs.js", get(openapi::script))
        .route("/healthz", get(operate::healthz))
        .route("/readyz", get(operate::readyz))
        .route("/metrics", get(operate::metrics))
        .fallback(async || Failure::of_status(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::of_status(StatusCode::METHOD_NOT_ALLOWED))
        // Last, so that it goes around the fallbacks too.
        .layer(Observed::layer(service.clone()))
        .with_state(service)
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
