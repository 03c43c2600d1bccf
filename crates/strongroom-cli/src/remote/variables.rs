//! Definitions and values of a server.

use std::collections::HashMap;

use serde_json::{Value, json};
use strongroom::{DefinitionName, Scope, Scopes};

use super::client::{Call, Client};
use crate::args::Misplaced;
use crate::commands::define::Define;
use crate::commands::value::undefined;
use crate::failure::Failure;
use crate::input;
use crate::output::{MASK, Output, Values, yes};
use crate::scope_args::PathArgs;

pub(super) fn define(client: &Client, define: Define, output: &Output) -> Result<(), Failure> {
    let definition = define.into_definition()?;
    let mut body = json!({
        "name": definition.name,
        "var_format": definition.var_format,
        "encrypted": definition.encrypted,
        "required": definition.required,
    });
    let kinds: Vec<_> = definition.scopes.iter().collect();
    match kinds.as_slice() {
        _ if definition.length.is_some() => {
            return Err(Failure::usage("a server takes no --bytes-min or --bytes-max"));
        }
        [only] => insert(&mut body, "scope", only.as_str()),
        _ if definition.scopes == Scopes::ALL => {}
        _ => return Err(Failure::usage("a server allows one scope or all three")),
    }
    if let Some(text) = &definition.description {
        insert(&mut body, "description", text);
    }
    if let Some(text) = &definition.default {
        insert(&mut body, "default_value", text);
    }
    let answer = client.post(&["env", "definitions"], &body)?;
    let id = answer.get("definition").map_or("", |made| text(made, "_id"));
    let name = &definition.name;
    output.done(&format!("defined {name} as {id}"), &json!({ "id": id, "name": name }))
}

pub(super) fn undefine(client: &Client, name: &DefinitionName, output: &Output) -> Result<(), Failure> {
    let id = definition_id(client, name)?;
    client.delete(Call { path: &["env", "definitions", &id], query: &[] })?;
    let json = json!({ "name": name.as_str(), "deleted": true });
    output.done(&format!("deleted the definition {name} and all its values"), &json)
}

