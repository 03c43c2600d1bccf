//! How a caller waits for the refresh of another one.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::engine::turns::{Turn, Turns};
use crate::model::Refresh;
use crate::store::Key;

/// Growing pauses, for as long as a caller is willing to wait. The pauses are counted rather than read from a clock,
/// which may be set meanwhile.
pub(super) struct Patience<'r> {
    refresh: &'r Refresh,
    left: Duration,
    pause: Duration,
}

impl<'r> Patience<'r> {
    pub(super) fn new(refresh: &'r Refresh, wait: Duration) -> Self {
        Self { refresh, left: wait, pause: PAUSE_MIN }
    }

    /// Waits a little. Returns `false` at once if the time is over.
    pub(super) async fn pause(&mut self) -> bool {
        let pause = self.pause.min(self.left);
        if pause.is_zero() {
            return false;
        }
        self.refresh.sleep.sleep(pause).await;
        self.left -= pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

/// When to look whether a refresh has ended. One of the callers of an engine looks on behalf of all who wait for the
/// same one. When that one is done, the next looks, and finds in one read what there is to find.
pub(super) struct Lookout<'e> {
    row: BTreeSet<Key>,
    lookouts: &'e Turns,
    turn: Option<Vec<Turn>>,
}

impl<'e> Lookout<'e> {
    /// For what the row of an integration says.
    pub(super) fn at(row: Key, lookouts: &'e Turns) -> Self {
        Self { row: BTreeSet::from([row]), lookouts, turn: None }
    }

    /// Waits until it is this caller's time to look. `false` if its patience ends before.
    pub(super) async fn next_look(&mut self, patience: &mut Patience<'_>) -> bool {
        if self.turn.is_some() {
            return patience.pause().await;
        }
        let mut turn = pin!(self.lookouts.take(&self.row));
        loop {
            let mut pause = pin!(patience.pause());
            let next = poll_fn(|context| match turn.as_mut().poll(context) {
                Poll::Ready(turn) => Poll::Ready(Ok(turn)),
                Poll::Pending => pause.as_mut().poll(context).map(Err),
            });
            match next.await {
                Ok(turn) => {
                    self.turn = Some(turn);
                    return true;
                }
                Err(true) => {}
                Err(false) => return false,
            }
        }
    }
}

/// Short enough that a waiter adds little to a quick exchange.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Long enough that the waiters of many processes do not load the store.
const PAUSE_MAX: Duration = Duration::from_millis(500);
