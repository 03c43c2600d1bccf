//! The names of definitions: the index rows that lead to them, and what is done where such a row is lost.

use std::slice;
use std::sync::Arc;

use crate::engine::cache::Definition;
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DefinitionName};
use crate::row::{decode_index, encode_index};
use crate::store::{Key, Page, RowRevision, Scan, Versioned};
use crate::tenant::{Attempt, Draft, Freshness, Tenant, View};

impl Tenant {
    /// All definitions: what [`Draft::refuse_borne`] looks at.
    pub(crate) fn scan_of_definitions(&self) -> Scan {
        Scan::new(self.id.definitions(), NAMES_PAGE)
    }

    /// Opens a definition that was listed, and caches it: the next one that is made has to look at all of them again.
    pub(crate) fn open_listed(
        &self,
        view: &View<'_>,
        key: &Key,
        row: &Versioned,
    ) -> Result<Option<Arc<Definition>>, Error> {
        if let Some(known) = self.known_definition(key, row) {
            return Ok(Some(known));
        }
        let id = key.as_bytes().last_chunk::<12>().and_then(|id| DefinitionId::from_bytes(id));
        let Some(id) = id else { return Ok(None) };
        let opened = self.open_definition(view.keys(None), id, row, view.moment)?.map(Arc::new);
        if let Some(opened) = &opened {
            let (key, kept) = (key.clone(), Arc::clone(opened));
            self.engine.caches.insert(view.moment, |tables| tables.definitions.insert(key, kept, view.tag));
        }
        Ok(opened)
    }
}

