//! The store, shown to others by the process that has it open.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom_store::{Store, StoreError, StoreErrorKind};

use crate::client::RELEASE;
use crate::codec::{self, Call};
use crate::own::DoorStore;
use crate::place::Listening;
use crate::{frame, peer};

/// A socket through which other processes of this user reach the store. Dropping it removes the socket, ends the
/// connections, and waits for the calls that are at work: five seconds at most for one who does not read his answer.
#[derive(Debug)]
pub struct Door {
    room: Arc<Room>,
    listening: Listening,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of a door share.
#[derive(Debug)]
struct Room {
    store: Arc<dyn Store>,
    entered: Arc<AtomicBool>,
    closing: AtomicBool,
    /// Not a part of the room, since a thread leaves it after it has let go of the store.
    inside: Arc<Inside>,
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Inside {
    streams: Mutex<Vec<(u64, UnixStream)>>,
    left: Condvar,
}

impl DoorStore {
    /// Opens a door at `path`, in place of a socket that an ended process of this user left there. Its directory must
    /// be one in which nobody else can replace files.
    ///
    /// # Errors
    /// The system's, if no socket can be made there; `PermissionDenied` if something else lies there.
    pub fn open_door(&self, path: impl AsRef<Path>) -> io::Result<Door> {
        let listening = Listening::at(path.as_ref())?;
        let listener = listening.listener.try_clone()?;
        let room = Arc::new(Room {
            store: Arc::clone(&self.store),
            entered: Arc::clone(&self.entered),
            closing: AtomicBool::new(false),
            inside: Arc::default(),
        });
        let own = Arc::clone(&room);
        let accepting =
            thread::Builder::new().name("strongroom-door".to_owned()).spawn(move || own.accept(&listener))?;
        Ok(Door { room, listening, accepting: Some(accepting) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.room.closing.store(true, Ordering::SeqCst);
        self.room.end_all();
        // Who waits for the next connection sees the flag; nobody new comes in.
        self.listening.wake();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        // With the last one that was let in.
        self.room.end_all();
        let Inside { left, .. } = &*self.room.inside;
        let streams = self.room.inside.streams();
        let waited = left.wait_timeout_while(streams, ANSWERS_MAX, |streams| !streams.is_empty());
        let mut streams = waited.unwrap_or_else(PoisonError::into_inner).0;
        // Whoever has not read an answer by now does not read it.
        for (_, stream) in streams.iter() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        while !streams.is_empty() {
            streams = left.wait(streams).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Room {
    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        loop {
            let accepted = listener.accept();
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.let_in(stream),
                // For lack of descriptors, for example: one of those inside leaves sooner or later.
                Err(_) => thread::sleep(PAUSE),
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
        let mut streams = self.inside.streams();
        while streams.len() >= INSIDE_MAX && !self.closing.load(Ordering::SeqCst) {
            streams = self.inside.left.wait(streams).unwrap_or_else(PoisonError::into_inner);
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        streams.push((id, kept));
        drop(streams);
        let room = Arc::clone(self);
        let spawned = thread::Builder::new().name("strongroom-door".to_owned()).spawn(move || {
            let _leaving = Leaving { inside: Arc::clone(&room.inside), id };
            // Dropped before it leaves: once a door has closed, none of its threads holds the store.
            let own = room;
            // An error is the other end's: it went away, or broke the protocol.
            let _ = own.serve(&stream);
        });
        if spawned.is_err() {
            self.inside.leave(id);
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        // A connection that does not greet takes the place of another one; between two calls there may be any pause.
        let (hello_end, mut greeted) = (Instant::now() + HELLO_MAX, false);
        let receive = |greeted| match greeted {
            true => frame::receive(stream, CALL_BYTES_MAX),
            false => frame::receive_until(hello_end, stream, CALL_BYTES_MAX),
        };
        while let Some(bytes) = receive(greeted)? {
            let answer = match Call::decode(&bytes) {
                Ok(Call::Hello(RELEASE)) => {
                    stream.set_read_timeout(None)?;
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

    /// Ends the connections once their calls are answered, and wakes up who waits for one to end.
    fn end_all(&self) {
        for (_, stream) in self.inside.streams().iter() {
            // Only the reading end: an answer that is due still goes out.
            let _ = stream.shutdown(std::net::Shutdown::Read);
        }
        self.inside.left.notify_all();
    }
}

impl Inside {
    fn leave(&self, id: u64) {
        self.streams().retain(|(other, _)| *other != id);
        self.left.notify_all();
    }

    fn streams(&self) -> MutexGuard<'_, Vec<(u64, UnixStream)>> {
        // Every change is one push or removal, so that a panic leaves nothing half done.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection off the list, also if its thread panics.
struct Leaving {
    inside: Arc<Inside>,
    id: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.inside.leave(self.id);
    }
}

const INSIDE_MAX: usize = 64;
/// How long a door that closes waits for its answers to be read.
const ANSWERS_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take until it has greeted.
const HELLO_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Above the largest batch that a store takes, with its expectations.
const CALL_BYTES_MAX: u32 = 64 << 20;
