//! How often the authentication of a client failed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::ClientAddress;
use crate::limits::Rate;

/// Counts failed authentications by address, with the generic cell rate algorithm: for each address it keeps one
/// moment, at which its failures are forgiven, in nanoseconds since `start`. (`governor` cannot check without counting,
/// and a client that is let in must not count.)
pub(super) struct FailureLimiter {
    start: Instant,
    forgiven_after: Duration,
    burst: u32,
    /// Bounded: an evicted address starts again, which helps only someone with more addresses than the bound.
    forgiven_at: Cache<ClientAddress, Arc<AtomicU64>>,
}

impl FailureLimiter {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            start: Instant::now(),
            forgiven_after: Duration::from_secs(1) / rate.per_sec.get(),
            burst: rate.burst.get(),
            forgiven_at: Cache::new(ADDRESSES_MAX),
        }
    }

    /// Whether one more failure of `client` is within the limit, or how long to wait until it is.
    pub(super) fn check(&self, client: ClientAddress) -> Result<(), Duration> {
        let Some(forgiven_at) = self.forgiven_at.get(&client) else { return Ok(()) };
        let forgiven_at = Duration::from_nanos(forgiven_at.load(Ordering::Relaxed));
        let owed = forgiven_at.saturating_sub(self.start.elapsed());
        let allowed = self.forgiven_after.saturating_mul(self.burst - 1);
        if owed <= allowed { Ok(()) } else { Err(owed - allowed) }
    }

    /// Counts a failure of `client`.
    pub(super) fn count(&self, client: ClientAddress) {
        let new = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(forgiven_at) = self.forgiven_at.get_or_insert_with(&client, new);
        let (now, more) = (nanos(self.start.elapsed()), nanos(self.forgiven_after));
        // Relaxed: no other read depends on this number.
        let _ = forgiven_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(at.max(now).saturating_add(more)));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for FailureLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureLimiter").field("addresses", &self.forgiven_at.len()).finish()
    }
}

/// Some 100 bytes each.
const ADDRESSES_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn client(number: u32) -> ClientAddress {
        ClientAddress::of_ip(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_failures_is_forgiven_one_by_one() {
        let limiter =
            FailureLimiter::new(Rate { per_sec: 2.try_into().unwrap(), burst: 3.try_into().unwrap() });
        for _ in 0..3 {
            assert_eq!(limiter.check(client(1)), Ok(()));
            limiter.count(client(1));
        }
        assert_eq!(limiter.check(client(1)), Err(Duration::from_millis(500)));
        assert_eq!(limiter.check(client(2)), Ok(()), "another address");
        advance(Duration::from_millis(500)).await;
        assert_eq!(limiter.check(client(1)), Ok(()));
        limiter.count(client(1));
        assert!(limiter.check(client(1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_does_not_grow() {
        let limiter = FailureLimiter::new(Rate::default());
        for number in 0..3 * u32::try_from(ADDRESSES_MAX).unwrap() {
            limiter.count(client(number));
        }
        assert!(limiter.forgiven_at.len() <= ADDRESSES_MAX);
    }
}
