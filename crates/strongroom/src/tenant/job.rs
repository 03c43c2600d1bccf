//! The row of a job.

use crate::error::Error;
use crate::jobs::JobId;
use crate::model::Revision;
use crate::row::body::Sweep;
use crate::tenant::Draft;
use crate::tenant::SealedPut;

impl Draft<'_> {
    /// Puts a new job.
    pub(crate) fn put_job(&mut self, sweep: &Sweep) -> Result<JobId, Error> {
        let id = self.new_id()?;
        self.put_job_as(&id, sweep).map(|()| id)
    }

    /// Puts a new job with this id.
    pub(crate) fn put_job_as(&mut self, id: &JobId, sweep: &Sweep) -> Result<(), Error> {
        let tenant = self.tenant();
        let key = tenant.keys.job(id);
        let id_text = id.to_text();
        let context = tenant.job_context(id_text.as_str());
        let revision = Revision::from_u64(1);
        self.expect_as_read(key.clone(), None);
        self.put_under_root(SealedPut { key, context, doc_id: None, revision, plaintext: &sweep.encode() })
    }
}
