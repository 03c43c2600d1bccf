//! The limits of a service.

use std::num::NonZeroU32;
use std::time::Duration;

/// The limits of a service. The defaults suit a dedicated server behind a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) requests_max: usize,
    org_requests_max: Option<usize>,
    pub(crate) token_requests_max: usize,
    pub(crate) connections_max: usize,
    address_connections_max: Option<usize>,
    pub(crate) answer_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) refusal_pause: Duration,
    pub(crate) rate: Option<Rate>,
    token_rate: TokenRate,
    pub(crate) failure_rate: Rate,
    pub(crate) proxies: usize,
}

/// How often an account with a token may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenRate {
    /// As often as a key, or the default if keys are not limited.
    Usual,
    Of(Rate),
    Any,
}

/// How often something may happen.
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
            org_requests_max: None,
            token_requests_max: 32,
            connections_max: 4_096,
            address_connections_max: None,
            answer_bytes_max: 256 << 20,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            refusal_pause: Duration::from_secs(1),
            rate: None,
            token_rate: TokenRate::Usual,
            failure_rate: Rate::of(10, 100),
            proxies: 0,
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

    /// At most this many requests being worked on at a time; one more gets 503 at once. A request whose body is still
    /// arriving does not count. 1,024 unless set.
    #[must_use]
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.requests_max = requests;
        self
    }

    /// At most this many concurrent requests of one org, with keys and tokens together, whether being worked on or
    /// still arriving; one more gets 429 at once. Half of [`requests_max`](Self::requests_max) unless set, so that no
    /// org takes the service from the others.
    #[must_use]
    pub fn org_requests_max(mut self, requests: usize) -> Self {
        self.org_requests_max = Some(requests);
        self
    }

    /// At most this many concurrent requests of one account with its session tokens, whether being worked on or still
    /// arriving; one more gets 429 at once. 32 unless set.
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

    /// At most this many concurrent connections of one address; one more is closed at once. Half of
    /// [`connections_max`](Self::connections_max) unless set, so that no address takes all of them; not limited if
    /// there are [`proxies`](Self::proxies), which come from a few addresses.
    #[must_use]
    pub fn address_connections_max(mut self, connections: usize) -> Self {
        self.address_connections_max = Some(connections);
        self
    }

    /// At most this many bytes of responses wait in total for their clients to read them, and at most half as many for
    /// one org; one more response gets 503. Only responses to reads count, of 64 KiB and more. 256 MiB unless set.
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
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

    /// At most this long while a client reads nothing of its response; then the connection ends, or the backup that it
    /// receives. 30 seconds unless set.
    #[must_use]
    pub fn send_timeout(mut self, time: Duration) -> Self {
        self.send_timeout = time;
        self
    }

    /// How long a refusal with 429 is held back; it may take up to twice as long. So a client that retries at once does
    /// not keep the service busy with refusals, and clients that were refused together do not retry together. Meanwhile
    /// a refusal holds only a connection. One second unless set.
    #[must_use]
    pub fn refusal_pause(mut self, time: Duration) -> Self {
        self.refusal_pause = time;
        self
    }

    /// At most this long to finish accepted requests when the server stops. 30 seconds unless set.
    #[must_use]
    pub fn drain_timeout(mut self, time: Duration) -> Self {
        self.drain_timeout = time;
        self
    }

    /// Limits the rate of each API key, and of each account with its tokens unless [`token_rate`](Self::token_rate)
    /// says otherwise. Without this, keys are not limited.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Limits the rate of each account with its session tokens. Unless set, it is that of keys, or 20 per second and
    /// 100 at once if keys are not limited.
    #[must_use]
    pub fn token_rate(mut self, rate: Rate) -> Self {
        self.token_rate = TokenRate::Of(rate);
        self
    }

    /// Lets accounts with session tokens call as often as they like.
    #[must_use]
    pub fn any_token_rate(mut self) -> Self {
        self.token_rate = TokenRate::Any;
        self
    }

    /// Limits how many bad keys and tokens of one address are checked; one more gets 429. A key that was valid before,
    /// and a token with a valid signature, always pass. 10 per second and 100 at once unless set.
    #[must_use]
    pub fn failure_rate(mut self, rate: Rate) -> Self {
        self.failure_rate = rate;
        self
    }

    /// How many proxies of your own are between clients and the service, each of which appends to `X-Forwarded-For`.
    /// The address of a client is then the one that the outermost proxy appended. 0 unless set: the address of the
    /// connection counts.
    #[must_use]
    pub fn proxies(mut self, proxies: usize) -> Self {
        self.proxies = proxies;
        self
    }

    /// The rate of bad keys and tokens of one address.
    #[must_use]
    pub fn rate_of_failures(&self) -> Rate {
        self.failure_rate
    }

    pub(crate) fn requests_max_of_org(&self) -> usize {
        self.org_requests_max.unwrap_or(self.requests_max / 2).max(1)
    }

    /// How many connections one address may have; `None` for any number.
    pub(crate) fn connections_max_of_address(&self) -> Option<usize> {
        let usual = (self.proxies == 0).then_some((self.connections_max / 2).max(1));
        self.address_connections_max.or(usual)
    }

    /// The rate of each account with its session tokens; `None` for as often as they like.
    #[must_use]
    pub fn rate_of_tokens(&self) -> Option<Rate> {
        match self.token_rate {
            TokenRate::Usual => Some(self.rate.unwrap_or(Rate::of(20, 100))),
            TokenRate::Of(rate) => Some(rate),
            TokenRate::Any => None,
        }
    }
}

impl Rate {
    fn of(per_sec: u32, burst: u32) -> Self {
        let of = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self { per_sec: of(per_sec), burst: of(burst) }
    }
}

/// 20 per second, 5 at once.
impl Default for Rate {
    fn default() -> Self {
        Self::of(20, 5)
    }
}
