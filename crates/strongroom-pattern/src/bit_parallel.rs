//! A pattern in bits, for one whose table would be too large: one bit for each place in the pattern that a value can
//! have reached, all of them moved at once.
//!
//! A place is a character of the pattern, a *position* in Glushkov's automaton, and this is its bit-parallel
//! simulation (Navarro and Raffinot, *Flexible Pattern Matching in Strings*, chapter 5). Most places lead to the one
//! after them, as in a word or a count, so that a step is a shift of the bits; whatever else leads somewhere is a
//! jump. A character costs at most what all jumps cost, whatever the value is, and that is known when the pattern is
//! compiled.

use std::collections::{BTreeMap, HashSet};

use regex_syntax::hir::{Hir, HirKind};

use crate::alphabet::ClassSets;
use crate::budget::{Budget, VALUE_BYTES_MAX};
use crate::condition::Condition;
use crate::error::PatternError;
use crate::nfa::{Nfa, Node, NodeId};
use crate::side::Side;

/// A pattern as places in their order. Place 0 is the one before the first character.
#[derive(Debug)]
pub(crate) struct BitParallel {
    /// How many words of bits there are.
    words: usize,
    /// By class and word, the places that take a character of the class.
    takers: Vec<u64>,
    /// The places that lead to the one after them.
    shifts: Vec<u64>,
    jumps: Vec<Jump>,
    /// From where a value may end.
    ends: Vec<Jump>,
    conditions: Vec<Condition>,
    /// By class, what its characters are to their neighbours.
    sides: Vec<Side>,
}

/// From any of some places to all of some others, where the conditions hold that have these bits.
#[derive(Debug)]
struct Jump {
    conditions: u64,
    from: Bits,
    to: Bits,
}

/// The words that are not 0, by their number.
type Bits = Vec<(u16, u64)>;

/// Where a place leads, by the conditions on the way: [`END`] or the numbers of places.
///
/// Ordered, so that the same pattern always makes the same jumps.
type Leads = BTreeMap<u64, Vec<u16>>;

impl BitParallel {
    /// Refuses a pattern where a value of `chars_max` characters would take more than `steps_max`.
    pub(crate) fn of(
        nfa: &Nfa,
        classes: &ClassSets,
        chars_max: usize,
        steps_max: usize,
        budget: &mut Budget,
    ) -> Result<Self, PatternError> {
        let places = Places::of(nfa);
        // A place, the one after it and the end of a count must each have a number.
        if places.takes.len() > PLACES_MAX {
            return Err(PatternError::TOO_COMPLEX);
        }
        let words = places.takes.len() / 64 + 1;
        // Before they are filled, which takes a search for each of these bits and is not counted in steps.
        if words * classes.len() * size_of::<u64>() > BYTES_MAX {
            return Err(PatternError::TOO_COMPLEX);
        }
        let mut bits = Self {
            words,
            takers: places.takers(classes, words),
            shifts: vec![0; words],
            jumps: Vec::new(),
            ends: Vec::new(),
            conditions: places.conditions.clone(),
            sides: classes.iter().map(|sets| Side::of(&nfa.asked, sets)).collect(),
        };
        bits.lead(nfa, places, budget)?;
        // One more than the characters, for the end of the value.
        let steps = bits.steps_of_a_character().saturating_mul(chars_max.min(VALUE_BYTES_MAX) + 1);
        if steps > steps_max || bits.bytes() > BYTES_MAX {
            return Err(PatternError::TOO_COMPLEX);
        }
        Ok(bits)
    }

    /// Finds out where each place leads, and brings together those that lead to the same ones.
    fn lead(&mut self, nfa: &Nfa, mut places: Places, budget: &mut Budget) -> Result<(), PatternError> {
        let (mut jumps, mut ends) = (BTreeMap::<_, Vec<u16>>::new(), BTreeMap::<_, Vec<u16>>::new());
        let nexts: Vec<NodeId> =
            std::iter::once(nfa.start).chain(places.takes.iter().map(|&(_, next)| next)).collect();
        for (place, next) in (0..).zip(nexts) {
            for (conditions, mut leads) in places.leads(nfa, next, budget)? {
                budget.spend(leads.len() * STEPS_OF_A_LEAD)?;
                leads.sort_unstable();
                if leads.first() == Some(&END) {
                    ends.entry(conditions).or_default().push(place);
                    leads.remove(0);
                }
                // A shift asks for no condition, so a step to the next place that has one is a jump.
                if conditions == 0 && leads.binary_search(&(place + 1)).is_ok() {
                    leads.retain(|&to| to != place + 1);
                    set(&mut self.shifts, place);
                }
                if !leads.is_empty() {
                    jumps.entry((conditions, leads)).or_default().push(place);
                }
            }
        }
        let jump = |(conditions, to): (u64, Vec<u16>), from: Vec<u16>| Jump {
            conditions,
            from: bits(&from),
            to: bits(&to),
        };
        self.jumps = jumps.into_iter().map(|(to, from)| jump(to, from)).collect();
        self.ends = ends.into_iter().map(|(conditions, from)| jump((conditions, Vec::new()), from)).collect();
        Ok(())
    }

