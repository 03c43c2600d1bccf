//! `explain`: where a variable is looked for and where it is found.

use serde::Serialize;
use strongroom::{DefinitionName, Org};

use crate::failure::Failure;
use crate::output::Output;
use crate::scope_args::PathArgs;
use crate::suggest;

/// `explain` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    name: DefinitionName,
    #[command(flatten)]
    path: PathArgs,
}

#[derive(Serialize)]
struct TraceView<'a> {
    name: &'a str,
    variable_definition_id: String,
    scope: Option<&'static str>,
    steps: Vec<StepView>,
}

#[derive(Serialize)]
struct StepView {
    scope: &'static str,
    at: String,
    outcome: &'static str,
}

impl Explain {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        if org.definition(name).await?.is_none() {
            return Err(suggest::undefined(org, name).await);
        }
        suggest::refuse_unknown_account(org, &self.path).await?;
        let trace = org.explain(name, &self.path.path()).await?;
        let winner = trace.winner();
        let steps = trace.steps.iter().map(|step| {
            let outcome = match (step.holds_value, winner) {
                (false, _) => "no value",
                // The winner is one of these very steps, so it is the same if its address is.
                (true, Some(winner)) if std::ptr::eq(winner, step) => "found",
                (true, _) => "shadowed",
            };
            StepView { scope: step.origin.as_str(), at: step.origin.to_string(), outcome }
        });
        let view = TraceView {
            name: &trace.name,
            variable_definition_id: trace.definition_id.to_string(),
            scope: winner.map(|step| step.origin.as_str()),
            steps: steps.collect(),
        };
        let rows = view.steps.iter().map(|step| [step.at.clone(), step.outcome.to_owned()]);
        output.list(["LOOKED AT", "OUTCOME"], rows, &view)
    }
}
