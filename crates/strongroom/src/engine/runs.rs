//! The jobs on keys that this engine is running.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::id::DocumentId;
use crate::random;

/// The jobs that this engine is running, and its own name in leases.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    runner: Option<[u8; 16]>,
    pub(crate) live: BTreeSet<DocumentId>,
}

impl Runs {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn runner(&self) -> Result<[u8; 16], Error> {
        let mut state = self.lock();
        if let Some(runner) = state.runner {
            return Ok(runner);
        }
        let mut runner = [0; 16];
        random::fill(&mut runner)?;
        Ok(*state.runner.insert(runner))
    }
}