impl Draft<'_> {
    /// Takes a name for a definition. `taken` is the row of that name, as it was read.
    pub(crate) async fn take_definition_name(
        &mut self,
        name: &DefinitionName,
        id: DefinitionId,
        taken: Option<&Versioned>,
        freshness: Freshness,
    ) -> Result<(), Error> {
        let page = self.tenant().engine.read(self.tenant().scan_of_definitions()).await?;
        self.refuse_borne(slice::from_ref(name), Some(id), page, freshness).await?;
        if let Some(taken) = taken {
            return Err(Error::DefinitionExists(read_hint(taken)?));
        }
        self.put_definition_name(name, &id);
        Ok(())
    }

    /// Refuses a name that another definition than `own` bears: otherwise there could be two definitions of one name.
    /// If the index row of the name is lost, it is written again. `page` is what [`Tenant::scan_of_definitions`] reads.
    pub(crate) async fn refuse_borne(
        &self,
        names: &[DefinitionName],
        own: Option<DefinitionId>,
        page: Page,
        freshness: Freshness,
    ) -> Result<(), Error> {
        let Some(bearer) = self.bearer_of(names, own, page, freshness).await? else { return Ok(()) };
        let id = bearer.id;
        // Whether or not somebody was faster: the definition had the name when it was read.
        let _ = self.write_name(bearer).await?;
        Err(Error::DefinitionExists(id))
    }

    /// The definition other than `own` that bears one of these names, whatever its index row says. A definition that
    /// cannot be read takes no name: whoever brings it back finds the name taken.
    pub(crate) async fn bearer_of(
        &self,
        names: &[DefinitionName],
        own: Option<DefinitionId>,
        page: Page,
        freshness: Freshness,
    ) -> Result<Option<Bearer>, Error> {
        let (tenant, view) = (self.tenant(), self.view());
        if view.is_shredded() {
            return Ok(None);
        }
        for (key, row) in tenant.rest(&tenant.id.definitions(), page).await? {
            let known = match tenant.open_listed(view, &key, &row) {
                Ok(Some(known)) if Some(known.stored.id) != own => known,
                // The keys may be out of date.
                Err(error @ Error::UnknownKey { .. }) if freshness == Freshness::Cached => return Err(error),
                Ok(_) | Err(_) => continue,
            };
            let (id, borne) = (known.stored.id, &known.stored.definition.name);
            let Some(name) = names.iter().find(|name| name.as_str() == borne) else { continue };
            let index = tenant.id.definition_name(name).key();
            let found = tenant.engine.get(index.clone()).await?;
            if let Some(id) = self.indexed_bearer(found.as_ref(), name, id).await? {
                return Ok(Some(Bearer { id, unindexed: None }));
            }
            let unindexed = Unindexed { definition: (key, row.revision), index: (index, found) };
            return Ok(Some(Bearer { id, unindexed: Some(unindexed) }));
        }
        Ok(None)
    }

    /// Leads the name to the definition that bears it, in a batch of its own, unless it leads there already.
    pub(crate) async fn write_name(&self, bearer: Bearer) -> Result<Attempt<()>, Error> {
        let Some(Unindexed { definition, index }) = bearer.unindexed else { return Ok(Attempt::Landed(())) };
        let mut repair = Draft::new(self.tenant(), self.view());
        repair.expect_as_read(definition.0, Some(definition.1));
        repair.put_as_read(index.0, index.1.map(|row| row.revision), encode_index(bearer.id.as_bytes()));
        Ok(repair.commit().await?.map(drop))
    }

    /// The definition to which the index row of a name leads, if that is `known` or has the name too. One that cannot
    /// be read may have it.
    async fn indexed_bearer(
        &self,
        index: Option<&Versioned>,
        name: &DefinitionName,
        known: DefinitionId,
    ) -> Result<Option<DefinitionId>, Error> {
        let (tenant, view) = (self.tenant(), self.view());
        let Some(id) = index.and_then(|index| read_hint(index).ok()) else { return Ok(None) };
        if id == known {
            return Ok(Some(id));
        }
        let key = tenant.id.definition(&id).key();
        let Some(row) = tenant.engine.get(key.clone()).await? else { return Ok(None) };
        let has_name = match tenant.open_listed(view, &key, &row) {
            Ok(Some(other)) => other.stored.definition.name == name.as_str(),
            Ok(None) => false,
            Err(_) => true,
        };
        Ok(has_name.then_some(id))
    }

    /// Takes a name of which it is known that no definition bears it. The batch fails if its row is there.
    pub(crate) fn put_definition_name(&mut self, name: &DefinitionName, id: &DefinitionId) {
        let key = self.tenant().id.definition_name(name).key();
        self.put_as_read(key, None, encode_index(id.as_bytes()));
    }

    /// Frees the name of a definition, unless another definition has taken it. A hostile store can return an old row of
    /// the definition, with a name that was freed and taken since.
    pub(crate) async fn delete_definition_name(&mut self, definition: &Definition) -> Result<(), Error> {
        let name: DefinitionName = definition.stored.definition.name.parse()?;
        let key = self.tenant().id.definition_name(&name).key();
        let row = self.tenant().engine.get(key.clone()).await?;
        let is_other = |row: &Versioned| read_hint(row).is_ok_and(|id| id != definition.stored.id);
        if let Some(row) = row.filter(|row| !is_other(row)) {
            self.delete_as_read(key, row.revision);
        }
        Ok(())
    }

    /// Frees the names, except `kept`, that lead to a definition whose own name nobody can read. Returns whether any
    /// name leads to it.
    pub(crate) async fn free_names(&mut self, id: &DefinitionId, kept: Option<&Key>) -> Result<bool, Error> {
        let (tenant, range) = (self.tenant(), self.tenant().id.definition_names());
        let page = tenant.engine.scan(range.clone(), NAMES_PAGE).await?;
        let mut has_name = false;
        for (key, row) in tenant.rest(&range, page).await?.into_iter().filter(|(_, row)| leads_to(row, id)) {
            has_name = true;
            if kept != Some(&key) {
                self.delete_as_read(key, row.revision);
            }
        }
        Ok(has_name)
    }
}

/// A definition that bears a name.
pub(crate) struct Bearer {
    pub(crate) id: DefinitionId,
    /// If the name's index row is lost, or leads to no definition of the name.
    unindexed: Option<Unindexed>,
}

/// A definition and the index row that should lead to it, as they were read.
struct Unindexed {
    definition: (Key, RowRevision),
    index: (Key, Option<Versioned>),
}

/// Whether an index row leads to this definition.
pub(crate) fn leads_to(row: &Versioned, id: &DefinitionId) -> bool {
    read_hint(row).is_ok_and(|found| found == *id)
}

/// The definition that an index row leads to.
pub(crate) fn read_hint(row: &Versioned) -> Result<DefinitionId, Error> {
    const ROW: &str = "the index row of a variable definition's name";
    let target = decode_index(&row.value).map_err(|error| Error::row(ROW, error))?;
    DefinitionId::from_bytes(target).ok_or_else(|| Error::damaged(ROW, Damage::Malformed))
}

/// The most names of an org in one environment.
const NAMES_PAGE: usize = 1_000;
