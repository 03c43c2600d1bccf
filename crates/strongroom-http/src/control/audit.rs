//! Who changed what.

use axum::Json;
use strongroom::AuditFilter;

use super::BASE;
use super::bodies::{AuditEvent, Page};
use super::operator::{Operator, full};
use super::queries::AuditQuery;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::request::Query;

/// The audit of the org in this environment, the oldest event first unless asked otherwise
///
/// A vault has an audit once `audit` is turned on in its settings.
#[utoipa::path(
    get, context_path = BASE, path = "/audit", tag = "control: audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditEvent>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEvent>>, Failure> {
    operator.may(Right::Admin)?;
    let mut filter = AuditFilter::all();
    if let Some(since) = query.since()? {
        filter = filter.since(since);
    }
    if let Some(until) = query.until()? {
        filter = filter.until(until);
    }
    if let Some(account) = query.account()? {
        filter = filter.linked_account(account);
    }
    if query.newest_first()? {
        filter = filter.newest_first();
    }
    let page = query.request()?;
    if let Some(actor) = query.actor {
        filter = filter.actor(actor);
    }
    let found = operator.org.audit(&filter, page).await.map_err(full)?;
    Ok(Json(Page::of(found, AuditEvent::of)))
}
