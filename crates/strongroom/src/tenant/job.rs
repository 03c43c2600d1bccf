//! The row of a job.

use crate::error::Error;
use crate::id::DocumentId;
use crate::keys::Document;
use crate::model::Revision;
use crate::row::body::Sweep;
use crate::store::{RowRevision, Versioned};
use crate::tenant::{Draft, Tenant, View};

/// The job of an org's shred. There is at most one at a time.
pub(crate) const SHRED_JOB: DocumentId = DocumentId::NIL;

impl Tenant {
    /// Whether a shred of the org was interrupted.
    pub(crate) async fn has_unfinished_shred(&self, view: &View<'_>) -> Result<bool, Error> {
        Ok(view.is_shredded() && self.engine.get(self.id.job(&SHRED_JOB).key()).await?.is_some())
    }

    /// The work of a job.
    pub(crate) fn open_job(&self, job: &DocumentId, found: &Versioned) -> Result<Sweep, Error> {
        let place = self.id.job(job);
        let opened = self.open_under_root(&place, &found.value)?;
        Sweep::decode(&opened.plaintext).map_err(|error| Error::content(place.name(), error))
    }
}

impl Draft<'_> {
    /// Puts a new job.
    pub(crate) fn put_job(&mut self, sweep: &Sweep) -> Result<DocumentId, Error> {
        let id = self.new_id()?;
        self.put_job_as(&id, sweep, None).map(|()| id)
    }

    /// Puts a new job with this id, in place of the row that was read.
    pub(crate) fn put_job_as(
        &mut self,
        id: &DocumentId,
        sweep: &Sweep,
        read: Option<RowRevision>,
    ) -> Result<(), Error> {
        let document = Document { id: None, revision: Revision::from_u64(1), body: &sweep.encode() };
        self.put_under_root(&self.tenant().id.job(id), read, &document)
    }
}
