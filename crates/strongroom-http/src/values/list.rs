//! Listing the values of a scope.

use axum::Json;
use strongroom::{DefinitionId, Error, Org, PageRequest, Scope, ScopeKind, ScopedValue};

use super::wire::{ValueDefinition, ValueDoc, ValueList, ValuesQuery};
use super::{REDACTED, SUCCESS, scope_id_required, stated_workflow};
use crate::caller::Caller;
use crate::definitions::{self, wire_scope};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::page::PageNumber;
use crate::request::{AccountHeader, Body, Query, Segment, Stated, StatedBody};
use crate::time;

/// Lists the values of a scope, redacted
///
/// Sorted by `_id`.
#[utoipa::path(
    get, context_path = BASE, path = "/env/values/{scope_or_id}", tag = "variables",
    params(
        ("scope_or_id" = String, Path, description = "`org` (or `workspace`), `linked_account` or `workflow`"),
        ValuesQuery, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueList), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn list(
    caller: Caller,
    Segment(scope): Segment,
    header: AccountHeader,
    Query(query): Query<ValuesQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<ValueList>, Failure> {
    let number = PageNumber::parse(query.page.as_deref(), query.limit.as_deref())?;
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let workflow = stated_workflow(query.workflow_id.as_deref(), body.workflow_id.as_deref())?;
    let kind = definitions::parse_scope(&scope)?;
    let scope = listed_scope(&caller, kind, &stated, workflow)?;
    let values = match &query.variable_definition_id {
        Some(id) => value_of(&caller, id, &scope).await?.into_iter().collect(),
        None => all_values(&caller, &scope).await?,
    };
    let total_docs = values.len();
    let mut docs = Vec::with_capacity(number.limit.min(total_docs));
    for value in number.cut(values) {
        // Only for those of this page, since each reads its definition.
        docs.extend(ValueDoc::of(caller.org(), &value).await?);
    }
    let PageNumber { page, limit } = number;
    Ok(Json(ValueList { status: SUCCESS, docs, total_docs, limit, page }))
}

/// The scope whose values to list. A token reaches only those of its own account.
fn listed_scope(
    caller: &Caller,
    kind: ScopeKind,
    stated: &Stated<'_>,
    workflow: Option<&str>,
) -> Result<Scope, Failure> {
    let (account, workflow) = (caller.linked_account(stated)?, caller.workflow(workflow)?);
    match (caller, kind) {
        (Caller::Token(_) | Caller::Key(_), ScopeKind::LinkedAccount) => account.map(Scope::LinkedAccount),
        // Refused before anything is read, so that nothing reveals whether there is such a value.
        (Caller::Token(_), ScopeKind::Org | ScopeKind::Workflow) => return Err(Failure::not_own_scope()),
        (Caller::Key(_), ScopeKind::Workflow) => workflow.map(Scope::Workflow),
        (Caller::Key(_), ScopeKind::Org) => Some(Scope::Org),
    }
    .ok_or_else(|| scope_id_required(kind))
}

/// The value of a definition at a scope, if both exist.
async fn value_of(caller: &Caller, definition: &str, scope: &Scope) -> Result<Option<ScopedValue>, Failure> {
    // A filter that names nothing matches nothing.
    let Ok(definition) = definition.parse::<DefinitionId>() else { return Ok(None) };
    let found = match caller {
        Caller::Key(holder) => holder.org.value(definition, scope).await,
        Caller::Token(holder) => holder.account.value(definition).await,
    };
    match found {
        Err(Error::DefinitionNotFound(_)) => Ok(None),
        found => found.map_err(|error| caller.failure(error)),
    }
}

/// The values of a scope. One page of the engine holds them all: a scope has at most one value of each definition, and
/// an org at most a page of definitions.
async fn all_values(caller: &Caller, scope: &Scope) -> Result<Vec<ScopedValue>, Failure> {
    let page = PageRequest::first(PageRequest::LIMIT_MAX);
    let listed = match caller {
        Caller::Key(holder) => holder.org.values(scope, page).await,
        Caller::Token(holder) => holder.account.values(page).await,
    };
    let mut values = listed.map_err(|error| caller.failure(error))?.items;
    values.sort_unstable_by_key(|value| value.id);
    Ok(values)
}

impl ValueDoc {
    /// `None` for a value whose definition was just deleted.
    async fn of(org: &Org, value: &ScopedValue) -> Result<Option<Self>, Failure> {
        let Some(stored) = org.definition(value.definition_id).await? else { return Ok(None) };
        let definition = stored.definition;
        let scope = wire_scope(definition.scopes);
        let (name, encrypted) = (definition.name, definition.encrypted);
        Ok(Some(Self {
            id: value.id,
            variable_definition_id: ValueDefinition { id: stored.id, name, scope, encrypted },
            value: REDACTED,
            updated_at: time::iso(value.updated_at),
        }))
    }
}
