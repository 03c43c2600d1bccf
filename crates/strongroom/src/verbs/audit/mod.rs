//! The audit of an org: reading it, adding a host's notes to it, and checking it.

mod notes;
mod proof;
mod trim;

use crate::clock::Timestamp;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::model::{AuditEvent, Cursor, EventId, EventKind, Listing, PageRequest};
use crate::tenant::List;
use crate::verbs::org::Org;

pub use notes::{AuditBuffer, AuditNote};
pub use proof::{AuditCheck, AuditDigest};

/// Which events [`Org::audit`] returns, and in which order: all, the oldest first, unless asked otherwise.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AuditFilter {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    actor: Option<String>,
    kind: Option<EventKind>,
    linked_account: Option<LinkedAccountId>,
    newest_first: bool,
}

impl AuditFilter {
    /// All events.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events of this time and later. Earlier ones are not read.
    pub fn since(mut self, at: Timestamp) -> Self {
        self.since = Some(at);
        self
    }

    /// Only events before this time. Later ones are not read.
    pub fn until(mut self, at: Timestamp) -> Self {
        self.until = Some(at);
        self
    }

    /// Only writes on behalf of this actor or, if the name ends with a colon such as `session:`, of all actors whose
    /// names begin with it. The part after an `@`, such as the account in `session:ID@ACCOUNT`, may be omitted.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// Only writes with a change of this kind.
    pub fn kind(mut self, kind: EventKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only writes that changed something of this linked account.
    pub fn linked_account(mut self, account: LinkedAccountId) -> Self {
        self.linked_account = Some(account);
        self
    }

    /// The newest event first. Pages go on with events that are older, whatever is written meanwhile.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Whether it leaves out events of its times.
    fn is_selective(&self) -> bool {
        self.actor.is_some() || self.kind.is_some() || self.linked_account.is_some()
    }

    /// An event that cannot be read may match any filter.
    fn takes(&self, event: &AuditEvent) -> bool {
        let (kind, account) = (self.kind, self.linked_account.as_ref());
        if event.unreadable.is_some() {
            return true;
        }
        self.actor
            .as_ref()
            .is_none_or(|asked| event.actor.as_deref().is_some_and(|actor| is_of(actor, asked)))
            && event.changes.iter().any(|change| {
                kind.is_none_or(|kind| change.kind == kind)
                    && account.is_none_or(|account| change.linked_account.as_ref() == Some(account))
            })
    }
}

/// Whether `actor` is the requested one, or of its kind.
fn is_of(actor: &str, asked: &str) -> bool {
    let Some(rest) = actor.strip_prefix(asked) else { return false };
    rest.is_empty() || rest.starts_with('@') || asked.ends_with(':')
}

impl Org {
    /// A page of the audit, the oldest event first unless the filter says otherwise: one event for each write since the
    /// vault has an audit ([`Settings::audit`](crate::Settings::audit)), in the order of their times. It costs opening
    /// its rows, including those that the filter leaves out, except those outside its times. With a filter by actor,
    /// kind or account, a page ends once some 4,000 events were looked at, perhaps without any item: read on while
    /// there is a next one.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{AuditFilter, Environment, EventKind, PageRequest, VarFormat, VariableDefinition};
    /// vault.change_settings(|settings| settings.audit = true).await?;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// let page = org.audit(&AuditFilter::all(), PageRequest::first(50)).await?;
    /// assert_eq!(page.items[0].changes[0].kind, EventKind::DefinitionCreated);
    /// assert_eq!(page.items[0].changes[0].name.as_deref(), Some("PORT"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor); [`Error::Damaged`], [`Error::UnknownKey`] and
    /// [`Error::UnknownVersion`] if the org's keys cannot be read; [`Error::Store`].
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        mut page: PageRequest,
    ) -> Result<Listing<AuditEvent>, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let events = tenant.id.events();
            if page.after.is_none()
                && !filter.newest_first
                && let Some(since) = filter.since.and_then(before)
            {
                page = page.after(Cursor::new(List::new(AUDIT, &events).id(), &since.to_bytes()));
            }
            let at_time = |at: Timestamp| [events.start.as_slice(), &at.as_ms().to_be_bytes()].concat();
            let mut range = events.clone();
            if let Some(until) = filter.until {
                range.end = Some(at_time(until));
            }
            let first = filter.since.map_or_else(|| events.start.clone(), at_time);
            let list = match filter.newest_first {
                true => List::new(NEWEST, &range).back_to(&first),
                false => List::new(AUDIT, &range),
            };
            let list = if filter.is_selective() { list.sparse() } else { list };
            tenant
                .list(list.fresh(), &page, |view, key, row| {
                    let id = key.as_bytes().strip_prefix(events.start.as_slice()).unwrap_or_default();
                    Ok(tenant.list_event(view, id, row)?.filter(|event| filter.takes(event)))
                })
                .await
        };
        self.tenant.observed(Call::of("audit"), run).await
    }
}

/// The last position before all events of a time.
fn before(at: Timestamp) -> Option<EventId> {
    let at = Timestamp::from_ms(at.as_ms().checked_sub(1)?);
    Some(EventId { at, chain: [0xff; 8], sequence: u64::MAX })
}

const AUDIT: &str = "audit";
const NEWEST: &str = "audit, the newest event first";
