//! The rows of a definition: itself, its name, and the count of all.

use std::sync::Arc;

use crate::envelope::{Context, Kind};
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DefinitionName};
use crate::model::{DefinitionRef, Revision, StoredDefinition};
use crate::record::{RowKind, SealedRow, decode_definition, decode_index, encode_definition, encode_index};
use crate::store::{RowRevision, Versioned};
use crate::tenant::{Draft, Ground, ScopeKeys, SealedPut, Tenant, describe};

/// A definition as the engine keeps it: opened, with what a write expects of its row.
pub(crate) struct Definition {
    pub(crate) stored: StoredDefinition,
    pub(crate) row: RowRevision,
}

impl Ground<'_> {
    /// The definition at `index` of those that were asked for, which must be the one that `reference` names.
    pub(crate) fn definition(
        &self,
        index: usize,
        reference: &DefinitionRef<'_>,
    ) -> Result<&Arc<Definition>, Error> {
        let found = self.definitions.get(index).and_then(Option::as_ref);
        found
            .filter(|definition| reference.is(&definition.stored))
            .ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))
    }
}

impl Tenant {
    /// Opens the row of a definition; `None` when the key that sealed it was dropped.
    pub(crate) fn open_definition(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        id: DefinitionId,
        row: &Versioned,
    ) -> Result<Option<Definition>, Error> {
        let id_text = id.to_text();
        let context = self.context(Kind::Definition, id_text.as_str());
        let Some(opened) = self.open(keys, &context, &row.value)? else { return Ok(None) };
        let stored = decode_definition(id, opened.revision, &opened.plaintext)
            .map_err(|error| Error::row(describe(&context), error))?;
        Ok(Some(Definition { stored, row: row.revision }))
    }
}

impl Draft<'_> {
    /// Puts a definition, new or in place of the one at `read`.
    pub(crate) fn put_definition(
        &mut self,
        stored: &StoredDefinition,
        read: Option<RowRevision>,
    ) -> Result<(), Error> {
        let key = self.tenant().keys.definition(&stored.id);
        let id_text = stored.id.to_text();
        let context = self.tenant().context(Kind::Definition, id_text.as_str());
        let plaintext = encode_definition(stored);
        self.expect_as_read(key.clone(), read);
        self.changes_cached_rows();
        self.put_sealed(
            None,
            SealedPut { key, context, doc_id: None, revision: stored.revision, plaintext: &plaintext },
        )
    }

    /// Takes a name for a definition. The batch fails when it is taken already.
    pub(crate) fn put_definition_name(&mut self, name: &DefinitionName, id: &DefinitionId) {
        let key = self.tenant().keys.definition_name(name);
        self.expect_as_read(key.clone(), None);
        self.put(key, encode_index(id.as_bytes()));
    }

    /// Gives the name of a definition back, unless it leads to another: an older row that came back can show a name that
    /// was given away since.
    pub(crate) async fn delete_definition_name(&mut self, definition: &Definition) -> Result<(), Error> {
        let name: DefinitionName = definition.stored.definition.name.parse()?;
        let key = self.tenant().keys.definition_name(&name);
        let row = self.tenant().engine.get(key.clone()).await?;
        let is_other = |row: &Versioned| read_hint(row).is_ok_and(|id| id != definition.stored.id);
        if let Some(row) = row.filter(|row| !is_other(row)) {
            self.expect_as_read(key.clone(), Some(row.revision));
            self.delete(key);
        }
        Ok(())
    }

    /// Deletes a definition and its name, if it is as it was read.
    pub(crate) async fn delete_definition(&mut self, definition: &Definition) -> Result<(), Error> {
        let key = self.tenant().keys.definition(&definition.stored.id);
        self.expect_as_read(key.clone(), Some(definition.row));
        self.delete(key);
        self.changes_cached_rows();
        self.delete_definition_name(definition).await
    }

    /// Changes the count of definitions, within its limit.
    pub(crate) fn put_definition_count(
        &mut self,
        read: Option<&Versioned>,
        change: i64,
    ) -> Result<(), Error> {
        let key = self.tenant().keys.count();
        let context = self.tenant().context(Kind::Row, "count");
        let (count, revision) = match read {
            Some(row) => self.read_count(&context, row)?,
            None => (0, Revision::from_u64(0)),
        };
        let changed = count.saturating_add_signed(change);
        let max = self.tenant().engine.limits.definitions();
        if change > 0 && changed > max as u64 {
            return Err(Error::TooManyDefinitions(max));
        }
        self.expect_as_read(key.clone(), read.map(|row| row.revision));
        let plaintext = changed.to_be_bytes();
        self.put_sealed(
            None,
            SealedPut { key, context, doc_id: None, revision: revision.next(), plaintext: &plaintext },
        )
    }

    fn read_count(&self, context: &Context<'_>, row: &Versioned) -> Result<(u64, Revision), Error> {
        let Some(opened) = self.tenant().open(self.keys(None), context, &row.value)? else {
            let revision = SealedRow::decode(RowKind::Sealed, &row.value).map(|sealed| sealed.revision);
            return Ok((0, revision.map_err(|error| Error::row(describe(context), error))?));
        };
        let bytes = opened.plaintext.as_slice().try_into();
        let bytes = bytes.map_err(|_| Error::damaged(describe(context), Damage::Malformed))?;
        Ok((u64::from_be_bytes(bytes), opened.revision))
    }
}

/// The definition that an index row leads to.
pub(super) fn read_hint(row: &Versioned) -> Result<DefinitionId, Error> {
    const ROW: &str = "the index row of a variable definition's name";
    let target = decode_index(&row.value).map_err(|error| Error::row(ROW, error))?;
    DefinitionId::from_bytes(target).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
}
