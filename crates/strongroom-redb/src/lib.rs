//! A `strongroom` store on redb 4: embedded, durable, in one file. The store to choose for one process.
//!
//! ```
//! # use std::sync::Arc;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("vault.redb");
//! use strongroom_store::{Key, Store, WriteBatch};
//! use strongroom_redb::RedbStore;
//! let store = RedbStore::open(&path)?;
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
//!   thread packs the waiting batches into one transaction with one sync, and then answers all of them, conflicts too
//!   (see `strongroom-committer`).
//! * **A read is a snapshot of what is durable.** All gets and scans of a `read` are answered by one redb transaction;
//!   a batch is visible only after its sync. Readers do not wait for a writer, nor writers for readers, except for the
//!   moment in which the newest snapshot replaces the last one.
//! * **A failed sync is never tried again.** From then on every call returns `Poisoned`, and a batch answered that way
//!   may or may not be there after a restart. The kernel may keep showing what it failed to write, so restart the
//!   machine, not only the process, before you trust the disk again.
//! * **[`RedbStore`]: one process at a time.** The file is locked. A file that is not a store is refused and left as it
//!   was; only another program's redb file that was not closed properly is repaired first, as its owner would have done
//!   on opening it.
//! * **Or several processes that only read.** [`RedbReader`] writes nothing, and keeps writers out while it is open.
//! * **One transaction with the host's own rows.** [`RedbTableStore`] keeps the store in one table of a database that
//!   the host has open. What [`Org::plan`] made is applied in a write transaction of the host:
//!   [`RedbTableStore::plans`].
//! * **A new store appears only when it is complete.** It is created under a temporary name, `.strongroom-….new`, and
//!   then renamed, readable only by its owner. A process that is killed meanwhile may leave the temporary name behind.
//!
//! # What to know
//!
//! * **Deleting a row shreds nothing.** Replaced and removed bytes stay in the file until redb reuses their pages, and
//!   on the disk for longer. To destroy a value, destroy the key it is sealed under.
//! * **Space.** The file grows as needed and reuses freed space. [`compact`](RedbStore::compact) gives the rest back;
//!   reads and writes wait meanwhile.
//! * **Memory.** redb keeps up to 256 MiB of pages. A row that is not cached is read from the disk on the calling
//!   thread, inside `read`.
//! * **Opening** takes milliseconds after a clean close. After a crash redb reads the whole file once, to check it.
//! * **One sync per commit.** A commit interrupted by a crash is detected by checksums. They do not protect against
//!   someone who writes to the file: an intruder on the machine can also undo a commit by putting back an older file.
//! * **Platforms.** Linux is tested, including power cuts on ext4. Others are best effort.
//!
//! It is not: a store for rows over 80 KiB.
//!
//! [`Org::plan`]: https://docs.rs/strongroom/latest/strongroom/struct.Org.html#method.plan

#[cfg(test)]
mod crash;
mod disk;
mod failure;
mod file;
mod plans;
mod read;
mod reader;
#[cfg(doctest)]
mod readme;
mod revisions;
mod row;
mod store;
mod table;
mod writer;

pub use plans::Plans;
pub use reader::RedbReader;
pub use store::RedbStore;
pub use table::RedbTableStore;
