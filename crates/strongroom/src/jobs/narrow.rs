//! Removes scopes from a definition, if no value is set there.
//!
//! A batch cannot expect a range to be empty, so values are checked for twice: before the batch, and by a job that the
//! batch writes. A writer that read the definition before it was narrowed may land between the two checks, but not
//! after the second one, since every write of a value expects the definition's row. If the second check finds a value,
//! its scope is allowed again.
//!
//! A hostile store may put back a finished job and an old value. So only a value that was set since the first check
//! counts.

use crate::clock::Timestamp;
use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::id::DefinitionId;
use crate::jobs::{JobId, Sweeper};
use crate::model::{DefinitionRef, Metadata, Revision, StoredDefinition};
use crate::row::body::Sweep;
use crate::scope::Scopes;
use crate::tenant::{Draft, Needs};

/// Scopes that a batch removes from a definition, and the job that checks them a second time.
pub(crate) struct Narrowing {
    pub(crate) job: JobId,
    pub(crate) removed: Scopes,
}

/// Puts the job that checks again the scopes which the batch removes and `after` lacks. Its time of change is from
/// before the first check.
pub(crate) fn put_narrowing(
    draft: &mut Draft<'_>,
    after: &StoredDefinition,
    removed: Scopes,
) -> Result<Narrowing, Error> {
    let job = draft.put_job(&Sweep::Narrow(after.id, removed, Some(after.revision)))?;
    Ok(Narrowing { job, removed })
}

impl Sweeper<'_> {
    /// The second check: allows the scopes again that the definition lost at a revision, if a value was set there
    /// meanwhile.
    pub(crate) async fn look_again(
        &self,
        id: DefinitionId,
        removed: Scopes,
        at: Option<Revision>,
    ) -> Result<(), Error> {
        let tenant = self.tenant;
        for _ in 0..ATTEMPTS_MAX {
            let definition = match tenant.definition(&DefinitionRef::Id(id)).await {
                Err(Error::DefinitionNotFound(_)) => return self.finish(None).await,
                found => found?,
            };
            let stored = &definition.stored;
            let scopes = stored.definition.scopes;
            if scopes.union(removed) == scopes {
                // The scopes were allowed again since.
                return self.finish(None).await;
            }
            // A definition that changed since no longer says when it was narrowed, but the id of the job does.
            let narrowed_at =
                if Some(stored.revision) == at { stored.updated_at } else { made_at(self.id.as_bytes()) };
            let since = Timestamp::from_ms(narrowed_at.as_ms().saturating_sub(CLOCKS_DIFFER_MS));
            if !tenant.has_value_since(stored, removed, since).await? {
                return self.finish(None).await;
            }
            let mut wide = stored.clone();
            wide.definition.scopes = stored.definition.scopes.union(removed);
            // Nobody asked for this version, and what was said of the change that it takes back is not about it.
            wide.definition.author = None;
            wide.describe(&Metadata::NONE);
            wide.revision = wide.revision.next();
            wide.updated_at = tenant.engine.now();
            let (view, ()) = tenant.read(&Needs::org_keys(), ()).await?;
            let mut draft = self.draft(&view);
            draft.put_definition(&wide, Some(&definition))?;
            draft.delete(self.job.clone());
            if draft.commit().await?.is_landed() || self.is_gone().await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS_MAX))
    }
}

/// When an id was made: it begins with the seconds of its time.
pub(crate) fn made_at(id: &[u8; 12]) -> Timestamp {
    let secs = id.first_chunk().map_or(0, |secs| u32::from_be_bytes(*secs));
    Timestamp::from_ms(u64::from(secs) * 1_000)
}

/// The most that the clocks of two engines are assumed to differ.
pub(crate) const CLOCKS_DIFFER_MS: u64 = 60_000;
