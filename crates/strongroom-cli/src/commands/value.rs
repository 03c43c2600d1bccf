//! `set`, `get` and `delete`: one value at one scope.

use serde_json::json;
use strongroom::{DefinitionName, DefinitionRef, Error, Org, Scope, Upsert};

use crate::args::Misplaced;
use crate::failure::Failure;
use crate::input;
use crate::output::{Output, Values, time};

pub(crate) async fn set(
    org: &Org,
    name: &DefinitionName,
    scope: Scope,
    misplaced: &Misplaced,
    output: &Output,
) -> Result<(), Failure> {
    let value = input::value(&format!("Value of {name}: "), misplaced, output)?;
    let written = org.set_value(name, scope, value).await.map_err(|error| named(name, error))?;
    let json = json!({
        "action": written.action.as_str(),
        "id": written.id.to_string(),
        "variable_definition_id": written.definition_id.to_string(),
        "name": name.as_str(),
        "scope": written.scope.kind().as_str(),
        "created_at": time(written.created_at),
        "updated_at": time(written.updated_at),
    });
    let action = match written.action {
        Upsert::Added => "set",
        Upsert::Updated => "updated",
    };
    output.done(&format!("{action} {name} at {}", written.scope), &json)
}

pub(crate) async fn get(
    org: &Org,
    name: &DefinitionName,
    scope: &Scope,
    values: Values,
    output: &Output,
) -> Result<(), Failure> {
    let definition = org.definition(name).await?.ok_or_else(|| undefined(name))?;
    let found = org.value(definition.id, scope).await?.ok_or_else(|| absent(name, scope))?;
    if values == Values::Revealed && !output.is_json() {
        return output.exact(found.value.expose());
    }
    let json = json!({
        "id": found.id.to_string(),
        "variable_definition_id": found.definition_id.to_string(),
        "name": name.as_str(),
        "value": values.of(&found.value),
        "scope": scope.kind().as_str(),
        "encrypted": definition.definition.encrypted,
        "created_at": time(found.created_at),
        "updated_at": time(found.updated_at),
    });
    let row =
        [name.to_string(), values.of(&found.value).to_owned(), scope.to_string(), time(found.updated_at)];
    output.list(["NAME", "VALUE", "SCOPE", "UPDATED"], [row], &json)
}

pub(crate) async fn delete(
    org: &Org,
    name: &DefinitionName,
    scope: &Scope,
    output: &Output,
) -> Result<(), Failure> {
    let deleted = org.delete_value(name, scope).await?.ok_or_else(|| absent(name, scope))?;
    if deleted.damaged {
        output.warn("the value was damaged and could no longer be read");
    }
    let id = deleted.id.map(|id| id.to_string());
    let json = json!({ "id": id, "name": name.as_str(), "scope": scope.kind().as_str() });
    output.done(&format!("deleted the value of {name} at {scope}"), &json)
}

pub(crate) fn undefined(name: &DefinitionName) -> Failure {
    Error::DefinitionNotFound(DefinitionRef::Name(name.to_string().into())).into()
}

fn absent(name: &DefinitionName, scope: &Scope) -> Failure {
    Failure::not_found(format!("{name} has no value at {scope}"))
        .next("`strongroom explain NAME` shows where it has one")
}

/// The engine names a definition by its id; whoever typed the name knows it by that.
fn named(name: &DefinitionName, error: Error) -> Failure {
    match error {
        Error::InvalidValue { rule, .. } => {
            Failure::invalid(format!("the value of {name} was refused: {rule}"))
                .next("nothing was written; `strongroom list` shows the formats")
        }
        Error::ScopeNotAllowed { scope, .. } => {
            Failure::invalid(format!("{name} allows no value at {scope} scope"))
                .next("`strongroom list` shows at which scopes it does")
        }
        error => error.into(),
    }
}
