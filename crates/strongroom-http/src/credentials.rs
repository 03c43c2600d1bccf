//! Credentials of the default app.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strongroom::{CredentialInfo, CredentialKey, PageRequest};
use utoipa::{IntoParams, ToSchema};

use crate::caller::{Caller, KeyCaller};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::page::{PageNumber, Paged};
use crate::reason::Reason;
use crate::request::{
    AccountHeader, AccountQuery, Body, Query, Segment, Stated, StatedBody, json_text, present,
};
use crate::time;

/// A new credential.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpsertCredential {
    /// Any JSON; anything but a string is kept as its exact source text.
    #[serde(default, deserialize_with = "present")]
    #[schema(required, value_type = Value)]
    value: Option<Box<RawValue>>,
    /// May come as header or in the query instead.
    #[schema(nullable = false)]
    linked_account_id: Option<String>,
}

/// A credential that was added or updated.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialUpserted {
    success: bool,
    message: String,
    /// `added` or `updated`.
    action: &'static str,
}

/// A credential that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialDeleted {
    success: bool,
    message: String,
}

/// Which credentials to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CredentialsQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    limit: Option<String>,
}

/// A credential in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialDoc {
    #[schema(value_type = String)]
    key_name: CredentialKey,
    #[serde(rename = "createdAt")]
    created_at: String,
    #[serde(rename = "updatedAt")]
    updated_at: String,
}

/// Adds or updates a credential of the default app
#[utoipa::path(
    put, context_path = BASE, path = "/linked-account/default-app/auth-credentials/{key}", tag = "credentials",
    request_body = UpsertCredential,
    params(("key" = String, Path), AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = CredentialUpserted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn upsert(
    caller: Caller,
    Segment(key): Segment,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<UpsertCredential>,
) -> Result<Json<CredentialUpserted>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = caller.require_linked_account(&stated)?;
    let value = body.value.ok_or(Failure::required("value"))?;
    let upserted = account.upsert_credential(&key, json_text(&value)?).await;
    let action = upserted.map_err(|error| caller.failure(error))?.action.as_str();
    let message = format!("Auth credential '{key}' {action} successfully");
    Ok(Json(CredentialUpserted { success: true, message, action }))
}

/// Deletes a credential of the default app
#[utoipa::path(
    delete, context_path = BASE, path = "/linked-account/default-app/auth-credentials/{key}", tag = "credentials",
    params(("key" = String, Path), AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = CredentialDeleted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn delete(
    caller: Caller,
    Segment(key): Segment,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<CredentialDeleted>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = caller.require_linked_account(&stated)?;
    if !account.delete_credential(&key).await.map_err(|error| caller.failure(error))? {
        let message = format!("Auth credential key '{key}' not found");
        return Err(Failure::absent(Reason::CredentialNotFound, message));
    }
    let message = format!("Auth credential '{key}' deleted successfully");
    Ok(Json(CredentialDeleted { success: true, message }))
}

/// Lists the key names of the default app's credentials, never their values
///
/// Sorted by key name.
#[utoipa::path(
    get, context_path = BASE, path = "/linked-account/default-app/auth-credentials", tag = "credentials",
    params(CredentialsQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = Paged<CredentialDoc>), Failures), security(("api_key" = [])),
)]
pub(crate) async fn list(
    caller: KeyCaller,
    header: AccountHeader,
    Query(query): Query<CredentialsQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<Paged<CredentialDoc>>, Failure> {
    let number = PageNumber::parse(query.page.as_deref(), query.limit.as_deref())?;
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = Caller::Key(caller).require_linked_account(&stated)?;
    let (mut docs, mut total) = (Vec::new(), 0);
    let mut request = PageRequest::first(PageRequest::LIMIT_MAX);
    // The wire counts pages and documents, the engine continues from a cursor, so all are walked.
    loop {
        let found = account.credentials(request).await?;
        let wanted = number.skip().saturating_sub(total);
        let room = number.limit - docs.len();
        total += found.items.len();
        docs.extend(found.items.into_iter().skip(wanted).take(room).map(CredentialDoc::of));
        let Some(next) = found.next else { break };
        request = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
    Ok(Json(Paged::new(docs, total, number)))
}

impl CredentialDoc {
    fn of(info: CredentialInfo) -> Self {
        Self {
            key_name: info.key_name,
            created_at: time::iso(info.created_at),
            updated_at: time::iso(info.updated_at),
        }
    }
}
