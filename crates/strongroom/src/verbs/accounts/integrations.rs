//! Integrations (apps) of a linked account.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::{IntegrationId, LinkedAccountId};
use crate::jobs::{JobId, finish_job, run_job, until_landed};
use crate::model::{Integration, Listing, PageRequest};
use crate::row::body::{IntegrationBody, Sweep};
use crate::store::Versioned;
use crate::tenant::{Attempt, Draft, Freshness, Loaded, Needs, View, fresh_if_stale, listed_id};
use crate::verbs::account::Account;
use crate::verbs::org::Org;

impl Account {
    /// Adds an integration, or returns the existing one.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let crm = "crm".parse()?;
    /// account.add_integration(&crm).await?;
    /// account.app(crm.clone()).upsert("token", "t1").await?;
    /// account.delete_integration(&crm).await?; // its credentials go with it
    /// assert!(account.integration(&crm).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountNotFound`] if the account is not registered; [`Error::OverQuota`].
    pub async fn add_integration(&self, integration: &IntegrationId) -> Result<Integration, Error> {
        let tenant = &*self.org().tenant;
        let add = until_landed(tenant, |freshness| self.try_add_integration(integration, freshness));
        let call = Call::of("add_integration").account(self.id()).named(integration.as_str());
        tenant.observed(call, add).await
    }

