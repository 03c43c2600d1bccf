//! Session tokens: issue and revoke.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use strongroom::Error;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use crate::auth::Reuse;
use crate::caller::{Caller, KeyCaller, TokenCaller};
use crate::error::Failure;
use crate::openapi::{BASE, Failures};
use crate::reason::Reason;
use crate::request::{AccountHeader, Body, Query, Stated};
use crate::service::Service;

/// The account of a new token.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewToken {
    #[schema(required, nullable = false)]
    linked_account_id: Option<String>,
}

/// The account, unless it is named elsewhere, and how to issue a token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct IssueQuery {
    #[param(required = false, value_type = String)]
    linked_account_id: Option<String>,
    /// Issues a new token even while an earlier one is still valid.
    #[param(required = false, value_type = bool, default = false)]
    force_refresh: Option<String>,
}

/// A token, for `Authorization: Bearer`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    #[schema(value_type = String)]
    token: Zeroizing<String>,
    /// For how many more seconds it is valid.
    expires_in: u64,
}

/// What was revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenRevoked {
    success: bool,
    revoked_count: u32,
}

/// Issues a session token for a linked account
///
/// A token that is still valid is returned again, unless `force_refresh` is set.
#[utoipa::path(
    post, context_path = BASE, path = "/session-token", tag = "sessions", request_body = NewToken,
    params(IssueQuery, ("linked_account_id" = Option<String>, Header)),
    responses((status = 200, body = Token), Failures), security(("api_key" = [])),
)]
pub(crate) async fn issue(
    State(service): State<Service>,
    caller: KeyCaller,
    header: AccountHeader,
    Query(query): Query<IssueQuery>,
    Body(body): Body<NewToken>,
) -> Result<Json<Token>, Failure> {
    let sessions = service.sessions(&caller.org)?;
    let stated = Stated::in_header(&header)
        .or_query(query.linked_account_id.as_deref())
        .or_body(body.linked_account_id.as_deref());
    let account = Caller::Key(caller).require_linked_account(&stated)?;
    let not_found = || {
        let (id, environment) = (account.id(), sessions.org().environment());
        Failure::linked_account(format!(
            "No linked account found for account id : {id} in environment {environment}"
        ))
        .because(Reason::AccountNotFound)
    };
    let known = account.info().await?.ok_or_else(not_found)?;
    let issued = sessions.issue(&known, query.reuse()?, service.inner.session_secs, service.now()).await;
    let issued = match issued {
        // It was deleted meanwhile.
        Err(Error::AccountNotFound(_)) => return Err(not_found()),
        issued => issued?,
    };
    Ok(Json(Token { token: issued.token, expires_in: issued.expires_in }))
}

/// Revokes the session token that the call is made with
#[utoipa::path(
    post, context_path = BASE, path = "/session-token/revoke", tag = "sessions",
    responses((status = 200, body = TokenRevoked), Failures), security(("session_token" = [])),
)]
pub(crate) async fn revoke(
    State(service): State<Service>,
    caller: TokenCaller,
) -> Result<Json<TokenRevoked>, Failure> {
    let revoked = service.sessions(&caller.org)?.revoke(caller.account.id(), &caller.jti).await?;
    Ok(Json(TokenRevoked { success: true, revoked_count: u32::from(revoked) }))
}

impl IssueQuery {
    fn reuse(&self) -> Result<Reuse, Failure> {
        match self.force_refresh.as_deref() {
            None | Some("false" | "0") => Ok(Reuse::Allowed),
            Some("true" | "1") => Ok(Reuse::Refused),
            Some(_) => Err(Failure::bad_request("force_refresh must be true or false")),
        }
    }
}
