//! The steps that one compilation, or one walk, may take, so that a hostile pattern is refused instead of worked on.

use super::PatternError;

/// What is left of [`STEPS_MAX`]. A step visits one node, one member of a set or one interval of characters.
#[derive(Debug)]
pub(super) struct Budget {
    steps_left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self::of(STEPS_MAX)
    }

    pub(super) fn of(steps: usize) -> Self {
        Self { steps_left: steps }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), PatternError> {
        let left = self.steps_left.checked_sub(steps);
        self.steps_left = left.ok_or(PatternError::TooComplex { advice: ADVICE })?;
        Ok(())
    }
}

/// Counted, not timed: a pattern is accepted on every machine or on none.
pub(super) const STEPS_MAX: usize = 1_500_000;

pub(super) const ADVICE: &str = "use smaller counts, or bound the length of the value beside the pattern";
