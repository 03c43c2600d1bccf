//! Statistics of a vault's caches, as metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use strongroom::CacheStats;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cache: &'static str,
}

/// The present counts. The engine keeps them, so nothing is kept here.
pub(crate) fn registry(stats: &CacheStats) -> Registry {
    let (hits, misses) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
    let entries = Family::<Labels, Gauge>::default();
    let caches = [
        ("names", stats.names),
        ("definitions", stats.definitions),
        ("catalogs", stats.catalogs),
        ("keyrings", stats.keyrings),
        ("runs", stats.runs),
    ];
    for (cache, counts) in caches {
        let labels = Labels { cache };
        hits.get_or_create(&labels).inc_by(counts.hits);
        misses.get_or_create(&labels).inc_by(counts.misses);
        entries.get_or_create(&labels).set(i64::try_from(counts.entries).unwrap_or(i64::MAX));
    }
    let unwraps = Counter::<u64>::default();
    unwraps.inc_by(stats.keyring_unwraps);

    let mut registry = Registry::with_prefix("strongroom");
    registry.register("cache_hits", "What a verb needed and a cache held", hits);
    registry.register("cache_misses", "What a verb needed and a cache did not hold", misses);
    registry.register("cache_entries", "What a cache holds now", entries);
    registry.register("keyring_unwraps", "Keyrings opened with the root key", unwraps);
    registry
}
