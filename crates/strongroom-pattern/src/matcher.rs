//! A compiled pattern: machines of which some must match a value and others must not.

use super::PatternError;
use super::budget::{ADVICE, Budget};
use super::look;
use super::machine::Machine;
use super::syntax::Parsed;
use crate::TEXT_BYTES_MAX;

/// A compiled pattern. Whatever the pattern, a value of 64 KiB costs well under 10 ms.
#[derive(Debug)]
pub struct Matcher {
    /// One of these must match. There is one alone, with one test alone, unless the pattern looks around.
    ways: Vec<Vec<Test>>,
}

#[derive(Debug)]
struct Test {
    machine: Machine,
    negated: bool,
}

impl Matcher {
    pub(super) fn of(parsed: &Parsed, unicode: bool, budget: &mut Budget) -> Result<Self, PatternError> {
        let ways = look::ways(&parsed.hir, &parsed.looks)?;
        let machines = ways.iter().map(|way| 1 + way.others.len()).sum();
        if machines > MACHINES_MAX {
            return Err(PatternError::TooComplex { advice: ADVICE });
        }
        let mut test = |hir: &_, negated| {
            let machine = Machine::of(hir, &parsed.looks, unicode, machines, budget)?;
            Ok(Test { machine, negated })
        };
        let ways = ways.iter().map(|way| {
            let others = way.others.iter().map(|(hir, negated)| (hir, *negated));
            std::iter::once((&way.hir, false))
                .chain(others)
                .map(|(hir, negated)| test(hir, negated))
                .collect()
        });
        let matcher = Self { ways: ways.collect::<Result<_, _>>()? };
        if matcher.bytes() > BYTES_MAX {
            Err(PatternError::TooComplex { advice: ADVICE })
        } else {
            Ok(matcher)
        }
    }

    /// Says whether the whole of `value` matches. An empty one does not, nor one of more than [`TEXT_BYTES_MAX`].
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let holds = |test: &Test| test.machine.matches(value) != test.negated;
        (1..=TEXT_BYTES_MAX).contains(&value.len()) && self.ways.iter().any(|tests| tests.iter().all(holds))
    }

    /// Says whether any value that is not empty may match.
    pub(super) fn matches_something(&self) -> bool {
        let mut first = self.ways.iter().filter_map(|tests| tests.first());
        first.any(|test| test.machine.matches_something())
    }

    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tests = self.ways.iter().flatten();
        size_of::<Self>() + tests.map(|test| size_of::<Test>() + test.machine.bytes()).sum::<usize>()
    }
}

/// Each of them may read the whole of a value.
const MACHINES_MAX: usize = 8;
/// With its text it takes less than the largest item of a cache.
const BYTES_MAX: usize = 500 * 1024;
