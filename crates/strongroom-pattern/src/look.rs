//! Look-around: what a pattern asks of the text next to a position without taking it.
//!
//! One character can be asked for anywhere: it becomes a condition of the graph. More of them can be asked for where
//! the position is known, a fixed number of characters from the start of the value or, looking back, from its end. Then
//! the look-around becomes a pattern of its own, which the value as a whole must match or must not match.

use std::collections::HashMap;

use regex_syntax::hir::{
    Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, HirKind, Look as Anchor, Repetition,
};

use crate::alphabet::CharSet;
use crate::error::PatternError;

/// A look-around, which is a capturing group in the syntax tree.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) behind: bool,
    pub(crate) negated: bool,
    /// Where it starts in the text of the pattern, for errors.
    pub(crate) at: usize,
    /// What it asks of one character, if it asks for no more.
    pub(crate) neighbour: Option<Neighbour>,
}

/// The groups that are look-arounds, by their index.
pub(crate) type Looks = HashMap<u32, Look>;

/// The one character next to a position: one of a set or, if `edge`, none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbour {
    pub(crate) set: CharSet,
    pub(crate) edge: bool,
}

/// One of several ways to match: a pattern, and others that the whole value must match too, or must not if negated.
pub(crate) struct Alternative {
    pub(crate) hir: Hir,
    pub(crate) others: Vec<(Hir, bool)>,
}

/// Finds out which of the look-arounds in `hir` ask for one character.
pub(crate) fn measure(hir: &Hir, looks: &mut Looks) {
    let asks_further = matches!(hir.kind(), HirKind::Capture(capture) if holds_look(&capture.sub, looks));
    if let HirKind::Capture(capture) = hir.kind()
        && let Some(look) = looks.get_mut(&capture.index)
    {
        let (mut ranges, mut edge) = (Vec::new(), false);
        // One inside may look the other way or be negated, so what it asks for is not what this one asks for.
        let near = !asks_further && look.collect(&capture.sub, &mut ranges, &mut edge);
        let set = ClassUnicode::new(ranges);
        let set = set.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect();
        look.neighbour = near.then_some(Neighbour { set, edge });
    }
    parts_of(hir).for_each(|part| measure(part, looks));
}

/// Whether a look-around is somewhere in `hir`.
fn holds_look(hir: &Hir, looks: &Looks) -> bool {
    matches!(hir.kind(), HirKind::Capture(capture) if looks.contains_key(&capture.index))
        || parts_of(hir).any(|part| holds_look(part, looks))
}

impl Look {
    /// Adds the characters that are asked for, or returns `false` if that is not one character.
    fn collect(&self, asked: &Hir, ranges: &mut Vec<ClassUnicodeRange>, edge: &mut bool) -> bool {
        match asked.kind() {
            HirKind::Class(Class::Unicode(set)) => ranges.extend(set.ranges()),
            HirKind::Class(Class::Bytes(set)) => {
                let set = set.ranges().iter();
                ranges.extend(
                    set.map(|range| ClassUnicodeRange::new(range.start().into(), range.end().into())),
                );
            }
            HirKind::Literal(literal) => {
                let mut chars = std::str::from_utf8(&literal.0).unwrap_or_default().chars();
                let (Some(c), None) = (chars.next(), chars.next()) else { return false };
                ranges.push(ClassUnicodeRange::new(c, c));
            }
            // Only the edge that it looks towards: `(?=^)` says nothing about the next character.
            HirKind::Look(anchor) if *anchor == if self.behind { Anchor::Start } else { Anchor::End } => {
                *edge = true;
            }
            HirKind::Capture(capture) => return self.collect(&capture.sub, ranges, edge),
            HirKind::Alternation(branches) => {
                return branches.iter().all(|branch| self.collect(branch, ranges, edge));
            }
            _ => return false,
        }
        true
    }

    /// Refuses one that asks for more than one character in a place that is not known.
    pub(crate) fn misplaced(&self) -> PatternError {
        let reason = if self.behind {
            "a look-behind of more than one character must be a fixed number of characters before the end, \
             as in (?<!--)$"
        } else {
            "a look-ahead of more than one character must be a fixed number of characters after the start, \
             as in ^(?!.*--)"
        };
        PatternError::syntax(reason, self.at)
    }
}

/// The ways to match `hir`: one for each branch that asks for more than one character, otherwise a single one.
pub(crate) fn alternatives(hir: &Hir, looks: &Looks) -> Result<Vec<Alternative>, PatternError> {
    let (mut open, mut done) = (vec![vec![hir]], Vec::new());
    while let Some(parts) = open.pop() {
        match parts.iter().enumerate().find_map(|(at, part)| Some((at, nested(part, looks)?))) {
            None => done.push(Alternative::of(&parts, looks)?),
            // Opened by one level at a time, until each such look-around is a part of its own.
            Some((at, look)) => {
                let (before, after) = (parts.iter().take(at), parts.iter().skip(at + 1));
                for branch in branches(parts.get(at).copied(), look)? {
                    open.push(before.clone().copied().chain(branch).chain(after.clone().copied()).collect());
                }
            }
        }
        // Inside of the loop: each level can double their number.
        if open.len() + done.len() > ALTERNATIVES_MAX {
            return Err(PatternError::TooComplex {
                advice: "use fewer look-arounds, and fewer branches with one",
            });
        }
    }
    Ok(done)
}

