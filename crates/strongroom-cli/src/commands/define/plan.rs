//! What a change of a definition would do: its differences, and the values that it does not allow.

use serde::Serialize;
use strongroom::{FormatChange, LengthBounds, Org, ScopeKind, Scopes, StoredDefinition, VariableDefinition};
use strongroom_http::control;

use super::format::described;
use super::{Define, scopes_of};
use crate::failure::{Failure, word};
use crate::output::{self, Output, counted, printable};
use crate::pages;

/// A change before it is made.
#[derive(Serialize)]
pub(super) struct Plan {
    pub(super) name: String,
    dry_run: bool,
    /// The fields that change, each with its old and new content.
    pub(super) changes: Vec<String>,
    /// Values that the change does not allow. They are not shown.
    pub(super) refused: Vec<Refused>,
    /// The options that take the change of the format and its bounds back.
    #[serde(skip)]
    back: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Refused {
    scope: String,
    reason: String,
    /// Whether its scope would not be allowed, rather than the value itself.
    #[serde(skip)]
    pub(super) by_scope: bool,
}

impl Define {
    pub(super) async fn plan(
        &self,
        org: &Org,
        stored: &StoredDefinition,
        format: Option<&FormatChange>,
    ) -> Result<Plan, Failure> {
        let mut refused = Vec::new();
        if let Some(format) = format {
            let found =
                pages::all(async |page| org.plan_format_change(stored.id, format, page).await).await?;
            refused.extend(found.into_iter().map(|one| Refused {
                scope: one.scope.to_string(),
                reason: one.rule.to_string(),
                by_scope: false,
            }));
        }
        if let Some(scopes) = scopes_of(&self.scopes) {
            let found = pages::all(async |page| org.plan_scope_change(stored.id, scopes, page).await).await?;
            refused.extend(found.into_iter().map(|scope| Refused {
                scope: scope.to_string(),
                reason: SCOPE_NOT_ALLOWED.to_owned(),
                by_scope: true,
            }));
        }
        self.with_changes(self.changes(&stored.definition)?, &stored.definition, refused)
    }

    pub(super) fn with_changes(
        &self,
        changes: Vec<String>,
        old: &VariableDefinition,
        refused: Vec<Refused>,
    ) -> Result<Plan, Failure> {
        let back = self.format.back(old)?;
        Ok(Plan { name: self.name.to_string(), dry_run: self.change.dry_run, changes, refused, back })
    }

    /// The differences.
    pub(super) fn changes(&self, old: &VariableDefinition) -> Result<Vec<String>, Failure> {
        let format = self.format.named(Some(&old.var_format))?.filter(|format| *format != old.var_format);
        let length = self.format.length(old.length)?.filter(|bounds| Some(*bounds) != old.length);
        let scopes = scopes_of(&self.scopes).filter(|scopes| *scopes != old.scopes);
        let rename = self.change.rename.as_ref().filter(|name| name.as_str() != old.name);
        let text = |field: &str, new: &Option<String>, removed: bool, old: &Option<String>| {
            let changes = if removed { old.is_some() } else { new.is_some() && new != old };
            let new = new.as_deref().filter(|_| !removed);
            changes.then(|| format!("{field} {} to {}", quoted(old.as_deref()), quoted(new)))
        };
        let versions = self.keep_versions.filter(|count| Some(*count) != old.history_versions);
        let age = self.keep_for.filter(|age| Some(age.as_secs()) != old.history_age_secs);
        let required = self.required && !old.required || self.change.optional && old.required;
        Ok([
            format.map(|new| format!("format {} to {}", described(&old.var_format), described(&new))),
            length.map(|new| match old.length {
                Some(old) => format!("{} to {}", in_bytes(old), in_bytes(new)),
                None => format!("any length to {}", in_bytes(new)),
            }),
            rename.map(|new| format!("name to {new}")),
            scopes.map(|new| format!("scopes {} to {}", names(old.scopes), names(new))),
            text("description", &self.description, self.change.no_description, &old.description),
            text("default", &self.default, self.change.no_default, &old.default),
            required.then(|| if old.required { "optional" } else { "required" }.to_owned()),
            (self.encrypted && !old.encrypted).then(|| "encrypted, which cannot be undone".to_owned()),
            versions.map(|count| format!("{} kept", counted(count, "former version"))),
            age.map(|age| format!("former versions kept for {}", output::age(age.as_secs()))),
        ]
        .into_iter()
        .flatten()
        .collect())
    }
}

impl Refused {
    /// `scopes` are those that the definition should allow; empty if they do not change.
    pub(super) fn of_server(one: &control::RefusedValue, scopes: &[ScopeKind]) -> Self {
        let id = one.linked_account_id.as_deref().or(one.workflow_id.as_deref());
        let scope = [Some(one.scope.as_str()), id].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let by_scope = !scopes.is_empty() && !scopes.contains(&one.scope);
        Self { scope, reason: one.reason.clone(), by_scope }
    }
}

impl Plan {
    fn sentence(&self) -> String {
        format!("changed {}: {}", self.name, self.changes.join("; "))
    }

    fn show(&self, output: &Output) -> Result<(), Failure> {
        if !output.is_json() {
            output.text(&format!("{}: {}\n", printable(&self.name), printable(&self.changes.join("; "))))?;
        }
        if self.refused.is_empty() && !output.is_json() {
            return output.text("every value is allowed; nothing was written\n");
        }
        let rows = self.refused.iter().map(|one| [one.scope.clone(), one.reason.clone()]);
        output.list(["VALUE AT", "REASON"], rows, self)
    }
}

/// One JSON document, even for several definitions.
pub(super) fn made(plans: &[&Plan], output: &Output) -> Result<(), Failure> {
    for Plan { name, back, .. } in plans {
        if let Some(back) = back {
            let name = word(name);
            output.note(&format!(
                "`strongroom define {name} --change{back}` takes the change of the format back"
            ));
        }
    }
    match plans {
        [one] => output.done(&one.sentence(), one),
        several => {
            let sentences: Vec<_> = several.iter().map(|plan| plan.sentence()).collect();
            output.done_lines(&sentences.join("\n"), &several)
        }
    }
}

pub(super) fn show(plans: &[&Plan], output: &Output) -> Result<(), Failure> {
    match plans {
        [one] => one.show(output),
        several if output.is_json() => output.json(&several),
        several => several.iter().try_for_each(|plan| plan.show(output)),
    }
}

pub(super) fn in_the_way(count: usize, name: &str) -> Failure {
    let message = format!("{} of {name} would be refused, so nothing was written", counted(count, "value"));
    Failure::invalid(message)
        .next("set or delete them first; --keep-mismatched leaves those of another format until they are set")
}

fn in_bytes(bounds: LengthBounds) -> String {
    format!("{}-{} bytes", bounds.min(), bounds.max())
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"))
}

/// The names of the scopes.
fn names(scopes: Scopes) -> String {
    scopes.iter().map(ScopeKind::as_str).collect::<Vec<_>>().join(", ")
}

const SCOPE_NOT_ALLOWED: &str = "no value would be allowed at this scope";
