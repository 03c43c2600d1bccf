//! Resolving as of an earlier moment.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::engine::observer::Call;
use crate::error::{Damage, Error};
use crate::id::DefinitionId;
use crate::model::{
    DefinitionRef, Found, Origin, Resolution, Resolved, Revision, ScopedValue, StoredDefinition,
};
use crate::row::Subject;
use crate::scope::{Scope, ScopePath};
use crate::secret::Secret;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::history::VERSIONS_MAX;
use crate::tenant::{Freshness, Rows, Snapshot, Tenant, ValuesRead, View, fresh_if_stale};
use crate::verbs::org::Org;

impl Org {
    /// The value that a run at `path` saw at a moment, from the former versions that are kept: as
    /// [`resolve`](Self::resolve) at that time. A value that was deleted without its history counts as never set.
    ///
    /// Versions are assumed to be in the order of their times, which is wrong if a clock was set back. A
    /// [strict](ScopePath::strict) path is checked against the present, not against that moment.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, ScopePath, Timestamp};
    /// let written_at = org.set_value("PORT", Scope::Org, "80").await?.updated_at;
    /// let seen = org.resolve_at("PORT", &ScopePath::org(), written_at).await?;
    /// assert_eq!(seen.unwrap().value.expose(), "80");
    /// let before = Timestamp::from_ms(written_at.as_ms() - 1);
    /// assert!(org.resolve_at("PORT", &ScopePath::org(), before).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`] if a version of that time is no longer kept; those of [`resolve`](Self::resolve).
    pub async fn resolve_at(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        path: &ScopePath,
        at: Timestamp,
    ) -> Result<Option<Resolved>, Error> {
        let definition = definition.into();
        let resolve = async {
            let seen =
                fresh_if_stale(|freshness| self.try_resolve_at(&definition, path, at, freshness)).await?;
            self.refuse_unknown(path).await?;
            Ok(seen)
        };
        self.tenant.observed(Call::of("resolve_at").definition(&definition).along(path), resolve).await
    }

