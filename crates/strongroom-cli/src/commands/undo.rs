//! `undo`: sets a value to its state before the last change.

use serde::Serialize;
use strongroom::{
    DefinitionId, DefinitionName, DefinitionRef, Error, Expected, Org, PageRequest, Scope, StoredDefinition,
    VariableDefinition, Version, WriteOptions,
};
use strongroom_http::control::{self, Reason, UndeleteDefinition, Undone};

use super::not_back::{Wanted, is_whole, replaces};

use crate::client::{Call, Client};
use crate::consent::{Consent, Deed, keeps_nothing};
use crate::failure::{Exit, Failure, word};
use crate::output::{Output, time};
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `undo` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Undo {
    /// The name of the variable; of a damaged definition with --definition --replace-damaged also its id
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Bring back the definition of this name that was last deleted, without its values; with --replace-damaged, the
    /// newest readable version of a damaged one
    #[arg(long, conflicts_with_all = ["account", "workflow"])]
    definition: bool,
    #[command(flatten)]
    replace: Replace,
    #[command(flatten)]
    consent: Consent,
}

/// What brings back a version takes this.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Replace {
    /// Only if the present one cannot be read or is missing; its content is lost
    #[arg(long)]
    pub(super) replace_damaged: bool,
}

/// A definition that was brought back.
#[derive(Serialize)]
struct Undeleted<'a> {
    name: &'a str,
    id: String,
}

/// A value to restore, and its versions, the newest first.
pub(super) struct Target<'t> {
    name: &'t DefinitionName,
    scope: &'t Scope,
    definition: DefinitionId,
    /// Whether the version that is overwritten is kept.
    keeps: bool,
    pub(super) versions: Vec<Version>,
}

impl Undo {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        if self.definition {
            return self.undelete(org, output).await;
        }
        let (name, scope) = (&self.name, self.scope.scope());
        let target = Target::find(org, name, &scope).await?;
        let Some(last) = Version::to_undo(&target.versions) else {
            return Err(Wanted::of_value(name, &scope, None).none_of(&target.versions));
        };
        target.restore(org, last, (self.replace, self.consent), "undo", output).await
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.definition {
            self.consent.to_reversible(&format!("define {} as it was", self.name))?;
            let path = ["definitions", self.name.as_str(), "undelete"];
            let Replace { replace_damaged } = self.replace;
            let body = UndeleteDefinition { replace_damaged };
            let restored = client.control_post::<control::Definition>(&path, &body);
            let restored = restored.map_err(|refused| self.not_undeleted(client, refused))?;
            let (name, id) = (restored.name, restored.id);
            if !replace_damaged {
                return self.undeleted(id, output);
            }
            return output.done(&format!("{name} is defined as it was"), &Undeleted { name: &name, id });
        }
        let (name, scope) = (&self.name, self.scope.scope());
        let deed = format!("set {name} at {scope} to what it was before its last change");
        let deed = Deed::to(deed, present_version(client, name, &scope));
        consent_to(self.consent, deed, !client.keeps_nothing(name))?;
        let (linked_account_id, workflow_id) = ids(&scope);
        let Replace { replace_damaged } = self.replace;
        let body = control::Undo { linked_account_id, workflow_id, replace_damaged };
        let undone = client.control_post(&["values", name.as_str(), "undo"], &body);
        let wanted = Wanted::of_value(name, &scope, None);
        let undone = undone.map_err(|refused| wanted.refused(refused, || Failure::no_value(name, &scope)));
        show(&undone?, &scope, output)
    }

    /// What a server says of a definition that it does not bring back.
    fn not_undeleted(&self, client: &Client, refused: Failure) -> Failure {
        let is_there = || {
            let path = ["definitions", self.name.as_str()];
            client.control_get::<control::Definition>(Call { path: &path, query: &[] }).is_ok()
        };
        let is_one_of_deleted = refused.is(Reason::Damaged) && !refused.said().contains("; no");
        match refused.reason {
            Some(Reason::AlreadyExists) => self.is_defined(),
            Some(Reason::DefinitionNotFound) if is_there() => self.is_defined(),
            Some(Reason::DefinitionNotFound) => self.is_not_kept(false),
            _ if is_one_of_deleted => self.is_not_kept(true),
            _ => Wanted::of_definition(&self.name).refused(refused, || self.is_not_kept(false)),
        }
    }

    fn is_defined(&self) -> Failure {
        Failure::invalid(format!("there is a definition {}", self.name))
            .next("give it another name with `strongroom define NAME --change --rename OTHER` first")
    }

    fn is_not_kept(&self, has_unreadable: bool) -> Failure {
        let nothing = format!("no deleted definition {} is kept", self.name);
        match has_unreadable {
            false => Failure::not_found(nothing).next(format!(
                "`strongroom list` shows what is defined, `strongroom define` makes one; {BY_ID}"
            )),
            true => Failure::new(Exit::Key, format!("{nothing}, unless it is one that cannot be read"))
                .next(format!("nothing was changed; {BY_ID}, or a backup from before has it whole")),
        }
    }
}

