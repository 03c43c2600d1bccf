//! A pattern as a table with one look-up a character: the bound on what a value costs.

use super::PatternError;
use super::alphabet::Holders;
use super::budget::{ADVICE, Budget};
use super::nfa::Nfa;
use super::states::States;

/// A pattern as a table of states. State 0 is the one from which nothing matches.
#[derive(Debug)]
pub(super) struct Dfa {
    classes: usize,
    /// The next state, by state and class.
    table: Vec<u16>,
    /// By state, whether the value may end there.
    accepting: Vec<bool>,
    start: u16,
}

impl Dfa {
    /// A table of at most so many bytes.
    pub(super) fn of(
        nfa: &Nfa,
        holders: &Holders,
        bytes_max: usize,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let classes = holders.len();
        let mut states = States::new(nfa, holders, budget);
        states.number(States::dead())?;
        let first = states.first()?;
        let start = states.number(first)?;
        let mut dfa = Self { classes, table: Vec::new(), accepting: Vec::new(), start };
        while let Some(state) = states.found(dfa.accepting.len()) {
            for class in 0..classes {
                let after = states.after(&state, class)?;
                dfa.table.push(states.number(after)?);
            }
            dfa.accepting.push(states.accepts(&state)?);
            if size_of_val(dfa.table.as_slice()) > bytes_max {
                return Err(PatternError::TooComplex { advice: ADVICE });
            }
        }
        Ok(dfa)
    }

    /// Says whether a value matches as a whole, by the classes of its characters: one look-up each.
    pub(super) fn matches(&self, classes: impl Iterator<Item = usize>) -> bool {
        let mut state = self.start;
        for class in classes {
            let at = usize::from(state) * self.classes + class;
            state = self.table.get(at).copied().unwrap_or(DEAD);
            if state == DEAD {
                return false;
            }
        }
        self.accepts(state)
    }

    /// Says whether any value that is not empty can match: every state of the table can be reached.
    pub(super) fn matches_something(&self) -> bool {
        self.table.iter().any(|&next| self.accepts(next))
    }

    /// What the table takes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.table.as_slice()) + self.accepting.len()
    }

    fn accepts(&self, state: u16) -> bool {
        self.accepting.get(usize::from(state)).copied().unwrap_or_default()
    }
}

/// The number of the first state that is found: the one without nodes.
pub(super) const DEAD: u16 = 0;

/// A table of this size stays in the processor's cache, and a scan of 64 KiB under a millisecond.
pub(super) const TABLE_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::super::alphabet::Alphabet;
    use super::super::syntax;
    use super::*;

    /// The table of a pattern, or none where the budget stopped it.
    fn table(pattern: &str) -> Option<Dfa> {
        let mut budget = Budget::new();
        let parsed = syntax::parse(pattern, false, &mut budget).ok()?;
        let nfa = Nfa::of(&parsed.hir, &parsed.looks, false, &mut budget).ok()?;
        let (_, holders) = Alphabet::of(&nfa.sets, &mut budget).ok()?;
        Dfa::of(&nfa, &holders, TABLE_BYTES_MAX, &mut budget).ok()
    }

    #[test]
    fn hostile_patterns_stop_at_the_budget_or_at_the_table_s_bound() {
        let nested = format!("(?:{})*", "(?:^|$|)[ab]*a[ab]{9}".repeat(40));
        for pattern in
            ["[01]*1[01]{900}x", "(a{1000}){1000}", "(?:[a-z]{1,50}\\.?){1,60}", "(?:a?){1000}", &nested]
        {
            assert!(table(pattern).is_none());
        }
    }

    #[test]
    fn what_is_accepted_costs_one_look_up_a_character_in_a_bounded_table() {
        for pattern in
            ["\\pL{500}", ".{1,8000}", "[ab]*a[ab]{11}", "(?:[a-z]{1,9}\\.?){1,9}", "[^\\s]{1,9000}"]
        {
            let dfa = table(pattern).unwrap();
            assert!(dfa.table.len() == dfa.classes * dfa.accepting.len());
            assert!(size_of_val(dfa.table.as_slice()) <= TABLE_BYTES_MAX);
        }
    }

    #[test]
    fn a_column_stands_for_all_characters_that_nothing_tells_apart() {
        assert_eq!(table(".{1,1000}").unwrap().classes, 2);
        assert_eq!(table("[a-z]+é").unwrap().classes, 3);
        assert_eq!(table(r"\d\w").unwrap().classes, 3);
    }
}
