//! The jobs of a definition: sweep its values, or mark those that do not match its changed format.

use crate::engine::cache::Definition;
use crate::error::{Error, Invalid};
use crate::id::DefinitionId;
use crate::jobs::{JOBS_PAGE, JobId, PAGE_ROWS, Sweeper, document_id, run_job};
use crate::model::{DefinitionRef, VariableDefinition};
use crate::row::body::Sweep;
use crate::row::{RowKind, Subject, TenantRow, encode_index};
use crate::store::{Key, RowRevision, Scan};
use crate::tenant::{Draft, GRANDFATHERED, IndexedValue, Needs, Tenant, View};

/// Finishes what deletes of a definition left to do. Returns whether there was anything.
pub(crate) async fn finish_deletes(tenant: &Tenant, id: &DefinitionId) -> Result<bool, Error> {
    let (mut rest, mut finished) = (tenant.id.jobs(), false);
    loop {
        let page = tenant.engine.read(Scan::new(rest.clone(), JOBS_PAGE).keys_only()).await?;
        for (key, _) in &page.rows {
            let Some(TenantRow::Job(job)) = tenant.id.parse_row(key.as_bytes()) else { continue };
            let opened = tenant.engine.read_under_root(key, |row| tenant.open_job(&job, row)).await?;
            if opened.is_some_and(|(sweep, _)| sweep == Sweep::Definition(*id)) {
                tenant.engine.refuse_planned(key)?;
                run_job(tenant, &job).await?;
                finished = true;
            }
        }
        match page.rows.last() {
            Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
            _ => return Ok(finished),
        }
    }
}

/// Sweeps the values of a deleted definition whose job is lost. Returns whether there were any.
pub(crate) async fn sweep_again(tenant: &Tenant, view: &View<'_>, id: &DefinitionId) -> Result<bool, Error> {
    if tenant.engine.scan(tenant.id.definition_values(id), 1).await?.rows.is_empty() {
        return Ok(false);
    }
    let mut draft = Draft::new(tenant, view);
    draft.makes_room();
    let job = draft.put_job(&Sweep::Definition(*id))?;
    if draft.commit().await?.is_landed() {
        tenant.engine.refuse_planned(&tenant.id.job(&job).key())?;
        run_job(tenant, &job).await?;
    }
    Ok(true)
}

/// Runs the job of a purge to its end: not even a value whose index row is lost stays.
pub(crate) async fn run_purge(tenant: &Tenant, id: &DefinitionId, job: &JobId) -> Result<(), Error> {
    match Sweeper::of(tenant, job).await? {
        Some((sweeper, _)) => sweeper.sweep_definition(id, true).await,
        None => Ok(()),
    }
}

