//! `diff`: in what two places differ.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use strongroom::{DefinitionId, ScopedValue, StoredDefinition, VariableDefinition};

use super::place::Place;
use crate::failure::Failure;
use crate::output::Output;
use crate::pages;
use crate::session::Session;

/// `diff` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// `[ORG/]ENVIRONMENT`, and `@account:ID` or `@workflow:ID` for another scope than the org's
    #[arg(value_name = "A")]
    one: Place,
    /// The place to compare it with
    #[arg(value_name = "B")]
    other: Place,
}

/// A variable on one side or on both.
#[derive(Default)]
struct Sides {
    one: Option<Side>,
    other: Option<Side>,
}

struct Side {
    definition: VariableDefinition,
    value: Option<ScopedValue>,
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
        let mut names: BTreeMap<String, Sides> = BTreeMap::new();
        for (name, side) in sides(session, &self.one).await? {
            names.entry(name).or_default().one = Some(side);
        }
        for (name, side) in sides(session, &self.other).await? {
            names.entry(name).or_default().other = Some(side);
        }
        let all = names.into_iter().map(|(name, sides)| Difference::of(name, &sides));
        let differences: Vec<_> = all.filter(Difference::is_one).collect();
        let rows = differences
            .iter()
            .map(|one| [one.name.clone(), one.definition.as_str().to_owned(), one.value.as_str().to_owned()]);
        let view = DiffView { a: self.one.as_str(), b: self.other.as_str(), differences: Vec::new() };
        if differences.is_empty() && !output.is_json() {
            return output.text(&format!("{} and {} are the same\n", view.a, view.b));
        }
        let rows: Vec<_> = rows.collect();
        output.list(["NAME", "DEFINITION", "VALUE"], rows, &DiffView { differences, ..view })
    }
}

impl Difference {
    fn of(name: String, sides: &Sides) -> Self {
        let definition =
            compare(sides.one.as_ref(), sides.other.as_ref(), |one, other| asked(one) == asked(other));
        let value = compare(value_of(&sides.one), value_of(&sides.other), |one, other| {
            one.value.expose() == other.value.expose()
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

fn value_of(side: &Option<Side>) -> Option<&ScopedValue> {
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

async fn sides(session: &Session, place: &Place) -> Result<Vec<(String, Side)>, Failure> {
    let org = place.org(session);
    let mut values: HashMap<DefinitionId, ScopedValue> = pages::values(&org, &place.scope)
        .await?
        .into_iter()
        .map(|value| (value.definition_id, value))
        .collect();
    let side = |stored: StoredDefinition| {
        let value = values.remove(&stored.id);
        (stored.definition.name.clone(), Side { definition: stored.definition, value })
    };
    Ok(pages::definitions(&org).await?.into_iter().map(side).collect())
}
