//! Variable definitions: list, get, create, update and delete.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strongroom::{
    DefinitionChange, DefinitionFilter, DefinitionId, OrgId, PageRequest, ScopeKind, Scopes,
    StoredDefinition, VarFormat, VariableDefinition,
};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{Caller, KeyCaller};
use crate::error::Failure;
use crate::openapi::Failures;
use crate::page::{PageNumber, Paged};
use crate::request::{Body, Query, Segment, present};
use crate::time;

/// A variable definition.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefinitionDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DefinitionId,
    #[schema(value_type = String)]
    org_id: OrgId,
    name: String,
    /// Empty, if there is none.
    description: String,
    /// The one scope at which values are allowed, or `org` when several are.
    #[schema(value_type = String)]
    scope: ScopeKind,
    var_format: &'static str,
    encrypted: bool,
    /// The id of the API key that made it; empty, if it was not made here.
    created_by: String,
    /// The id of the API key that changed it last.
    updated_by: String,
    #[serde(rename = "createdAt")]
    created_at: String,
    #[serde(rename = "updatedAt")]
    updated_at: String,
}

/// One definition.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneDefinition {
    definition: DefinitionDoc,
}

/// A definition that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefinitionDeleted {
    success: bool,
    message: &'static str,
}

/// Which definitions to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Those that allow a value at this scope: `org`, `linked_account` or `workflow`.
    #[param(required = false, value_type = String)]
    scope: Option<String>,
    #[param(required = false, value_type = String)]
    var_format: Option<String>,
    /// A regular expression that matches anywhere in the name.
    #[param(required = false, value_type = String)]
    name: Option<String>,
    /// Exact names, with commas between them.
    #[param(required = false, value_type = String)]
    names: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    limit: Option<String>,
}

/// A definition to be made.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewDefinition {
    #[schema(required, nullable = false)]
    name: Option<String>,
    /// The name of a format, or an object of one: `{"enum": ["a", "b"]}`. `string` unless given.
    #[schema(nullable = false, value_type = String)]
    var_format: Option<Box<RawValue>>,
    #[schema(nullable = false)]
    description: Option<String>,
    /// Allows values at this scope alone; at all three unless given.
    #[schema(nullable = false, value_type = String)]
    scope: Option<String>,
    #[serde(default)]
    #[schema(required = false)]
    encrypted: bool,
    #[schema(nullable = false)]
    default_value: Option<String>,
    #[serde(default)]
    #[schema(required = false)]
    required: bool,
}

/// What to change of a definition; what is not named stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangeDefinition {
    #[schema(nullable = false)]
    name: Option<String>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[schema(nullable = false)]
    scope: Option<String>,
    /// Can be set, never cleared.
    #[schema(nullable = false)]
    encrypted: Option<bool>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    default_value: Option<Option<String>>,
    #[schema(nullable = false)]
    required: Option<bool>,
}

/// Lists variable definitions
///
/// Sorted by `_id`. A session token sees those that allow a value at `linked_account` scope.
#[utoipa::path(
    get, path = "/env/definitions", tag = "variables", params(ListParams),
    responses((status = 200, body = Paged<DefinitionDoc>), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<ListParams>,
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
        Caller::Token(caller) => caller.account.definitions(filter, all).await?,
    };
    let (total, org) = (found.items.len(), *caller.org().id());
    let docs = number.cut(found.items).into_iter().map(|stored| DefinitionDoc::of(org, stored)).collect();
    Ok(Json(Paged::new(docs, total, number)))
}

/// One variable definition
#[utoipa::path(
    get, path = "/env/definitions/{id}", tag = "variables", params(("id" = String, Path)),
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn get(caller: KeyCaller, Segment(id): Segment) -> Result<Json<OneDefinition>, Failure> {
    find(&caller, &id).await.map_err(Failure::with_error_code)
}

/// Makes a variable definition
#[utoipa::path(
    post, path = "/env/definitions", tag = "variables", request_body = NewDefinition,
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn create(
    caller: KeyCaller,
    Body(body): Body<NewDefinition>,
) -> Result<Json<OneDefinition>, Failure> {
    let definition = body.definition()?.author(caller.key_id.to_string());
    let id = caller.org.define(definition).await?;
    find(&caller, &id.to_string()).await
}

/// Changes a variable definition
///
/// The format stays: values would no longer match it.
#[utoipa::path(
    patch, path = "/env/definitions/{id}", tag = "variables", request_body = ChangeDefinition,
    params(("id" = String, Path)),
    responses((status = 200, body = OneDefinition), Failures), security(("api_key" = [])),
)]
pub(crate) async fn update(
    caller: KeyCaller,
    Segment(id): Segment,
    Body(body): Body<ChangeDefinition>,
) -> Result<Json<OneDefinition>, Failure> {
    let id = parse_id(&id).map_err(Failure::with_error_code)?;
    let change = body.change()?.author(caller.key_id.to_string());
    let changed = caller.org.update_definition(id, change).await;
    let stored = changed.map_err(|error| Failure::from(error).with_error_code())?;
    Ok(Json(OneDefinition { definition: DefinitionDoc::of(*caller.org.id(), stored) }))
}

