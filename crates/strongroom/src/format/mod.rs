//! What a value must look like: the formats of variable definitions, their rules and their validators.
//!
//! Pure: no I/O, no clock, nothing global. Every validator runs in time linear in the value, keeps no copy of it
//! and answers with the rule that failed, never with the value or a part of it.
//!
//! | format | a value is | rule |
//! |---|---|---|
//! | `string` | any text, the empty one included | |
//! | `number` | a JSON number, the whole text | RFC 8259, section 6 |
//! | `integer` | a JSON number without fraction and exponent, of any size | RFC 8259, section 6 |
//! | `boolean` | `true` or `false` | RFC 8259, section 3 |
//! | `url` | an absolute URL with a host; a fragment is allowed | RFC 3986 |
//!
//! The empty value is valid for `string` only.

mod error;
mod length;
mod number;
mod url;

use std::fmt;
use std::str::FromStr;

pub use error::{BadFormat, FormatError};
pub use length::{LengthBounds, VALUE_BYTES_MAX};

/// The format that every value of a variable definition has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum VarFormat {
    /// Any text, the empty one included.
    String,
    /// A number as in RFC 8259, for example `-1.5e3`.
    Number,
    /// A number as in RFC 8259 without fraction and exponent, of any size.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An absolute URL as in RFC 3986 with a host.
    Url,
}

impl VarFormat {
    /// Says whether `value` has this format.
    ///
    /// ```
    /// use strongroom::format::VarFormat;
    ///
    /// assert!(VarFormat::Number.validate("-1.5e3").is_ok());
    /// let refused = VarFormat::Number.validate("01").unwrap_err();
    /// assert_eq!(refused.to_string(), "a number as in RFC 8259, for example -1.5e3, is required");
    /// ```
    ///
    /// # Errors
    /// The rule that failed, as a sentence that holds no part of `value`.
    pub fn validate(&self, value: &str) -> Result<(), FormatError> {
        match self {
            Self::String => Ok(()),
            Self::Number => {
                require(number::is_number(value), "a number as in RFC 8259, for example -1.5e3, is required")
            }
            Self::Integer => require(
                number::is_integer(value),
                "a number as in RFC 8259 without fraction and exponent, for example -15, is required",
            ),
            Self::Boolean => require(matches!(value, "true" | "false"), "true or false is required"),
            Self::Url => {
                require(url::is_url(value), "an absolute URL as in RFC 3986 with a host is required")
            }
        }
    }

    /// The name of the format in stored and wire forms.
    ///
    /// ```
    /// # use strongroom::format::VarFormat;
    /// assert_eq!(VarFormat::Url.name(), "url");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Url => "url",
        }
    }
}

fn require(holds: bool, rule: &'static str) -> Result<(), FormatError> {
    if holds { Ok(()) } else { Err(FormatError::new(rule)) }
}

impl fmt::Display for VarFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name of a format that takes no parameters. Names are case-sensitive.
impl FromStr for VarFormat {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        Ok(match name {
            "string" => Self::String,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "url" => Self::Url,
            _ => return Err(BadFormat::UnknownName),
        })
    }
}
