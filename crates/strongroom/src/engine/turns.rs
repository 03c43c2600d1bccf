//! Whose turn it is at rows that writers race for.
//!
//! A store has no locks: of the batches that expect the same row, one lands and the others are planned again. With only
//! that, a verb that does more than its rivals could lose every time, and a tenant that keeps rewriting a row could
//! hold up its own deletion. So a verb that lost takes the turn at the rows that it lost, in the order in which verbs
//! asked. A verb that has not lost holds its batch back until nobody has a turn at a row that it expects. A batch
//! already in flight beats the verb at most once, since it changes the row that the others expect.
//!
//! Turns belong to one engine. Of several engines on one store, each has one such writer at a row.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

use crate::store::{Key, WriteBatch};

/// The turns that verbs of one engine have.
#[derive(Default)]
pub(crate) struct Turns(Arc<Queues>);

#[derive(Default)]
struct Queues {
    /// The waiters for each row at which a verb has the turn.
    by_row: Mutex<HashMap<Key, VecDeque<oneshot::Sender<Turn>>>>,
    rows: AtomicUsize,
}

/// The turn at one row. When dropped, it goes to the next waiter.
pub(crate) struct Turn {
    queues: Arc<Queues>,
    row: Key,
    /// Not held if the waiter that it was sent to is gone.
    is_held: bool,
}

/// The rows at which one verb lost, and the turns that it has there.
pub(crate) struct Contest<'t> {
    turns: &'t Turns,
    rows: BTreeSet<Key>,
    taken: Vec<Turn>,
    tries: u32,
}

impl<'t> Contest<'t> {
    pub(crate) fn new(turns: &'t Turns) -> Self {
        Self { turns, rows: BTreeSet::new(), taken: Vec::new(), tries: 0 }
    }

    /// Takes the turn at the rows that a try lost, if it is known which they were.
    pub(crate) async fn lost(&mut self, rows: Vec<Key>) {
        self.tries += 1;
        let known = self.rows.len();
        self.rows.extend(rows);
        if self.rows.len() > known {
            // Turns are taken in the order of their rows, so those that it has go back.
            self.taken.clear();
            self.taken = self.turns.take(&self.rows).await;
        }
    }

    /// Whether the next try lets verbs that have a turn go first. A verb that has done so often enough has waited long
    /// enough.
    pub(crate) fn must_wait(&self) -> bool {
        self.taken.is_empty() && self.tries < TRIES_THAT_WAIT
    }

    /// Gives its turns back. Call this before waiting for anything else.
    pub(crate) fn leave(&mut self) {
        self.taken.clear();
        self.rows.clear();
    }
}

impl Turns {
    /// Takes the turn at each of these rows. The caller must hold none: turns are taken in the order of the rows, so
    /// that no two verbs wait for each other.
    pub(crate) async fn take(&self, rows: &BTreeSet<Key>) -> Vec<Turn> {
        let mut turns = Vec::with_capacity(rows.len());
        for row in rows {
            turns.push(self.take_one(row).await);
        }
        turns
    }

    /// Waits for those that have the turn at a row that a batch expects, or wait for it by now. Returns whether there
    /// were any.
    pub(crate) async fn wait_for_holders(&self, batch: &WriteBatch) -> bool {
        let taken = self.taken(batch);
        // Each once: two verbs that wait until nobody has the turn would hand it to each other forever.
        for row in &taken {
            drop(self.take_one(row).await);
        }
        !taken.is_empty()
    }

    async fn take_one(&self, row: &Key) -> Turn {
        loop {
            let waits = {
                let mut by_row = self.0.lock();
                let Some(queue) = by_row.get_mut(row) else {
                    by_row.insert(row.clone(), VecDeque::new());
                    self.0.rows.store(by_row.len(), Ordering::Release);
                    return Turn { queues: Arc::clone(&self.0), row: row.clone(), is_held: true };
                };
                let (gives, waits) = oneshot::channel();
                queue.push_back(gives);
                waits
            };
            // A turn given to a future that is then dropped passes to the next one.
            if let Ok(turn) = waits.await {
                return turn;
            }
        }
    }

