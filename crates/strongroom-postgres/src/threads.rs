//! The threads that drive a store's connections.

use std::future::Future;

use strongroom_store::StoreError;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::failure::unavailable;

/// Two threads of the store's own. What runs on them is dropped with them.
pub(crate) struct Threads {
    /// Taken by `drop` only.
    runtime: Option<Runtime>,
}

impl Threads {
    pub(crate) fn start() -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("strongroom-postgres")
            .enable_all()
            .build()
            .map_err(|error| {
                unavailable("the threads of the store could not be started").with_source(error)
            })?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs a future to its end, even when nobody waits for it.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let runtime = self.runtime.as_ref().expect("only drop takes the runtime");
        runtime.spawn(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not wait for its threads where another one runs.
            runtime.shutdown_background();
        }
    }
}