impl Alternative {
    /// Takes the look-arounds out of a sequence of parts and makes each of them a pattern of the whole value.
    fn of(parts: &[&Hir], looks: &Looks) -> Result<Self, PatternError> {
        let (mut taken, mut others) = (Vec::new(), Vec::new());
        for (at, &part) in parts.iter().enumerate() {
            let Some((look, asked)) = long(part, looks) else {
                taken.push(part.clone());
                continue;
            };
            // What is between the look-around and the edge it is counted from must have one width: elsewhere the
            // value would have to be tried from several positions, which is backtracking.
            let beside = if look.behind { parts.get(at + 1..) } else { parts.get(..at) };
            let chars = beside.and_then(|beside| width_of(beside.iter().copied(), looks));
            let chars = chars.ok_or_else(|| look.misplaced())?;
            let (fixed, open) = (any(chars, Some(chars)), any(0, None));
            let whole = if look.behind { [open, asked.clone(), fixed] } else { [fixed, asked.clone(), open] };
            others.push((Hir::concat(whole.into()), look.negated));
        }
        Ok(Self { hir: Hir::concat(taken), others })
    }
}

/// The look-around that `hir` is, if it asks for more than one character, and what it asks for.
fn long<'a>(hir: &'a Hir, looks: &'a Looks) -> Option<(&'a Look, &'a Hir)> {
    let HirKind::Capture(capture) = hir.kind() else { return None };
    let look = looks.get(&capture.index).filter(|look| look.neighbour.is_none())?;
    Some((look, &capture.sub))
}

/// A look-around that asks for more than one character somewhere inside of `hir`, not as the whole of it.
fn nested<'a>(hir: &'a Hir, looks: &'a Looks) -> Option<&'a Look> {
    match hir.kind() {
        // What is inside of a look-around is a pattern of its own and must do without long ones: the graph refuses
        // them.
        HirKind::Capture(capture) if looks.contains_key(&capture.index) => None,
        _ => parts_of(hir)
            .find_map(|part| long(part, looks).map(|(look, _)| look).or_else(|| nested(part, looks))),
    }
}

/// The parts that `hir` is made of.
fn parts_of(hir: &Hir) -> impl Iterator<Item = &Hir> {
    match hir.kind() {
        HirKind::Capture(capture) => std::slice::from_ref(&*capture.sub),
        HirKind::Repetition(repetition) => std::slice::from_ref(&*repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts,
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => &[],
    }
    .iter()
}

/// The sequences that can replace a part in which `look` is nested, one level further down.
fn branches<'h>(part: Option<&'h Hir>, look: &Look) -> Result<Vec<Vec<&'h Hir>>, PatternError> {
    match part.map(Hir::kind) {
        Some(HirKind::Capture(capture)) => Ok(vec![vec![&*capture.sub]]),
        Some(HirKind::Concat(parts)) => Ok(vec![parts.iter().collect()]),
        Some(HirKind::Alternation(branches)) => Ok(branches.iter().map(|branch| vec![branch]).collect()),
        Some(HirKind::Repetition(Repetition { min: 0, max: Some(1), sub, .. })) => {
            Ok(vec![vec![], vec![&**sub]])
        }
        // Any other repetition has it in several places at once.
        _ => Err(look.misplaced()),
    }
}

/// How many characters every match has, if that is one number.
fn width(hir: &Hir, looks: &Looks) -> Option<u32> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Class(_) => Some(1),
        HirKind::Literal(literal) => {
            u32::try_from(std::str::from_utf8(&literal.0).ok()?.chars().count()).ok()
        }
        HirKind::Capture(capture) if looks.contains_key(&capture.index) => Some(0),
        HirKind::Capture(capture) => width(&capture.sub, looks),
        HirKind::Concat(parts) => width_of(parts.iter(), looks),
        HirKind::Alternation(branches) => {
            let mut widths = branches.iter().map(|branch| width(branch, looks));
            let first = widths.next()??;
            widths.all(|width| width == Some(first)).then_some(first)
        }
        HirKind::Repetition(repetition) if repetition.max == Some(repetition.min) => {
            width(&repetition.sub, looks)?.checked_mul(repetition.min)
        }
        HirKind::Repetition(_) => None,
    }
}

fn width_of<'h>(mut parts: impl Iterator<Item = &'h Hir>, looks: &Looks) -> Option<u32> {
    parts.try_fold(0_u32, |sum, part| sum.checked_add(width(part, looks)?))
}

/// So many characters of any kind.
fn any(min: u32, max: Option<u32>) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(Hir::dot(Dot::AnyChar)) })
}

// Each of them may read the whole of a value, and so may the look-arounds of each.
const ALTERNATIVES_MAX: usize = 8;
