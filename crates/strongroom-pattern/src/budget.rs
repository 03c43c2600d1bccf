//! The steps that compiling a pattern may take, so that a hostile pattern is refused instead of worked on.

use crate::error::PatternError;

/// What is left of a number of steps. A step visits one node, one member of a set or one interval of characters.
#[derive(Debug)]
pub(crate) struct Budget {
    steps_left: usize,
}

impl Budget {
    /// All the steps that one pattern may take.
    pub(crate) fn full() -> Self {
        Self::of(STEPS_MAX)
    }

    pub(crate) fn of(steps: usize) -> Self {
        Self { steps_left: steps }
    }

    /// Takes `steps` before they are worked, so that no work is done that was not paid for.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), PatternError> {
        // A budget that ran out stays as it was: the caller gives up or starts another budget.
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(PatternError::TOO_COMPLEX)?;
        Ok(())
    }
}

/// The most bytes of a value that a pattern matches. What a value may cost is bounded for the longest one.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

// 16 ms on a server of 2023, for the slowest of the patterns tried that use all of it.
const STEPS_MAX: usize = 1_500_000;
