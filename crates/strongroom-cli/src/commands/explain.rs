//! `explain`: where a variable is looked for and where it is found.

use strongroom::{DefinitionName, Org};
use strongroom_http::control::Trace;

use crate::client::{Call, Client};
use crate::config::Project;
use crate::failure::{Exit, Failure, word};
use crate::output::Output;
use crate::scope_args::PathArgs;
use crate::suggest;

/// `explain` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Explain {
    /// The name of the variable
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    path: PathArgs,
}

impl Explain {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.path.fill_in(project);
    }

    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        if org.definition(name).await?.is_none() {
            return Err(suggest::undefined(org, name).await);
        }
        suggest::refuse_unknown_account(org, self.path.account()).await?;
        let trace = org.explain(name, &self.path.path()).await?;
        show(&Trace::of(&trace), output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (path, query) = (["explain", self.name.as_str()], self.path.query());
        show(&client.control_get(Call { path: &path, query: &query })?, output)
    }
}

fn show(trace: &Trace, output: &Output) -> Result<(), Failure> {
    let rows = trace.steps.iter().map(|step| {
        let before = if step.grandfathered { ", from before a change of format" } else { "" };
        [step.at.clone(), format!("{}{before}", step.outcome)]
    });
    output.list(["LOOKED AT", "OUTCOME"], rows, trace)?;
    let Some((step, why)) = trace.steps.iter().find_map(|step| Some((step, step.unreadable.as_ref()?)))
    else {
        return Ok(());
    };
    let name = &trace.name;
    let place = match step.at.split_once(' ') {
        Some(("linked_account", id)) => format!(" --account {}", word(id)),
        Some(("workflow", id)) => format!(" --workflow {}", word(id)),
        _ => String::new(),
    };
    Err(Failure::new(Exit::Key, why).next(format!(
        "`strongroom undo {name}{place} --replace-damaged` sets a former version back, and `strongroom delete \
         {name}{place} --purge` deletes what is left of it"
    )))
}
