//! A store whose answers and batches are altered on their way.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};

type OnRead = dyn Fn(&ReadBatch, &mut ReadSet) + Send + Sync;
type OnCommit = dyn Fn(&mut WriteBatch) -> Result<(), StoreError> + Send + Sync;

/// A store like the one inside, but for what a function makes of its answers, its batches or its capabilities.
#[derive(Clone)]
pub(crate) struct Altered {
    inner: Arc<dyn Store>,
    on_read: Arc<OnRead>,
    on_commit: Arc<OnCommit>,
    capabilities: Capabilities,
}

impl Altered {
    pub(crate) fn of(inner: impl Store) -> Self {
        let capabilities = inner.capabilities();
        Self {
            inner: Arc::new(inner),
            on_read: Arc::new(|_, _| ()),
            on_commit: Arc::new(|_| Ok(())),
            capabilities,
        }
    }

    pub(crate) fn on_read(self, alter: impl Fn(&ReadBatch, &mut ReadSet) + Send + Sync + 'static) -> Self {
        Self { on_read: Arc::new(alter), ..self }
    }

    /// A batch of which the function makes an error is not committed.
    pub(crate) fn on_commit(
        self,
        alter: impl Fn(&mut WriteBatch) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self { on_commit: Arc::new(alter), ..self }
    }

    pub(crate) fn declared(self, declare: impl FnOnce(Capabilities) -> Capabilities) -> Self {
        Self { capabilities: declare(self.capabilities), ..self }
    }

    /// With batches of at most 20 operations.
    pub(crate) fn small(inner: impl Store) -> Self {
        let small = Self::of(inner).declared(|inner| inner.with_batch_max(20, 1 << 20));
        let capabilities = small.capabilities;
        small.on_commit(move |batch| batch.check(&capabilities))
    }
}

#[async_trait]
impl Store for Altered {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = self.inner.read(request).await?;
        (self.on_read)(request, &mut set);
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let mut batch = Arc::unwrap_or_clone(batch);
        (self.on_commit)(&mut batch)?;
        self.inner.commit(Arc::new(batch)).await
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

impl std::fmt::Debug for Altered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Altered")
    }
}
