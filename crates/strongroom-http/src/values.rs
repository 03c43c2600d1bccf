//! Scoped values: set, get, list and delete.

use axum::Json;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use strongroom::{
    DefinitionId, DocumentId, Environment, LinkedAccountId, Org, OrgId, PageRequest, Scope, ScopeKind,
    ScopePath, ScopedValue, StoredDefinition, WorkflowId, WriteOptions,
};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use crate::auth::Caller;
use crate::definitions::{self, wire_scope};
use crate::error::Failure;
use crate::openapi::Failures;
use crate::page::PageNumber;
use crate::request::{Body, Query, SecretText, Segment, Stated};
use crate::time;

/// A value to be set.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetValue {
    #[schema(required, nullable = false, example = "6500a1b2c3d4e5f6a7b8c9d0")]
    variable_definition_id: Option<String>,
    #[schema(required, nullable = false, value_type = String)]
    value: Option<SecretText>,
    /// Sets the value of this account; may come as header or in the query instead.
    #[schema(nullable = false)]
    linked_account_id: Option<String>,
    /// Sets the value of this workflow.
    #[schema(nullable = false)]
    workflow_id: Option<String>,
}

/// A value that was set. Ciphertext, if the definition is encrypted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueSet {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DocumentId,
    #[schema(value_type = String)]
    variable_definition_id: DefinitionId,
    #[schema(value_type = String)]
    org_id: OrgId,
    #[schema(value_type = String)]
    environment: Environment,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    linked_account_id: Option<LinkedAccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    workflow_id: Option<WorkflowId>,
    #[schema(value_type = String)]
    value: Zeroizing<String>,
    #[serde(rename = "createdAt")]
    created_at: String,
}

/// Where to look.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeParams {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
}

/// A value as a run sees it. `[REDACTED]`, if the definition is encrypted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueFound {
    #[schema(value_type = String)]
    value: Zeroizing<String>,
    encrypted: bool,
    name: String,
    /// Where it was found: `workflow`, `linked_account`, `org` or `default`.
    scope: &'static str,
    #[schema(value_type = String)]
    variable_definition_id: DefinitionId,
}

/// Which values to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    #[param(required = false, value_type = String)]
    variable_definition_id: Option<String>,
    /// Required for `linked_account` scope; may come as header instead.
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    /// Required for `workflow` scope.
    #[param(required = false, value_type = String)]
    workflow_id: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    limit: Option<String>,
}

/// The values of a scope.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueList {
    status: &'static str,
    docs: Vec<ValueDoc>,
    #[serde(rename = "totalDocs")]
    total_docs: usize,
    limit: usize,
    page: usize,
}

/// A value in a list, never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DocumentId,
    variable_definition_id: ValueDefinition,
    /// Always `[REDACTED]`.
    value: &'static str,
    #[serde(rename = "updatedAt")]
    updated_at: String,
}

/// Of which definition a value is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDefinition {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DefinitionId,
    name: String,
    #[schema(value_type = String)]
    scope: ScopeKind,
    encrypted: bool,
}

/// Whose value to delete.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountParams {
    /// Refuses a value that is not this account's own.
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
}

/// A value that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDeleted {
    status: &'static str,
    message: String,
}

