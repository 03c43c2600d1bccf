//! How the sketch writes.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use strongroom::store::{
    Committed, Expect, KEY_BYTES_MAX, Key, Op, RowRevision, Store, StoreError, StoreErrorKind,
    VALUE_BYTES_MAX, Versioned, WriteBatch,
};

use crate::flaw::Flaw;
use crate::reading::wait_for_another;
use crate::sketch::{Rows, Sketch, State};

impl Sketch {
    pub(crate) async fn write(&self, batch: &WriteBatch) -> Result<Committed, StoreError> {
        self.check_batch(batch)?;
        if self.flaw == Flaw::AppliesInTwoPolls {
            self.apply(&mut self.state(), batch.ops.get(..1).unwrap_or_default());
            pend_once().await;
        }
        self.commits_len.fetch_add(1, Ordering::SeqCst);
        self.disk.commits_len.fetch_add(1, Ordering::SeqCst);
        if self.flaw == Flaw::AlwaysGivesWay && !batch.expect.is_empty() {
            return Err(StoreError::new(StoreErrorKind::Contention, "another time"));
        }
        let _turn = self.turn();
        let mut state = self.state();
        if let Err(closed) = self.check_open() {
            return self.write_closed(&mut state, batch).ok_or(closed);
        }
        if self.flaw == Flaw::ChecksAfterItWrote {
            self.apply(&mut state, &batch.ops);
        }
        if let Some(index) = self.first_conflict(self.known(&state), batch) {
            self.write_refused(&mut state, batch, index);
            return Err(self.conflict(batch, index));
        }
        match self.flaw {
            Flaw::ChecksThenApplies | Flaw::HandlesRace => {
                drop(state);
                wait_for_another(&self.commits_len);
                state = self.state();
            }
            Flaw::CommitsTear | Flaw::HandlesTear => {
                self.apply(&mut state, batch.ops.get(..1).unwrap_or_default());
                drop(state);
                wait_for_another(&self.reads_len);
                state = self.state();
            }
            _ => {}
        }
        Ok(Committed { revision: self.apply(&mut state, &batch.ops) })
    }

    fn check_batch(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        let refuse = |refused: bool| match refused {
            true => Err(StoreError::new(StoreErrorKind::TooLarge, "one too many")),
            false => Ok(()),
        };
        let is_put_of = |op: &Op, len| matches!(op, Op::Put(_, value) if value.len() == len);
        match self.flaw {
            Flaw::BatchesUnchecked => return Ok(()),
            Flaw::EmptyBatchRefused => refuse(batch.ops.is_empty() && batch.expect.is_empty())?,
            Flaw::OperationsLimitOffByOne => refuse(batch.ops.len() == 10_000)?,
            Flaw::BytesLimitOffByOne => refuse(batch.bytes_len() == 16 << 20)?,
            Flaw::KeyLimitOffByOne => {
                refuse(batch.ops.iter().any(|op| op.key().as_bytes().len() == KEY_BYTES_MAX))?;
            }
            Flaw::ValueLimitOffByOne => refuse(batch.ops.iter().any(|op| is_put_of(op, VALUE_BYTES_MAX)))?,
            Flaw::DeleteNeedsARow => {
                let rows = &self.state().rows;
                refuse(batch.ops.iter().any(|op| matches!(op, Op::Delete(key) if !rows.contains_key(key))))?;
            }
            _ => {}
        }
        batch.check(&self.capabilities()).inspect_err(|_| {
            if self.flaw == Flaw::WritesWhatItRefuses {
                self.apply(&mut self.state(), &batch.ops);
            }
        })
    }

    /// The answer of a closed store that should have none.
    fn write_closed(&self, state: &mut State, batch: &WriteBatch) -> Option<Committed> {
        let revision = RowRevision(state.revision);
        match self.flaw {
            // Once, so that whoever writes until the store is closed comes to an end.
            Flaw::AcknowledgesAfterClose if !state.stale.contains_key(b"once".as_slice()) => {
                state.stale.insert(b"once".as_slice().into(), Versioned { value: Vec::new(), revision });
                Some(Committed { revision })
            }
            Flaw::WritesAfterClose => {
                self.apply(state, &batch.ops);
                None
            }
            _ => None,
        }
    }

    /// What is left of a batch that should have left nothing.
    fn write_refused(&self, state: &mut State, batch: &WriteBatch, index: usize) {
        let kept_len = match self.flaw {
            Flaw::WritesBeforeItChecks => batch.ops.len(),
            Flaw::WritesUpToTheConflict => index,
            _ => return,
        };
        self.apply(state, batch.ops.get(..kept_len).unwrap_or_default());
    }

    fn first_conflict(&self, rows: &Rows, batch: &WriteBatch) -> Option<usize> {
        if self.flaw == Flaw::NoOperationsNoCheck && batch.ops.is_empty() {
            return None;
        }
        let expect = batch.expect.iter().enumerate();
        let failed = expect.filter(|(_, (key, expect))| !self.holds(rows, batch, key, *expect));
        let mut failed = failed.map(|(index, (key, _))| (key, index));
        match self.flaw {
            Flaw::ReportsTheLastFailure => failed.last().map(|(_, index)| index),
            Flaw::ReportsInKeyOrder => failed.min().map(|(_, index)| index),
            Flaw::ReportsIndexZero => failed.next().map(|_| 0),
            _ => failed.next().map(|(_, index)| index),
        }
    }

