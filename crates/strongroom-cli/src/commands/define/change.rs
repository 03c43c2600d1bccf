//! `define --change`: what a change means for the stored values, and making it.

use serde::Serialize;
use strongroom::{
    DefinitionChange, DefinitionName, Expected, FormatChange, LengthBounds, OnMismatch, Org, ScopeKind,
    Scopes, StoredDefinition, VariableDefinition, WriteOptions,
};

use strongroom_http::control;

use super::format::described;
use super::{Define, scopes_of};
use crate::client::{Client, docs};
use crate::failure::{Failure, word};
use crate::output::{self, Output, counted};
use crate::pages;
use crate::suggest;

/// Options that only a change takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChangeArgs {
    /// Change the existing definition; what is not named stays as it is, and a list that is named is replaced
    #[arg(long)]
    change: bool,
    /// With --change: show what it would do and which values it would refuse, and write nothing
    #[arg(long, requires = "change")]
    dry_run: bool,
    /// With --change: change the format even if values do not match it; they stay until they are set again
    #[arg(long, requires = "change")]
    keep_mismatched: bool,
    /// With --change: give it this name
    #[arg(long, value_name = "NAME", requires = "change")]
    rename: Option<DefinitionName>,
    /// With --change: also change this definition, in the same way; repeat it for several
    #[arg(long, value_name = "NAME", requires = "change", conflicts_with = "rename")]
    also: Vec<DefinitionName>,
    /// With --change: remove the default
    #[arg(long, requires = "change", conflicts_with = "default")]
    no_default: bool,
    /// With --change: remove the description
    #[arg(long, requires = "change", conflicts_with = "description")]
    no_description: bool,
    /// With --change: do not report it as missing
    #[arg(long, requires = "change", conflicts_with = "required")]
    optional: bool,
}

/// A change before it is made.
#[derive(Serialize)]
struct Plan {
    name: String,
    dry_run: bool,
    /// The fields that change, each with its old and new content.
    changes: Vec<String>,
    /// Values that the change does not allow. They are not shown.
    refused: Vec<Refused>,
    /// The options that take the change of the format and its bounds back.
    #[serde(skip)]
    back: Option<String>,
}

#[derive(Serialize)]
struct Refused {
    scope: String,
    reason: String,
    /// Whether its scope would not be allowed, rather than the value itself.
    #[serde(skip)]
    by_scope: bool,
}

impl ChangeArgs {
    pub(super) fn is_change(&self) -> bool {
        self.change
    }
}

impl Define {
    /// With several definitions, none is changed before it is known that no value prevents any of the changes.
    pub(super) async fn change(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        let mut planned = Vec::new();
        for one in self.each() {
            let Some(stored) = org.definition(&one.name).await? else {
                return Err(suggest::undefined(org, &one.name).await);
            };
            let format = one.format_change(&stored)?;
            let plan = one.plan(org, &stored, format.as_ref()).await?;
            if !plan.changes.is_empty() {
                planned.push((one, stored, format, plan));
            }
        }
        let plans: Vec<_> = planned.iter().map(|(.., plan)| plan).collect();
        if self.shows_only(&plans, output)? {
            return Ok(());
        }
        for (one, stored, format, _) in &planned {
            one.apply(org, stored, format.as_ref(), one.other_change()).await?;
        }
        made(&plans, output)
    }

    pub(super) fn change_on_server(&self, client: &Client, output: &Output) -> Result<(), Failure> {
        let all: Vec<_> = self.each().collect();
        let tries = self.change.dry_run || all.len() > 1;
        let mut planned = Vec::new();
        for one in &all {
            if let Some((plan, applied)) = one.patch(client, tries)? {
                planned.push((one, plan, applied));
            }
        }
        let plans: Vec<_> = planned.iter().map(|(_, plan, _)| plan).collect();
        if self.shows_only(&plans, output)? {
            return Ok(());
        }
        for (one, ..) in planned.iter().filter(|(.., applied)| !applied) {
            one.patch(client, false)?;
        }
        made(&plans, output)
    }

    /// This change, for each of its definitions.
    fn each(&self) -> impl Iterator<Item = Self> {
        let names = [&self.name].into_iter().chain(&self.change.also);
        names.map(|name| Self { name: name.clone(), ..self.clone() })
    }

    /// Shows the plans if nothing is to be changed, and fails if a change is not possible.
    fn shows_only(&self, plans: &[&Plan], output: &Output) -> Result<bool, Failure> {
        if plans.is_empty() {
            return Err(self.no_change());
        }
        let refused = plans.iter().find(|plan| self.is_refused(plan));
        if self.change.dry_run || refused.is_some() {
            show(plans, output)?;
        }
        match refused {
            Some(plan) => Err(in_the_way(plan.refused.len(), &plan.name)),
            None => Ok(self.change.dry_run),
        }
    }

