//! A store whose pages hold few rows.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};

/// Cuts every page to so many rows with their values. As shared as what it wraps.
#[derive(Debug)]
pub(crate) struct Paged<S> {
    inner: S,
    rows_max: usize,
}

impl<S: Store> Paged<S> {
    pub(crate) fn of(inner: S, rows_max: usize) -> Self {
        Self { inner, rows_max }
    }
}

#[async_trait]
impl<S: Store> Store for Paged<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = self.inner.read(request).await?;
        for (page, scan) in set.scans.iter_mut().zip(&request.scans) {
            // Only the bytes that a page returns count, so one of keys holds more.
            let rows_max = self.rows_max * if scan.keys_only { 16 } else { 1 };
            page.more |= page.rows.len() > rows_max;
            page.rows.truncate(rows_max);
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.inner.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
