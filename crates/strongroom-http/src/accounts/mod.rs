//! Linked accounts: register, update, list, get and delete.

mod list;
mod own;
mod wire;

use axum::Json;
use axum::extract::State;
use strongroom::{Error, IdError, IntegrationId, LinkedAccountId, Org, PageRequest, Secret, Upsert};

use self::wire::{
    AccountDeleted, AccountDoc, AccountFields, AccountUpserted, IntegrationDeleted, IntegrationQuery,
    UpsertAccount,
};
use crate::caller::{Caller, KeyCaller, TokenCaller};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::request::{AccountHeader, Body, Query, Segment, Stated, json_text};
use crate::service::Service;

pub(crate) use list::{__path_list, list};

/// Registers a linked account
///
/// With `your_app` it gets the default app with its credentials, in the same write.
#[utoipa::path(
    post, context_path = BASE, path = "/linked-account", tag = "linked accounts", request_body = AccountFields,
    params(("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountDoc), Failures), security(("api_key" = [])),
)]
pub(crate) async fn create(
    caller: KeyCaller,
    header: AccountHeader,
    Body(body): Body<AccountFields>,
) -> Result<Json<AccountDoc>, Failure> {
    let org = caller.org.clone();
    let caller = Caller::Key(caller);
    let account = named(&caller, &header, &body)?;
    let mut create = org.create_account(account.clone());
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
    create.await?;
    doc(&caller, account).await.map(Json)
}

/// Registers a linked account, or updates it
///
/// Fields that are not named stay; credentials merge by key. With a session token the account is never registered, its
/// `udf` stays as it is, and it gets a `name` only where it has none.
#[utoipa::path(
    put, context_path = BASE, path = "/linked-account", tag = "linked accounts", request_body = UpsertAccount,
    params(("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = AccountUpserted), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn upsert(
    caller: Caller,
    header: AccountHeader,
    Body(body): Body<UpsertAccount>,
) -> Result<Json<AccountUpserted>, Failure> {
    let body = body.fields();
    let account = named(&caller, &header, &body)?;
    let new_account = match &caller {
        Caller::Key(caller) => upsert_any(&caller.org, &account, &body).await? == Upsert::Added,
        Caller::Token(holder) => {
            own::update(holder, &body).await?;
            false
        }
    };
    let account = doc(&caller, account).await?;
    Ok(Json(AccountUpserted { account, new_account }))
}

async fn upsert_any(org: &Org, account: &LinkedAccountId, body: &AccountFields) -> Result<Upsert, Failure> {
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
    Ok(upsert.await?.action)
}

/// One linked account
#[utoipa::path(
    get, context_path = BASE, path = "/linked-account/{id}", tag = "linked accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountDoc), Failures),
    security(("api_key" = []), ("session_token" = [])),
)]
pub(crate) async fn get(caller: Caller, Segment(id): Segment) -> Result<Json<AccountDoc>, Failure> {
    let own = Stated::default().or_query(Some(&id));
    let account = caller.linked_account(&own)?.ok_or(Failure::required("linked_account_id"))?;
    doc(&caller, account).await.map(Json)
}

/// Deletes a linked account with its values, credentials and tokens
#[utoipa::path(
    delete, context_path = BASE, path = "/linked-account/{id}", tag = "linked accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountDeleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    State(service): State<Service>,
    KeyCaller { org, .. }: KeyCaller,
    Segment(id): Segment,
) -> Result<Json<AccountDeleted>, Failure> {
    let account: LinkedAccountId =
        id.parse().map_err(|error: IdError| Failure::linked_account(error.to_string()))?;
    let sessions = service.sessions(&org)?;
    // Sessions are deleted in the batch that deletes the account: none is ever valid for an account of the same id that
    // is registered later.
    for _ in 0..ATTEMPTS_MAX {
        let with_sessions = sessions.removal(&account).await?;
        return match org.delete_account_with(&account, with_sessions).await {
            Ok(()) => Ok(Json(AccountDeleted { message: "User deleted successfully" })),
            Err(Error::AccountNotFound(account)) => Err(not_found(&org, &account)),
            // A session was issued meanwhile: it must go too.
            Err(Error::Unexpected { .. }) => continue,
            Err(error) => Err(error.into()),
        };
    }
    Err(Error::Contended(ATTEMPTS_MAX).into())
}

/// Removes an integration of a linked account, and its credentials
#[utoipa::path(
    delete, context_path = BASE, path = "/linked-account/integration/{slug}", tag = "linked accounts",
    params(("slug" = String, Path), IntegrationQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = IntegrationDeleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete_integration(
    caller: KeyCaller,
    Segment(slug): Segment,
    header: AccountHeader,
    Query(query): Query<IntegrationQuery>,
) -> Result<Json<IntegrationDeleted>, Failure> {
    let stated = Stated::in_header(&header).or_query(query.linked_account_id.as_deref());
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
fn named(caller: &Caller, header: &AccountHeader, body: &AccountFields) -> Result<LinkedAccountId, Failure> {
    let stated = Stated::in_header(header).or_body(body.account()?);
    caller.linked_account(&stated)?.ok_or_else(|| Failure::linked_account("linked_account_id required"))
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
    // All of them: the documented ones may come after connections that these calls do not know.
    let (mut integrations, mut page) = (Vec::new(), PageRequest::first(PageRequest::LIMIT_MAX));
    loop {
        let found = handle.integrations(page).await.map_err(|error| caller.failure(error))?;
        integrations.extend(found.items);
        let Some(next) = found.next else { break };
        page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
    }
    Ok(AccountDoc::of(known, integrations, org.environment()))
}

fn not_found(org: &Org, account: &LinkedAccountId) -> Failure {
    let (id, environment) = (org.id(), org.environment());
    Failure::not_found(format!(
        "Linked Account with account id {account} for org {id} in environment {environment} not found"
    ))
}

const ATTEMPTS_MAX: u32 = 16;