    /// What a server would change, and whether it did; `None` if nothing changes.
    fn patch(&self, client: &Client, dry_run: bool) -> Result<Option<(Plan, bool)>, Failure> {
        // An empty change returns the present definition.
        let path = ["definitions", self.name.as_str()];
        let nothing = control::DefinitionChange { dry_run: true, ..control::DefinitionChange::default() };
        let present: control::Plan = client.control_patch(&path, &nothing)?;
        let present = docs::definition(present.definition)?;
        let changes = self.changes(&present)?;
        if changes.is_empty() {
            return Ok(None);
        }
        let text = |text: &Option<String>, removed: bool| match removed {
            true => Some(None),
            false => text.clone().map(Some),
        };
        let length = self.format.length(present.length)?;
        let body = control::DefinitionChange {
            name: self.change.rename.as_ref().map(ToString::to_string),
            var_format: self.format.named(Some(&present.var_format))?,
            bytes_min: length.map(|bounds| bounds.min()),
            bytes_max: length.map(|bounds| bounds.max()),
            scopes: (!self.scopes.is_empty()).then(|| self.scopes.clone()),
            description: text(&self.description, self.change.no_description),
            default: text(&self.default, self.change.no_default),
            required: (self.required || self.change.optional).then_some(self.required),
            encrypted: self.encrypted,
            history_versions: self.keep_versions,
            history_age_secs: self.keep_for.map(|age| age.as_secs()),
            keep_mismatched: self.change.keep_mismatched,
            dry_run,
        };
        let made: control::Plan = client.control_patch(&path, &body)?;
        let refused = made.refused.iter().map(|one| Refused::of_server(one, &self.scopes)).collect();
        let plan = self.with_changes(changes, &present, refused)?;
        Ok(Some((plan, made.applied)))
    }

    /// Whether values prevent the change.
    fn is_refused(&self, plan: &Plan) -> bool {
        let scopes_in_use = plan.refused.iter().any(|refused| refused.by_scope);
        scopes_in_use || !self.change.keep_mismatched && !plan.refused.is_empty()
    }

    fn no_change(&self) -> Failure {
        Failure::usage(format!("nothing of {} would change", self.name))
            .next("name what changes, such as --format or --required")
    }

    /// `None` if neither the format nor its bounds change.
    fn format_change(&self, stored: &StoredDefinition) -> Result<Option<FormatChange>, Failure> {
        let present = &stored.definition.var_format;
        let (format, length) =
            (self.format.named(Some(present))?, self.format.length(stored.definition.length)?);
        if format.is_none() && length.is_none() {
            return Ok(None);
        }
        let mut change = FormatChange::to(format.unwrap_or_else(|| present.clone()));
        if let Some(bounds) = length.or(stored.definition.length) {
            change = change.length(bounds);
        }
        // Together with the format, since the old default may not match it.
        if let Some(default) = &self.default {
            change = change.default_value(default);
        }
        Ok(Some(if self.change.no_default { change.no_default_value() } else { change }))
    }

    fn other_change(&self) -> DefinitionChange {
        let mut change = DefinitionChange::new();
        if let Some(name) = &self.change.rename {
            change = change.name(name.as_str());
        }
        if let Some(text) = &self.description {
            change = change.description(text);
        }
        if let Some(text) = &self.default {
            change = change.default_value(text);
        }
        if let Some(scopes) = scopes_of(&self.scopes) {
            change = change.scopes(scopes);
        }
        if let Some(count) = self.keep_versions {
            change = change.history_versions(count);
        }
        if let Some(age) = self.keep_for {
            change = change.history_age_secs(age.as_secs());
        }
        for (is_asked, apply) in [
            (self.change.no_description, DefinitionChange::no_description as fn(_) -> _),
            (self.change.no_default, DefinitionChange::no_default_value),
            (self.required, DefinitionChange::required),
            (self.change.optional, DefinitionChange::optional),
            (self.encrypted, DefinitionChange::encrypted),
        ] {
            change = if is_asked { apply(change) } else { change };
        }
        change
    }

    async fn plan(
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

    fn with_changes(
        &self,
        changes: Vec<String>,
        old: &VariableDefinition,
        refused: Vec<Refused>,
    ) -> Result<Plan, Failure> {
        let back = self.format.back(old)?;
        Ok(Plan { name: self.name.to_string(), dry_run: self.change.dry_run, changes, refused, back })
    }

    /// The differences.
    fn changes(&self, old: &VariableDefinition) -> Result<Vec<String>, Failure> {
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

    /// The format first, since a value can prevent only that change. Each write expects the definition that was planned
    /// for.
    async fn apply(
        &self,
        org: &Org,
        stored: &StoredDefinition,
        format: Option<&FormatChange>,
        change: DefinitionChange,
    ) -> Result<(), Failure> {
        let mut revision = stored.revision;
        if let Some(format) = format {
            let on_mismatch = match self.change.keep_mismatched {
                true => OnMismatch::Grandfather,
                false => OnMismatch::Refuse,
            };
            let as_planned = WriteOptions::expecting(Expected::Revision(revision));
            revision = org.change_format_with(stored.id, format, on_mismatch, as_planned).await?.revision;
        }
        if change != DefinitionChange::new() {
            let as_planned = WriteOptions::expecting(Expected::Revision(revision));
            org.update_definition_with(stored.id, change, as_planned).await?;
        }
        Ok(())
    }
}

impl Refused {
    /// `scopes` are those that the definition should allow; empty if they do not change.
    fn of_server(one: &control::RefusedValue, scopes: &[ScopeKind]) -> Self {
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
            output.text(&format!("{}: {}\n", self.name, self.changes.join("; ")))?;
        }
        if self.refused.is_empty() && !output.is_json() {
            return output.text("every value is allowed; nothing was written\n");
        }
        let rows = self.refused.iter().map(|one| [one.scope.clone(), one.reason.clone()]);
        output.list(["VALUE AT", "REASON"], rows, self)
    }
}

/// One JSON document, even for several definitions.
fn made(plans: &[&Plan], output: &Output) -> Result<(), Failure> {
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

fn show(plans: &[&Plan], output: &Output) -> Result<(), Failure> {
    match plans {
        [one] => one.show(output),
        several if output.is_json() => output.json(&several),
        several => several.iter().try_for_each(|plan| plan.show(output)),
    }
}

fn in_the_way(count: usize, name: &str) -> Failure {
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
