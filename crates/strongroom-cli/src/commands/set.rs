//! `set`: one value at one scope.

use serde::Serialize;
use strongroom::{DefinitionName, Error, Org, ScopeKind, Secret, Upsert, VariableDefinition};
use strongroom_http::control;

use crate::client::Client;
use crate::client::docs::ValueSet;
use crate::consent::keeps_nothing;
use crate::failure::{Failure, word};
use crate::input::{self, ValueArgs};
use crate::output::{Output, time};
use crate::scope_args::{ScopeArgs, account_of, scope_field};
use crate::suggest;

/// `set` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Set {
    /// The name of the variable
    name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    value: ValueArgs,
}

/// The value that was written, which is not shown.
#[derive(Serialize)]
struct Written<'a> {
    /// `None` in the response to a documented call.
    action: Option<&'static str>,
    id: String,
    variable_definition_id: String,
    name: &'a str,
    scope: ScopeKind,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct NewValue<'a> {
    variable_definition_id: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    linked_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
}

impl Set {
    /// The value to set.
    pub(crate) fn read(&self, output: &Output) -> Result<Secret, Failure> {
        input::value(self.name.as_str(), &self.value, output)
    }

    pub(crate) async fn run(self, value: Secret, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope_to_set()?);
        let Some(stored) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        if let Some(account) = account_of(&scope) {
            suggest::note_new_account(org, account, output).await;
        }
        let written = match org.set_value(name, scope, value).await {
            Ok(written) => written,
            Err(error) => return Err(by_name(org, name, error).await),
        };
        let view = Written {
            action: Some(written.action.as_str()),
            id: written.id.to_string(),
            variable_definition_id: written.definition_id.to_string(),
            name: name.as_str(),
            scope: written.scope.kind(),
            created_at: Some(time(written.created_at)),
            updated_at: Some(time(written.updated_at)),
        };
        let action = match written.action {
            Upsert::Added => "set",
            Upsert::Updated => "updated",
        };
        let VariableDefinition { history_versions, history_age_secs, .. } = stored.definition;
        if written.action == Upsert::Updated && keeps_nothing(history_versions, history_age_secs) {
            note_loss(name, output);
        }
        output.done(&format!("{action} {name} at {}", written.scope), &view)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        self.value.refuse_misplaced(name.as_str())?;
        client.refuse_unknown(name)?;
        if let Some(account) = account_of(&scope) {
            client.note_new_account(account, output);
        }
        let value = self.read(output)?;
        let id_in = |field| scope_field(&scope).filter(|(named, _)| *named == field).map(|(_, id)| id);
        let (linked_account_id, workflow_id) = (id_in("linked_account_id"), id_in("workflow_id"));
        let by_control = |client: &Client| {
            let body = control::NewValue {
                value: value.expose().to_owned().into(),
                linked_account_id: linked_account_id.map(str::to_owned),
                workflow_id: workflow_id.map(str::to_owned),
                note: None,
                version: None,
            };
            let set: control::ValueWritten = client.control_put(&["values", name.as_str()], &body)?;
            let (created_at, updated_at) = (Some(set.created_at), Some(set.updated_at));
            let action = Some(if set.action == "added" { "added" } else { "updated" });
            let variable_definition_id = set.variable_definition_id;
            let (name, scope) = (name.as_str(), scope.kind());
            Ok(Written { action, id: set.id, variable_definition_id, name, scope, created_at, updated_at })
        };
        let by_document = |client: &Client| {
            let definition = client.definition_id(name)?;
            let body = NewValue {
                variable_definition_id: &definition,
                value: value.expose(),
                linked_account_id,
                workflow_id,
            };
            let set: ValueSet = client.post(&["env", "values"], &body)?;
            Ok(Written {
                action: None,
                id: set.id,
                variable_definition_id: definition,
                name: name.as_str(),
                scope: scope.kind(),
                created_at: set.created_at,
                updated_at: None,
            })
        };
        let view = client.either(by_control, by_document)?;
        let action = if view.action == Some("updated") { "updated" } else { "set" };
        if action == "updated" && client.keeps_nothing(name) {
            note_loss(name, output);
        }
        output.done(&format!("{action} {name} at {scope}"), &view)
    }
}

/// `set` asks no question, so that scripts need not know how many versions are kept. But it tells the user what was
/// lost.
fn note_loss(name: &DefinitionName, output: &Output) {
    output.note(&format!(
        "the value from before is lost: no version of {name} is kept, as `strongroom define {} --change \
         --keep-versions COUNT --keep-for AGE` would have it",
        word(name.as_str())
    ));
}

/// The engine names a definition by its id; the user knows it by the typed name.
async fn by_name(org: &Org, name: &DefinitionName, error: Error) -> Failure {
    match error {
        Error::InvalidValue { rule, .. } => {
            Failure::invalid(format!("the value of {name} was refused: {rule}"))
                .next("nothing was written; `strongroom show NAME` shows what a value must be")
        }
        Error::ScopeNotAllowed { scope, .. } => {
            Failure::invalid(format!("{name} allows no value at {scope} scope"))
                .next("`strongroom show NAME` shows the scopes that it allows")
        }
        error => suggest::of_definition(org, name, error).await,
    }
}
