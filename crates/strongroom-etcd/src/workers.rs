//! Threads that wait for the network, so that no future does.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use futures_channel::oneshot;
use strongroom_store::{StoreError, StoreErrorKind};

use crate::client::Client;

type Job = Box<dyn FnOnce(&Client) + Send>;

/// Threads that share one client. Dropping them waits for the work in progress.
pub(crate) struct Workers {
    open: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(crate) fn start(client: Client) -> Result<Self, StoreError> {
        let (jobs, queue) = channel();
        let (client, queue) = (Arc::new(client), Arc::new(Mutex::new(queue)));
        let start = |_| {
            let (client, queue) = (Arc::clone(&client), Arc::clone(&queue));
            Builder::new().name("strongroom-etcd".to_owned()).spawn(move || work(&client, &queue))
        };
        let threads = (0..WORKERS).map(start).collect::<Result<_, _>>().map_err(|error| {
            let message = "the threads of the store could not be started";
            StoreError::new(StoreErrorKind::Unavailable, message).with_source(error)
        })?;
        Ok(Self { open: Mutex::new(Some(jobs)), threads: Mutex::new(threads) })
    }

    /// Does `work` on a thread. It is done even if the caller drops the future.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Client) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |client| drop(answer.send(work(client))));
        match &*self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).map_err(|_| closed())?,
            None => return Err(closed()),
        }
        outcome.await.map_err(|_| closed())?
    }

    /// Accepts nothing more, and waits for what was accepted.
    pub(crate) fn close(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // It has no outcome of its own: each job answers its caller.
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(client: &Client, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while one thread at a time waits for a job, and released before that thread runs it.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(client);
    }
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store was closed")
}

/// How many calls can be in progress at once.
const WORKERS: usize = 32;
