//! How much an org and an account store.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::model::Usage;
use crate::verbs::account::Account;
use crate::verbs::org::Org;

impl Org {
    /// How much the org stores in this environment, counted from its rows: exact if nobody writes meanwhile. It reads
    /// all of them, in pages, so it takes as long as listing everything.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// let usage = org.usage().await?;
    /// assert_eq!((usage.accounts, usage.integrations, usage.credentials), (1, 1, 1));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::RestoreUnfinished`] and [`Error::Store`].
    pub async fn usage(&self) -> Result<Usage, Error> {
        let tenant = &self.tenant;
        let count = async {
            tenant.engine.refuse_restoring(self.id()).await?;
            tenant.count_all(tenant.id.counted_of_org()).await
        };
        Ok(tenant.observed(Call::of("usage"), count).await?.into())
    }
}

impl Account {
    /// How much the account stores, counted from its rows: exact if nobody writes meanwhile. It reads all of them.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.set_value("PORT", "80").await?;
    /// let usage = account.usage().await?;
    /// assert_eq!((usage.values, usage.credentials), (1, 0));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::RestoreUnfinished`] and [`Error::Store`].
    pub async fn usage(&self) -> Result<Usage, Error> {
        let tenant = &self.org().tenant;
        let count = async {
            tenant.engine.refuse_restoring(&tenant.id.org).await?;
            tenant.count_all(tenant.id.counted_of_account(self.id())).await
        };
        let counted = tenant.observed(Call::of("usage").account(self.id()), count).await?;
        // Afterwards, so that a bound handle never returns what the next account with the id stores.
        self.refuse_ended().await?;
        Ok(counted.into())
    }
}
