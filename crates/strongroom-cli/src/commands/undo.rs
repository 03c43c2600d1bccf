//! `undo`: a value as it was before its last change.

use serde::Serialize;
use strongroom::{
    DefinitionId, DefinitionName, DefinitionRef, ErrorKind, Expected, Org, Scope, Version, WriteOptions,
};
use strongroom_http::control::{self, Undone};

use crate::client::{Client, NoBody};
use crate::consent::Consent;
use crate::failure::{Exit, Failure};
use crate::output::{Output, time};
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `undo` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Undo {
    /// The name of the variable; of a damaged definition with --definition --replace-damaged also its id
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Bring back the definition of this name that was deleted last, without its values; with --replace-damaged, the
    /// newest version of a damaged one that can be read
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
    /// Put it in the place of a present one that cannot be read, too: what that held is lost
    #[arg(long)]
    pub(super) replace_damaged: bool,
}

/// A definition that is back.
#[derive(Serialize)]
struct Undeleted<'a> {
    name: &'a str,
    id: String,
}

/// A value that is to become what it was, and its versions, the newest first.
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
            let nothing =
                format!("the version of {name} at {scope} before this one is not kept, or cannot be read");
            return Err(Failure::new(Exit::NotFound, nothing)
                .next("`strongroom history` lists the versions; nothing was changed"));
        };
        target.restore(org, last, (self.replace, self.consent), "undo", output).await
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.definition {
            if self.replace.replace_damaged {
                return Err(Failure::not_on_server("a server replaces no damaged definition"));
            }
            self.consent.to_reversible(&format!("define {} as it was", self.name))?;
            let path = ["definitions", self.name.as_str(), "undelete"];
            let restored: control::Definition = client.control_post(&path, &NoBody {})?;
            return self.undeleted(restored.id, output);
        }
        let (name, scope) = (&self.name, self.scope.scope());
        let deed = format!("set {name} at {scope} to what it was before its last change");
        consent_to(self.consent, &deed, !client.keeps_nothing(name))?;
        let (linked_account_id, workflow_id) = ids(&scope);
        let Replace { replace_damaged } = self.replace;
        let body = control::Undo { linked_account_id, workflow_id, replace_damaged };
        show(&client.control_post(&["values", name.as_str(), "undo"], &body)?, &scope, output)
    }
}

impl Undo {
    async fn undelete(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        if let Some(damaged) = self.damaged_definition(org).await? {
            return self.replace_definition(org, damaged, output).await;
        }
        if org.definition(name).await?.is_some() {
            return Err(Failure::invalid(format!("there is a definition {name}"))
                .next("give it another name with `strongroom define NAME --change --rename OTHER` first"));
        }
        let all = pages::all(async |page| org.deleted_definitions(page).await).await?;
        let (mut deleted, mut unreadable) = (Vec::new(), 0);
        for one in all {
            match one {
                Ok(stored) => deleted.push(stored),
                Err(error) => {
                    output.warn(&format!("left out: {}", Failure::from(error)));
                    unreadable += 1;
                }
            }
        }
        deleted.retain(|stored| stored.definition.name == name.as_str());
        let Some(last) = deleted.into_iter().max_by_key(|stored| stored.updated_at.as_ms()) else {
            let nothing = format!("no deleted definition {name} is kept");
            return Err(match unreadable {
                0 => Failure::not_found(nothing).next("`strongroom define` makes one"),
                _ => Failure::new(Exit::Key, format!("{nothing}, unless it is one that cannot be read"))
                    .next("nothing was changed; a backup from before may have it whole"),
            });
        };
        self.consent.to_reversible(&format!("define {name} as it was"))?;
        match org.undelete_definition(last.id).await? {
            Some(restored) => self.undeleted(restored.id.to_string(), output),
            None => Err(Failure::undefined(name)),
        }
    }

