//! From the syntax tree of a pattern to a graph of nodes, of which a value is a path.

use std::collections::HashMap;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::PatternError;
use super::alphabet::CharSet;
use super::budget::{ADVICE, Budget};
use super::syntax;

pub(super) type NodeId = u16;

/// The nodes of a pattern. Nothing in it depends on priorities: a value either matches as a whole or does not.
#[derive(Debug)]
pub(super) struct Nfa {
    pub(super) nodes: Vec<Node>,
    pub(super) start: NodeId,
    pub(super) sets: Vec<CharSet>,
    /// The sets of line ends and of word characters, where a condition asks for them.
    pub(super) newlines: Option<u16>,
    pub(super) words: Option<u16>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Start,
    End,
    LineStart,
    LineEnd,
    WordEdge,
    NoWordEdge,
}

impl Nfa {
    pub(super) fn of(hir: &Hir, unicode: bool, budget: &mut Budget) -> Result<Self, PatternError> {
        let nfa = Self { nodes: vec![Node::Match], start: 0, sets: Vec::new(), newlines: None, words: None };
        let mut builder = Builder { nfa, set_ids: HashMap::new(), class_ids: HashMap::new(), budget };
        builder.nfa.start = builder.add(hir, 0)?;
        let looks = hir.properties().look_set();
        if looks.contains_anchor_line() {
            builder.nfa.newlines = Some(builder.set(vec![(NEWLINE, NEWLINE)])?);
        }
        if looks.contains_word() {
            let words = syntax::parse(r"\w", unicode, builder.budget)?;
            builder.nfa.words = Some(builder.set(chars(&words))?);
        }
        Ok(builder.nfa)
    }

    pub(super) fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.get(usize::from(id)).copied()
    }
}

struct Builder<'b> {
    nfa: Nfa,
    set_ids: HashMap<CharSet, u16>,
    /// By the place of a class in the tree: a repeated class is read once.
    class_ids: HashMap<*const Hir, u16>,
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
            HirKind::Look(look) => self.push(Node::When(condition(*look)?, next)),
            HirKind::Repetition(repetition) => self.repeat(repetition, next),
            HirKind::Capture(capture) => self.add(&capture.sub, next),
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
        match repetition.max {
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

/// Whether a word is ASCII or Unicode is decided by its set, not here.
fn condition(look: Look) -> Result<Condition, PatternError> {
    Ok(match look {
        Look::Start => Condition::Start,
        Look::End => Condition::End,
        Look::StartLF => Condition::LineStart,
        Look::EndLF => Condition::LineEnd,
        Look::WordAscii | Look::WordUnicode => Condition::WordEdge,
        Look::WordAsciiNegate | Look::WordUnicodeNegate => Condition::NoWordEdge,
        _ => {
            return Err(PatternError::syntax(
                r"of the word boundaries only \b and \B, and no (?R), are supported",
                0,
            ));
        }
    })
}

const TOO_LARGE: PatternError = PatternError::TooComplex { advice: ADVICE };
const NEWLINE: u32 = 0x0A;
