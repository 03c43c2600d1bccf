//! Resolving again from the versions of an earlier resolution.

use std::collections::BTreeSet;

use crate::engine::cache::Catalog;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::model::{Found, Origin, Pin, Pinned, Resolution, Resolved};
use crate::row::Subject;
use crate::row::body::decode_definition;
use crate::secret::Secret;
use crate::store::{Key, Versioned};
use crate::tenant::{Freshness, Needs, Tenant, View, find_definition, fresh_if_stale};
use crate::verbs::org::Org;

impl Org {
    /// Resolves the versions of an earlier resolution again: the same bytes, whatever was written meanwhile. Shadowed
    /// values are not pinned, and not shown.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, ScopePath};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let pin = org.resolve_all(&ScopePath::org()).await?.pin();
    /// org.set_value("PORT", Scope::Org, "81").await?;
    /// assert_eq!(org.resolve_pinned(&pin).await?.get("PORT").unwrap().value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAsPinned`] with the names of values that are no longer kept: older than the kept versions or than
    /// their definition allows, deleted, or of a shredded account.
    pub async fn resolve_pinned(&self, pin: &Pin) -> Result<Resolution, Error> {
        let resolve = fresh_if_stale(|freshness| self.try_resolve_pinned(pin, freshness));
        self.tenant.observed(Call::of("resolve_pinned"), resolve).await
    }

    async fn try_resolve_pinned(&self, pin: &Pin, freshness: Freshness) -> Result<Resolution, Error> {
        let tenant = &*self.tenant;
        let accounts: BTreeSet<&LinkedAccountId> = pin
            .entries
            .iter()
            .filter_map(|entry| match &entry.scope {
                Origin::Scope(scope) => scope.linked_account(),
                Origin::Default => None,
            })
            .collect();
        let accounts: Vec<_> = accounts.into_iter().collect();
        let catalog = tenant.catalog().await?;
        let gets: Vec<Key> = pin.entries.iter().flat_map(|entry| keys_of(tenant, entry)).collect();
        let needs = Needs::org_keys().accounts(&accounts).freshness(freshness);
        let (view, rows) = tenant.read(&needs, gets).await?;
        let (mut values, mut differ) = (Vec::with_capacity(pin.entries.len()), Vec::new());
        for (entry, rows) in pin.entries.iter().zip(rows.chunks(2)) {
            match open_pinned(tenant, &view, &catalog, entry, rows).await? {
                Some(resolved) => values.push(resolved),
                None => differ.push(entry.name.clone()),
            }
        }
        if !differ.is_empty() {
            return Err(Error::NotAsPinned(differ));
        }
        Ok(Resolution::new(values, Vec::new()))
    }
}

/// Where the version of an entry may be: in the present row, or among the former ones.
fn keys_of(tenant: &Tenant, entry: &Pinned) -> [Key; 2] {
    let (present, subject) = match &entry.scope {
        Origin::Scope(scope) => {
            (tenant.id.value(scope, &entry.definition_id), Subject::value(scope, &entry.definition_id))
        }
        Origin::Default => {
            (tenant.id.definition(&entry.definition_id), Subject::Definition(entry.definition_id))
        }
    };
    [present.key(), tenant.id.former(&subject, entry.revision).key()]
}

/// The version that an entry names; `None` if it is not kept, or no longer may be. `rows` are those of [`keys_of`].
async fn open_pinned(
    tenant: &Tenant,
    view: &View<'_>,
    catalog: &Catalog,
    entry: &Pinned,
    rows: &[Option<Versioned>],
) -> Result<Option<Resolved>, Error> {
    let id = entry.definition_id;
    let Some(now) = find_definition(catalog, &id) else { return Ok(None) };
    let resolved = |found, value| Resolved {
        definition_id: id,
        definition_revision: now.stored.revision,
        name: entry.name.clone(),
        encrypted: now.stored.definition.encrypted,
        scope: entry.scope.clone(),
        shadowed: Vec::new(),
        found,
        value,
    };
    match &entry.scope {
        Origin::Scope(scope) => {
            let subject = Subject::value(scope, &id);
            let places = [tenant.id.value(scope, &id), tenant.id.former(&subject, entry.revision)];
            let mut damaged = None;
            for (index, (place, row)) in places.iter().zip(rows).enumerate() {
                let Some(row) = row else { continue };
                let value = match tenant.open_value_at(view, scope, &id, place, row) {
                    // It may be a later version than the pinned one.
                    Err(error) if index == 0 && error.is_damage() => {
                        damaged = Some(error);
                        continue;
                    }
                    opened => opened?,
                };
                let value = value.filter(|value| {
                    (Some(value.id), value.revision) == (entry.id, entry.revision)
                        && !value.metadata.is_deletion()
                });
                let Some(value) = value else { continue };
                let (is_former, definition) = (index > 0, &now.stored.definition);
                if is_former && tenant.is_too_old(definition, &subject, entry.revision).await? {
                    return Ok(None);
                }
                let found = Found { id: value.id, revision: value.revision };
                return Ok(Some(resolved(Some(found), value.value)));
            }
            if let Some(error) = damaged {
                return Err(error);
            }
        }
        Origin::Default => {
            let subject = Subject::Definition(id);
            let places = [tenant.id.definition(&id), tenant.id.former(&subject, entry.revision)];
            for (place, row) in places.iter().zip(rows) {
                let Some(row) = row else { continue };
                let Some(opened) = tenant.open(view.keys(None), place, &row.value)? else { continue };
                let stored = decode_definition(id, opened.revision, &opened.plaintext)
                    .map_err(|error| Error::content(place.name(), error))?;
                if let (true, Some(default)) = (stored.revision == entry.revision, stored.definition.default)
                {
                    let pinned = resolved(None, Secret::from(default));
                    return Ok(Some(Resolved { definition_revision: entry.revision, ..pinned }));
                }
            }
        }
    }
    Ok(None)
}
