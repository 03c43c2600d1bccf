//! A store that lets others in at a chosen point of a verb.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom_memory::MemoryStore;

/// Where in a call others are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeRead,
    AfterRead,
    BeforeCommit,
    /// The batch is applied, and nobody has heard of it.
    AfterCommit,
}

type Hook = Box<dyn FnOnce() + Send>;

/// Runs what it was given, on a thread of its own, at the next call that comes to its point. Not shared: the engine
/// trusts its caches.
#[derive(Clone)]
pub(crate) struct Hooked {
    inner: Arc<MemoryStore>,
    hooks: Arc<Mutex<Vec<(Point, Hook)>>>,
    shared: bool,
}

impl Hooked {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self { inner, hooks: Arc::default(), shared: false }
    }

    /// The same store and hooks, for an engine that knows of others.
    pub(crate) fn shared(&self) -> Self {
        Self { shared: true, ..self.clone() }
    }

    /// Once, at the next call that comes to `point`. Of two hooks for one point, one call runs the first.
    pub(crate) fn once(&self, point: Point, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().push((point, Box::new(hook)));
    }

    /// Lets `skip` calls pass first.
    pub(crate) fn once_after(&self, point: Point, skip: usize, hook: impl FnOnce() + Send + 'static) {
        for _ in 0..skip {
            self.once(point, || ());
        }
        self.once(point, hook);
    }

    pub(crate) fn hooks_left(&self) -> usize {
        self.hooks.lock().unwrap().len()
    }

    fn reach(&self, point: Point) {
        let mut hooks = self.hooks.lock().unwrap();
        let Some(index) = hooks.iter().position(|(at, _)| *at == point) else { return };
        let (_, hook) = hooks.remove(index);
        drop(hooks);
        std::thread::spawn(hook).join().unwrap();
    }
}

#[async_trait]
impl Store for Hooked {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.reach(Point::BeforeRead);
        let set = self.inner.read(request).await;
        self.reach(Point::AfterRead);
        set
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.reach(Point::BeforeCommit);
        let committed = self.inner.commit(batch).await;
        self.reach(Point::AfterCommit);
        committed
    }

    fn capabilities(&self) -> Capabilities {
        let inner = (*self.inner).capabilities();
        if self.shared { inner.with_sharing() } else { inner }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}
