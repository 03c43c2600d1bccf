//! Whether what clients were told fits one order of their calls, cell by cell.
//!
//! A cell is the smallest thing that a verb reads or writes. If a history of the whole vault is linearizable, so is its
//! part for each cell; so a cell without an order is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What can be there or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Definition(&'static str),
    Value(&'static str, usize),
    Account(&'static str),
    Credential(&'static str, &'static str),
    Record(&'static str),
}

/// What a call saw before it took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saw {
    Anything,
    Nothing,
    Something,
    Just(u64),
}

/// What a call did to a cell.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) cell: Cell,
    pub(crate) saw: Saw,
    /// `None` left it as it was; `Some(None)` emptied it.
    pub(crate) put: Option<Option<u64>>,
}

impl Effect {
    pub(crate) fn read(cell: Cell, saw: Saw) -> Self {
        Self { cell, saw, put: None }
    }

    pub(crate) fn write(cell: Cell, saw: Saw, put: Option<u64>) -> Self {
        Self { cell, saw, put: Some(put) }
    }
}

struct Call {
    what: String,
    start: u64,
    /// `None` for a call that may have taken effect at any time since, or never.
    end: Option<u64>,
    saw: Saw,
    put: Option<Option<u64>>,
}

/// All calls, by cell.
#[derive(Default)]
pub(crate) struct History(BTreeMap<Cell, Vec<Call>>);

impl History {
    pub(crate) fn push(&mut self, what: &str, start: u64, end: Option<u64>, effect: Effect) {
        let Effect { cell, saw, put } = effect;
        // A call that may have happened and changes nothing says nothing.
        if end.is_some() || put.is_some() {
            self.0.entry(cell).or_default().push(Call { what: what.to_owned(), start, end, saw, put });
        }
    }

    /// The first cell whose calls fit no order.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for (cell, calls) in &mut self.0 {
            calls.sort_by_key(|call| call.start);
            let mut search = Search { calls, seen: BTreeSet::new() };
            if !search.fits(&mut vec![false; calls.len()], None) {
                let calls: Vec<_> = calls.iter().map(ToString::to_string).collect();
                return Err(format!("no order of these calls fits {cell:?}:\n  {}", calls.join("\n  ")));
            }
        }
        Ok(())
    }

    /// For a store that replays: whether what was seen was ever put there.
    pub(crate) fn was_put(&self) -> Result<(), String> {
        for (cell, calls) in &self.0 {
            for call in calls {
                let Saw::Just(token) = call.saw else { continue };
                if !calls.iter().any(|other| other.put == Some(Some(token))) {
                    return Err(format!("{call} saw in {cell:?} what was never put there"));
                }
            }
        }
        Ok(())
    }
}

/// The search of Wing and Gong: some call that no other one precedes comes first.
struct Search<'c> {
    calls: &'c [Call],
    seen: BTreeSet<(Vec<bool>, Option<u64>)>,
}

impl Search<'_> {
    fn fits(&mut self, done: &mut Vec<bool>, state: Option<u64>) -> bool {
        let left = || self.calls.iter().zip(&*done).filter(|(_, done)| !**done).map(|(call, _)| call);
        let Some(first_end) = left().filter_map(|call| call.end).min() else { return true };
        if !self.seen.insert((done.clone(), state)) {
            return false;
        }
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            if done[index] || call.start > first_end || !call.saw.fits(state) {
                continue;
            }
            done[index] = true;
            if self.fits(done, call.put.unwrap_or(state)) {
                return true;
            }
            done[index] = false;
        }
        false
    }
}

impl Saw {
    fn fits(self, state: Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => state.is_none(),
            Self::Something => state.is_some(),
            Self::Just(token) => state == Some(token),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.end.map_or("?".to_owned(), |end| end.to_string());
        write!(f, "{}..{end} {}: saw {:?}, put {:?}", self.start, self.what, self.saw, self.put)
    }
}

#[test]
fn an_order_is_found_where_there_is_one() {
    let cell = || Cell::Record("r");
    type Told = (u64, Option<u64>, Saw, Option<Option<u64>>);
    let history = |calls: &[Told]| {
        let mut history = History::default();
        for (start, end, saw, put) in calls {
            history.push("call", *start, *end, Effect { cell: cell(), saw: *saw, put: *put });
        }
        history.check().is_ok()
    };
    let put = |start, end, token| (start, end, Saw::Anything, Some(Some(token)));
    let read = |start, end, saw| (start, Some(end), saw, None);
    assert!(history(&[put(0, Some(1), 1), read(2, 3, Saw::Just(1))]));
    assert!(!history(&[put(0, Some(1), 1), read(2, 3, Saw::Nothing)]), "a write that was answered is lost");
    assert!(history(&[put(0, Some(3), 1), read(1, 2, Saw::Nothing)]), "they overlap");
    assert!(!history(&[put(0, Some(9), 1), read(1, 2, Saw::Just(1)), read(3, 4, Saw::Nothing)]));
    assert!(history(&[put(0, None, 1), read(5, 6, Saw::Nothing), read(7, 8, Saw::Just(1))]), "it came late");
    assert!(!history(&[put(0, None, 1), read(5, 6, Saw::Just(1)), read(7, 8, Saw::Nothing)]));
    assert!(!history(&[put(0, Some(1), 1), put(2, Some(3), 2), read(4, 5, Saw::Just(1))]), "a stale read");
}
