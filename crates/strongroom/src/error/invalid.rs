//! Requests that break a rule regardless of what is stored.

use crate::error::Error;
use crate::format::{BadFormat, FormatError, PatternError};
use crate::id::{DefinitionId, IdError, Namespace};
use crate::model::CursorError;
use crate::scope::UnknownScope;

/// Why a request is invalid, regardless of what is stored. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A text is not an id or name of the required kind.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A text does not name a scope.
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    /// A format cannot be defined.
    #[error(transparent)]
    Format(#[from] BadFormat),
    /// A pattern was not accepted.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A definition contradicts itself.
    #[error("variable definition `{name}` is invalid: {rule}")]
    Definition {
        /// Its name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A definition's own default does not match its format.
    #[error("the default of variable definition `{name}` is invalid: {rule}")]
    Default {
        /// The name of the definition.
        name: String,
        /// The rule that the default breaks.
        rule: FormatError,
    },
    /// A name filter is not a regular expression, or too costly to compile.
    #[error("the name pattern is not a regular expression that compiles within the size limit")]
    NamePattern,
    /// A cursor does not come from a list.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// One call sets the same definition at the same scope twice.
    #[error("variable definition {0} is set twice at one scope in one call")]
    DuplicateValue(DefinitionId),
    /// One call gives the same credential key twice.
    #[error("a credential key is given twice in one call")]
    DuplicateCredentialKey,
    /// One call writes the same record twice.
    #[error("a record is given twice in one call")]
    DuplicateRecord,
    /// A host cannot write a record of a namespace that is reserved for API keys and sessions.
    #[error("namespace {0} is reserved for API keys and sessions: choose another")]
    ReservedNamespace(Namespace),
    /// A record of one org or environment was given to a verb of another.
    #[error("the record belongs to another org or environment: write it with a verb of its own")]
    ForeignRecord,
}

impl Invalid {
    pub(crate) fn definition(name: &str, rule: &'static str) -> Error {
        Error::Invalid(Self::Definition { name: name.to_owned(), rule })
    }
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<UnknownScope> for Error {
    fn from(error: UnknownScope) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<BadFormat> for Error {
    fn from(error: BadFormat) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<PatternError> for Error {
    fn from(error: PatternError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<CursorError> for Error {
    fn from(error: CursorError) -> Self {
        Self::Invalid(error.into())
    }
}
