//! What is next to a position in a value, on one side of it, as far as any condition of the pattern asks.

use std::ops::BitOr;

/// One bit for each set of characters that conditions ask for, and one for the edge of the value.
///
/// The character next to a position has the bits of the sets that contain it; the start and the end of the value have
/// the bit of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Side(u32);

impl Side {
    pub(crate) const NONE: Self = Self(0);
    /// The start or the end of the value.
    pub(crate) const EDGE: Self = Self(1);

    /// The bit of the asked set of this number, or `None` if there are not so many bits.
    pub(crate) fn bit(number: usize) -> Option<Self> {
        // The first bit is the edge's.
        1_u32.checked_shl(u32::try_from(number + 1).ok()?).map(Self)
    }

    /// What a character of one class is to its neighbours: which of the sets `asked` for are among the `sets` of the
    /// class.
    pub(crate) fn of(asked: &[u16], sets: &[u16]) -> Self {
        let held = asked.iter().enumerate().filter(|(_, set)| sets.binary_search(set).is_ok());
        held.filter_map(|(number, _)| Self::bit(number)).fold(Self::NONE, BitOr::bitor)
    }

    /// Whether it has any of these bits.
    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for Side {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
