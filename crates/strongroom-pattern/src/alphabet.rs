//! The characters that a pattern tells apart, as few numbered classes, which keeps its table small.

use std::collections::HashMap;

use crate::budget::Budget;
use crate::error::PatternError;

/// Ranges of code points, both ends included; sorted, with a gap between any two.
pub(crate) type CharSet = Vec<(u32, u32)>;

/// For each class, the sorted numbers of the sets that contain it.
pub(crate) type ClassSets = Vec<Vec<u16>>;

/// Assigns every character to one class; two characters share one when no set of the pattern separates them.
#[derive(Debug)]
pub(crate) struct Alphabet {
    /// The classes of ASCII, which most values are made of, without a search.
    ascii: [u8; 128],
    /// The first code point of each run of characters of one class, ascending from 0.
    runs: Vec<(u32, u8)>,
}

impl Alphabet {
    /// The classes that `sets` make, and which sets contain each.
    pub(crate) fn of(sets: &[CharSet], budget: &mut Budget) -> Result<(Self, ClassSets), PatternError> {
        let mut starts: Vec<u32> =
            sets.iter().flatten().flat_map(|&(first, last)| [first, last + 1]).collect();
        // What is in no set has a class too, and without sets it is the only one.
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let mut intervals: ClassSets = vec![Vec::new(); starts.len()];
        for (number, set) in (0..).zip(sets) {
            for &(first, last) in set {
                let from = starts.partition_point(|&start| start < first);
                let to = starts.partition_point(|&start| start <= last);
                // Each of many sets may span all intervals of the others: the one product in here.
                budget.spend(to - from)?;
                intervals.iter_mut().take(to).skip(from).for_each(|numbers| numbers.push(number));
            }
        }
        Self::number(&starts, intervals)
    }

    /// Gives one number to all intervals that are in the same sets.
    fn number(starts: &[u32], intervals: ClassSets) -> Result<(Self, ClassSets), PatternError> {
        let mut numbers: HashMap<Vec<u16>, u8> = HashMap::new();
        let (mut alphabet, mut classes) = (Self { ascii: [0; 128], runs: Vec::new() }, ClassSets::new());
        for (&start, sets) in starts.iter().zip(intervals) {
            let number = match numbers.get(&sets) {
                Some(&number) => number,
                None => {
                    let number = u8::try_from(classes.len()).map_err(|_| TOO_MANY_CLASSES)?;
                    classes.push(sets.clone());
                    numbers.insert(sets, number);
                    number
                }
            };
            // Neighbours of one class are one run: half as many to search for each character.
            if alphabet.runs.last().is_none_or(|&(_, last)| last != number) {
                alphabet.runs.push((start, number));
            }
        }
        if alphabet.runs.len() > RUNS_MAX {
            return Err(TOO_MANY_CLASSES);
        }
        for code in 0..128_u8 {
            let class = alphabet.class_in_runs(code.into());
            alphabet.ascii.iter_mut().skip(code.into()).take(1).for_each(|slot| *slot = class);
        }
        Ok((alphabet, classes))
    }

    /// The class of `c`.
    pub(crate) fn class(&self, c: char) -> usize {
        let code = u32::from(c);
        let ascii = self.ascii.get(code as usize).copied();
        ascii.unwrap_or_else(|| self.class_in_runs(code)).into()
    }

    fn class_in_runs(&self, code: u32) -> u8 {
        let after = self.runs.partition_point(|&(start, _)| start <= code);
        after.checked_sub(1).and_then(|at| self.runs.get(at)).map_or(0, |&(_, class)| class)
    }

    /// The bytes that its runs take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.runs.as_slice())
    }
}

const TOO_MANY_CLASSES: PatternError =
    PatternError::TooComplex { advice: "use fewer different classes of characters" };
// 64 KiB, of which a search reads 13 entries: a character outside of ASCII costs no more than that.
const RUNS_MAX: usize = 8 * 1024;