    /// The integration with this slug.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let slug = strongroom::IntegrationId::default_app();
    /// assert!(account.integration(&slug).await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn integration(&self, integration: &IntegrationId) -> Result<Option<Integration>, Error> {
        let read = fresh_if_stale(|freshness| self.try_integration(integration, freshness));
        let call = Call::of("integration").account(self.id()).named(integration.as_str());
        self.org().tenant.observed(call, read).await
    }

    /// The integrations of the account, in the order of the bytes of their slugs.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.add_integration(&"crm".parse()?).await?;
    /// assert_eq!(account.integrations(strongroom::PageRequest::first(100)).await?.items.len(), 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn integrations(&self, page: PageRequest) -> Result<Listing<Integration>, Error> {
        let run = async {
            // Integrations of a deleted account may not be swept yet.
            let read = fresh_if_stale(|freshness| self.org().try_linked_account(self.id(), freshness));
            if read.await?.is_none() {
                self.refuse_ended().await?;
                return Ok(Listing { items: Vec::new(), next: None });
            }
            let tenant = &*self.org().tenant;
            let range = tenant.id.integrations(self.id());
            let listed = tenant
                .list(None, &range, &page, |view, key, row| {
                    let slug: IntegrationId = listed_id(&range, key)?;
                    let loaded = tenant.open_integration(view, self.id(), &slug, row)?;
                    let live = loaded.filter(|loaded| loaded.body.deleting.is_none());
                    Ok(live.and_then(|loaded| loaded.body.into_model(slug)))
                })
                .await?;
            self.refuse_ended().await?;
            Ok(listed)
        };
        self.org().tenant.observed(Call::of("integrations").account(self.id()), run).await
    }

    /// Deletes an integration and its credentials. After the first batch none of them can be read.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// account.upsert_credential("api_key", "k1").await?;
    /// account.delete_integration(&strongroom::IntegrationId::default_app()).await?;
    /// assert!(account.credential("api_key").await.is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]. An error during the sweep is returned too, but then the integration is already
    /// gone.
    ///
    /// # Cancellation
    /// Dropped, nothing has happened, or it is gone for every reader. What is left of its rows goes with the next call
    /// of this, or of [`Vault::run_jobs`](crate::Vault::run_jobs).
    pub async fn delete_integration(&self, integration: &IntegrationId) -> Result<(), Error> {
        let tenant = &*self.org().tenant;
        let delete = until_landed(tenant, |freshness| self.try_delete_integration(integration, freshness));
        let call = Call::of("delete_integration").account(self.id()).named(integration.as_str());
        let job = tenant.observed(call, delete).await?;
        run_job(tenant, &job).await
    }

    /// Reads the rows of the account and of one integration, in this order.
    async fn read_integration(
        &self,
        integration: &IntegrationId,
        freshness: Freshness,
    ) -> Result<(View<'static>, [Option<Versioned>; 2]), Error> {
        let keys = &self.org().tenant.id;
        let gets = [keys.account(self.id()).key(), keys.integration(self.id(), integration).key()];
        let needs = Needs::org_keys().freshness(freshness);
        self.org().tenant.read(&needs, gets).await
    }

    async fn try_integration(
        &self,
        integration: &IntegrationId,
        freshness: Freshness,
    ) -> Result<Option<Integration>, Error> {
        let tenant = &*self.org().tenant;
        let (view, [account_row, row]) = self.read_integration(integration, freshness).await?;
        let registration = self.registration();
        match tenant.live_integration(&view, registration, integration, account_row.as_ref(), row.as_ref()) {
            Ok((_, loaded)) => Ok(loaded.body.into_model(integration.clone())),
            Err(Error::IntegrationNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn try_add_integration(
        &self,
        integration: &IntegrationId,
        freshness: Freshness,
    ) -> Result<Attempt<Integration>, Error> {
        let tenant = &*self.org().tenant;
        let account = self.id();
        let (view, [account_row, row]) = self.read_integration(integration, freshness).await?;
        let known = tenant.live_account(&view, self.registration(), account_row.as_ref())?;
        let known = known.ok_or_else(|| self.registration().not_found())?;
        let Some(existing) =
            self.org().existing_integration(&view, account, integration, row.as_ref()).await?
        else {
            return Ok(Attempt::AGAIN);
        };
        if let Some(loaded) = existing {
            return Ok(loaded.body.into_model(integration.clone()).into());
        }
        let mut draft = Draft::new(tenant, &view);
        let body = IntegrationBody::new(draft.new_id()?, tenant.engine.now());
        // Otherwise a delete of the account at the same time could leave the integration behind.
        draft.expect_as_read(tenant.id.account(account).key(), Some(known.row_revision));
        draft.put_integration(account, integration, &body, None)?;
        match draft.commit().await? {
            Attempt::Landed(_) => Ok(body.into_model(integration.clone()).into()),
            Attempt::Lost(rows) => Ok(Attempt::Lost(rows)),
            Attempt::AfterShred => Ok(Attempt::AfterShred),
        }
    }

    async fn try_delete_integration(
        &self,
        integration: &IntegrationId,
        freshness: Freshness,
    ) -> Result<Attempt<JobId>, Error> {
        let tenant = &*self.org().tenant;
        let account = self.id();
        let (view, [account_row, row]) = self.read_integration(integration, freshness).await?;
        let (known, loaded) = tenant.live_integration(
            &view,
            self.registration(),
            integration,
            account_row.as_ref(),
            row.as_ref(),
        )?;

        let mut draft = Draft::new(tenant, &view);
        draft.makes_room();
        let job = draft.put_job(&Sweep::Integration(account.clone(), integration.clone()))?;
        let body = loaded.body.clone().deleting(&job);
        draft.put_integration(account, integration, &body, Some(&loaded))?;
        draft.bump_generation(account, &known)?;
        Ok(draft.commit().await?.map(|_| job))
    }
}

impl Org {
    /// The integration in `row`. The outer `None` means that it was being deleted. The delete is now finished, so
    /// read again.
    pub(crate) async fn existing_integration(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        integration: &IntegrationId,
        row: Option<&Versioned>,
    ) -> Result<Option<Option<Loaded<IntegrationBody>>>, Error> {
        let Some(row) = row else { return Ok(Some(None)) };
        let loaded = self.tenant.open_integration(view, account, integration, row)?;
        if let Some(job) = loaded.as_ref().and_then(|loaded| loaded.body.deleting) {
            let marked = (self.tenant.id.integration(account, integration).key(), row.revision);
            finish_job(&self.tenant, &job, marked).await?;
            return Ok(None);
        }
        Ok(Some(loaded))
    }
}
