//! The audit: each batch that changes something has an event of its own.

use crate::clock::Timestamp;
use crate::engine::chains::{Chain, Link, Sent};
use crate::error::{Damage, Error};
use crate::keys::Document;
use crate::model::{Actor, AuditChange, AuditEvent, ChainId, EventId, Revision};
use crate::random;
use crate::row::body::{AuditFloorBody, AuditHeadBody, ChainHeadBody, ChainStart, EventBody, EventHash};
use crate::store::{RowRevision, Versioned};
use crate::tenant::{Draft, Freshness, Needs, Tenant, View};

impl Draft<'_> {
    /// Notes a change for the event of this batch. Does nothing in a vault without an audit.
    pub(crate) fn note(&mut self, change: impl FnOnce() -> AuditChange) {
        if self.is_audited() {
            self.changes().push(change());
        }
    }

    /// Puts the event of the batch as the next one of a chain that no other batch uses meanwhile. Many changes are put
    /// as several events, one after the other. `None` if nothing was noted.
    pub(super) async fn put_event(&mut self) -> Result<Option<Sent>, Error> {
        let (tenant, view) = (self.tenant(), self.view());
        let changes = std::mem::take(self.changes());
        if changes.is_empty() {
            return Ok(None);
        }
        let life = view.keys(None).and_then(|keys| keys.keyring.dropped().last());
        let now = tenant.engine.now();
        let lane = tenant.engine.chains.lane(&tenant.id, now, life).await;
        let mut last = lane.chain().map(|chain| (chain.id, chain.last));
        let mut head = None;
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let some = changes.by_ref().take(CHANGES_AN_EVENT).collect();
            let (chain, link) = self.put_one_event(last, now, some).await?;
            last = Some((chain, link));
            head = link.sequence.is_multiple_of(GROUP).then_some(link).or(head);
        }
        let Some((chain, last)) = last else { return Ok(None) };
        if let Some(link) = head {
            self.put_chain_head(chain, &link)?;
        }
        Ok(Some(lane.send(Chain::begun(chain, last, life))))
    }

    /// Puts an event after `last`, or as the first of a chain.
    async fn put_one_event(
        &mut self,
        last: Option<(ChainId, Link)>,
        now: Timestamp,
        changes: Vec<AuditChange>,
    ) -> Result<(ChainId, Link), Error> {
        let tenant = self.tenant();
        let actor = tenant.actor.as_ref().map(|actor| actor.name().to_string());
        let request_id = tenant.actor.as_ref().and_then(Actor::request_id).map(ToString::to_string);
        let mut body = EventBody { previous: [0; 32], start: None, actor, request_id, changes };
        let id = match last {
            Some((chain, last)) => {
                body.previous = last.hash;
                // Never earlier than the event that it follows, so that the rows of a chain are in its order.
                EventId { at: now.max(last.at), chain, sequence: last.sequence.saturating_add(1) }
            }
            None => self.put_start(now, &mut body).await?,
        };
        let plaintext = body.encode();
        let document = Document { id: None, revision: FIRST, body: &plaintext };
        let place = tenant.id.event(&id);
        // No event key is used twice, so expecting the row to be absent would cost a lookup for nothing. It is needed
        // only if nothing else shows after a lost answer whether the batch landed.
        if self.replaces_sealed_row() {
            self.put_sealed_over(&place, &document)?;
        } else {
            self.put_sealed(&place, None, &document)?;
        }
        let hash = EventBody::hash(&id, &plaintext);
        Ok((id.chain, Link { sequence: id.sequence, hash, at: id.at }))
    }

    /// Begins a chain in the head of the org's audit, and returns its first event. If two batches begin one at once,
    /// one of them is planned again.
    async fn put_start(&mut self, now: Timestamp, body: &mut EventBody) -> Result<EventId, Error> {
        let tenant = self.tenant();
        // With keys that may be out of date, a head would seem to be lost.
        let needs = Needs::org_keys().freshness(Freshness::Fresh);
        let gets = [tenant.id.audit_head().key(), tenant.id.audit_floor().key()];
        let (view, [row, floor]) = tenant.read(&needs, gets).await?;
        let floor = match floor.map(|row| tenant.open_audit_floor(&view, &row)).transpose() {
            Ok(floor) => floor.flatten().map(|(floor, _)| floor).unwrap_or_default(),
            // As if there were none: `verify` reports it, and the next drop of old events writes another.
            Err(error) if Freshness::Fresh.is_lost(&error) => AuditFloorBody::default(),
            Err(error) => return Err(error),
        };
        // No event is from before those that were dropped, whatever the clock says: it may have been set back.
        let at = now.max(Timestamp::from_ms(floor.before_ms));
        let id = EventId { at, chain: new_chain()?, sequence: 1 };
        let head = match &row {
            Some(row) => tenant.open_audit_head(&view, row),
            None => Ok(None),
        };
        let (head, revision) = match head {
            Ok(Some((head, revision))) => (head, revision.next()),
            // Random, since the head of an audit that was shredded was at this address.
            Ok(None) if row.is_some() || !tenant.has_events(&view).await? => {
                (AuditHeadBody::NONE, Revision::first()?)
            }
            Ok(None) => (AuditHeadBody::lost(at, &floor), Revision::first()?),
            Err(error) if Freshness::Fresh.is_lost(&error) => {
                (AuditHeadBody::lost(at, &floor), Revision::first()?)
            }
            Err(error) => return Err(error),
        };
        let mut salt = [0; 16];
        random::fill(&mut salt)?;
        let number = head.chains.saturating_add(1);
        body.previous = head.last;
        body.start = Some(ChainStart { number, salt });
        let next = AuditHeadBody { chains: number, last: EventBody::hash(&id, &body.encode()) };
        let document = Document { id: None, revision, body: &next.encode() };
        self.put_sealed(&tenant.id.audit_head(), row.map(|row| row.revision), &document)?;
        Ok(id)
    }

    /// Writes how long a chain is. Only the batch that holds the chain writes this row, so it expects nothing.
    fn put_chain_head(&mut self, chain: ChainId, last: &Link) -> Result<(), Error> {
        let head = ChainHeadBody { sequence: last.sequence, hash: last.hash };
        let document =
            Document { id: None, revision: Revision::from_u64(last.sequence), body: &head.encode() };
        self.put_sealed_over(&self.tenant().id.chain_head(chain), &document).map(drop)
    }
}

