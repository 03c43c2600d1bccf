//! Variable definitions: what may be set, where, and in which form.

use std::borrow::Cow;
use std::fmt;

use crate::clock::Timestamp;
use crate::format::{LengthBounds, VarFormat};
use crate::id::{DefinitionId, DefinitionName};
use crate::model::Revision;
use crate::scope::Scopes;

/// A variable as its author describes it. [`Org::define`](crate::Org::define) checks it and stores it.
///
/// ```
/// use strongroom::{VarFormat, VariableDefinition};
/// let definition = VariableDefinition::new("API_SECRET", VarFormat::String).encrypted().required();
/// assert_eq!(definition.name, "API_SECRET");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct VariableDefinition {
    /// Unique within the org and environment, case-sensitive; see [`DefinitionName`] for its rule.
    pub name: String,
    /// The form that every value must have.
    pub var_format: VarFormat,
    /// The least and most bytes of a value.
    pub length: Option<LengthBounds>,
    /// Whether values are secret: shown to clients only as ciphertext. Everything is sealed at rest either way.
    pub encrypted: bool,
    /// For people; at most 1 KiB.
    pub description: Option<String>,
    /// What `resolve` answers when no scope holds a value; at most 4 KiB, never for an encrypted definition.
    pub default: Option<String>,
    /// Whether `resolve_all` reports the definition as missing when it resolves to nothing.
    pub required: bool,
    /// The scopes at which a value may be set.
    pub scopes: Scopes,
    /// Who wrote this version, in the host's own words; at most 256 bytes.
    pub author: Option<String>,
}

impl VariableDefinition {
    /// A definition that is not encrypted, not required, and allows a value at all three scopes.
    pub fn new(name: impl Into<String>, var_format: VarFormat) -> Self {
        Self { name: name.into(), var_format, ..Self::default() }
    }

    /// Marks the values as secret. This can be set later too, and never cleared.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Reports the definition as missing when it resolves to nothing.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Describes the variable to people.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Sets what `resolve` answers when no scope holds a value.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Allows a value at these scopes alone.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Bounds the length of a value in bytes.
    #[must_use]
    pub fn length(mut self, bounds: LengthBounds) -> Self {
        self.length = Some(bounds);
        self
    }

    /// Records who writes this version.
    #[must_use]
    pub fn author(mut self, who: impl Into<String>) -> Self {
        self.author = Some(who.into());
        self
    }
}

/// An empty name, which `define` refuses, and the format `string`: a base for the fields that a caller leaves out.
impl Default for VariableDefinition {
    fn default() -> Self {
        Self {
            name: String::new(),
            var_format: VarFormat::String,
            length: None,
            encrypted: false,
            description: None,
            default: None,
            required: false,
            scopes: Scopes::ALL,
            author: None,
        }
    }
}

/// A definition as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StoredDefinition {
    /// Made by `define`, never used again.
    pub id: DefinitionId,
    /// Changes with every update.
    pub revision: Revision,
    /// What its author wrote.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub definition: VariableDefinition,
    /// Who defined it.
    pub created_by: Option<String>,
    /// When it was defined.
    pub created_at: Timestamp,
    /// When it was last updated.
    pub updated_at: Timestamp,
    /// How often its format was changed: if ever, some values may be from before and not match.
    pub format_changes: u32,
}

/// A definition by id or by name. Verbs take whatever converts into one: an id, or a name of any string type.
///
/// ```
/// # strongroom_conformance::with_org(async |org| {
/// use strongroom::{VarFormat, VariableDefinition};
/// let id = org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
/// assert!(org.definition("PORT").await?.is_some());
/// assert!(org.definition(String::from("PORT")).await?.is_some());
/// assert!(org.definition(&id).await?.is_some());
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DefinitionRef<'a> {
    /// By id.
    Id(DefinitionId),
    /// By exact name.
    Name(Cow<'a, str>),
}

impl DefinitionRef<'_> {
    pub(crate) fn into_owned(self) -> DefinitionRef<'static> {
        match self {
            Self::Id(id) => DefinitionRef::Id(id),
            Self::Name(name) => DefinitionRef::Name(Cow::Owned(name.into_owned())),
        }
    }

    pub(crate) fn is(&self, stored: &StoredDefinition) -> bool {
        match self {
            Self::Id(id) => stored.id == *id,
            Self::Name(name) => stored.definition.name == *name,
        }
    }
}

impl From<DefinitionId> for DefinitionRef<'_> {
    fn from(id: DefinitionId) -> Self {
        Self::Id(id)
    }
}

impl From<&DefinitionId> for DefinitionRef<'_> {
    fn from(id: &DefinitionId) -> Self {
        Self::Id(*id)
    }
}

impl<'a> From<&'a str> for DefinitionRef<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(Cow::Borrowed(name))
    }
}

impl<'a> From<&'a String> for DefinitionRef<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(Cow::Borrowed(name))
    }
}

impl From<String> for DefinitionRef<'_> {
    fn from(name: String) -> Self {
        Self::Name(Cow::Owned(name))
    }
}

impl<'a> From<&'a DefinitionName> for DefinitionRef<'a> {
    fn from(name: &'a DefinitionName) -> Self {
        Self::Name(Cow::Borrowed(name.as_str()))
    }
}

impl fmt::Display for DefinitionRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}
