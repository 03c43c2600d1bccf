//! Why a pattern was refused when it was vetted.

use std::borrow::Cow;

/// Why a pattern was refused. Patterns are no secrets, but the sentence quotes neither the pattern nor an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The text of the pattern is too long.
    #[error("a pattern must have at most {bytes_max} bytes")]
    TooLong {
        /// The most bytes of a pattern.
        bytes_max: usize,
    },
    /// The text is no pattern, or asks for what patterns cannot do here.
    #[error("{reason} (at byte {at})")]
    Syntax {
        /// What is wrong, and where there is one, the way around it.
        reason: Cow<'static, str>,
        /// Where in the pattern, counted in bytes from 0.
        at: usize,
    },
    /// The pattern needs more work or space than a pattern may.
    #[error("the pattern is too complex: {advice}")]
    TooComplex {
        /// What to try instead.
        advice: &'static str,
    },
    /// No value can match: only the empty one, or none at all.
    #[error("no value can match the pattern; a value is never empty")]
    MatchesNothing,
    /// The examples are too many or too large together.
    #[error(
        "the examples of a pattern must be at most {count_max} and have at most {bytes_max} bytes together"
    )]
    TooManyExamples {
        /// The most examples.
        count_max: usize,
        /// The most bytes of all examples together.
        bytes_max: usize,
    },
    /// An example that must match does not.
    #[error("example {index} must match the pattern and does not")]
    ExampleDoesNotMatch {
        /// The place of the example among those that must match, counted from 0.
        index: usize,
    },
    /// An example that must not match does.
    #[error("example {index} must not match the pattern and does")]
    ExampleMatches {
        /// The place of the example among those that must not match, counted from 0.
        index: usize,
    },
}

impl PatternError {
    pub(super) fn syntax(reason: impl Into<Cow<'static, str>>, at: usize) -> Self {
        Self::Syntax { reason: reason.into(), at }
    }
}
