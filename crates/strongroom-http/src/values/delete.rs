//! Deleting values.

use axum::Json;
use strongroom::{Account, DocumentId, Scope};

use super::wire::{ValueDeleted, ValueQuery};
use super::{SUCCESS, stated_workflow};
use crate::caller::Caller;
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::request::{AccountHeader, Body, Query, Segment, Stated, StatedBody};

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
    Body(body): Body<StatedBody>,
) -> Result<Json<ValueDeleted>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = caller.linked_account(&stated)?.map(|account| caller.account(account));
    let workflow = stated_workflow(query.workflow_id.as_deref(), body.workflow_id.as_deref())?;
    let workflow = caller.workflow(workflow)?.map(Scope::Workflow);
    let removed = remove(&caller, &id, account.as_ref(), workflow.as_ref()).await;
    removed.map(Json).map_err(Failure::with_error_code)
}

/// Deletes a value, if it belongs to the named account or workflow.
async fn remove(
    caller: &Caller,
    id: &str,
    account: Option<&Account>,
    workflow: Option<&Scope>,
) -> Result<ValueDeleted, Failure> {
    let (id, org) = (id.parse::<DocumentId>().map_err(|_| Failure::value_not_found())?, caller.org());
    // Someone else's value is not found rather than refused, so that an id reveals nothing.
    let found = match account {
        Some(account) => account.value_by_id(&id).await,
        None => org.value_by_id(&id).await,
    };
    let found = found.map_err(|error| caller.failure(error))?;
    let found = found.filter(|found| workflow.is_none_or(|scope| found.scope == *scope));
    let found = found.ok_or_else(Failure::value_not_found)?;
    // Read before the delete: the response names it.
    let definition = org.definition(found.definition_id).await?.ok_or_else(Failure::value_not_found)?;
    let deleted = match account {
        Some(account) => account.delete_value_by_id(&id).await,
        None => org.delete_value_by_id(&id).await,
    };
    deleted.map_err(|error| caller.failure(error))?.ok_or_else(Failure::value_not_found)?;
    let name = definition.definition.name;
    let message = format!("Variable value for \"{name}\" deleted successfully");
    Ok(ValueDeleted { status: SUCCESS, message })
}
