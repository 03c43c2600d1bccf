//! The names of definitions: the index rows that lead to them, and what is done where such a row is lost.

use std::slice;
use std::sync::Arc;

use crate::engine::cache::Definition;
use crate::error::{Damage, Error};
use crate::id::{DefinitionId, DefinitionName};
use crate::row::{decode_index, encode_index};
use crate::store::{Key, Page, Scan, Versioned};
use crate::tenant::{Draft, Freshness, Tenant, View};

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

    /// Refuses a name that another definition than `own` bears, whatever its index row says: otherwise there could be
    /// two definitions of one name. If that row is lost, or leads to no definition of the name, it is written again, so
    /// that the name leads to the definition from now on. A definition that cannot be read takes no name: whoever
    /// brings it back finds the name taken. `page` is what [`Tenant::scan_of_definitions`] reads.
    pub(crate) async fn refuse_borne(
        &self,
        names: &[DefinitionName],
        own: Option<DefinitionId>,
        page: Page,
        freshness: Freshness,
    ) -> Result<(), Error> {
        let (tenant, view) = (self.tenant(), self.view());
        if view.is_shredded() {
            return Ok(());
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
            if let Some(other) = self.bearer(found.as_ref(), name, id).await? {
                return Err(Error::DefinitionExists(other));
            }
            let mut repair = Draft::new(tenant, view);
            repair.expect_as_read(key, Some(row.revision));
            repair.put_as_read(index, found.map(|found| found.revision), encode_index(id.as_bytes()));
            // Whoever was faster made it, or has changed the definition.
            let _ = repair.commit().await?;
            return Err(Error::DefinitionExists(id));
        }
        Ok(())
    }

    /// The definition to which the index row of a name leads, if that is `known` or has the name too. One that cannot
    /// be read may have it.
    async fn bearer(
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
