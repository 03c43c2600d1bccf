//! How many bytes a value may have, whatever its format.

use std::ops::Bound;
use std::ops::RangeBounds;

use crate::format::BadFormat;
use crate::format::FormatError;

/// The fewest and the most bytes of UTF-8 that a value may have, both included.
///
/// A definition has them beside its format. They work the same with every format except
/// [`Bytes`](super::VarFormat::Bytes), for which they count the bytes that the value represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Bounds"))]
pub struct LengthBounds {
    min: usize,
    max: usize,
}

impl LengthBounds {
    /// Bounds in bytes. A missing bound means 0 or [`VALUE_BYTES_MAX`].
    ///
    /// ```
    /// use strongroom::format::LengthBounds;
    ///
    /// let bounds = LengthBounds::new(8..=64)?;
    /// assert!(bounds.check("correct horse").is_ok());
    /// assert_eq!(bounds.check("horse").unwrap_err().to_string(), "8 to 64 bytes are required");
    /// # Ok::<(), strongroom::format::BadFormat>(())
    /// ```
    ///
    /// # Errors
    /// [`BadFormat::LengthBounds`] for an empty range and for bounds over [`VALUE_BYTES_MAX`].
    pub fn new(bytes: impl RangeBounds<usize>) -> Result<Self, BadFormat> {
        let bad = BadFormat::LengthBounds { bytes_max: VALUE_BYTES_MAX };
        let min = match bytes.start_bound() {
            Bound::Included(&min) => Some(min),
            Bound::Excluded(&below) => below.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let max = match bytes.end_bound() {
            Bound::Included(&max) => Some(max),
            Bound::Excluded(&above) => above.checked_sub(1),
            Bound::Unbounded => Some(VALUE_BYTES_MAX),
        };
        match (min, max) {
            (Some(min), Some(max)) if min <= max && max <= VALUE_BYTES_MAX => Ok(Self { min, max }),
            _ => Err(bad),
        }
    }

    /// The fewest bytes.
    #[must_use]
    pub fn min(&self) -> usize {
        self.min
    }

    /// The most bytes.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// Checks that the length of `value` in bytes is within the bounds. It counts the bytes of the text: for the format
    /// `bytes`, whose bounds count decoded bytes, pass the decoded value.
    ///
    /// # Errors
    /// The bounds, as a sentence; never the length that was found.
    pub fn check(&self, value: &str) -> Result<(), FormatError> {
        self.check_len(value.len())
    }

    pub(crate) fn check_len(&self, len: usize) -> Result<(), FormatError> {
        if (self.min..=self.max).contains(&len) {
            return Ok(());
        }
        Err(FormatError::new(format!("{} to {} bytes are required", self.min, self.max)))
    }
}

/// The most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The bounds as they are deserialised, before they are checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Bounds {
    min: usize,
    max: usize,
}

#[cfg(feature = "serde")]
impl TryFrom<Bounds> for LengthBounds {
    type Error = BadFormat;

    fn try_from(bounds: Bounds) -> Result<Self, BadFormat> {
        Self::new(bounds.min..=bounds.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_included_and_count_bytes() {
        let bounds = LengthBounds::new(2..=4).unwrap();
        let lengths = ["a", "ab", "éé", "ééé"].map(|value| bounds.check(value).is_ok());
        assert_eq!(lengths, [false, true, true, false]);
    }

    #[test]
    fn an_open_side_is_the_limit_of_a_value() {
        let bounds = LengthBounds::new(..).unwrap();
        assert_eq!((bounds.min(), bounds.max()), (0, VALUE_BYTES_MAX));
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn bounds_that_leave_no_length_are_refused() {
        assert!(LengthBounds::new(5..=4).is_err());
        assert!(LengthBounds::new(0..0).is_err());
        assert!(LengthBounds::new(0..=VALUE_BYTES_MAX + 1).is_err());
    }
}
