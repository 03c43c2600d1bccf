//! `history`: the versions of a value.

use strongroom::{DefinitionName, Org};
use strongroom_http::control::Version;

use super::audit::refuse_unreadable;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::Output;
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `history` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct History {
    /// The name of the variable
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl History {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let versions = pages::all(async |page| org.value_history(definition.id, &scope, page).await).await?;
        if versions.is_empty() {
            return Err(Failure::no_value(name, &scope));
        }
        show(&views(&versions), "undo NAME", output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        let query: Vec<_> = scope_field(&scope).into_iter().collect();
        let path = ["values", name.as_str(), "history"];
        let versions: Vec<Version> = client.control_items(Call { path: &path, query: &query })?;
        if versions.is_empty() {
            return Err(Failure::no_value(name, &scope));
        }
        show(&versions, "undo NAME", output)
    }
}

/// Versions, the newest first, as a server shows them.
pub(super) fn views(versions: &[strongroom::Version]) -> Vec<Version> {
    versions.iter().enumerate().map(|(index, version)| Version::of(version, index == 0)).collect()
}

/// The versions; one that cannot be read is among them, and the command fails after it. If that is the present one,
/// `undo` brings another back.
pub(super) fn show(versions: &[Version], undo: &str, output: &Output) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let rows = versions.iter().map(|one| {
        let note = one.unreadable.as_ref().or(one.note.as_ref()).cloned().unwrap_or_default();
        [text(&one.version), one.state.clone(), text(&one.written_at), text(&one.author), note]
    });
    output.list(["VERSION", "STATE", "WRITTEN", "AUTHOR", "NOTE"], rows, &versions)?;
    let refused = refuse_unreadable(versions.iter().filter_map(|one| one.unreadable.as_deref()), "version");
    let is_lost = versions.first().is_some_and(|present| present.unreadable.is_some());
    match is_lost && versions.iter().any(|one| one.state == "former") {
        true => refused.map_err(|failure| {
            failure.next(format!(
                "the list has the others; `strongroom {undo} --replace-damaged` puts the newest of them that can be \
                 read in the place of the present one"
            ))
        }),
        false => refused,
    }
}
