//! From the graph of a pattern to a table with one look-up a character: the bound on what a value costs.

use std::collections::HashMap;

use regex_syntax::hir::Hir;

use super::PatternError;
use super::alphabet::{Alphabet, Holders};
use super::budget::{ADVICE, Budget};
use super::nfa::{Condition, Nfa, Node, NodeId};

/// A pattern as a table of states. State 0 is the one from which nothing matches.
#[derive(Debug)]
pub(super) struct Dfa {
    alphabet: Alphabet,
    classes: usize,
    /// The next state, by state and class.
    table: Vec<u16>,
    accepting: Vec<bool>,
    start: u16,
}

impl Dfa {
    pub(super) fn of(hir: &Hir, unicode: bool, budget: &mut Budget) -> Result<Self, PatternError> {
        let nfa = Nfa::of(hir, unicode, budget)?;
        let (alphabet, holders) = Alphabet::of(&nfa.sets, budget)?;
        let sides = holders.iter().map(|sets| Side::of(&nfa, sets)).collect();
        let marks = vec![0; nfa.nodes.len()];
        let classes = holders.len();
        let mut states = States {
            nfa: &nfa,
            holders,
            sides,
            budget,
            ids: HashMap::new(),
            found: Vec::new(),
            marks,
            mark: 0,
        };
        states.intern(Vec::new(), Side::Edge)?;
        let start = states.close(&[nfa.start], None)?;
        let start = states.intern(start, Side::Edge)?;
        let mut dfa = Self { alphabet, classes, table: Vec::new(), accepting: Vec::new(), start };
        while let Some(state) = states.found.get(dfa.accepting.len()).cloned() {
            for class in 0..classes {
                dfa.table.push(states.next(&state, class)?);
            }
            dfa.accepting.push(states.accepts(&state)?);
            if dfa.table.len() * size_of::<u16>() > TABLE_BYTES_MAX {
                return Err(PatternError::TooComplex { advice: ADVICE });
            }
        }
        Ok(dfa)
    }

    /// Says whether the whole of `value` matches: one look-up a character, whatever the pattern.
    pub(super) fn matches(&self, value: &str) -> bool {
        let mut state = self.start;
        for c in value.chars() {
            let at = usize::from(state) * self.classes + self.alphabet.class(c);
            state = self.table.get(at).copied().unwrap_or_default();
            if state == DEAD {
                return false;
            }
        }
        self.accepting.get(usize::from(state)).copied().unwrap_or_default()
    }

    /// Says whether any value that is not empty can match: every state in the table can be reached.
    pub(super) fn matches_something(&self) -> bool {
        self.table.iter().any(|&next| self.accepting.get(usize::from(next)).copied().unwrap_or_default())
    }

    /// What the table holds in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.table.as_slice()) + self.accepting.len() + self.alphabet.bytes()
    }
}

/// What stands on one side of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    /// The start or the end of the value.
    Edge,
    Newline,
    Word,
    Other,
}

impl Side {
    /// The side that a class of characters is, by the numbers of the sets that hold it.
    fn of(nfa: &Nfa, sets: &[u16]) -> Self {
        let holds = |set: Option<u16>| set.is_some_and(|set| sets.binary_search(&set).is_ok());
        match () {
            () if holds(nfa.words) => Self::Word,
            () if holds(nfa.newlines) => Self::Newline,
            () => Self::Other,
        }
    }
}

impl Condition {
    fn holds(self, before: Side, after: Side) -> bool {
        match self {
            Self::Start => before == Side::Edge,
            Self::End => after == Side::Edge,
            Self::LineStart => matches!(before, Side::Edge | Side::Newline),
            Self::LineEnd => matches!(after, Side::Edge | Side::Newline),
            Self::WordEdge => (before == Side::Word) != (after == Side::Word),
            Self::NoWordEdge => (before == Side::Word) == (after == Side::Word),
        }
    }
}

/// The nodes that a value can stand at, and what it came past if one of them asks.
type State = (Vec<NodeId>, Option<Side>);

/// The states of the table while they are found.
struct States<'a> {
    nfa: &'a Nfa,
    holders: Holders,
    sides: Vec<Side>,
    budget: &'a mut Budget,
    ids: HashMap<State, u16>,
    found: Vec<State>,
    /// By node, the last closure that visited it.
    marks: Vec<u32>,
    mark: u32,
}

impl States<'_> {
    /// The state after one character of `class`.
    fn next(&mut self, state: &State, class: usize) -> Result<u16, PatternError> {
        let side = self.sides.get(class).copied().unwrap_or(Side::Other);
        let nodes = self.between(state, side)?;
        self.budget.spend(nodes.len() + 1)?;
        let sets = self.holders.get(class).map(Vec::as_slice).unwrap_or_default();
        let taken = nodes.iter().filter_map(|&node| match self.nfa.nodes.get(usize::from(node)) {
            Some(Node::Take { set, next }) if sets.binary_search(set).is_ok() => Some(*next),
            _ => None,
        });
        let taken: Vec<NodeId> = taken.collect();
        let nodes = self.close(&taken, None)?;
        self.intern(nodes, side)
    }

    /// Says whether the value may end in `state`.
    fn accepts(&mut self, state: &State) -> Result<bool, PatternError> {
        let nodes = self.between(state, Side::Edge)?;
        Ok(nodes.iter().any(|&node| matches!(self.nfa.nodes.get(usize::from(node)), Some(Node::Match))))
    }

    /// The nodes of `state` once its conditions are decided by what stands `after` the position.
    fn between(&mut self, (nodes, before): &State, after: Side) -> Result<Vec<NodeId>, PatternError> {
        match before {
            None => Ok(nodes.clone()),
            Some(before) => self.close(nodes, Some((*before, after))),
        }
    }

    /// The nodes that can be reached without a character. Conditions stay where their `sides` are not known yet.
    fn close(&mut self, from: &[NodeId], sides: Option<(Side, Side)>) -> Result<Vec<NodeId>, PatternError> {
        self.mark += 1;
        let (mut open, mut nodes) = (from.to_vec(), Vec::new());
        while let Some(id) = open.pop() {
            self.budget.spend(1)?;
            let (Some(mark), Some(node)) =
                (self.marks.get_mut(usize::from(id)), self.nfa.nodes.get(usize::from(id)))
            else {
                continue;
            };
            if std::mem::replace(mark, self.mark) == self.mark {
                continue;
            }
            match (*node, sides) {
                (Node::Split(a, b), _) => open.extend([a, b]),
                (Node::When(condition, next), Some((before, after))) => {
                    open.extend(condition.holds(before, after).then_some(next));
                }
                (Node::When(..) | Node::Take { .. } | Node::Match, _) => nodes.push(id),
            }
        }
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// The number of the state, which is new if none like it was found before.
    fn intern(&mut self, nodes: Vec<NodeId>, before: Side) -> Result<u16, PatternError> {
        self.budget.spend(nodes.len())?;
        let asks =
            nodes.iter().any(|&node| matches!(self.nfa.nodes.get(usize::from(node)), Some(Node::When(..))));
        let state = (nodes, asks.then_some(before));
        if let Some(&id) = self.ids.get(&state) {
            return Ok(id);
        }
        let id = u16::try_from(self.found.len()).map_err(|_| PatternError::TooComplex { advice: ADVICE })?;
        self.ids.insert(state.clone(), id);
        self.found.push(state);
        Ok(id)
    }
}

const DEAD: u16 = 0;

/// A table of this size stays in the processor's cache, and a scan of 64 KiB under a millisecond.
const TABLE_BYTES_MAX: usize = 256 * 1024;
