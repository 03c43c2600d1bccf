//! A `strongroom` store on SQLite: two tables in a file of the host, for several processes on one machine.
//!
//! ```
//! # use std::sync::Arc;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("app.db");
//! use strongroom_store::{Key, Store, WriteBatch};
//! use strongroom_sqlite::SqliteStore;
//! let store = SqliteStore::open(&path)?;
//! let mut batch = WriteBatch::default();
//! batch.put(Key::from(b"k".as_slice()), b"v".to_vec());
//! futures_executor::block_on(store.commit(Arc::new(batch)))?; // Power may fail from here on.
//! futures_executor::block_on(store.close())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! * **An acknowledged batch survives kill -9 and a power cut**, as long as the disk really flushes when asked to. The
//!   file is in WAL mode, with `synchronous=FULL`. One thread packs the waiting batches into one transaction with one
//!   sync, and then answers all of them, conflicts too (see `strongroom-committer`).
//!   [`Durability::ProcessCrash`](strongroom_store::Durability::ProcessCrash) promises less, and costs no sync.
//! * **Several processes and handles.** They take turns to write and see each other's batches at once. Readers wait for
//!   nobody: each `read` is a snapshot.
//! * **A file of the host.** The store is in two tables, `strongroom_rows` and `strongroom_meta`, or under a prefix of
//!   the host's choice ([`SqliteStore::open_with`]), beside tables that it never touches. Tables with those names that
//!   strongroom did not create are refused and left as they were.
//! * **A new file is readable only by its owner**, and so are the files that SQLite puts beside it. An existing file
//!   keeps its mode.
//! * **A failed sync is never tried again.** From then on every call is refused as `Poisoned`, on this handle.
//! * **One transaction with the host's own rows.** What [`Org::plan`] made is applied in a transaction of the host on
//!   the same file: [`SqliteStore::plans`].
//!
//! # What to know
//!
//! * **WAL mode belongs to the file**, for every program that opens it, and needs a local file system: no network
//!   share.
//! * **Open the file only with SQLite, and with only one copy of SQLite in a process.** On Unix a program that opens
//!   and closes it by other means, such as `std::fs::File`, releases the locks that SQLite holds in the same process.
//!   Make a backup with SQLite (`VACUUM INTO`) or with [`Vault::backup`], not by copying the file.
//! * **A writer waits for another program's transaction** for five seconds, then gives way (`Contention`). Do not
//!   call a verb that writes while a transaction of your own is open on the same file.
//! * **Deleting a row shreds nothing.** Replaced and removed bytes stay in the file and its WAL until their pages are
//!   reused, and on the disk for longer. To destroy a value, destroy the key it is sealed under.
//! * **Memory.** Each concurrent read has a connection with up to 16 MiB of pages. A row that is not cached is read
//!   from the disk on the calling thread, inside `read`.
//! * **Platforms.** Linux is tested, including power cuts on ext4. Others are best effort.
//!
//! It is not: a store for several machines, or a store for rows over 80 KiB.
//!
//! [`Org::plan`]: https://docs.rs/strongroom/latest/strongroom/struct.Org.html#method.plan
//! [`Vault::backup`]: https://docs.rs/strongroom/latest/strongroom/struct.Vault.html#method.backup

mod failure;
mod file;
mod plans;
mod read;
mod store;
mod writer;

pub use plans::Plans;
pub use store::SqliteStore;