    fn taken(&self, batch: &WriteBatch) -> Vec<Key> {
        // Nearly always zero, so that a write takes no lock. A verb that takes a turn meanwhile loses at most once
        // more.
        if self.0.rows.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let by_row = self.0.lock();
        batch.expect.iter().map(|(row, _)| row).filter(|row| by_row.contains_key(*row)).cloned().collect()
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, VecDeque<oneshot::Sender<Turn>>>> {
        self.by_row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        // Waiters that are gone are skipped here: dropping many turns, each inside another, could nest too deeply.
        loop {
            let next = {
                let mut by_row = self.queues.lock();
                let next = by_row.get_mut(&self.row).and_then(VecDeque::pop_front);
                if next.is_none() {
                    by_row.remove(&self.row);
                    self.queues.rows.store(by_row.len(), Ordering::Release);
                }
                next
            };
            let Some(next) = next else { return };
            let turn = Self { queues: Arc::clone(&self.queues), row: self.row.clone(), is_held: true };
            // Outside the lock: dropping a future with its turn takes the lock again.
            match next.send(turn) {
                Ok(()) => return,
                Err(mut turn) => turn.is_held = false,
            }
        }
    }
}

const TRIES_THAT_WAIT: u32 = 4;

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use futures_executor::block_on;

    use super::*;
    use crate::store::Expect;

    fn rows(names: &[&str]) -> BTreeSet<Key> {
        names.iter().map(|name| Key::from(name.as_bytes())).collect()
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn turns_at_a_row_come_in_the_order_in_which_they_were_asked_for() {
        let (turns, row) = (Turns::default(), rows(&["a"]));
        let first = block_on(turns.take(&row));
        let (mut second, mut third) = (pin!(turns.take(&row)), pin!(turns.take(&row)));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        drop(first);
        assert!(poll(third.as_mut()).is_pending());
        let Poll::Ready(has) = poll(second.as_mut()) else { panic!("nobody woke the second") };
        drop(has);
        assert!(poll(third.as_mut()).is_ready());
    }

    #[test]
    fn whoever_no_longer_waits_holds_nobody_up() {
        let (turns, row) = (Turns::default(), rows(&["a"]));
        let first = block_on(turns.take(&row));
        let mut gone = Box::pin(turns.take(&row));
        let mut waits = pin!(turns.take(&row));
        assert!(poll(gone.as_mut()).is_pending() && poll(waits.as_mut()).is_pending());
        drop(first);
        // A waiter that was given the turn is dropped before it is polled.
        drop(gone);
        assert!(poll(waits).is_ready());
        assert_eq!(turns.0.rows.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_batch_waits_for_turns_at_rows_that_it_expects_and_for_no_others() {
        let turns = Turns::default();
        let taken = block_on(turns.take(&rows(&["a", "b"])));
        let mut batch = WriteBatch::default();
        batch.expect(Key::from(b"c".as_slice()), Expect::Absent);
        batch.put(Key::from(b"a".as_slice()), Vec::new());
        assert!(!block_on(turns.wait_for_holders(&batch)));
        batch.expect(Key::from(b"b".as_slice()), Expect::Absent);
        let mut waits = pin!(turns.wait_for_holders(&batch));
        assert!(poll(waits.as_mut()).is_pending());
        drop(taken);
        assert!(matches!(poll(waits), Poll::Ready(true)));
    }

    #[test]
    fn two_that_let_another_pass_do_not_wait_for_each_other() {
        let turns = Turns::default();
        let taken = block_on(turns.take(&rows(&["a"])));
        let mut batch = WriteBatch::default();
        batch.expect(Key::from(b"a".as_slice()), Expect::Absent);
        let (mut one, mut two) = (pin!(turns.wait_for_holders(&batch)), pin!(turns.wait_for_holders(&batch)));
        assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
        drop(taken);
        assert!(matches!((poll(one), poll(two)), (Poll::Ready(true), Poll::Ready(true))));
        assert_eq!(turns.0.rows.load(Ordering::SeqCst), 0);
    }
}
