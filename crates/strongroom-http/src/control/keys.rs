//! API keys: list, create, revoke, rotate.

use axum::Json;
use strongroom::Timestamp;
use zeroize::Zeroizing;

use super::BASE;
use super::bodies::{ApiKey, ApiKeyRequest, KeyRevoked, Page, RotateKey};
use super::operator::{Operator, bounded, full};
use super::queries::{PageQuery, RevokeKeyQuery, moment};
use crate::auth::{ApiKeys, CreatedApiKey, Right};
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Query, Segment};

/// Lists the API keys of the org in this environment, without the keys themselves
#[utoipa::path(
    get, context_path = BASE, path = "/api-keys", tag = "control: keys", params(PageQuery),
    responses((status = 200, body = Page<ApiKey>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApiKey>>, Failure> {
    operator.may(Right::Admin)?;
    let found = keys(&operator)?.list(query.request()?).await.map_err(full)?;
    let environment = operator.org.environment().as_str();
    let items = found.items.iter().map(|info| ApiKey::of(info, environment, None)).collect();
    let page = Page::new(items, found.next.map(|cursor| cursor.to_string()));
    Ok(Json(Page { unreadable: logged(found.unreadable), ..page }))
}

/// Makes an API key, which is shown only in this response
///
/// It cannot have more rights than the key of the call, nor expire later.
#[utoipa::path(
    post, context_path = BASE, path = "/api-keys", tag = "control: keys", request_body = ApiKeyRequest,
    responses((status = 200, body = ApiKey), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn create(
    operator: Operator,
    Body(body): Body<ApiKeyRequest>,
) -> Result<Json<ApiKey>, Failure> {
    operator.may(Right::Admin)?;
    let grant = body.grant()?;
    if let Some(right) = grant.rights().find(|right| !operator.grant().has(*right)) {
        return Err(Failure::lacks(right.as_str()));
    }
    if !operator.grant().covers(&grant) {
        return Err(Failure::outranked());
    }
    let mut new = crate::auth::NewApiKey::named(body.name).with(grant).made_by(operator.makers.clone());
    let expires_at = body.expires_at.as_deref().map(moment).transpose()?;
    if let Some(moment) = operator.bounded_expiry(expires_at)? {
        new = new.expires_at(moment);
    }
    shown(&operator, &keys(&operator)?.create(new).await.map_err(full)?)
}

/// Revokes an API key, which is refused from then on
///
/// The keys that it made stay valid, and are listed, unless `with_children` also revokes them. The sessions for which
/// it issued tokens last until they expire, unless `with_sessions` ends those of all accounts.
#[utoipa::path(
    delete, context_path = BASE, path = "/api-keys/{id}", tag = "control: keys",
    params(("id" = String, Path), RevokeKeyQuery),
    responses((status = 200, body = KeyRevoked), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn revoke(
    operator: Operator,
    Segment(id): Segment,
    Query(query): Query<RevokeKeyQuery>,
) -> Result<Json<KeyRevoked>, Failure> {
    operator.may(Right::Admin)?;
    let key = id.parse().map_err(|_| not_found())?;
    let (keys, with_children, with_sessions) =
        (keys(&operator)?, query.with_children()?, query.with_sessions()?);
    if with_sessions {
        operator.may_all(Right::Admin)?;
    }
    // First, so that it cannot make more of them.
    let was_there = keys.revoke(&key).await.map_err(full)?;
    let made = if with_children { keys.revoke_made(&key).await } else { keys.made_by(&key).await };
    // Even if others could not be revoked.
    let sessions_ended = match with_sessions {
        true => {
            let sessions = operator.service.sessions(&operator.org)?;
            Some(sessions.revoke_all(operator.service.now()).await.map_err(full)?)
        }
        false => None,
    };
    let made = made.map_err(full)?;
    // A key that is gone, or that the store hides, may still have issued tokens.
    if !was_there && !with_sessions && !made.renewed && (made.keys.is_empty() || !with_children) {
        return Err(not_found());
    }
    let environment = operator.org.environment().as_str();
    let children = made.keys.iter().map(|info| ApiKey::of(info, environment, None)).collect();
    Ok(Json(KeyRevoked {
        name: id,
        deleted: was_there,
        children,
        children_deleted: with_children,
        unreadable: logged(made.unreadable),
        sessions_ended,
    }))
}

/// Makes an API key that replaces another one, which is accepted for some time longer
///
/// The key of the call itself is accepted for at least a minute.
#[utoipa::path(
    post, context_path = BASE, path = "/api-keys/{id}/rotate", tag = "control: keys", request_body = RotateKey,
    params(("id" = String, Path)),
    responses((status = 200, body = ApiKey), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn rotate(
    operator: Operator,
    Segment(id): Segment,
    Body(body): Body<RotateKey>,
) -> Result<Json<ApiKey>, Failure> {
    operator.may(Right::Admin)?;
    let key = id.parse().map_err(|_| not_found())?;
    let keys = keys(&operator)?;
    let old = keys.info(&key).await.map_err(full)?.ok_or_else(not_found)?;
    // Otherwise it would receive a key with more rights than its own.
    if !operator.grant().covers(&old.grant) {
        return Err(Failure::outranked());
    }
    // Otherwise its holder would have no key left if the response is lost, or if storing the new one fails.
    if key == operator.key_id && body.grace_secs < OWN_GRACE_SECS_MIN {
        return Err(Failure::bad_request(format!(
            "the key of the call is replaced with a grace_secs of at least {OWN_GRACE_SECS_MIN}: it is needed to make \
             another one if the new one is lost; revoke it once that is kept"
        )));
    }
    let (now, grace_ms) = (operator.service.now(), body.grace_secs.saturating_mul(1_000));
    if old.expires_at.is_some_and(|moment| moment <= now) {
        return Err(Failure::bad_request("the API key has expired: make a new one"));
    }
    let until = Timestamp::from_ms(now.as_ms().saturating_add(grace_ms));
    let expires_at = body.expires_at.as_deref().map(moment).transpose()?;
    let expires_at = expires_at.or(old.own_expiry());
    // A key may replace itself once more if the new one was lost; the end of its grace period does not limit the new
    // key.
    let expires_at = match key == operator.key_id && old.replaced_itself() {
        true => bounded(old.own_expiry(), expires_at)?,
        false => operator.bounded_expiry(expires_at)?,
    };
    let made = keys.replace(&key, until, expires_at, operator.makers.clone()).await.map_err(full)?;
    let made = made.ok_or_else(not_found)?;
    shown(&operator, &made)
}

const OWN_GRACE_SECS_MIN: u64 = 60;

fn keys(operator: &Operator) -> Result<ApiKeys, Failure> {
    ApiKeys::of(&operator.org).map_err(full)
}

fn shown(operator: &Operator, made: &CreatedApiKey) -> Result<Json<ApiKey>, Failure> {
    let key = Zeroizing::new(made.key.expose().to_owned());
    Ok(Json(ApiKey::of(&made.info, operator.org.environment().as_str(), Some(key))))
}

/// The operator also learns from the log which keys cannot be read.
fn logged(unreadable: Vec<String>) -> Vec<String> {
    for why in &unreadable {
        tracing::error!(error = why, "an API key is left out of a list");
    }
    unreadable
}

fn not_found() -> Failure {
    Failure::absent(Reason::KeyNotFound, "API key not found")
}
