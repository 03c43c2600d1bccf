//! A `strongroom` store on etcd 3: rows under a prefix of a cluster, for processes on several machines.
//!
//! ```no_run
//! use strongroom_etcd::{EtcdOptions, EtcdStore};
//! let options = EtcdOptions::new(["http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"]);
//! let store = EtcdStore::open(&options)?;
//! # Ok::<(), strongroom_store::StoreError>(())
//! ```
//!
//! # What is promised
//!
//! * **An acknowledged batch is on the disks of a majority**, and survives the loss of any minority, unless a node runs
//!   with `--unsafe-no-fsync`, which a client cannot see.
//! * **A batch is one etcd transaction.** Expectations are its compares, and the revision of a row is the one at which
//!   etcd last changed it (`mod_revision`).
//! * **A read is one transaction too, and never stale**: the node first makes sure that it has everything that a
//!   majority has acknowledged. A node that is cut off refuses. A long page is read in parts, all at the same revision.
//! * **Any number of processes and handles**, on any number of machines.
//! * **Nodes may fail.** A call that was certainly not sent to one node is sent to the next, and a read in every case.
//!   A write whose answer is lost is `Indeterminate`.
//!
//! # What to know
//!
//! * **Small vaults.** etcd keeps 2 GiB unless configured otherwise (`--quota-backend-bytes`), including old revisions:
//!   have it compact them (`--auto-compaction-retention`). A cluster whose space is used up answers writes with
//!   `Indeterminate`, since it has applied the one that used it up.
//! * **Limits.** A batch holds 128 operations and 128 expectations (`--max-txn-ops`) and 1 MiB of keys and values,
//!   which with its compares fits a request of 1.5 MiB (`--max-request-bytes`). A cluster with lower limits answers
//!   `TooLarge`.
//! * **A scan from the last key to the first** makes the node read the whole range.
//! * **A cluster restored from a snapshot** counts revisions from there again. Restore one only while no process has
//!   the vault open.
//! * **TLS and users.** The store goes through etcd's own gateway (`/v3/…`), over TLS with the feature `tls`, and logs
//!   in as [a user](EtcdOptions::user) if it has one. Everything sent is sealed, but over plain HTTP anyone on the
//!   network could change or delete rows: use that only on a network of its own, or through a local TLS proxy.
//! * **Threads.** A call waits on one of the store's 32 threads; any `block_on` can drive its future.
//!
//! It is not: a store for more than a few million rows, or for rows over 80 KiB.

mod client;
mod failure;
mod options;
mod store;
#[cfg(feature = "tls")]
mod trust;
mod wire;
mod workers;

pub use options::EtcdOptions;
pub use store::EtcdStore;
