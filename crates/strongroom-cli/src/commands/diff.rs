//! `diff`: in what two places differ, or one place from what it was.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use strongroom::{
    DefinitionId, Error, Org, Origin, Scope, ScopePath, ScopedValue, Secret, StoredDefinition, Timestamp,
    VariableDefinition,
};

use super::audit::moment;
use super::place::{OtherKey, Place};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, time};
use crate::pages;
use crate::session::Session;
use crate::suggest;

/// `diff` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// `[ORG/]ENVIRONMENT`, and `@account:ID` or `@workflow:ID` for another scope than the org's; with --at, the chosen
    /// environment unless it is named
    #[arg(value_name = "A", required_unless_present = "at")]
    one: Option<Place>,
    /// The place to compare it with
    #[arg(value_name = "B", required_unless_present = "at")]
    other: Option<Place>,
    /// Compare it with what it was at this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "other")]
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

struct Side {
    definition: VariableDefinition,
    value: Option<Secret>,
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

/// How a thing on one side compares with the same on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Same,
    Differs,
    OnlyA,
    OnlyB,
    Nowhere,
}

impl Diff {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        self.other_key.refuse_on_store()?;
        for place in [&self.one, &self.other].into_iter().flatten() {
            suggest::note_new_environment(&place.org(session), output).await;
        }
        let one = self.one.unwrap_or_else(|| Place::chosen(session));
        let (other, b) = match (&self.other, self.at) {
            (_, Some(at)) => {
                (sides_at(session, &one, at).await?, format!("{} at {}", one.as_str(), time(at)))
            }
            (Some(other), None) => (sides(session, other).await?, other.as_str().to_owned()),
            // Never: one of the two is required.
            (None, None) => (Vec::new(), String::new()),
        };
        show((one.as_str(), sides(session, &one).await?), (&b, other), output)
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
    output.list(["NAME", "DEFINITION", "VALUE"], rows, &DiffView { differences, ..view })
}

impl Difference {
    fn of(name: String, sides: &Sides) -> Self {
        let definition =
            compare(sides.one.as_ref(), sides.other.as_ref(), |one, other| asked(one) == asked(other));
        let value = compare(value_of(&sides.one), value_of(&sides.other), |one, other| {
            one.expose() == other.expose()
        });
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
        }
    }
}

/// Without who wrote it, which says nothing about what it asks of a value.
fn asked(side: &Side) -> VariableDefinition {
    let mut definition = side.definition.clone();
    definition.author = None;
    definition
}

fn value_of(side: &Option<Side>) -> Option<&Secret> {
    side.as_ref()?.value.as_ref()
}

fn compare<T>(one: Option<&T>, other: Option<&T>, is_same: impl Fn(&T, &T) -> bool) -> Found {
    match (one, other) {
        (Some(one), Some(other)) if is_same(one, other) => Found::Same,
        (Some(_), Some(_)) => Found::Differs,
        (Some(_), None) => Found::OnlyA,
        (None, Some(_)) => Found::OnlyB,
        (None, None) => Found::Nowhere,
    }
}

fn sides_on_server(client: &Client, place: &Place) -> Result<Named, Failure> {
    place.refuse_elsewhere(client)?;
    place.refuse_narrowed(client)?;
    let mut values: HashMap<_, _> = place.shown_values(client, &[])?.into_iter().collect();
    let definitions = client.definitions()?.into_iter();
    let side = |definition: VariableDefinition| {
        let value = values.remove(&definition.name);
        (definition.name.clone(), Side { definition, value })
    };
    Ok(definitions.map(side).collect())
}

async fn sides(session: &Session, place: &Place) -> Result<Named, Failure> {
    let org = place.org(session);
    let mut values: HashMap<DefinitionId, ScopedValue> = pages::values(&org, &place.scope)
        .await?
        .into_iter()
        .map(|value| (value.definition_id, value))
        .collect();
    let side = |stored: StoredDefinition| {
        let value = values.remove(&stored.id).map(|value| value.value);
        (stored.definition.name.clone(), Side { definition: stored.definition, value })
    };
    Ok(pages::definitions(&org).await?.into_iter().map(side).collect())
}

/// What a place held at a moment, from the versions that are kept.
async fn sides_at(session: &Session, place: &Place, at: Timestamp) -> Result<Named, Failure> {
    let org = place.org(session);
    let path = match &place.scope {
        Scope::Org => ScopePath::org(),
        Scope::LinkedAccount(id) => ScopePath::org().linked_account(id.clone()),
        Scope::Workflow(id) => ScopePath::org().workflow(id.clone()),
    };
    let seen = match org.resolve_all_at(&path, at).await {
        Err(Error::VersionNotFound(_)) => return Err(not_kept(&org, &path, at).await?),
        seen => seen?.values.into_iter(),
    };
    // What a less specific scope or the default would have filled in is not of this place.
    let here = seen.filter(|resolved| resolved.scope == Origin::Scope(place.scope.clone()));
    let mut values: HashMap<DefinitionId, Secret> =
        here.map(|resolved| (resolved.definition_id, resolved.value)).collect();
    let mut sides = Vec::new();
    for stored in pages::definitions(&org).await? {
        let Some(then) = definition_at(&org, stored, at).await? else { continue };
        let value = values.remove(&then.id);
        sides.push((then.definition.name.clone(), Side { definition: then.definition, value }));
    }
    Ok(sides)
}

/// That a place cannot be compared, and for which variables.
async fn not_kept(org: &Org, path: &ScopePath, at: Timestamp) -> Result<Failure, Failure> {
    let mut names = Vec::new();
    for stored in pages::definitions(org).await? {
        if let Err(Error::VersionNotFound(_)) = org.resolve_at(stored.id, path, at).await {
            names.push(stored.definition.name);
        }
    }
    let gone = format!("what {} was at that time is no longer kept", names.join(", "));
    Ok(Failure::new(Exit::NotFound, gone)
        .next("ask for a later time; `strongroom define NAME --change --keep-versions COUNT` keeps more from now on"))
}

async fn definition_at(
    org: &Org,
    stored: StoredDefinition,
    at: Timestamp,
) -> Result<Option<StoredDefinition>, Failure> {
    if stored.updated_at <= at || stored.created_at > at {
        return Ok((stored.created_at <= at).then_some(stored));
    }
    let versions = pages::all(async |page| org.definition_history(stored.id, page).await).await?;
    let Some(then) = versions.into_iter().find(|version| version.written_at <= at) else {
        let gone = format!("what {} was at that time is no longer kept", stored.definition.name);
        return Err(Failure::new(Exit::NotFound, gone));
    };
    Ok(Some(org.definition_version(stored.id, then.revision).await?))
}
