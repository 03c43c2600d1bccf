//! What a run sees, and why.

use axum::Json;

use super::BASE;
use super::bodies::{Resolution, ResolvedValue, Trace};
use super::operator::{Operator, full};
use super::queries::ScopeQuery;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Failures;
use crate::request::{Query, Segment};

/// Everything that a run sees within an account, a workflow or the org
///
/// With `reveal` it is what a process needs as its environment.
#[utoipa::path(
    get, context_path = BASE, path = "/resolve", tag = "control: variables", params(ScopeQuery),
    responses((status = 200, body = Resolution), Failures), security(("api_key" = [])),
)]
pub(crate) async fn all(
    operator: Operator,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<Resolution>, Failure> {
    let (path, account, reveal) = (query.path()?, query.account()?, query.reveals()?);
    let right = if reveal { Right::Reveal } else { Right::Read };
    operator.may_account(right, account.as_ref())?;
    if reveal {
        operator.note_reveal("everything that a run sees").await?;
    }
    let found = operator.org.resolve_all(&path).await.map_err(full)?;
    let is_taken = |name: &str| operator.grant().takes_name(name);
    let values = found.values.iter().filter(|one| is_taken(one.name.as_str()));
    Ok(Json(Resolution {
        values: values.map(|one| ResolvedValue::of(one, reveal)).collect(),
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
    let stored = super::definitions::find(&operator.org, &name).await?;
    let trace = operator.org.explain(stored.id, &path).await.map_err(full)?;
    Ok(Json(Trace::of(&trace)))
}
