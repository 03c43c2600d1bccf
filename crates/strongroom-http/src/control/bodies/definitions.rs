//! Definitions.

use serde::{Deserialize, Serialize};
use strongroom::format::BadFormat;
use strongroom::{
    FormatChange, LengthBounds, Scope, ScopeKind, Scopes, StoredDefinition, VarFormat, VariableDefinition,
};
use utoipa::ToSchema;

use super::opaque;
use crate::error::Failure;
use crate::request::{present, some_var_format, var_format};
use crate::time;

/// A variable definition with all its rules for values.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Definition {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The name of the format.
    pub var_format: String,
    /// The format with its parameters, as a new definition gives it.
    #[schema(value_type = Object)]
    pub parameters: VarFormat,
    /// The minimum length of a value in bytes.
    pub bytes_min: Option<usize>,
    /// The maximum length of a value in bytes.
    pub bytes_max: Option<usize>,
    /// The scopes at which it allows values.
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<ScopeKind>,
    /// Whether values are shown only with the right `reveal`.
    pub encrypted: bool,
    /// Whether it is reported as missing if it resolves to nothing.
    pub required: bool,
    /// The value that it resolves to if no scope holds one.
    pub default: Option<String>,
    /// How many former versions of it and of each of its values are kept, at most 100; absent for the service's own
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_versions: Option<u8>,
    /// For how many seconds a former version of a value is kept at most after it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_age_secs: Option<u64>,
    /// Who last changed it.
    pub author: Option<String>,
    /// How often the format was changed: values from before a change may not match it.
    pub format_changes: u32,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// A new definition.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = ControlNewDefinition)] // the documented call's has the other name
#[serde(deny_unknown_fields)]
pub struct NewDefinition {
    /// Its name.
    pub name: String,
    /// The name of a format, or an object such as `{"enum": ["a", "b"]}`; `string` by default.
    #[serde(default = "string", deserialize_with = "var_format")]
    #[schema(value_type = Object)]
    pub var_format: VarFormat,
    /// The minimum length of a value in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_min: Option<usize>,
    /// The maximum length of a value in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<usize>,
    /// The scopes at which it allows values; all three by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<Vec<ScopeKind>>,
    /// Whether values are shown only with the right `reveal`.
    #[serde(default)]
    pub encrypted: bool,
    /// Whether it is reported as missing if it resolves to nothing.
    #[serde(default)]
    pub required: bool,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value that it resolves to if no scope holds one; never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// How many former versions of it and of each of its values are kept, at most 100; by default the service's own
    /// number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_versions: Option<u8>,
    /// For how many seconds a former version of a value is kept at most after it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_age_secs: Option<u64>,
}

/// The changes to a definition; absent fields stay as they are, and `null` is refused where it removes nothing.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefinitionChange {
    /// A new name.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// A new format, with its parameters.
    #[serde(deserialize_with = "some_var_format", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub var_format: Option<VarFormat>,
    /// The minimum length of a value in bytes; `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<usize>)]
    pub bytes_min: Option<Option<usize>>,
    /// The maximum length of a value in bytes; `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<usize>)]
    pub bytes_max: Option<Option<usize>>,
    /// New scopes. A scope that still holds a value cannot be removed.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>)]
    pub scopes: Option<Vec<ScopeKind>>,
    /// `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub default: Option<Option<String>>,
    /// Whether it is reported as missing if it resolves to nothing.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub required: Option<bool>,
    /// Can be set, never cleared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// A new number of former versions to keep, at most 100.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub history_versions: Option<u8>,
    /// A new maximum age of former versions of a value, in seconds after they were replaced.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub history_age_secs: Option<u64>,
    /// Changes the format even if values do not match it; they stay until they are set again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_mismatched: bool,
    /// Reports what would be done, and does nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a change means for the stored values.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Whether the change was made: not on a dry run, nor if values prevent it.
    pub applied: bool,
    /// The values that prevent the change, without their content.
    pub refused: Vec<RefusedValue>,
    /// The definition as it is now.
    pub definition: Definition,
}

/// A value that prevents a change.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RefusedValue {
    /// The kind of its scope.
    #[schema(value_type = String)]
    pub scope: ScopeKind,
    /// The linked account whose value it is.
    pub linked_account_id: Option<String>,
    /// The workflow whose value it is.
    pub workflow_id: Option<String>,
    /// Why it is refused: a rule of the format, or its scope, which would no longer allow a value.
    pub reason: String,
}

/// What a deletion also deletes.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Deletion {
    /// What is deleted.
    pub name: String,
    /// Whether it was deleted: not on a dry run.
    pub deleted: bool,
    /// How many values are deleted with it.
    pub values: usize,
    /// How many credentials are deleted with it.
    pub credentials: usize,
}

/// How to bring a definition back.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UndeleteDefinition {
    /// Also replaces a present definition that cannot be read with its newest readable version; its content is lost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace_damaged: bool,
}

opaque!(Definition, NewDefinition, DefinitionChange, Plan, RefusedValue, Deletion, UndeleteDefinition);

fn string() -> VarFormat {
    VarFormat::String
}

