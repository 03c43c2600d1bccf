//! Look-around: what a pattern asks of the text beside a position without taking it.
//!
//! One character is asked for anywhere, as a condition of the graph. More of them are asked for where the position is
//! known, a fixed number of characters from the start of the value or, looking back, from its end: that is a pattern
//! of its own, which the value as a whole matches or not.

use std::collections::HashMap;

use regex_syntax::hir::{
    Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, HirKind, Look as Edge, Repetition,
};

use super::PatternError;
use super::alphabet::CharSet;

/// A look-around, which is a group like another in the syntax tree.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) behind: bool,
    pub(super) negated: bool,
    /// Where it stands in the text, for errors.
    pub(super) at: usize,
    /// What it asks of one character, if it asks for no more.
    pub(super) neighbour: Option<Neighbour>,
}

/// The groups that are look-arounds, by their index.
pub(super) type Looks = HashMap<u32, Look>;

/// The one character beside a position: one of a set or, where that is asked too, none.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbour {
    pub(super) set: CharSet,
    pub(super) edge: bool,
}

/// One way to match: a pattern, and others that the whole value must match too, or must not if negated.
pub(super) struct Way {
    pub(super) hir: Hir,
    pub(super) others: Vec<(Hir, bool)>,
}

/// Finds out which of the look-arounds in `hir` ask for one character.
pub(super) fn measure(hir: &Hir, looks: &mut Looks) {
    if let HirKind::Capture(capture) = hir.kind()
        && let Some(look) = looks.get_mut(&capture.index)
    {
        let (mut ranges, mut edge) = (Vec::new(), false);
        let near = look.collect(&capture.sub, &mut ranges, &mut edge);
        let set = ClassUnicode::new(ranges);
        let set = set.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect();
        look.neighbour = near.then_some(Neighbour { set, edge });
    }
    inside(hir).for_each(|part| measure(part, looks));
}

impl Look {
    /// Adds the characters that are asked for, or says that it is not one character.
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
            HirKind::Look(look) if *look == if self.behind { Edge::Start } else { Edge::End } => *edge = true,
            HirKind::Capture(capture) => return self.collect(&capture.sub, ranges, edge),
            HirKind::Alternation(branches) => {
                return branches.iter().all(|branch| self.collect(branch, ranges, edge));
            }
            _ => return false,
        }
        true
    }

    /// Refuses one that is neither about one character nor in a known place.
    pub(super) fn misplaced(&self) -> PatternError {
        let reason = if self.behind {
            "a look-behind of more than one character must stand a fixed number of characters before the end, as in (?<!--)$"
        } else {
            "a look-ahead of more than one character must stand a fixed number of characters after the start, as in ^(?!.*--)"
        };
        PatternError::syntax(reason, self.at)
    }
}

/// The ways to match `hir`: one for each branch that asks for more than one character, else one alone.
pub(super) fn ways(hir: &Hir, looks: &Looks) -> Result<Vec<Way>, PatternError> {
    let (mut open, mut ways) = (vec![vec![hir]], Vec::new());
    while let Some(parts) = open.pop() {
        match parts.iter().enumerate().find_map(|(at, part)| Some((at, hidden(part, looks)?))) {
            None => ways.push(Way::of(&parts, looks)?),
            Some((at, look)) => {
                let (before, after) = (parts.iter().take(at), parts.iter().skip(at + 1));
                for branch in branches(parts.get(at).copied(), look)? {
                    open.push(before.clone().copied().chain(branch).chain(after.clone().copied()).collect());
                }
            }
        }
        if open.len() + ways.len() > WAYS_MAX {
            return Err(PatternError::TooComplex {
                advice: "use fewer look-arounds, and fewer branches with one",
            });
        }
    }
    Ok(ways)
}

impl Way {
    fn of(parts: &[&Hir], looks: &Looks) -> Result<Self, PatternError> {
        let (mut taken, mut others) = (Vec::new(), Vec::new());
        for (at, &part) in parts.iter().enumerate() {
            let Some((look, asked)) = far(part, looks) else {
                taken.push(part.clone());
                continue;
            };
            let beside = if look.behind { parts.get(at + 1..) } else { parts.get(..at) };
            let chars = beside.and_then(|beside| width_of(beside.iter().copied(), looks));
            let fixed = any(chars.map_or_else(|| Err(look.misplaced()), |chars| Ok((chars, Some(chars))))?);
            let (open, asked) = (any((0, None)), asked.clone());
            let whole = if look.behind { [open, asked, fixed] } else { [fixed, asked, open] };
            others.push((Hir::concat(whole.into()), look.negated));
        }
        Ok(Self { hir: Hir::concat(taken), others })
    }
}

/// The look-around that `hir` is, if it asks for more than one character, and what it asks for.
fn far<'a>(hir: &'a Hir, looks: &'a Looks) -> Option<(&'a Look, &'a Hir)> {
    let HirKind::Capture(capture) = hir.kind() else { return None };
    let look = looks.get(&capture.index).filter(|look| look.neighbour.is_none())?;
    Some((look, &capture.sub))
}

/// A look-around that asks for more than one character somewhere inside of `hir`, not as the whole of it.
fn hidden<'a>(hir: &'a Hir, looks: &'a Looks) -> Option<&'a Look> {
    match hir.kind() {
        HirKind::Capture(capture) if looks.contains_key(&capture.index) => None,
        _ => inside(hir)
            .find_map(|part| far(part, looks).map(|(look, _)| look).or_else(|| hidden(part, looks))),
    }
}

/// The parts that `hir` is made of.
fn inside(hir: &Hir) -> impl Iterator<Item = &Hir> {
    match hir.kind() {
        HirKind::Capture(capture) => std::slice::from_ref(&*capture.sub),
        HirKind::Repetition(repetition) => std::slice::from_ref(&*repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts,
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => &[],
    }
    .iter()
}

/// What may stand in place of a part that hides `look`, one level further down.
fn branches<'h>(part: Option<&'h Hir>, look: &Look) -> Result<Vec<Vec<&'h Hir>>, PatternError> {
    match part.map(Hir::kind) {
        Some(HirKind::Capture(capture)) => Ok(vec![vec![&*capture.sub]]),
        Some(HirKind::Concat(parts)) => Ok(vec![parts.iter().collect()]),
        Some(HirKind::Alternation(branches)) => Ok(branches.iter().map(|branch| vec![branch]).collect()),
        Some(HirKind::Repetition(Repetition { min: 0, max: Some(1), sub, .. })) => {
            Ok(vec![vec![], vec![&**sub]])
        }
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

fn any((min, max): (u32, Option<u32>)) -> Hir {
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(Hir::dot(Dot::AnyChar)) })
}

/// Each way may be tried on the same value.
const WAYS_MAX: usize = 8;
