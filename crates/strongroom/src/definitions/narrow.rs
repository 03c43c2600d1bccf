//! Removing scopes from a definition: only where no value stands.
//!
//! A store cannot be asked to expect that a range is empty. So there are two looks: one before the batch, and one by a
//! job that the batch writes. A writer that read the definition before it was narrowed may have landed in between, but
//! none can after it, since each expects the definition's row. What the second look finds is given its scope back.

use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::{JobId, Sweeper};
use crate::keyspace::parse_definition_value;
use crate::model::DefinitionRef;
use crate::record::Sweep;
use crate::scope::{Scope, ScopeKind, Scopes};
use crate::store::{Key, ReadBatch, Versioned};
use crate::tenant::{Draft, Needs, Tenant};

/// Scopes that a batch removes from a definition, and the job that looks at them again.
pub(super) struct Narrowing {
    pub(super) job: JobId,
    pub(super) removed: Scopes,
}

impl Draft<'_> {
    pub(super) fn put_narrowing(&mut self, id: DefinitionId, removed: Scopes) -> Result<Narrowing, Error> {
        let job = self.put_job(&Sweep::Narrow(id, removed))?;
        Ok(Narrowing { job, removed })
    }
}

impl Tenant {
    /// Refuses to remove scopes at which a value stands.
    pub(super) async fn refuse_in_use(&self, id: DefinitionId, removed: Scopes) -> Result<(), Error> {
        for kind in removed.iter() {
            if let Some(scope) = self.value_at(id, kind).await? {
                return Err(Error::ScopeInUse { definition: id, scope });
            }
        }
        Ok(())
    }

    /// Some scope of `kind` at which the definition has a value. Its index leads to rows that may be as good as gone.
    async fn value_at(&self, id: DefinitionId, kind: ScopeKind) -> Result<Option<Scope>, Error> {
        let keys = &self.keys;
        let mut rest = keys.definition_values_at(&id, kind);
        loop {
            let page = self.engine.scan(rest.clone(), INDEX_PAGE).await?;
            let scope = |(key, _): &(Key, Versioned)| parse_definition_value(keys, &id, key.as_bytes());
            let scopes: Vec<Scope> = page.rows.iter().filter_map(scope).collect();
            if let Some(scope) = self.standing(id, &scopes).await?.into_iter().next() {
                return Ok(Some(scope));
            }
            match page.rows.last() {
                Some((last, _)) if page.more => rest = rest.after(last.as_bytes()),
                _ => return Ok(None),
            }
        }
    }

    /// Those of at most [`INDEX_PAGE`] scopes at which the definition has a value.
    pub(super) async fn standing(&self, id: DefinitionId, scopes: &[Scope]) -> Result<Vec<Scope>, Error> {
        let mut standing = Vec::new();
        if scopes.is_empty() {
            return Ok(standing);
        }
        let accounts: Vec<_> = scopes.iter().filter_map(Scope::linked_account).collect();
        let gets = scopes.iter().map(|scope| self.keys.value(scope, &id)).collect();
        let needs = Needs::org_keys().accounts(&accounts);
        let (ground, set) = self.read(&needs, ReadBatch { gets, scans: Vec::new() }).await?;
        for (scope, row) in scopes.iter().zip(&set.gets) {
            if let Some(row) = row
                && self.find_in_row(&ground, scope, &id, row)?.is_some()
            {
                standing.push(scope.clone());
            }
        }
        Ok(standing)
    }
}

impl Sweeper<'_> {
    /// The second look: scopes that were removed while a value was set there are allowed again.
    pub(crate) async fn look_again(&self, id: DefinitionId, removed: Scopes) -> Result<(), Error> {
        let tenant = self.tenant;
        for _ in 0..ATTEMPTS_MAX {
            let definition = match tenant.definition(&DefinitionRef::Id(id)).await {
                Err(Error::DefinitionNotFound(_)) => return self.finish(None).await,
                found => found?,
            };
            let allowed = definition.stored.definition.scopes;
            let narrowed = removed.without(allowed);
            let in_use = match narrowed {
                Some(narrowed) => tenant.refuse_in_use(id, narrowed).await,
                None => Ok(()),
            };
            match in_use {
                Ok(()) => return self.finish(None).await,
                Err(Error::ScopeInUse { .. }) => {}
                Err(error) => return Err(error),
            }
            let mut wide = definition.stored.clone();
            wide.definition.scopes = allowed.union(removed);
            wide.definition.author = None;
            wide.revision = wide.revision.next();
            wide.updated_at = tenant.engine.now();
            let (ground, _) = tenant.read(&Needs::org_keys(), ReadBatch::default()).await?;
            let mut draft = self.draft(&ground);
            draft.put_definition(&wide, Some(definition.row))?;
            draft.delete(self.job.clone());
            if draft.commit().await?.is_some() || self.is_gone().await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// With a value and a keyring for each row, one read holds them all.
pub(super) const INDEX_PAGE: usize = 32;
