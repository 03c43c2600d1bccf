//! How often something is tried again.

use std::thread;
use std::time::{Duration, Instant};

/// Tries that come to an end: a store that never does what is asked fails a test instead of keeping it.
pub(crate) struct Patience {
    since: Instant,
    tries: u32,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), tries: 0 }
    }

    /// Lets others go first. False when it was tried often and long enough; neither a fast loop beside a slow disk
    /// nor a machine that stood still uses that up by itself.
    pub(crate) fn try_again(&mut self) -> bool {
        thread::yield_now();
        self.tries += 1;
        self.tries < TRIES || self.since.elapsed() < TIME
    }
}

const TRIES: u32 = 100;
const TIME: Duration = Duration::from_secs(10);