/// Sets the value of a variable at one scope
///
/// Adds the value, or updates it and keeps its id and creation time.
#[utoipa::path(
    post, path = "/env/values", tag = "variables", request_body = SetValue,
    params(("linked_account_id" = Option<String>, Header), ("linked_account_id" = Option<String>, Query)),
    responses((status = 200, body = ValueSet), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn set(
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ScopeParams>,
    Body(body): Body<SetValue>,
) -> Result<Json<ValueSet>, Failure> {
    let stated = Stated::in_header(&headers)?
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let scope = target_scope(&caller, &stated, body.workflow_id.as_deref())?;
    let id = body.variable_definition_id.ok_or(Failure::required("variable_definition_id"))?;
    let SecretText(value) = body.value.ok_or(Failure::required("value"))?;
    let definition = definitions::visible(&caller, &id).await?;
    refuse_other_scope(&definition, scope.kind())?;

    // What is not encrypted is answered as it was given.
    let shown = (!definition.definition.encrypted).then(|| Zeroizing::new(value.expose().to_owned()));
    let org = caller.org();
    let options = WriteOptions::default().with_ciphertext();
    let written = org.set_value_with(definition.id, scope, value, options).await?;
    let value = written.ciphertext.map(Zeroizing::new).or(shown);
    let (linked_account_id, workflow_id) = match written.scope {
        Scope::Org => (None, None),
        Scope::LinkedAccount(id) => (Some(id), None),
        Scope::Workflow(id) => (None, Some(id)),
    };
    Ok(Json(ValueSet {
        id: written.id,
        variable_definition_id: written.definition_id,
        org_id: *org.id(),
        environment: org.environment().clone(),
        linked_account_id,
        workflow_id,
        value: value.unwrap_or_else(redacted),
        created_at: time::iso(written.created_at),
    }))
}

/// The value of a variable
///
/// With an API key: that of the workflow, else of the linked account, else of the org, else the default. With a
/// session token: that of the token's own account.
#[utoipa::path(
    get, path = "/env/value/{definition_id}", tag = "variables",
    params(
        ("definition_id" = String, Path), ScopeParams, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueFound), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn get(
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    Query(query): Query<ScopeParams>,
) -> Result<Json<ValueFound>, Failure> {
    let stated = Stated::in_header(&headers)?.or_query(query.linked_account_id.as_deref());
    find(&caller, &id, &stated, query.workflow_id.as_deref())
        .await
        .map(Json)
        .map_err(Failure::with_error_code)
}

/// Lists the values of a scope, redacted
///
/// Sorted by the `_id` of their definitions.
#[utoipa::path(
    get, path = "/env/values/{scope_or_id}", tag = "variables",
    params(
        ("scope_or_id" = String, Path, description = "`org` (or `workspace`), `linked_account` or `workflow`"),
        ListParams, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueList), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn list(
    caller: Caller,
    Segment(scope): Segment,
    headers: HeaderMap,
    Query(query): Query<ListParams>,
) -> Result<Json<ValueList>, Failure> {
    let number = PageNumber::parse(query.page.as_deref(), query.limit.as_deref())?;
    let stated = Stated::in_header(&headers)?.or_query(query.linked_account_id.as_deref());
    let kind = definitions::parse_scope(&scope)?;
    let scope = listed_scope(&caller, kind, &stated, query.workflow_id.as_deref())?;
    let values = match &query.variable_definition_id {
        Some(id) => value_of(caller.org(), id, &scope).await?.into_iter().collect(),
        // A scope has no more values than an org has definitions, which is a page of the engine.
        None => caller.org().values(&scope, PageRequest::first(PageRequest::LIMIT_MAX)).await?.items,
    };
    let total_docs = values.len();
    let mut docs = Vec::with_capacity(number.limit.min(total_docs));
    for value in number.cut(values) {
        docs.extend(ValueDoc::of(caller.org(), &value).await?);
    }
    let PageNumber { page, limit } = number;
    Ok(Json(ValueList { status: SUCCESS, docs, total_docs, limit, page }))
}

/// Deletes a value by its id
#[utoipa::path(
    delete, path = "/env/values/{scope_or_id}", tag = "variables",
    params(
        ("scope_or_id" = String, Path, description = "The `_id` of a value"),
        AccountParams, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueDeleted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn delete(
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    Query(query): Query<AccountParams>,
) -> Result<Json<ValueDeleted>, Failure> {
    let stated = Stated::in_header(&headers)?.or_query(query.linked_account_id.as_deref());
    let account = caller.linked_account(&stated)?;
    remove(caller.org(), &id, account).await.map(Json).map_err(Failure::with_error_code)
}

/// Deletes a value, if it is the account's own where one was named.
async fn remove(org: &Org, id: &str, account: Option<LinkedAccountId>) -> Result<ValueDeleted, Failure> {
    let id: DocumentId = id.parse().map_err(|_| Failure::value_not_found())?;
    let found = org.value_by_id(&id).await?;
    let own = account.map(Scope::LinkedAccount);
    let found = found.filter(|found| own.as_ref().is_none_or(|own| found.scope == *own));
    let found = found.ok_or_else(Failure::value_not_found)?;
    let definition = org.definition(found.definition_id).await?.ok_or_else(Failure::value_not_found)?;
    org.delete_value_by_id(&id).await?.ok_or_else(Failure::value_not_found)?;
    let name = definition.definition.name;
    let message = format!("Variable value for \"{name}\" deleted successfully");
    Ok(ValueDeleted { status: SUCCESS, message })
}

async fn find(
    caller: &Caller,
    id: &str,
    stated: &Stated<'_>,
    workflow: Option<&str>,
) -> Result<ValueFound, Failure> {
    let account = caller.linked_account(stated)?;
    let workflow = caller.workflow(workflow)?;
    let definition = definitions::visible(caller, id).await?;
    let (scope, value) = match caller {
        Caller::Token(caller) => {
            let value = caller.account.value(definition.id).await?;
            (ScopeKind::LinkedAccount.as_str(), value.map(|value| value.value))
        }
        Caller::Key(caller) => {
            let path = account.into_iter().fold(ScopePath::org(), ScopePath::linked_account);
            let path = workflow.into_iter().fold(path, ScopePath::workflow);
            let resolved = caller.org.resolve(definition.id, &path).await?;
            let scope = resolved.as_ref().map_or("org", |resolved| resolved.scope.as_str());
            (scope, resolved.map(|resolved| resolved.value))
        }
    };
    let value = value.ok_or_else(Failure::value_not_found)?;
    let StoredDefinition { id, definition, .. } = definition;
    let shown = if definition.encrypted { redacted() } else { Zeroizing::new(value.expose().to_owned()) };
    let (encrypted, name) = (definition.encrypted, definition.name);
    Ok(ValueFound { value: shown, encrypted, name, scope, variable_definition_id: id })
}

impl Caller {
    /// The workflow that a request names; a token reaches none.
    fn workflow(&self, stated: Option<&str>) -> Result<Option<WorkflowId>, Failure> {
        match (self, stated) {
            (Self::Token(_), Some(_)) => Err(Failure::not_own_scope()),
            (_, stated) => Ok(stated.map(str::parse).transpose().map_err(strongroom::Error::from)?),
        }
    }
}

/// The scope at which a value is to be set: exactly one.
fn target_scope(caller: &Caller, stated: &Stated<'_>, workflow: Option<&str>) -> Result<Scope, Failure> {
    match (caller.linked_account(stated)?, caller.workflow(workflow)?) {
        (None, None) => Ok(Scope::Org),
        (Some(account), None) => Ok(Scope::LinkedAccount(account)),
        (None, Some(workflow)) => Ok(Scope::Workflow(workflow)),
        (Some(_), Some(_)) => {
            Err(Failure::bad_request("linked_account_id and workflow_id must not stand together"))
        }
    }
}

/// The scope whose values are to be listed. A token reaches its own account's alone.
fn listed_scope(
    caller: &Caller,
    kind: ScopeKind,
    stated: &Stated<'_>,
    workflow: Option<&str>,
) -> Result<Scope, Failure> {
    let (account, workflow) = (caller.linked_account(stated)?, caller.workflow(workflow)?);
    match (caller, kind) {
        (_, ScopeKind::LinkedAccount) => account.map(Scope::LinkedAccount),
        (Caller::Token(_), _) => return Err(Failure::not_own_scope()),
        (Caller::Key(_), ScopeKind::Workflow) => workflow.map(Scope::Workflow),
        (Caller::Key(_), ScopeKind::Org) => Some(Scope::Org),
    }
    .ok_or_else(|| scope_id_required(kind))
}

/// The value of a definition at a scope, if there are both.
async fn value_of(org: &Org, definition: &str, scope: &Scope) -> Result<Option<ScopedValue>, Failure> {
    let Ok(definition) = definition.parse::<DefinitionId>() else { return Ok(None) };
    match org.value(definition, scope).await {
        Err(strongroom::Error::DefinitionNotFound(_)) => Ok(None),
        found => Ok(found?),
    }
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

/// Tells a caller that left an id out which one the definition asks for.
fn refuse_other_scope(definition: &StoredDefinition, scope: ScopeKind) -> Result<(), Failure> {
    let allowed = definition.definition.scopes;
    if allowed.allows(scope) {
        return Ok(());
    }
    let mut kinds = allowed.iter();
    Err(match (scope, kinds.next(), kinds.next()) {
        (ScopeKind::Org, Some(only), None) => scope_id_required(only),
        (ScopeKind::Org, ..) => Failure::bad_request("linked_account_id or workflow_id is required"),
        _ => Failure::bad_request(format!("the variable definition allows no value at {scope} scope")),
    })
}

fn scope_id_required(scope: ScopeKind) -> Failure {
    Failure::bad_request(format!("{scope}_id is required for {scope} scope"))
}

fn redacted() -> Zeroizing<String> {
    Zeroizing::new(REDACTED.to_owned())
}

const REDACTED: &str = "[REDACTED]";
const SUCCESS: &str = "success";
