//! Verbs that stop before the store.

use std::future::Future;
use std::sync::Arc;

use crate::error::Error;
use crate::store::Plan;
use crate::verbs::org::Org;

impl Org {
    /// What `verbs` would write, as a plan for a transaction of the host's own database, with what they returned. The
    /// host's rows and the vault's are then committed together, or not at all.
    ///
    /// `verbs` gets an org whose verbs, and those of the handles that are made from it, write to the plan only. They
    /// check, seal and return what they always do, and each sees what those before it wrote. The audit, the history and
    /// the quotas go along. The crate of the backend applies the plan: `strongroom-postgres` to a transaction of
    /// `tokio-postgres`, `strongroom-sqlite` to one of `rusqlite`, `strongroom-redb` to one of `redb`.
    ///
    /// Until the host commits, nothing has happened: a plan may be dropped. Nothing of it is cached here, and from the
    /// commit on every engine sees it as it sees what another process wrote. If a row that the plan was made on changes
    /// before it is applied, it is refused as a whole: make it again.
    ///
    /// A delete in a plan removes what can be read; the rest is swept by
    /// [`Vault::run_jobs`](crate::Vault::run_jobs) after the commit. A plan holds as much as one batch of the store. It
    /// cannot delete what it adds, and shreds, rotations and refreshes cannot be part of it. The observer is told of a
    /// verb when it returns, whatever becomes of the plan.
    ///
    /// ```
    /// # strongroom_conformance::with_shared(async |org, db| {
    /// use strongroom::{Org, Scope, Store as _};
    /// let set = async |org: Org| org.set_value("PORT", Scope::Org, "8080").await;
    /// let (plan, _written) = org.plan(set).await?;
    /// assert!(org.value("PORT", Scope::Org).await?.is_none()); // nothing is written yet
    /// db.commit(plan.batch().clone()).await?; // in a test; a host's transaction takes it by the backend's crate
    /// assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "8080");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of the verbs; [`Error::Store`] with `Unsupported` for a store that only this engine writes to, and for a
    /// plan within a plan, with `TooLarge` for more than one batch of the store holds, and with `Closed` for a verb
    /// that is called on the org after the plan was made.
    pub async fn plan<T, F>(&self, verbs: impl FnOnce(Self) -> F) -> Result<(Plan, T), Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (engine, store) = self.tenant.engine.planning()?;
        let tenant = self.tenant.on(Arc::new(engine));
        let outcome = verbs(Self { tenant: Arc::new(tenant) }).await?;
        Ok((store.take(&self.tenant.id)?, outcome))
    }
}
