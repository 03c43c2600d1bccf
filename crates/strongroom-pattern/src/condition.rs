//! Conditions on the two characters next to a position: anchors, word boundaries and the short look-arounds.

use crate::side::Side;

/// What must hold of the characters before and after a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The character before has any of these bits, or none of them if negated.
    Before { any: Side, negated: bool },
    /// The character after has any of these bits, or none of them if negated.
    After { any: Side, negated: bool },
    /// A line starts here.
    LineStart { feed: Side, carriage: Side },
    /// A line ends here.
    LineEnd { feed: Side, carriage: Side },
    /// One side is a word character and the other is not, or both or neither are if negated.
    WordBoundary { words: Side, negated: bool },
}

impl Condition {
    /// Whether it holds between these two sides.
    pub(crate) fn holds(self, before: Side, after: Side) -> bool {
        match self {
            Self::Before { any, negated } => before.has(any) != negated,
            Self::After { any, negated } => after.has(any) != negated,
            // CR LF is one end of line, so no line starts or ends between the two.
            Self::LineStart { feed, carriage } => {
                before.has(Side::EDGE | feed) || (before.has(carriage) && !after.has(feed))
            }
            Self::LineEnd { feed, carriage } => {
                after.has(Side::EDGE | carriage) || (after.has(feed) && !before.has(carriage))
            }
            // The edge has no bit of a word, so that it counts as a character that is not of one.
            Self::WordBoundary { words, negated } => (before.has(words) != after.has(words)) != negated,
        }
    }
}