    fn holds(&self, rows: &Rows, batch: &WriteBatch, key: &Key, expect: Expect) -> bool {
        let found = rows.get(key).map(|row| row.revision);
        let written = || batch.ops.iter().find(|op| op.key() == key);
        match (self.flaw, expect) {
            (Flaw::AbsentIgnored, Expect::Absent) | (Flaw::ExistsIgnored, Expect::Exists) => true,
            (Flaw::RevisionIgnored, Expect::Revision(_)) => found.is_some(),
            (Flaw::RevisionHoldsWithoutARow, Expect::Revision(_)) if found.is_none() => true,
            (Flaw::GuardsIgnored, _) if written().is_none() => true,
            (Flaw::ExpectsTheStateAfter, Expect::Exists) => matches!(written(), Some(Op::Put(..))),
            _ => expect.holds(found),
        }
    }

    fn conflict(&self, batch: &WriteBatch, index: usize) -> StoreError {
        let conflict = StoreError::conflict(index);
        let shown = batch.ops.first().map(|op| match op {
            Op::Put(key, value) => {
                (String::from_utf8_lossy(key.as_bytes()).into_owned(), value.escape_ascii().to_string())
            }
            Op::Delete(_) => Default::default(),
        });
        match (self.flaw, shown) {
            (Flaw::ErrorsShowTheKey, Some((key, _))) => {
                StoreError::new(conflict.kind(), format!("conflict at {key}"))
            }
            (Flaw::CausesShowTheValue, Some((_, value))) => {
                conflict.with_source(format!("cannot write {value}"))
            }
            _ => conflict,
        }
    }

    fn apply(&self, state: &mut State, ops: &[Op]) -> RowRevision {
        if self.flaw == Flaw::ReadsAreStale {
            state.stale = state.rows.clone();
        }
        if self.flaw == Flaw::HandlesCountByThemselves {
            state.revision = self.revision.fetch_add(1, Ordering::SeqCst);
        }
        if self.flaw != Flaw::RevisionsStartAtZero || !state.rows.is_empty() {
            state.revision += 1;
        }
        let puts_len = ops.iter().filter(|op| matches!(op, Op::Put(..))).count();
        let mut nth_put = 0;
        for op in ops {
            match (self.flaw, op) {
                (Flaw::LosesDeletes, Op::Delete(_)) => {}
                (Flaw::LosesDeletesBesidePuts, Op::Delete(_)) if puts_len > 0 => {}
                (_, Op::Delete(key)) => {
                    let row = state.rows.remove(key);
                    state.deleted.extend(row.map(|row| (key.clone(), row)));
                }
                (_, Op::Put(key, value)) => {
                    nth_put += 1;
                    if self.flaw != Flaw::LosesTheLastPut || nth_put < puts_len || puts_len == 1 {
                        self.put(state, key, value);
                    }
                }
            }
        }
        self.take_note(state, ops);
        RowRevision(state.revision)
    }

    /// What this handle knows from then on.
    fn take_note(&self, state: &mut State, ops: &[Op]) {
        let known = state.known.entry(self.number).or_default();
        for key in ops.iter().map(Op::key) {
            match state.rows.get(key) {
                Some(row) => known.insert(key.clone(), row.clone()),
                None => known.remove(key),
            };
        }
    }

    fn put(&self, state: &mut State, key: &Key, value: &[u8]) {
        let before = state.rows.get(key);
        let (mut key, mut value, mut revision) = (key.clone(), value.to_vec(), state.revision);
        match self.flaw {
            Flaw::KeepsTheFirstPut if before.is_some() => return,
            Flaw::SameValueKeepsRevision if before.is_some_and(|row| row.value == value) => return,
            Flaw::EmptyValueIsNoRow if value.is_empty() => return,
            Flaw::KeepsTheLongerTail => {
                value.extend(before.and_then(|row| row.value.get(value.len()..)).unwrap_or_default());
            }
            Flaw::TrimsValues => value = value.trim_ascii().to_vec(),
            Flaw::ValuesAreCut => value.truncate(64 << 10),
            Flaw::KeysAreCut => {
                key = key.as_bytes().iter().copied().take(KEY_BYTES_MAX - 1).collect::<Vec<_>>().into();
            }
            Flaw::RevisionCountsThePutsOfARow => revision = before.map_or(1, |row| row.revision.0 + 1),
            Flaw::RevisionForEachPut => {
                revision += 1;
                state.revision += 1;
            }
            _ => {}
        }
        state.rows.insert(key, Versioned { value, revision: RowRevision(revision) });
    }
}

async fn pend_once() {
    let mut pended = false;
    poll_fn(|context| {
        if std::mem::replace(&mut pended, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
