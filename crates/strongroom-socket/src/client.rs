//! The store, seen from outside.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{self, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use strongroom_store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::{codec, frame, place};

/// A store that another process has open. Its calls block the thread that polls them.
#[derive(Debug)]
pub struct SocketStore {
    path: PathBuf,
    capabilities: Capabilities,
    /// Connections that wait for the next call.
    idle: Mutex<Vec<UnixStream>>,
    closed: AtomicBool,
}

/// A call that got no answer.
enum Lost {
    /// Less than all of it was sent, which nobody takes.
    Unsent(io::Error),
    /// The other process may have taken it.
    Sent(io::Error),
}

impl SocketStore {
    /// Comes in through the socket at `path`, where a [`Door`](crate::Door) of this user is open.
    ///
    /// # Errors
    /// `Unavailable` if nobody listens there, or another user does; `Unsupported` if the other process is of another
    /// release.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        // Later calls connect too, and the process may change its directory.
        let path = path::absolute(path).map_err(unavailable)?;
        let (stream, answer) = greeted(&path).map_err(unavailable)?;
        let capabilities = codec::capabilities(&answer).map_err(|_| other_release())??;
        let idle = Mutex::new(vec![stream]);
        Ok(Self { path, capabilities, idle, closed: AtomicBool::new(false) })
    }

    /// Sends a call on a connection that is free, or on a new one.
    fn call(&self, bytes: &[u8]) -> Result<Vec<u8>, Lost> {
        loop {
            let free = self.idle().pop();
            let was_free = free.is_some();
            let stream = free.map_or_else(|| self.greet(), Ok).map_err(Lost::Unsent)?;
            match exchange(&stream, bytes) {
                // It ended since its last call; the store may have been opened again.
                Err(Lost::Unsent(_)) if was_free => {}
                Err(lost) => return Err(lost),
                Ok(answer) => {
                    self.idle().push(stream);
                    return Ok(answer);
                }
            }
        }
    }

    fn greet(&self) -> io::Result<UnixStream> {
        greeted(&self.path).map(|(stream, _)| stream)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<UnixStream>> {
        // Every change is one push or pop, so that a panic leaves nothing half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_closed(&self) -> Result<(), StoreError> {
        // Acquire: pairs with `close`, after which no connection is taken.
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for SocketStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.refuse_closed()?;
        request.check()?;
        let answer = self.call(&codec::read(request)).map_err(|lost| unavailable(lost.into()))?;
        let set = codec::read_set(&answer).map_err(|_| other_release())??;
        if set.gets.len() != request.gets.len() || set.scans.len() != request.scans.len() {
            return Err(other_release());
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.refuse_closed()?;
        batch.check(&self.capabilities)?;
        match self.call(&codec::commit(&batch)) {
            Ok(answer) => {
                codec::revision(&answer).map_err(|_| indeterminate(io::ErrorKind::InvalidData.into()))?
            }
            Err(Lost::Unsent(error)) => Err(unavailable(error)),
            Err(Lost::Sent(error)) => Err(indeterminate(error)),
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        // Every commit was answered, so nothing is left to be made durable.
        self.idle().clear();
        Ok(())
    }
}

/// A connection on which the other side has answered. One that is stopped, or only listens, never does.
fn greeted(path: &Path) -> io::Result<(UnixStream, Vec<u8>)> {
    let stream = place::connect(path)?;
    let end = Instant::now() + GREETING_MAX;
    stream.set_write_timeout(Some(GREETING_MAX))?;
    frame::send(&stream, &codec::hello(RELEASE))?;
    let answer = frame::receive_until(end, &stream, u32::MAX)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    stream.set_write_timeout(Some(CALL_MAX))?;
    stream.set_read_timeout(Some(CALL_MAX))?;
    Ok((stream, answer))
}

/// Sends one frame and receives the answer.
fn exchange(stream: &UnixStream, bytes: &[u8]) -> Result<Vec<u8>, Lost> {
    frame::send(stream, bytes).map_err(Lost::Unsent)?;
    let answer = frame::receive(stream, u32::MAX).map_err(Lost::Sent)?;
    answer.ok_or_else(|| Lost::Sent(io::ErrorKind::UnexpectedEof.into()))
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Unsent(error) | Lost::Sent(error) => error,
        }
    }
}

fn unavailable(error: io::Error) -> StoreError {
    let message = "the process that has the store open does not answer";
    StoreError::new(StoreErrorKind::Unavailable, message).with_source(error)
}

fn indeterminate(error: io::Error) -> StoreError {
    let message = "the process that has the store open ended before it answered";
    StoreError::new(StoreErrorKind::Indeterminate, message).with_source(error)
}

fn other_release() -> StoreError {
    let message = "the process that has the store open is of another release";
    StoreError::new(StoreErrorKind::Unsupported, message)
}

/// For whoever has it open to answer a greeting. Longer than it lets others be silent who have taken every place.
const GREETING_MAX: Duration = Duration::from_secs(8);
/// For a read or a commit, which may wait for a disk.
const CALL_MAX: Duration = Duration::from_secs(60);
/// The release of the protocol.
pub(crate) const RELEASE: u32 = 1;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use futures_executor::block_on;

    use super::*;
    use crate::codec::Call;

    /// Greets every client, and drops the connection at a commit. Returns the number of commits once a client reads.
    fn count_commits(listener: &UnixListener, capabilities: Capabilities) -> usize {
        let mut commits = 0;
        loop {
            let (stream, _) = listener.accept().unwrap();
            while let Some(bytes) = frame::receive(&stream, u32::MAX).unwrap() {
                match Call::decode(&bytes).unwrap() {
                    Call::Hello(_) => frame::send(&stream, &codec::welcome(&capabilities)).unwrap(),
                    Call::Read(_) => return commits,
                    Call::Commit(_) => {
                        commits += 1;
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_commit_that_was_sent_is_not_sent_again() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("vault.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let capabilities = strongroom_memory::MemoryStore::new().capabilities();
        let counts = thread::spawn(move || count_commits(&listener, capabilities));
        let store = SocketStore::connect(&socket).unwrap();
        let lost = block_on(store.commit(Arc::new(WriteBatch::default()))).unwrap_err();
        assert_eq!(lost.kind(), StoreErrorKind::Indeterminate);
        block_on(store.read(&ReadBatch::default())).unwrap_err();
        assert_eq!(counts.join().unwrap(), 1);
    }
}
