//! The bodies of the calls on definitions.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strongroom::{
    DefinitionChange, DefinitionFilter, DefinitionId, OrgId, ScopeKind, Scopes, StoredDefinition, VarFormat,
    VariableDefinition,
};
use utoipa::{IntoParams, ToSchema};

use super::{parse_scope, wire_scope};
use crate::auth::API_KEY;
use crate::error::Failure;
use crate::request::{present, var_format};
use crate::time;

/// A variable definition.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefinitionDoc {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: DefinitionId,
    #[schema(value_type = String)]
    org_id: OrgId,
    name: String,
    /// Empty if there is none.
    description: String,
    /// The one scope at which values are allowed, or `org` if several are.
    #[schema(value_type = String)]
    scope: ScopeKind,
    var_format: String,
    encrypted: bool,
    /// The id of the API key that created it; empty if it was created otherwise.
    created_by: String,
    /// The id of the API key that last changed it.
    updated_by: String,
    #[serde(rename = "createdAt")]
    created_at: String,
    #[serde(rename = "updatedAt")]
    updated_at: String,
}

/// One definition.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneDefinition {
    pub(super) definition: DefinitionDoc,
}

/// A definition that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefinitionDeleted {
    pub(super) success: bool,
    pub(super) message: &'static str,
}

/// Which definitions to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DefinitionsQuery {
    /// Selects definitions that allow a value at this scope: `org`, `linked_account` or `workflow`.
    #[param(required = false, value_type = String)]
    pub(super) scope: Option<String>,
    #[param(required = false, value_type = String)]
    var_format: Option<String>,
    /// A regular expression that matches anywhere in the name.
    #[param(required = false, value_type = String)]
    name: Option<String>,
    /// Exact names, with commas between them.
    #[param(required = false, value_type = String)]
    names: Option<String>,
    #[param(required = false, value_type = u32, minimum = 1, default = 1)]
    pub(super) page: Option<String>,
    /// More than 100 counts as 100.
    #[param(required = false, value_type = u32, minimum = 1, default = 10)]
    pub(super) limit: Option<String>,
}

/// A new definition.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewDefinition {
    #[schema(required, nullable = false)]
    name: Option<String>,
    /// The name of a format, or an object of one: `{"enum": ["a", "b"]}`. `string` unless given.
    #[schema(nullable = false, value_type = String)]
    var_format: Option<Box<RawValue>>,
    #[schema(nullable = false)]
    description: Option<String>,
    /// Allows values only at this scope; at all three unless given.
    #[schema(nullable = false, value_type = String)]
    scope: Option<String>,
    #[serde(default)]
    #[schema(required = false)]
    encrypted: bool,
    #[schema(nullable = false)]
    default_value: Option<String>,
    #[serde(default)]
    #[schema(required = false)]
    required: bool,
}

/// What to change of a definition; what is not named stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangeDefinition {
    #[schema(nullable = false)]
    name: Option<String>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[schema(nullable = false)]
    scope: Option<String>,
    /// Cannot be changed; any value other than the current one is refused.
    #[schema(nullable = false, value_type = String)]
    var_format: Option<Box<RawValue>>,
    /// Can be set, never cleared.
    #[schema(nullable = false)]
    encrypted: Option<bool>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    default_value: Option<Option<String>>,
    #[schema(nullable = false)]
    required: Option<bool>,
}

impl DefinitionsQuery {
    pub(super) fn filter(&self) -> Result<DefinitionFilter, Failure> {
        let mut filter = DefinitionFilter::all();
        if let Some(scope) = &self.scope {
            filter = filter.scope(parse_scope(scope)?);
        }
        if let Some(format) = &self.var_format {
            filter = filter.format(format);
        }
        if let Some(pattern) = &self.name {
            filter = filter.name_pattern(pattern)?;
        }
        // An empty list is not a filter: a client that joins no names sends it.
        if let Some(names) = self.names.as_ref().filter(|names| !names.is_empty()) {
            filter = filter.names(names.split(',').map(str::trim));
        }
        Ok(filter)
    }
}

impl NewDefinition {
    pub(super) fn definition(self) -> Result<VariableDefinition, Failure> {
        let name = self.name.ok_or(Failure::required("name"))?;
        let format = match &self.var_format {
            Some(format) => {
                read_format(format).ok_or_else(|| Failure::bad_request("var_format is not a format"))?
            }
            None => VarFormat::String,
        };
        let mut definition = VariableDefinition::new(name, format);
        definition.description = self.description;
        definition.default = self.default_value;
        definition.encrypted = self.encrypted;
        definition.required = self.required;
        if let Some(scope) = &self.scope {
            definition.scopes = Scopes::only(parse_scope(scope)?);
        }
        Ok(definition)
    }
}

fn read_format(stated: &RawValue) -> Option<VarFormat> {
    var_format(&mut serde_json::Deserializer::from_str(stated.get())).ok()
}

impl ChangeDefinition {
    /// Whether it names a format other than this one. The name without parameters counts as the same, since responses
    /// show it that way.
    pub(super) fn names_other_than(&self, format: &VarFormat) -> bool {
        let Some(named) = &self.var_format else { return false };
        let is_name = serde_json::from_str::<&str>(named.get()).is_ok_and(|name| name == format.name());
        !is_name && read_format(named).as_ref() != Some(format)
    }

    pub(super) fn change(self) -> Result<DefinitionChange, Failure> {
        let mut change = DefinitionChange::new();
        if let Some(name) = self.name {
            change = change.name(name);
        }
        change = match self.description {
            Some(Some(text)) => change.description(text),
            Some(None) => change.no_description(),
            None => change,
        };
        change = match self.default_value {
            Some(Some(text)) => change.default_value(text),
            Some(None) => change.no_default_value(),
            None => change,
        };
        change = match self.required {
            Some(true) => change.required(),
            Some(false) => change.optional(),
            None => change,
        };
        if let Some(scope) = &self.scope {
            change = change.scopes(Scopes::only(parse_scope(scope)?));
        }
        match self.encrypted {
            Some(true) => Ok(change.encrypted()),
            Some(false) => Err(Failure::bad_request("encrypted can be set, never cleared")),
            None => Ok(change),
        }
    }
}

impl DefinitionDoc {
    pub(super) fn of(org_id: OrgId, stored: StoredDefinition) -> Self {
        let definition = stored.definition;
        Self {
            id: stored.id,
            org_id,
            name: definition.name,
            description: definition.description.unwrap_or_default(),
            scope: wire_scope(definition.scopes),
            var_format: definition.var_format.name().to_owned(),
            encrypted: definition.encrypted,
            created_by: api_key_id(stored.created_by.as_deref()),
            updated_by: api_key_id(definition.author.as_deref()),
            created_at: time::iso(stored.created_at),
            updated_at: time::iso(stored.updated_at),
        }
    }
}

/// The API key of an author. Other authors are the operator's business, not a tenant's.
fn api_key_id(author: Option<&str>) -> String {
    author.and_then(|author| author.strip_prefix(API_KEY)).unwrap_or_default().to_owned()
}
