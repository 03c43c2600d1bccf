//! What reads a value: a table where one is small enough, otherwise bits.

use regex_syntax::hir::Hir;

use crate::alphabet::Alphabet;
use crate::bit_parallel::{BitParallel, VALUE_STEPS_MAX, chars_max};
use crate::budget::Budget;
use crate::dfa::{Dfa, TABLE_BYTES_MAX};
use crate::error::PatternError;
use crate::look::Looks;
use crate::nfa::Nfa;

/// A pattern without look-around of more than one character, compiled.
#[derive(Debug)]
pub(crate) struct Machine {
    alphabet: Alphabet,
    /// No value with more bytes matches.
    bytes_max: usize,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Table(Dfa),
    Bits(BitParallel),
}

impl Machine {
    /// One of `machines` that share what a pattern may take and a value may cost.
    pub(crate) fn of(
        hir: &Hir,
        looks: &Looks,
        unicode: bool,
        machines: usize,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let mut nfa = Nfa::of(hir, looks, unicode, budget)?;
        let (alphabet, classes) = Alphabet::of(&std::mem::take(&mut nfa.sets), budget)?;
        let bytes_max = hir.properties().maximum_len().unwrap_or(usize::MAX);
        let table = |budget: &mut _| Dfa::of(&nfa, &classes, TABLE_BYTES_MAX / machines, budget);
        let bits = |budget: &mut _| {
            BitParallel::of(&nfa, &classes, chars_max(hir), VALUE_STEPS_MAX / machines, budget)
        };
        // A table first, since it is faster to read; with a budget of its own, so that one that comes to nothing does
        // not use up the steps of what is tried next.
        let reader = match table(&mut Budget::of(TABLE_STEPS_BEFORE_BITS)) {
            Ok(table) => Reader::Table(table),
            Err(_) => match bits(budget) {
                Ok(bits) => Reader::Bits(bits),
                // What is too slow in bits can still have a table that takes many steps to make.
                Err(_) => Reader::Table(table(budget)?),
            },
        };
        Ok(Self { alphabet, bytes_max, reader })
    }

    /// Whether the whole of `value` matches.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let classes = value.chars().map(|c| self.alphabet.class(c));
        match &self.reader {
            // The steps of a value in bits are bounded for values of the longest match.
            _ if value.len() > self.bytes_max => false,
            Reader::Table(table) => table.matches(classes),
            Reader::Bits(bits) => bits.matches(classes),
        }
    }

    /// Whether any value that is not empty may match.
    pub(crate) fn matches_something(&self) -> bool {
        match &self.reader {
            Reader::Table(table) => table.matches_something(),
            // Not worth a search: a pattern that matches nothing seldom needs more than a table holds.
            Reader::Bits(_) => true,
        }
    }

    /// The bytes that it takes beside itself.
    pub(crate) fn bytes(&self) -> usize {
        let reader = match &self.reader {
            Reader::Table(table) => table.bytes(),
            Reader::Bits(bits) => bits.bytes(),
        };
        self.alphabet.bytes() + reader
    }
}

// Most patterns that have a small table need a tenth of it.
const TABLE_STEPS_BEFORE_BITS: usize = 300_000;
