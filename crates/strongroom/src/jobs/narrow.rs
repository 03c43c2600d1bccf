//! Removing scopes from a definition: only where no value stands.
//!
//! A store cannot be asked to expect that a range is empty. So there are two looks: one before the batch, and one by a
//! job that the batch writes. A writer that read the definition before it was narrowed may have landed in between, but
//! none can after it, since each expects the definition's row. What the second look finds is given its scope back.

use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::{JobId, Sweeper};
use crate::model::DefinitionRef;
use crate::row::body::Sweep;
use crate::scope::Scopes;
use crate::tenant::{Draft, Needs};

/// Scopes that a batch removes from a definition, and the job that looks at them again.
pub(crate) struct Narrowing {
    pub(crate) job: JobId,
    pub(crate) removed: Scopes,
}

/// Puts the job that looks again at scopes which the batch removes.
pub(crate) fn put_narrowing(
    draft: &mut Draft<'_>,
    id: DefinitionId,
    removed: Scopes,
) -> Result<Narrowing, Error> {
    let job = draft.put_job(&Sweep::Narrow(id, removed))?;
    Ok(Narrowing { job, removed })
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
            let (view, ()) = tenant.read(&Needs::org_keys(), ()).await?;
            let mut draft = self.draft(&view);
            draft.put_definition(&wide, Some(definition.row))?;
            draft.delete(self.job.clone());
            if draft.commit().await?.is_landed() || self.is_gone().await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}
