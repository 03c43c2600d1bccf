//! The chains of events that this engine writes.
//!
//! An event names the one before it in its chain, so two batches in flight cannot both continue the same chain. So a
//! batch has a chain to itself until it is answered. A batch that finds none free begins another: an org has as many as
//! it had writers at once. Chains are begun one at a time, since each also names the one before it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

use crate::clock::Timestamp;
use crate::envelope::DekId;
use crate::model::ChainId;
use crate::row::TenantId;
use crate::row::body::EventHash;

/// The chains of all tenants.
#[derive(Default)]
pub(crate) struct Chains(Mutex<HashMap<Vec<u8>, Arc<TenantChains>>>);

/// The chains of one tenant.
#[derive(Default)]
struct TenantChains {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chains that no batch holds, the latest last.
    free: Vec<Chain>,
    /// Whether a batch has the turn to begin a chain.
    beginning: bool,
    /// The batches that wait for a chain or for the turn.
    waiting: VecDeque<oneshot::Sender<Lane>>,
}

/// A chain, and its last event.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) id: ChainId,
    pub(crate) last: Link,
    /// The org's last key that was dropped when the chain was begun: no chain is continued after a shred of the org.
    life: Option<DekId>,
}

/// The last event of a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) hash: EventHash,
    pub(crate) at: Timestamp,
}

/// The exclusive right of a batch to continue a chain or to begin one. Dropping it gives it back, unless the batch was
/// sent and nobody knows whether it landed: then the chain ends.
pub(crate) struct Lane {
    chains: Arc<TenantChains>,
    chain: Option<Chain>,
    /// Whether it holds the turn.
    begins: bool,
}

impl Chains {
    /// A chain that can be continued at `now`, or the turn to begin one. Waits while another batch begins one.
    pub(crate) async fn lane(&self, tenant: &TenantId, now: Timestamp, life: Option<&DekId>) -> Lane {
        let chains = self.of(tenant);
        loop {
            let waits = {
                let mut state = chains.lock();
                state.free.retain(|chain| chain.goes_on(now, life));
                if let Some(chain) = state.free.pop() {
                    return Lane { chains: Arc::clone(&chains), chain: Some(chain), begins: false };
                }
                if !state.beginning {
                    state.beginning = true;
                    return Lane { chains: Arc::clone(&chains), chain: None, begins: true };
                }
                let (gives, waits) = oneshot::channel();
                state.waiting.push_back(gives);
                waits
            };
            // A lane given to a future that is dropped goes back like any other.
            match waits.await {
                Ok(lane) if lane.chain.as_ref().is_none_or(|chain| chain.goes_on(now, life)) => return lane,
                Ok(_) | Err(oneshot::Canceled) => {}
            }
        }
    }

    fn of(&self, tenant: &TenantId) -> Arc<TenantChains> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chains) = all.get(tenant.prefix()) {
            return Arc::clone(chains);
        }
        if all.len() >= TENANTS_MAX {
            // Drop those that no batch uses: their chains end, and the next write begins another.
            all.retain(|_, chains| Arc::strong_count(chains) > 1);
        }
        Arc::clone(all.entry(tenant.prefix().to_vec()).or_default())
    }
}

impl Chain {
    /// A new chain, whose first event is `first`.
    pub(crate) fn begun(id: ChainId, first: Link, life: Option<&DekId>) -> Self {
        Self { id, last: first, life: life.copied() }
    }

    /// Whether the next event, at `now`, may continue this chain.
    fn goes_on(&self, now: Timestamp, life: Option<&DekId>) -> bool {
        let (now, last) = (now.as_ms(), self.last.at.as_ms());
        self.life.as_ref() == life && now.abs_diff(last) <= PAUSE_MS_MAX
    }
}

impl Lane {
    /// The chain to continue; `None` if one is to be begun.
    pub(crate) fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Call this before sending the batch whose event makes the chain `next`. Until [`Sent::settle`], nobody knows
    /// whether it does.
    pub(crate) fn send(mut self, next: Chain) -> Sent {
        let before = self.chain.take();
        Sent { lane: self, before, next }
    }
}

/// A lane whose batch was sent.
#[must_use = "the chain ends if it is dropped"]
pub(crate) struct Sent {
    lane: Lane,
    before: Option<Chain>,
    next: Chain,
}

