//! `get`: the value at exactly one scope.

use serde::Serialize;
use strongroom::{DefinitionName, Org, ScopeKind};

use crate::failure::Failure;
use crate::output::{Output, Values, time};
use crate::scope_args::ScopeArgs;
use crate::suggest;

/// `get` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Show the value
    #[arg(long)]
    reveal: bool,
}

#[derive(Serialize)]
struct ValueView<'a> {
    id: String,
    variable_definition_id: String,
    name: &'a str,
    value: &'a str,
    scope: ScopeKind,
    encrypted: bool,
    created_at: String,
    updated_at: String,
}

impl Get {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, scope, values) = (&self.name, self.scope.scope(), Values::revealed_if(self.reveal));
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let found = org.value(definition.id, &scope).await?.ok_or_else(|| Failure::no_value(name, &scope))?;
        if values == Values::Revealed && !output.is_json() {
            return output.exact(found.value.expose());
        }
        let view = ValueView {
            id: found.id.to_string(),
            variable_definition_id: found.definition_id.to_string(),
            name: name.as_str(),
            value: values.of(&found.value),
            scope: scope.kind(),
            encrypted: definition.definition.encrypted,
            created_at: time(found.created_at),
            updated_at: time(found.updated_at),
        };
        let row = [name.to_string(), view.value.to_owned(), scope.to_string(), view.updated_at.clone()];
        output.list(["NAME", "VALUE", "SCOPE", "UPDATED"], [row], &view)
    }
}
