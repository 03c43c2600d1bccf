//! The counters of a vault and of the store under it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use strongroom::{ErrorKind, Observation, Observer, Outcome};

/// The counters of a vault and of the store under it. Cheap to clone; every clone counts into the same.
///
/// As an [`Observer`] it counts verbs, by their name and outcome; a [`MeasuredStore`](crate::MeasuredStore) counts the
/// calls of the store.
///
/// ```
/// # futures_executor::block_on(async {
/// use strongroom::{Environment, RawKey, Unlock, VarFormat, VariableDefinition, VaultOptions};
/// use strongroom_metrics::{MeasuredStore, VaultMetrics};
/// let metrics = VaultMetrics::new();
/// let store = MeasuredStore::new(strongroom_memory::MemoryStore::new(), &metrics);
/// let options = VaultOptions::default().observer(metrics.clone());
/// let vault = options.create(store, Unlock::raw_key(RawKey::generate()?)).await?;
/// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
/// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
/// assert!(metrics.text().contains("strongroom_verbs_total{verb=\"define\",outcome=\"ok\"} 1"));
/// # Ok::<(), strongroom::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct VaultMetrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    verbs: Family<VerbLabels, Counter>,
    verb_seconds: Family<NameLabels, Histogram, fn() -> Histogram>,
    /// Without labels, so that it is there at zero before the first: only then does an increase show it.
    damage_met: Counter,
    store_calls: Family<StoreLabels, Counter>,
    store_seconds: Family<CallLabels, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

impl VaultMetrics {
    /// Counters, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let (verbs, store_calls) = (Family::default(), Family::default());
        let verb_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let store_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let mut registry = Registry::with_prefix("strongroom");
        registry.register("verbs", "Calls of verbs by outcome", Clone::clone(&verbs));
        let help = "Time of a call of a verb";
        registry.register_with_unit("verb", help, Unit::Seconds, Clone::clone(&verb_seconds));
        let damage_met = Counter::default();
        let help = "Calls of verbs that met a row that cannot be read";
        registry.register("damage_met", help, damage_met.clone());
        registry.register("store_calls", "Calls of the backend by outcome", Clone::clone(&store_calls));
        let help = "Time of a call of the backend";
        registry.register_with_unit("store_call", help, Unit::Seconds, Clone::clone(&store_seconds));
        Self(Arc::new(Inner { registry, verbs, verb_seconds, damage_met, store_calls, store_seconds }))
    }

    /// All counters in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.families();
        // Writing to a string does not fail.
        let _ = encode_eof(&mut text);
        text
    }

    /// The same without the line that ends such a text, to be put among the metrics of the host's own.
    #[must_use]
    pub fn families(&self) -> String {
        let mut text = String::new();
        let _ = encode_registry(&mut text, &self.0.registry);
        text
    }

    /// The counters of one call of the backend, looked up once.
    pub(crate) fn store_meter(&self, call: &'static str) -> StoreMeter {
        let calls = self.0.store_calls.clone();
        // Looked up here and not for every call: the family is behind a lock.
        let succeeded = calls.get_or_create_owned(&StoreLabels { call, outcome: "ok" });
        let seconds = self.0.store_seconds.get_or_create_owned(&CallLabels { call });
        StoreMeter { call, calls, succeeded, seconds }
    }
}

impl Observer for VaultMetrics {
    fn observe(&self, seen: &Observation<'_>) {
        let labels = VerbLabels { verb: seen.verb, outcome: seen.outcome.as_str() };
        self.0.verbs.get_or_create(&labels).inc();
        if seen.outcome == Outcome::Failed(ErrorKind::Damaged) {
            self.0.damage_met.inc();
        }
        let seconds = seen.duration.as_secs_f64();
        self.0.verb_seconds.get_or_create(&NameLabels { verb: seen.verb }).observe(seconds);
    }
}

impl Default for VaultMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VaultMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultMetrics")
    }
}

/// The counters of one call of the backend.
#[derive(Debug)]
pub(crate) struct StoreMeter {
    call: &'static str,
    calls: Family<StoreLabels, Counter>,
    succeeded: Counter,
    seconds: Histogram,
}

impl StoreMeter {
    /// Counts a call that succeeded, or failed with `outcome`.
    pub(crate) fn count(&self, outcome: Result<(), &'static str>, time: Duration) {
        match outcome {
            Ok(()) => self.succeeded.inc(),
            Err(outcome) => self.calls.get_or_create(&StoreLabels { call: self.call, outcome }).inc(),
        };
        self.seconds.observe(time.as_secs_f64());
    }
}

/// From 50 µs to 13 s: from a read of a warm cache to a call that is about to time out.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 4.0, 10))
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use strongroom::{Environment, RawKey, Unlock, VaultOptions};
    use strongroom_memory::MemoryStore;

    use super::*;
    use crate::MeasuredStore;

    #[test]
    fn verbs_and_calls_of_the_store_are_counted_by_outcome_and_nothing_is_named() {
        let metrics = VaultMetrics::new();
        let store = MeasuredStore::new(MemoryStore::new(), &metrics);
        let options = VaultOptions::default().observer(metrics.clone());
        let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = block_on(options.create(store, key)).unwrap();
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        for _ in 0..2 {
            assert!(block_on(org.value("CANARY", strongroom::Scope::Org)).is_err());
        }
        let text = metrics.text();
        for line in [
            // There before the first, so that an alert sees it come.
            "\nstrongroom_damage_met_total 0\n",
            "strongroom_verbs_total{verb=\"value\",outcome=\"not_found\"} 2",
            "strongroom_verb_seconds_count{verb=\"value\"} 2",
            "strongroom_store_calls_total{call=\"commit\",outcome=\"ok\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("CANARY") && !text.contains("6500a1b2"));
    }

    #[test]
    fn a_call_of_the_store_that_failed_is_timed_too() {
        let metrics = VaultMetrics::new();
        let reads = metrics.store_meter("read");
        reads.count(Ok(()), Duration::ZERO);
        reads.count(Err("unavailable"), Duration::from_secs(3));
        let text = metrics.text();
        assert!(text.contains("strongroom_store_call_seconds_sum{call=\"read\"} 3"), "{text}");
        assert!(text.contains("strongroom_store_call_seconds_count{call=\"read\"} 2"), "{text}");
    }
}
