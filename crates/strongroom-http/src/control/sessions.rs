//! The sessions of linked accounts.

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use strongroom::LinkedAccountId;

use super::BASE;
use super::accounts::{account_id, not_found};
use super::bodies::{AccountSession, NoFields, Page, RevokeSessions, Revoked};
use super::operator::{Operator, full};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Segment};

/// Lists the valid sessions of a linked account, oldest first
///
/// An account has at most 16. Tokens are not stored, so none can be shown.
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/sessions", tag = "control: sessions",
    params(("id" = String, Path)),
    responses((status = 200, body = Page<AccountSession>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Segment(text): Segment,
) -> Result<Json<Page<AccountSession>>, Failure> {
    let id = account_id(&text)?;
    operator.may_all(Right::Admin)?;
    operator.org.linked_account(&id).await.map_err(full)?.ok_or_else(not_found)?;
    let sessions = operator.service.sessions(&operator.org)?;
    let taken = sessions.of_account(&id, operator.service.now()).await.map_err(full)?;
    Ok(Json(AccountSession::page(&taken)))
}

/// Ends one session of a linked account
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}/sessions/{session}", tag = "control: sessions",
    params(("id" = String, Path), ("session" = String, Path)),
    responses((status = 200, body = Revoked), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn revoke(operator: Operator, one: OneSession) -> Result<Json<Revoked>, Failure> {
    operator.may_all(Right::Admin)?;
    let sessions = operator.service.sessions(&operator.org)?;
    match sessions.revoke_of(&one.account, &one.session).await.map_err(full)? {
        true => Ok(Json(Revoked::of(1))),
        false => Err(Failure::absent(Reason::SessionNotFound, "Session not found")),
    }
}

/// Ends all sessions of a linked account
///
/// Also what is left of the sessions of one that is not registered, so that a store that hides it keeps none of them.
/// It is not found only if there was nothing to end.
#[utoipa::path(
    post, context_path = BASE, path = "/accounts/{id}/revoke-sessions", tag = "control: sessions",
    params(("id" = String, Path)),
    responses((status = 200, body = Revoked), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn revoke_of_account(
    operator: Operator,
    Segment(text): Segment,
    Body(NoFields {}): Body<NoFields>,
) -> Result<Json<Revoked>, Failure> {
    operator.may_all(Right::Admin)?;
    let id = account_id(&text)?;
    let now = operator.service.now();
    let ended = operator.service.sessions(&operator.org)?.revoke_all_of(&id, now).await.map_err(full)?;
    // Only now, since a store may hide the account.
    if ended.is_nothing() {
        operator.org.linked_account(&id).await.map_err(full)?.ok_or_else(not_found)?;
    }
    Ok(Json(Revoked { list_cleared: ended.list_cleared, ..Revoked::of(ended.ended) }))
}

/// Ends all sessions of all linked accounts
///
/// With `new_signing_key`, the key that signs their tokens is replaced too, even one that cannot be read.
#[utoipa::path(
    post, context_path = BASE, path = "/revoke-sessions", tag = "control: sessions", request_body = RevokeSessions,
    responses((status = 200, body = Revoked), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn revoke_all(
    operator: Operator,
    Body(body): Body<RevokeSessions>,
) -> Result<Json<Revoked>, Failure> {
    operator.may_all(Right::Admin)?;
    let (sessions, now) = (operator.service.sessions(&operator.org)?, operator.service.now());
    let revoked = match body.new_signing_key {
        true => sessions.replace_signing_key(now).await,
        false => sessions.revoke_all(now).await,
    };
    Ok(Json(Revoked::of(revoked.map_err(full)?)))
}

/// A session named by a path.
pub(crate) struct OneSession {
    account: LinkedAccountId,
    session: String,
}

impl<S: Send + Sync> FromRequestParts<S> for OneSession {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((account, session)) = path.map_err(|_| Failure::bad_request("the path must be UTF-8"))?;
        Ok(Self { account: account_id(&account)?, session })
    }
}