    /// Every value that a run at `path` saw at a moment, for the definitions that still exist. See
    /// [`resolve_at`](Self::resolve_at).
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, ScopePath};
    /// let written_at = org.set_value("PORT", Scope::Org, "80").await?.updated_at;
    /// let seen = org.resolve_all_at(&ScopePath::org(), written_at).await?;
    /// assert_eq!(seen.get("PORT").unwrap().value.expose(), "80");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionNotFound`] if a version of that time is no longer kept; those of
    /// [`resolve_all`](Self::resolve_all).
    pub async fn resolve_all_at(&self, path: &ScopePath, at: Timestamp) -> Result<Resolution, Error> {
        let resolve = async {
            let seen = fresh_if_stale(|freshness| self.try_resolve_all_at(path, at, freshness)).await?;
            self.refuse_unknown(path).await?;
            Ok(seen)
        };
        self.tenant.observed(Call::of("resolve_all_at").along(path), resolve).await
    }

    async fn try_resolve_at(
        &self,
        reference: &DefinitionRef<'_>,
        path: &ScopePath,
        at: Timestamp,
        freshness: Freshness,
    ) -> Result<Option<Resolved>, Error> {
        let (tenant, account) = (&*self.tenant, path.account_id());
        let ValuesRead { view, definition, rows } =
            tenant.read_values(reference, path.scopes(), account.as_slice(), freshness).await?;
        let (past, stored) = (Past { tenant, view: &view, at }, &definition.stored);
        let mut current = Vec::with_capacity(rows.len());
        for (scope, row) in path.scopes().zip(&rows) {
            current.push(match row {
                Some(row) => tenant.open_value(&view, scope, &stored.id, row)?,
                None => None,
            });
        }
        // Only values that are newer than the moment, or missing, need their history.
        let is_settled =
            |value: &Option<ScopedValue>| value.as_ref().is_some_and(|value| value.updated_at <= at);
        let mut ranges: Vec<_> = path
            .scopes()
            .zip(&current)
            .filter(|(_, value)| !is_settled(value))
            .map(|(scope, _)| tenant.id.history(&Subject::value(scope, &stored.id)))
            .collect();
        let definition_changed = stored.updated_at > at;
        if definition_changed {
            ranges.push(tenant.id.history(&Subject::Definition(stored.id)));
        }
        let scans: Vec<Scan> = ranges.iter().map(|range| Scan::new(range.clone(), VERSIONS_MAX)).collect();
        let pages = if scans.is_empty() { Vec::new() } else { tenant.engine.read(scans).await? };
        let mut histories = Vec::with_capacity(pages.len());
        for (range, page) in ranges.iter().zip(pages) {
            histories.push(tenant.rest(range, page).await?);
        }
        let definition_past = if definition_changed { histories.pop() } else { None };
        let mut histories = histories.into_iter();
        let mut values = Vec::with_capacity(current.len());
        for (scope, value) in path.scopes().zip(current) {
            values.push(if is_settled(&value) {
                value
            } else {
                let rows = histories.next().unwrap_or_default();
                past.value(scope, stored, value, &rows).await?
            });
        }
        let Some(then) = past.definition(stored, &definition_past.unwrap_or_default())? else {
            return Ok(None);
        };
        Ok(pick(&then, stored, values))
    }

    async fn try_resolve_all_at(
        &self,
        path: &ScopePath,
        at: Timestamp,
        freshness: Freshness,
    ) -> Result<Resolution, Error> {
        let (tenant, account) = (&*self.tenant, path.account_id());
        let current = path.scopes().map(|scope| tenant.id.values(scope));
        let mut ranges: Vec<_> = current.collect();
        ranges.extend(path.scopes().map(|scope| tenant.id.values_history(scope)));
        ranges.push(tenant.id.definitions_history());
        let Snapshot { view, catalog, mut ranges } =
            tenant.snapshot(account.as_slice(), &ranges, freshness).await?;
        let past = Past { tenant, view: &view, at };
        let definitions = by_definition(tenant, ranges.pop().unwrap_or_default());
        let histories = ranges.split_off(ranges.len() / 2);
        let histories: Vec<_> = histories.into_iter().map(|rows| by_definition(tenant, rows)).collect();
        let current: Vec<_> = ranges.into_iter().map(|rows| by_definition(tenant, rows)).collect();
        let none = Vec::new();
        let mut resolution = Resolution::new(Vec::new(), Vec::new());
        for stored in catalog.iter().map(|definition| &definition.stored) {
            let versions = definitions.get(&stored.id).unwrap_or(&none);
            let Some(then) = past.definition(stored, versions)? else { continue };
            let mut values = Vec::with_capacity(current.len());
            for ((scope, current), history) in path.scopes().zip(&current).zip(&histories) {
                let value = match current.get(&stored.id).and_then(|rows| rows.first()) {
                    Some((_, row)) => tenant.open_value(&view, scope, &stored.id, row)?,
                    None => None,
                };
                let rows = history.get(&stored.id).unwrap_or(&none);
                values.push(past.value(scope, stored, value, rows).await?);
            }
            resolution.add(&then, pick(&then, stored, values));
        }
        Ok(resolution)
    }
}

/// The state at an earlier moment.
struct Past<'p> {
    tenant: &'p Tenant,
    view: &'p View<'p>,
    at: Timestamp,
}