impl Undo {
    async fn undelete(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        if let Some(damaged) = self.damaged_definition(org).await? {
            return self.replace_definition(org, damaged, output).await;
        }
        if org.definition(name).await?.is_some() {
            return Err(self.is_defined());
        }
        let Deleted { of_name, unreadable } = Deleted::find(org, name, output).await?;
        let Some(last) = of_name.into_iter().max_by_key(|stored| stored.updated_at.as_ms()) else {
            suggest::refuse_unknown_environment(org).await?;
            return Err(self.is_not_kept(unreadable > 0));
        };
        self.consent.to_reversible(&format!("define {name} as it was"))?;
        let restored = org.undelete_definition(last.id).await;
        match restored.map_err(|error| Wanted::of_definition(name).overtaken(error))? {
            Some(restored) => self.undeleted(restored.id.to_string(), output),
            None => Err(Failure::undefined(name)),
        }
    }

    /// The damaged or missing definition to replace with --replace-damaged: by its name, or by its id, which is what
    /// `verify` reports.
    async fn damaged_definition(&self, org: &Org) -> Result<Option<DefinitionRef<'_>>, Failure> {
        let by_id = self.name.as_str().parse::<DefinitionId>().ok().map(DefinitionRef::Id);
        for reference in [Some(DefinitionRef::from(self.name.as_str())), by_id].into_iter().flatten() {
            let found = match org.definition_history(reference.clone(), PageRequest::first(1)).await {
                Err(Error::DefinitionNotFound(_)) => continue,
                found => found?.items,
            };
            let newest = found.first();
            return match newest.and_then(|newest| newest.unreadable.as_ref()) {
                None => Ok(None),
                Some(_) if self.replace.replace_damaged => Ok(Some(reference)),
                Some(why) => Err(replaces(why)),
            };
        }
        Ok(None)
    }

    async fn replace_definition(
        &self,
        org: &Org,
        damaged: DefinitionRef<'_>,
        output: &Output,
    ) -> Result<(), Failure> {
        let versions = pages::all(async |page| org.definition_history(damaged.clone(), page).await).await?;
        let wanted = Wanted::of_definition(&self.name);
        let Some(last) = Version::to_undo(&versions) else { return Err(wanted.none_of(&versions)) };
        let written = time(last.written_at);
        self.consent.to_reversible(&format!("define {} as it was from {written} on", self.name))?;
        let options = WriteOptions::expecting(Expected::Unreadable).note("undo");
        let restored = org.restore_definition_with(damaged, last.revision, options).await;
        let restored = restored.map_err(|error| wanted.overtaken(error))?;
        let (name, id) = (restored.definition.name.as_str(), restored.id.to_string());
        output.done(&format!("{name} is defined as it was from {written} on"), &Undeleted { name, id })
    }

    fn undeleted(&self, id: String, output: &Output) -> Result<(), Failure> {
        let name = self.name.as_str();
        output.done(&format!("{name} is defined as it was; its values are gone"), &Undeleted { name, id })
    }
}

/// The definitions of one name that were deleted and can be brought back.
pub(super) struct Deleted {
    pub(super) of_name: Vec<StoredDefinition>,
    /// How many others cannot be read, so that their names are unknown.
    unreadable: usize,
}

impl Deleted {
    pub(super) async fn find(org: &Org, name: &DefinitionName, output: &Output) -> Result<Self, Failure> {
        let mut found = Self { of_name: Vec::new(), unreadable: 0 };
        for one in pages::all(async |page| org.deleted_definitions(page).await).await? {
            match one {
                Ok(stored) if stored.definition.name == name.as_str() => found.of_name.push(stored),
                Ok(_) => {}
                Err(error) => {
                    // Not the one that is meant by its id.
                    let is_meant = name.as_str().parse::<DefinitionId>().is_ok()
                        && error.to_string().contains(name.as_str());
                    if !is_meant {
                        output.warn(&format!("left out: {}", Failure::from(error)));
                    }
                    found.unreadable += 1;
                }
            }
        }
        Ok(found)
    }
}

