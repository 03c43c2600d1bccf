//! The rows of a value: itself, its id, and its place in its definition's index.

use std::sync::Arc;

use crate::engine::cache::Definition;
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DocumentId, LinkedAccountId};
use crate::model::{AuditChange, DefinitionRef, EventKind, Found, ScopedValue, StoredDefinition};
use crate::row::body::ValueBody;
use crate::row::{Row, decode_index, encode_index};
use crate::scope::Scope;
use crate::store::{Key, Versioned};
use crate::tenant::{Draft, Freshness, Needs, Tenant, View};

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
        let body =
            ValueBody::decode(opened.plaintext).map_err(|error| Error::content(place.name(), error))?;
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
        let mut rows = self.read_hints(vec![self.id.value_id(id).key()]).await?;
        let Some(row) = rows.pop().flatten() else { return Ok(None) };
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
        let tenant_id = &self.tenant().id;
        let value = tenant_id.value(scope, definition).key();
        self.put(tenant_id.value_id(id).key(), encode_index(value.as_bytes()));
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
            self.delete_once(key.clone());
        }
    }

    /// Deletes the index row of a value's id.
    pub(crate) fn delete_value_id(&mut self, id: &DocumentId) {
        self.delete_once(self.tenant().id.value_id(id).key());
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
