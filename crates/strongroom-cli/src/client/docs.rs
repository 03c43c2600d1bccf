//! Documents of the wire contract, as far as the commands use them.

use serde::{Deserialize, Deserializer};
use strongroom::Secret;

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) docs: Vec<T>,
    #[serde(rename = "totalDocs", default)]
    pub(super) total_docs: u64,
}

/// The body of an error response.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) message: String,
}

/// A variable definition.
#[derive(Debug, Deserialize)]
pub(crate) struct Definition {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) name: String,
    /// Empty for none.
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
    /// Empty for none.
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

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::from)
}
