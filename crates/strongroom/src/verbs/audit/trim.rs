//! Drops events for their age.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::engine::chains::PAUSE_MS_MAX;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::jobs::until_landed;
use crate::model::{AuditChange, ChainId, EventId, EventKind};
use crate::row::body::{AuditFloorBody, ChainCut, EventBody};
use crate::store::{Key, KeyRange, Scan};
use crate::tenant::event::GROUP;
use crate::tenant::{Attempt, Draft, Freshness, Needs, Tenant, View};
use crate::verbs::org::Org;

impl Org {
    /// Drops the events of the audit from before a time, and notes that in the audit. The rest can still be checked
    /// completely by [`Vault::verify`](crate::Vault::verify): a sealed note records where each chain of events was cut.
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
    /// [`Error::UnknownVersion`] for an event of a later release: it and those after it stay. [`Error::Damaged`] and
    /// [`Error::UnknownKey`] if the org's keys cannot be read; an event that cannot be is dropped like any other, and a
    /// note that cannot be is written again, also where there is nothing to drop. [`Error::Store`].
    ///
    /// # Cancellation
    /// If dropped, some of the events are gone, and the audit is intact: call it again for the rest.
    pub async fn drop_audit_before(&self, at: Timestamp) -> Result<u64, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let newest_ms = tenant.engine.now().as_ms().saturating_sub(SETTLED_MS);
            let until = Timestamp::from_ms(at.as_ms().min(newest_ms));
            let (mut dropped, mut is_first) = (0, true);
            loop {
                let drop = |freshness| drop_page(tenant, until, is_first, freshness);
                let Page { events, more } = until_landed(tenant, drop).await?;
                dropped += events;
                if !more {
                    return Ok(dropped);
                }
                is_first = false;
            }
        };
        self.tenant.observed(Call::of("drop_audit_before"), run).await
    }
}

/// A page of events that were dropped.
struct Page {
    events: u64,
    more: bool,
}

async fn drop_page(
    tenant: &Tenant,
    until: Timestamp,
    is_first: bool,
    freshness: Freshness,
) -> Result<Attempt<Page>, Error> {
    let events = tenant.id.events();
    let end = [events.start.as_slice(), &until.as_ms().to_be_bytes()].concat();
    let scan = Scan::new(KeyRange { start: events.start.clone(), end: Some(end) }, PAGE_ROWS);
    let needs = Needs::org_keys().freshness(freshness);
    let (view, ([row], [page])) = tenant.read(&needs, ([tenant.id.audit_floor().key()], [scan])).await?;
    let (opened, is_lost) = match row.as_ref().map(|row| tenant.open_audit_floor(&view, row)).transpose() {
        Ok(opened) => (opened.flatten(), false),
        // Its content is lost, as if the note had been removed: drops from now on are noted again.
        Err(error) if freshness.is_lost(&error) => (None, true),
        Err(error) => return Err(error),
    };
    if page.rows.is_empty() && !is_lost {
        return Ok(Attempt::Landed(Page { events: 0, more: false }));
    }
    let (mut floor, revision) = opened.map_or_else(Default::default, |(floor, at)| (floor, Some(at)));
    let last = page.rows.last().map(|(key, _)| key);
    let position = match last {
        Some(last) if page.more => time_of(last.as_bytes(), &events),
        _ => until.as_ms(),
    };
    let mut draft = Draft::new(tenant, &view);
    if is_first {
        // With the first page: an interrupted call has dropped something too.
        draft.note(|| AuditChange::new(EventKind::AuditTrimmed));
    }
    for (key, row) in &page.rows {
        cut(tenant, &view, &mut floor, key.as_bytes(), row)?;
        draft.delete(key.clone());
    }
    // A chain that paused for longer is over (`engine::chains`).
    let is_over = |cut: &ChainCut| cut.at_ms.saturating_add(SETTLED_MS) < position;
    let (mut over, mut live): (Vec<_>, Vec<_>) = floor.cut.into_iter().partition(is_over);
    if let (Some(last), true) = (last, live.len() > CHAINS_MAX) {
        let going_on = chains_after(tenant, last, &events, position).await?;
        over.extend(live.extract_if(.., |cut| !going_on.contains(&cut.chain)));
    }
    let (headed, plain): (Vec<_>, Vec<_>) = over.into_iter().partition(|cut| cut.sequence >= GROUP);
    let mut headed = headed.into_iter();
    let mut chains = floor.chains.saturating_add(plain.len() as u64);
    for cut in headed.by_ref().take(PAGE_ROWS) {
        draft.delete(tenant.id.chain_head(cut.chain).key());
        chains = chains.saturating_add(1);
    }
    // Their heads are deleted with a later page.
    live.extend(headed);
    let floor = AuditFloorBody { before_ms: floor.before_ms.max(position), chains, cut: live };
    draft.put_audit_floor(&floor, row.map(|row| row.revision), revision)?;
    let page = Page { events: page.rows.len() as u64, more: page.more };
    Ok(draft.commit().await?.map(|_| page))
}

/// The chains that have an event after the one at `last`, within the hour for which a chain may pause. That hour ended
/// more than an hour ago, so all of its events have landed.
async fn chains_after(
    tenant: &Tenant,
    last: &Key,
    events: &KeyRange,
    position: u64,
) -> Result<BTreeSet<ChainId>, Error> {
    let until = position.saturating_add(PAUSE_MS_MAX).saturating_add(1);
    let end = [events.start.as_slice(), &until.to_be_bytes()].concat();
    let mut rest = KeyRange { start: events.start.clone(), end: Some(end) }.after(last.as_bytes());
    let mut chains = BTreeSet::new();
    loop {
        let page = tenant.engine.read(Scan::new(rest.clone(), KEYS_PAGE).keys_only()).await?;
        let ids = page.rows.iter().filter_map(|(key, _)| id_of(key.as_bytes(), events));
        chains.extend(ids.map(|id| id.chain));
        match page.rows.last() {
            Some((key, _)) if page.more => rest = rest.after(key.as_bytes()),
            _ => return Ok(chains),
        }
    }
}

/// Notes that an event is dropped. An event that cannot be read, or that was dropped before and came back, does not
/// count: whoever holds the store can plant any number of them.
fn cut(
    tenant: &Tenant,
    view: &View<'_>,
    floor: &mut AuditFloorBody,
    key: &[u8],
    row: &crate::store::Versioned,
) -> Result<(), Error> {
    // A key that is not that of an event belongs to no chain.
    let Some(id) = id_of(key, &tenant.id.events()) else { return Ok(()) };
    let (EventBody { start, .. }, hash) = match tenant.open_event_body(view, &id, row) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(()),
        Err(error) if view.freshness.is_lost(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if id.at.as_ms() >= floor.before_ms {
        let event = ChainCut { chain: id.chain, sequence: id.sequence, hash, at_ms: id.at.as_ms() };
        floor.drop_event(event, start.as_ref());
    }
    Ok(())
}

/// The time of the event at a key.
fn time_of(key: &[u8], events: &KeyRange) -> u64 {
    id_of(key, events).map_or(0, |id| id.at.as_ms())
}

fn id_of(key: &[u8], events: &KeyRange) -> Option<EventId> {
    key.strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes)
}

/// How many events one batch drops: with the heads of their chains it stays within 100 operations.
const PAGE_ROWS: usize = 32;
/// Twice the longest pause of a chain. An older event is in the store, or never will be.
const SETTLED_MS: u64 = 2 * PAUSE_MS_MAX;
/// With more cut chains than this, check which of them continue: the note of them is one row.
const CHAINS_MAX: usize = 512;
const KEYS_PAGE: usize = 1_000;
