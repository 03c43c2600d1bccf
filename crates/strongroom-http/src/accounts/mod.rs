//! Linked accounts: register, update, list, get and delete.

mod list;
mod own;
mod wire;

use axum::Json;
use axum::extract::State;
use strongroom::{
    Account, AccountWritten, Error, Integration, IntegrationId, LinkedAccountId, Org, PageRequest, Secret,
    Upsert,
};

use self::wire::{
    AccountDeleted, AccountDoc, AccountFields, AccountUpserted, IntegrationDeleted, UpsertAccount,
};
use crate::caller::{Caller, KeyCaller, TokenCaller};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::reason::Reason;
use crate::request::{AccountHeader, AccountQuery, Body, Query, Segment, Stated, StatedBody, json_text};
use crate::service::Service;

pub(crate) use list::{__path_list, list};

/// Registers a linked account
///
/// With `your_app` it gets the default app with its credentials, in the same write.
#[utoipa::path(
    post, context_path = BASE, path = "/linked-account", tag = "linked accounts", request_body = AccountFields,
    params(AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountDoc), Failures), security(("api_key" = [])),
)]
pub(crate) async fn create(
    caller: KeyCaller,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<AccountFields>,
) -> Result<Json<AccountDoc>, Failure> {
    let org = caller.org.clone();
    let account = named(&Caller::Key(caller), &header, &query, &body)?;
    let mut create = org.create_account(account);
    if let Some(name) = &body.name {
        create = create.name(name);
    }
    if let Some(udf) = body.udf()? {
        create = create.udf(udf);
    }
    if body.your_app.is_some() {
        create = create.with_default_app();
    }
    for (key, value) in credentials(&body)? {
        create = create.with_credential(key, value);
    }
    // From the result of the write: the account may be deleted before it could be read again.
    let AccountWritten { info, integrations, .. } = create.written().await?;
    Ok(Json(AccountDoc::of(info, integrations, org.environment())))
}

