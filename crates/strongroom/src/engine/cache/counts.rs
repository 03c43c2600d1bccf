//! Hits and misses of the caches.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::engine::cache::striped::{STRIPES, stripe};

/// Statistics of a vault's caches since it was opened: [`Vault::cache_stats`](crate::Vault::cache_stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Names of definitions to their ids.
    pub names: CacheCounts,
    /// Opened definitions.
    pub definitions: CacheCounts,
    /// All definitions of an org, for verbs that need each.
    pub catalogs: CacheCounts,
    /// Opened keyrings: the data keys of an org or of a linked account.
    pub keyrings: CacheCounts,
    /// What runs see: `resolve_all`, and `resolve` of a run that `resolve_all` was called for.
    pub runs: CacheCounts,
    /// How often a keyring was opened with the root key. Of many verbs that miss one at the same moment, only one opens
    /// it.
    pub keyring_unwraps: u64,
}

/// Statistics of one cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCounts {
    /// How often it held what a verb needed.
    pub hits: u64,
    /// How often it did not, so that the verb read the store.
    pub misses: u64,
    /// How many entries it holds now.
    pub entries: usize,
}

/// One of the caches.
#[derive(Clone, Copy)]
pub(crate) enum Cached {
    Names,
    Definitions,
    Catalogs,
    Keyrings,
    Runs,
}

/// The counters, in stripes, so that readers on different threads write different cache lines. Exact, since every count
/// is added atomically.
#[derive(Default)]
pub(crate) struct Counts {
    stripes: [CachePadded<Stripe>; STRIPES],
    unwraps: AtomicU64,
}

/// Hits and misses of each cache.
#[derive(Default)]
struct Stripe([[AtomicU64; 2]; 5]);

impl Counts {
    /// Adds the hits and misses of one verb.
    pub(crate) fn add(&self, cached: Cached, hits: usize, misses: usize) {
        // Always there: the stripe is a remainder, and there is a pair of counters for each of the caches.
        let Some(stripe) = self.stripes.get(stripe()) else { return };
        let Some(counters) = stripe.0.get(cached as usize) else { return };
        for (counter, count) in counters.iter().zip([hits, misses]) {
            // Most verbs have no miss, and adding zero would cost as much as adding one.
            if count > 0 {
                // Relaxed, here and below: each count is exact by itself, and no other read depends on it.
                counter.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }

    /// A keyring was opened with the root key.
    pub(crate) fn add_unwrap(&self) {
        // Relaxed: a statistic, ordered with nothing else.
        self.unwraps.fetch_add(1, Ordering::Relaxed);
    }

    /// The sums of all stripes. The numbers of entries are not known here.
    pub(crate) fn sum(&self) -> CacheStats {
        let of = |cached: Cached| {
            let counters = self.stripes.iter().filter_map(|stripe| stripe.0.get(cached as usize));
            counters.fold(CacheCounts::default(), |sum, [hits, misses]| CacheCounts {
                hits: sum.hits + hits.load(Ordering::Relaxed),
                misses: sum.misses + misses.load(Ordering::Relaxed),
                entries: 0,
            })
        };
        CacheStats {
            names: of(Cached::Names),
            definitions: of(Cached::Definitions),
            catalogs: of(Cached::Catalogs),
            keyrings: of(Cached::Keyrings),
            runs: of(Cached::Runs),
            keyring_unwraps: self.unwraps.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_between_threads() {
        let counts = Counts::default();
        std::thread::scope(|threads| {
            for _ in 0..32 {
                threads.spawn(|| (0..100).for_each(|_| counts.add(Cached::Keyrings, 2, 1)));
            }
        });
        let keyrings = counts.sum().keyrings;
        assert_eq!((keyrings.hits, keyrings.misses), (6_400, 3_200));
    }
}
