//! The rows of the host's own records.

use crate::clock::Timestamp;
use crate::engine::cache::DELETED;
use crate::error::{Error, Invalid};
use crate::id::{Environment, LinkedAccountId, Namespace, OrgId, RecordKey};
use crate::keys::Document;
use crate::model::{AuditChange, EventKind, Expected, Metadata, Revision, Standing, Upsert};
use crate::row::Row;
use crate::row::body::{Times, VACANT, ValueBody};
use crate::secret::Secret;
use crate::store::{Key, Versioned};
use crate::tenant::{Draft, Freshness, Tenant, View, WriteOptions};

/// A write of a record, or a condition on one, that joins the batch of another verb, with
/// [`WriteOptions::with_record`].
#[derive(Debug)]
#[must_use = "nothing is written until it is passed to a verb"]
pub struct RecordWrite {
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    pub(crate) namespace: Namespace,
    pub(crate) key: RecordKey,
    pub(crate) action: RecordAction,
    /// Whether it may write to a reserved namespace.
    pub(crate) access: RecordAccess,
    /// The linked account that its event names.
    pub(crate) account: Option<LinkedAccountId>,
    pub(crate) expected: Expected,
}

/// The namespaces that a handle may write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordAccess {
    Host,
    Reserved,
}

/// What a [`RecordWrite`] does with its record.
#[derive(Debug)]
pub(crate) enum RecordAction {
    Put(Secret),
    Delete,
    /// Nothing: it only expects the record.
    Expect,
}

impl RecordWrite {
    /// Writes only if the record is as expected. Otherwise the whole batch is refused.
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub(crate) fn is_of_same_record(&self, other: &Self) -> bool {
        (&self.namespace, &self.key) == (&other.namespace, &other.key)
    }
}

/// One record.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Record {
    /// Its key within the namespace.
    pub key: RecordKey,
    /// Changes with every put.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last put.
    pub updated_at: Timestamp,
    /// Its content; never serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub value: Secret,
}

/// What putting a record returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RecordWritten {
    /// Whether the record was added or updated.
    pub action: Upsert,
    /// Its key within the namespace.
    pub key: RecordKey,
    /// Its new revision: what the next condition needs.
    pub revision: Revision,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last put: now.
    pub updated_at: Timestamp,
}

/// The effect of one write of a record.
pub(crate) enum RecordChange {
    Put(RecordWritten),
    Deleted,
    /// It was to be deleted, but there is none.
    Absent,
    /// It is only expected.
    Expected,
}

impl Tenant {
    fn check_record(&self, value: &Secret) -> Result<(), Error> {
        let max = self.engine.limits.value_bytes();
        if value.len() > max { Err(Error::TooLong { what: "a record", max }) } else { Ok(()) }
    }

    /// Opens a record. Returns `None` also for an API key or a session that was changed or revoked and then put back.
    pub(crate) fn open_record(
        &self,
        view: &View<'_>,
        namespace: &Namespace,
        key: &RecordKey,
        row: &Versioned,
    ) -> Result<Option<Record>, Error> {
        let place = self.id.record(namespace, key);
        let opened = self.open(view.keys(None), &place, &row.value)?;
        let Some(opened) = opened.filter(|opened| *opened.plaintext != *VACANT) else { return Ok(None) };
        if !self.is_newest_record(view, namespace, &place.key(), Some(opened.revision)) {
            return Ok(None);
        }
        let body =
            ValueBody::decode(opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
        Ok(Some(Record {
            key: key.clone(),
            revision: opened.revision,
            created_at: body.times.created_at,
            updated_at: body.times.updated_at,
            value: body.value,
        }))
    }
}

impl Tenant {
    /// Whether the record found is the newest that this engine saw, where that is noted.
    pub(crate) fn is_newest_record(
        &self,
        view: &View<'_>,
        namespace: &Namespace,
        key: &Key,
        found: Option<Revision>,
    ) -> bool {
        !namespace.is_used_once() || self.engine.caches.is_newest_record(key, found, view.moment)
    }
}

impl Draft<'_> {
    /// Adds writes of records to the batch.
    pub(crate) async fn put_records(&mut self, records: &[RecordWrite]) -> Result<(), Error> {
        for (index, record) in records.iter().enumerate() {
            if records.iter().take(index).any(|earlier| earlier.is_of_same_record(record)) {
                return Err(Error::Invalid(Invalid::DuplicateRecord));
            }
            self.put_record(record).await?;
        }
        Ok(())
    }

