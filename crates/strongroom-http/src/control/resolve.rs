//! What a run sees, and why.

use axum::Json;
use strongroom::{AuditNote, PageRequest};

use super::BASE;
use super::bodies::{Resolution, ResolvedValue, Trace};
use super::operator::{Operator, full};
use super::queries::{ResolveQuery, ScopeQuery};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Failures;
use crate::request::{Query, Segment};

/// Everything that a run sees within an account, a workflow or the org
///
/// With `reveal` it is what a process needs as its environment.
#[utoipa::path(
    get, context_path = BASE, path = "/resolve", tag = "control: variables",
    params(ResolveQuery),
    responses((status = 200, body = Resolution), Failures), security(("api_key" = [])),
)]
pub(crate) async fn all(
    operator: Operator,
    Query(query): Query<ResolveQuery>,
) -> Result<Json<Resolution>, Failure> {
    let (only, query) = query.parts();
    let (path, account, reveal) = (query.path()?, query.account()?, query.reveals()?);
    let right = if reveal { Right::Reveal } else { Right::Read };
    operator.may_account(right, account.as_ref())?;
    query.refuse_workflow(&operator, right)?;
    if let Some(name) = &only {
        operator.may_name(right, name)?;
        super::definitions::find(&operator.org, name).await?;
    }
    if let Some(account) = &account {
        // A run for it would see only what all accounts see, which a mistyped id must not do in silence.
        let (org, first) = (&operator.org, PageRequest::first(1));
        let is_known = org.linked_account(account).await.map_err(full)?.is_some()
            || !org.account(account.clone()).values(first).await.map_err(full)?.items.is_empty();
        if !is_known {
            return Err(super::accounts::not_found());
        }
    }
    let mut found = operator.org.resolve_all(&path).await.map_err(full)?;
    let is_asked = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let is_taken = |name: &str| is_asked(name) && operator.grant().takes_name(name);
    found.values.retain(|one| is_taken(&one.name));
    let shown = found.values.iter().filter(|one| reveal || !one.encrypted).map(AuditNote::resolved);
    operator.note(reveal, shown.collect()).await?;
    Ok(Json(Resolution {
        versions: found.pin().digest(),
        values: found.values.iter().map(|one| ResolvedValue::of(one, reveal)).collect(),
        missing_required: found.missing_required.into_iter().filter(|name| is_taken(name)).collect(),
    }))
}

/// Where a variable is looked for and where it is found, without its value
#[utoipa::path(
    get, context_path = BASE, path = "/explain/{name}", tag = "control: variables",
    params(("name" = String, Path), ScopeQuery),
    responses((status = 200, body = Trace), Failures), security(("api_key" = [])),
)]
pub(crate) async fn explain(
    operator: Operator,
    Segment(name): Segment,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<Trace>, Failure> {
    let (path, account) = (query.path()?, query.account()?);
    operator.may_name(Right::Read, &name)?;
    operator.may_account(Right::Read, account.as_ref())?;
    query.refuse_workflow(&operator, Right::Read)?;
    let stored = super::definitions::find(&operator.org, &name).await?;
    let trace = operator.org.explain(stored.id, &path).await.map_err(full)?;
    Ok(Json(Trace::of(&trace)))
}
