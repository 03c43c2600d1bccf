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

/// A variable definition with all that it asks of a value.
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
    /// The format with its parameters, as a new definition has it.
    #[schema(value_type = Object)]
    pub parameters: VarFormat,
    /// The fewest bytes of a value.
    pub bytes_min: Option<usize>,
    /// The most bytes of a value.
    pub bytes_max: Option<usize>,
    /// The scopes at which it allows values.
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<ScopeKind>,
    /// Whether values are shown only with the right `reveal`.
    pub encrypted: bool,
    /// Whether it is reported as missing when it resolves to nothing.
    pub required: bool,
    /// What resolves when no scope holds a value.
    pub default: Option<String>,
    /// How many former versions of it and of each of its values are kept, at most 100; as many as the service keeps
    /// unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_versions: Option<u8>,
    /// For how many seconds after it was replaced a former version of a value is kept at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_age_secs: Option<u64>,
    /// Who changed it last.
    pub author: Option<String>,
    /// How often the format was changed: values from before a change may not match it.
    pub format_changes: u32,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
}

/// A new definition.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = ControlNewDefinition)] // the documented call's has the other name
#[serde(deny_unknown_fields)]
pub struct NewDefinition {
    /// Its name.
    pub name: String,
    /// The name of a format, or an object of one, such as `{"enum": ["a", "b"]}`. `string` unless given.
    #[serde(default = "string", deserialize_with = "var_format")]
    #[schema(value_type = Object)]
    pub var_format: VarFormat,
    /// The fewest bytes of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_min: Option<usize>,
    /// The most bytes of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<usize>,
    /// The scopes at which it allows values; all three unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<Vec<ScopeKind>>,
    /// Whether values are shown only with the right `reveal`.
    #[serde(default)]
    pub encrypted: bool,
    /// Whether it is reported as missing when it resolves to nothing.
    #[serde(default)]
    pub required: bool,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What resolves when no scope holds a value; never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// How many former versions of it and of each of its values are kept, at most 100; as many as the service keeps
    /// unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_versions: Option<u8>,
    /// For how many seconds after it was replaced a former version of a value is kept at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_age_secs: Option<u64>,
}

/// What to change of a definition; what is not named stays.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DefinitionChange {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another format, with its parameters.
    #[serde(deserialize_with = "some_var_format", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub var_format: Option<VarFormat>,
    /// The fewest bytes of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_min: Option<usize>,
    /// The most bytes of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<usize>,
    /// Other scopes. One that still holds a value cannot be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scopes: Option<Vec<ScopeKind>>,
    /// `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// `null` removes it.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub default: Option<Option<String>>,
    /// Whether it is reported as missing when it resolves to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Can be set, never cleared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// Another number of former versions, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_versions: Option<u8>,
    /// Another age, in seconds, that a former version of a value reaches at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_age_secs: Option<u64>,
    /// Changes the format although values do not match it; they stay until they are set again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_mismatched: bool,
    /// Says what would be done, and does nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a change means for the stored values.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Whether the change was made: neither on a dry run nor where values prevent it.
    pub applied: bool,
    /// The values that the change does not allow. They are not shown.
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
    /// Why it is refused: a rule of the format, or that no value would be allowed at its scope.
    pub reason: String,
}

/// What a deletion takes with it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Deletion {
    /// What is deleted.
    pub name: String,
    /// Whether it was: not on a dry run.
    pub deleted: bool,
    /// How many values go with it.
    pub values: usize,
    /// How many credentials go with it.
    pub credentials: usize,
}

/// How to bring back a definition.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UndeleteDefinition {
    /// Puts the newest version of a present one that cannot be read in its place, too: what that held is lost.
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
    /// The change of the format or of its bounds; `None` if neither changes.
    pub(crate) fn format_change(&self, stored: &StoredDefinition) -> Result<Option<FormatChange>, Failure> {
        let old = &stored.definition;
        let length = bounds(self.bytes_min, self.bytes_max)?;
        if self.var_format.is_none() && length.is_none() {
            return Ok(None);
        }
        let mut change = FormatChange::to(self.var_format.clone().unwrap_or_else(|| old.var_format.clone()));
        if let Some(bounds) = length.or(old.length) {
            change = change.length(bounds);
        }
        // With the format, since the old default may not match it.
        Ok(Some(match &self.default {
            Some(Some(default)) => change.default_value(default),
            Some(None) => change.no_default_value(),
            None => change,
        }))
    }

    /// Everything else that changes.
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
