//! How often each party may call.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter as Governor};
use quick_cache::sync::Cache;

use crate::limits::Rate;

/// Counts the calls of each party.
pub(super) struct RateLimiter<K: Eq + Hash + Clone>(Governor<K, Recent<K>, DefaultClock, NoOpMiddleware>);

/// The counts of recent callers, at most as many as its bound. An evicted party starts again with a full burst, which
/// helps only someone with more credentials or addresses than the bound.
struct Recent<K>(Cache<K, Arc<InMemoryState>>);

impl<K: Eq + Hash + Clone> RateLimiter<K> {
    pub(super) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_sec).allow_burst(rate.burst);
        Self(Governor::new(quota, Recent(Cache::new(PARTIES_MAX)), DefaultClock::default()))
    }

    /// Counts one call of `party`, or says how long to wait.
    pub(super) fn admit(&self, party: &K) -> Result<(), Duration> {
        let answer = self.0.check_key(party);
        answer.map_err(|not_until| not_until.wait_time_from(self.0.clock().now()))
    }
}

impl<K: Eq + Hash + Clone> StateStore for Recent<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Ok(state) = self.0.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        state.measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl<K: Eq + Hash + Clone> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RateLimiter")
    }
}

/// Some 100 bytes each.
const PARTIES_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn parties_are_counted_apart_in_a_table_that_does_not_grow() {
        let limiter = RateLimiter::new(Rate { per_sec: NonZeroU32::MIN, burst: NonZeroU32::MIN });
        assert!(limiter.admit(&0).is_ok());
        assert!(limiter.admit(&0).is_err_and(|wait| wait <= Duration::from_secs(1)));
        for party in 1..3 * PARTIES_MAX {
            assert!(limiter.admit(&party).is_ok(), "{party}");
        }
        assert!(limiter.0.into_state_store().0.len() <= PARTIES_MAX);
    }
}
