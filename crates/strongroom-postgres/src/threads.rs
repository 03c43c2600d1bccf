//! The threads that drive a store's connections.

use std::future::Future;

use strongroom_store::StoreError;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::failure::unavailable;

/// Two threads of the store's own, or the runtime of the host whose pool it uses. Tasks on its own threads are dropped
/// with them.
pub(crate) struct Threads {
    /// Taken only by `drop`; `None` if the host's runtime is used.
    own: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    /// The threads of the host.
    pub(crate) fn of_host(handle: Handle) -> Self {
        Self { own: None, handle }
    }

    pub(crate) fn start() -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("strongroom-postgres")
            .enable_all()
            .build()
            .map_err(|error| {
                unavailable("the threads of the store could not be started").with_source(error)
            })?;
        let handle = runtime.handle().clone();
        Ok(Self { own: Some(runtime), handle })
    }

    /// Runs a future to its end, even if nobody waits for it.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.handle.spawn(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.own.take() {
            // A runtime must not wait for its threads inside another runtime.
            runtime.shutdown_background();
        }
    }
}
