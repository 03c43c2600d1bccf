//! What stands on one side of a position, as far as a condition asks.

use std::ops::BitOr;

use super::nfa::{Condition, Nfa};

/// A bit for each set that conditions ask for and that holds the character there, or the one of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Side(u32);

impl Side {
    pub(super) const NONE: Self = Self(0);
    /// The start or the end of the value.
    pub(super) const EDGE: Self = Self(1);

    /// The bit of the asked set of this number, if there are so many.
    pub(super) fn bit(number: usize) -> Option<Self> {
        1_u32.checked_shl(u32::try_from(number + 1).ok()?).map(Self)
    }

    /// The side that a class of characters is, by the numbers of the sets that hold it.
    pub(super) fn of(nfa: &Nfa, holders: &[u16]) -> Self {
        let held = nfa.asked.iter().enumerate().filter(|(_, set)| holders.binary_search(set).is_ok());
        held.filter_map(|(number, _)| Self::bit(number)).fold(Self::NONE, BitOr::bitor)
    }

    fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

impl BitOr for Side {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Condition {
    pub(super) fn holds(self, before: Side, after: Side) -> bool {
        match self {
            Self::Before { any, negated } => before.has(any) != negated,
            Self::After { any, negated } => after.has(any) != negated,
            Self::LineStart { feed, carriage } => {
                before.has(Side::EDGE | feed) || (before.has(carriage) && !after.has(feed))
            }
            Self::LineEnd { feed, carriage } => {
                after.has(Side::EDGE | carriage) || (after.has(feed) && !before.has(carriage))
            }
            Self::WordEdge { words, negated } => (before.has(words) != after.has(words)) != negated,
        }
    }
}
