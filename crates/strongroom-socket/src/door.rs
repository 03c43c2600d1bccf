//! The store, shown to others by the process that has it open.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom_store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};

use crate::client::RELEASE;
use crate::codec::{self, Call};
use crate::place::Listening;
use crate::{frame, peer};

/// A store for the vault of this process, to which a [`Door`] can be opened. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct DoorStore {
    store: Arc<dyn Store>,
    /// Whether anyone has come in.
    entered: Arc<AtomicBool>,
}

/// A socket through which other processes of this user reach the store. Dropping it removes the socket, ends the
/// connections, and waits for the calls that are at work.
#[derive(Debug)]
pub struct Door {
    room: Arc<Room>,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of a door share.
#[derive(Debug)]
struct Room {
    store: Arc<dyn Store>,
    entered: Arc<AtomicBool>,
    listening: Listening,
    closing: AtomicBool,
    inside: Mutex<Inside>,
    left: Condvar,
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Inside {
    streams: Vec<(u64, UnixStream)>,
}

impl DoorStore {
    /// `store`, which is this process's own until somebody comes in.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, entered: Arc::default() }
    }

    /// Opens a door at `path`, in place of a socket that an ended process of this user left there. Its directory must
    /// be one in which nobody else can replace files.
    ///
    /// # Errors
    /// The system's, if no socket can be made there; `PermissionDenied` if something else lies there.
    pub fn open_door(&self, path: impl AsRef<Path>) -> io::Result<Door> {
        let room = Arc::new(Room {
            store: Arc::clone(&self.store),
            entered: Arc::clone(&self.entered),
            listening: Listening::at(path.as_ref())?,
            closing: AtomicBool::new(false),
            inside: Mutex::default(),
            left: Condvar::new(),
        });
        let own = Arc::clone(&room);
        let accepting =
            thread::Builder::new().name("strongroom-door".to_owned()).spawn(move || own.accept())?;
        Ok(Door { room, accepting: Some(accepting) })
    }
}

#[async_trait]
// A default method of the trait would call this store and not the inner one's own.
#[deny(clippy::missing_trait_methods)]
impl Store for DoorStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.store.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.store.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        // Of the store itself: that it is held here does not make it shared.
        let own = (*self.store).capabilities();
        // Acquire: pairs with the release in `enter`, so that who sees what came through the door knows of it. Never
        // cleared: a cached row from before the first one came in may be older than what was written since.
        if self.entered.load(Ordering::Acquire) { own.with_sharing() } else { own }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.room.closing.store(true, Ordering::SeqCst);
        // Who waits for the next connection sees the flag; nobody new comes in.
        self.room.listening.wake();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let mut inside = self.room.inside();
        for (_, stream) in &inside.streams {
            // Only the reading end: an answer that is due still goes out.
            let _ = stream.shutdown(std::net::Shutdown::Read);
        }
        while !inside.streams.is_empty() {
            inside = self.room.left.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Room {
    fn accept(self: &Arc<Self>) {
        loop {
            let accepted = self.listening.listener.accept();
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.let_in(stream),
                // For lack of descriptors, for example: one of those inside leaves sooner or later.
                Err(_) => thread::yield_now(),
            }
        }
    }

    /// Gives a connection a thread of its own, once there is room for it.
    fn let_in(self: &Arc<Self>, stream: UnixStream) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if peer::refuse_others(&stream).is_err() {
            return;
        }
        let Ok(kept) = stream.try_clone() else { return };
        let mut inside = self.inside();
        while inside.streams.len() >= INSIDE_MAX {
            inside = self.left.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        inside.streams.push((id, kept));
        drop(inside);
        let room = Arc::clone(self);
        let spawned = thread::Builder::new().name("strongroom-door".to_owned()).spawn(move || {
            let leaving = Leaving { room: &room, id };
            // An error is the other end's: it went away, or broke the protocol.
            let _ = room.serve(&stream);
            drop(leaving);
        });
        if spawned.is_err() {
            self.leave(id);
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let mut greeted = false;
        while let Some(bytes) = frame::receive(stream, CALL_BYTES_MAX)? {
            let answer = match Call::decode(&bytes) {
                Ok(Call::Hello(RELEASE)) => {
                    greeted = true;
                    self.enter()
                }
                Ok(Call::Read(batch)) if greeted => match block_on(self.store.read(&batch)) {
                    Ok(set) => codec::rows(&set),
                    Err(error) => codec::failed(&error),
                },
                Ok(Call::Commit(batch)) if greeted => match block_on(self.store.commit(Arc::new(batch))) {
                    Ok(done) => codec::committed(done),
                    Err(error) => codec::failed(&error),
                },
                Ok(_) | Err(_) => {
                    let message = "the process that has the store open is of another release";
                    codec::failed(&StoreError::new(StoreErrorKind::Unsupported, message))
                }
            };
            frame::send(stream, &answer)?;
        }
        Ok(())
    }

    /// From now on the store is shared. It is so before the first call is answered, and all the more written.
    fn enter(&self) -> Vec<u8> {
        self.entered.store(true, Ordering::Release);
        codec::welcome(&(*self.store).capabilities())
    }

    fn leave(&self, id: u64) {
        self.inside().streams.retain(|(other, _)| *other != id);
        self.left.notify_all();
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Every change is one push or removal, so that a panic leaves nothing half done.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection off the list, also if its thread panics.
struct Leaving<'r> {
    room: &'r Room,
    id: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.room.leave(self.id);
    }
}

const INSIDE_MAX: usize = 64;
/// Above the largest batch that a store takes, with its expectations.
const CALL_BYTES_MAX: u32 = 64 << 20;
