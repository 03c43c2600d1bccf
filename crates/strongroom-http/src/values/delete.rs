//! Deleting values.

use axum::Json;
use strongroom::{DocumentId, LinkedAccountId, Org, Scope};

use super::SUCCESS;
use super::wire::{ValueDeleted, ValueQuery};
use crate::caller::Caller;
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::request::{AccountHeader, Query, Segment, Stated};

/// Deletes a value by its id
#[utoipa::path(
    delete, context_path = BASE, path = "/env/values/{scope_or_id}", tag = "variables",
    params(
        ("scope_or_id" = String, Path, description = "The `_id` of a value"),
        ValueQuery, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueDeleted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn delete(
    caller: Caller,
    Segment(id): Segment,
    header: AccountHeader,
    Query(query): Query<ValueQuery>,
) -> Result<Json<ValueDeleted>, Failure> {
    let stated = Stated::in_header(&header).or_query(query.linked_account_id.as_deref());
    let account = caller.linked_account(&stated)?;
    remove(caller.org(), &id, account).await.map(Json).map_err(Failure::with_error_code)
}

/// Deletes a value, if it is the account's own where one was named.
async fn remove(org: &Org, id: &str, account: Option<LinkedAccountId>) -> Result<ValueDeleted, Failure> {
    let id: DocumentId = id.parse().map_err(|_| Failure::value_not_found())?;
    let found = org.value_by_id(&id).await?;
    let own = account.map(Scope::LinkedAccount);
    // Someone else's is not found rather than refused, so that an id shows nothing.
    let found = found.filter(|found| own.as_ref().is_none_or(|own| found.scope == *own));
    let found = found.ok_or_else(Failure::value_not_found)?;
    // Read before the delete: the response names it.
    let definition = org.definition(found.definition_id).await?.ok_or_else(Failure::value_not_found)?;
    org.delete_value_by_id(&id).await?.ok_or_else(Failure::value_not_found)?;
    let name = definition.definition.name;
    let message = format!("Variable value for \"{name}\" deleted successfully");
    Ok(ValueDeleted { status: SUCCESS, message })
}
