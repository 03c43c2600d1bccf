//! Dropping events for their age.

use crate::clock::Timestamp;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::model::{AuditChange, EventId, EventKind};
use crate::row::body::{AuditFloorBody, ChainCut};
use crate::store::{KeyRange, Scan};
use crate::tenant::{Draft, Needs, Tenant, View};
use crate::verbs::org::Org;

impl Org {
    /// Drops the events of the audit from before a time, and notes that in the audit. What is left is still checked as
    /// a whole by [`Vault::verify`](crate::Vault::verify): a sealed note says up to where each chain of events was cut.
    /// Events of the last two hours stay. Returns how many were dropped.
    ///
    /// Export them first ([`export_audit`](Self::export_audit)) if they are to be kept elsewhere.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::Timestamp;
    /// let day = 24 * 60 * 60 * 1_000;
    /// let ninety_days_ago = Timestamp::from_ms(1_700_000_000_000 - 90 * day);
    /// assert_eq!(org.drop_audit_before(ninety_days_ago).await?, 0); // there is no event
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`] for an event that cannot be read: it and
    /// those after it stay. [`Error::Store`].
    pub async fn drop_audit_before(&self, at: Timestamp) -> Result<u64, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let newest_ms = tenant.engine.now().as_ms().saturating_sub(SETTLED_MS);
            let until = Timestamp::from_ms(at.as_ms().min(newest_ms));
            let mut dropped = 0;
            loop {
                match drop_page(tenant, until).await? {
                    Page::Lost => {}
                    Page::Dropped { events, more } => {
                        dropped += events;
                        if !more {
                            return Ok(dropped);
                        }
                    }
                }
            }
        };
        self.tenant.observed(Call::of("drop_audit_before"), run).await
    }
}

/// What became of a page of events.
enum Page {
    Dropped {
        events: u64,
        more: bool,
    },
    /// Another call was faster.
    Lost,
}

async fn drop_page(tenant: &Tenant, until: Timestamp) -> Result<Page, Error> {
    let events = tenant.id.events();
    let end = [events.start.as_slice(), &until.as_ms().to_be_bytes()].concat();
    let scan = Scan::new(KeyRange { start: events.start.clone(), end: Some(end) }, PAGE_ROWS);
    let (view, ([row], [page])) =
        tenant.read(&Needs::org_keys(), ([tenant.id.audit_floor().key()], [scan])).await?;
    let Some((last, _)) = page.rows.last() else { return Ok(Page::Dropped { events: 0, more: false }) };
    let opened = match &row {
        Some(row) => {
            tenant.open_audit_floor(&view, row)?.map(|(floor, revision)| (floor, row.revision, revision))
        }
        None => None,
    };
    let (mut floor, read) = match opened {
        Some((floor, row, revision)) => (floor, Some((row, revision))),
        None => (AuditFloorBody::default(), None),
    };
    let is_last = !page.more;
    let position = if is_last { until.as_ms() } else { time_of(last.as_bytes(), &events) };
    let mut draft = Draft::new(tenant, &view);
    for (key, row) in &page.rows {
        cut(tenant, &view, &mut floor, key.as_bytes(), row)?;
        draft.delete(key.clone());
    }
    // A chain that paused for longer is over (`engine::chains`).
    let (over, live): (Vec<_>, Vec<_>) =
        floor.cut.into_iter().partition(|cut| cut.at_ms.saturating_add(SETTLED_MS) < position);
    for cut in &over {
        draft.delete(tenant.id.chain_head(cut.chain).key());
    }
    let chains = floor.chains.saturating_add(over.len() as u64);
    let floor = AuditFloorBody { before_ms: floor.before_ms.max(position), chains, cut: live };
    draft.put_audit_floor(&floor, read)?;
    if is_last {
        draft.note(|| AuditChange::new(EventKind::AuditTrimmed));
    }
    let landed = draft.commit().await?.is_landed();
    Ok(if landed { Page::Dropped { events: page.rows.len() as u64, more: !is_last } } else { Page::Lost })
}

/// Notes that an event is dropped, as the last of its chain so far.
fn cut(
    tenant: &Tenant,
    view: &View<'_>,
    floor: &mut AuditFloorBody,
    key: &[u8],
    row: &crate::store::Versioned,
) -> Result<(), Error> {
    let events = tenant.id.events();
    let id = key.strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
    // A key that is none of an event's belongs to no chain.
    let Some(id) = id else { return Ok(()) };
    let Some((_, hash)) = tenant.open_event_body(view, &id, row)? else { return Ok(()) };
    let cut = ChainCut { chain: id.chain, sequence: id.sequence, hash, at_ms: id.at.as_ms() };
    match floor.cut.iter_mut().find(|known| known.chain == id.chain) {
        Some(known) => *known = cut,
        None => floor.cut.push(cut),
    }
    Ok(())
}

/// The time of the event at a key.
fn time_of(key: &[u8], events: &KeyRange) -> u64 {
    let id = key.strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
    id.map_or(0, |id| id.at.as_ms())
}

/// How many events one batch drops: with the heads of their chains it stays within 100 operations.
const PAGE_ROWS: usize = 32;
/// Twice as long as a chain pauses at most. What is older is in the store, or never will be.
const SETTLED_MS: u64 = 2 * 60 * 60 * 1_000;
