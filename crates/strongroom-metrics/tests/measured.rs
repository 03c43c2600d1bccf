//! How calls of the store are counted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Expect, KEY_BYTES_MAX, Key, ReadBatch, Store, WriteBatch};
use strongroom_memory::MemoryStore;
use strongroom_metrics::{MeasuredStore, VaultMetrics};

#[test]
fn a_call_that_fails_is_counted_by_the_kind_of_its_error() {
    let metrics = VaultMetrics::new();
    let store = MeasuredStore::new(MemoryStore::new(), &metrics);
    let key = |len: usize| Key::from(vec![b'k'; len]);
    let mut batch = WriteBatch::default();
    batch.expect(key(1), Expect::Exists);
    block_on(store.commit(Arc::new(batch))).unwrap_err();
    for len in [KEY_BYTES_MAX + 1, 0] {
        block_on(store.read(&ReadBatch { gets: vec![key(len)], scans: vec![] })).unwrap_err();
    }
    block_on(store.close()).unwrap();
    block_on(store.read(&ReadBatch::default())).unwrap_err();
    let text = metrics.text();
    for (call, outcome) in
        [("commit", "conflict"), ("read", "too_large"), ("read", "unsupported"), ("read", "closed")]
    {
        let line = format!("strongroom_store_calls_total{{call=\"{call}\",outcome=\"{outcome}\"}} 1\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
