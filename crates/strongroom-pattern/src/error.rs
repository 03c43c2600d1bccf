//! Why a pattern was refused when it was vetted.

use std::borrow::Cow;

/// Why a pattern was refused. Patterns are no secrets, but the message quotes neither the pattern nor an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The text of the pattern is too long.
    #[error("a pattern must have at most {bytes_max} bytes")]
    TooLong {
        /// The most bytes of a pattern.
        bytes_max: usize,
    },
    /// The text is not a pattern, or uses what this dialect does not have.
    #[error("{reason} (at byte {at})")]
    Syntax {
        /// What is wrong and, where there is a way around it, what to write instead.
        reason: Cow<'static, str>,
        /// Where in the pattern, counted in bytes from 0.
        at: usize,
    },
    /// The pattern needs more work or memory than a pattern may.
    #[error("the pattern is too complex: {advice}")]
    TooComplex {
        /// What to try instead.
        advice: &'static str,
    },
    /// The pattern matches only the empty value, or nothing at all.
    #[error("no value can match the pattern; a value is never empty")]
    MatchesNothing,
    /// There are too many examples, or they are too long together.
    #[error("a pattern must have at most {count_max} examples, of at most {bytes_max} bytes together")]
    TooManyExamples {
        /// The most examples.
        count_max: usize,
        /// The most bytes of all examples together.
        bytes_max: usize,
    },
    /// An example that must match does not.
    #[error("example {index} must match the pattern and does not")]
    ExampleDoesNotMatch {
        /// The index of the example among those that must match, counted from 0.
        index: usize,
    },
    /// An example that must not match does.
    #[error("example {index} must not match the pattern and does")]
    ExampleMatches {
        /// The index of the example among those that must not match, counted from 0.
        index: usize,
    },
}

impl PatternError {
    /// The refusal where nothing better can be advised than less of the same.
    pub(crate) const TOO_COMPLEX: Self = Self::TooComplex {
        advice: "use smaller counts, or bound the length of the value beside the pattern",
    };

    pub(crate) fn syntax(reason: impl Into<Cow<'static, str>>, at: usize) -> Self {
        Self::Syntax { reason: reason.into(), at }
    }
}
