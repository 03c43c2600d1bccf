//! The rows of a value: itself, its id, and its place in its definition's index.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::engine::cache::Definition;
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DocumentId, LinkedAccountId};
use crate::keys::{Document, active_key};
use crate::model::{
    AuditChange, DefinitionRef, EventKind, Expected, Found, Metadata, Revision, ScopedValue, Standing,
    StoredDefinition, Upsert, ValueWritten,
};
use crate::row::body::{Times, ValueBody};
use crate::row::{Row, RowKind, SealedRow, Subject, decode_index, encode_index};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::{Key, Versioned};
use crate::tenant::former::SURPLUS_MAX;
use crate::tenant::{Draft, Existing, Freshness, Needs, Tenant, ValueRows, View, WriteOptions};

/// A definition and the rows of its values at some scopes, as they were at one point.
pub(crate) struct ValuesRead<'a> {
    pub(crate) view: View<'a>,
    pub(crate) definition: Arc<Definition>,
    /// In the order of the requested scopes.
    pub(crate) rows: Vec<Option<Versioned>>,
}

impl Tenant {
    /// Reads a definition and its values at `scopes`, with the org's keys and those of `accounts`: one read of the
    /// store if the name is cached.
    pub(crate) async fn read_values<'a>(
        &self,
        reference: &DefinitionRef<'_>,
        scopes: impl Iterator<Item = &Scope>,
        accounts: &'a [&'a LinkedAccountId],
        freshness: Freshness,
    ) -> Result<ValuesRead<'a>, Error> {
        let id = self.definition_id(reference, freshness).await?;
        let ids = [id];
        let needs = Needs::org_keys().definitions(&ids).accounts(accounts).freshness(freshness);
        let gets: Vec<Key> = scopes.map(|scope| self.id.value(scope, &id).key()).collect();
        let (view, rows) = self.read(&needs, gets).await?;
        let definition = Arc::clone(view.definition(0, reference)?);
        Ok(ValuesRead { view, definition, rows })
    }

    /// Opens the row of a value. `None` if the key that sealed it was dropped.
    pub(crate) fn open_value(
        &self,
        view: &View<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        row: &Versioned,
    ) -> Result<Option<ScopedValue>, Error> {
        self.open_value_at(view, scope, definition, &self.id.value(scope, definition), row)
    }

    /// Opens a value, current or former, in its place.
    pub(crate) fn open_value_at(
        &self,
        view: &View<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        place: &Row<'_>,
        row: &Versioned,
    ) -> Result<Option<ScopedValue>, Error> {
        let keys = view.keys(scope.linked_account());
        let Some(opened) = self.open(keys, place, &row.value)? else { return Ok(None) };
        let id = opened.document_id(place)?;
        let body = ValueBody::decode(opened.plaintext).map_err(|error| Error::row(place.name(), error))?;
        Ok(Some(ScopedValue {
            id,
            definition_id: *definition,
            scope: scope.clone(),
            revision: opened.revision,
            created_at: body.times.created_at,
            updated_at: body.times.updated_at,
            metadata: body.metadata,
            value: body.value,
        }))
    }

    /// The document id and revision in the clear part of a value's row, without opening it. `None` if the key that
    /// sealed it was dropped.
    pub(crate) fn find_in_row(
        &self,
        view: &View<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        row: &Versioned,
    ) -> Result<Option<Found>, Error> {
        let place = self.id.value(scope, definition);
        let Some(sealed) = Self::peek(view.keys(scope.linked_account()), &place, &row.value)? else {
            return Ok(None);
        };
        let id = sealed.doc_id.ok_or_else(|| Error::damaged(place.name(), Damage::Inconsistent))?;
        Ok(Some(Found { id, revision: sealed.revision }))
    }

    /// The scope and definition of the value with this document id: a hint, which must be checked against its row.
    pub(crate) async fn find_value(&self, id: &DocumentId) -> Result<Option<(Scope, DefinitionId)>, Error> {
        const ROW: &str = "the index row of a value's id";
        let Some(row) = self.engine.get(self.id.value_id(id).key()).await? else { return Ok(None) };
        let target = decode_index(&row.value).map_err(|error| Error::row(ROW, error))?;
        self.id.parse_value(target).map(Some).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
    }

    /// The id index rows that lead to these rows of values. It scans all ids, so it is only for rows whose own id
    /// cannot be read.
    pub(crate) async fn ids_leading_to(&self, values: &[Key]) -> Result<Vec<(Key, DocumentId)>, Error> {
        let mut found = Vec::new();
        if values.is_empty() {
            return Ok(found);
        }
        let range = self.id.value_ids();
        let mut rest = range.clone();
        loop {
            let page = self.engine.scan(rest.clone(), IDS_PAGE).await?;
            for (key, row) in &page.rows {
                let leads = decode_index(&row.value)
                    .is_ok_and(|target| values.iter().any(|value| value.as_bytes() == target));
                let id = key.as_bytes().strip_prefix(range.start.as_slice()).and_then(DocumentId::from_bytes);
                found.extend(id.filter(|_| leads).map(|id| (key.clone(), id)));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(found),
            }
        }
    }
}

