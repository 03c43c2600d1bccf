//! Formats that the host defines. A definition stores only the name; the check is code, which every process that writes
//! registers.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::format::{BadFormat, FormatError, PatternCache, VarFormat};

/// The name of a custom format of the host: 1 to 64 of `a` to `z`, `0` to `9` and `_`, beginning with a letter.
///
/// ```
/// use strongroom::format::{CustomFormat, VarFormat};
///
/// let iban = VarFormat::Custom("iban".parse()?);
/// assert_eq!(iban.name(), "custom:iban");
/// // Only a vault that was opened with `VaultOptions::custom_format` knows what it asks for.
/// assert!(iban.validate("DE02120300000000202051").is_err());
/// # Ok::<(), strongroom::format::BadFormat>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct CustomFormat {
    /// The name with the prefix, as it is stored.
    full_name: String,
}

impl CustomFormat {
    /// The name, without the `custom:` before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.full_name.strip_prefix(PREFIX).unwrap_or_default()
    }

    pub(super) fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Reads the name as it is stored.
    pub(super) fn of_full_name(full_name: &str) -> Option<Result<Self, BadFormat>> {
        full_name.strip_prefix(PREFIX).map(str::parse)
    }
}

impl FromStr for CustomFormat {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_allowed) {
            return Err(BadFormat::CustomName);
        }
        Ok(Self { full_name: [PREFIX, name].concat() })
    }
}

impl TryFrom<String> for CustomFormat {
    type Error = BadFormat;

    fn try_from(name: String) -> Result<Self, BadFormat> {
        name.parse()
    }
}

impl From<CustomFormat> for String {
    fn from(format: CustomFormat) -> Self {
        format.as_str().to_owned()
    }
}

/// The formats of a host, each with its check, which returns the rule that a value breaks.
#[derive(Default)]
pub(crate) struct CustomFormats(HashMap<String, Box<Check>>);

type Check = dyn Fn(&str) -> Result<(), &'static str> + Send + Sync;

impl CustomFormats {
    pub(crate) fn insert(
        &mut self,
        format: CustomFormat,
        check: impl Fn(&str) -> Result<(), &'static str> + Send + Sync + 'static,
    ) {
        self.0.insert(format.full_name, Box::new(check));
    }

    fn get(&self, format: &CustomFormat) -> Option<&Check> {
        self.0.get(&format.full_name).map(|check| &**check)
    }
}

impl fmt::Debug for CustomFormats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an open vault checks values with: compiled patterns, and the formats of its host.
#[derive(Debug)]
pub(crate) struct Formats {
    patterns: PatternCache,
    custom: CustomFormats,
}

impl Formats {
    pub(crate) fn new(pattern_bytes_max: usize, custom: CustomFormats) -> Self {
        Self { patterns: PatternCache::new(pattern_bytes_max), custom }
    }

    /// Whether this process knows the check of the format.
    pub(crate) fn know(&self, format: &VarFormat) -> bool {
        match format {
            VarFormat::Custom(format) => self.custom.get(format).is_some(),
            _ => true,
        }
    }

    /// Checks that `value` has this format; an unknown format allows no value.
    pub(crate) fn validate(&self, format: &VarFormat, value: &str) -> Result<(), FormatError> {
        match format {
            VarFormat::Custom(format) => match self.custom.get(format) {
                Some(check) => check(value).map_err(FormatError::new),
                None => Err(FormatError::new(UNKNOWN)),
            },
            _ => format.validate_with(value, &self.patterns),
        }
    }
}

/// The broken rule if the check is not known.
pub(super) const UNKNOWN: &str = "the check of this custom format is not registered here: write with the \
    service that registers it";
const PREFIX: &str = "custom:";
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["iban", "a", "v2_key", &"a".repeat(64)] {
            let format: CustomFormat = name.parse().unwrap();
            assert_eq!((format.as_str(), format!("custom:{name}").as_str()), (name, format.full_name()));
        }
        for name in ["", "2a", "_a", "Iban", "i-ban", "custom:iban", "é", &"a".repeat(65)] {
            assert_eq!(name.parse::<CustomFormat>(), Err(BadFormat::CustomName), "{name}");
        }
    }
}
