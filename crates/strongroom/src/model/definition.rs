//! Variable definitions: what may be set, where, and in which format.

use std::borrow::Cow;
use std::fmt;

use crate::clock::Timestamp;
use crate::format::{LengthBounds, VarFormat};
use crate::id::{DefinitionId, DefinitionName};
use crate::model::{Metadata, Revision};
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
    /// The format that every value must have.
    pub var_format: VarFormat,
    /// The fewest and the most bytes that a value may have.
    pub length: Option<LengthBounds>,
    /// Whether values are secret: shown to clients only as ciphertext. Everything is sealed at rest either way.
    pub encrypted: bool,
    /// For people; at most 1 KiB.
    pub description: Option<String>,
    /// What `resolve` returns when no scope holds a value; at most 4 KiB. An encrypted definition has none.
    pub default: Option<String>,
    /// Whether `resolve_all` reports the definition as missing when it resolves to nothing.
    pub required: bool,
    /// The scopes at which a value may be set.
    pub scopes: Scopes,
    /// Who wrote this version, in the host's own words; at most 300 bytes.
    pub author: Option<String>,
    /// How many former versions of the definition and of each of its values are kept, at most 100; by default as many
    /// as [`VaultOptions::history_versions`](crate::VaultOptions::history_versions) says. Surplus versions are deleted
    /// with the next write of their value.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub history_versions: Option<u8>,
    /// For how many seconds after it was replaced a former version of a value is kept at most; by default, age does not
    /// matter. An older one is not shown, and is deleted with the next write of its value.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub history_age_secs: Option<u64>,
}

impl VariableDefinition {
    /// A definition that is not encrypted, not required, and allows a value at all three scopes.
    pub fn new(name: impl Into<String>, var_format: VarFormat) -> Self {
        Self { name: name.into(), var_format, ..Self::default() }
    }

    /// Marks the values as secret. It can also be set later, but never cleared.
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

    /// Sets what `resolve` returns when no scope holds a value.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Allows a value only at these scopes.
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

    /// Keeps the last `count` former versions of the definition and of each of its values, at most 100.
    #[must_use]
    pub fn history_versions(mut self, count: u8) -> Self {
        self.history_versions = Some(count);
        self
    }

    /// Keeps a former version of a value for at most this many seconds after it was replaced.
    #[must_use]
    pub fn history_age_secs(mut self, secs: u64) -> Self {
        self.history_age_secs = Some(secs);
        self
    }

    /// Records who writes this version, whoever the handle [acts as](crate::Org::acting_as).
    #[must_use]
    pub fn author(mut self, who: impl Into<String>) -> Self {
        self.author = Some(who.into());
        self
    }
}

/// The format `string` and an empty name, which `define` refuses: the values of fields that are missing when a
/// definition is deserialised.
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
            history_versions: None,
            history_age_secs: None,
        }
    }
}

/// A definition as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StoredDefinition {
    /// Generated by `define`, and never reused.
    pub id: DefinitionId,
    /// Changes with every update.
    pub revision: Revision,
    /// The definition that its author wrote.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub definition: VariableDefinition,
    /// Who defined it.
    pub created_by: Option<String>,
    /// When it was defined.
    pub created_at: Timestamp,
    /// When it was last updated.
    pub updated_at: Timestamp,
    /// How often its format was changed. Unless it is 0, values from before a change may not match the format.
    pub format_changes: u32,
    /// Who wrote this version, and why.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
}

impl StoredDefinition {
    /// Sets the metadata of a new version. An author named by the host takes precedence over the actor.
    pub(crate) fn describe(&mut self, metadata: &Metadata) {
        let named = self.definition.author.take();
        self.definition.author = named.or_else(|| metadata.author().map(str::to_owned));
        self.metadata = metadata.authored(self.definition.author.clone());
    }
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
