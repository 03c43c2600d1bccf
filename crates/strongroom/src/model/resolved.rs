//! What a resolver returns: the value, where it was found and what it shadows.

use std::fmt;
use std::ops::Deref;
use std::slice;

use smallvec::SmallVec;

use crate::id::{DefinitionId, DefinitionName, DocumentId};
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
    pub name: DefinitionName,
    /// Whether the definition is marked encrypted. Such a value must not be shown.
    pub encrypted: bool,
    /// Where the value was found.
    pub scope: Origin,
    /// Less specific scopes of the path that also hold a value, and the default, most specific first.
    pub shadowed: Shadowed,
    /// The document id and revision of the value; `None` for the default.
    pub found: Option<Found>,
    /// The plaintext; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

impl Resolved {
    pub(crate) fn new(
        name: &DefinitionName,
        stored: &StoredDefinition,
        scope: Origin,
        found: Option<Found>,
        value: Secret,
    ) -> Self {
        let StoredDefinition { id, definition, .. } = stored;
        let (name, encrypted) = (name.clone(), definition.encrypted);
        let (definition_revision, shadowed) = (stored.revision, Shadowed::default());
        Self { definition_id: *id, definition_revision, name, encrypted, scope, shadowed, found, value }
    }
}

/// The places that a resolved value shadows, at most three: it is read as a slice, and takes no memory of its own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Shadowed(SmallVec<[Origin; 3]>);

impl Shadowed {
    pub(crate) fn push(&mut self, origin: Origin) {
        self.0.push(origin);
    }
}

impl Deref for Shadowed {
    type Target = [Origin];

    fn deref(&self) -> &[Origin] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Shadowed {
    type Item = &'a Origin;
    type IntoIter = slice::Iter<'a, Origin>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Origin> for Shadowed {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self(origins.into_iter().collect())
    }
}

impl fmt::Debug for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Shadowed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
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

/// Everything that a run sees.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Resolution {
    /// What resolved, in the order in which the variables were defined.
    pub values: Vec<Resolved>,
    /// Names of required definitions that resolved to nothing.
    pub missing_required: Vec<String>,
}

impl Resolution {
    /// The resolved value of the definition called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Resolved> {
        self.values.iter().find(|resolved| resolved.name.as_str() == name)
    }
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
}
