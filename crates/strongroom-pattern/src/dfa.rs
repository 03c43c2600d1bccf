//! A pattern as a table with one look-up a character: the bound on what a value costs.

use crate::alphabet::ClassSets;
use crate::budget::Budget;
use crate::error::PatternError;
use crate::nfa::Nfa;
use crate::states::States;

/// A pattern as a table of states. State 0 is the one from which nothing matches.
#[derive(Debug)]
pub(crate) struct Dfa {
    classes: usize,
    /// The next state, by state and class.
    table: Vec<u16>,
    /// By state, whether the value may end there.
    accepting: Vec<bool>,
    start: u16,
}

impl Dfa {
    /// A table of at most so many bytes.
    pub(crate) fn of(
        nfa: &Nfa,
        classes: &ClassSets,
        bytes_max: usize,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let mut states = States::new(nfa, classes, budget);
        let classes = classes.len();
        // The first to be numbered, which makes it DEAD.
        states.number(States::dead())?;
        let first = states.first()?;
        let start = states.number(first)?;
        let mut dfa = Self { classes, table: Vec::new(), accepting: Vec::new(), start };
        // Each state is asked where every class leads, which finds new states until none is left.
        while let Some(state) = states.found(dfa.accepting.len()) {
            for class in 0..classes {
                let after = states.after(&state, class)?;
                dfa.table.push(states.number(after)?);
            }
            dfa.accepting.push(states.accepts(&state)?);
            // Checked state by state: a table that is refused was never much larger than one that is accepted.
            if size_of_val(dfa.table.as_slice()) > bytes_max {
                return Err(PatternError::TOO_COMPLEX);
            }
        }
        Ok(dfa)
    }

    /// Whether a value matches as a whole, by the classes of its characters: one look-up each.
    pub(crate) fn matches(&self, classes: impl Iterator<Item = usize>) -> bool {
        let mut state = self.start;
        for class in classes {
            let at = usize::from(state) * self.classes + class;
            state = self.table.get(at).copied().unwrap_or(DEAD);
            // Most values that do not match are refused within a few characters.
            if state == DEAD {
                return false;
            }
        }
        self.accepts(state)
    }

    /// Whether any value that is not empty can match.
    pub(crate) fn matches_something(&self) -> bool {
        // Every state was found from the start, so every entry is a step that some value takes.
        self.table.iter().any(|&next| self.accepts(next))
    }

    /// What the table takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.table.as_slice()) + self.accepting.len()
    }

    fn accepts(&self, state: u16) -> bool {
        self.accepting.get(usize::from(state)).copied().unwrap_or_default()
    }
}

/// The state without nodes.
const DEAD: u16 = 0;

/// The most bytes of all tables of a pattern together: they fit in the processor's second cache.
pub(crate) const TABLE_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::Alphabet;
    use crate::syntax;

    /// The table of a pattern, or none where the budget stopped it.
    fn table(pattern: &str) -> Option<Dfa> {
        let mut budget = Budget::full();
        let parsed = syntax::parse(pattern, false, &mut budget).ok()?;
        let nfa = Nfa::of(&parsed.hir, &parsed.looks, false, &mut budget).ok()?;
        let (_, classes) = Alphabet::of(&nfa.sets, &mut budget).ok()?;
        Dfa::of(&nfa, &classes, TABLE_BYTES_MAX, &mut budget).ok()
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
    fn a_column_is_for_all_characters_that_nothing_tells_apart() {
        assert_eq!(table(".{1,1000}").unwrap().classes, 2);
        assert_eq!(table("[a-z]+é").unwrap().classes, 3);
        assert_eq!(table(r"\d\w").unwrap().classes, 3);
    }
}