impl Sent {
    /// The batch landed, or never will.
    pub(crate) fn settle(self, landed: bool) {
        let Self { mut lane, before, next } = self;
        lane.chain = if landed { Some(next) } else { before };
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.chain.is_none() && !self.begins {
            return;
        }
        let mut state = self.chains.lock();
        if self.begins {
            state.beginning = false;
        }
        state.free.extend(self.chain.take());
        TenantChains::hand_on(&self.chains, state);
    }
}

impl TenantChains {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what is free to those that wait, in order.
    fn hand_on<'c>(chains: &'c Arc<Self>, mut state: MutexGuard<'c, State>) {
        while !state.waiting.is_empty() {
            let chain = state.free.pop();
            let begins = chain.is_none();
            if begins && state.beginning {
                return;
            }
            state.beginning |= begins;
            let Some(gives) = state.waiting.pop_front() else { return };
            drop(state);
            // Outside the lock: dropping a future with the lane that it was given takes the lock again.
            let refused = gives.send(Lane { chains: Arc::clone(chains), chain, begins }).err();
            // The asker no longer waits, so the lane goes to the next one: here and not in its drop, which would come
            // back here once for each of them.
            let back = refused.map(|mut lane| (lane.chain.take(), std::mem::take(&mut lane.begins)));
            state = chains.lock();
            if let Some((chain, began)) = back {
                state.free.extend(chain);
                state.beginning &= !began;
            }
        }
    }
}

/// How many tenants have their chains kept: some 200 bytes each.
const TENANTS_MAX: usize = 4_096;
/// How long a chain may pause. An older one is known to be finished, however long its engine runs.
pub(crate) const PAUSE_MS_MAX: u64 = 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures_executor::block_on;

    use super::*;
    use crate::id::Environment;

    const NOW: Timestamp = Timestamp::from_ms(1_000);

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    fn take(chains: &Chains, now: Timestamp) -> Lane {
        block_on(chains.lane(&tenant(), now, None))
    }

    fn chain(id: u8) -> Chain {
        Chain::begun([id; 8], Link { sequence: 1, hash: [0; 32], at: NOW }, None)
    }

    fn begin(chains: &Chains, id: u8) {
        take(chains, NOW).send(chain(id)).settle(true);
    }

    #[test]
    fn a_batch_has_its_chain_for_itself_and_the_next_one_has_it_after() {
        let chains = Chains::default();
        begin(&chains, 1);
        let lane = take(&chains, NOW);
        assert_eq!(lane.chain().unwrap().id, [1; 8]);
        let second = take(&chains, NOW);
        assert!(second.chain().is_none(), "it begins one of its own");
        drop(lane);
        assert_eq!(take(&chains, NOW).chain().unwrap().id, [1; 8]);
    }

    #[test]
    fn a_chain_ends_with_a_batch_of_which_nobody_knows_whether_it_landed() {
        let chains = Chains::default();
        begin(&chains, 1);
        drop(take(&chains, NOW).send(chain(1)));
        assert!(take(&chains, NOW).chain().is_none());
        begin(&chains, 2);
        take(&chains, NOW).send(chain(3)).settle(false);
        assert_eq!(take(&chains, NOW).chain().unwrap().id, [2; 8], "as it was before");
    }

    #[test]
    fn chains_are_begun_one_after_the_other_by_who_still_waits() {
        let chains = Chains::default();
        let tenant = tenant();
        let first = take(&chains, NOW);
        let mut context = Context::from_waker(Waker::noop());
        let mut gone = Box::pin(chains.lane(&tenant, NOW, None));
        let mut waits = Box::pin(chains.lane(&tenant, NOW, None));
        assert!(gone.as_mut().poll(&mut context).is_pending());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        drop(first);
        // A waiter that was given the turn is dropped before it is polled.
        drop(gone);
        let Poll::Ready(lane) = waits.as_mut().poll(&mut context) else { panic!("nobody woke it") };
        assert!(lane.chain().is_none());
    }

    #[test]
    fn a_chain_that_paused_or_whose_org_was_shredded_ends() {
        let chains = Chains::default();
        begin(&chains, 1);
        let late = Timestamp::from_ms(NOW.as_ms() + PAUSE_MS_MAX + 1);
        assert!(take(&chains, late).chain().is_none());
        begin(&chains, 2);
        let shredded = DekId::from_bytes([1; 16]);
        assert!(block_on(chains.lane(&tenant(), NOW, Some(&shredded))).chain().is_none());
    }
}
