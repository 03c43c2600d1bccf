//! From the syntax tree of a pattern to a graph of nodes, of which a value is a path.

use std::collections::HashMap;

use regex_syntax::hir::{Class, Hir, HirKind, Look as Edge, Repetition};

use super::PatternError;
use super::alphabet::CharSet;
use super::budget::{ADVICE, Budget};
use super::look::{Look, Looks};
use super::side::Side;
use super::syntax;
use crate::TEXT_BYTES_MAX;

pub(super) type NodeId = u16;

/// The nodes of a pattern. Nothing in it depends on priorities: a value either matches as a whole or does not.
#[derive(Debug)]
pub(super) struct Nfa {
    pub(super) nodes: Vec<Node>,
    pub(super) start: NodeId,
    pub(super) sets: Vec<CharSet>,
    /// The sets that conditions ask for, in the order of their bits in a [`Side`].
    pub(super) asked: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    /// Takes one character of a set.
    Take { set: u16, next: NodeId },
    /// Goes on with both.
    Split(NodeId, NodeId),
    /// Goes on where a condition on the neighbouring characters holds.
    When(Condition, NodeId),
    /// The value may end here.
    Match,
}

/// What must hold of the characters before and after a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// One of the sides has any of these bits, or none of them if negated.
    Before {
        any: Side,
        negated: bool,
    },
    After {
        any: Side,
        negated: bool,
    },
    /// A line starts or ends here, after or before a line feed, a carriage return or both, but not between them.
    LineStart {
        feed: Side,
        carriage: Side,
    },
    LineEnd {
        feed: Side,
        carriage: Side,
    },
    /// One side and not the other has the bit of the word characters, or both or neither if negated.
    WordEdge {
        words: Side,
        negated: bool,
    },
}

impl Nfa {
    pub(super) fn of(
        hir: &Hir,
        looks: &Looks,
        unicode: bool,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let nfa = Self { nodes: vec![Node::Match], start: 0, sets: Vec::new(), asked: Vec::new() };
        let (set_ids, class_ids, conditions) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut builder =
            Builder { nfa, looks, unicode, set_ids, class_ids, conditions, words: None, budget };
        builder.nfa.start = builder.add(hir, 0)?;
        Ok(builder.nfa)
    }

    pub(super) fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.get(usize::from(id)).copied()
    }
}

struct Builder<'b> {
    nfa: Nfa,
    looks: &'b Looks,
    unicode: bool,
    set_ids: HashMap<CharSet, u16>,
    /// By the place of a class in the tree: a repeated class is read once.
    class_ids: HashMap<*const Hir, u16>,
    /// By the index of a look-around.
    conditions: HashMap<u32, Condition>,
    words: Option<Side>,
    budget: &'b mut Budget,
}

