//! A walk over the graph of a pattern, for short values whose table would be too large.

use regex_syntax::hir::{Hir, HirKind};

use super::PatternError;
use super::alphabet::Holders;
use super::budget::Budget;
use super::nfa::{Nfa, Node};
use super::states::{States, TRANSITION_STEPS};

/// The graph of a pattern, followed with all the nodes at once that a value can stand at.
#[derive(Debug)]
pub(super) struct Walk {
    nfa: Nfa,
    holders: Holders,
}

impl Walk {
    pub(super) fn of(nfa: Nfa, holders: Holders) -> Self {
        Self { nfa, holders }
    }

    /// The most steps that a value can take: each character visits every node at most once over every edge, and once
    /// more before that if conditions are to be decided. Past the longest match no node is left.
    pub(super) fn steps_max(hir: &Hir, nfa: &Nfa) -> usize {
        let (mut takes, mut whens, mut edges) = (0, 0, 0);
        for node in &nfa.nodes {
            match node {
                Node::Take { .. } => takes += 1,
                Node::When(..) => (whens, edges) = (whens + 1, edges + 1),
                Node::Split(..) => edges += 2,
                Node::Match => {}
            }
        }
        let kept = takes + whens + 1;
        let decided = if whens > 0 { kept + edges } else { 0 };
        let steps_of_one = TRANSITION_STEPS + decided + 2 * kept + takes + edges;
        chars_max(hir).saturating_add(3).saturating_mul(steps_of_one)
    }

    /// Says whether a value matches as a whole, by the classes of its characters.
    pub(super) fn matches(&self, classes: &mut dyn Iterator<Item = usize>) -> bool {
        // The budget holds: a pattern with more `steps_max` is not walked, and a longer value is left early.
        let matches = self.walk(classes, &mut Budget::of(WALK_STEPS_MAX));
        debug_assert!(matches.is_ok(), "a value takes more steps than were promised");
        matches.unwrap_or(false)
    }

    fn walk(
        &self,
        classes: &mut dyn Iterator<Item = usize>,
        budget: &mut Budget,
    ) -> Result<bool, PatternError> {
        let mut states = States::new(&self.nfa, &self.holders, budget);
        let mut state = states.first()?;
        for class in classes {
            state = states.after(&state, class)?;
            if state.is_dead() {
                return Ok(false);
            }
        }
        states.accepts(&state)
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers: usize = self.holders.iter().map(Vec::len).sum();
        size_of_val(self.holders.as_slice())
            + numbers * size_of::<u16>()
            + self.nfa.nodes.len() * size_of::<Node>()
    }
}

/// The most characters that a match can have.
fn chars_max(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => chars_max(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(chars_max).fold(0, usize::saturating_add),
        HirKind::Alternation(branches) => branches.iter().map(chars_max).max().unwrap_or(0),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.map_or(usize::MAX, |max| max as usize);
            chars_max(&repetition.sub).saturating_mul(times)
        }
    }
}

/// Measured at less than 5 ns each, so half of the 10 ms that a value may cost.
pub(super) const WALK_STEPS_MAX: usize = 1_200_000;

#[cfg(test)]
mod tests {
    use super::super::alphabet::Alphabet;
    use super::super::syntax;
    use super::*;

    #[test]
    fn a_walk_keeps_within_the_steps_that_were_promised() {
        for pattern in [
            ".{1,90}:.{1,90}",
            r"(?:\w{1,9}\b-?){1,9}",
            "(?:a?){90}",
            "(?:^|$|a|b){1,40}",
            "(?:[a-c]{0,9}b){0,9}",
        ] {
            let mut budget = Budget::new();
            let syntax::Parsed { hir, looks } = syntax::parse(pattern, false, &mut budget).unwrap();
            let nfa = Nfa::of(&hir, &looks, false, &mut budget).unwrap();
            let (alphabet, holders) = Alphabet::of(&nfa.sets, &mut budget).unwrap();
            let promised = Walk::steps_max(&hir, &nfa);
            for c in ["a", "b", ":", "-"] {
                let value = c.repeat(64 * 1024);
                let walk =
                    Walk::of(Nfa::of(&hir, &looks, false, &mut Budget::new()).unwrap(), holders.clone());
                let classes = &mut value.chars().map(|c| alphabet.class(c));
                assert!(walk.walk(classes, &mut Budget::of(promised)).is_ok());
            }
        }
    }
}
