//! The rows of a definition: itself, its name, and the count of all.

use crate::tenant::MadeDefinitions;
use std::sync::Arc;

use crate::engine::cache::Cached;
use crate::engine::cache::Tag;
use crate::envelope::Context;
use crate::envelope::Kind;
use crate::error::Damage;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::id::DefinitionName;
use crate::model::DefinitionRef;
use crate::model::Revision;
use crate::model::StoredDefinition;
use crate::row::body::RowKind;
use crate::row::body::SealedRow;
use crate::row::body::decode_definition;
use crate::row::body::decode_index;
use crate::row::body::encode_definition;
use crate::row::body::encode_index;
use crate::store::ReadBatch;
use crate::store::RowRevision;
use crate::store::Versioned;
use crate::tenant::Draft;
use crate::tenant::Freshness;
use crate::tenant::Ground;
use crate::tenant::Needs;
use crate::tenant::ScopeKeys;
use crate::tenant::SealedPut;
use crate::tenant::Tenant;
use crate::tenant::describe;
use smallvec::SmallVec;
use std::slice;

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
pub(crate) fn read_hint(row: &Versioned) -> Result<DefinitionId, Error> {
    const ROW: &str = "the index row of a variable definition's name";
    let target = decode_index(&row.value).map_err(|error| Error::row(ROW, error))?;
    DefinitionId::from_bytes(target).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
}

impl Tenant {
    /// The definition with this id or name.
    pub(crate) async fn definition(&self, reference: &DefinitionRef<'_>) -> Result<Arc<Definition>, Error> {
        match self.look_up(reference, Freshness::Cached).await {
            Err(error) if error.may_be_stale() => self.look_up(reference, Freshness::Fresh).await,
            answer => answer,
        }
    }

    /// The id of a definition. For a name it is a hint, from a cache or an index row: what it leads to must still
    /// have the name, which [`Ground::definition`](crate::tenant::Ground::definition) checks.
    pub(crate) async fn definition_id(
        &self,
        reference: &DefinitionRef<'_>,
        freshness: Freshness,
    ) -> Result<DefinitionId, Error> {
        let name = match reference {
            DefinitionRef::Id(id) => return Ok(*id),
            DefinitionRef::Name(name) => name,
        };
        let caches = &self.engine.caches;
        let moment = caches.moment();
        if let (Some(id), Freshness::Cached) = (self.known_name(name), freshness) {
            caches.counts.add(Cached::Names, 1, 0);
            return Ok(id);
        }
        caches.counts.add(Cached::Names, 0, 1);
        let key = self.keys.definition_name(&name.parse::<DefinitionName>()?);
        let row = self.engine.get(key.clone()).await?;
        let row = row.ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))?;
        let id = read_hint(&row)?;
        caches.insert(moment, |tables| tables.names.insert(key, id, Tag::Sole));
        Ok(id)
    }

    /// The ids of definitions, those of `made` among them, which are not written yet. Names that no cache knows are read
    /// together.
    pub(crate) async fn definition_ids<'r>(
        &self,
        references: impl Iterator<Item = &'r DefinitionRef<'r>>,
        made: &MadeDefinitions<'_>,
        freshness: Freshness,
    ) -> Result<SmallVec<[DefinitionId; 1]>, Error> {
        let caches = &self.engine.caches;
        let moment = caches.moment();
        let (mut ids, mut names_len) = (SmallVec::<[Option<DefinitionId>; 1]>::new(), 0);
        let (mut cold, mut gets) = (Vec::new(), Vec::new());
        for reference in references {
            let known = match reference {
                DefinitionRef::Id(id) => Some(*id),
                DefinitionRef::Name(name) => match made.get(reference) {
                    Some(made) => Some(made.stored.id),
                    None => {
                        names_len += 1;
                        self.known_name(name).filter(|_| freshness == Freshness::Cached)
                    }
                },
            };
            if let (None, DefinitionRef::Name(name)) = (known, reference) {
                cold.push((ids.len(), reference));
                gets.push(self.keys.definition_name(&name.parse::<DefinitionName>()?));
            }
            ids.push(known);
        }
        caches.counts.add(Cached::Names, names_len - cold.len(), cold.len());
        let read = ReadBatch { gets, scans: Vec::new() };
        let rows = self.engine.read(&read).await?.gets;
        for (((index, reference), key), row) in cold.into_iter().zip(read.gets).zip(rows) {
            let row = row.ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))?;
            let id = read_hint(&row)?;
            caches.insert(moment, |tables| tables.names.insert(key, id, Tag::Sole));
            if let Some(known) = ids.get_mut(index) {
                *known = Some(id);
            }
        }
        Ok(ids.into_iter().flatten().collect())
    }

    /// The id that is cached under a name: it was once found under it, so that the name was checked.
    fn known_name(&self, name: &str) -> Option<DefinitionId> {
        let tables = self.engine.caches.tables();
        tables.names.get(self.keys.probe().definition_name(name)).map(|(id, _)| *id)
    }

    async fn look_up(
        &self,
        reference: &DefinitionRef<'_>,
        freshness: Freshness,
    ) -> Result<Arc<Definition>, Error> {
        let id = self.definition_id(reference, freshness).await?;
        let needs = Needs::org_keys().definitions(slice::from_ref(&id)).freshness(freshness);
        let (ground, _) = self.read(&needs, ReadBatch::default()).await?;
        ground.definition(0, reference).cloned()
    }
}
