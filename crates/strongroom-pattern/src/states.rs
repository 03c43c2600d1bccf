//! The states of a pattern's table: sets of nodes, found by following the graph from its start.

use std::collections::HashMap;
use std::rc::Rc;

use super::PatternError;
use super::alphabet::Holders;
use super::budget::{ADVICE, Budget};
use super::nfa::{Nfa, Node, NodeId};
use super::side::Side;

/// The nodes that a value can stand at, and what it came past if one of them asks.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    nodes: Vec<NodeId>,
    before: Option<Side>,
}

/// The states that were found so far.
pub(super) struct States<'a> {
    nfa: &'a Nfa,
    holders: &'a Holders,
    /// What a class of characters is to its neighbours.
    sides: Vec<Side>,
    budget: &'a mut Budget,
    ids: HashMap<Rc<State>, u16>,
    found: Vec<Rc<State>>,
    /// By node, the last closure that visited it.
    marks: Vec<u32>,
    mark: u32,
}

impl<'a> States<'a> {
    pub(super) fn new(nfa: &'a Nfa, holders: &'a Holders, budget: &'a mut Budget) -> Self {
        let sides = holders.iter().map(|sets| Side::of(nfa, sets)).collect();
        let (ids, found, marks) = (HashMap::new(), Vec::new(), vec![0; nfa.nodes.len()]);
        Self { nfa, holders, sides, budget, ids, found, marks, mark: 0 }
    }

    /// The state from which nothing matches.
    pub(super) fn dead() -> State {
        State { nodes: Vec::new(), before: None }
    }

    /// The state before the first character.
    pub(super) fn first(&mut self) -> Result<State, PatternError> {
        let nodes = self.close(vec![self.nfa.start], None)?;
        self.state(nodes, Side::EDGE)
    }

    /// The state of this number, if so many were found.
    pub(super) fn found(&self, number: usize) -> Option<Rc<State>> {
        self.found.get(number).cloned()
    }

    /// The state after one character of `class`.
    pub(super) fn after(&mut self, state: &State, class: usize) -> Result<State, PatternError> {
        let side = self.sides.get(class).copied().unwrap_or(Side::NONE);
        let decided = self.decided(state, side)?;
        let nodes = decided.as_ref().unwrap_or(&state.nodes);
        self.budget.spend(TRANSITION_STEPS + nodes.len())?;
        let sets = self.holders.get(class).map(Vec::as_slice).unwrap_or_default();
        let taken = nodes.iter().filter_map(|&node| match self.nfa.node(node) {
            Some(Node::Take { set, next }) if sets.binary_search(&set).is_ok() => Some(next),
            _ => None,
        });
        let taken = taken.collect();
        let nodes = self.close(taken, None)?;
        self.state(nodes, side)
    }

    /// Says whether the value may end in `state`.
    pub(super) fn accepts(&mut self, state: &State) -> Result<bool, PatternError> {
        let decided = self.decided(state, Side::EDGE)?;
        let mut nodes = decided.as_ref().unwrap_or(&state.nodes).iter();
        Ok(nodes.any(|&node| matches!(self.nfa.node(node), Some(Node::Match))))
    }

    /// The nodes of `state` once what stands `after` the position decides its conditions, if it has any.
    fn decided(&mut self, state: &State, after: Side) -> Result<Option<Vec<NodeId>>, PatternError> {
        let Some(before) = state.before else { return Ok(None) };
        self.close(state.nodes.clone(), Some((before, after))).map(Some)
    }

    /// The nodes that can be reached without a character. Conditions stay while their `sides` are not known.
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
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// Keeps what stands `before` only if a node asks, so that fewer states differ.
    fn state(&mut self, nodes: Vec<NodeId>, before: Side) -> Result<State, PatternError> {
        self.budget.spend(nodes.len())?;
        let asks = nodes.iter().any(|&node| matches!(self.nfa.node(node), Some(Node::When(..))));
        Ok(State { nodes, before: asks.then_some(before) })
    }

    /// The number of `state`, which is new if none like it was found before.
    pub(super) fn number(&mut self, state: State) -> Result<u16, PatternError> {
        if let Some(&id) = self.ids.get(&state) {
            return Ok(id);
        }
        let id = u16::try_from(self.found.len()).map_err(|_| PatternError::TooComplex { advice: ADVICE })?;
        let state = Rc::new(state);
        self.ids.insert(Rc::clone(&state), id);
        self.found.push(state);
        Ok(id)
    }
}

/// What a look-up in the states costs, however few nodes there are.
pub(super) const TRANSITION_STEPS: usize = 32;
