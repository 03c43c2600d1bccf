//! Rows as the store has them, and rows that can no longer be read.

use std::sync::Arc;

use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store, WriteBatch};

pub(crate) async fn rows(store: &impl Store) -> Vec<(Key, Vec<u8>)> {
    let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1_000)] };
    let page = store.read(&request).await.unwrap().scans.remove(0);
    page.rows.into_iter().map(|(key, row)| (key, row.value)).collect()
}

pub(crate) fn holds(key: &Key, part: &[u8]) -> bool {
    key.as_bytes().windows(part.len()).any(|window| window == part)
}

/// Alters the rows of these keys.
pub(crate) async fn damage(store: &impl Store, is_it: impl Fn(&Key) -> bool) {
    for (key, mut value) in rows(store).await {
        if is_it(&key) {
            *value.last_mut().unwrap() ^= 1;
            let mut batch = WriteBatch::default();
            batch.put(key, value);
            store.commit(Arc::new(batch)).await.unwrap();
        }
    }
}
