//! Checks the chains of events of one tenant: that none is missing, and that each follows the one it names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::report::Cause;
use super::state::{CheckedRow, RowId, RowState};
use super::tenant_check::TenantCheck;
use crate::error::{Damage, Error};
use crate::keys::ScopeKeys;
use crate::model::{ChainId, EventId};
use crate::row::body::{AuditFloorBody, AuditHeadBody, ChainCut, ChainHeadBody, EventBody, EventHash};
use crate::row::{Row, TenantRow};
use crate::store::{Key, KeyRange, Scan, Versioned};
use crate::tenant::{Tenant, View};

/// Where a chain breaks: the key of the row that shows it, the row, and how.
type Breaks = BTreeMap<Key, (TenantRow<'static>, Cause)>;

impl TenantCheck {
    /// Walks all events of the tenant. A chain that looks broken counts only if it does so again: a batch in flight may
    /// have landed behind the walk.
    pub(super) async fn check_chains(&mut self) -> Result<Vec<CheckedRow>, Error> {
        let Some(keys) = self.opened(None).cloned() else { return Ok(Vec::new()) };
        let mut breaks = self.walk_chains(&keys).await?;
        for _ in 1..WALKS {
            if breaks.is_empty() {
                break;
            }
            let again = self.walk_chains(&keys).await?;
            breaks.retain(|key, _| again.contains_key(key));
        }
        let broken = |(row, cause)| CheckedRow::absent(RowId::Tenant(row), RowState::bad(cause));
        Ok(breaks.into_values().map(broken).collect())
    }

    async fn walk_chains(&self, keys: &Arc<ScopeKeys>) -> Result<Breaks, Error> {
        let tenant = &*self.tenant;
        let view = tenant.view_of(Some(Arc::clone(keys)), &[], None);
        // Read the heads first: events that land meanwhile only make chains longer than the heads say.
        let mut walk = ChainWalk::begin(tenant, &view).await?;
        let events = tenant.id.events();
        for_each(tenant, events.clone(), |key, row| {
            let id = key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
            // A key that is not that of an event is reported as a foreign row.
            if let Some(id) = id {
                walk.take(tenant, &view, &id, row);
            }
        })
        .await?;
        Ok(walk.finish(tenant))
    }
}

/// The state of the chains of a tenant during a walk: some 100 bytes for each chain.
struct ChainWalk {
    head: Option<AuditHeadBody>,
    /// Whether there is a head, which may be unreadable.
    has_head: bool,
    /// Which events were dropped for their age.
    floor: AuditFloorBody,
    heads: HashMap<ChainId, ChainHeadBody>,
    chains: HashMap<ChainId, Walked>,
    /// The first events of the chains, by their number.
    starts: BTreeMap<u64, Start>,
    breaks: Breaks,
}

/// The last event of a chain so far.
struct Walked {
    sequence: u64,
    /// `None` for an event that cannot be read, which is reported at its own row.
    hash: Option<EventHash>,
}

struct Start {
    id: EventId,
    previous: EventHash,
    hash: EventHash,
}

impl ChainWalk {
    async fn begin(tenant: &Tenant, view: &View<'_>) -> Result<Self, Error> {
        let row = tenant.engine.get(tenant.id.audit_head().key()).await?;
        let has_head = row.is_some();
        let head =
            row.and_then(|row| tenant.open_audit_head(view, &row).ok().flatten()).map(|(head, _)| head);
        let row = tenant.engine.get(tenant.id.audit_floor().key()).await?;
        let floor = row.and_then(|row| tenant.open_audit_floor(view, &row).ok().flatten());
        let floor = floor.map(|(floor, _)| floor).unwrap_or_default();
        // The rest of a chain continues where it was cut.
        let cut = |cut: &ChainCut| (cut.chain, Walked { sequence: cut.sequence, hash: Some(cut.hash) });
        let chains = floor.cut.iter().map(cut).collect();
        let mut heads = HashMap::new();
        for_each(tenant, tenant.id.chain_heads(), |key, row| {
            if let Some(TenantRow::ChainHead(chain)) = tenant.id.parse_row(key.as_bytes())
                && let Ok(Some(head)) = tenant.open_chain_head(view, chain, row)
            {
                heads.insert(chain, head);
            }
        })
        .await?;
        Ok(Self { head, has_head, floor, heads, chains, starts: BTreeMap::new(), breaks: Breaks::new() })
    }

    /// Takes the next event, in the order of keys, which is also the order within each chain.
    fn take(&mut self, tenant: &Tenant, view: &View<'_>, id: &EventId, row: &Versioned) {
        let opened = tenant.open_event_body(view, id, row);
        let known = self.chains.get(&id.chain);
        let mut fits = known.map_or(0, |known| known.sequence).checked_add(1) == Some(id.sequence);
        // A dropped event does not come back.
        fits &= id.at.as_ms() >= self.floor.before_ms;
        let mut hash = None;
        if let Ok(Some((EventBody { previous, start, .. }, found))) = opened {
            hash = Some(found);
            fits &= start.is_some() == (id.sequence == 1);
            if let Some(start) = start {
                let first = Start { id: *id, previous, hash: found };
                fits &= self.starts.insert(start.number, first).is_none();
            } else if let Some(before) = known.and_then(|known| known.hash) {
                fits &= before == previous;
            }
            if let Some(head) = self.heads.get(&id.chain).filter(|head| head.sequence == id.sequence) {
                fits &= head.hash == found;
            }
        }
        if !fits {
            self.break_at(tenant, TenantRow::Event(*id));
        }
        self.chains.insert(id.chain, Walked { sequence: id.sequence, hash });
    }

    /// Compares the walked events with the heads.
    fn finish(mut self, tenant: &Tenant) -> Breaks {
        let walked = |chain: &ChainId| self.chains.get(chain).map_or(0, |walked| walked.sequence);
        let is_cut = |(chain, head): &(&ChainId, &ChainHeadBody)| walked(chain) < head.sequence;
        let cut: Vec<ChainId> = self.heads.iter().filter(is_cut).map(|(chain, _)| *chain).collect();
        for chain in cut {
            self.break_at(tenant, TenantRow::ChainHead(chain));
        }
        let mut before = AuditHeadBody::NONE;
        // The highest number of a chain whose first event was dropped. Chains with lower numbers began earlier.
        let dropped = self.floor.chains_begun();
        for (number, start) in std::mem::take(&mut self.starts) {
            // If the first event of the chain before was dropped, only its number is known.
            let follows = match number.checked_sub(1) {
                Some(last) if last == before.chains => before.last == start.previous,
                last => last.is_some_and(|last| last <= dropped),
            };
            if !follows {
                self.break_at(tenant, TenantRow::Event(start.id));
            }
            before = AuditHeadBody { chains: number, last: start.hash };
            let is_last = self.head.as_ref().is_some_and(|head| head.chains == number);
            if is_last && self.head.as_ref().is_some_and(|head| head.last != start.hash) {
                self.break_at(tenant, TenantRow::AuditHead);
            }
        }
        // Without it, nobody knows how many chains there are. A head that does not open is reported at its own row.
        if !self.has_head && self.chains.values().any(|walked| walked.hash.is_some()) {
            self.find(tenant, TenantRow::AuditHead, Cause::Damaged(Damage::Missing));
        }
        if self.head.as_ref().is_some_and(|head| head.chains > before.chains.max(dropped)) {
            self.break_at(tenant, TenantRow::AuditHead);
        }
        self.breaks
    }

    fn break_at(&mut self, tenant: &Tenant, row: TenantRow<'static>) {
        self.find(tenant, row, Cause::BrokenChain);
    }

    fn find(&mut self, tenant: &Tenant, row: TenantRow<'static>, cause: Cause) {
        // The report counts more breaks than it keeps, and a hostile store may have any number.
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.insert(Row::Tenant(&tenant.id, row.clone()).key(), (row, cause));
        }
    }
}

/// Calls `take` with every row of a range.
async fn for_each(
    tenant: &Tenant,
    range: KeyRange,
    mut take: impl FnMut(&Key, &Versioned),
) -> Result<(), Error> {
    let mut rest = range;
    loop {
        let page = tenant.engine.read(Scan::new(rest.clone(), PAGE_ROWS)).await?;
        page.rows.iter().for_each(|(key, row)| take(key, row));
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
            _ => return Ok(()),
        }
    }
}

const PAGE_ROWS: usize = 500;
/// How many times a chain that looks broken is walked.
const WALKS: usize = 3;
const BREAKS_MAX: usize = 1_000;