impl Draft<'_> {
    /// Notes which events are dropped. Replaces the note that was read: `row` is its row's revision, and `read` its own
    /// if it could be opened.
    pub(crate) fn put_audit_floor(
        &mut self,
        floor: &AuditFloorBody,
        row: Option<RowRevision>,
        read: Option<Revision>,
    ) -> Result<(), Error> {
        let revision = match read {
            Some(revision) => revision.next(),
            // Random, since the note of a shredded audit was at this address.
            None => Revision::first()?,
        };
        let document = Document { id: None, revision, body: &floor.encode() };
        self.put_sealed(&self.tenant().id.audit_floor(), row, &document)
    }
}

impl Tenant {
    /// The event at the end of a key; one that cannot be read is marked so. `None` if the key that sealed it was
    /// dropped.
    pub(crate) fn list_event(
        &self,
        view: &View<'_>,
        id: &[u8],
        row: &Versioned,
    ) -> Result<Option<AuditEvent>, Error> {
        let opened = match EventId::from_bytes(id) {
            Some(id) => self.open_event_body(view, &id, row).map(|opened| opened.map(|(body, _)| (id, body))),
            None => Err(Error::damaged("the key of an event", Damage::Malformed)),
        };
        match opened {
            Ok(opened) => Ok(opened.map(|(id, EventBody { actor, request_id, changes, .. })| AuditEvent {
                id,
                at: id.at,
                actor,
                request_id,
                changes,
                unreadable: None,
            })),
            Err(error) if error.is_damage() => {
                Ok(EventId::nearest(id).map(|id| AuditEvent::damaged(id, error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there are events, apart from those sealed under a dropped key.
    async fn has_events(&self, view: &View<'_>) -> Result<bool, Error> {
        let events = self.id.events();
        let page = self.engine.scan(events.clone(), 1).await?;
        Ok(page.rows.iter().any(|(key, row)| {
            let id = key.as_bytes().strip_prefix(events.start.as_slice()).and_then(EventId::from_bytes);
            id.is_some_and(|id| !matches!(self.open_event_body(view, &id, row), Ok(None)))
        }))
    }

    /// The body of an event and its hash. `None` if the key that sealed it was dropped.
    pub(crate) fn open_event_body(
        &self,
        view: &View<'_>,
        id: &EventId,
        row: &Versioned,
    ) -> Result<Option<(EventBody, EventHash)>, Error> {
        let place = self.id.event(id);
        let Some(opened) = self.open(view.keys(None), &place, &row.value)? else { return Ok(None) };
        let body =
            EventBody::decode(&opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        Ok(Some((body, EventBody::hash(id, &opened.plaintext))))
    }

    /// Opens the head of a chain. `None` if the key that sealed it was dropped.
    pub(crate) fn open_chain_head(
        &self,
        view: &View<'_>,
        chain: ChainId,
        row: &Versioned,
    ) -> Result<Option<ChainHeadBody>, Error> {
        let place = self.id.chain_head(chain);
        let Some(opened) = self.open(view.keys(None), &place, &row.value)? else { return Ok(None) };
        ChainHeadBody::decode(&opened.plaintext)
            .map(Some)
            .map_err(|error| Error::content(place.name(), error))
    }

    /// Opens the note of which events were dropped. `None` if the key that sealed it was dropped.
    pub(crate) fn open_audit_floor(
        &self,
        view: &View<'_>,
        row: &Versioned,
    ) -> Result<Option<(AuditFloorBody, Revision)>, Error> {
        let place = self.id.audit_floor();
        let Some(opened) = self.open(view.keys(None), &place, &row.value)? else { return Ok(None) };
        let floor =
            AuditFloorBody::decode(&opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        Ok(Some((floor, opened.revision)))
    }

    /// Opens the head of the org's audit. `None` if the key that sealed it was dropped.
    pub(crate) fn open_audit_head(
        &self,
        view: &View<'_>,
        row: &Versioned,
    ) -> Result<Option<(AuditHeadBody, Revision)>, Error> {
        let place = self.id.audit_head();
        let Some(opened) = self.open(view.keys(None), &place, &row.value)? else { return Ok(None) };
        let head =
            AuditHeadBody::decode(&opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        Ok(Some((head, opened.revision)))
    }
}

fn new_chain() -> Result<ChainId, Error> {
    let mut id = ChainId::default();
    random::fill(&mut id)?;
    Ok(id)
}

const FIRST: Revision = Revision::from_u64(1);
/// The head of a chain is written after this many events: that many can be cut off its end without a trace.
pub(crate) const GROUP: u64 = 32;
/// With the longest ids, an event of this many changes stays below the limit of a row.
pub(crate) const CHANGES_AN_EVENT: usize = 50;