impl Sweeper<'_> {
    /// Deletes what a deleted definition left, found through its index. A `thorough` sweep also looks at the keys of
    /// all values, for those whose index row is lost.
    pub(crate) async fn sweep_definition(&self, id: &DefinitionId, thorough: bool) -> Result<(), Error> {
        let tenant_id = &self.tenant.id;
        // A sweep deletes what a deleted definition left. If the definition exists, a hostile store has put back a job
        // that was finished.
        match self.tenant.definition(&DefinitionRef::Id(*id)).await {
            Err(Error::DefinitionNotFound(_)) => {}
            Ok(_) => return self.finish(None).await,
            Err(error) => return Err(error),
        }
        loop {
            let page = self.tenant.engine.scan(tenant_id.definition_values(id), PAGE_ROWS).await?;
            // An index row whose key names no scope leads to no value.
            let scopes =
                page.rows.iter().filter_map(|(key, _)| tenant_id.parse_definition_value(id, key.as_bytes()));
            let scopes: Vec<_> = scopes.collect();
            if page.rows.is_empty() {
                if thorough && !self.sweep_unindexed(id).await? {
                    return Ok(());
                }
                let own = Subject::Definition(*id);
                // If a delete that keeps no history was interrupted, this deletes what had no room in its batch.
                let is_kept = self.tenant.engine.get(tenant_id.deleted(&own).key()).await?.is_some();
                if is_kept || self.sweep_history(&[own]).await? {
                    return self.finish(None).await;
                }
                return Ok(());
            }
            // Before the index rows that lead to it.
            let subjects: Vec<_> = scopes.iter().map(|scope| Subject::value(scope, id)).collect();
            if !self.sweep_history(&subjects).await? {
                return Ok(());
            }
            let values: Vec<_> = scopes.iter().map(|scope| tenant_id.value(scope, id).key()).collect();
            let index: Vec<_> = page.rows.iter().map(|(key, row)| (key.clone(), row.revision)).collect();
            if !self.delete_values(&index, &values).await? && self.is_gone().await? {
                return Ok(());
            }
        }
    }

    /// Deletes the values of a definition, and their history, to which no index row leads. `false` if another runner
    /// finished the job.
    async fn sweep_unindexed(&self, id: &DefinitionId) -> Result<bool, Error> {
        for keys in self.tenant.values_by_key(id).await?.chunks(PAGE_ROWS) {
            // A row that changed since it was read is read again.
            while !self.delete_values(&[], keys).await? {
                if self.is_gone().await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Deletes the history of some documents. `false` if another runner finished the job.
    async fn sweep_history(&self, subjects: &[Subject<'_>]) -> Result<bool, Error> {
        let (view, ()) = self.tenant.read(&Needs::org_keys(), ()).await?;
        loop {
            let ranges = subjects.iter().map(|subject| self.tenant.id.history(subject));
            let scans: Vec<Scan> = ranges.map(|range| Scan::new(range, PAGE_ROWS).keys_only()).collect();
            let pages = self.tenant.engine.read(scans).await?;
            let found: Vec<Key> = pages.into_iter().flat_map(|page| page.rows).map(|(key, _)| key).collect();
            if found.is_empty() {
                return Ok(true);
            }
            for keys in found.chunks(PAGE_ROWS) {
                let mut draft = self.draft(&view);
                keys.iter().for_each(|key| draft.delete_former(key.clone()));
                if !draft.commit().await?.is_landed() && self.is_gone().await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Deletes values, or rows of their history, and the rows of their definition's index that lead to them. `false` if
    /// a row changed meanwhile.
    async fn delete_values(&self, index: &[(Key, RowRevision)], values: &[Key]) -> Result<bool, Error> {
        let rows = self.tenant.engine.read(values.to_vec()).await?;
        let (view, ()) = self.tenant.read(&Needs::org_keys(), ()).await?;
        let mut draft = self.draft(&view);
        let mut nameless = Vec::new();
        index.iter().for_each(|(key, revision)| draft.delete_as_read(key.clone(), *revision));
        for (value, row) in values.iter().zip(rows) {
            let Some(row) = row else { continue };
            draft.delete_counted(value.clone(), &row);
            if self.tenant.id.parse_value(value.as_bytes()).is_none() {
                continue;
            }
            match document_id(RowKind::ScopedValue, &row) {
                Some(id) => draft.delete_value_id(&id),
                None => nameless.push(value.clone()),
            }
        }
        draft.delete_ids(&self.tenant.ids_leading_to(&nameless).await?);
        Ok(draft.commit().await?.is_landed())
    }

    /// Marks the values that do not match the definition's format, and unmarks those that do. One that cannot be read
    /// keeps no other from being marked, but the job from being finished: it may be read again. In a process without
    /// the check of the format nothing is marked.
    pub(crate) async fn recheck(&self, id: &DefinitionId) -> Result<(), Error> {
        let mut rest = self.tenant.id.definition_values(id);
        let mut unreadable = None;
        loop {
            let reference = DefinitionRef::Id(*id);
            let definition = match self.tenant.definition(&reference).await {
                Err(Error::DefinitionNotFound(_)) => return self.finish(None).await,
                found => found?,
            };
            let VariableDefinition { name, var_format, .. } = &definition.stored.definition;
            if !self.tenant.engine.formats.know(var_format) {
                let rule = "the check of its custom format is not registered here: \
                            run the job in the service that registers it";
                return Err(Invalid::definition(name, rule));
            }
            let page = self.tenant.engine.scan(rest.clone(), PAGE_ROWS).await?;
            let last = page.rows.last().map(|(key, _)| key.clone());
            let values = self.tenant.read_indexed(&definition.stored, page.rows).await?;
            if !self.mark(&definition, values, &mut unreadable).await? {
                if self.is_gone().await? {
                    return Ok(());
                }
                // A value or the definition changed since it was read: read the page again.
                continue;
            }
            match last {
                Some(last) if page.more => rest = rest.after(last.as_bytes()),
                _ => match unreadable {
                    Some(error) => return Err(error),
                    None => return self.finish(None).await,
                },
            }
        }
    }

    /// `false` if a row changed meanwhile. Notes why the first value that cannot be read cannot.
    async fn mark(
        &self,
        definition: &Definition,
        values: Vec<IndexedValue>,
        unreadable: &mut Option<Error>,
    ) -> Result<bool, Error> {
        let (view, ()) = self.tenant.read(&Needs::org_keys(), ()).await?;
        let mut draft = self.draft(&view);
        draft.expect_definition(definition);
        let mut changed = false;
        for IndexedValue { index: (index_key, index), row: (key, row), value } in values {
            let value = match value {
                Err(error) if error.is_damage() => {
                    unreadable.get_or_insert(error);
                    continue;
                }
                opened => opened?,
            };
            let matches = self.tenant.broken_rule(&definition.stored, &value).is_none();
            let entry = encode_index(if matches { &[] } else { GRANDFATHERED });
            if entry != index.value {
                changed = true;
                draft.expect_as_read(key, Some(row.revision));
                draft.expect_as_read(index_key.clone(), Some(index.revision));
                draft.put(index_key, entry);
            }
        }
        Ok(!changed || draft.commit().await?.is_landed())
    }
}
