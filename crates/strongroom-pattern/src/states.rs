//! The states of a pattern's table: sets of nodes, found by following the graph from its start, which is the subset
//! construction.

use std::collections::HashMap;
use std::rc::Rc;

use crate::alphabet::ClassSets;
use crate::budget::Budget;
use crate::error::PatternError;
use crate::nfa::{Nfa, Node, NodeId};
use crate::side::Side;

/// The nodes that a value can be at, and what it came past if one of them asks.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    nodes: Vec<NodeId>,
    before: Option<Side>,
}

/// The states that were found so far.
pub(crate) struct States<'a> {
    nfa: &'a Nfa,
    classes: &'a ClassSets,
    /// By class, what its characters are to their neighbours.
    sides: Vec<Side>,
    budget: &'a mut Budget,
    ids: HashMap<Rc<State>, u16>,
    found: Vec<Rc<State>>,
    /// By node, the last closure that visited it.
    marks: Vec<u32>,
    mark: u32,
}

impl<'a> States<'a> {
    pub(crate) fn new(nfa: &'a Nfa, classes: &'a ClassSets, budget: &'a mut Budget) -> Self {
        let sides = classes.iter().map(|sets| Side::of(&nfa.asked, sets)).collect();
        let (ids, found, marks) = (HashMap::new(), Vec::new(), vec![0; nfa.nodes.len()]);
        Self { nfa, classes, sides, budget, ids, found, marks, mark: 0 }
    }

    /// The state from which nothing matches.
    pub(crate) fn dead() -> State {
        State { nodes: Vec::new(), before: None }
    }

    /// The state before the first character.
    pub(crate) fn first(&mut self) -> Result<State, PatternError> {
        let nodes = self.close(vec![self.nfa.start], None)?;
        self.state(nodes, Side::EDGE)
    }

    /// The state of this number, if so many were found.
    pub(crate) fn found(&self, number: usize) -> Option<Rc<State>> {
        self.found.get(number).cloned()
    }

    /// The state after one character of `class`.
    pub(crate) fn after(&mut self, state: &State, class: usize) -> Result<State, PatternError> {
        // The next character is known now, and with it both sides of the conditions that had to wait.
        let side = self.sides.get(class).copied().unwrap_or(Side::NONE);
        let decided = self.decided(state, side)?;
        let nodes = decided.as_ref().unwrap_or(&state.nodes);
        self.budget.spend(TRANSITION_STEPS + nodes.len())?;
        let sets = self.classes.get(class).map(Vec::as_slice).unwrap_or_default();
        let taken = nodes.iter().filter_map(|&node| match self.nfa.node(node) {
            Some(Node::Take { set, next }) if sets.binary_search(&set).is_ok() => Some(next),
            _ => None,
        });
        let taken = taken.collect();
        let nodes = self.close(taken, None)?;
        self.state(nodes, side)
    }

    /// Whether the value may end in `state`.
    pub(crate) fn accepts(&mut self, state: &State) -> Result<bool, PatternError> {
        let decided = self.decided(state, Side::EDGE)?;
        let mut nodes = decided.as_ref().unwrap_or(&state.nodes).iter();
        Ok(nodes.any(|&node| matches!(self.nfa.node(node), Some(Node::Match))))
    }

    /// The nodes of `state` once the side `after` decides its conditions; `None` if it has none.
    fn decided(&mut self, state: &State, after: Side) -> Result<Option<Vec<NodeId>>, PatternError> {
        let Some(before) = state.before else { return Ok(None) };
        self.close(state.nodes.clone(), Some((before, after))).map(Some)
    }

    /// The nodes that can be reached without a character. Conditions are kept while their `sides` are not known.
    fn close(
        &mut self,
        mut open: Vec<NodeId>,
        sides: Option<(Side, Side)>,
    ) -> Result<Vec<NodeId>, PatternError> {
        self.mark += 1;
        let mut nodes = Vec::new();
        while let Some(id) = open.pop() {
            self.budget.spend(1)?;
            let (Some(mark), Some(node)) = (self.marks.get_mut(usize::from(id)), self.nfa.node(id)) else {
                continue;
            };
            // Visited in this closure: the graph has loops, and many paths to one node.
            if std::mem::replace(mark, self.mark) == self.mark {
                continue;
            }
            match (node, sides) {
                (Node::Split(a, b), _) => open.extend([a, b]),
                (Node::When(condition, next), Some((before, after))) => {
                    open.extend(condition.holds(before, after).then_some(next));
                }
                (Node::When(..) | Node::Take { .. } | Node::Match, _) => nodes.push(id),
            }
        }
        // Two states are the same if their nodes are, in whatever order they were found.
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// Keeps the side `before` only if a node asks, so that fewer states differ.
    fn state(&mut self, nodes: Vec<NodeId>, before: Side) -> Result<State, PatternError> {
        self.budget.spend(nodes.len())?;
        let asks = nodes.iter().any(|&node| matches!(self.nfa.node(node), Some(Node::When(..))));
        Ok(State { nodes, before: asks.then_some(before) })
    }

    /// The number of `state`, which is new if none like it was found before.
    pub(crate) fn number(&mut self, state: State) -> Result<u16, PatternError> {
        if let Some(&id) = self.ids.get(&state) {
            return Ok(id);
        }
        let id = u16::try_from(self.found.len()).map_err(|_| PatternError::TOO_COMPLEX)?;
        let state = Rc::new(state);
        self.ids.insert(Rc::clone(&state), id);
        self.found.push(state);
        Ok(id)
    }
}

// To hash a state and look it up, however few nodes it has.
const TRANSITION_STEPS: usize = 32;
