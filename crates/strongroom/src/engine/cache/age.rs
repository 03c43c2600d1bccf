//! How long an opened keyring is kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// How long a key may be kept after its row was read, and since when the oldest one is kept.
pub(crate) struct Age {
    max_ms: u64,
    oldest_ms: AtomicU64,
}

impl Age {
    pub(crate) fn new(max: Duration) -> Self {
        let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        Self { max_ms, oldest_ms: AtomicU64::new(NOTHING) }
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }

    /// Whether an entry may have to be dropped.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        // Relaxed: it decides only whether to look at the entries, which happens under the lock of the tables. One
        // load, so that the value compared is the one that was checked for `NOTHING`.
        let oldest_ms = self.oldest_ms.load(Ordering::Relaxed);
        oldest_ms != NOTHING && self.is_over(Timestamp::from_ms(oldest_ms), now)
    }

    /// Whether an entry kept since `since` has to be dropped. A clock that was set back says nothing about its age.
    pub(crate) fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        now.as_ms().checked_sub(since.as_ms()).is_none_or(|age_ms| age_ms >= self.max_ms)
    }

    /// Notes an entry that is kept since `since`.
    pub(crate) fn keep(&self, since: Timestamp) {
        // Relaxed, here and in `restart`: both are called under the exclusive lock of the tables, which orders them.
        self.oldest_ms.fetch_min(since.as_ms(), Ordering::Relaxed);
    }

    /// Notes that the entries left are kept since `oldest`; `None` if none is left.
    pub(crate) fn restart(&self, oldest: Option<Timestamp>) {
        self.oldest_ms.store(oldest.map_or(NOTHING, Timestamp::as_ms), Ordering::Relaxed);
    }
}

/// No time: nothing is kept.
const NOTHING: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_goes_when_its_time_is_over_or_the_clock_was_set_back() {
        let age = Age::new(Duration::from_millis(10));
        assert!(!age.is_due(Timestamp::from_ms(99)));
        age.keep(Timestamp::from_ms(100));
        age.keep(Timestamp::from_ms(105));
        assert_eq!(
            [99, 100, 109, 110].map(|ms| age.is_due(Timestamp::from_ms(ms))),
            [true, false, false, true]
        );
        age.restart(Some(Timestamp::from_ms(105)));
        assert!(!age.is_due(Timestamp::from_ms(114)));
        age.restart(None);
        assert!(!age.is_due(Timestamp::from_ms(1_000)));
    }

    #[test]
    fn the_longest_time_never_ends() {
        let age = Age::new(Duration::MAX);
        age.keep(Timestamp::from_ms(0));
        assert!(!age.is_due(Timestamp::from_ms(u64::MAX - 1)));
    }
}
