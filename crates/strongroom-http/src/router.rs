//! The routes of the service.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::Failure;
use crate::service::Service;
use crate::{accounts, credentials, definitions, sessions, values};

/// The routes of `service`, to be mounted in an [`axum::Router`] or served as they are.
pub fn router(service: Service) -> Router {
    let calls = OpenApiRouter::new()
        .routes(routes!(values::set))
        .routes(routes!(values::get))
        .routes(routes!(values::list, values::delete))
        .routes(routes!(definitions::list, definitions::create))
        .routes(routes!(definitions::get, definitions::update, definitions::delete))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::upsert, credentials::delete))
        .routes(routes!(accounts::list, accounts::create, accounts::upsert))
        .routes(routes!(accounts::get, accounts::delete))
        .routes(routes!(accounts::delete_integration))
        .routes(routes!(accounts::active))
        .routes(routes!(sessions::issue))
        .routes(routes!(sessions::revoke));
    let (calls, _) = OpenApiRouter::new().nest("/api/v2/public", calls).split_for_parts();
    calls
        .fallback(async || Failure::of_status(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::of_status(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(service.inner.limits.body_bytes_max))
        .with_state(service)
}
