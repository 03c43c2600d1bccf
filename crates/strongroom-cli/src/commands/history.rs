//! `history`: the versions of a value.

use serde::Serialize;
use strongroom::{DefinitionName, Org, Version};

use crate::failure::Failure;
use crate::output::{Output, time};
use crate::pages;
use crate::scope_args::ScopeArgs;
use crate::suggest;

/// `history` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct History {
    name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
}

#[derive(Serialize)]
struct VersionView<'a> {
    /// A text, since programs that read numbers as floating point would change it.
    version: String,
    state: &'static str,
    written_at: String,
    author: Option<&'a str>,
    request_id: Option<&'a str>,
    note: Option<&'a str>,
    labels: Vec<&'a str>,
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
        let views: Vec<_> =
            versions.iter().enumerate().map(|(index, version)| view(version, index == 0)).collect();
        let rows = views.iter().map(|view| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            [
                view.version.clone(),
                view.state.to_owned(),
                view.written_at.clone(),
                text(view.author),
                text(view.note),
            ]
        });
        output.list(["VERSION", "STATE", "WRITTEN", "AUTHOR", "NOTE"], rows, &views)
    }
}

fn view(version: &Version, is_newest: bool) -> VersionView<'_> {
    let metadata = &version.metadata;
    VersionView {
        version: version.revision.as_u64().to_string(),
        state: match (version.deleted, is_newest) {
            (true, _) => "deleted",
            (false, true) => "current",
            (false, false) => "former",
        },
        written_at: time(version.written_at),
        author: metadata.author(),
        request_id: metadata.request_id(),
        note: metadata.note(),
        labels: metadata.labels().collect(),
    }
}