pub(super) fn definitions(client: &Client, output: &Output) -> Result<(), Failure> {
    let path = &["env", "definitions"];
    let all = client.pages(Call { path, query: &[] })?;
    // A definition names one scope, `org` for several; the filter finds it by each that it allows.
    let mut scopes: HashMap<String, Vec<&str>> = HashMap::new();
    for kind in Scopes::ALL.iter() {
        for doc in client.pages(Call { path, query: &[("scope", kind.as_str())] })? {
            scopes.entry(cell(&doc, "_id")).or_default().push(kind.as_str());
        }
    }
    let scopes_of = |doc: &Value| scopes.get(text(doc, "_id")).cloned().unwrap_or_default();
    let rows = all.iter().map(|doc| {
        let (scopes, encrypted) = (scopes_of(doc).join(", "), yes(flag(doc, "encrypted")));
        [cell(doc, "name"), cell(doc, "var_format"), scopes, encrypted, cell(doc, "description")]
    });
    let json = all.iter().map(|doc| {
        json!({
            "id": doc.get("_id"),
            "name": doc.get("name"),
            "description": given(doc, "description"),
            "scopes": scopes_of(doc),
            "var_format": doc.get("var_format"),
            "encrypted": doc.get("encrypted"),
            "required": null,
            "default": null,
            "created_at": doc.get("createdAt"),
            "updated_at": doc.get("updatedAt"),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["NAME", "FORMAT", "SCOPES", "ENCRYPTED", "DESCRIPTION"], rows, &json)
}

pub(super) fn set(
    client: &Client,
    name: &DefinitionName,
    scope: &Scope,
    misplaced: &Misplaced,
    output: &Output,
) -> Result<(), Failure> {
    let value = input::value(&format!("Value of {name}: "), misplaced, output)?;
    let definition = definition_id(client, name)?;
    let mut body = json!({ "variable_definition_id": definition, "value": value.expose() });
    if let Some((field, id)) = scope_field(scope) {
        insert(&mut body, field, id);
    }
    let answer = client.post(&["env", "values"], &body)?;
    let json = json!({
        "action": null,
        "id": answer.get("_id"),
        "variable_definition_id": definition,
        "name": name.as_str(),
        "scope": scope.kind().as_str(),
        "created_at": answer.get("createdAt"),
        "updated_at": null,
    });
    output.done(&format!("set {name} at {scope}"), &json)
}

/// A server shows no encrypted value, so that one stays masked with `--reveal` too.
pub(super) fn resolve(
    client: &Client,
    name: &DefinitionName,
    path: &PathArgs,
    values: Values,
    output: &Output,
) -> Result<(), Failure> {
    let definition = definition_id(client, name)?;
    let query = path.query();
    let answer = client.get(Call { path: &["env", "value", &definition], query: &query })?;
    let encrypted = flag(&answer, "encrypted");
    let value = match values {
        Values::Revealed if !encrypted => text(&answer, "value"),
        _ => MASK,
    };
    if encrypted && values == Values::Revealed {
        output.note("a server shows no encrypted value");
    }
    let json = json!({ name.as_str(): {
        "value": value,
        "scope": text(&answer, "scope"),
        "encrypted": encrypted,
        // The contract does not say.
        "shadowed": Value::Null,
    } });
    let row = [name.to_string(), value.to_owned(), cell(&answer, "scope"), yes(encrypted)];
    output.list(["NAME", "VALUE", "SCOPE", "ENCRYPTED"], [row], &json)
}

pub(super) fn values(client: &Client, scope: &Scope, output: &Output) -> Result<(), Failure> {
    let all =
        client.pages(Call { path: &["env", "values", scope.kind().as_str()], query: &scope_query(scope) })?;
    let rows = all.iter().map(|doc| {
        let definition = doc.get("variable_definition_id").unwrap_or(&Value::Null);
        let encrypted = yes(flag(definition, "encrypted"));
        [cell(definition, "name"), MASK.to_owned(), encrypted, cell(doc, "updatedAt")]
    });
    let json = all.iter().map(|doc| {
        let definition = doc.get("variable_definition_id").unwrap_or(&Value::Null);
        json!({
            "id": doc.get("_id"),
            "variable_definition_id": definition.get("_id"),
            "name": definition.get("name"),
            "value": MASK,
            "scope": scope.kind().as_str(),
            "encrypted": definition.get("encrypted"),
            "created_at": null,
            "updated_at": doc.get("updatedAt"),
        })
    });
    let json: Vec<_> = json.collect();
    output.list(["NAME", "VALUE", "ENCRYPTED", "UPDATED"], rows, &json)
}

pub(super) fn delete(
    client: &Client,
    name: &DefinitionName,
    scope: &Scope,
    output: &Output,
) -> Result<(), Failure> {
    let definition = definition_id(client, name)?;
    let mut query = scope_query(scope);
    query.push(("variable_definition_id", &definition));
    let found = client.pages(Call { path: &["env", "values", scope.kind().as_str()], query: &query })?;
    let Some(id) = found.first().map(|doc| text(doc, "_id")) else {
        return Err(Failure::not_found(format!("{name} has no value at {scope}")));
    };
    client.delete(Call { path: &["env", "values", id], query: &[] })?;
    let json = json!({ "id": id, "name": name.as_str(), "scope": scope.kind().as_str() });
    output.done(&format!("deleted the value of {name} at {scope}"), &json)
}

/// The filter is a regular expression, since a list of names is split at commas that a name may hold.
fn definition_id(client: &Client, name: &DefinitionName) -> Result<String, Failure> {
    let pattern = format!("^{}$", regex::escape(name.as_str()));
    let found = client.pages(Call { path: &["env", "definitions"], query: &[("name", &pattern)] })?;
    let found = found.iter().find(|doc| text(doc, "name") == name.as_str());
    found.map(|doc| text(doc, "_id").to_owned()).ok_or_else(|| undefined(name))
}

fn scope_field(scope: &Scope) -> Option<(&'static str, &str)> {
    match scope {
        Scope::Org => None,
        Scope::LinkedAccount(account) => Some(("linked_account_id", account.as_str())),
        Scope::Workflow(workflow) => Some(("workflow_id", workflow.as_str())),
    }
}

fn scope_query(scope: &Scope) -> Vec<(&str, &str)> {
    scope_field(scope).into_iter().collect()
}

fn insert(body: &mut Value, field: &str, value: &str) {
    if let Some(object) = body.as_object_mut() {
        object.insert(field.to_owned(), value.into());
    }
}

/// A text field of an answer; empty where there is none.
pub(super) fn text<'a>(doc: &'a Value, field: &str) -> &'a str {
    doc.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The same, where a server writes an empty text for none.
pub(super) fn given<'a>(doc: &'a Value, field: &str) -> Option<&'a str> {
    Some(text(doc, field)).filter(|text| !text.is_empty())
}

pub(super) fn cell(doc: &Value, field: &str) -> String {
    text(doc, field).to_owned()
}

fn flag(doc: &Value, field: &str) -> bool {
    doc.get(field).and_then(Value::as_bool).unwrap_or_default()
}
