//! `undo`: a value as it was before its last change.

use serde::Serialize;
use strongroom::{DefinitionName, Expected, Org, ScopeKind, WriteOptions};

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

#[derive(Serialize)]
struct Undone<'a> {
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
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let versions = pages::all(async |page| org.value_history(definition.id, &scope, page).await).await?;
        let Some((newest, former)) = versions.split_first() else {
            return Err(Failure::no_value(name, &scope));
        };
        let Some(last) = former.iter().find(|version| !version.deleted) else {
            let nothing = format!("no earlier version of {name} at {scope} is kept");
            return Err(Failure::new(Exit::NotFound, nothing)
                .next("`strongroom history` lists the versions; nothing was changed"));
        };
        let written = time(last.written_at);
        self.consent.to_reversible(&format!("set {name} at {scope} to what it was from {written} on"))?;
        let as_read = match newest.deleted {
            true => Expected::Absent,
            false => Expected::Revision(newest.revision),
        };
        let options = WriteOptions::expecting(as_read).note("undo");
        let undone = org.restore_value_with(definition.id, &scope, last.revision, options).await?;
        let view = Undone {
            name: name.as_str(),
            scope: scope.kind(),
            id: undone.id.to_string(),
            restored: last.revision.as_u64().to_string(),
            version: undone.revision.as_u64().to_string(),
        };
        output.done(&format!("{name} at {scope} is again what it was from {written} on"), &view)
    }
}
