//! What a resolver returns: the value, where it was found and what it shadows.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use crate::id::{DefinitionId, DocumentId};
use crate::model::{Metadata, Revision, StoredDefinition};
use crate::scope::{Scope, ScopeKind};
use crate::secret::Secret;

/// Where a resolved value came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Origin {
    /// A value at this scope.
    Scope(Scope),
    /// No scope of the path holds a value; the definition has a default.
    Default,
}

impl Origin {
    /// `workflow`, `linked_account`, `org` or `default`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.kind().map_or("default", ScopeKind::as_str)
    }

    /// The kind of scope; `None` for the default.
    #[must_use]
    pub fn kind(&self) -> Option<ScopeKind> {
        match self {
            Self::Scope(scope) => Some(scope.kind()),
            Self::Default => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => scope.fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as a run sees it.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Resolved {
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// The revision of its definition.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub definition_revision: Revision,
    /// The definition's name.
    pub name: String,
    /// Whether the definition is marked encrypted. Such a value must not be shown.
    pub encrypted: bool,
    /// Where the value was found.
    pub scope: Origin,
    /// Less specific scopes of the path that also hold a value, and the default, most specific first.
    pub shadowed: Vec<Origin>,
    /// The document id and revision of the value; `None` for the default.
    pub found: Option<Found>,
    /// The plaintext; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

impl Resolved {
    pub(crate) fn new(
        stored: &StoredDefinition,
        scope: Origin,
        shadowed: Vec<Origin>,
        found: Option<Found>,
        value: Secret,
    ) -> Self {
        let StoredDefinition { id, definition, .. } = stored;
        let (name, encrypted) = (definition.name.clone(), definition.encrypted);
        let definition_revision = stored.revision;
        Self { definition_id: *id, definition_revision, name, encrypted, scope, shadowed, found, value }
    }
}

/// The document that was found, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Found {
    /// The document id of the value.
    pub id: DocumentId,
    /// Its revision.
    pub revision: Revision,
}

/// A place at which a definition has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ValuePlace {
    /// The scope.
    pub scope: Scope,
    /// The document id and revision of the value.
    pub found: Found,
}

/// Everything that a run sees.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{Scope, ScopePath};
/// org.set_value("PORT", Scope::Org, "8080").await?;
/// let mut run = org.resolve_all(&ScopePath::org()).await?;
/// assert!(run.iter().all(|found| found.name == "PORT"));
/// let port = run.take("PORT").unwrap().value; // its own, without a copy
/// assert!(port.expose() == "8080" && run.get("PORT").is_none());
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Resolution {
    /// What resolved, in the order in which the variables were defined.
    pub values: Vec<Resolved>,
    /// Names of required definitions that resolved to nothing.
    pub missing_required: Vec<String>,
    /// The position of each name among the values, filled by the first lookup.
    #[cfg_attr(feature = "serde", serde(skip))]
    places: OnceLock<HashMap<String, usize>>,
}

impl Resolution {
    pub(crate) fn new(values: Vec<Resolved>, missing_required: Vec<String>) -> Self {
        Self { values, missing_required, places: OnceLock::new() }
    }

    /// Adds what a definition resolved to, or that it is required and missing.
    pub(crate) fn add(&mut self, stored: &StoredDefinition, resolved: Option<Resolved>) {
        match resolved {
            Some(resolved) => self.values.push(resolved),
            None if stored.definition.required => self.missing_required.push(stored.definition.name.clone()),
            None => {}
        }
    }

    /// The resolved value of the definition called `name`, looked up by hash.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Resolved> {
        self.values.get(self.place(name)?)
    }

    /// Removes the resolved value of the definition called `name` and returns it.
    pub fn take(&mut self, name: &str) -> Option<Resolved> {
        let place = self.place(name)?;
        // The positions after it shift.
        self.places = OnceLock::new();
        Some(self.values.remove(place))
    }

    /// The resolved values, in the order in which the variables were defined.
    pub fn iter(&self) -> std::slice::Iter<'_, Resolved> {
        self.values.iter()
    }

    fn place(&self, name: &str) -> Option<usize> {
        let of_all =
            || self.values.iter().enumerate().map(|(place, found)| (found.name.clone(), place)).collect();
        let is_it = |place: &usize| self.values.get(*place).is_some_and(|found| found.name == name);
        let known = self.places.get_or_init(of_all).get(name).copied().filter(is_it);
        // The host may have changed the list.
        known.or_else(|| self.values.iter().position(|found| found.name == name))
    }
}

impl<'r> IntoIterator for &'r Resolution {
    type Item = &'r Resolved;
    type IntoIter = std::slice::Iter<'r, Resolved>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Resolution {
    type Item = Resolved;
    type IntoIter = std::vec::IntoIter<Resolved>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

/// Why a run could not be read into the host's types. It shows no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The host needs a variable that did not resolve: it has no definition, or no value.
    #[error("variable `{0}` did not resolve: define it and set a value, or make it optional")]
    Missing(String),
    /// A value does not fit the type that the host reads it as.
    #[error("the value of variable `{0}` does not fit its type: choose a format that does")]
    Unfit(String),
    /// The type cannot be read from named variables.
    #[error("the type does not consist of named variables: read into a struct or map")]
    Shape,
}

/// How a definition resolves, step by step, without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Trace {
    /// The id of its definition.
    pub definition_id: DefinitionId,
    /// The definition's name.
    pub name: String,
    /// Every scope of the path, most specific first, and then the default.
    pub steps: Vec<Step>,
}

impl Trace {
    /// The step that wins: the first with a value.
    #[must_use]
    pub fn winner(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.holds_value)
    }
}

/// One place that a resolver looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Step {
    /// The place.
    pub origin: Origin,
    /// Whether there is a value.
    pub holds_value: bool,
    /// The value's document; `None` if there is no value, and for the default.
    pub found: Option<Found>,
    /// Whether the value was set before a format change and does not match the new format.
    pub grandfathered: bool,
    /// Who set the value, and why; empty for a value that cannot be opened.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Metadata::is_empty"))]
    pub metadata: Metadata,
    /// Why the value cannot be read, if it cannot: a run for which this step wins fails.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub unreadable: Option<String>,
}
