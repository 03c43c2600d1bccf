//! What a service takes at most.

use std::num::NonZeroU32;
use std::time::Duration;

/// Limits of a service. The defaults suit a service of its own behind a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) org_requests_max: usize,
    pub(crate) token_requests_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
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
            org_requests_max: 512,
            token_requests_max: 32,
            connections_max: 4_096,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            rate: None,
        }
    }
}

impl Limits {
    /// Bodies of at most this many bytes; a larger one gets 413. 1 MiB unless set.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Headers of at most this many bytes together; more get 431. 16 KiB unless set.
    #[must_use]
    pub fn header_bytes_max(mut self, bytes: usize) -> Self {
        self.header_bytes_max = bytes;
        self
    }

    /// At most this many requests at work at a time; one more gets 503 at once. A request whose body is still arriving
    /// is not at work. 1,024 unless set.
    #[must_use]
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.requests_max = requests;
        self
    }

    /// At most this many requests of one org at a time, with keys and tokens together, whether at work or still
    /// arriving; one more gets 429 at once. 512 unless set: half of all, so that no org takes the service from the
    /// others.
    #[must_use]
    pub fn org_requests_max(mut self, requests: usize) -> Self {
        self.org_requests_max = requests;
        self
    }

    /// At most this many requests at a time of one account with its session tokens, whether at work or still arriving;
    /// one more gets 429 at once. 32 unless set.
    #[must_use]
    pub fn token_requests_max(mut self, requests: usize) -> Self {
        self.token_requests_max = requests;
        self
    }

    /// At most this many connections at a time; one more waits. 4,096 unless set.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// At most this long for a request; then it gets 503. 30 seconds unless set.
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

    /// At most this long for the body of a request to arrive; then it gets 408. 5 seconds unless set.
    #[must_use]
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
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
