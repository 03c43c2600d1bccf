//! Why a value was refused, and why a format cannot be defined.

use std::borrow::Cow;
use std::fmt;

use crate::format::PatternError;

/// The rule that a value broke, as a sentence. It contains no part of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    rule: Cow<'static, str>,
}

impl FormatError {
    /// The sentence must come only from the format, never from the value.
    pub(crate) fn new(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { rule: rule.into() }
    }

    /// The rule that failed, as a sentence for people.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl std::error::Error for FormatError {}

/// Why a format cannot be defined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFormat {
    /// No format without parameters has this name.
    #[error("no format without parameters has this name; names are case-sensitive")]
    UnknownName,
    /// A list of values is empty.
    #[error("a list of values needs at least one value")]
    EnumEmpty,
    /// A list of values has an empty value, which is valid only for the format `string`.
    #[error("a value of a list must not be empty")]
    EnumValueEmpty,
    /// A list of values has the same value twice.
    #[error("the values of a list must differ")]
    EnumValueRepeated,
    /// The values of a list have too many bytes in all.
    #[error("the values of a list must have at most {bytes_max} bytes together")]
    EnumTooLarge {
        /// The most bytes of all values together.
        bytes_max: usize,
    },
    /// A list of URL schemes is empty or too long, or one of them is not a scheme in lower case.
    #[error("a list of one to {count_max} URL schemes in lower case is required")]
    UrlSchemes {
        /// The most schemes of a list.
        count_max: usize,
    },
    /// The name of a custom format breaks its rule.
    #[error("the name of a custom format is 1 to 64 of a to z, 0 to 9 and _, beginning with a letter")]
    CustomName,
    /// A pattern was refused.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No possible length of a value is within the bounds.
    #[error("length bounds must run from a lower to a higher number of bytes, at most {bytes_max}")]
    LengthBounds {
        /// The most bytes that any value can have.
        bytes_max: usize,
    },
}
