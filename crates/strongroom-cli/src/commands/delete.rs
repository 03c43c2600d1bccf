//! `delete`: one value, or a definition with all its values.

use serde::Serialize;
use strongroom::{DefinitionName, Org, ScopeKind};

use crate::client::docs::ListedValue;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::Output;
use crate::scope_args::{ScopeArgs, scope_field};

/// `delete` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Delete the definition and its values at all scopes
    #[arg(long, conflicts_with_all = ["account", "workflow"])]
    definition: bool,
}

#[derive(Serialize)]
struct ValueDeleted<'a> {
    id: Option<String>,
    name: &'a str,
    scope: ScopeKind,
}

#[derive(Serialize)]
struct DefinitionDeleted<'a> {
    name: &'a str,
    deleted: bool,
}

impl Delete {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        if self.definition {
            org.delete_definition(name).await?;
            return self.definition_deleted(output);
        }
        let scope = self.scope.scope();
        let deleted = org.delete_value(name, &scope).await?.ok_or_else(|| Failure::no_value(name, &scope))?;
        if deleted.damaged {
            output.warn("the value was damaged and could not be read");
        }
        self.value_deleted(deleted.id.map(|id| id.to_string()), output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        let definition = client.definition_id(name)?;
        if self.definition {
            client.delete(Call { path: &["env", "definitions", &definition], query: &[] })?;
            return self.definition_deleted(output);
        }
        let mut query: Vec<_> = scope_field(&scope).into_iter().collect();
        query.push(("variable_definition_id", &definition));
        let path = ["env", "values", scope.kind().as_str()];
        let found: Vec<ListedValue> = client.pages(Call { path: &path, query: &query })?;
        let Some(ListedValue { id, .. }) = found.into_iter().next() else {
            return Err(Failure::no_value(name, &scope));
        };
        client.delete(Call { path: &["env", "values", &id], query: &[] })?;
        self.value_deleted(Some(id), output)
    }

    fn definition_deleted(&self, output: &Output) -> Result<(), Failure> {
        let name = self.name.as_str();
        let view = DefinitionDeleted { name, deleted: true };
        output.done(&format!("deleted the definition {name} and all its values"), &view)
    }

    fn value_deleted(&self, id: Option<String>, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (self.name.as_str(), self.scope.scope());
        let view = ValueDeleted { id, name, scope: scope.kind() };
        output.done(&format!("deleted the value of {name} at {scope}"), &view)
    }
}
