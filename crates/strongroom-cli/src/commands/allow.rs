//! `allow`: makes the choices of a project's file count from then on.

use serde::Serialize;
use strongroom::{Environment, LinkedAccountId};

use crate::config::ProjectFile;
use crate::failure::Failure;
use crate::output::Output;

/// `allow` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Allow {}

#[derive(Serialize)]
struct AllowedView<'a> {
    file: String,
    environment: Option<&'a str>,
    account: Option<&'a str>,
    prefix: Option<&'a str>,
}

impl Allow {
    /// It needs neither a vault nor a configuration.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let file = ProjectFile::find()?.ok_or_else(|| {
            Failure::not_found("there is no .strongroom.toml in the working directory or above it")
                .next("run this within the project")
        })?;
        file.allow()?;
        let (shown, project) = (file.path.display().to_string(), &file.project);
        let chosen = project.chosen().join(", ");
        let view = AllowedView {
            file: shown.clone(),
            environment: project.environment.as_ref().map(Environment::as_str),
            account: project.account.as_ref().map(LinkedAccountId::as_str),
            prefix: project.prefix.as_deref(),
        };
        let chosen = if chosen.is_empty() { "nothing" } else { &chosen };
        output.done(&format!("{shown} is allowed as it is: it chooses {chosen}"), &view)
    }
}
