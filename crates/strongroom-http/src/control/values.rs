//! Values: list, get, set, delete, many at once, history, undo and restore.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use axum::Json;
use strongroom::{
    AuditNote, DefinitionId, Error, Expected, Org, PageRequest, Revision, Scope, ScopedValue, Secret,
    StoredDefinition, WriteOptions,
};

use super::BASE;
use super::bodies::{
    Applied, Batch, BatchDone, BatchValue, Deleted, MissingValue, NewValue, Page, Restore, Undo, Undone,
    Value, ValueWritten, Version, scope_of,
};
use super::definitions::{self, walk};
use super::operator::{Operator, as_listed, full, nothing_to_undo, overtaken, unless_purged};
use super::queries::{self, DeleteQuery, ScopePageQuery, ValueQuery};
use super::visible::visible;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Query, Segment};
use crate::time;

/// Lists the values of one scope
#[utoipa::path(
    get, context_path = BASE, path = "/values", tag = "control: variables", params(ScopePageQuery),
    responses((status = 200, body = Page<Value>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<ScopePageQuery>,
) -> Result<Json<Page<Value>>, Failure> {
    let (scope, reveal) = (query.scope()?, query.reveals()?);
    operator.may_at(if reveal { Right::Reveal } else { Right::Read }, &scope)?;
    let (org, grant) = (&operator.org, operator.grant());
    let (before, unreadable) = by_id(org).await?;
    let takes = |definitions: &Definitions, value: &ScopedValue| {
        definitions.get(&value.definition_id).is_some_and(|stored| grant.takes_name(&stored.definition.name))
    };
    let is_short = AtomicBool::new(grant.is_narrowed() && !unreadable.is_empty());
    let (found, next) = visible!(
        grant,
        query.place()?,
        |page| org.each_value(&scope, page),
        |found: &Result<ScopedValue, Error>| match found {
            Ok(value) => takes(&before, value),
            Err(_) => !grant.is_narrowed() || definitions::note_short(&is_short),
        },
        |found| found.as_ref().map_or(0, |value| value.value.expose().len())
    );
    let (found, damaged): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let found: Vec<ScopedValue> = found.into_iter().flatten().collect();
    // Read again after the values: if a definition was marked as encrypted before a value was set, that is respected.
    let (definitions, _) = by_id(org).await?;
    let taken = found.iter().filter(|value| takes(&definitions, value));
    let taken: Vec<_> =
        taken.filter_map(|value| Some((value, definitions.get(&value.definition_id)?))).collect();
    let shown = taken.iter().filter(|(_, stored)| reveal || !stored.definition.encrypted);
    let shown = shown.map(|(value, stored)| AuditNote::value_read(value).named(&stored.definition.name));
    operator.note(reveal, shown.collect()).await?;
    let items = taken.into_iter().map(|(value, stored)| Value::of(value, stored, reveal)).collect();
    let mut page = Page::new(items, next).short_of_unnamed(is_short.into_inner());
    // Of definitions with the first page.
    let unreadable = unreadable.into_iter().filter(|_| !grant.is_narrowed() && !query.is_continued());
    for error in unreadable.chain(damaged.into_iter().filter_map(Result::err)) {
        tracing::error!(%error, "something is left out of a list of values");
        page.unreadable.push(error.to_string());
    }
    Ok(Json(page))
}

/// The value of a variable at exactly one scope, or a former version of it
#[utoipa::path(
    get, context_path = BASE, path = "/values/{name}", tag = "control: variables",
    params(("name" = String, Path), ValueQuery),
    responses((status = 200, body = Value), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn get(
    operator: Operator,
    Segment(name): Segment,
    Query(query): Query<ValueQuery>,
) -> Result<Json<Value>, Failure> {
    let (version, scope, reveal) = query.parts()?;
    let right = if reveal { Right::Reveal } else { Right::Read };
    operator.may_name(right, &name)?;
    operator.may_at(right, &scope)?;
    let stored = definitions::find(&operator.org, &name).await?;
    let found = match version {
        Some(version) => operator.org.value_version(stored.id, &scope, version).await.map(Some),
        None => operator.org.value(stored.id, &scope).await,
    };
    let found = found.map_err(full)?.ok_or_else(Failure::value_not_found)?;
    // Read again after the value: if the definition was marked as encrypted before the value was set, that is
    // respected.
    let stored = operator.org.definition(stored.id).await.map_err(full)?;
    let stored = stored.ok_or_else(Failure::definition_not_found)?;
    let is_shown = reveal || !stored.definition.encrypted;
    let note = is_shown.then(|| AuditNote::value_read(&found).named(&name));
    operator.note(reveal, note.into_iter().collect()).await?;
    Ok(Json(Value::of(&found, &stored, reveal)))
}

/// Sets the value of a variable at one scope
#[utoipa::path(
    put, context_path = BASE, path = "/values/{name}", tag = "control: variables", request_body = NewValue,
    params(("name" = String, Path)),
    responses((status = 200, body = ValueWritten), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn set(
    operator: Operator,
    Segment(name): Segment,
    Body(body): Body<NewValue>,
) -> Result<Json<ValueWritten>, Failure> {
    let scope = scope_of(body.linked_account_id.as_deref(), body.workflow_id.as_deref())?;
    operator.may_name(Right::Write, &name)?;
    operator.may_at(Right::Write, &scope)?;
    let stored = definitions::find(&operator.org, &name).await?;
    let mut options = WriteOptions::expecting(expected(body.version.as_deref())?);
    if let Some(note) = body.note {
        options = options.note(note);
    }
    let value = Secret::from(body.value.as_str());
    let written = operator.org.set_value_with(stored.id, scope, value, options).await.map_err(full)?;
    Ok(Json(ValueWritten::of(&written, &name)))
}

/// Deletes the value of a variable at one scope; `undo` brings it back if versions of it are kept
#[utoipa::path(
    delete, context_path = BASE, path = "/values/{name}", tag = "control: variables",
    params(("name" = String, Path), DeleteQuery),
    responses((status = 200, body = Deleted), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    operator: Operator,
    Segment(name): Segment,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, Failure> {
    let scope = query.scope()?;
    operator.may_name(Right::Write, &name)?;
    operator.may_at(Right::Write, &scope)?;
    let stored = definitions::find(&operator.org, &name).await?;
    let options = match query.purges()? {
        true => WriteOptions::default(),
        false => WriteOptions::default().keep_history(),
    };
    // If the value was deleted before, former versions may be left.
    let had_history = query.purges()? && {
        let one = PageRequest::first(1);
        !operator.org.value_history(stored.id, &scope, one).await.map_err(full)?.items.is_empty()
    };
    let deleted = operator.org.delete_value_with(stored.id, &scope, options).await;
    if deleted.map_err(unless_purged)?.is_none() && !had_history {
        return Err(Failure::value_not_found());
    }
    Ok(Json(Deleted { name, deleted: true }))
}

/// Adds definitions and sets values at one scope, all or none
#[utoipa::path(
    post, context_path = BASE, path = "/values", tag = "control: variables", request_body = Batch,
    responses((status = 200, body = BatchDone), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn batch(operator: Operator, Body(body): Body<Batch>) -> Result<Json<BatchDone>, Failure> {
    let scope = scope_of(body.linked_account_id.as_deref(), body.workflow_id.as_deref())?;
    operator.may_at(Right::Write, &scope)?;
    if !body.definitions.is_empty() {
        operator.may_account(Right::Write, None)?;
    }
    let definitions = body.definitions.into_iter().map(|new| {
        operator.may_name(Right::Write, &new.name)?;
        new.definition()
    });
    let definitions: Vec<_> = definitions.collect::<Result<_, Failure>>()?;
    let mut values = Vec::with_capacity(body.values.len());
    for one in &body.values {
        operator.may_name(Right::Write, &one.name)?;
        let value = strongroom::NewValue::new(&one.name, &scope, one.value.as_str());
        values.push(value.expecting(expected(one.version.as_deref())?));
    }
    let mut refused = Vec::new();
    let new: HashMap<&str, _> = definitions.iter().map(|new| (new.name.as_str(), new)).collect();
    for one in &body.values {
        let checked = match new.get(one.name.as_str()) {
            Some(new) => operator.org.validate_new(new, scope.clone(), one.value.as_str()),
            None => operator.org.validate(&one.name, &scope, one.value.as_str()).await,
        };
        refused.extend(reason(checked)?.map(|reason| MissingValue { name: one.name.clone(), reason }));
    }
    let Compared { unchanged, uncompared, kept } = match body.compare && refused.is_empty() {
        true => compare(&operator, &scope, &body.values).await?,
        false => Compared::default(),
    };
    if body.dry_run || !refused.is_empty() {
        let values = Vec::new();
        return Ok(Json(BatchDone { applied: false, refused, unchanged, uncompared, defined: 0, values }));
    }
    let same: HashSet<&str> = unchanged.iter().map(String::as_str).collect();
    let is_new = |name: &str| !same.contains(name) && !kept.contains_key(name);
    let (bodies, values): (Vec<_>, Vec<_>) =
        body.values.iter().zip(values).filter(|(one, _)| is_new(&one.name)).unzip();
    let done = operator.org.define_and_set(&definitions, &values).await.map_err(full)?;
    let updated = |name: &String, revision: Revision| Applied {
        name: name.clone(),
        action: "updated".to_owned(),
        version: revision.as_u64().to_string(),
    };
    let mut values: Vec<_> = kept.iter().map(|(name, revision)| updated(name, *revision)).collect();
    values.extend(bodies.iter().zip(&done.values).map(|(one, written)| Applied {
        action: written.action.as_str().to_owned(),
        ..updated(&one.name, written.revision)
    }));
    let place = |name: &str| body.values.iter().position(|one| one.name == name);
    values.sort_by_cached_key(|one| place(&one.name));
    let defined = done.definitions.len();
    Ok(Json(BatchDone { applied: true, refused, unchanged, uncompared, defined, values }))
}

/// Which values of a batch are already stored as given.
#[derive(Default)]
struct Compared {
    unchanged: Vec<String>,
    /// How many values the key may not see.
    uncompared: usize,
    /// Those of them that stay: the key set the same itself.
    kept: HashMap<String, Revision>,
}

/// Says only of values that the key may also read whether they are the same: whoever learns that has guessed the value.
/// Encrypted values are noted as shown. Others stay if the key set the same itself, which the answer does not say.
async fn compare(operator: &Operator, scope: &Scope, values: &[BatchValue]) -> Result<Compared, Failure> {
    let (org, mut done) = (&operator.org, Compared::default());
    let may =
        |right, name: &str| operator.may_name(right, name).is_ok() && operator.may_at(right, scope).is_ok();
    let (mut shown, mut times) = (Vec::new(), HashMap::<&str, usize>::new());
    for one in values {
        *times.entry(&one.name).or_default() += 1;
    }
    for one in values {
        // A value that is set on a condition, or twice, is left to the write.
        let is_repeated = times.get(one.name.as_str()).is_some_and(|times| *times > 1);
        if one.version.is_some() || is_repeated {
            continue;
        }
        let Some(stored) = org.definition(&queries::name(&one.name)?).await.map_err(full)? else { continue };
        let Some(found) = org.value(stored.id, scope).await.map_err(full)? else { continue };
        // Read again after the value: if the definition was marked as encrypted before the value was set, that is
        // respected.
        let Some(stored) = org.definition(stored.id).await.map_err(full)? else { continue };
        let encrypted = stored.definition.encrypted;
        if !may(Right::Reveal, &one.name) && (encrypted || !may(Right::Read, &one.name)) {
            done.uncompared += 1;
            if is_own(org, &found) && found.value.expose() == one.value.as_str() {
                done.kept.insert(one.name.clone(), found.revision);
            }
            continue;
        }
        shown.extend(encrypted.then(|| AuditNote::value_read(&found).named(&one.name)));
        if found.value.expose() == one.value.as_str() {
            done.unchanged.push(one.name.clone());
        }
    }
    operator.note_shown(&shown).await?;
    Ok(done)
}

/// Whether the key of `org` has sent this value itself, so that it learns nothing from a comparison. What it brought
/// back has a note.
fn is_own(org: &Org, found: &ScopedValue) -> bool {
    let author = org.actor().map(|actor| actor.name().as_str());
    author.is_some() && found.metadata.author() == author && found.metadata.note().is_none()
}

/// Lists the versions of a value, the newest first, without their content
#[utoipa::path(
    get, context_path = BASE, path = "/values/{name}/history", tag = "control: variables",
    params(("name" = String, Path), ScopePageQuery),
    responses((status = 200, body = Page<Version>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn history(
    operator: Operator,
    Segment(name): Segment,
    Query(query): Query<ScopePageQuery>,
) -> Result<Json<Page<Version>>, Failure> {
    let (scope, page) = (query.scope()?, query.request()?);
    operator.may_name(Right::Read, &name)?;
    operator.may_at(Right::Read, &scope)?;
    let stored = definitions::find(&operator.org, &name).await?;
    let found = operator.org.value_history(stored.id, &scope, page).await.map_err(full)?;
    // The newest one is on the first page only.
    let mut is_newest = !query.is_continued();
    Ok(Json(Page::of(found, |version| Version::of(&version, std::mem::take(&mut is_newest)))))
}

/// Undoes the last change of a value, or its deletion
#[utoipa::path(
    post, context_path = BASE, path = "/values/{name}/undo", tag = "control: variables", request_body = Undo,
    params(("name" = String, Path)),
    responses((status = 200, body = Undone), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn undo(
    operator: Operator,
    Segment(name): Segment,
    Body(body): Body<Undo>,
) -> Result<Json<Undone>, Failure> {
    let scope = scope_of(body.linked_account_id.as_deref(), body.workflow_id.as_deref())?;
    let (stored, versions) = versions(&operator, &name, &scope).await?;
    let newest = versions.first().ok_or_else(Failure::value_not_found)?;
    let last = strongroom::Version::to_undo(&versions).ok_or_else(|| nothing_to_undo(newest, "value"))?;
    let as_listed = as_listed(newest, body.replace_damaged)?;
    bring_back(&operator.org, (&stored, &scope), as_listed, last, "undo").await.map(Json)
}

/// Restores a former version of a value
#[utoipa::path(
    post, context_path = BASE, path = "/values/{name}/restore", tag = "control: variables", request_body = Restore,
    params(("name" = String, Path)),
    responses((status = 200, body = Undone), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn restore(
    operator: Operator,
    Segment(name): Segment,
    Body(body): Body<Restore>,
) -> Result<Json<Undone>, Failure> {
    let scope = scope_of(body.linked_account_id.as_deref(), body.workflow_id.as_deref())?;
    let (stored, versions) = versions(&operator, &name, &scope).await?;
    let newest = versions.first().ok_or_else(Failure::value_not_found)?;
    let version = body.version.parse().map(Revision::from_u64).ok();
    let wanted = version.and_then(|version| strongroom::Version::to_restore(&versions, version));
    let wanted = wanted
        .ok_or_else(|| Failure::absent(Reason::VersionNotFound, "this version of the value is not kept"))?;
    let as_listed = as_listed(newest, body.replace_damaged)?;
    bring_back(&operator.org, (&stored, &scope), as_listed, wanted, "restore").await.map(Json)
}

/// All definitions by their ids.
type Definitions = HashMap<DefinitionId, StoredDefinition>;

/// Those that can be read, and why the others cannot.
async fn by_id(org: &Org) -> Result<(Definitions, Vec<Error>), Failure> {
    let (readable, unreadable) = definitions::all_readable(org).await?;
    Ok((readable.into_iter().map(|stored| (stored.id, stored)).collect(), unreadable))
}

/// The versions of a value, if the key may set it, the newest first, with its definition.
async fn versions(
    operator: &Operator,
    name: &str,
    scope: &Scope,
) -> Result<(StoredDefinition, Vec<strongroom::Version>), Failure> {
    operator.may_name(Right::Write, name)?;
    operator.may_at(Right::Write, scope)?;
    let (org, stored) = (&operator.org, definitions::find(&operator.org, name).await?);
    let versions = walk!(|page| org.value_history(stored.id, scope, page));
    Ok((stored, versions))
}

/// Only if nobody has changed the value since its history was read.
async fn bring_back(
    org: &Org,
    (stored, scope): (&StoredDefinition, &Scope),
    as_listed: Expected,
    wanted: &strongroom::Version,
    note: &str,
) -> Result<Undone, Failure> {
    let options = WriteOptions::expecting(as_listed).note(note);
    let done = org.restore_value_with(stored.id, scope, wanted.revision, options).await.map_err(overtaken)?;
    Ok(Undone {
        name: stored.definition.name.clone(),
        scope: scope.kind(),
        id: done.id.to_string(),
        restored: wanted.revision.as_u64().to_string(),
        version: done.revision.as_u64().to_string(),
        written_at: time::iso(wanted.written_at),
    })
}

/// Why a value is refused; `None` if it is not.
fn reason(checked: Result<(), Error>) -> Result<Option<String>, Failure> {
    match checked {
        Ok(()) => Ok(None),
        Err(Error::InvalidValue { rule, .. }) => Ok(Some(rule.to_string())),
        Err(Error::ScopeNotAllowed { scope, .. }) => {
            Ok(Some(format!("no value is allowed at {scope} scope")))
        }
        Err(error @ Error::TooLong { .. }) => Ok(Some(error.to_string())),
        Err(Error::DefinitionNotFound(_)) => Ok(Some("it is not defined".to_owned())),
        Err(error) => Err(full(error)),
    }
}

fn expected(version: Option<&str>) -> Result<Expected, Failure> {
    match version {
        None => Ok(Expected::Any),
        Some("") => Ok(Expected::Absent),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Expected::Revision(Revision::from_u64(number))),
            Err(_) => Err(Failure::bad_request("version is not one of a value")),
        },
    }
}
