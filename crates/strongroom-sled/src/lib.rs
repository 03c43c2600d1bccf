//! A `strongroom` store on sled 0.34: embedded, durable, in one directory.
//!
//! ```
//! # use std::sync::Arc;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("vault");
//! use strongroom_store::{Key, Store, WriteBatch};
//! use strongroom_sled::SledStore;
//! let store = SledStore::open(&path)?;
//! let mut batch = WriteBatch::default();
//! batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
//! futures_executor::block_on(store.commit(Arc::new(batch)))?; // Power may fail from here on.
//! futures_executor::block_on(store.close())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! * **An acknowledged batch survives kill -9 and a power cut**, as long as the disk really flushes when asked to. One
//!   thread applies the waiting batches, makes them durable with one sync, and then answers all of them, conflicts too;
//!   batches that arrive meanwhile share the next sync (see `strongroom-committer`). sled's own `flush` is not enough
//!   (it never reaches the journal of the file system), so this crate syncs the data file itself.
//! * **A read sees what is applied**, which may be a batch whose sync is still in progress. Such a row is durable a
//!   moment later, or the store is poisoned. Nothing is *acknowledged* before it is durable.
//! * **A failed sync is never tried again.** From then on every call returns `Poisoned`, and a batch answered that way
//!   may or may not be there after a restart. The kernel may keep showing what it failed to write, so restart the
//!   machine, not only the process, before you trust the disk again.
//! * **One process at a time.** The directory holds a locked file, `strongroom.lock`. A directory with anything
//!   else in it but without that file is refused and left as it was.
//!
//! # What to know
//!
//! * **Deleting a row shreds nothing.** Replaced and removed bytes stay in the data file until sled happens to
//!   reuse their place, and on the disk for longer. To destroy a value, destroy the key it is sealed under.
//! * **Memory.** sled keeps up to 256 MiB of pages, and all of its page table. A row that is not cached is read
//!   from the disk on the calling thread, inside `read`.
//! * **Space.** The data file grows and shrinks by segments of 8 MiB, and each open writes up to one of them again.
//! * **Logs.** sled reports through `log`; at `trace` with the bytes of keys and rows (values are sealed by then). Keep
//!   the target `sled` above `trace`. If sled panics, its message may name a key.
//! * **Platforms.** Linux is tested, including power cuts on ext4. Others are best effort.
//!
//! It is not: a store for several processes, a store for rows over 80 KiB, or the store to choose if redb will do.

mod directory;
mod disk;
mod failure;
mod read;
mod revisions;
mod row;
mod store;
#[cfg(test)]
mod torn;
mod writer;

pub use store::SledStore;
