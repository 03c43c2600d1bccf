//! `diff`: how two places differ, or how one place differs from an earlier time.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use strongroom::{
    AuditFilter, Clock as _, DefinitionId, Error, ErrorKind, Org, Origin, PageRequest, Resolved, Scope,
    ScopePath, ScopedValue, Secret, StoredDefinition, SystemClock, Timestamp, VariableDefinition, Version,
};

use super::audit::{moment_or_age, refuse_left_out, refuse_unreadable};
use super::noted::{noted_since, was_switched_elsewhere};
use super::place::{OtherKey, Place};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, time};
use crate::pages;
use crate::scope_args::account_of;
use crate::session::Session;

/// `diff` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Diff {
    /// `[ORG/]ENVIRONMENT`, and `@account:ID` or `@workflow:ID` for a scope other than the org's; with --at, the chosen
    /// environment by default
    #[arg(value_name = "A", required_unless_present = "at")]
    one: Option<Place>,
    /// The place to compare it with
    #[arg(value_name = "B", required_unless_present = "at")]
    other: Option<Place>,
    /// Compare it with its state at this time, such as 2026-01-31T12:00:00Z, or this long ago, such as 90d; what is no
    /// longer kept is listed as not known, and what was purged since only if the audit has it
    #[arg(long, value_name = "TIME", value_parser = moment_or_age, conflicts_with = "other")]
    at: Option<Timestamp>,
    #[command(flatten)]
    other_key: OtherKey,
}

/// A variable on one side or on both.
#[derive(Default)]
struct Sides {
    one: Option<Side>,
    other: Option<Side>,
}

#[derive(Default)]
struct Side {
    definition: Held<VariableDefinition>,
    value: Held<Secret>,
}

/// What a place holds, or held at a time.
#[derive(Default)]
enum Held<T> {
    Known(T),
    #[default]
    Nothing,
    NotKnown,
    /// It is there, and damaged.
    Unreadable,
}

#[derive(Serialize)]
struct DiffView<'a> {
    a: &'a str,
    b: &'a str,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    name: String,
    definition: Found,
    value: Found,
}

/// How an item on one side compares with the same item on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Same,
    Differs,
    OnlyA,
    OnlyB,
    Nowhere,
    /// At the requested time.
    NotKnown,
    Unreadable,
}

impl Diff {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        self.other_key.refuse_on_store()?;
        if self.at.is_some_and(|at| at.as_ms() > SystemClock.now_ms()) {
            return Err(Failure::usage("the time of --at is not past")
                .next("name one that is, or an age such as 90d"));
        }
        let one = self.one.unwrap_or_else(|| Place::chosen(session));
        let named: Vec<&Place> = [Some(&one), self.other.as_ref()].into_iter().flatten().collect();
        for place in &named {
            place.refuse_unknown(session).await?;
            // At another time there may have been something that is now gone.
            if self.at.is_none() {
                place.refuse_unknown_scope(session, &named).await?;
            }
        }
        let (mut unreadable_events, mut gaps) = (Vec::new(), Vec::new());
        let (here, mut unreadable) = sides(session, &one).await?;
        let (other, b) = match (&self.other, self.at) {
            (_, Some(at)) => {
                let PlaceAt { sides, unreadable_events: events, gaps: found } =
                    place_at(session, &one, at, output).await?;
                (unreadable_events, gaps) = (events, found);
                (sides, format!("{} at {}", one.as_str(), time(at)))
            }
            (Some(other), None) => {
                let (there, damaged) = sides(session, other).await?;
                unreadable.extend(damaged);
                (there, other.as_str().to_owned())
            }
            // This cannot happen: one of the two is required.
            (None, None) => (Vec::new(), String::new()),
        };
        show((one.as_str(), here), (&b, other), output)?;
        refuse_left_out(&unreadable, "row", "`strongroom verify` says what to do about each", output)?;
        refuse_unreadable(unreadable_events.iter().map(String::as_str), "event")?;
        match gaps.first() {
            Some(gap) => Err(Failure::new(Exit::Key, format!("the audit has a gap since then: {gap}")).next(
                "what was purged in it is not known and not listed; an earlier export or a backup may have the events",
            )),
            None => Ok(()),
        }
    }

    /// With keys that may reveal, unless all values are plain.
    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (Some(a), Some(b)) = (self.one, self.other) else {
            return Err(Failure::not_on_server("what was at a time is read from the store"));
        };
        let of_b = self.other_key.client(client, output)?;
        let of_b = of_b.as_ref().unwrap_or(client);
        show((a.as_str(), sides_on_server(client, &a)?), (b.as_str(), sides_on_server(of_b, &b)?), output)
    }
}

type Named = Vec<(String, Side)>;

