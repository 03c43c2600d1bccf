//! What reads a value: a table where one is small enough, else a walk.

use regex_syntax::hir::Hir;

use super::PatternError;
use super::alphabet::Alphabet;
use super::budget::Budget;
use super::dfa::{Dfa, TABLE_BYTES_MAX};
use super::look::Looks;
use super::nfa::Nfa;
use super::walk::{WALK_STEPS_MAX, Walk, chars_max};

/// A pattern without look-around of more than one character, compiled.
#[derive(Debug)]
pub(super) struct Machine {
    alphabet: Alphabet,
    /// No value with more bytes matches.
    bytes_max: usize,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Table(Dfa),
    Walk(Walk),
}

impl Machine {
    /// One of so many `machines` that share what a pattern may take and a value may cost.
    pub(super) fn of(
        hir: &Hir,
        looks: &Looks,
        unicode: bool,
        machines: usize,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let mut nfa = Nfa::of(hir, looks, unicode, budget)?;
        let (alphabet, holders) = Alphabet::of(&std::mem::take(&mut nfa.sets), budget)?;
        let bytes_max = hir.properties().maximum_len().unwrap_or(usize::MAX);
        let table = |budget: &mut _| Dfa::of(&nfa, &holders, TABLE_BYTES_MAX / machines, budget);
        let way = match table(&mut Budget::of(TABLE_STEPS_BEFORE_A_WALK)) {
            Ok(table) => Way::Table(table),
            Err(_) => match Walk::of(&nfa, &holders, chars_max(hir), WALK_STEPS_MAX / machines, budget) {
                Ok(walk) => Way::Walk(walk),
                Err(_) => Way::Table(table(budget)?),
            },
        };
        Ok(Self { alphabet, bytes_max, way })
    }

    /// Says whether the whole of `value` matches.
    pub(super) fn matches(&self, value: &str) -> bool {
        let classes = value.chars().map(|c| self.alphabet.class(c));
        match &self.way {
            _ if value.len() > self.bytes_max => false,
            Way::Table(table) => table.matches(classes),
            Way::Walk(walk) => walk.matches(classes),
        }
    }

    /// Says whether any value that is not empty may match.
    pub(super) fn matches_something(&self) -> bool {
        match &self.way {
            Way::Table(table) => table.matches_something(),
            Way::Walk(_) => true,
        }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let way = match &self.way {
            Way::Table(table) => table.bytes(),
            Way::Walk(walk) => walk.bytes(),
        };
        size_of::<Self>() + self.alphabet.bytes() + way
    }
}

/// A table is worth less where a walk is short.
const TABLE_STEPS_BEFORE_A_WALK: usize = 300_000;
