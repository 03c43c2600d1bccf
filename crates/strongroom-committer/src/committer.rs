//! The committer, as the store that owns it sees it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use futures_channel::oneshot;
use strongroom_store::{Committed, StoreError, StoreErrorKind, WriteBatch};

use crate::Readers;
use crate::failure::{closed, guarded, of_io, poisoned};
use crate::group::Crowd;
use crate::job::{Job, Pending};
use crate::thread::Thread;
use crate::writer::Writer;

/// The thread that writes, and what its readers look at. Dropping it does what [`close`](Self::close) does, but reports
/// nothing.
pub struct Committer<W: Writer> {
    readers: Arc<Readers<W::View>>,
    jobs: Sender<Job<W>>,
    unanswered: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<W: Writer> Committer<W> {
    /// Starts the thread, under a name of up to 15 bytes.
    ///
    /// # Errors
    /// `Unavailable` when the system has no room for another thread.
    pub fn start(name: &'static str, writer: W, view: W::View) -> Result<Self, StoreError> {
        let readers = Arc::new(Readers::new(view));
        let crowd = Crowd::default();
        let unanswered = Arc::clone(&crowd.unanswered);
        let (jobs, queue) = channel();
        let thread = Thread { writer, readers: Arc::clone(&readers), crowd };
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || thread.run(&queue))
            .map_err(|error| of_io(error, "the thread of the store could not be started"))?;
        Ok(Self { readers, jobs, unanswered, thread: Mutex::new(Some(thread)) })
    }

    /// What readers look at.
    pub fn readers(&self) -> &Readers<W::View> {
        &self.readers
    }

    /// Commits a batch that has passed [`WriteBatch::check`], together with others.
    ///
    /// # Errors
    /// Those of the writer; `Poisoned` after a failure, `Closed` after the end.
    pub async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let (answer, outcome) = oneshot::channel();
        // Relaxed: how many to wait for is a guess. Before the batch is sent, so that its answer finds it counted.
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        // A closed store has no thread left to take the batch, or drops it unapplied.
        self.jobs.send(Job::Commit(Pending { batch, answer })).map_err(|_| self.refusal())?;
        outcome.await.map_err(|_| self.refusal())?
    }

    /// Does `work` on the thread, between two groups. An error of it poisons the store, like that of a commit.
    ///
    /// # Errors
    /// `Poisoned` with the cause when `work` or something before it failed, `Closed` after the end.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W, &Readers<W::View>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let work = Box::new(move |writer: &mut W, readers: &Readers<W::View>| {
            let done = readers
                .poisoned()
                .and_then(|()| guarded(|| work(writer, readers)).map_err(|cause| readers.poison(cause)));
            // Refused when the caller dropped its future.
            let _ = answer.send(done.map_err(|cause| poisoned(&cause)));
        });
        self.jobs.send(Job::Work(work)).map_err(|_| self.refusal())?;
        outcome.await.map_err(|_| self.refusal())?
    }

    /// Waits until everything accepted is durable and the writer has let go of its files. Safe to call twice.
    ///
    /// # Errors
    /// `Poisoned`, with what kept the last of it from being durable.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        if self.jobs.send(Job::Close(answer)).is_ok() {
            // Cancelled when another close came first.
            let _ = done.await;
        }
        self.join();
        let refusal = self.refusal();
        if refusal.kind() == StoreErrorKind::Closed { Ok(()) } else { Err(refusal) }
    }

    /// The error of a store whose thread is gone.
    fn refusal(&self) -> StoreError {
        self.readers.refusal().unwrap_or_else(closed)
    }

    /// Waits until the thread has let go of everything.
    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // How it went is in the state of the readers.
            let _ = thread.join();
        }
    }
}

impl<W: Writer> Drop for Committer<W> {
    fn drop(&mut self) {
        let (answer, _) = oneshot::channel();
        // Refused when the store was closed before.
        let _ = self.jobs.send(Job::Close(answer));
        self.join();
    }
}

impl<W: Writer> fmt::Debug for Committer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committer")
    }
}