fn show((a, one): (&str, Named), (b, other): (&str, Named), output: &Output) -> Result<(), Failure> {
    let mut names: BTreeMap<String, Sides> = BTreeMap::new();
    for (name, side) in one {
        names.entry(name).or_default().one = Some(side);
    }
    for (name, side) in other {
        names.entry(name).or_default().other = Some(side);
    }
    let all = names.into_iter().map(|(name, sides)| Difference::of(name, &sides));
    let differences: Vec<_> = all.filter(Difference::is_one).collect();
    let rows = differences
        .iter()
        .map(|one| [one.name.clone(), one.definition.as_str().to_owned(), one.value.as_str().to_owned()]);
    let view = DiffView { a, b, differences: Vec::new() };
    if differences.is_empty() && !output.is_json() {
        return output.text(&format!("{} and {} are the same\n", view.a, view.b));
    }
    let rows: Vec<_> = rows.collect();
    output.list(["NAME", "DEFINITION", "VALUE"], rows, &DiffView { differences, ..view })?;
    if output.is_json() {
        return Ok(());
    }
    output.text(&format!("A is {a}, B is {b}\n"))
}

impl Difference {
    fn of(name: String, sides: &Sides) -> Self {
        let none = Side::default();
        let [one, other] = [&sides.one, &sides.other].map(|side| side.as_ref().unwrap_or(&none));
        let definition = compare(&one.definition, &other.definition, |one, other| asked(one) == asked(other));
        let value = compare(&one.value, &other.value, |one, other| one.expose() == other.expose());
        Self { name, definition, value }
    }

    fn is_one(&self) -> bool {
        self.definition != Found::Same || !matches!(self.value, Found::Same | Found::Nowhere)
    }
}

impl Found {
    fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::OnlyA => "only in A",
            Self::OnlyB => "only in B",
            Self::Nowhere => "",
            Self::NotKnown => "not known at that time",
            Self::Unreadable => "cannot be read",
        }
    }
}

/// Without the author, who does not matter for what the definition requires of a value.
fn asked(definition: &VariableDefinition) -> VariableDefinition {
    let mut asked = definition.clone();
    asked.author = None;
    asked
}

fn compare<T>(one: &Held<T>, other: &Held<T>, is_same: impl Fn(&T, &T) -> bool) -> Found {
    match (one, other) {
        (Held::Unreadable, _) | (_, Held::Unreadable) => Found::Unreadable,
        (Held::NotKnown, _) | (_, Held::NotKnown) => Found::NotKnown,
        (Held::Known(one), Held::Known(other)) if is_same(one, other) => Found::Same,
        (Held::Known(_), Held::Known(_)) => Found::Differs,
        (Held::Known(_), Held::Nothing) => Found::OnlyA,
        (Held::Nothing, Held::Known(_)) => Found::OnlyB,
        (Held::Nothing, Held::Nothing) => Found::Nowhere,
    }
}

impl<T> From<Option<T>> for Held<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Self::Nothing, Self::Known)
    }
}

fn sides_on_server(client: &Client, place: &Place) -> Result<Named, Failure> {
    place.refuse_elsewhere(client)?;
    place.refuse_narrowed(client)?;
    let mut values: HashMap<_, _> = place.shown_values(client, &[])?.into_iter().collect();
    if let (Some(account), true) = (account_of(&place.scope), values.is_empty()) {
        client.refuse_unknown_account(account)?;
    }
    let definitions = client.definitions()?.into_iter();
    let side = |definition: VariableDefinition| {
        let value = values.remove(&definition.name).into();
        (definition.name.clone(), Side { definition: Held::Known(definition), value })
    };
    Ok(definitions.map(side).collect())
}

/// What a place holds, and why the rest cannot be read.
async fn sides(session: &Session, place: &Place) -> Result<(Named, Vec<String>), Failure> {
    let org = place.org(session);
    let (values, damaged) = pages::readable_values(&org, &place.scope).await?;
    let mut values: HashMap<DefinitionId, ScopedValue> =
        values.into_iter().map(|value| (value.definition_id, value)).collect();
    let (definitions, mut unreadable) = pages::readable_definitions(&org).await?;
    let mut sides = Vec::with_capacity(definitions.len());
    for stored in definitions {
        let name = stored.definition.name.clone();
        let value = match values.remove(&stored.id) {
            Some(value) => Held::Known(value.value),
            None if damaged.is_empty() => Held::Nothing,
            None => match org.value(stored.id, &place.scope).await {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    unreadable.push(format!("the value of {name}: {error}"));
                    Held::Unreadable
                }
                found => found?.map(|value| value.value).into(),
            },
        };
        sides.push((name, Side { definition: Held::Known(stored.definition), value }));
    }
    Ok((sides, unreadable))
}

