//! Credentials of the default app.

use axum::Json;
use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::error::Failure;
use crate::openapi::Failures;
use crate::request::{Body, Query, Segment, Stated, json_text};

/// A credential to be kept.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpsertCredential {
    /// Any JSON; what is not a string is kept as its exact source text.
    #[serde(default, deserialize_with = "any")]
    #[schema(required, value_type = Value)]
    value: Option<Box<RawValue>>,
    /// May come as header or in the query instead.
    #[schema(nullable = false)]
    linked_account_id: Option<String>,
}

/// Whose credential.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountParams {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
}

/// A credential that is now kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialUpserted {
    success: bool,
    message: String,
    /// `added` or `updated`.
    action: &'static str,
}

/// Adds or updates a credential of the default app
#[utoipa::path(
    put, path = "/linked-account/default-app/auth-credentials/{key}", tag = "credentials",
    request_body = UpsertCredential,
    params(("key" = String, Path), AccountParams, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = CredentialUpserted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn upsert(
    caller: Caller,
    Segment(key): Segment,
    headers: HeaderMap,
    Query(query): Query<AccountParams>,
    Body(body): Body<UpsertCredential>,
) -> Result<Json<CredentialUpserted>, Failure> {
    let stated = Stated::in_header(&headers)?
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = caller.require_linked_account(&stated)?;
    let value = body.value.ok_or(Failure::required("value"))?;
    let action = account.upsert_credential(&key, json_text(&value)?).await?.as_str();
    let message = format!("Auth credential '{key}' {action} successfully");
    Ok(Json(CredentialUpserted { success: true, message, action }))
}

/// A field that was given, `null` included.
fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}