/// Registers a linked account, or updates it
///
/// Fields that are not named stay; credentials merge by key. With a session token the account is never registered, its
/// `udf` stays as it is, and it gets a `name` only if it has none.
#[utoipa::path(
    put, context_path = BASE, path = "/linked-account", tag = "linked accounts", request_body = UpsertAccount,
    params(AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountUpserted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn upsert(
    caller: Caller,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<UpsertAccount>,
) -> Result<Json<AccountUpserted>, Failure> {
    let body = body.fields();
    let account = named(&caller, &header, &query, &body)?;
    match &caller {
        Caller::Key(caller) => upsert_any(&caller.org, &account, &body).await.map(Json),
        Caller::Token(holder) => {
            own::update(holder, &body).await?;
            Ok(Json(AccountUpserted { account: doc(&caller, account).await?, new_account: false }))
        }
    }
}

async fn upsert_any(
    org: &Org,
    account: &LinkedAccountId,
    body: &AccountFields,
) -> Result<AccountUpserted, Failure> {
    let mut upsert = org.upsert_account(account.clone());
    if let Some(name) = &body.name {
        upsert = upsert.name(name);
    }
    if let Some(udf) = body.udf()? {
        upsert = upsert.udf(udf);
    }
    if body.your_app.is_some() {
        upsert = upsert.with_default_app();
    }
    for (key, value) in credentials(body)? {
        upsert = upsert.with_credential(key, value);
    }
    let written = upsert.await?;
    let new_account = written.action == Upsert::Added;
    let mut integrations = if new_account { Vec::new() } else { all_integrations(&written.account).await? };
    if integrations.is_empty() {
        // A new account has no others, and one that was deleted meanwhile shows none.
        integrations = written.integrations;
    }
    let account = AccountDoc::of(written.info, integrations, org.environment());
    Ok(AccountUpserted { account, new_account })
}

/// One linked account
#[utoipa::path(
    get, context_path = BASE, path = "/linked-account/{id}", tag = "linked accounts",
    params(("id" = String, Path), AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountDoc), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn get(
    caller: Caller,
    Segment(id): Segment,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<AccountDoc>, Failure> {
    let account = caller.require_linked_account(&of_path(&id, &header, &query, &body))?;
    doc(&caller, account.id().clone()).await.map(Json)
}

/// Deletes a linked account with its values, credentials and tokens
#[utoipa::path(
    delete, context_path = BASE, path = "/linked-account/{id}", tag = "linked accounts",
    params(("id" = String, Path), AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountDeleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    State(service): State<Service>,
    caller: KeyCaller,
    Segment(id): Segment,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<AccountDeleted>, Failure> {
    let org = caller.org.clone();
    let account = Caller::Key(caller).require_linked_account(&of_path(&id, &header, &query, &body))?;
    let account = account.id().clone();
    match service.sessions(&org)?.delete_account(&account).await {
        Ok(()) => Ok(Json(AccountDeleted { message: "User deleted successfully" })),
        Err(Error::AccountNotFound(account)) => Err(not_found(&org, &account)),
        Err(error) => Err(error.into()),
    }
}

/// Removes an integration of a linked account, and its credentials
///
/// All connections of the integration are deleted, each with its credentials, including those beside the default one,
/// which no documented call shows.
#[utoipa::path(
    delete, context_path = BASE, path = "/linked-account/integration/{slug}", tag = "linked accounts",
    params(("slug" = String, Path), AccountQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = IntegrationDeleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete_integration(
    caller: KeyCaller,
    Segment(slug): Segment,
    header: AccountHeader,
    Query(query): Query<AccountQuery>,
    Body(body): Body<StatedBody>,
) -> Result<Json<IntegrationDeleted>, Failure> {
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = Caller::Key(caller).require_linked_account(&stated)?;
    let slug: IntegrationId = slug.parse().map_err(Error::from)?;
    account.delete_integration(&slug).await?;
    Ok(Json(IntegrationDeleted { success: true, message: "Integration deleted successfully" }))
}

/// The linked account of the session token
#[utoipa::path(
    get, context_path = BASE, path = "/session/active-linked-account", tag = "sessions",
    responses((status = 200, body = AccountDoc), Failures), security(("session_token" = [])),
)]
pub(crate) async fn active(caller: TokenCaller) -> Result<Json<AccountDoc>, Failure> {
    let account = caller.account.id().clone();
    doc(&Caller::Token(caller), account).await.map(Json)
}

/// The account that a body is about.
fn named(
    caller: &Caller,
    header: &AccountHeader,
    query: &AccountQuery,
    body: &AccountFields,
) -> Result<LinkedAccountId, Failure> {
    let stated =
        Stated::in_header(header).or_query(query.linked_account_id.as_deref()).or_body(body.account()?);
    caller.linked_account(&stated)?.ok_or_else(|| Failure::linked_account("linked_account_id required"))
}

/// The account of a path; the other places must agree with it.
fn of_path<'r>(
    id: &'r str,
    header: &'r AccountHeader,
    query: &'r AccountQuery,
    body: &'r StatedBody,
) -> Stated<'r> {
    Stated::in_header(header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref())
        .and_path(id)
}

fn credentials(body: &AccountFields) -> Result<Vec<(&str, Secret)>, Failure> {
    let pairs = body.your_app.as_ref().map(|app| app.auth_credentials.0.as_slice()).unwrap_or_default();
    pairs.iter().map(|(key, value)| Ok((key.as_str(), json_text(value)?))).collect()
}

async fn doc(caller: &Caller, account: LinkedAccountId) -> Result<AccountDoc, Failure> {
    let (org, handle) = (caller.org(), caller.account(account));
    let known = handle.info().await?.ok_or_else(|| match caller {
        Caller::Key(_) => not_found(org, handle.id()),
        Caller::Token(_) => Failure::bad_token(),
    })?;
    let integrations = all_integrations(&handle).await.map_err(|error| caller.failure(error))?;
    Ok(AccountDoc::of(known, integrations, org.environment()))
}

/// All of them: connections that these calls do not know may come before the documented ones.
async fn all_integrations(account: &Account) -> Result<Vec<Integration>, Error> {
    let (mut integrations, mut page) = (Vec::new(), PageRequest::first(PageRequest::LIMIT_MAX));
    loop {
        let found = account.integrations(page).await?;
        integrations.extend(found.items);
        let Some(next) = found.next else { return Ok(integrations) };
        page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
}

fn not_found(org: &Org, account: &LinkedAccountId) -> Failure {
    let (id, environment) = (org.id(), org.environment());
    let message = format!(
        "Linked Account with account id {account} for org {id} in environment {environment} not found"
    );
    Failure::absent(Reason::AccountNotFound, message)
}