impl Draft<'_> {
    /// Puts the index rows of a new value.
    pub(crate) fn put_value_index(&mut self, id: &DocumentId, scope: &Scope, definition: &DefinitionId) {
        let keys = &self.tenant().id;
        let value = keys.value(scope, definition).key();
        self.put(keys.value_id(id).key(), encode_index(value.as_bytes()));
        self.put_definition_value(scope, definition);
    }

    /// Puts the row of a value in its definition's index, unmarked: the value matches the definition's format.
    pub(crate) fn put_definition_value(&mut self, scope: &Scope, definition: &DefinitionId) {
        self.put(self.tenant().id.definition_value(definition, scope).key(), encode_index(&[]));
    }

    /// Deletes the index rows that lead to rows which this batch deletes. A hostile index may have any number of
    /// them, so only as many as fit in the batch.
    pub(crate) fn delete_ids(&mut self, ids: &[(Key, DocumentId)]) {
        for (key, _) in ids.iter().take(IDS_DELETED_MAX) {
            self.delete(key.clone());
        }
    }

    /// Deletes the index row of a value's id.
    pub(crate) fn delete_value_id(&mut self, id: &DocumentId) {
        self.delete(self.tenant().id.value_id(id).key());
    }
}

/// A change of a value, without its id and revisions.
pub(crate) fn value_change(kind: EventKind, stored: &StoredDefinition, scope: &Scope) -> AuditChange {
    AuditChange {
        definition_id: Some(stored.id),
        name: Some(stored.definition.name.clone()),
        linked_account: scope.linked_account().cloned(),
        workflow: scope.workflow().cloned(),
        ..AuditChange::new(kind)
    }
}

/// How many ids are read at once.
const IDS_PAGE: usize = 1_000;
/// A sweep takes 32 rows at a time, each with two index rows, in 100 operations.
const IDS_DELETED_MAX: usize = 32;

/// A value for [`Org::set_values`](crate::Org::set_values).
#[derive(Debug)]
pub struct NewValue<'a> {
    pub(crate) definition: DefinitionRef<'a>,
    pub(crate) scope: Cow<'a, Scope>,
    pub(crate) value: Secret,
    pub(crate) expected: Expected,
}

impl<'a> NewValue<'a> {
    /// Sets `value` at `scope`, whether or not there is one.
    pub fn new(
        definition: impl Into<DefinitionRef<'a>>,
        scope: impl Into<Cow<'a, Scope>>,
        value: impl Into<Secret>,
    ) -> Self {
        Self {
            definition: definition.into(),
            scope: scope.into(),
            value: value.into(),
            expected: Expected::Any,
        }
    }

    /// Sets the value only if the one at the scope is as expected.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

/// What all values of a batch have in common.
pub(crate) struct Writing<'w> {
    /// One moment for all of them.
    pub(crate) now: Timestamp,
    pub(crate) options: &'w WriteOptions,
    pub(crate) metadata: Metadata,
}

