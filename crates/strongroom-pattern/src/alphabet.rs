//! The characters that a pattern tells apart, as few numbered classes: what keeps its table small.

use std::collections::HashMap;

use super::PatternError;
use super::budget::Budget;

/// Ranges of code points, sorted and apart from each other, both ends included.
pub(super) type CharSet = Vec<(u32, u32)>;

/// Every character belongs to one class; two characters share one when no set of the pattern separates them.
#[derive(Debug)]
pub(super) struct Alphabet {
    ascii: [u8; 128],
    /// The first code point of each run of one class, from 0 up.
    runs: Vec<(u32, u8)>,
}

/// For each class the numbers of the sets that hold it, sorted.
pub(super) type Holders = Vec<Vec<u16>>;

impl Alphabet {
    pub(super) fn of(sets: &[CharSet], budget: &mut Budget) -> Result<(Self, Holders), PatternError> {
        let mut starts: Vec<u32> =
            sets.iter().flatten().flat_map(|&(first, last)| [first, last + 1]).collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        let mut holders = vec![Vec::new(); starts.len()];
        for (number, set) in (0..).zip(sets) {
            for &(first, last) in set {
                let from = starts.partition_point(|&start| start < first);
                let to = starts.partition_point(|&start| start <= last);
                budget.spend(to - from)?;
                holders
                    .iter_mut()
                    .take(to)
                    .skip(from)
                    .for_each(|numbers: &mut Vec<u16>| numbers.push(number));
            }
        }
        Self::number(&starts, holders)
    }

    fn number(starts: &[u32], holders: Holders) -> Result<(Self, Holders), PatternError> {
        let mut numbers: HashMap<Vec<u16>, u8> = HashMap::new();
        let (mut alphabet, mut classes) = (Self { ascii: [0; 128], runs: Vec::new() }, Holders::new());
        for (&start, sets) in starts.iter().zip(holders) {
            let number = match numbers.get(&sets) {
                Some(&number) => number,
                None => {
                    let number = u8::try_from(classes.len()).map_err(|_| TOO_MANY_CLASSES)?;
                    classes.push(sets.clone());
                    numbers.insert(sets, number);
                    number
                }
            };
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
    pub(super) fn class(&self, c: char) -> usize {
        let code = u32::from(c);
        let ascii = self.ascii.get(code as usize).copied();
        ascii.unwrap_or_else(|| self.class_in_runs(code)).into()
    }

    fn class_in_runs(&self, code: u32) -> u8 {
        let after = self.runs.partition_point(|&(start, _)| start <= code);
        after.checked_sub(1).and_then(|at| self.runs.get(at)).map_or(0, |&(_, class)| class)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.runs.as_slice())
    }
}

const TOO_MANY_CLASSES: PatternError =
    PatternError::TooComplex { advice: "use fewer different classes of characters" };
const RUNS_MAX: usize = 8 * 1024;