    /// Adds one write of a record to the batch.
    pub(crate) async fn put_record(&mut self, write: &RecordWrite) -> Result<RecordChange, Error> {
        let tenant = self.tenant();
        if (write.org, &write.environment) != (tenant.id.org, &tenant.id.environment) {
            return Err(Error::Invalid(Invalid::ForeignRecord));
        }
        let writes = !matches!(write.action, RecordAction::Expect);
        if writes && write.access == RecordAccess::Host && write.namespace.is_reserved() {
            return Err(Error::Invalid(Invalid::ReservedNamespace(write.namespace.clone())));
        }
        let place = tenant.id.record(&write.namespace, &write.key);
        let row = tenant.engine.get(place.key()).await?;
        let (existing, standing) = self.find_record(write, row.as_ref())?;
        WriteOptions::expecting(write.expected).check(standing)?;
        let read = row.map(|row| row.revision);
        let before = existing.as_ref().map(|record| record.revision);
        let value = match (&write.action, read) {
            (RecordAction::Put(value), _) => value,
            (RecordAction::Delete, Some(read)) => {
                self.delete_as_read(place.key(), read);
                self.wrote_record_of(write, DELETED);
                // The row reads as no record.
                if standing == Standing::Absent {
                    return Ok(RecordChange::Absent);
                }
                self.note_record(write, || AuditChange { before, ..record_change(write, gone_kind(write)) });
                return Ok(RecordChange::Deleted);
            }
            (RecordAction::Expect, Some(read)) => {
                if write.expected != Expected::Any {
                    self.expect_as_read(place.key(), Some(read));
                }
                return Ok(RecordChange::Expected);
            }
            (RecordAction::Delete | RecordAction::Expect, None) => {
                if matches!(write.action, RecordAction::Delete) && write.namespace.is_used_once() {
                    // No batch notes this: a record that the store hides from a revocation is revoked all the same.
                    tenant.engine.caches.wrote_record(&place.key(), DELETED);
                }
                if write.expected == Expected::Absent {
                    self.hold_vacant(&place)?;
                }
                return Ok(RecordChange::Absent);
            }
        };
        tenant.check_record(value)?;
        let now = tenant.engine.now();
        let (action, created_at, revision) = match (existing, standing) {
            (Some(record), _) => (Upsert::Updated, record.created_at, record.revision.next()),
            (None, Standing::Unreadable) => (Upsert::Updated, now, Revision::first()?),
            (None, _) => (Upsert::Added, now, Revision::first()?),
        };
        let body = ValueBody::encode(value, Times { created_at, updated_at: now }, &Metadata::NONE);
        self.put_sealed(&place, read, &Document { id: None, revision, body: &body })?;
        self.wrote_record_of(write, revision);
        if standing == Standing::Unreadable {
            self.note_record(write, || record_change(write, gone_kind(write)));
        }
        let change = || record_change(write, put_kind(write, before.is_some()));
        self.note_record(write, || AuditChange { before, after: Some(revision), ..change() });
        let key = write.key.clone();
        Ok(RecordChange::Put(RecordWritten { action, key, revision, created_at, updated_at: now }))
    }

    /// What a write finds at the place of its record. One that cannot be opened is an error, unless the write deletes
    /// whatever there is, or expects just that.
    fn find_record(
        &self,
        write: &RecordWrite,
        row: Option<&Versioned>,
    ) -> Result<(Option<Record>, Standing), Error> {
        let Some(row) = row else { return Ok((None, Standing::Absent)) };
        let view = self.view();
        let takes_unreadable = match write.expected {
            Expected::Any => matches!(write.action, RecordAction::Delete),
            Expected::Unreadable => true,
            Expected::Absent | Expected::Revision(_) | Expected::Deleted(_) => false,
        };
        match self.tenant().open_record(view, &write.namespace, &write.key, row) {
            // With keys that may be out of date, the record may be whole.
            Err(error @ Error::UnknownKey { .. }) if view.freshness == Freshness::Cached => Err(error),
            Err(error) if takes_unreadable && error.is_damage() => Ok((None, Standing::Unreadable)),
            opened => {
                let record = opened?;
                let standing = record.as_ref().map(|record| record.revision).into();
                Ok((record, standing))
            }
        }
    }

    fn wrote_record_of(&mut self, write: &RecordWrite, revision: Revision) {
        if write.namespace.is_used_once() {
            self.wrote_record(self.tenant().id.record(&write.namespace, &write.key).key(), revision);
        }
    }

    /// The day on which a key was last used is not a change that somebody made.
    fn note_record(&mut self, write: &RecordWrite, change: impl FnOnce() -> AuditChange) {
        if write.namespace.as_str() != API_KEY_USES {
            self.note(change);
        }
    }

    /// Makes the batch fail if the record is added before it lands. A store can expect a row to be absent only if the
    /// batch puts it. So the batch puts a row that reads as no record, which is deleted once the batch has landed. If
    /// that is interrupted, the next write of the record replaces it.
    fn hold_vacant(&mut self, place: &Row<'_>) -> Result<(), Error> {
        self.put_sealed(place, None, &Document { id: None, revision: Revision::first()?, body: VACANT })?;
        self.vacate_after(place.key());
        Ok(())
    }
}

/// A change of a record, without its revisions. Its key may be a secret of the host's; that of an API key is its id.
fn record_change(write: &RecordWrite, kind: EventKind) -> AuditChange {
    let name = match write.namespace.as_str() {
        API_KEYS => write.key.as_str(),
        other => other,
    };
    let (name, linked_account) = (Some(name.to_owned()), write.account.clone());
    AuditChange { name, linked_account, ..AuditChange::new(kind) }
}

fn put_kind(write: &RecordWrite, exists: bool) -> EventKind {
    match (write.namespace.as_str() == API_KEYS, exists) {
        (false, _) => EventKind::RecordPut,
        (true, false) => EventKind::ApiKeyCreated,
        (true, true) => EventKind::ApiKeyUpdated,
    }
}

fn gone_kind(write: &RecordWrite) -> EventKind {
    if write.namespace.as_str() == API_KEYS { EventKind::ApiKeyRevoked } else { EventKind::RecordDeleted }
}

/// The reserved namespace in which the server keeps API keys.
const API_KEYS: &str = "api-key";
/// The reserved namespace in which it keeps when they were last used.
const API_KEY_USES: &str = "api-key-use";