impl Draft<'_> {
    pub(crate) fn put_value(
        &mut self,
        definition: &Definition,
        new: &NewValue<'_>,
        rows: &ValueRows,
        writing: &Writing<'_>,
    ) -> Result<ValueWritten, Error> {
        let Writing { now, options, metadata } = writing;
        let kept = self.tenant().versions_kept(&definition.stored.definition);
        let definition_id = definition.stored.id;
        let tenant = self.tenant();
        let place = tenant.id.value(&new.scope, &definition_id);
        let subject = Subject::value(&new.scope, &definition_id);
        let row = rows.row.as_ref();
        let existing = match row.filter(|_| rows.continued.is_none()) {
            Some(row) => self.existing(&place, &row.value)?,
            None => None,
        };
        let standing = match &existing {
            Some((existing, _)) => Standing::At(existing.revision),
            None => self.standing(&subject, rows.deleted.as_ref(), rows.continued)?,
        };
        options.check(standing)?;
        WriteOptions::expecting(new.expected).check(standing)?;

        let found = standing.revision();
        let is_new = existing.is_none() && (row.is_none() || rows.continued.is_none());
        let action = if is_new { Upsert::Added } else { Upsert::Updated };
        let Existing { id, revision, created_at } = match (existing, rows.continued) {
            (None, Some(continued)) => {
                self.continue_unreadable(&continued.id, &definition.stored, &new.scope, rows);
                continued
            }
            (Some((existing, former)), _) => {
                let dropped = self.keep_former(&subject, &former.as_document(), kept)?;
                self.delete_surplus(&rows.surplus, dropped.as_ref());
                // The value matches the format now, so an older grandfathered mark is dropped.
                if definition.stored.format_changes > 0 {
                    self.put_definition_value(&new.scope, &definition_id);
                }
                Existing { revision: existing.revision.next(), ..existing }
            }
            (None, None) => {
                // The key that sealed it was dropped, so it counts as absent. But the index row of its id would lead to
                // the new value.
                if let Some(row) = row {
                    self.delete_left_value_id(row);
                }
                self.add_value(&new.scope, &definition_id, rows, (*now, kept))?
            }
        };
        // The value was checked against the format of this revision, which says nothing about other revisions.
        self.expect_definition(definition);
        let body = ValueBody::encode(&new.value, Times { created_at, updated_at: *now }, metadata);
        let document = Document { id: Some(id), revision, body: &body };
        self.put_counted(&place, row.map(|row| (row.revision, row.value.len())), &document)?;

        self.note(|| AuditChange {
            document_id: Some(id),
            before: found,
            after: Some(revision),
            ..value_change(EventKind::ValueSet, &definition.stored, &new.scope)
        });

        let shown = options.ciphertext && definition.stored.definition.encrypted;
        let ciphertext = if shown { Some(self.show(&place, &document)?) } else { None };
        let scope = new.scope.clone().into_owned();
        Ok(ValueWritten {
            action,
            id,
            definition_id,
            scope,
            revision,
            created_at,
            updated_at: *now,
            ciphertext,
        })
    }

    /// Deletes the versions beyond those that are kept, except the one that is already dropped to make room.
    pub(super) fn delete_surplus(&mut self, surplus: &[Key], gone: Option<&Key>) {
        let mut others = surplus.iter().filter(|key| gone != Some(key)).cloned();
        others.by_ref().take(SURPLUS_MAX).for_each(|key| self.delete_former(key));
        self.try_delete_after_landing(others);
    }

    /// Replaces a value or a deletion that cannot be opened, or a value that is gone: the new value continues this
    /// document.
    fn continue_unreadable(
        &mut self,
        id: &DocumentId,
        stored: &StoredDefinition,
        scope: &Scope,
        rows: &ValueRows,
    ) {
        if rows.row.is_some() {
            self.note(|| AuditChange {
                document_id: Some(*id),
                ..value_change(EventKind::ValueDeleted, stored, scope)
            });
        }
        if let Some(row) = &rows.deleted {
            self.delete_unreadable_deletion(&Subject::value(scope, &stored.id), row);
        } else if rows.row.is_none() {
            // The value is also absent after others have set and deleted it; this row shows that.
            let index = self.tenant().id.definition_value(&stored.id, scope).key();
            self.expect_as_read(index, rows.index.as_ref().map(|row| row.revision));
        }
        self.put_value_index(id, scope, &stored.id);
    }

    /// Deletes the index row of the id of the value in `row`, which was sealed under a dropped key and is replaced.
    fn delete_left_value_id(&mut self, row: &Versioned) {
        let left = SealedRow::decode(RowKind::ScopedValue, &row.value).ok().and_then(|row| row.doc_id);
        if let Some(id) = left {
            self.delete_value_id(&id);
        }
    }

    pub(crate) fn new_value(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        created_at: Timestamp,
    ) -> Result<Existing, Error> {
        let id = self.new_id()?;
        self.put_value_index(&id, scope, definition);
        Ok(Existing { id, revision: Revision::first()?, created_at })
    }

    /// Seals the value again as a ciphertext that may be shown. It has its own kind of address, so that it can never
    /// be used as a row.
    fn show(&mut self, place: &Row<'_>, document: &Document<'_>) -> Result<String, Error> {
        let keys = self.scope_keys(place.sealed_by().account())?;
        let address = place.address(&self.tenant().engine.store_id, document.id, document.revision);
        Ok(STANDARD.encode(active_key(&keys.keyring, place)?.seal(&address.shown(), document.body)?))
    }
}