/// What a place held at a moment, from the kept versions, and what the audit says was there but is not kept.
async fn place_at(
    session: &Session,
    place: &Place,
    at: Timestamp,
    output: &Output,
) -> Result<PlaceAt, Failure> {
    let org = place.org(session);
    let path = match &place.scope {
        Scope::Org => ScopePath::org(),
        Scope::LinkedAccount(id) => ScopePath::org().linked_account(id.clone()),
        Scope::Workflow(id) => ScopePath::org().workflow(id.clone()),
    };
    // An audit without earlier events may have been turned on since, or trimmed.
    let before = AuditFilter::all().until(at);
    let has_audit = session.vault.settings().await?.audit;
    let mut noted = noted_since(&org, &place.scope, at).await?;
    noted.was_switched |= was_switched_elsewhere(session, &org, at).await?;
    if noted.was_switched || !noted.unreadable.is_empty() || !noted.gaps.is_empty() {
        output.warn(NOT_LISTED);
    } else if !has_audit || org.audit(&before, PageRequest::first(1)).await?.items.is_empty() {
        output.note(NOT_LISTED);
    }
    let mut sides = Vec::new();
    for deleted in pages::all(async |page| org.deleted_definitions(page).await).await? {
        match deleted {
            Ok(stored) if stored.updated_at > at => {
                noted.definitions.remove(&stored.id);
                if let Some((name, definition)) = definition_at(&org, stored, at).await? {
                    // They are deleted with it.
                    sides.push((name, Side { definition, value: Held::NotKnown }));
                }
            }
            Ok(_) => {}
            Err(error) => output.warn(&format!("left out: {}", Failure::from(error))),
        }
    }
    // One that cannot be read is named with what is here now.
    for stored in pages::readable_definitions(&org).await?.0 {
        let id = stored.id;
        noted.definitions.remove(&id);
        let Some((name, definition)) = definition_at(&org, stored, at).await? else { continue };
        let is_allowed = |definition: &Held<VariableDefinition>| match definition {
            Held::Known(definition) => definition.scopes.allows(place.scope.kind()),
            Held::NotKnown | Held::Unreadable | Held::Nothing => true,
        };
        // A value from a less specific scope or the default does not belong to this place.
        let is_here = |resolved: &Resolved| resolved.scope == Origin::Scope(place.scope.clone());
        let value = match org.resolve_at(id, &path, at).await {
            Err(Error::VersionNotFound(_)) => Held::NotKnown,
            Err(error) if error.kind() == ErrorKind::Damaged => {
                output.warn(&Failure::from(error).to_string());
                Held::NotKnown
            }
            found => match found?.filter(is_here) {
                Some(resolved) => Held::Known(resolved.value),
                None if noted.had_value(id, is_allowed(&definition)) => Held::NotKnown,
                None => Held::Nothing,
            },
        };
        sides.push((name, Side { definition, value }));
    }
    let purged = noted.definitions.into_values().filter_map(|(name, was_there)| was_there.then_some(name));
    sides.extend(purged.map(|name| (name, Side { definition: Held::NotKnown, value: Held::NotKnown })));
    Ok(PlaceAt { sides, unreadable_events: noted.unreadable, gaps: noted.gaps })
}

/// What a place held at a moment.
struct PlaceAt {
    sides: Named,
    /// Why each unreadable event since then cannot be read.
    unreadable_events: Vec<String>,
    /// Where events since then are missing.
    gaps: Vec<String>,
}

/// The name of a definition and its content at a moment; `None` if it did not exist.
async fn definition_at(
    org: &Org,
    stored: StoredDefinition,
    at: Timestamp,
) -> Result<Option<(String, Held<VariableDefinition>)>, Failure> {
    if stored.created_at > at {
        return Ok(None);
    }
    if stored.updated_at <= at {
        return Ok(Some((stored.definition.name.clone(), Held::Known(stored.definition))));
    }
    let not_known = Ok(Some((stored.definition.name.clone(), Held::NotKnown)));
    let versions = pages::all(async |page| org.definition_history(stored.id, page).await).await?;
    let is_then = |version: &Version| version.unreadable.is_some() || version.written_at <= at;
    let Some(place) = versions.iter().position(is_then) else { return not_known };
    let (newer, then) = versions.split_at(place);
    let Some(then) = then.first().filter(|then| then.unreadable.is_none()) else { return not_known };
    // A version in between that is not kept may be from that moment.
    let adjoins = |newer: &Version| newer.revision.as_u64() == then.revision.as_u64().wrapping_add(1);
    if !newer.last().is_none_or(adjoins) {
        return not_known;
    }
    if then.deleted {
        return Ok(None);
    }
    let then = org.definition_version(stored.id, then.revision).await?.definition;
    Ok(Some((then.name.clone(), Held::Known(then))))
}

const NOT_LISTED: &str =
    "without a whole audit from then on, what was purged since then is not known and not listed";
