//! A store that is pending around every call, so that a future can be dropped there.

use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom_memory::MemoryStore;

/// Pending once before each call does its work, and once after. Not shared.
#[derive(Debug, Clone)]
pub(crate) struct Slow(pub(crate) Arc<MemoryStore>);

#[async_trait]
impl Store for Slow {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        pend().await;
        let set = self.0.read(request).await;
        pend().await;
        set
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        pend().await;
        let committed = self.0.commit(batch).await;
        pend().await;
        committed
    }

    fn capabilities(&self) -> Capabilities {
        (*self.0).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

async fn pend() {
    let mut pended = false;
    std::future::poll_fn(|context| {
        if pended {
            return Poll::Ready(());
        }
        pended = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