    /// Whether a value matches as a whole, by the classes of its characters.
    pub(crate) fn matches(&self, classes: impl Iterator<Item = usize>) -> bool {
        let (mut now, mut next, mut before) = (vec![0; self.words], vec![0; self.words], Side::EDGE);
        set(&mut now, 0);
        for class in classes {
            let after = self.sides.get(class).copied().unwrap_or(Side::NONE);
            if !self.step(&now, &mut next, class, self.held(before, after)) {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
            before = after;
        }
        let held = self.held(before, Side::EDGE);
        self.ends.iter().any(|end| end.leaves(&now, held))
    }

    /// Moves every place over a character of `class`, and returns whether any is left.
    fn step(&self, now: &[u64], next: &mut [u64], class: usize, held: u64) -> bool {
        // The shift overwrites what `next` holds from two characters ago, so it comes before the jumps.
        let mut carry = 0;
        for ((next, now), shifts) in next.iter_mut().zip(now).zip(&self.shifts) {
            let moved = now & shifts;
            *next = moved << 1 | carry;
            carry = moved >> 63;
        }
        for jump in self.jumps.iter().filter(|jump| jump.leaves(now, held)) {
            for &(word, bits) in &jump.to {
                next.get_mut(usize::from(word)).into_iter().for_each(|next| *next |= bits);
            }
        }
        // Every place that was led to, less those that do not take this character.
        let takers = self.takers.get(class * self.words..).unwrap_or_default();
        next.iter_mut().zip(takers).fold(0, |left, (next, takers)| {
            *next &= takers;
            left | *next
        }) != 0
    }

    /// The bits of the conditions that hold between these sides.
    fn held(&self, before: Side, after: Side) -> u64 {
        let conditions = self.conditions.iter().rev();
        conditions.fold(0, |held, condition| held << 1 | u64::from(condition.holds(before, after)))
    }

    /// What one character takes if every jump is taken.
    fn steps_of_a_character(&self) -> usize {
        let jumps = self.jumps.iter().map(|jump| 2 + jump.from.len() + jump.to.len());
        STEPS_OF_A_CHARACTER + 3 * self.words + 2 * self.conditions.len() + jumps.sum::<usize>()
    }

    /// The bytes that it takes, counted alike on every machine.
    pub(crate) fn bytes(&self) -> usize {
        let jumps = self.jumps.iter().chain(&self.ends);
        let bits = jumps.clone().map(|jump| jump.from.len() + jump.to.len()).sum::<usize>();
        (self.takers.len() + self.shifts.len()) * size_of::<u64>()
            + jumps.count() * JUMP_BYTES
            + bits * size_of::<(u16, u64)>()
            + size_of_val(self.sides.as_slice())
            + size_of_val(self.conditions.as_slice())
    }
}

impl Jump {
    /// Whether it is taken, from any place that was reached.
    fn leaves(&self, now: &[u64], held: u64) -> bool {
        let from = |&(word, bits): &(u16, u64)| now.get(usize::from(word)).is_some_and(|now| now & bits != 0);
        self.conditions & !held == 0 && self.from.iter().any(from)
    }
}

/// The nodes of a graph that take a character, in the order in which one leads to the next.
struct Places {
    takes: Vec<(u16, NodeId)>,
    /// By node, the number of its place.
    numbers: Vec<u16>,
    conditions: Vec<Condition>,
    /// By node, the last search that came to it without a condition.
    marks: Vec<u32>,
    mark: u32,
}

impl Places {
    fn of(nfa: &Nfa) -> Self {
        let (mut takes, mut conditions) = (Vec::new(), Vec::new());
        let (mut numbers, marks) = (vec![END; nfa.nodes.len()], vec![0; nfa.nodes.len()]);
        // A graph is built from its end.
        for (node, number) in nfa.nodes.iter().zip(&mut numbers).rev() {
            match *node {
                Node::Take { set, next } => {
                    takes.push((set, next));
                    // There are fewer of them than nodes, whose ids are of 16 bits and of which one is `Match`.
                    *number = u16::try_from(takes.len()).unwrap_or(END);
                }
                Node::When(condition, _) if !conditions.contains(&condition) => conditions.push(condition),
                Node::When(..) | Node::Split(..) | Node::Match => {}
            }
        }
        Self { takes, numbers, conditions, marks, mark: 0 }
    }

    fn takers(&self, classes: &ClassSets, words: usize) -> Vec<u64> {
        let takers = classes.iter().flat_map(|sets| {
            let mut takers = vec![0; words];
            for (place, (taken, _)) in (1..).zip(&self.takes) {
                if sets.binary_search(taken).is_ok() {
                    set(&mut takers, place);
                }
            }
            takers
        });
        takers.collect()
    }

