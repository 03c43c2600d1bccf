//! How much of the service a request may use, so that no caller takes it from the others.

mod address;
mod answers;
mod concurrency;
mod failures;
mod permit;
mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use strongroom::{DocumentId, Environment, LinkedAccountId, OrgId};
use tokio::sync::Semaphore;

use self::answers::Answers;
use self::concurrency::ConcurrencyLimiter;
use self::failures::FailureLimiter;
use self::rate::RateLimiter;
use crate::error::Failure;
use crate::limits::Limits;

pub(crate) use address::ClientAddress;
pub(crate) use concurrency::CallerPermit;
pub(crate) use permit::RequestPermit;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Load {
    limits: Limits,
    /// One for each request that may be in progress.
    permits: Arc<Semaphore>,
    callers: Arc<ConcurrencyLimiter>,
    key_rate: Option<RateLimiter<Party>>,
    token_rate: Option<RateLimiter<Party>>,
    failures: FailureLimiter,
    answers: Arc<Answers>,
    /// One for each refusal that may be held back.
    pauses: Semaphore,
    /// How many refusals were held back.
    refused: AtomicU32,
}

/// The party that is counted. A request with a session token counts for its session before the store is read, and for
/// its account only after that: the holder of an ended token must not use up what the account may do.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Org(OrgId),
    Key(DocumentId),
    Session(OrgId, String),
    Account(OrgId, Environment, LinkedAccountId),
    /// While a credential that is not known to be good is checked.
    Unknown(ClientAddress),
    /// By its connection.
    Connected(ClientAddress),
}

impl Load {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            permits: Arc::new(Semaphore::new(limits.requests_max.min(Semaphore::MAX_PERMITS))),
            callers: Arc::default(),
            key_rate: limits.rate.map(RateLimiter::new),
            token_rate: limits.rate_of_tokens().map(RateLimiter::new),
            failures: FailureLimiter::new(limits.failure_rate),
            answers: Arc::default(),
            pauses: Semaphore::new(limits.connections_max),
            refused: AtomicU32::new(0),
        }
    }

    /// A place among the requests of `party`; `None` if it is not counted, and an error if there are too many.
    pub(crate) fn place(&self, party: &Party) -> Result<Option<CallerPermit>, Failure> {
        let Some(max) = self.requests_max(party) else { return Ok(None) };
        self.callers.acquire(party, max).map(Some).ok_or_else(Failure::too_many_at_once)
    }

    /// How many concurrent requests `party` may have. For a key, the limit of its org counts.
    fn requests_max(&self, party: &Party) -> Option<usize> {
        match party {
            Party::Org(_) => Some(self.limits.requests_max_of_org()),
            Party::Key(_) => None,
            Party::Session(..) | Party::Account(..) => Some(self.limits.token_requests_max),
            Party::Unknown(_) => Some(CHECKS_MAX),
            Party::Connected(_) => self.limits.connections_max_of_address(),
        }
    }

    /// The limit on how often `party` may call. A whole org is not limited, since it may have any number of accounts.
    fn rate(&self, party: &Party) -> Option<&RateLimiter<Party>> {
        match party {
            Party::Org(_) | Party::Unknown(_) | Party::Connected(_) => None,
            Party::Key(_) => self.key_rate.as_ref(),
            Party::Session(..) | Party::Account(..) => self.token_rate.as_ref(),
        }
    }
}

impl Load {
    /// Holds a refusal back for a while, unless many are held back. Refusals of the same moment end at different times:
    /// clients that were refused together would otherwise retry together, and other callers would wait for all of them.
    pub(crate) async fn pause(&self) {
        if let Ok(_pause) = self.pauses.try_acquire() {
            let pause = self.limits.refusal_pause;
            // Relaxed: the numbers only have to differ.
            let apart = apart(self.refused.fetch_add(1, Ordering::Relaxed));
            tokio::time::sleep(pause + pause.mul_f64(apart)).await;
        }
    }
}

/// From 0 to 1; consecutive numbers are spread evenly: the fractional parts of the multiples of the golden ratio.
fn apart(number: u32) -> f64 {
    f64::from(number.wrapping_mul(GOLDEN_RATIO)) / f64::from(u32::MAX)
}

/// 2³² divided by the golden ratio.
const GOLDEN_RATIO: u32 = 0x9e37_79b9;

/// How many credentials of one address may be checked at a time. That many can be bad beyond the limit of failures,
/// since the result is known only afterwards.
const CHECKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_moment_end_apart() {
        for first in [0, 7, u32::MAX - 500] {
            let mut ends: Vec<f64> = (0..1_000).map(|number| apart(first.wrapping_add(number))).collect();
            ends.sort_by(f64::total_cmp);
            let widest = ends.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max);
            assert!(ends[0] < 0.003 && ends[999] > 0.997 && widest < 0.003, "{first}: {widest}");
        }
    }
}
