//! A compiled pattern: machines of which some must match a value and others must not.

use std::fmt;

use crate::budget::{Budget, VALUE_BYTES_MAX};
use crate::error::PatternError;
use crate::look::{self, Alternative};
use crate::machine::Machine;
use crate::syntax::Parsed;

/// A compiled pattern, to share between threads and keep as long as it is used.
pub struct Matcher {
    /// One of these must match: all of its tests. Without a long look-around there is one, with one test.
    alternatives: Vec<Vec<Test>>,
}

#[derive(Debug)]
struct Test {
    machine: Machine,
    negated: bool,
}

impl Matcher {
    pub(crate) fn of(parsed: &Parsed, unicode: bool, budget: &mut Budget) -> Result<Self, PatternError> {
        let alternatives = look::alternatives(&parsed.hir, &parsed.looks)?;
        let machines = alternatives.iter().map(|alternative| 1 + alternative.others.len()).sum();
        if machines > MACHINES_MAX {
            return Err(PatternError::TOO_COMPLEX);
        }
        let mut test = |hir: &_, negated| {
            let machine = Machine::of(hir, &parsed.looks, unicode, machines, budget)?;
            Ok(Test { machine, negated })
        };
        let mut tests = |alternative: &Alternative| {
            // Its own pattern first, which `matches_something` relies on.
            let own = std::iter::once((&alternative.hir, false));
            let others = alternative.others.iter().map(|(hir, negated)| (hir, *negated));
            own.chain(others).map(|(hir, negated)| test(hir, negated)).collect()
        };
        let matcher = Self { alternatives: alternatives.iter().map(&mut tests).collect::<Result<_, _>>()? };
        if matcher.bytes() > MATCHER_BYTES_MAX { Err(PatternError::TOO_COMPLEX) } else { Ok(matcher) }
    }

    /// Whether the whole of `value` matches. No pattern matches the empty value, nor one of more than
    /// [`VALUE_BYTES_MAX`].
    ///
    /// On a server of 2023 a value of that length took 3 ms with the slowest of the patterns tried, and with most of
    /// them 0.2 ms.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let holds = |test: &Test| test.machine.matches(value) != test.negated;
        (1..=VALUE_BYTES_MAX).contains(&value.len())
            && self.alternatives.iter().any(|tests| tests.iter().all(holds))
    }

    /// Whether any value that is not empty may match.
    pub(crate) fn matches_something(&self) -> bool {
        let mut own = self.alternatives.iter().filter_map(|tests| tests.first());
        own.any(|test| test.machine.matches_something())
    }

    /// The bytes of memory that it takes: at most [`MATCHER_BYTES_MAX`], less than 4 KiB for most patterns.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tests = self.alternatives.iter().flatten();
        tests.map(|test| TEST_BYTES + test.machine.bytes()).sum()
    }
}

/// Says how large it is instead of printing its tables.
impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// The most bytes of a compiled pattern, for whoever keeps many of them within a bound.
pub const MATCHER_BYTES_MAX: usize = 500 * 1024;

// Each of them may read the whole of a value.
const MACHINES_MAX: usize = 8;
// More than a test takes on any machine, for the bound must not depend on the machine.
const TEST_BYTES: usize = 512;
const _: () = assert!(size_of::<Test>() <= TEST_BYTES);
