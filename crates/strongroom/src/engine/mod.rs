//! What every handle shares: the store, the root key, the caches and the clock.

pub(crate) mod cache;
pub(crate) mod chains;
mod commit;
pub(crate) mod gate;
pub(crate) mod head;
mod kept;
pub(crate) mod lock;
pub(crate) mod observer;
pub(crate) mod open_slot;
pub(crate) mod plan;
mod read;
pub(crate) mod restoring;
pub(crate) mod roots;
pub(crate) mod runs;
pub(crate) mod tally;
#[cfg(feature = "tracing")]
pub(crate) mod traced;
pub(crate) mod turns;
pub(crate) mod watch;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::{Clock, Timestamp};
use crate::engine::cache::Caches;
use crate::engine::chains::Chains;
use crate::engine::gate::Gate;
use crate::engine::lock::Locks;
use crate::engine::observer::Observer;
use crate::engine::plan::PlanStore;
use crate::engine::tally::Tallies;
use crate::engine::turns::Turns;
use crate::engine::watch::Watchers;
use crate::envelope::{Argon2Bounds, StoreId};
use crate::error::Error;
use crate::format::Formats;
use crate::id::LatestId;
use crate::keys::RootCell;
use crate::limits::Limits;
use crate::store::{Durability, Store};

pub(crate) use commit::{ATTEMPTS_MAX, Race, Touches, commit_in_transfer, commit_surely};
pub(crate) use kept::Kept;
pub(crate) use read::{Request, answer, read_from};
pub(crate) use runs::Runs;

/// One opened vault.
pub(crate) struct Engine {
    pub(crate) store: Box<dyn AnyStore>,
    pub(crate) store_id: StoreId,
    pub(crate) roots: Arc<RootCell>,
    /// What opens a root that another engine rotates in.
    pub(crate) kept: Arc<Kept>,
    pub(crate) caches: Caches,
    /// Caches the compiled patterns of definitions, so that a warm write compiles nothing.
    pub(crate) formats: Arc<Formats>,
    pub(crate) limits: Limits,
    /// The durability that the host asked for by name.
    pub(crate) durability: Option<Durability>,
    /// How much orgs and accounts store.
    pub(crate) tallies: Arc<Tallies>,
    /// How many former versions of a document are kept.
    pub(crate) history_versions: u8,
    /// What key derivations of slots may cost.
    pub(crate) argon2: Argon2Bounds,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) latest_id: Arc<LatestId>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Set when a future was dropped in the middle of a commit that changes what the caches hold.
    pub(crate) abandoned: AtomicBool,
    /// What lets writes pass.
    pub(crate) gate: Gate,
    /// What is locked at the moment.
    pub(crate) locks: Arc<Locks>,
    /// The jobs on keys that this engine runs at the moment.
    pub(crate) runs: Runs,
    /// The chains of events that this engine writes.
    pub(crate) chains: Chains,
    /// Whose turn it is at rows that writers race for.
    pub(crate) turns: Turns,
    /// Which waiter for a refresh reads the store on behalf of all.
    pub(crate) lookouts: Turns,
    /// The readers of hints about which tenants moved.
    pub(crate) watchers: Watchers,
    /// The plan that its writes go to, instead of the store.
    pub(crate) plan: Option<Arc<PlanStore>>,
}

/// A store that the host can get back as its own type.
pub(crate) trait AnyStore: Store {
    fn as_any(&self) -> &dyn Any;
}

impl<S: Store> AnyStore for S {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// A new id, greater than every one before.
    pub(crate) fn next_id<T: From<[u8; 12]>>(&self) -> Result<T, Error> {
        Ok(self.latest_id.next(&*self.clock)?)
    }

    /// Drops expired keys from the caches, and returns the time.
    pub(crate) fn drop_old_keys(&self) -> Timestamp {
        let now = self.now();
        self.caches.drop_old_keys(now);
        now
    }

    /// Whether cached rows must be checked against the epoch row: others may write, or an abandoned write of our own
    /// may still land.
    pub(crate) fn is_shared(&self) -> bool {
        // Pairs with the `Release` in `CommitWatch::drop`: a thread that may use the caches again also sees that they
        // must be checked.
        self.store.capabilities().shared || self.abandoned.load(Ordering::Acquire)
    }

    /// Whether what runs see may be kept: while nobody else writes.
    pub(crate) fn may_keep_runs(&self) -> bool {
        let packs = &self.caches.packs;
        if !packs.is_off() && self.store.capabilities().shared {
            packs.turn_off();
        }
        !packs.is_off()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store_id = hex::encode(self.store_id);
        f.debug_struct("Engine")
            .field("store", &self.store)
            .field("store_id", &store_id)
            .finish_non_exhaustive()
    }
}
