//! `undo`: a value as it was before its last change.

use serde::Serialize;
use strongroom::{DefinitionId, DefinitionName, Expected, Org, Scope, ScopeKind, Version, WriteOptions};

use crate::consent::Consent;
use crate::failure::{Exit, Failure};
use crate::output::{Output, time};
use crate::pages;
use crate::scope_args::ScopeArgs;
use crate::suggest;

/// `undo` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Undo {
    name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    consent: Consent,
}

/// A value that is to become what it was, and its versions, the newest first.
pub(super) struct Target<'t> {
    name: &'t DefinitionName,
    scope: &'t Scope,
    definition: DefinitionId,
    pub(super) versions: Vec<Version>,
}

#[derive(Serialize)]
struct Restored<'a> {
    name: &'a str,
    scope: ScopeKind,
    id: String,
    /// The version that is the value again, and that which it is now.
    restored: String,
    version: String,
}

impl Undo {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        let target = Target::find(org, name, &scope).await?;
        let Some(last) = target.versions.iter().skip(1).find(|version| !version.deleted) else {
            let nothing = format!("no earlier version of {name} at {scope} is kept");
            return Err(Failure::new(Exit::NotFound, nothing)
                .next("`strongroom history` lists the versions; nothing was changed"));
        };
        target.restore(org, last, self.consent, "undo", output).await
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
        Ok(Self { name, scope, definition: definition.id, versions })
    }

    /// Sets the value to what it was in a version, unless it changed since the versions were read.
    pub(super) async fn restore(
        &self,
        org: &Org,
        wanted: &Version,
        consent: Consent,
        note: &str,
        output: &Output,
    ) -> Result<(), Failure> {
        let (name, scope, written) = (self.name, self.scope, time(wanted.written_at));
        consent.to_reversible(&format!("set {name} at {scope} to what it was from {written} on"))?;
        let as_read = match self.versions.first() {
            Some(newest) if !newest.deleted => Expected::Revision(newest.revision),
            _ => Expected::Absent,
        };
        let options = WriteOptions::expecting(as_read).note(note);
        let restored = org.restore_value_with(self.definition, scope, wanted.revision, options).await?;
        let view = Restored {
            name: name.as_str(),
            scope: scope.kind(),
            id: restored.id.to_string(),
            restored: wanted.revision.as_u64().to_string(),
            version: restored.revision.as_u64().to_string(),
        };
        output.done(&format!("{name} at {scope} is again what it was from {written} on"), &view)
    }
}
