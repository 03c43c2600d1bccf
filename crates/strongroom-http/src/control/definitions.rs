//! Definitions: list, show, define, change with its plan, delete.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use strongroom::{
    AuditNote, DefinitionFilter, DefinitionId, DefinitionName, DefinitionRef, Error, Expected, FormatChange,
    OnMismatch, Org, PageRequest, Scope, ScopeKind, Scopes, StoredDefinition, Version, WriteOptions,
};

use super::BASE;
use super::bodies::{
    Definition, DefinitionChange, Deletion, NewDefinition, Page, Plan, RefusedValue, UndeleteDefinition,
};
use super::operator::{Operator, REPLACES, full};
use super::queries::{DryRunQuery, PageQuery, name};
use super::visible::{Place, visible};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Query, Segment};

/// The items of all pages of a list. A macro, since the future of a closure that borrows is not known to be `Send`.
macro_rules! walk {
    (|$page:ident| $list:expr) => {{
        let (mut items, mut $page) = (Vec::new(), PageRequest::first(PageRequest::LIMIT_MAX));
        loop {
            let found = $list.await.map_err(full)?;
            items.extend(found.items);
            let Some(next) = found.next else { break items };
            $page = PageRequest::first(PageRequest::LIMIT_MAX).after(next);
            // An embedded store never yields, and the walk may be long.
            tokio::task::yield_now().await;
        }
    }};
}
pub(super) use walk;

