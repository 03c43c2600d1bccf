//! How many requests of each party are in progress.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Party;

/// Counts the requests of each party that are in progress. It holds a party only while it has such a request.
#[derive(Default)]
pub(super) struct ConcurrencyLimiter(Mutex<HashMap<Party, usize>>);

/// A request that is counted for a party until this is dropped.
pub(crate) struct CallerPermit {
    counted_in: Arc<ConcurrencyLimiter>,
    party: Party,
}

impl ConcurrencyLimiter {
    /// Counts one more request of `party`, unless `max` are in progress.
    pub(super) fn acquire(self: &Arc<Self>, party: &Party, max: usize) -> Option<CallerPermit> {
        let mut counts = self.counts();
        let count = counts.get(party).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        counts.insert(party.clone(), count + 1);
        Some(CallerPermit { counted_in: Arc::clone(self), party: party.clone() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallerPermit {
    /// The party that it is counted for.
    pub(super) fn party(&self) -> &Party {
        &self.party
    }
}

impl Drop for CallerPermit {
    fn drop(&mut self) {
        let mut counts = self.counted_in.counts();
        match counts.get_mut(&self.party) {
            Some(count) if *count > 1 => *count -= 1,
            // Removed with its last request, so that the table holds no more parties than requests are in progress.
            Some(_) | None => drop(counts.remove(&self.party)),
        }
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimiter").field("parties", &self.counts().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_forgotten_with_its_last_request() {
        let limiter = Arc::new(ConcurrencyLimiter::default());
        let [one, other] =
            ["1", "2"].map(|jti| Party::Session("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), jti.into()));
        let held: Vec<_> = (0..2).map(|_| limiter.acquire(&one, 2).unwrap()).collect();
        assert!(limiter.acquire(&one, 2).is_none());
        let of_other = limiter.acquire(&other, 2).unwrap();
        drop(held);
        assert_eq!(limiter.counts().len(), 1);
        drop(of_other);
        assert!(limiter.acquire(&one, 2).is_some());
        assert_eq!(limiter.counts().len(), 0);
    }
}
