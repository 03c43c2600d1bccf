//! Variable definitions: list, get, create, update and delete.

mod wire;

use axum::Json;
use strongroom::{DefinitionId, PageRequest, ScopeKind, Scopes, StoredDefinition};

use self::wire::{
    ChangeDefinition, DefinitionDeleted, DefinitionDoc, DefinitionsQuery, NewDefinition, OneDefinition,
};
use crate::caller::{Caller, KeyCaller};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::page::{PageNumber, Paged};
use crate::request::{Body, Query, Segment};

/// Lists variable definitions
///
/// Sorted by `_id`. A session token sees those that allow a value at `linked_account` scope.
#[utoipa::path(
    get, context_path = BASE, path = "/env/definitions", tag = "variables", params(DefinitionsQuery),
    responses((status = 200, body = Paged<DefinitionDoc>), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<DefinitionsQuery>,
) -> Result<Json<Paged<DefinitionDoc>>, Failure> {
    let number = PageNumber::parse(query.page.as_deref(), query.limit.as_deref())?;
    let filter = query.filter()?;
    // An org has no more definitions in one environment than a page of the engine takes.
    let all = PageRequest::first(PageRequest::LIMIT_MAX);
    let found = match &caller {
        Caller::Key(caller) => caller.org.definitions(&filter, all).await?,
        Caller::Token(_) if query.scope.is_some_and(|scope| scope != ScopeKind::LinkedAccount.as_str()) => {
            return Err(Failure::not_own_scope());
        }
        Caller::Token(caller) => caller.account.definitions(&filter, all).await?,
    };
    let (total, org) = (found.items.len(), *caller.org().id());
    let docs = number.cut(found.items).into_iter().map(|stored| DefinitionDoc::of(org, stored)).collect();
    Ok(Json(Paged::new(docs, total, number)))
}

/// One variable definition
#[utoipa::path(
    get, context_path = BASE, path = "/env/definitions/{id}", tag = "variables", params(("id" = String, Path)),
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn get(caller: KeyCaller, Segment(id): Segment) -> Result<Json<OneDefinition>, Failure> {
    find(&caller, &id).await.map_err(Failure::with_error_code)
}

/// Makes a variable definition
#[utoipa::path(
    post, context_path = BASE, path = "/env/definitions", tag = "variables", request_body = NewDefinition,
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn create(
    caller: KeyCaller,
    Body(body): Body<NewDefinition>,
) -> Result<Json<OneDefinition>, Failure> {
    let definition = body.definition()?;
    let id = caller.org.define(definition).await?;
    find(&caller, &id.to_string()).await
}

/// Changes a variable definition
///
/// The format stays: values would no longer match it.
#[utoipa::path(
    patch, context_path = BASE, path = "/env/definitions/{id}", tag = "variables", request_body = ChangeDefinition,
    params(("id" = String, Path)),
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn update(
    caller: KeyCaller,
    Segment(id): Segment,
    Body(body): Body<ChangeDefinition>,
) -> Result<Json<OneDefinition>, Failure> {
    let id = parse_id(&id).map_err(Failure::with_error_code)?;
    // Refused here, since the engine's change of a definition never touches the format and would ignore it.
    let known = caller.org.definition(id).await?;
    if known.is_some_and(|known| body.names_other_than(&known.definition.var_format)) {
        return Err(Failure::bad_request("var_format cannot be changed: values would no longer match it"));
    }
    let change = body.change()?;
    let changed = caller.org.update_definition(id, change).await;
    let stored = changed.map_err(|error| Failure::from(error).with_error_code())?;
    Ok(Json(OneDefinition { definition: DefinitionDoc::of(*caller.org.id(), stored) }))
}

/// Deletes a variable definition and all its values
#[utoipa::path(
    delete, context_path = BASE, path = "/env/definitions/{id}", tag = "variables", params(("id" = String, Path)),
    responses((status = 200, body = DefinitionDeleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    caller: KeyCaller,
    Segment(id): Segment,
) -> Result<Json<DefinitionDeleted>, Failure> {
    let id = parse_id(&id).map_err(Failure::with_error_code)?;
    let deleted = caller.org.delete_definition(id).await;
    deleted.map_err(|error| Failure::from(error).with_error_code())?;
    Ok(Json(DefinitionDeleted { success: true, message: "Variable definition deleted successfully" }))
}

async fn find(caller: &KeyCaller, id: &str) -> Result<Json<OneDefinition>, Failure> {
    let stored = caller.org.definition(parse_id(id)?).await?.ok_or_else(Failure::definition_not_found)?;
    Ok(Json(OneDefinition { definition: DefinitionDoc::of(*caller.org.id(), stored) }))
}

/// The definition with this id, if the caller may see it: a session token sees those that allow a value at account
/// scope.
pub(crate) async fn visible(caller: &Caller, id: DefinitionId) -> Result<StoredDefinition, Failure> {
    let found = caller.org().definition(id).await?;
    let seen = found.filter(|found| match caller {
        Caller::Key(_) => true,
        Caller::Token(_) => found.definition.scopes.allows(ScopeKind::LinkedAccount),
    });
    seen.ok_or_else(Failure::definition_not_found)
}

/// An id. A text that is not an id names nothing: it is not found rather than refused.
pub(crate) fn parse_id(id: &str) -> Result<DefinitionId, Failure> {
    id.parse().map_err(|_| Failure::definition_not_found())
}

/// The scope with a name. `workspace` means `org`: values never cross environments here.
pub(crate) fn parse_scope(name: &str) -> Result<ScopeKind, Failure> {
    let name = if name == "workspace" { "org" } else { name };
    Ok(name.parse().map_err(strongroom::Error::from)?)
}

/// The scope as the wire names it: the allowed one, or `org` if several are allowed.
pub(crate) fn wire_scope(scopes: Scopes) -> ScopeKind {
    let mut kinds = scopes.iter();
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => only,
        _ => ScopeKind::Org,
    }
}
