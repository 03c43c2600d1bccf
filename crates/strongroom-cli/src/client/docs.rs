//! Documents of the wire contract, with the parts that the commands use.

use serde::{Deserialize, Deserializer};
use strongroom::{LengthBounds, Scopes, Secret, VariableDefinition};
use strongroom_http::control;

use crate::failure::{Exit, Failure};

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) docs: Vec<T>,
    #[serde(rename = "totalDocs", default)]
    pub(super) total_docs: u64,
}

/// A variable definition.
#[derive(Debug, Deserialize)]
pub(crate) struct Definition {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) name: String,
    /// Empty if there is none.
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) var_format: String,
    #[serde(default)]
    pub(crate) encrypted: bool,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Option<String>,
    #[serde(rename = "updatedAt")]
    pub(crate) updated_at: Option<String>,
}

/// The definition that a call created.
#[derive(Debug, Deserialize)]
pub(crate) struct OneDefinition {
    pub(crate) definition: Definition,
}

/// A value that a call set; the value itself is not read.
#[derive(Debug, Deserialize)]
pub(crate) struct ValueSet {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Option<String>,
}

/// A value as a run sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct ValueFound {
    #[serde(deserialize_with = "secret")]
    pub(crate) value: Secret,
    pub(crate) scope: String,
    #[serde(default)]
    pub(crate) encrypted: bool,
}

/// A value in a list, which does not show it.
#[derive(Debug, Deserialize)]
pub(crate) struct ListedValue {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    #[serde(rename = "variable_definition_id")]
    pub(crate) definition: ValueDefinition,
    #[serde(rename = "updatedAt")]
    pub(crate) updated_at: Option<String>,
}

/// The definition of a value in a list.
#[derive(Debug, Deserialize)]
pub(crate) struct ValueDefinition {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) encrypted: bool,
}

/// A linked account.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) account_id: String,
    /// Empty if there is none.
    #[serde(default)]
    pub(crate) name: String,
}

/// A credential that a call added or updated.
#[derive(Debug, Deserialize)]
pub(crate) struct CredentialSet {
    pub(crate) action: String,
}

/// A credential in a list, which does not show it.
#[derive(Debug, Deserialize)]
pub(crate) struct Credential {
    pub(crate) key_name: String,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Option<String>,
    #[serde(rename = "updatedAt")]
    pub(crate) updated_at: Option<String>,
}

/// A definition that a control call shows.
pub(crate) fn definition(shown: control::Definition) -> Result<VariableDefinition, Failure> {
    let unknown = || {
        let message = format!("the definition of {} is none that this client knows", shown.name);
        Failure::new(Exit::Store, message).next("use a client of the server's version")
    };
    let mut definition = VariableDefinition::new(&shown.name, shown.parameters.clone());
    if let (Some(min), Some(max)) = (shown.bytes_min, shown.bytes_max) {
        definition.length = Some(LengthBounds::new(min..=max).map_err(|_| unknown())?);
    }
    let (first, others) = shown.scopes.split_first().ok_or_else(unknown)?;
    definition.scopes = others.iter().fold(Scopes::only(*first), |scopes, kind| scopes.and(*kind));
    (definition.encrypted, definition.required) = (shown.encrypted, shown.required);
    (definition.description, definition.default) = (shown.description, shown.default);
    definition.history_versions = shown.history_versions;
    definition.history_age_secs = shown.history_age_secs;
    Ok(definition)
}

/// The same, as a control call takes a new definition.
pub(crate) fn new_definition(definition: &VariableDefinition) -> control::NewDefinition {
    control::NewDefinition {
        name: definition.name.clone(),
        var_format: definition.var_format.clone(),
        bytes_min: definition.length.map(|bounds| bounds.min()),
        bytes_max: definition.length.map(|bounds| bounds.max()),
        scopes: Some(definition.scopes.iter().collect()),
        encrypted: definition.encrypted,
        required: definition.required,
        description: definition.description.clone(),
        default: definition.default.clone(),
        history_versions: definition.history_versions,
        history_age_secs: definition.history_age_secs,
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::from)
}
