//! `define --change`: planning a change, and making it.

use strongroom::{
    DefinitionChange, DefinitionName, Expected, FormatChange, OnMismatch, Org, StoredDefinition, WriteOptions,
};
use strongroom_http::control;

use super::plan::{Plan, Refused, in_the_way, made, show};
use super::{Define, scopes_of};
use crate::client::{Client, docs};
use crate::failure::Failure;
use crate::output::Output;
use crate::suggest;

/// Options that only a change takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChangeArgs {
    /// Change the existing definition; whatever no option names stays as it is, and an option with a list replaces it
    #[arg(long)]
    change: bool,
    /// With --change: show what it would do and which values it would refuse, and write nothing
    #[arg(long, requires = "change")]
    pub(super) dry_run: bool,
    /// With --change: change the format even if values do not match it; they stay until they are set again
    #[arg(long, requires = "change")]
    keep_mismatched: bool,
    /// With --change: give it this name
    #[arg(long, value_name = "NAME", requires = "change")]
    pub(super) rename: Option<DefinitionName>,
    /// With --change: also change this definition, in the same way; repeat it for several
    #[arg(long, value_name = "NAME", requires = "change", conflicts_with = "rename")]
    also: Vec<DefinitionName>,
    /// With --change: remove the default
    #[arg(long, requires = "change", conflicts_with = "default")]
    pub(super) no_default: bool,
    /// With --change: remove the description
    #[arg(long, requires = "change", conflicts_with = "description")]
    pub(super) no_description: bool,
    /// With --change: do not report it as missing
    #[arg(long, requires = "change", conflicts_with = "required")]
    pub(super) optional: bool,
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
            one.apply(org, stored, format.as_ref()).await?;
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
            bytes_min: length.map(|bounds| Some(bounds.min())),
            bytes_max: length.map(|bounds| Some(bounds.max())),
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

    /// All other changes, which come before that of the format.
    fn other_change(&self, changes_format: bool) -> DefinitionChange {
        let mut change = DefinitionChange::new();
        if let Some(name) = &self.change.rename {
            change = change.name(name.as_str());
        }
        if let Some(text) = &self.description {
            change = change.description(text);
        }
        // With the format, since it may not match the old one. An encrypted definition takes none anyway.
        if let Some(text) = self.default.as_ref().filter(|_| !changes_format || self.encrypted) {
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

    /// The format last, since only it is changed in pages, and a part that is refused leaves everything as it was. Each
    /// write expects the definition that was planned for.
    async fn apply(
        &self,
        org: &Org,
        stored: &StoredDefinition,
        format: Option<&FormatChange>,
    ) -> Result<(), Failure> {
        let mut revision = stored.revision;
        let change = self.other_change(format.is_some());
        if change != DefinitionChange::new() {
            let as_planned = WriteOptions::expecting(Expected::Revision(revision));
            revision = org.update_definition_with(stored.id, change, as_planned).await?.revision;
        }
        if let Some(format) = format {
            let on_mismatch = match self.change.keep_mismatched {
                true => OnMismatch::Grandfather,
                false => OnMismatch::Refuse,
            };
            let as_planned = WriteOptions::expecting(Expected::Revision(revision));
            org.change_format_with(stored.id, format, on_mismatch, as_planned).await?;
        }
        Ok(())
    }
}
