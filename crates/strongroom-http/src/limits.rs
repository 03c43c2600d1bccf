//! What a service takes at most.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter as Governor};

/// Limits of a service. The defaults suit a service of its own behind a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) rate: Option<Rate>,
}

/// How many requests each key, and each account with a token, may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_sec: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            header_bytes_max: 16 << 10,
            requests_max: 1_024,
            connections_max: 4_096,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            rate: None,
        }
    }
}

impl Limits {
    /// Bodies of at most this many bytes; a larger one is answered 413. 1 MiB unless set.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Headers of at most this many bytes together; more are answered 431. 16 KiB unless set.
    #[must_use]
    pub fn header_bytes_max(mut self, bytes: usize) -> Self {
        self.header_bytes_max = bytes;
        self
    }

    /// At most this many requests at a time; one more is answered 503 at once. 1,024 unless set.
    #[must_use]
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.requests_max = requests;
        self
    }

    /// At most this many connections at a time; one more waits. 4,096 unless set.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// At most this long for a request; then it is answered 503. 30 seconds unless set.
    #[must_use]
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request_timeout = time;
        self
    }

    /// At most this long for the headers of a request to arrive. 10 seconds unless set.
    #[must_use]
    pub fn header_timeout(mut self, time: Duration) -> Self {
        self.header_timeout = time;
        self
    }

    /// At most this long for what was accepted to be finished when the server stops. 30 seconds unless set.
    #[must_use]
    pub fn drain_timeout(mut self, time: Duration) -> Self {
        self.drain_timeout = time;
        self
    }

    /// Limits the rate of each caller; without this, nothing does.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }
}

/// 20 a second, 5 at once.
impl Default for Rate {
    fn default() -> Self {
        let of = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self { per_sec: of(20), burst: of(5) }
    }
}

/// Counts the requests of each caller.
pub(crate) struct RateLimiter {
    governor: Governor<String, HashMapStateStore<String>, DefaultClock, NoOpMiddleware>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_sec).allow_burst(rate.burst);
        Self { governor: Governor::hashmap(quota) }
    }

    /// Counts one request of `caller`, or says how long to wait.
    pub(crate) fn admit(&self, caller: &String) -> Result<(), Duration> {
        if self.governor.len() > CALLERS_MAX {
            self.governor.retain_recent();
        }
        let answer = self.governor.check_key(caller);
        answer.map_err(|not_until| not_until.wait_time_from(self.governor.clock().now()))
    }
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter").field("callers", &self.governor.len()).finish()
    }
}

/// From here on callers that have been quiet are forgotten.
const CALLERS_MAX: usize = 10_000;
