//! Resolving: which value a run sees, where it was found and what it shadows.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::slice;

use crate::engine::cache::Catalog;
use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::model::{
    DefinitionRef, Found, Metadata, Origin, Resolution, Resolved, Step, StoredDefinition, Trace,
};
use crate::row::value_definition;
use crate::scope::{Scope, ScopePath};
use crate::secret::Secret;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::pack::Recalled;
use crate::tenant::{Freshness, Rows, Snapshot, Tenant, ValuesRead, View, fresh_if_stale};
use crate::verbs::org::Org;

impl Org {
    /// The value that a run at `path` sees: the first one set of the workflow's, the linked account's, the org's and
    /// the definition's default. `None` if there is none.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Scope, ScopePath, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("REGION", VarFormat::String)).await?;
    /// org.set_value("REGION", Scope::Org, "eu").await?;
    /// org.set_value("REGION", Scope::Workflow("wf_1".parse()?), "us").await?;
    /// let seen = org.resolve("REGION", &ScopePath::org().workflow("wf_1".parse()?)).await?.unwrap();
    /// assert_eq!((seen.value.expose(), seen.scope.as_str()), ("us", "workflow"));
    /// assert_eq!(seen.shadowed[0].as_str(), "org");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::Damaged`], [`Error::UnknownKey`] and [`Error::UnknownVersion`] for the
    /// row of the winning value; [`Error::AccountNotFound`] and [`Error::WorkflowUnknown`] for a
    /// [strict](ScopePath::strict) path, and the first for one with a [strict account](ScopePath::strict_account).
    pub async fn resolve(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        path: &ScopePath,
    ) -> Result<Option<Resolved>, Error> {
        let definition = definition.into();
        // Not `observed`, which would move the future: that costs a sixth of a cached resolve.
        let mut observed = self.tenant.observe(Call::of("resolve").definition(&definition).along(path));
        let ended = self.resolve_unobserved(&definition, path).await;
        observed.end(&ended);
        ended
    }

    async fn resolve_unobserved(
        &self,
        definition: &DefinitionRef<'_>,
        path: &ScopePath,
    ) -> Result<Option<Resolved>, Error> {
        let resolved = match self.tenant.recall_one(definition, path)? {
            Recalled::Known(resolved) => resolved,
            Recalled::NotKept => {
                fresh_if_stale(|freshness| self.try_resolve(definition, path, freshness)).await?
            }
        };
        if path.is_strict() {
            self.refuse_unknown(path).await?;
        }
        Ok(resolved)
    }

    /// Every value that a run at `path` sees, from one snapshot.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{ScopePath, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("REGION", VarFormat::String).default_value("eu")).await?;
    /// org.define(VariableDefinition::new("TOKEN", VarFormat::String).encrypted().required()).await?;
    /// let all = org.resolve_all(&ScopePath::org()).await?;
    /// assert_eq!(all.get("REGION").unwrap().value.expose(), "eu");
    /// assert_eq!(all.missing_required, ["TOKEN"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve), for the first row that fails, and for a definition that cannot be read: its
    /// values may not be missing unnoticed. The error names its id;
    /// [`restore_definition_with`](Self::restore_definition_with) brings back a version of it, and a
    /// [reader](crate::Reader::only) of other names does not need it. [`Error::Contended`] if the values fill several
    /// pages and keep changing.
    pub async fn resolve_all(&self, path: &ScopePath) -> Result<Resolution, Error> {
        self.resolve_known(path, None).await
    }

