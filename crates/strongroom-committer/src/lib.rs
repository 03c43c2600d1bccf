//! The one thread that writes to an embedded `strongroom` store.
//!
//! A backend that blocks gives its writing half to a [`Committer`] as a [`Writer`], and what its readers look at as the
//! writer's [`View`](Writer::View). The committer then keeps the rules of the contract that have nothing to do with
//! the backend:
//!
//! * **Batches share syncs.** What waits is committed as one group, in the order in which it came. A group is also for
//!   those who are on their way: where several writers were seen a moment ago, the committer lets each of them
//!   catch up for half the time of the sync that this saves. A lone writer is not waited for.
//! * **Nothing is acknowledged before it is durable**, conflicts included: what a batch lost against may be in its
//!   group.
//! * **A group that failed poisons the store.** Every later call is refused with the cause; nothing is tried again.
//! * **`close` drains** what was accepted, and a dropped committer does the same. Both return only when the writer has
//!   closed its files.
//! * **A panic of the backend is an error** without its message, which may hold a key.
//!
//! What else such stores have in common is here too: errors of the file system, and directories that survive a power
//! cut.
//!
//! It is not a part of the engine, which knows nothing of threads, and of no use to a backend that does not block.

mod committer;
mod directories;
mod failure;
mod group;
mod job;
mod readers;
mod thread;
mod writer;

pub use committer::Committer;
pub use directories::{create_directory, parent, sync_entries};
pub use failure::{corrupt, guarded, of_io};
pub use readers::Readers;
pub use writer::{Answer, Writer};
