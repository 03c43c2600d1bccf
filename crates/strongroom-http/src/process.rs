//! The resources of this process, as metrics with the names that every exporter uses.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The present counts. Omits those that the system does not report.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("process");
    let mut gauge = |name: &str, help: &str, value: Option<i64>| {
        let Some(value) = value else { return };
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("resident_memory_bytes", "Memory in use", resident_bytes());
    gauge("open_fds", "Open file descriptors", open_descriptors());
    gauge("start_time_seconds", "When the process was first asked, in seconds since 1970", started());
    registry
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

fn open_descriptors() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

fn started() -> Option<i64> {
    static STARTED: OnceLock<Option<i64>> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    })
}