    /// [`resolve_all`](Self::resolve_all); if there is a list of names, the values of other variables are not opened.
    pub(crate) async fn resolve_known(
        &self,
        path: &ScopePath,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Resolution, Error> {
        let resolve_all = async {
            let resolution = match self.tenant.recall_all(path)? {
                Recalled::Known(mut resolution) => {
                    resolution.values.retain(|resolved| knows(names, &resolved.name));
                    resolution.missing_required.retain(|name| knows(names, name));
                    resolution
                }
                Recalled::NotKept => {
                    fresh_if_stale(|freshness| self.try_resolve_all(path, names, freshness)).await?
                }
            };
            self.refuse_unknown(path).await?;
            Ok(resolution)
        };
        self.tenant.observed(Call::of("resolve_all").along(path), resolve_all).await
    }

    /// How a definition resolves, step by step, with who set each value. No value is shown.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{ScopePath, VarFormat, VariableDefinition};
    /// org.define(VariableDefinition::new("REGION", VarFormat::String).default_value("eu")).await?;
    /// let trace = org.explain("REGION", &ScopePath::org()).await?;
    /// assert_eq!(trace.steps.len(), 2);
    /// assert_eq!(trace.winner().unwrap().origin.as_str(), "default");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::DefinitionNotFound`]; [`Error::AccountNotFound`] and [`Error::WorkflowUnknown`] for a
    /// [strict](ScopePath::strict) path.
    pub async fn explain(
        &self,
        definition: impl Into<DefinitionRef<'_>>,
        path: &ScopePath,
    ) -> Result<Trace, Error> {
        let definition = definition.into();
        let call = Call::of("explain").definition(&definition).along(path);
        let explain = async {
            let trace = fresh_if_stale(|freshness| self.try_explain(&definition, path, freshness)).await?;
            self.refuse_unknown(path).await?;
            Ok(trace)
        };
        self.tenant.observed(call, explain).await
    }

    /// How every definition resolves, from one snapshot, in the order in which they were defined. No value is shown.
    /// For a definition whose format was changed, finding the values from before costs one more read.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, ScopePath};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let traces = org.explain_all(&ScopePath::org()).await?;
    /// assert_eq!((traces[0].name.as_str(), traces[0].winner().unwrap().origin.as_str()), ("PORT", "org"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Contended`] if the values fill several pages and keep changing; those of a
    /// [strict](ScopePath::strict) path.
    pub async fn explain_all(&self, path: &ScopePath) -> Result<Vec<Trace>, Error> {
        self.explain_known(path, None).await
    }

    /// [`explain_all`](Self::explain_all); if there is a list of names, only for these variables.
    pub(crate) async fn explain_known(
        &self,
        path: &ScopePath,
        names: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Trace>, Error> {
        let explain_all = async {
            let traces = fresh_if_stale(|freshness| self.try_explain_all(path, names, freshness)).await?;
            self.refuse_unknown(path).await?;
            Ok(traces)
        };
        self.tenant.observed(Call::of("explain_all").along(path), explain_all).await
    }

    /// Call it after a read, so that nothing is resolved for an account or workflow that had ended.
    pub(crate) async fn refuse_unknown(&self, path: &ScopePath) -> Result<(), Error> {
        if let Some(account) = path.account_to_know()
            && fresh_if_stale(|freshness| self.try_linked_account(account, freshness)).await?.is_none()
        {
            return Err(Error::AccountNotFound(account.clone()));
        }
        let Some(scope @ Scope::Workflow(workflow)) = path.workflow_to_know() else { return Ok(()) };
        let tenant = &*self.tenant;
        let values = tenant.id.values(scope);
        let page = tenant.engine.read(Scan::new(values, 1).keys_only()).await?;
        if page.rows.is_empty() { Err(Error::WorkflowUnknown(workflow.clone())) } else { Ok(()) }
    }

    async fn try_resolve(
        &self,
        reference: &DefinitionRef<'_>,
        path: &ScopePath,
        freshness: Freshness,
    ) -> Result<Option<Resolved>, Error> {
        let (tenant, account) = (&*self.tenant, path.account_id());
        let read = tenant.read_values(reference, path.scopes(), account.as_slice(), freshness).await?;
        let rows = path.scopes().zip(read.rows.iter().map(Option::as_ref));
        pick(tenant, &read.view, &read.definition.stored, rows)
    }

    async fn try_resolve_all(
        &self,
        path: &ScopePath,
        names: Option<&BTreeSet<String>>,
        freshness: Freshness,
    ) -> Result<Resolution, Error> {
        let tenant = &*self.tenant;
        // A partial run is not kept.
        let place = tenant.pack_place(path).filter(|_| names.is_none());
        let account = path.account_id();
        let ranges: Vec<_> = path.scopes().map(|scope| tenant.id.values(scope)).collect();
        let Snapshot { view, catalog, ranges } =
            tenant.snapshot_of(account.as_slice(), &ranges, names, freshness).await?;
        let mut scopes = ScopeRows::of(path, &ranges);
        let mut resolution = Resolution::new(Vec::with_capacity(catalog.len()), Vec::new());
        for stored in known(&catalog, names) {
            let rows = scopes.iter_mut().map(|scope| (scope.scope, scope.row_of(&stored.id)));
            resolution.add(stored, pick(tenant, &view, stored, rows)?);
        }
        if let Some(place) = place {
            tenant.keep_pack(place, path, &catalog, &resolution);
        }
        Ok(resolution)
    }

    async fn try_explain(
        &self,
        reference: &DefinitionRef<'_>,
        path: &ScopePath,
        freshness: Freshness,
    ) -> Result<Trace, Error> {
        let (tenant, account) = (&*self.tenant, path.account_id());
        let ValuesRead { view, definition, rows } =
            tenant.read_values(reference, path.scopes(), account.as_slice(), freshness).await?;
        let marks = tenant.grandfathered(&definition.stored, path.scopes()).await?;
        let rows = path.scopes().zip(rows.iter().map(Option::as_ref)).zip(marks);
        trace(tenant, (&view, freshness), &definition.stored, rows)
    }

    async fn try_explain_all(
        &self,
        path: &ScopePath,
        names: Option<&BTreeSet<String>>,
        freshness: Freshness,
    ) -> Result<Vec<Trace>, Error> {
        let tenant = &*self.tenant;
        let account = path.account_id();
        let ranges: Vec<_> = path.scopes().map(|scope| tenant.id.values(scope)).collect();
        let Snapshot { view, catalog, ranges } =
            tenant.snapshot_of(account.as_slice(), &ranges, names, freshness).await?;
        let mut scopes = ScopeRows::of(path, &ranges);
        let mut traces = Vec::with_capacity(catalog.len());
        for stored in known(&catalog, names) {
            let marks = tenant.grandfathered(stored, path.scopes()).await?;
            let rows = scopes.iter_mut().map(|scope| (scope.scope, scope.row_of(&stored.id))).zip(marks);
            traces.push(trace(tenant, (&view, freshness), stored, rows)?);
        }
        Ok(traces)
    }
}

/// The definitions of these names, if there is a list.
fn known<'c>(
    catalog: &'c Catalog,
    names: Option<&BTreeSet<String>>,
) -> impl Iterator<Item = &'c StoredDefinition> {
    let stored = catalog.iter().map(|definition| &definition.stored);
    stored.filter(move |stored| knows(names, &stored.definition.name))
}

