//! The rows of a value: itself, its id, and its place in its definition's index.

use crate::clock::Timestamp;
use crate::envelope::Context;
use crate::envelope::Kind;
use crate::error::Damage;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::id::DocumentId;
use crate::id::LinkedAccountId;
use crate::id::WorkflowId;
use crate::model::DefinitionRef;
use crate::model::Expected;
use crate::model::Found;
use crate::model::Listing;
use crate::model::PageRequest;
use crate::model::Revision;
use crate::model::ScopedValue;
use crate::model::Upsert;
use crate::model::ValueWritten;
use crate::row::body::RowKind;
use crate::row::body::SealedRow;
use crate::row::body::Sheet;
use crate::row::body::decode_index;
use crate::row::body::encode_index;
use crate::row::key::parse_value;
use crate::row::key::value_definition;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::store::Key;
use crate::store::Versioned;
use crate::tenant::Definition;
use crate::tenant::Draft;
use crate::tenant::Ground;
use crate::tenant::SealedPut;
use crate::tenant::Standing;
use crate::tenant::Tenant;
use crate::tenant::WriteOptions;
use crate::tenant::describe;
use crate::tenant::find_definition;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

impl Tenant {
    /// The address of a value.
    pub(crate) fn value_context<'a>(&'a self, scope: &'a Scope, definition: &'a str) -> Context<'a> {
        Context {
            linked_account: scope.linked_account().map(LinkedAccountId::as_str),
            workflow: scope.workflow().map(WorkflowId::as_str),
            ..self.context(Kind::ScopedValue, definition)
        }
    }

    /// Opens the row of a value; `None` when the key that sealed it was dropped.
    pub(crate) fn open_value(
        &self,
        ground: &Ground<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        row: &Versioned,
    ) -> Result<Option<ScopedValue>, Error> {
        let id_text = definition.to_text();
        let context = self.value_context(scope, id_text.as_str());
        let keys = ground.keys(scope.linked_account());
        let Some(opened) = self.open(keys, &context, &row.value)? else { return Ok(None) };
        let id = opened.document_id(&context)?;
        let sheet = Sheet::decode(opened.plaintext).map_err(|error| Error::row(describe(&context), error))?;
        Ok(Some(ScopedValue {
            id,
            definition_id: *definition,
            scope: scope.clone(),
            revision: opened.revision,
            created_at: sheet.created_at,
            updated_at: sheet.updated_at,
            value: sheet.value,
        }))
    }

    /// The document id and revision in the clear part of a value's row, without opening it; `None` when the key
    /// that sealed it was dropped.
    pub(crate) fn find_in_row(
        &self,
        ground: &Ground<'_>,
        scope: &Scope,
        definition: &DefinitionId,
        row: &Versioned,
    ) -> Result<Option<Found>, Error> {
        let called = || describe(&self.value_context(scope, definition.to_text().as_str()));
        let keys = ground.keys(scope.linked_account());
        let Some(sealed) = Self::find(keys, RowKind::ScopedValue, &row.value, called)? else {
            return Ok(None);
        };
        let id = sealed.doc_id.ok_or_else(|| Error::damaged(called(), Damage::Inconsistent))?;
        Ok(Some(Found { id, revision: sealed.revision }))
    }

    /// Where the value with this document id stands: a hint, to be checked against its row.
    pub(crate) async fn find_value(&self, id: &DocumentId) -> Result<Option<(Scope, DefinitionId)>, Error> {
        const ROW: &str = "the index row of a value's id";
        let Some(row) = self.engine.get(self.keys.value_id(id)).await? else { return Ok(None) };
        let target = decode_index(&row.value).map_err(|error| Error::row(ROW, error))?;
        parse_value(&self.keys, target).map(Some).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
    }

    /// The index rows of ids that lead to these rows of values. For rows that do not tell their ids themselves: it
    /// goes through all ids.
    pub(crate) async fn ids_leading_to(&self, values: &[Key]) -> Result<Vec<(Key, DocumentId)>, Error> {
        let mut found = Vec::new();
        if values.is_empty() {
            return Ok(found);
        }
        let range = self.keys.value_ids();
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

    /// One page of the values of a scope. Rows of a definition that is gone are skipped.
    pub(crate) async fn list_values(
        &self,
        scope: &Scope,
        page: &PageRequest,
    ) -> Result<Listing<ScopedValue>, Error> {
        let definitions = self.catalog().await?;
        self.list(scope.linked_account(), &self.keys.values(scope), page, |ground, key, row| {
            match value_definition(key) {
                Some(id) if find_definition(&definitions, &id).is_some() => {
                    self.open_value(ground, scope, &id, row)
                }
                _ => Ok(None),
            }
        })
        .await
    }
}

