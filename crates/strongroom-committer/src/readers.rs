//! What readers and the committer share.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use strongroom_store::StoreError;

use crate::failure::{closed, guarded, poisoned};

/// The view of the readers, behind a lock of which readers on different threads share no part.
pub struct Readers<V> {
    state: ShardedLock<State<V>>,
}

enum State<V> {
    Open(V),
    Poisoned(Arc<StoreError>),
    Closed,
}

impl<V> Readers<V> {
    pub(crate) fn new(view: V) -> Self {
        Self { state: ShardedLock::new(State::Open(view)) }
    }

    /// Shows the view to `work`. It stays as it is meanwhile.
    ///
    /// # Errors
    /// That of `work`, `Corrupt` where it panics; `Poisoned` and `Closed` when there is nothing to read any more.
    pub fn read<T>(&self, work: impl FnOnce(&V) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.state() {
            State::Open(view) => guarded(|| work(view)),
            State::Poisoned(cause) => Err(poisoned(cause)),
            State::Closed => Err(closed()),
        }
    }

    /// Waits until nobody reads, keeps readers out and gives the view to `work`. If that fails, nobody reads what it
    /// left behind, such as half of a batch: the store is poisoned before readers are let in again.
    ///
    /// # Errors
    /// `Poisoned` with the cause when `work` or something before it failed, `Closed` when there is nothing to read any
    /// more.
    pub fn exclude<T>(&self, work: impl FnOnce(&mut V) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state_to_change();
        match &mut *state {
            State::Open(view) => guarded(|| work(view)).map_err(|cause| poisoned(&state.poison(cause))),
            State::Poisoned(cause) => Err(poisoned(cause)),
            State::Closed => Err(closed()),
        }
    }

    /// Why there is nothing to read any more, if so.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        match &*self.state() {
            State::Open(_) => None,
            State::Poisoned(cause) => Some(poisoned(cause)),
            State::Closed => Some(closed()),
        }
    }

    /// The cause that every call reports, if the store is poisoned.
    pub(crate) fn poisoned(&self) -> Result<(), Arc<StoreError>> {
        match &*self.state() {
            State::Poisoned(cause) => Err(Arc::clone(cause)),
            State::Open(_) | State::Closed => Ok(()),
        }
    }

    /// Takes the view from the readers for good.
    pub(crate) fn close(&self) {
        *self.state_to_change() = State::Closed;
    }

    /// The same, for a reason that every later call reports: the first there was.
    pub(crate) fn poison(&self, cause: StoreError) -> Arc<StoreError> {
        self.state_to_change().poison(cause)
    }

    // A panic under the lock was made an error, and that poisons the store: the lock's own mark says nothing more.
    fn state(&self) -> ShardedLockReadGuard<'_, State<V>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_to_change(&self) -> ShardedLockWriteGuard<'_, State<V>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> State<V> {
    fn poison(&mut self, cause: StoreError) -> Arc<StoreError> {
        if let Self::Poisoned(first) = self {
            return Arc::clone(first);
        }
        let cause = Arc::new(cause);
        *self = Self::Poisoned(Arc::clone(&cause));
        cause
    }
}

impl<V> fmt::Debug for Readers<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers")
    }
}
