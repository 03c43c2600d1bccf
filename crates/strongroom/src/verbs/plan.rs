//! Verbs that write to a plan instead of the store.

use std::future::Future;
use std::sync::Arc;

use crate::error::Error;
use crate::store::Plan;
use crate::verbs::org::Org;

impl Org {
    /// What `verbs` would write, as a plan for a transaction of the host's own database, together with what they
    /// returned. The host's rows and the vault's are then committed together, or not at all.
    ///
    /// `verbs` gets an org whose verbs, and those of handles made from it, write only to the plan. They check, seal and
    /// return what they always do, and each sees the writes of those before it. The audit, the history and the quotas
    /// are included. The crate of the backend applies the plan: `strongroom-postgres` to a transaction of
    /// `tokio-postgres`, `strongroom-sqlite` to one of `rusqlite`, `strongroom-redb` to one of `redb`.
    ///
    /// Nothing happens until the host commits, so a plan may be dropped. Nothing of it is cached here. After the
    /// commit, every engine sees it like a write of another process. If a row that the plan depends on changes before
    /// the plan is applied, the whole plan is refused: make it again.
    ///
    /// A delete in a plan makes its data unreadable; [`Vault::run_jobs`](crate::Vault::run_jobs) sweeps the rest after
    /// the commit. A plan holds as much as one batch of the store. It cannot delete what it adds, and it cannot contain
    /// shreds, rotations and refreshes. The observer sees a verb when it returns, whatever becomes of the plan.
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
    /// called on the org after the plan was made.
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