impl<'t> Target<'t> {
    /// The value with its versions, of which there is at least one.
    pub(super) async fn find(org: &Org, name: &'t DefinitionName, scope: &'t Scope) -> Result<Self, Failure> {
        let Some(definition) = org.definition(name).await? else {
            return Err(undefined(org, name).await);
        };
        let versions = pages::all(async |page| org.value_history(definition.id, scope, page).await).await?;
        if versions.is_empty() {
            return Err(Failure::no_value(name, scope));
        }
        let overwrites = versions.first().is_some_and(|newest| !newest.deleted);
        let VariableDefinition { history_versions, history_age_secs, .. } = definition.definition;
        let keeps = !overwrites || !keeps_nothing(history_versions, history_age_secs);
        Ok(Self { name, scope, definition: definition.id, keeps, versions })
    }

    /// Sets the value to its state in a version, unless it changed since the versions were read.
    pub(super) async fn restore(
        &self,
        org: &Org,
        wanted: &Version,
        (replace, consent): (Replace, Consent),
        note: &str,
        output: &Output,
    ) -> Result<(), Failure> {
        let (name, scope, written) = (self.name, self.scope, time(wanted.written_at));
        let as_listed = replace.as_listed(&self.versions)?;
        let deed = format!("set {name} at {scope} to what it was from {written} on");
        let seen = self.versions.first().map(|newest| newest.revision.as_u64().to_string());
        consent_to(consent, Deed::to(deed, seen.unwrap_or_default()), self.keeps)?;
        let options = WriteOptions::expecting(as_listed).note(note);
        let restored = org.restore_value_with(self.definition, scope, wanted.revision, options).await;
        let restored = restored.map_err(|error| Wanted::of_value(name, scope, None).overtaken(error))?;
        let view = Undone {
            name: name.to_string(),
            scope: scope.kind(),
            id: restored.id.to_string(),
            restored: wanted.revision.as_u64().to_string(),
            version: restored.revision.as_u64().to_string(),
            written_at: written,
        };
        show(&view, scope, output)
    }
}

impl Replace {
    /// What the write expects: the newest version as it was listed. A version that cannot be read is only replaced on
    /// request, and no other one then: it may be one of the same name elsewhere.
    pub(super) fn as_listed(self, versions: &[Version]) -> Result<Expected, Failure> {
        let Some(newest) = versions.first() else { return Ok(Expected::Absent) };
        match &newest.unreadable {
            Some(why) if !self.replace_damaged => Err(replaces(why)),
            None if self.replace_damaged => Err(is_whole()),
            Some(_) | None => Ok(newest.as_expected()),
        }
    }
}

/// A definition of which the note of its deletion is lost has a name that nobody knows.
const BY_ID: &str = "`strongroom undo ID --definition --replace-damaged` brings back the newest version of one that \
                     `strongroom verify` names by its id, since what says its name is damaged or missing";

/// No definition has this name; it may be the name of a deleted one.
async fn undefined(org: &Org, name: &DefinitionName) -> Failure {
    let failure = suggest::undefined(org, name).await;
    let deleted = pages::all(async |page| org.deleted_definitions(page).await).await.unwrap_or_default();
    let is_deleted = deleted.iter().flatten().any(|stored| stored.definition.name == name.as_str());
    match is_deleted {
        true => failure.next(format!(
            "it was deleted: `strongroom undo {} --definition` brings it back, without its values",
            word(name.as_str())
        )),
        false => failure,
    }
}

/// The present version on a server; empty if it is unknown, for example to a key that may not read.
pub(super) fn present_version(client: &Client, name: &DefinitionName, scope: &Scope) -> String {
    let call = Call { path: &["values", name.as_str()], query: &scope_query(scope) };
    client.control_get::<control::Value>(call).map(|value| value.version).unwrap_or_default()
}

/// Asks as for an action that can be undone, unless nothing is kept of what it overwrites.
pub(super) fn consent_to(consent: Consent, deed: Deed, keeps: bool) -> Result<(), Failure> {
    match keeps {
        true => consent.to_reversible(deed),
        false => consent.to(deed.and("lose the present value for good: no version of it is kept")),
    }
}

/// The account or the workflow of a scope, for the query of a control call.
pub(super) fn scope_query(scope: &Scope) -> Vec<(&str, &str)> {
    scope_field(scope).into_iter().collect()
}

/// The account and the workflow of a scope, for the body of a control call.
pub(super) fn ids(scope: &Scope) -> (Option<String>, Option<String>) {
    let id_in = |field| scope_field(scope).filter(|(named, _)| *named == field);
    let id_in = |field| id_in(field).map(|(_, id)| id.to_owned());
    (id_in("linked_account_id"), id_in("workflow_id"))
}

pub(super) fn show(undone: &Undone, scope: &Scope, output: &Output) -> Result<(), Failure> {
    let (name, written) = (&undone.name, &undone.written_at);
    output.done(&format!("{name} at {scope} is again what it was from {written} on"), undone)
}
