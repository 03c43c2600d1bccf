//! `resolve` and `explain`: what a run sees, and why.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;
use strongroom::{DefinitionName, Org, Origin, Resolved, ScopePath, Step};

use crate::commands::value::undefined;
use crate::failure::Failure;
use crate::output::{Output, Values, yes};

/// What resolved, as one object by name.
struct ByName<'a> {
    resolved: &'a [Resolved],
    values: Values,
}

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.resolved.len()))?;
        for one in self.resolved {
            map.serialize_entry(&one.name, &View::of(one, self.values))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct View<'a> {
    value: &'a str,
    scope: &'static str,
    encrypted: bool,
    shadowed: Vec<&'static str>,
}

impl<'a> View<'a> {
    fn of(resolved: &'a Resolved, values: Values) -> Self {
        Self {
            value: values.of(&resolved.value),
            scope: resolved.scope.as_str(),
            encrypted: resolved.encrypted,
            shadowed: resolved.shadowed.iter().map(Origin::as_str).collect(),
        }
    }
}

pub(crate) async fn resolve(
    org: &Org,
    name: &DefinitionName,
    path: &ScopePath,
    values: Values,
    output: &Output,
) -> Result<(), Failure> {
    let found = org.resolve(name, path).await?.ok_or_else(|| {
        Failure::not_found(format!("{name} resolves to nothing"))
            .next("`strongroom explain NAME` shows where it was looked for")
    })?;
    show(&[found], values, output)
}

pub(crate) async fn resolve_all(
    org: &Org,
    path: &ScopePath,
    values: Values,
    output: &Output,
) -> Result<(), Failure> {
    let resolution = org.resolve_all(path).await?;
    if !resolution.missing_required.is_empty() {
        output
            .warn(&format!("required, and resolves to nothing: {}", resolution.missing_required.join(", ")));
    }
    show(&resolution.values, values, output)
}

fn show(resolved: &[Resolved], values: Values, output: &Output) -> Result<(), Failure> {
    let rows = resolved.iter().map(|one| {
        let shadowed: Vec<_> = one.shadowed.iter().map(Origin::as_str).collect();
        let value = values.of(&one.value).to_owned();
        [one.name.clone(), value, one.scope.to_string(), yes(one.encrypted), shadowed.join(", ")]
    });
    output.list(["NAME", "VALUE", "SCOPE", "ENCRYPTED", "SHADOWED"], rows, &ByName { resolved, values })
}

pub(crate) async fn explain(
    org: &Org,
    name: &DefinitionName,
    path: &ScopePath,
    output: &Output,
) -> Result<(), Failure> {
    if org.definition(name).await?.is_none() {
        return Err(undefined(name));
    }
    let trace = org.explain(name, path).await?;
    let winner = trace.winner();
    let part = |step: &Step| match (step.holds_value, winner) {
        (false, _) => "no value",
        (true, Some(first)) if std::ptr::eq(first, step) => "found",
        (true, _) => "shadowed",
    };
    // The trace is walked by reference, so that the winner is one of its own steps.
    let rows = trace.steps.iter().map(|step| [step.origin.to_string(), part(step).to_owned()]);
    let steps: Vec<_> = trace
        .steps
        .iter()
        .map(|step| json!({ "scope": step.origin.as_str(), "at": step.origin.to_string(), "outcome": part(step) }))
        .collect();
    let json = json!({
        "name": trace.name,
        "variable_definition_id": trace.definition_id.to_string(),
        "scope": winner.map(|step| step.origin.as_str()),
        "steps": steps,
    });
    output.list(["LOOKED AT", "OUTCOME"], rows, &json)
}
