//! A list of the values that a variable may have.

use crate::format::BadFormat;

/// The values that a variable may have, each compared exactly.
///
/// ```
/// use strongroom::format::{EnumFormat, VarFormat};
///
/// let region = VarFormat::Enum(EnumFormat::new(["eu", "us"])?);
/// assert!(region.validate("eu").is_ok());
/// assert!(region.validate("EU").is_err());
/// # Ok::<(), strongroom::format::BadFormat>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Vec<String>", try_from = "Vec<String>"))]
pub struct EnumFormat {
    values: Vec<String>,
}

impl EnumFormat {
    /// A list of distinct values, at most 4 KiB in all. Their order is kept.
    ///
    /// # Errors
    /// [`BadFormat::EnumEmpty`], [`BadFormat::EnumValueEmpty`], [`BadFormat::EnumValueRepeated`] or
    /// [`BadFormat::EnumTooLarge`].
    pub fn new<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Result<Self, BadFormat> {
        let mut list = Self { values: Vec::new() };
        let mut bytes = 0;
        for value in values {
            let value = value.into();
            bytes += value.len();
            if value.is_empty() {
                return Err(BadFormat::EnumValueEmpty);
            }
            if bytes > ENUM_BYTES_MAX {
                return Err(BadFormat::EnumTooLarge { bytes_max: ENUM_BYTES_MAX });
            }
            list.values.push(value);
        }
        list.check()?;
        Ok(list)
    }

    /// The values, in the order they were given.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    pub(super) fn contains(&self, value: &str) -> bool {
        self.values.iter().any(|allowed| allowed == value)
    }

    fn check(&self) -> Result<(), BadFormat> {
        let mut sorted: Vec<_> = self.values().collect();
        sorted.sort_unstable();
        if sorted.is_empty() {
            return Err(BadFormat::EnumEmpty);
        }
        if sorted.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(BadFormat::EnumValueRepeated);
        }
        Ok(())
    }
}

impl TryFrom<Vec<String>> for EnumFormat {
    type Error = BadFormat;

    fn try_from(values: Vec<String>) -> Result<Self, BadFormat> {
        Self::new(values)
    }
}

impl From<EnumFormat> for Vec<String> {
    fn from(list: EnumFormat) -> Self {
        list.values
    }
}

const ENUM_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_distinct_values_that_are_not_empty() {
        assert_eq!(EnumFormat::new([""; 0]), Err(BadFormat::EnumEmpty));
        assert_eq!(EnumFormat::new(["a", ""]), Err(BadFormat::EnumValueEmpty));
        assert_eq!(EnumFormat::new(["a", "b", "a"]), Err(BadFormat::EnumValueRepeated));
    }

    #[test]
    fn a_list_has_at_most_4_kib() {
        assert!(EnumFormat::new(["a".repeat(4096)]).is_ok());
        assert_eq!(
            EnumFormat::new(["a".repeat(4096), "b".to_owned()]),
            Err(BadFormat::EnumTooLarge { bytes_max: ENUM_BYTES_MAX })
        );
    }

    #[test]
    fn values_are_compared_exactly_and_keep_their_order() {
        let list = EnumFormat::new(["b", "a"]).unwrap();
        assert!(list.contains("a") && !list.contains("A") && !list.contains("") && !list.contains("a "));
        assert!(list.values().eq(["b", "a"]));
    }
}