/// Lists definitions
#[utoipa::path(
    get, context_path = BASE, path = "/definitions", tag = "control: variables", params(PageQuery),
    responses((status = 200, body = Page<Definition>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Definition>>, Failure> {
    operator.may(Right::Read)?;
    let Page { items, next, unreadable } = readable_page(&operator, query.place()?).await?;
    Ok(Json(Page { items: items.into_iter().map(Definition::of).collect(), next, unreadable }))
}

/// A page of the definitions that the key sees. One that cannot be read is left out,
/// and `unreadable` says why.
pub(super) async fn readable_page(
    operator: &Operator,
    place: Place,
) -> Result<Page<StoredDefinition>, Failure> {
    let (org, filter, grant) = (&operator.org, DefinitionFilter::all(), operator.grant());
    if grant.is_narrowed() {
        // One that cannot be read may be one that the key sees or not, and its name is not for it.
        let is_short = AtomicBool::new(false);
        let (found, next) =
            visible!(grant, place, |page| org.each_definition(&filter, page), |found: &Result<
                StoredDefinition,
                Error,
            >| {
                match found {
                    Ok(stored) => grant.takes_name(&stored.definition.name),
                    Err(_) => note_short(&is_short),
                }
            });
        let readable = found.into_iter().flatten();
        return Ok(Page::new(readable.collect(), next).short_of_unnamed(is_short.into_inner()));
    }
    let found = org.each_definition(&filter, place.request(place.limit)).await.map_err(full)?;
    let mut page = Page::new(Vec::new(), found.next.map(|cursor| cursor.to_string()));
    for one in found.items {
        match one {
            Ok(stored) => page.items.push(stored),
            Err(error) => {
                tracing::error!(%error, "a definition is left out of a list");
                page.unreadable.push(error.to_string());
            }
        }
    }
    Ok(page)
}

/// Shows a definition with all its rules for values
#[utoipa::path(
    get, context_path = BASE, path = "/definitions/{name}", tag = "control: variables",
    params(("name" = String, Path)),
    responses((status = 200, body = Definition), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn show(operator: Operator, Segment(text): Segment) -> Result<Json<Definition>, Failure> {
    operator.may_name(Right::Read, &text)?;
    find(&operator.org, &text).await.map(Definition::of).map(Json)
}

/// Defines a variable
#[utoipa::path(
    post, context_path = BASE, path = "/definitions", tag = "control: variables", request_body = NewDefinition,
    responses((status = 200, body = Definition), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn create(
    operator: Operator,
    Body(body): Body<NewDefinition>,
) -> Result<Json<Definition>, Failure> {
    operator.may_name(Right::Write, &body.name)?;
    operator.may_account(Right::Write, None)?;
    let id = operator.org.define(body.definition()?).await.map_err(full)?;
    let stored =
        operator.org.definition(id).await.map_err(full)?.ok_or_else(Failure::definition_not_found)?;
    Ok(Json(Definition::of(stored)))
}

/// Changes a definition, including its format, unless values prevent it
///
/// It also needs `read`, since the response shows the definition and says which values do not match, and where; for the
/// format of an encrypted definition it also needs `reveal`.
#[utoipa::path(
    patch, context_path = BASE, path = "/definitions/{name}", tag = "control: variables",
    request_body = DefinitionChange, params(("name" = String, Path)),
    responses((status = 200, body = Plan), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn change(
    operator: Operator,
    Segment(text): Segment,
    Body(body): Body<DefinitionChange>,
) -> Result<Json<Plan>, Failure> {
    for right in [Right::Write, Right::Read] {
        operator.may_name(right, &text)?;
        operator.may_account(right, None)?;
    }
    if let Some(new) = &body.name {
        operator.may_name(Right::Write, new)?;
    }
    let org = &operator.org;
    let stored = find(org, &text).await?;
    let format = body.format_change(&stored)?;
    if format.is_some() && stored.definition.encrypted {
        // The response says which values do not match, and after a few dozen patterns that reveals the values.
        operator.may_name(Right::Reveal, &text)?;
        operator.may_account(Right::Reveal, None)?;
        operator.note_shown(&[AuditNote::values_read(&stored)]).await?;
    }
    let scopes = body.new_scopes()?;
    let mismatched = match &format {
        Some(format) => mismatches(org, &stored, format).await?,
        None => Vec::new(),
    };
    let in_the_way = match scopes {
        Some(scopes) => scopes_in_use(org, &stored, scopes).await?,
        None => Vec::new(),
    };
    let is_refused = !in_the_way.is_empty() || !body.keep_mismatched && !mismatched.is_empty();
    let refused = mismatched.into_iter().chain(in_the_way).collect();
    if body.dry_run || is_refused {
        return Ok(Json(Plan { applied: false, refused, definition: Definition::of(stored) }));
    }
    let changed = apply(org, stored, format.as_ref(), &body).await?;
    Ok(Json(Plan { applied: true, refused, definition: Definition::of(changed) }))
}

/// Deletes a definition and its values at all scopes; `undelete` brings the definition back
#[utoipa::path(
    delete, context_path = BASE, path = "/definitions/{name}", tag = "control: variables",
    params(("name" = String, Path), DryRunQuery),
    responses((status = 200, body = Deletion), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    operator: Operator,
    Segment(text): Segment,
    Query(query): Query<DryRunQuery>,
) -> Result<Json<Deletion>, Failure> {
    operator.may_all(Right::Admin)?;
    let (org, stored) = (&operator.org, find(&operator.org, &text).await?);
    let elsewhere = scopes_in_use(org, &stored, Scopes::only(ScopeKind::Org)).await?.len();
    let at_org = !matches!(org.value(stored.id, &Scope::Org).await, Ok(None));
    let deleted = !query.is_dry()?;
    if deleted {
        let kept = WriteOptions::default().keep_history();
        org.delete_definition_with(stored.id, kept).await.map_err(full)?;
    }
    Ok(Json(Deletion { name: text, deleted, values: elsewhere + usize::from(at_org), credentials: 0 }))
}

/// Brings back the definition of this name that was last deleted, without its values
///
/// With `replace_damaged`, a definition that cannot be read is replaced with its newest readable version; its id is
/// also accepted as the name.
#[utoipa::path(
    post, context_path = BASE, path = "/definitions/{name}/undelete", tag = "control: variables",
    request_body = UndeleteDefinition, params(("name" = String, Path)),
    responses((status = 200, body = Definition), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn undelete(
    operator: Operator,
    Segment(text): Segment,
    Body(body): Body<UndeleteDefinition>,
) -> Result<Json<Definition>, Failure> {
    may_bring_back(&operator, &text)?;
    let (org, name) = (&operator.org, name(&text)?);
    if let Some((damaged, why)) = damaged(org, &name).await? {
        let restored = replace(&operator, damaged, (&why, body.replace_damaged)).await?;
        return Ok(Json(Definition::of(restored)));
    }
    let (mut last, mut unreadable) = (None::<StoredDefinition>, None);
    for deleted in walk!(|page| org.deleted_definitions(page)) {
        match deleted {
            Ok(stored) if stored.definition.name == name.as_str() => {
                last = last.into_iter().chain([stored]).max_by_key(|stored| stored.updated_at.as_ms());
            }
            Ok(_) => {}
            // It does not prevent the others from being found.
            Err(error) => unreadable = Some(full(error)),
        }
    }
    let none = || Failure::absent(Reason::DefinitionNotFound, "no deleted definition of this name is kept");
    let last = last.ok_or_else(|| unreadable.unwrap_or_else(none))?;
    let restored = org.undelete_definition(last.id).await.map_err(full)?;
    restored.map(Definition::of).map(Json).ok_or_else(Failure::definition_not_found)
}

/// The response shows the definition, including its default.
fn may_bring_back(operator: &Operator, name: &str) -> Result<(), Failure> {
    operator.may_name(Right::Write, name)?;
    operator.may_account(Right::Write, None)?;
    operator.may_name(Right::Read, name)
}

/// The definition of this name or id if it is damaged or missing, with the reason why it cannot be read.
async fn damaged<'n>(
    org: &Org,
    name: &'n DefinitionName,
) -> Result<Option<(DefinitionRef<'n>, String)>, Failure> {
    let by_id = name.as_str().parse::<DefinitionId>().ok().map(DefinitionRef::Id);
    for reference in [Some(DefinitionRef::from(name)), by_id].into_iter().flatten() {
        match org.definition_history(reference.clone(), PageRequest::first(1)).await {
            Err(Error::DefinitionNotFound(_)) => {}
            Err(error) => return Err(full(error)),
            Ok(found) => {
                let newest = found.items.into_iter().next().filter(|newest| !newest.deleted);
                return Ok(newest.and_then(|newest| newest.unreadable).map(|why| (reference, why)));
            }
        }
    }
    Ok(None)
}

/// Replaces a definition that cannot be read with its newest readable version.
async fn replace(
    operator: &Operator,
    damaged: DefinitionRef<'_>,
    (why, replaces): (&str, bool),
) -> Result<StoredDefinition, Failure> {
    let org = &operator.org;
    if !replaces {
        return Err(Failure::damaged(why, REPLACES));
    }
    let versions = walk!(|page| org.definition_history(damaged.clone(), page));
    let last = Version::to_undo(&versions);
    let last = last.ok_or_else(|| Failure::damaged(why, "none of its former versions can be read"))?;
    let former = org.definition_version(damaged.clone(), last.revision).await.map_err(full)?;
    // The name that led here may belong to another definition.
    may_bring_back(operator, &former.definition.name)?;
    let options = WriteOptions::expecting(Expected::Unreadable).note("undo");
    org.restore_definition_with(damaged, last.revision, options).await.map_err(full)
}

/// The definition of this name.
pub(super) async fn find(org: &Org, text: &str) -> Result<StoredDefinition, Failure> {
    org.definition(&name(text)?).await.map_err(full)?.ok_or_else(Failure::definition_not_found)
}

/// All definitions that can be read, and why the others cannot. An org has no more of them in one environment than a
/// page of the engine takes.
pub(super) async fn all_readable(org: &Org) -> Result<(Vec<StoredDefinition>, Vec<Error>), Failure> {
    let page = PageRequest::first(PageRequest::LIMIT_MAX);
    let found = org.each_definition(&DefinitionFilter::all(), page).await.map_err(full)?.items;
    let (readable, unreadable): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    Ok((readable.into_iter().flatten().collect(), unreadable.into_iter().filter_map(Result::err).collect()))
}

/// Notes that a list is short of something that cannot be read, which a narrowed key is not shown.
pub(super) fn note_short(is_short: &AtomicBool) -> bool {
    // Relaxed: it is read by the task that wrote it.
    is_short.store(true, Ordering::Relaxed);
    false
}

async fn mismatches(
    org: &Org,
    stored: &StoredDefinition,
    format: &FormatChange,
) -> Result<Vec<RefusedValue>, Failure> {
    let found = walk!(|page| org.plan_format_change(stored.id, format, page));
    Ok(found.iter().map(|one| RefusedValue::of(&one.scope, one.rule.to_string())).collect())
}

async fn scopes_in_use(
    org: &Org,
    stored: &StoredDefinition,
    scopes: Scopes,
) -> Result<Vec<RefusedValue>, Failure> {
    let found = walk!(|page| org.plan_scope_change(stored.id, scopes, page));
    let reason = || "no value would be allowed at this scope".to_owned();
    Ok(found.iter().map(|scope| RefusedValue::of(scope, reason())).collect())
}

/// The format last: what is wrong with the other changes is known only when they are written, and must not be found out
/// after the format was changed. Each write expects the definition that was planned for.
async fn apply(
    org: &Org,
    mut stored: StoredDefinition,
    format: Option<&FormatChange>,
    body: &DefinitionChange,
) -> Result<StoredDefinition, Failure> {
    let as_planned = |revision| WriteOptions::expecting(Expected::Revision(revision));
    let change = body.other_change()?;
    if change != strongroom::DefinitionChange::new() {
        let options = as_planned(stored.revision);
        stored = org.update_definition_with(stored.id, change, options).await.map_err(full)?;
    }
    if let Some(format) = format {
        let then = if body.keep_mismatched { OnMismatch::Grandfather } else { OnMismatch::Refuse };
        let options = as_planned(stored.revision);
        stored = org.change_format_with(stored.id, format, then, options).await.map_err(full)?;
    }
    Ok(stored)
}