fn knows(names: Option<&BTreeSet<String>>, name: &str) -> bool {
    names.is_none_or(|names| names.contains(name))
}

/// How a definition resolves with these rows of its scopes, and whether each is from before a change of the format.
fn trace<'r>(
    tenant: &Tenant,
    (view, freshness): (&View<'_>, Freshness),
    stored: &StoredDefinition,
    rows: impl Iterator<Item = ((&'r Scope, Option<&'r Versioned>), bool)>,
) -> Result<Trace, Error> {
    // Three scopes and the default.
    let mut steps = Vec::with_capacity(4);
    for ((scope, row), mark) in rows {
        let row = row.filter(|_| stored.definition.scopes.allows(scope.kind()));
        let found = row.map(|row| tenant.find_in_row(view, scope, &stored.id, row)).transpose();
        let value = row.map(|row| tenant.open_value(view, scope, &stored.id, row)).transpose();
        // An explanation must not fail on a value that it does not show, unless the keys may be out of date.
        let is_lost =
            |error: &&Error| error.is_damage() && (freshness != Freshness::Cached || !error.may_be_stale());
        let unreadable = found.as_ref().err().or(value.as_ref().err()).filter(is_lost).map(Error::to_string);
        let (found, value) = match unreadable {
            Some(_) => (found.ok().flatten().flatten(), None),
            None => (found?.flatten(), value?.flatten()),
        };
        let (origin, holds_value) = (Origin::Scope(scope.clone()), found.is_some() || unreadable.is_some());
        let metadata = value.map(|value| value.metadata).unwrap_or_default();
        let grandfathered = mark && holds_value;
        steps.push(Step { origin, holds_value, found, grandfathered, metadata, unreadable });
    }
    let holds_value = stored.definition.default.is_some();
    let (origin, metadata) = (Origin::Default, Metadata::NONE);
    steps.push(Step { origin, holds_value, found: None, grandfathered: false, metadata, unreadable: None });
    Ok(Trace { definition_id: stored.id, name: stored.definition.name.clone(), steps })
}

