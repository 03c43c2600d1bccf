//! The jobs of a definition: sweep its values, or mark those that do not match its changed format.

use crate::engine::cache::Definition;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::{JOBS_PAGE, PAGE_ROWS, Sweeper, document_id, run_job};
use crate::model::DefinitionRef;
use crate::row::body::Sweep;
use crate::row::{RowKind, Subject, TenantRow, encode_index};
use crate::store::{Key, RowRevision, Scan};
use crate::tenant::{GRANDFATHERED, IndexedValue, Needs, Tenant};

/// Finishes what deletes of a definition left to do. Returns whether there was anything.
pub(crate) async fn finish_deletes(tenant: &Tenant, id: &DefinitionId) -> Result<bool, Error> {
    let (mut rest, mut finished) = (tenant.id.jobs(), false);
    loop {
        let page = tenant.engine.read(Scan::new(rest.clone(), JOBS_PAGE).keys_only()).await?;
        for (key, _) in &page.rows {
            let Some(TenantRow::Job(job)) = tenant.id.parse_row(key.as_bytes()) else { continue };
            let opened = tenant.engine.read_under_root(key, |row| tenant.open_job(&job, row)).await?;
            if opened.is_some_and(|(sweep, _)| sweep == Sweep::Definition(*id)) {
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

impl Sweeper<'_> {
    pub(crate) async fn sweep_definition(&self, id: &DefinitionId) -> Result<(), Error> {
        let tenant_id = &self.tenant.id;
        let mut values = Vec::new();
        // A sweep deletes what a deleted definition left. If the definition exists, a hostile store has put back a job
        // that was finished.
        match self.tenant.definition(&DefinitionRef::Id(*id)).await {
            Err(Error::DefinitionNotFound(_)) => {}
            Ok(_) => return self.finish(None).await,
            Err(error) => return Err(error),
        }
        loop {
            let page = self.tenant.engine.scan(tenant_id.definition_values(id), PAGE_ROWS).await?;
            values.clear();
            let mut scopes = Vec::with_capacity(page.rows.len());
            for (index, row) in &page.rows {
                let scope = tenant_id.parse_definition_value(id, index.as_bytes());
                let value = scope.as_ref().map(|scope| tenant_id.value(scope, id).key());
                values.push((index.clone(), row.revision, value));
                scopes.extend(scope);
            }
            if values.is_empty() {
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
            if !self.delete_values(&values).await? && self.is_gone().await? {
                return Ok(());
            }
        }
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
                keys.iter().for_each(|key| draft.delete(key.clone()));
                if !draft.commit().await?.is_landed() && self.is_gone().await? {
                    return Ok(false);
                }
            }
        }
    }

    /// Deletes values and their index rows, found through the index of their definition. `false` if a row changed
    /// meanwhile.
    async fn delete_values(&self, values: &[(Key, RowRevision, Option<Key>)]) -> Result<bool, Error> {
        let gets: Vec<Key> = values.iter().filter_map(|(.., value)| value.clone()).collect();
        let mut rows = self.tenant.engine.read(gets).await?.into_iter();
        let (view, ()) = self.tenant.read(&Needs::org_keys(), ()).await?;
        let mut draft = self.draft(&view);
        let mut nameless = Vec::new();
        for (index, revision, value) in values {
            draft.delete_as_read(index.clone(), *revision);
            // An index row whose key names no scope: there is no value to delete with it.
            let Some(value) = value else { continue };
            let Some(row) = rows.next().flatten() else { continue };
            draft.delete_counted(value.clone(), &row);
            match document_id(RowKind::ScopedValue, &row) {
                Some(id) => draft.delete(self.tenant.id.value_id(&id).key()),
                None => nameless.push(value.clone()),
            }
        }
        draft.delete_ids(&self.tenant.ids_leading_to(&nameless).await?);
        Ok(draft.commit().await?.is_landed())
    }

    /// Marks the values that do not match the definition's format, and unmarks those that do.
    pub(crate) async fn recheck(&self, id: &DefinitionId) -> Result<(), Error> {
        let mut rest = self.tenant.id.definition_values(id);
        loop {
            let reference = DefinitionRef::Id(*id);
            let definition = match self.tenant.definition(&reference).await {
                Err(Error::DefinitionNotFound(_)) => return self.finish(None).await,
                found => found?,
            };
            let page = self.tenant.engine.scan(rest.clone(), PAGE_ROWS).await?;
            let last = page.rows.last().map(|(key, _)| key.clone());
            let values = self.tenant.read_indexed(&definition.stored, page.rows).await?;
            if !self.mark(&definition, values).await? {
                if self.is_gone().await? {
                    return Ok(());
                }
                // A value or the definition changed since it was read: read the page again.
                continue;
            }
            match last {
                Some(last) if page.more => rest = rest.after(last.as_bytes()),
                _ => return self.finish(None).await,
            }
        }
    }

    async fn mark(&self, definition: &Definition, values: Vec<IndexedValue>) -> Result<bool, Error> {
        let (view, ()) = self.tenant.read(&Needs::org_keys(), ()).await?;
        let mut draft = self.draft(&view);
        draft.expect_definition(definition);
        let mut changed = false;
        for IndexedValue { index: (index_key, index), row: (key, row), value } in values {
            let matches = self.tenant.matches(&definition.stored, &value);
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