impl Draft<'_> {
    /// Puts the index rows of a new value.
    pub(crate) fn put_value_index(&mut self, id: &DocumentId, scope: &Scope, definition: &DefinitionId) {
        let keys = &self.tenant().keys;
        let value = keys.value(scope, definition);
        self.put(keys.value_id(id), encode_index(value.as_bytes()));
        self.put_definition_value(scope, definition);
    }

    /// Puts the row of a value in its definition's index, unmarked: the value matches the definition's format.
    pub(crate) fn put_definition_value(&mut self, scope: &Scope, definition: &DefinitionId) {
        self.put(self.tenant().keys.definition_value(definition, scope), encode_index(&[]));
    }

    /// Deletes index rows that lead to rows which go in this batch; of a hostile index no more than fit with them.
    pub(crate) fn delete_ids(&mut self, ids: &[(Key, DocumentId)]) {
        for (key, _) in ids.iter().take(IDS_DELETED_MAX) {
            self.delete(key.clone());
        }
    }

    /// Deletes the index row of a value's id.
    pub(crate) fn delete_value_id(&mut self, id: &DocumentId) {
        self.delete(self.tenant().keys.value_id(id));
    }
}

/// How many ids are read at once.
const IDS_PAGE: usize = 1_000;
/// A sweep takes 32 rows at once, each with two index rows, in 100 operations.
const IDS_DELETED_MAX: usize = 32;

/// A value to be set by [`Org::set_values`].
#[derive(Debug)]
pub struct NewValue<'a> {
    pub(crate) definition: DefinitionRef<'a>,
    pub(crate) scope: Cow<'a, Scope>,
    pub(crate) value: Secret,
    expected: Expected,
}

impl<'a> NewValue<'a> {
    /// `value` for a definition at `scope`, whatever stands there.
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

    /// The same, only if the value that stands there is as expected.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

impl Draft<'_> {
    pub(crate) fn put_value(
        &mut self,
        definition: &Definition,
        new: &NewValue<'_>,
        row: Option<&Versioned>,
        now: Timestamp,
        options: &WriteOptions,
    ) -> Result<ValueWritten, Error> {
        let definition_id = definition.stored.id;
        let tenant = self.tenant();
        let key = tenant.keys.value(&new.scope, &definition_id);
        let id_text = definition_id.to_text();
        let context = tenant.value_context(&new.scope, id_text.as_str());
        let standing = match row {
            Some(row) => self.standing(new.scope.linked_account(), &context, row)?,
            None => None,
        };
        if let (None, Some(row)) = (&standing, row) {
            self.delete_left_value_id(row);
        }
        let found = standing.as_ref().map(|standing| standing.revision);
        options.check(found)?;
        WriteOptions::expecting(new.expected).check(found)?;

        let action = if standing.is_some() { Upsert::Updated } else { Upsert::Added };
        let Standing { id, revision, created_at } = match standing {
            Some(standing) => {
                if definition.stored.format_changes > 0 {
                    self.put_definition_value(&new.scope, &definition_id);
                }
                Standing { revision: standing.revision.next(), ..standing }
            }
            None => self.new_value(&new.scope, &definition_id, now)?,
        };
        self.expect_definition(definition);
        self.expect_as_read(key.clone(), row.map(|row| row.revision));
        let plaintext = Sheet::encode(&new.value, created_at, now);
        let account = new.scope.linked_account();
        let put = SealedPut { key, context, doc_id: Some(id), revision, plaintext: &plaintext };
        self.put_sealed(account, put)?;

        let shown = options.ciphertext && definition.stored.definition.encrypted;
        let ciphertext =
            if shown { Some(self.show(account, &context, id, revision, &plaintext)?) } else { None };
        let scope = new.scope.clone().into_owned();
        Ok(ValueWritten {
            action,
            id,
            definition_id,
            scope,
            revision,
            created_at,
            updated_at: now,
            ciphertext,
        })
    }

    /// What stands in `row` was sealed under a dropped key: the index row of its id goes with it.
    fn delete_left_value_id(&mut self, row: &Versioned) {
        let left = SealedRow::decode(RowKind::ScopedValue, &row.value).ok().and_then(|row| row.doc_id);
        if let Some(id) = left {
            self.delete_value_id(&id);
        }
    }

    fn new_value(
        &mut self,
        scope: &Scope,
        definition: &DefinitionId,
        created_at: Timestamp,
    ) -> Result<Standing, Error> {
        let id = self.new_id()?;
        self.put_value_index(&id, scope, definition);
        Ok(Standing { id, revision: Revision::first()?, created_at })
    }

    /// The same value sealed afresh as a ciphertext to be shown: a copy of it can never be planted as a row.
    fn show(
        &mut self,
        account: Option<&LinkedAccountId>,
        context: &Context<'_>,
        id: DocumentId,
        revision: Revision,
        plaintext: &[u8],
    ) -> Result<String, Error> {
        let id_text = id.to_text();
        let shown =
            Context { kind: Kind::Shown, doc_id: id_text.as_str(), revision: revision.as_u64(), ..*context };
        let keys = self.scope_keys(account)?;
        Ok(STANDARD.encode(Tenant::active_key(&keys, &shown)?.seal(&shown, plaintext)?))
    }
}