/// Opens the first row with a value, and collects the less specific scopes that also have one.
fn pick<'r>(
    tenant: &Tenant,
    view: &View<'_>,
    stored: &StoredDefinition,
    rows: impl Iterator<Item = (&'r Scope, Option<&'r Versioned>)>,
) -> Result<Option<Resolved>, Error> {
    let mut winner: Option<Resolved> = None;
    for (scope, row) in rows {
        // A value at a scope that the definition does not allow was put back by the store, or landed while the scope
        // was being removed, in which case the removal is undone.
        let Some(row) = row.filter(|_| stored.definition.scopes.allows(scope.kind())) else { continue };
        // Do not open it: its clear part shows that it exists, and a damaged body must not fail a run that does not use
        // it.
        if let Some(winner) = &mut winner {
            if tenant.find_in_row(view, scope, &stored.id, row)?.is_some() {
                winner.shadowed.push(Origin::Scope(scope.clone()));
            }
        } else if let Some(value) = tenant.open_value(view, scope, &stored.id, row)? {
            let found = Found { id: value.id, revision: value.revision };
            let scope = Origin::Scope(value.scope);
            winner = Some(Resolved::new(stored, scope, Vec::new(), Some(found), value.value));
        }
    }
    let Some(default) = &stored.definition.default else { return Ok(winner) };
    match &mut winner {
        Some(winner) => winner.shadowed.push(Origin::Default),
        None => {
            let value = Secret::from(default.as_str());
            winner = Some(Resolved::new(stored, Origin::Default, Vec::new(), None, value));
        }
    }
    Ok(winner)
}

/// The values of one scope, merged with the catalog: both are in the order of the definitions' ids.
struct ScopeRows<'r> {
    scope: &'r Scope,
    rows: Peekable<slice::Iter<'r, (Key, Versioned)>>,
}

impl<'r> ScopeRows<'r> {
    /// Those of a path, whose `ranges` were read in its order.
    fn of(path: &'r ScopePath, ranges: &'r [Rows]) -> Vec<Self> {
        let scopes = path.scopes().zip(ranges);
        scopes.map(|(scope, rows)| Self { scope, rows: rows.iter().peekable() }).collect()
    }

    /// The row of `id`. Rows before it belong to deleted definitions, and are skipped.
    fn row_of(&mut self, id: &DefinitionId) -> Option<&'r Versioned> {
        while self.rows.next_if(|(key, _)| value_definition(key).is_none_or(|other| other < *id)).is_some() {}
        self.rows.next_if(|(key, _)| value_definition(key) == Some(*id)).map(|(_, row)| row)
    }
}