impl Past<'_> {
    /// The value of a definition at a scope. `current` is the present one, and `rows` are those of its history.
    async fn value(
        &self,
        scope: &Scope,
        stored: &StoredDefinition,
        current: Option<ScopedValue>,
        rows: &[(Key, Versioned)],
    ) -> Result<Option<ScopedValue>, Error> {
        if current.as_ref().is_some_and(|value| value.updated_at <= self.at) {
            return Ok(current);
        }
        let definition = &stored.id;
        let open = |(key, row): &(Key, Versioned)| {
            let place = self.tenant.id.parse(key);
            let place = place.unwrap_or_else(|| self.tenant.id.value(scope, definition));
            self.tenant.open_value_at(self.view, scope, definition, &place, row)
        };
        let oldest = current.as_ref().map(|value| (value.created_at, value.revision));
        let found = self.newest_before(rows, oldest, open, |value| {
            (value.created_at, value.updated_at, value.revision)
        })?;
        let Some(found) = found.filter(|value| !value.metadata.is_deletion()) else { return Ok(None) };
        let subject = Subject::value(scope, definition);
        let place = self.tenant.id.former(&subject, found.revision).key();
        // A former version is followed by a later one or by a deletion; here that row is missing. The exception is a
        // present value that was not there yet when it was read, before its history.
        if current.is_none()
            && rows.first().is_some_and(|(key, _)| *key == place)
            && self.tenant.current_version(&subject).await?.is_some_and(|now| now.unreadable.is_some())
        {
            return Err(Error::damaged(self.tenant.id.value(scope, definition).name(), Damage::Missing));
        }
        if stored.definition.history_age_secs.is_some() {
            // It was replaced when the next readable version was written, which comes before it in the list.
            let newer = rows.split(|(key, _)| *key == place).next().unwrap_or_default();
            let next = newer.iter().rev().find_map(|row| open(row).ok().flatten()).or(current);
            if next.is_some_and(|next| self.tenant.has_expired(&stored.definition, next.updated_at)) {
                return Err(Error::VersionNotFound(found.revision));
            }
        }
        Ok(Some(found))
    }

    /// The definition; `None` if it was defined later. `rows` are those of its history.
    fn definition(
        &self,
        current: &StoredDefinition,
        rows: &[(Key, Versioned)],
    ) -> Result<Option<StoredDefinition>, Error> {
        if current.updated_at <= self.at {
            return Ok(Some(current.clone()));
        }
        if current.created_at > self.at {
            return Ok(None);
        }
        let open = |(key, row): &(Key, Versioned)| {
            let place = self.tenant.id.parse(key).unwrap_or_else(|| self.tenant.id.definition(&current.id));
            self.tenant.open_definition_at(self.view, current.id, &place, row)
        };
        let oldest = Some((current.created_at, current.revision));
        let found = self.newest_before(rows, oldest, open, |stored| {
            (stored.created_at, stored.updated_at, stored.revision)
        })?;
        Ok(found.filter(|stored| !stored.metadata.is_deletion()))
    }

    /// The newest of some versions, which come newest first, that was written at the moment or before. `oldest` is the
    /// creation time and the revision of the document that comes after them.
    fn newest_before<T>(
        &self,
        rows: &[(Key, Versioned)],
        mut oldest: Option<(Timestamp, Revision)>,
        open: impl Fn(&(Key, Versioned)) -> Result<Option<T>, Error>,
        times: impl Fn(&T) -> (Timestamp, Timestamp, Revision),
    ) -> Result<Option<T>, Error> {
        let (mut newer, mut older, mut found) = (0, rows.len(), None);
        while newer < older {
            // Versions are written one after another, so their times are in order. Each step opens one row.
            let middle = newer + (older - newer) / 2;
            let version = match rows.get(middle) {
                Some(row) => open(row)?,
                None => None,
            };
            // Its key was dropped, and so was that of all older ones.
            let Some(version) = version else {
                older = middle;
                continue;
            };
            let (created_at, written_at, revision) = times(&version);
            if written_at <= self.at {
                (older, found) = (middle, Some(version));
            } else {
                (newer, oldest) = (middle + 1, Some((created_at, revision)));
            }
        }
        match (found, oldest) {
            // Versions between them were not kept, and one of those may be from that moment.
            (Some(found), Some((_, revision))) if times(&found).2.next() != revision => {
                Err(Error::VersionNotFound(revision.before(1)))
            }
            (Some(found), _) => Ok(Some(found)),
            (None, Some((created_at, revision))) if created_at <= self.at => {
                Err(Error::VersionNotFound(revision.before(1)))
            }
            (None, _) => Ok(None),
        }
    }
}

/// The rows of a range, by their definitions.
fn by_definition(tenant: &Tenant, rows: Rows) -> BTreeMap<DefinitionId, Rows> {
    let mut found: BTreeMap<DefinitionId, Rows> = BTreeMap::new();
    for (key, row) in rows {
        if let Some(id) = tenant.id.definition_of(&key) {
            found.entry(id).or_default().push((key, row));
        }
    }
    found
}

/// The first of the values, most specific first, and what it shadows; or the default. A variable that is encrypted now
/// stays encrypted.
fn pick(
    then: &StoredDefinition,
    now: &StoredDefinition,
    values: Vec<Option<ScopedValue>>,
) -> Option<Resolved> {
    let allowed = |value: &ScopedValue| then.definition.scopes.allows(value.scope.kind());
    let mut values = values.into_iter().flatten().filter(allowed);
    let default = then.definition.default.as_deref();
    let (scope, found, value) = match values.next() {
        Some(value) => {
            let found = Found { id: value.id, revision: value.revision };
            (Origin::Scope(value.scope), Some(found), value.value)
        }
        None => (Origin::Default, None, Secret::from(default?)),
    };
    let mut shadowed: Vec<Origin> = values.map(|value| Origin::Scope(value.scope)).collect();
    if found.is_some() && default.is_some() {
        shadowed.push(Origin::Default);
    }
    let resolved = Resolved::new(then, scope, shadowed, found, value);
    // If it was marked as encrypted since, its earlier state is no reason to show it now.
    Some(Resolved { encrypted: resolved.encrypted || now.definition.encrypted, ..resolved })
}
