//! Prometheus metrics: how many and how long, never a value or a name.

/// The counters of a service and of the store under it. Cheap to clone; every clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics {}

impl Metrics {
    /// Counters that stand at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