impl Definition {
    pub(crate) fn of(stored: StoredDefinition) -> Self {
        let definition = stored.definition;
        Self {
            id: stored.id.to_string(),
            name: definition.name,
            description: definition.description,
            var_format: definition.var_format.name().to_owned(),
            parameters: definition.var_format,
            bytes_min: definition.length.map(|bounds| bounds.min()),
            bytes_max: definition.length.map(|bounds| bounds.max()),
            scopes: definition.scopes.iter().collect(),
            encrypted: definition.encrypted,
            required: definition.required,
            default: definition.default,
            history_versions: definition.history_versions,
            history_age_secs: definition.history_age_secs,
            author: definition.author,
            format_changes: stored.format_changes,
            created_at: time::iso(stored.created_at),
            updated_at: time::iso(stored.updated_at),
        }
    }
}

impl NewDefinition {
    pub(crate) fn definition(self) -> Result<VariableDefinition, Failure> {
        let mut definition = VariableDefinition::new(self.name, self.var_format);
        definition.length = bounds(self.bytes_min, self.bytes_max)?;
        definition.encrypted = self.encrypted;
        definition.required = self.required;
        definition.description = self.description;
        definition.default = self.default;
        definition.history_versions = self.history_versions;
        definition.history_age_secs = self.history_age_secs;
        if let Some(kinds) = &self.scopes {
            definition.scopes = scopes(kinds)?;
        }
        Ok(definition)
    }
}

impl DefinitionChange {
    fn changes_format(&self) -> bool {
        self.var_format.is_some() || self.bytes_min.is_some() || self.bytes_max.is_some()
    }

    /// The change of the format or of its bounds; `None` if neither changes.
    pub(crate) fn format_change(&self, stored: &StoredDefinition) -> Result<Option<FormatChange>, Failure> {
        let old = &stored.definition;
        if !self.changes_format() {
            return Ok(None);
        }
        // A bound that is absent stays as it is.
        let min = self.bytes_min.unwrap_or(old.length.map(|old| old.min()));
        let max = self.bytes_max.unwrap_or(old.length.map(|old| old.max()));
        let length = bounds(min, max)?.filter(|bounds| LengthBounds::new(..).ok() != Some(*bounds));
        let mut change = FormatChange::to(self.var_format.clone().unwrap_or_else(|| old.var_format.clone()));
        if let Some(bounds) = length {
            change = change.length(bounds);
        }
        // With the format, since the old default may not match it.
        Ok(Some(match &self.default {
            Some(Some(default)) => change.default_value(default),
            Some(None) => change.no_default_value(),
            None => change,
        }))
    }

    /// All other changes, which come before that of the format.
    pub(crate) fn other_change(&self) -> Result<strongroom::DefinitionChange, Failure> {
        let mut change = strongroom::DefinitionChange::new();
        if let Some(name) = &self.name {
            change = change.name(name);
        }
        change = match &self.description {
            Some(Some(text)) => change.description(text),
            Some(None) => change.no_description(),
            None => change,
        };
        change = match &self.default {
            // With the format, since it may not match the old one. An encrypted definition takes none anyway.
            Some(Some(_)) if self.changes_format() && !self.encrypted => change,
            Some(Some(text)) => change.default_value(text),
            Some(None) => change.no_default_value(),
            None => change,
        };
        change = match self.required {
            Some(true) => change.required(),
            Some(false) => change.optional(),
            None => change,
        };
        if let Some(scopes) = self.new_scopes()? {
            change = change.scopes(scopes);
        }
        if let Some(count) = self.history_versions {
            change = change.history_versions(count);
        }
        if let Some(secs) = self.history_age_secs {
            change = change.history_age_secs(secs);
        }
        Ok(if self.encrypted { change.encrypted() } else { change })
    }

    pub(crate) fn new_scopes(&self) -> Result<Option<Scopes>, Failure> {
        self.scopes.as_deref().map(scopes).transpose()
    }
}

impl RefusedValue {
    pub(crate) fn of(scope: &Scope, reason: String) -> Self {
        let (linked_account_id, workflow_id) = match scope {
            Scope::Org => (None, None),
            Scope::LinkedAccount(id) => (Some(id.to_string()), None),
            Scope::Workflow(id) => (None, Some(id.to_string())),
        };
        Self { scope: scope.kind(), linked_account_id, workflow_id, reason }
    }
}

fn scopes(kinds: &[ScopeKind]) -> Result<Scopes, Failure> {
    let (first, rest) = kinds.split_first().ok_or_else(|| Failure::bad_request("scopes is empty"))?;
    Ok(rest.iter().fold(Scopes::only(*first), |scopes, kind| scopes.and(*kind)))
}

fn bounds(min: Option<usize>, max: Option<usize>) -> Result<Option<LengthBounds>, Failure> {
    let bounds = match (min, max) {
        (None, None) => return Ok(None),
        (min, Some(max)) => LengthBounds::new(min.unwrap_or(0)..=max),
        (Some(min), None) => LengthBounds::new(min..),
    };
    bounds.map(Some).map_err(|error: BadFormat| Failure::bad_request(error.to_string()))
}