    /// The damaged definition that this is about, if --replace-damaged is to replace one: by its name, or by its id,
    /// which is what `verify` knows of it.
    async fn damaged_definition(&self, org: &Org) -> Result<Option<DefinitionRef<'_>>, Failure> {
        let by_id = self.name.as_str().parse::<DefinitionId>().ok().map(DefinitionRef::Id);
        for reference in [Some(DefinitionRef::from(self.name.as_str())), by_id].into_iter().flatten() {
            match org.definition(reference.clone()).await {
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    return match self.replace.replace_damaged {
                        true => Ok(Some(reference)),
                        false => Err(Failure::from(error).next(REPLACES)),
                    };
                }
                Ok(Some(_)) => return Ok(None),
                found => drop(found?),
            }
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
        let readable = versions.iter().find(|version| version.unreadable.is_none() && !version.deleted);
        let Some(last) = readable else {
            let nothing =
                format!("no former version of the definition {} is kept that can be read", self.name);
            return Err(
                Failure::new(Exit::Key, nothing).next("nothing was changed; a backup from before has it")
            );
        };
        let written = time(last.written_at);
        self.consent.to_reversible(&format!("define {} as it was from {written} on", self.name))?;
        let options = WriteOptions::expecting(Expected::Unreadable).note("undo");
        let restored = org.restore_definition_with(damaged, last.revision, options).await?;
        let (name, id) = (restored.definition.name.as_str(), restored.id.to_string());
        output.done(&format!("{name} is defined as it was from {written} on"), &Undeleted { name, id })
    }

    fn undeleted(&self, id: String, output: &Output) -> Result<(), Failure> {
        let name = self.name.as_str();
        output.done(&format!("{name} is defined as it was; its values are gone"), &Undeleted { name, id })
    }
}

impl<'t> Target<'t> {
    /// The value with its versions, of which there is at least one.
    pub(super) async fn find(org: &Org, name: &'t DefinitionName, scope: &'t Scope) -> Result<Self, Failure> {
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let versions = pages::all(async |page| org.value_history(definition.id, scope, page).await).await?;
        if versions.is_empty() {
            return Err(Failure::no_value(name, scope));
        }
        let overwrites = versions.first().is_some_and(|newest| !newest.deleted);
        let keeps = !overwrites || definition.definition.history_versions != Some(0);
        Ok(Self { name, scope, definition: definition.id, keeps, versions })
    }

    /// Sets the value to what it was in a version, unless it changed since the versions were read.
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
        consent_to(consent, &format!("set {name} at {scope} to what it was from {written} on"), self.keeps)?;
        let options = WriteOptions::expecting(as_listed).note(note);
        let restored = org.restore_value_with(self.definition, scope, wanted.revision, options).await?;
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
    /// What the write expects: the newest version as it was listed. One that cannot be read is only replaced if that
    /// was asked for.
    pub(super) fn as_listed(self, versions: &[Version]) -> Result<Expected, Failure> {
        let Some(newest) = versions.first() else { return Ok(Expected::Absent) };
        match &newest.unreadable {
            Some(why) if !self.replace_damaged => Err(Failure::new(Exit::Key, why.clone()).next(REPLACES)),
            Some(_) | None => Ok(newest.as_expected()),
        }
    }
}

const REPLACES: &str =
    "nothing was changed; --replace-damaged puts the version in its place, and what it held is lost";

/// Asks as for what can be undone, unless nothing is kept of what the deed overwrites.
pub(super) fn consent_to(consent: Consent, deed: &str, keeps: bool) -> Result<(), Failure> {
    match keeps {
        true => consent.to_reversible(deed),
        false => {
            consent.to(&format!("{deed}, and lose the present value for good: no version of it is kept"))
        }
    }
}

/// The account and the workflow of a scope, as the body of a control call has them.
pub(super) fn ids(scope: &Scope) -> (Option<String>, Option<String>) {
    let id_in = |field| scope_field(scope).filter(|(named, _)| *named == field);
    let id_in = |field| id_in(field).map(|(_, id)| id.to_owned());
    (id_in("linked_account_id"), id_in("workflow_id"))
}

pub(super) fn show(undone: &Undone, scope: &Scope, output: &Output) -> Result<(), Failure> {
    let (name, written) = (&undone.name, &undone.written_at);
    output.done(&format!("{name} at {scope} is again what it was from {written} on"), undone)
}