/// Deletes a variable definition and all its values
#[utoipa::path(
    delete, path = "/env/definitions/{id}", tag = "variables", params(("id" = String, Path)),
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

/// The definition with this id, if the caller may know of it: a session token sees those that allow a value at account
/// scope.
pub(crate) async fn visible(caller: &Caller, id: &str) -> Result<StoredDefinition, Failure> {
    let found = caller.org().definition(parse_id(id)?).await?;
    let seen = found.filter(|found| match caller {
        Caller::Key(_) => true,
        Caller::Token(_) => found.definition.scopes.allows(ScopeKind::LinkedAccount),
    });
    seen.ok_or_else(Failure::definition_not_found)
}

/// A text that is no id is the id of nothing.
fn parse_id(id: &str) -> Result<DefinitionId, Failure> {
    id.parse().map_err(|_| Failure::definition_not_found())
}

/// The scope of a name. `workspace` means `org`: values never cross environments here.
pub(crate) fn parse_scope(name: &str) -> Result<ScopeKind, Failure> {
    let name = if name == "workspace" { "org" } else { name };
    Ok(name.parse().map_err(strongroom::Error::from)?)
}

/// The scope as the wire names it: the one that is allowed, or `org` when several are.
pub(crate) fn wire_scope(scopes: Scopes) -> ScopeKind {
    let mut kinds = scopes.iter();
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => only,
        _ => ScopeKind::Org,
    }
}

impl ListParams {
    fn filter(&self) -> Result<DefinitionFilter, Failure> {
        let mut filter = DefinitionFilter::all();
        if let Some(scope) = &self.scope {
            filter = filter.scope(parse_scope(scope)?);
        }
        if let Some(format) = &self.var_format {
            filter = filter.format(format);
        }
        if let Some(pattern) = &self.name {
            filter = filter.name_pattern(pattern)?;
        }
        if let Some(names) = self.names.as_ref().filter(|names| !names.is_empty()) {
            filter = filter.names(names.split(',').map(|name| name.trim().to_owned()));
        }
        Ok(filter)
    }
}

impl NewDefinition {
    fn definition(self) -> Result<VariableDefinition, Failure> {
        let name = self.name.ok_or(Failure::required("name"))?;
        let format = match &self.var_format {
            Some(format) => serde_json::from_str(format.get())
                .map_err(|_| Failure::bad_request("var_format is not a format"))?,
            None => VarFormat::String,
        };
        let mut definition = VariableDefinition::new(name, format);
        definition.description = self.description;
        definition.default = self.default_value;
        definition.encrypted = self.encrypted;
        definition.required = self.required;
        if let Some(scope) = &self.scope {
            definition.scopes = Scopes::only(parse_scope(scope)?);
        }
        Ok(definition)
    }
}

impl ChangeDefinition {
    fn change(self) -> Result<DefinitionChange, Failure> {
        let mut change = DefinitionChange::new();
        if let Some(name) = self.name {
            change = change.name(name);
        }
        change = match self.description {
            Some(Some(text)) => change.description(text),
            Some(None) => change.no_description(),
            None => change,
        };
        change = match self.default_value {
            Some(Some(text)) => change.default_value(text),
            Some(None) => change.no_default_value(),
            None => change,
        };
        change = match self.required {
            Some(true) => change.required(),
            Some(false) => change.optional(),
            None => change,
        };
        if let Some(scope) = &self.scope {
            change = change.scopes(Scopes::only(parse_scope(scope)?));
        }
        match self.encrypted {
            Some(true) => Ok(change.encrypted()),
            Some(false) => Err(Failure::bad_request("encrypted can be set, never cleared")),
            None => Ok(change),
        }
    }
}

impl DefinitionDoc {
    fn of(org_id: OrgId, stored: StoredDefinition) -> Self {
        let definition = stored.definition;
        Self {
            id: stored.id,
            org_id,
            name: definition.name,
            description: definition.description.unwrap_or_default(),
            scope: wire_scope(definition.scopes),
            var_format: definition.var_format.name(),
            encrypted: definition.encrypted,
            created_by: stored.created_by.unwrap_or_default(),
            updated_by: definition.author.unwrap_or_default(),
            created_at: time::iso(stored.created_at),
            updated_at: time::iso(stored.updated_at),
        }
    }
}
