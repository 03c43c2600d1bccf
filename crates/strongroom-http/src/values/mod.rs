//! Scoped values: set, get, list and delete.

mod delete;
mod list;
mod wire;

use axum::Json;
use axum::extract::State;
use strongroom::{
    AuditNote, DefinitionId, Resolved, Scope, ScopeKind, ScopePath, Secret, StoredDefinition, WriteOptions,
};
use zeroize::Zeroizing;

use self::wire::{ScopeQuery, SetValue, ValueFound, ValueSet};
use crate::caller::Caller;
use crate::definitions;
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::request::{AccountHeader, Body, Query, SecretText, Segment, Stated, StatedBody};
use crate::service::Service;
use crate::time;

pub(crate) use delete::{__path_delete, delete};
pub(crate) use list::{__path_list, list};

/// Sets the value of a variable at one scope
///
/// Adds the value, or updates it and keeps its id and creation time.
#[utoipa::path(
    post, context_path = BASE, path = "/env/values", tag = "variables", request_body = SetValue,
    params(ScopeQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = ValueSet), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn set(
    caller: Caller,
    header: AccountHeader,
    Query(query): Query<ScopeQuery>,
    Body(body): Body<SetValue>,
) -> Result<Json<ValueSet>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let workflow = stated_workflow(query.workflow_id.as_deref(), body.workflow_id.as_deref())?;
    let scope = target_scope(&caller, &stated, workflow)?;
    let id = body.variable_definition_id.ok_or(Failure::required("variable_definition_id"))?;
    let SecretText(value) = body.value.ok_or(Failure::required("value"))?;
    // Checked first, since the engine's refusal of a scope would reveal a definition that a token must not see.
    let definition = definitions::visible(&caller, definitions::parse_id(&id)?).await?;
    refuse_other_scope(&definition, scope.kind())?;

    // A value that is not encrypted is returned as it was sent.
    let shown = (!definition.definition.encrypted).then(|| Zeroizing::new(value.expose().to_owned()));
    let org = caller.org();
    let options = WriteOptions::default().with_ciphertext();
    let written = match &caller {
        Caller::Key(holder) => holder.org.set_value_with(definition.id, scope, value, options).await,
        Caller::Token(holder) => holder.account.set_value_with(definition.id, value, options).await,
    };
    let written = written.map_err(|error| caller.failure(error))?;
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
/// With an API key, the first one that exists: of the workflow, of the linked account, of the org, or the default. With
/// a session token, only that of the token's own account.
#[utoipa::path(
    get, context_path = BASE, path = "/env/value/{definition_id}", tag = "variables",
    params(
        ("definition_id" = String, Path), ScopeQuery, ("linked_account_id" = Option<String>, Header),
    ),
    responses((status = 200, body = ValueFound), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn get(
    State(service): State<Service>,
    caller: Caller,
    Segment(id): Segment,
    header: AccountHeader,
    Query(query): Query<ScopeQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<ValueFound>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let workflow = stated_workflow(query.workflow_id.as_deref(), body.workflow_id.as_deref())?;
    let found = find(&service, &caller, &id, &stated, workflow).await;
    found.map(Json).map_err(Failure::with_error_code)
}

async fn find(
    service: &Service,
    caller: &Caller,
    id: &str,
    stated: &Stated<'_>,
    workflow: Option<&str>,
) -> Result<ValueFound, Failure> {
    let account = caller.linked_account(stated)?;
    let workflow = caller.workflow(workflow)?;
    let id = definitions::parse_id(id)?;
    match caller {
        Caller::Token(holder) => {
            let value = holder.account.value(id).await.map_err(|error| caller.failure(error))?;
            // Read after the value: so a definition that was marked encrypted before the value was set is seen as
            // encrypted.
            let StoredDefinition { id, definition, .. } = definitions::visible(caller, id).await?;
            let found = value.ok_or_else(Failure::value_not_found)?;
            if !definition.encrypted {
                service.note_reads(&holder.org, || {
                    vec![AuditNote::value_read(&found).named(&definition.name)]
                })?;
            }
            let value = found.value;
            let scope = ScopeKind::LinkedAccount.as_str();
            Ok(ValueFound::new(id, definition.name, definition.encrypted, scope, &value))
        }
        Caller::Key(holder) => {
            let path = account.into_iter().fold(ScopePath::org(), ScopePath::linked_account);
            let path = workflow.into_iter().fold(path, ScopePath::workflow);
            let resolved = holder.org.resolve(id, &path).await?.ok_or_else(Failure::value_not_found)?;
            if !resolved.encrypted {
                service.note_reads(&holder.org, || vec![AuditNote::resolved(&resolved)])?;
            }
            let Resolved { definition_id, name, encrypted, scope, value, .. } = resolved;
            Ok(ValueFound::new(definition_id, name, encrypted, scope.as_str(), &value))
        }
    }
}

impl ValueFound {
    fn new(id: DefinitionId, name: String, encrypted: bool, scope: &'static str, value: &Secret) -> Self {
        let shown = if encrypted { redacted() } else { Zeroizing::new(value.expose().to_owned()) };
        Self { value: shown, encrypted, name, scope, variable_definition_id: id }
    }
}

/// The workflow of a request that may name it twice. One in the query counts too: if it were ignored, the value would
/// be set for the whole org.
fn stated_workflow<'r>(query: Option<&'r str>, body: Option<&'r str>) -> Result<Option<&'r str>, Failure> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => {
            Err(Failure::bad_request("workflow_id differs between query and body"))
        }
        (query, body) => Ok(body.or(query)),
    }
}

/// The scope at which to set a value: exactly one.
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

/// Refuses a scope that the definition does not allow, and names the missing id if the definition allows only one
/// scope.
fn refuse_other_scope(definition: &StoredDefinition, scope: ScopeKind) -> Result<(), Failure> {
    let allowed = definition.definition.scopes;
    if allowed.allows(scope) {
        return Ok(());
    }
    let mut kinds = allowed.iter();
    Err(match (scope, kinds.next(), kinds.next()) {
        (ScopeKind::Org, Some(only), None) => scope_id_required(only),
        (ScopeKind::Org, ..) => Failure::bad_request("linked_account_id or workflow_id is required"),
        (ScopeKind::LinkedAccount | ScopeKind::Workflow, ..) => {
            Failure::bad_request(format!("the variable definition allows no value at {scope} scope"))
        }
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
