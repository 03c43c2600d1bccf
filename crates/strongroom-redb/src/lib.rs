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
//! * **An acknowledged batch survives kill -9 and a power cut**, as long as the disk does what it says when it is
//!   asked to flush. One thread packs the batches that wait into one transaction with one sync, and then answers all of
//!   them, conflicts too (see `strongroom-committer`).
//! * **A read is a snapshot of what is durable.** All gets and scans of a `read` are answered by one transaction of
//!   redb's; a batch shows only after its sync. Readers wait for no writer, and no writer for them, but for the moment
//!   in which the newest snapshot takes the place of the last.
//! * **A failed sync is never tried again.** From then on every call answers `Poisoned`, and a batch that was so
//!   answered may or may not be there after a restart. The kernel may keep showing what it failed to write, so
//!   restart the machine, not the process alone, before you trust the disk again.
//! * **[`RedbStore`]: one process at a time.** The file is locked. What is not a store is refused and left as it was;
//!   only another program's redb file that was not closed properly is repaired first, as its owner's next opening would
//!   have done.
//! * **Or several that only read.** [`RedbReader`] writes nothing, and keeps writers out for as long as it is open.
//! * **One transaction with the host's own rows.** [`RedbTableStore`] keeps the store in one table of a database that
//!   the host has open. What [`Org::plan`] made is applied inside a write transaction of the host's:
//!   [`RedbTableStore::plans`].
//! * **A new store appears whole.** It is made under a passing name, `.strongroom-….new`, and then takes its place,
//!   readable by its owner alone. A process that is killed meanwhile may leave the passing name behind.
//!
//! # What to know
//!
//! * **Deleting a row shreds nothing.** Replaced and removed bytes stay in the file until redb reuses their pages, and
//!   on the disk for longer. To destroy a value, destroy the key it is sealed under.
//! * **Space.** The file grows as needed and reuses what is freed. [`compact`](RedbStore::compact) gives the rest back;
//!   reads and writes wait meanwhile.
//! * **Memory.** redb keeps up to 256 MiB of pages. A row that is not cached is read from the disk on the calling
//!   thread, inside `read`.
//! * **Opening** takes milliseconds after a proper end. After a crash redb reads the whole file once, to check it.
//! * **One sync a commit.** A crash in the midst of one is noticed by checksums, which are not made against someone who
//!   writes to the file: an intruder on the machine can also make a commit vanish by putting back an older file.
//! * **Platforms.** Linux is tested, power cuts on ext4 included. Others are best effort.
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