    /// Where the way from `node` leads without taking a character.
    fn leads(&mut self, nfa: &Nfa, node: NodeId, budget: &mut Budget) -> Result<Leads, PatternError> {
        self.mark += 1;
        let (mut open, mut seen, mut leads) = (vec![(node, 0_u64)], HashSet::new(), Leads::new());
        while let Some((id, conditions)) = open.pop() {
            // No node has an id that is not in the graph.
            let Some(mark) = self.marks.get_mut(usize::from(id)) else { continue };
            budget.spend(if conditions == 0 { 1 } else { STEPS_OF_A_LEAD })?;
            // What is reached without a condition needs none, and each combination of conditions is followed once.
            if *mark == self.mark || (conditions != 0 && !seen.insert((id, conditions))) {
                continue;
            }
            if conditions == 0 {
                *mark = self.mark;
            }
            match nfa.node(id) {
                Some(Node::Split(a, b)) => open.extend([(b, conditions), (a, conditions)]),
                Some(Node::When(condition, next)) => {
                    // A pattern with more conditions than bits can still have a table.
                    let number = self.conditions.iter().position(|&known| known == condition);
                    let bit = number.and_then(|number| 1_u64.checked_shl(u32::try_from(number).ok()?));
                    open.push((next, conditions | bit.ok_or(PatternError::TOO_COMPLEX)?));
                }
                Some(Node::Take { .. } | Node::Match) => {
                    let number = self.numbers.get(usize::from(id)).copied().unwrap_or(END);
                    leads.entry(conditions).or_default().push(number);
                }
                None => {}
            }
        }
        Ok(leads)
    }
}

/// The most characters that a match can have.
pub(crate) fn chars_max(hir: &Hir) -> usize {
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

fn set(words: &mut [u64], place: u16) {
    words.iter_mut().skip(usize::from(place / 64)).take(1).for_each(|word| *word |= 1 << (place % 64));
}

/// The bits of `places`, which are sorted.
fn bits(places: &[u16]) -> Bits {
    let words = places.chunk_by(|a, b| a / 64 == b / 64);
    let words = words.map(|word| {
        let bits = word.iter().fold(0, |bits, place| bits | 1 << (place % 64));
        (word.first().map_or(0, |place| place / 64), bits)
    });
    words.collect()
}

// No place leads back to the one before the first character, so its number is free to mean the end.
const END: u16 = 0;
const PLACES_MAX: usize = u16::MAX as usize - 2;
// To sort a lead and to compare it.
const STEPS_OF_A_LEAD: usize = 8;
// To find its class, and to turn the loop.
const STEPS_OF_A_CHARACTER: usize = 8;
// All of it is read for each character, so it has to fit in the processor's first or second cache.
const BYTES_MAX: usize = 128 * 1024;
// Three words of 64 bits, more than it takes where pointers are smaller: the bound must not depend on the machine.
const JUMP_BYTES: usize = 56;
const _: () = assert!(size_of::<Jump>() <= JUMP_BYTES);
/// The most steps that all of a pattern may take on a value. Measured at less than 0.5 ns each.
pub(crate) const VALUE_STEPS_MAX: usize = 12_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::Alphabet;
    use crate::dfa::{Dfa, TABLE_BYTES_MAX};
    use crate::syntax;

    /// Every text of up to four of these characters.
    fn texts() -> Vec<String> {
        let mut texts = vec![String::new()];
        for len in 0..4 {
            let shorter: Vec<String> = texts.iter().filter(|text| text.len() == len).cloned().collect();
            texts.extend(shorter.iter().flat_map(|text| ["a", "b", "-", "\n"].map(|c| text.clone() + c)));
        }
        texts
    }

    #[test]
    fn bits_and_a_table_agree() {
        for pattern in [
            "a{1,3}-?b*",
            "[ab]*a[ab]{2}",
            "(?:[a-c]{0,2}b){0,2}-",
            "(?:a?){3}",
            r"(?:\w{1,2}\b-?){1,3}",
            r"(?:^|$|a|\B-){1,4}",
            "(?m)(?:^a$|\n|b)*",
            "(?:(?!-)[a-c-]{1,2}(?<!-)\n?)+",
            "(?:a|ab|(?:-b?)+)*",
            r"(?:\b|\B|^|(?=a)|(?<=-|^))*[^b]*",
            &format!("(?:{})*", "(?:a{60}|-|b)"),
        ] {
            let mut budget = Budget::full();
            let syntax::Parsed { hir, looks } = syntax::parse(pattern, false, &mut budget).unwrap();
            let nfa = Nfa::of(&hir, &looks, false, &mut budget).unwrap();
            let (alphabet, sets) = Alphabet::of(&nfa.sets, &mut budget).unwrap();
            let table = Dfa::of(&nfa, &sets, TABLE_BYTES_MAX, &mut budget).unwrap();
            let bits = BitParallel::of(&nfa, &sets, chars_max(&hir), usize::MAX, &mut budget).unwrap();
            let long = ["a".repeat(60), "a".repeat(120) + "b-", "a".repeat(61)];
            for text in texts().iter().chain(&long) {
                let classes = || text.chars().map(|c| alphabet.class(c));
                assert_eq!(bits.matches(classes()), table.matches(classes()), "{pattern} on {text:?}");
            }
        }
    }
}
