//! From the syntax tree of a pattern to a graph of nodes, Thompson's construction: a value that matches is a path.

use std::collections::HashMap;

use regex_syntax::hir::{Class, Hir, HirKind, Look as Anchor, Repetition};

use crate::alphabet::CharSet;
use crate::budget::{Budget, VALUE_BYTES_MAX};
use crate::condition::Condition;
use crate::error::PatternError;
use crate::look::{Look, Looks};
use crate::side::Side;
use crate::syntax;

pub(crate) type NodeId = u16;

/// The nodes of a pattern. Nothing in it depends on priorities: a value either matches as a whole or does not.
#[derive(Debug)]
pub(crate) struct Nfa {
    pub(crate) nodes: Vec<Node>,
    pub(crate) start: NodeId,
    pub(crate) sets: Vec<CharSet>,
    /// The sets that conditions ask for, in the order of their bits in a [`Side`].
    pub(crate) asked: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    /// Takes one character of a set.
    Take { set: u16, next: NodeId },
    /// Continues with both.
    Split(NodeId, NodeId),
    /// Continues where a condition on the neighbouring characters holds.
    When(Condition, NodeId),
    /// The value may end here.
    Match,
}

impl Nfa {
    pub(crate) fn of(
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

    pub(crate) fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.get(usize::from(id)).copied()
    }
}

struct Builder<'b> {
    nfa: Nfa,
    looks: &'b Looks,
    unicode: bool,
    set_ids: HashMap<CharSet, u16>,
    /// By the address of a class in the tree, so that a repeated class is read once.
    class_ids: HashMap<*const Hir, u16>,
    /// By the index of a look-around.
    conditions: HashMap<u32, Condition>,
    words: Option<Side>,
    budget: &'b mut Budget,
}

impl Builder<'_> {
    /// Adds the nodes of `hir` in front of `next` and returns the first of them.
    fn add(&mut self, hir: &Hir, next: NodeId) -> Result<NodeId, PatternError> {
        // Before anything else: a nested count multiplies the visits of what is inside, which may add no node.
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
        // No value is long enough to tell a larger count from none.
        match repetition.max.filter(|&max| (max as usize) < VALUE_BYTES_MAX) {
            Some(max) => {
                // Each optional repetition is the way into the next: `(a(a(a)?)?)?`, not `a?a?a?` with its many paths.
                for _ in repetition.min..max {
                    let optional = self.add(&repetition.sub, first)?;
                    first = self.push(Node::Split(optional, next))?;
                }
            }
            None => {
                // The loop needs its head before its body; where the head leads is written when the body is known.
                first = self.push(Node::Split(next, next))?;
                let body = self.add(&repetition.sub, first)?;
                if let Some(node) = self.nfa.nodes.get_mut(usize::from(first)) {
                    *node = Node::Split(body, next);
                }
            }
        }
        (0..repetition.min).try_fold(first, |next, _| self.add(&repetition.sub, next))
    }

    fn condition(&mut self, anchor: Anchor) -> Result<Condition, PatternError> {
        let (any, negated) = (Side::EDGE, false);
        Ok(match anchor {
            Anchor::Start => Condition::Before { any, negated },
            Anchor::End => Condition::After { any, negated },
            Anchor::StartLF => Condition::Before { any: any | self.ask(FEED.into())?, negated },
            Anchor::EndLF => Condition::After { any: any | self.ask(FEED.into())?, negated },
            Anchor::StartCRLF => {
                Condition::LineStart { feed: self.ask(FEED.into())?, carriage: self.ask(CARRIAGE.into())? }
            }
            Anchor::EndCRLF => {
                Condition::LineEnd { feed: self.ask(FEED.into())?, carriage: self.ask(CARRIAGE.into())? }
            }
            Anchor::WordAscii | Anchor::WordUnicode => {
                Condition::WordBoundary { words: self.words()?, negated }
            }
            Anchor::WordAsciiNegate | Anchor::WordUnicodeNegate => {
                Condition::WordBoundary { words: self.words()?, negated: true }
            }
            _ => {
                let reason = r"of the word boundaries only \b and \B are supported";
                return Err(PatternError::syntax(reason, 0));
            }
        })
    }

    /// The condition of a short look-around, made once however often it is repeated.
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

    /// The bit of the word characters, which are those of `\w` in the same pattern.
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
        Side::bit(bit).ok_or(PatternError::TOO_COMPLEX)
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
        let id = u16::try_from(self.nfa.sets.len()).map_err(|_| PatternError::TOO_COMPLEX)?;
        self.set_ids.insert(set.clone(), id);
        self.nfa.sets.push(set);
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Result<NodeId, PatternError> {
        self.budget.spend(1)?;
        let id = NodeId::try_from(self.nfa.nodes.len()).map_err(|_| PatternError::TOO_COMPLEX)?;
        self.nfa.nodes.push(node);
        Ok(id)
    }
}

/// The characters of a class.
fn chars(hir: &Hir) -> CharSet {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        // Only classes are passed: `hir` of the kind, and `\w`.
        _ => CharSet::new(),
    }
}

const FEED: [(u32, u32); 1] = [(0x0A, 0x0A)];
const CARRIAGE: [(u32, u32); 1] = [(0x0D, 0x0D)];