impl Builder<'_> {
    /// Adds the nodes of `hir` in front of `next` and answers the first of them.
    fn add(&mut self, hir: &Hir, next: NodeId) -> Result<NodeId, PatternError> {
        self.budget.spend(1)?;
        match hir.kind() {
            HirKind::Empty => Ok(next),
            HirKind::Literal(literal) => {
                let text =
                    std::str::from_utf8(&literal.0).map_err(|_| PatternError::syntax("not UTF-8", 0))?;
                text.chars().rev().try_fold(next, |next, c| {
                    let set = self.set(vec![(c.into(), c.into())])?;
                    self.push(Node::Take { set, next })
                })
            }
            HirKind::Class(_) => {
                let set = self.class(hir)?;
                self.push(Node::Take { set, next })
            }
            HirKind::Look(look) => {
                let condition = self.condition(*look)?;
                self.push(Node::When(condition, next))
            }
            HirKind::Repetition(repetition) => self.repeat(repetition, next),
            HirKind::Capture(capture) => match self.looks.get(&capture.index) {
                Some(look) => {
                    let condition = self.look_around(capture.index, look)?;
                    self.push(Node::When(condition, next))
                }
                None => self.add(&capture.sub, next),
            },
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.add(part, next)),
            HirKind::Alternation(branches) => {
                let mut firsts = branches
                    .iter()
                    .rev()
                    .map(|branch| self.add(branch, next))
                    .collect::<Vec<_>>()
                    .into_iter();
                let last = firsts.next().unwrap_or(Ok(next))?;
                firsts.try_fold(last, |rest, first| self.push(Node::Split(first?, rest)))
            }
        }
    }

    fn repeat(&mut self, repetition: &Repetition, next: NodeId) -> Result<NodeId, PatternError> {
        let mut first = next;
        // No value has so many characters as to tell a larger count from none.
        match repetition.max.filter(|&max| (max as usize) < TEXT_BYTES_MAX) {
            Some(max) => {
                for _ in repetition.min..max {
                    let optional = self.add(&repetition.sub, first)?;
                    first = self.push(Node::Split(optional, next))?;
                }
            }
            None => {
                first = self.push(Node::Split(next, next))?;
                let body = self.add(&repetition.sub, first)?;
                if let Some(node) = self.nfa.nodes.get_mut(usize::from(first)) {
                    *node = Node::Split(body, next);
                }
            }
        }
        (0..repetition.min).try_fold(first, |next, _| self.add(&repetition.sub, next))
    }

    fn condition(&mut self, look: Edge) -> Result<Condition, PatternError> {
        let (any, negated) = (Side::EDGE, false);
        Ok(match look {
            Edge::Start => Condition::Before { any, negated },
            Edge::End => Condition::After { any, negated },
            Edge::StartLF => Condition::Before { any: any | self.ask(FEED.into())?, negated },
            Edge::EndLF => Condition::After { any: any | self.ask(FEED.into())?, negated },
            Edge::StartCRLF => {
                Condition::LineStart { feed: self.ask(FEED.into())?, carriage: self.ask(CARRIAGE.into())? }
            }
            Edge::EndCRLF => {
                Condition::LineEnd { feed: self.ask(FEED.into())?, carriage: self.ask(CARRIAGE.into())? }
            }
            Edge::WordAscii | Edge::WordUnicode => Condition::WordEdge { words: self.words()?, negated },
            Edge::WordAsciiNegate | Edge::WordUnicodeNegate => {
                Condition::WordEdge { words: self.words()?, negated: true }
            }
            _ => {
                let reason = r"of the word boundaries only \b and \B are supported";
                return Err(PatternError::syntax(reason, 0));
            }
        })
    }

    /// The condition that a look-around is, made once however often it is repeated.
    fn look_around(&mut self, index: u32, look: &Look) -> Result<Condition, PatternError> {
        if let Some(&known) = self.conditions.get(&index) {
            return Ok(known);
        }
        let Some(neighbour) = &look.neighbour else { return Err(look.misplaced()) };
        let edge = if neighbour.edge { Side::EDGE } else { Side::NONE };
        let (any, negated) = (edge | self.ask(neighbour.set.clone())?, look.negated);
        let condition =
            if look.behind { Condition::Before { any, negated } } else { Condition::After { any, negated } };
        self.conditions.insert(index, condition);
        Ok(condition)
    }

    /// Whether a word is ASCII or Unicode is decided by its set, not by the condition.
    fn words(&mut self) -> Result<Side, PatternError> {
        if let Some(words) = self.words {
            return Ok(words);
        }
        let words = syntax::parse(r"\w", self.unicode, self.budget)?;
        let words = self.ask(chars(&words.hir))?;
        self.words = Some(words);
        Ok(words)
    }

    /// The bit of a set that a condition asks for.
    fn ask(&mut self, set: CharSet) -> Result<Side, PatternError> {
        let set = self.set(set)?;
        let known = self.nfa.asked.iter().position(|&asked| asked == set);
        let bit = known.unwrap_or(self.nfa.asked.len());
        if known.is_none() {
            self.nfa.asked.push(set);
        }
        Side::bit(bit).ok_or(TOO_LARGE)
    }

    fn class(&mut self, hir: &Hir) -> Result<u16, PatternError> {
        let place = std::ptr::from_ref(hir);
        if let Some(&id) = self.class_ids.get(&place) {
            return Ok(id);
        }
        let id = self.set(chars(hir))?;
        self.class_ids.insert(place, id);
        Ok(id)
    }

    fn set(&mut self, set: CharSet) -> Result<u16, PatternError> {
        self.budget.spend(set.len())?;
        if let Some(&id) = self.set_ids.get(&set) {
            return Ok(id);
        }
        let id = u16::try_from(self.nfa.sets.len()).map_err(|_| TOO_LARGE)?;
        self.set_ids.insert(set.clone(), id);
        self.nfa.sets.push(set);
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Result<NodeId, PatternError> {
        self.budget.spend(1)?;
        let id = NodeId::try_from(self.nfa.nodes.len()).map_err(|_| TOO_LARGE)?;
        self.nfa.nodes.push(node);
        Ok(id)
    }
}

/// The characters of a class, and none for anything else.
fn chars(hir: &Hir) -> CharSet {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        _ => CharSet::new(),
    }
}

const TOO_LARGE: PatternError = PatternError::TooComplex { advice: ADVICE };
const FEED: [(u32, u32); 1] = [(0x0A, 0x0A)];
const CARRIAGE: [(u32, u32); 1] = [(0x0D, 0x0D)];
