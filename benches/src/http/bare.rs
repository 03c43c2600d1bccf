//! The floor: handlers that read what the service's read, and answer a body that is already there.

use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;

#[derive(Deserialize)]
struct Params {
    #[allow(dead_code, reason = "it is parsed")]
    linked_account_id: Option<String>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "they are parsed")]
struct SetBody {
    variable_definition_id: Option<String>,
    value: String,
}

/// Every measured call answers `body`.
pub(super) fn router(body: Bytes) -> Router {
    let [got, set, upserted] = [body.clone(), body.clone(), body];
    let get_value =
        async move |Path(_): Path<String>, Query(_): Query<Params>, headers: HeaderMap| answer(&headers, got);
    let set_value = async move |Query(_): Query<Params>, headers: HeaderMap, Json(_): Json<SetBody>| {
        answer(&headers, set)
    };
    let upsert = async move |Path(_): Path<String>, headers: HeaderMap, Json(_): Json<SetBody>| {
        answer(&headers, upserted)
    };
    Router::new()
        .route("/api/v2/public/env/value/{definition_id}", get(get_value))
        .route("/api/v2/public/env/values", post(set_value))
        .route("/api/v2/public/linked-account/default-app/auth-credentials/{key}", put(upsert))
}

fn answer(headers: &HeaderMap, body: Bytes) -> Response {
    std::hint::black_box((headers.get("x-api-key"), headers.get("linked_account_id")));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
