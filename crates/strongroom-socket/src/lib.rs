//! A `strongroom` store that another process has open, through a Unix socket of its owner.
//!
//! An embedded store belongs to one process at a time. That process opens a [`Door`] to it; others of the same user
//! come in with [`SocketStore`], which is a store like any other: a vault is opened on it with its own key, and
//! whatever works on several handles of a shared store works here.
//!
//! ```
//! # use std::sync::Arc;
//! # let directory = tempfile::tempdir()?;
//! # let socket = directory.path().join("vault.sock");
//! use strongroom_memory::MemoryStore;
//! use strongroom_socket::{DoorStore, SocketStore};
//! use strongroom_store::{ReadBatch, Store};
//! let own = DoorStore::new(Arc::new(MemoryStore::new())); // for the vault of this process
//! let door = own.open_door(&socket)?;
//! let other = SocketStore::connect(&socket)?; // elsewhere
//! futures_executor::block_on(other.read(&ReadBatch::default()))?;
//! drop(door); // removes the socket
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! * **It gives what the file gives, and no more.** Rows go through as they are stored: sealed. No key of the vault
//!   and no plaintext ever does, and who comes in has to bring a key of the vault.
//! * **Only for the owner.** The socket has the mode 0600. On Linux each end asks the system who is at the other one,
//!   and refuses everyone but its own user and root, whatever the modes say; a socket that somebody planted is refused
//!   by who listens there.
//! * **One truth.** From the first one who comes in, the engine of the owning process takes the store for shared and
//!   checks its caches with each read, until it ends. Before that, nothing costs anything.
//! * **The socket goes with its process.** It is removed at the end. One that a killed process left behind is replaced
//!   at once by the next owner, which holds the lock of the store by then.
//! * **A commit whose answer is lost is [`Indeterminate`](strongroom_store::StoreErrorKind::Indeterminate).**
//!
//! # What to know
//!
//! * **A call blocks its thread**: it is meant for commands, not for the many tasks of a server.
//! * **Each connection has a thread** in the owning process; there are at most 64, and one more waits.
//!   One that does not greet within five seconds is ended.
//!
//! It is not: a network protocol. Both ends are of one release, and refuse each other otherwise.

#[cfg(unix)]
mod client;
mod codec;
#[cfg(unix)]
mod door;
#[cfg(unix)]
mod frame;
mod own;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
mod place;

#[cfg(unix)]
pub use client::SocketStore;
#[cfg(unix)]
pub use door::Door;
#[cfg(not(unix))]
pub use own::Door;
pub use own::DoorStore;
