//! What a run sees, and why.

use axum::Json;
use strongroom::{AuditNote, DefinitionFilter, PageRequest};

use super::BASE;
use super::bodies::{Resolution, ResolvedValue, Trace};
use super::definitions::walk;
use super::operator::{Operator, full};
use super::queries::{ResolveQuery, ScopeQuery};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::request::{Query, Segment};

/// Everything that a run sees within an account, a workflow or the org
///
/// With `reveal`, it is what a process needs as its environment.
#[utoipa::path(
    get, context_path = BASE, path = "/resolve", tag = "control: variables",
    params(ResolveQuery),
    responses((status = 200, body = Resolution), Refusals), security(("api_key" = [])),
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
        // A run for an unknown account would see only what all accounts see, which would hide a mistyped id.
        operator.refuse_unknown(account).await?;
    }
    let found = match names_asked(&operator, only).await? {
        Some(names) => operator.org.reader(path).only(names.iter().map(String::as_str)).resolve_all().await,
        None => operator.org.resolve_all(&path).await,
    };
    let found = found.map_err(full)?;
    let shown = found.values.iter().filter(|one| reveal || !one.encrypted).map(AuditNote::resolved);
    operator.note(reveal, shown.collect()).await?;
    Ok(Json(Resolution {
        versions: found.pin().digest(),
        values: found.values.iter().map(|one| ResolvedValue::of(one, reveal)).collect(),
        missing_required: found.missing_required,
    }))
}

/// The names of the requested variables, as far as the key may see them; `None` for all. The others are not opened, so
/// that one that cannot be read affects only those who ask for it.
async fn names_asked(operator: &Operator, only: Option<String>) -> Result<Option<Vec<String>>, Failure> {
    let (org, filter, grant) = (&operator.org, DefinitionFilter::all(), operator.grant());
    if only.is_some() || grant.names().is_empty() {
        return Ok(only.map(|name| vec![name]));
    }
    let names = walk!(|page| org.definitions(&filter, page)).into_iter().map(|stored| stored.definition.name);
    Ok(Some(names.filter(|name| grant.takes_name(name)).collect()))
}

/// Where a variable is looked for and where it is found, without its value
#[utoipa::path(
    get, context_path = BASE, path = "/explain/{name}", tag = "control: variables",
    params(("name" = String, Path), ScopeQuery),
    responses((status = 200, body = Trace), Refusals), security(("api_key" = [])),
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
    if let Some(account) = &account {
        operator.refuse_unknown(account).await?;
    }
    let trace = operator.org.explain(stored.id, &path).await.map_err(full)?;
    Ok(Json(Trace::of(&trace)))
}
