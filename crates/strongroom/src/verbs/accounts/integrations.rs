//! Integrations (apps) of a linked account, and their connections.

use std::collections::BTreeSet;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::{AppId, ConnectionId, IntegrationId, LinkedAccountId};
use crate::jobs::{JobId, finish_job, is_lost_job, run_job, until_landed};
use crate::model::{Integration, Listing, PageRequest};
use crate::row::body::{IntegrationBody, Sweep};
use crate::row::parse_last_id;
use crate::store::{Key, Scan, Versioned};
use crate::tenant::{Attempt, Draft, Freshness, List, Loaded, Needs, View, fresh_if_stale};
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
        self.add_app(integration, &AppId::of(integration, None)).await
    }

    /// Adds a connection of an integration beside the default one, or returns the existing one: for a customer with
    /// several workspaces, mailboxes or stores in one app. The integration need not have a default connection.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let (crm, work) = ("crm".parse()?, "work".parse()?);
    /// account.add_connection(&crm, &work).await?;
    /// account.app(crm.clone()).connection(work.clone()).upsert("token", "t1").await?;
    /// let page = account.connections(&crm, strongroom::PageRequest::default()).await?;
    /// assert_eq!(page.items[0].connection, Some(work.clone()));
    /// account.delete_connection(&crm, &work).await?; // its credentials go with it
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountNotFound`] if the account is not registered; [`Error::OverQuota`]: each connection counts as an
    /// integration.
    pub async fn add_connection(
        &self,
        integration: &IntegrationId,
        connection: &ConnectionId,
    ) -> Result<Integration, Error> {
        self.add_app(integration, &AppId::of(integration, Some(connection))).await
    }

    async fn add_app(&self, integration: &IntegrationId, app: &AppId) -> Result<Integration, Error> {
        let tenant = &*self.org().tenant;
        let add = until_landed(tenant, |freshness| self.try_add_integration(app, freshness));
        let connection = app.connection();
        let verb = if connection.is_some() { "add_connection" } else { "add_integration" };
        let call = Call::of(verb).account(self.id()).of_app(integration, connection.as_ref());
        tenant.observed(call, add).await
    }

    /// The integration with this slug: its default connection.
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
        let app = AppId::of(integration, None);
        let read = fresh_if_stale(|freshness| self.try_integration(&app, freshness));
        let call = Call::of("integration").account(self.id()).of_app(integration, None);
        self.org().tenant.observed(call, read).await
    }

    /// The integrations of the account, in the order of the bytes of their slugs: each connection of each, the default
    /// one first.
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
        let range = self.org().tenant.id.integrations(self.id());
        let listed = self.list_apps(List::new(INTEGRATIONS, &range), page, |_, found| found);
        self.org().tenant.observed(Call::of("integrations").account(self.id()), listed).await
    }

    /// The same, each with its ids, but one that cannot be read keeps no other out of the list: in its place is why.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let page = account.each_integration(strongroom::PageRequest::first(100)).await?;
    /// assert!(page.items.iter().all(|(_, connection, found)| connection.is_none() && found.is_ok()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the account's row or the org's keys cannot be read;
    /// [`Error::Store`].
    pub async fn each_integration(
        &self,
        page: PageRequest,
    ) -> Result<Listing<(IntegrationId, Option<ConnectionId>, Result<Integration, Error>)>, Error> {
        let range = self.org().tenant.id.integrations(self.id());
        // By keys that may be out of date, all of them would seem to be damaged.
        let listed = self.list_apps(List::new(INTEGRATIONS, &range).fresh(), page, |app, found| {
            let found = match found {
                Err(error) if error.is_damage() => Some(Err(error)),
                found => found?.map(Ok),
            };
            Ok(found.map(|found| (app.integration(), app.connection(), found)))
        });
        self.org().tenant.observed(Call::of("each_integration").account(self.id()), listed).await
    }

    /// The connections of one integration: the default one, then the others in the order of the bytes of their ids.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let default_app = strongroom::IntegrationId::default_app();
    /// let page = account.connections(&default_app, strongroom::PageRequest::default()).await?;
    /// assert_eq!((page.items.len(), &page.items[0].connection), (1, &None));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`integrations`](Self::integrations).
    pub async fn connections(
        &self,
        integration: &IntegrationId,
        page: PageRequest,
    ) -> Result<Listing<Integration>, Error> {
        let range = self.org().tenant.id.connections(self.id(), integration);
        let listed = self.list_apps(List::new(INTEGRATIONS, &range), page, |_, found| found);
        let call = Call::of("connections").account(self.id()).of_app(integration, None);
        self.org().tenant.observed(call, listed).await
    }

    async fn list_apps<T>(
        &self,
        list: List<'_>,
        page: PageRequest,
        take: impl Fn(&AppId, Result<Option<Integration>, Error>) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        page.place_in(list.id())?;
        // Integrations of a deleted account may not be swept yet.
        let read = fresh_if_stale(|freshness| self.org().try_linked_account(self.id(), freshness));
        if read.await?.is_none() {
            self.refuse_ended().await?;
            return Ok(Listing { items: Vec::new(), next: None });
        }
        let tenant = &*self.org().tenant;
        let all = tenant.id.integrations(self.id());
        let listed = tenant
            .list(list, &page, |view, key, row| {
                // Not the key of an integration: `verify` reports it, and it does not hide the rest.
                let Some(app) = parse_last_id::<AppId>(&all, key) else { return Ok(None) };
                let loaded = tenant.open_integration(view, self.id(), &app, row).map(|loaded| {
                    let live = loaded.filter(|loaded| loaded.body.deleting.is_none());
                    live.and_then(|loaded| loaded.body.into_model(&app))
                });
                take(&app, loaded)
            })
            .await?;
        self.refuse_ended().await?;
        Ok(listed)
    }

    /// Deletes an integration and its credentials. After the first batch, those of its default connection cannot be
    /// read. Its other connections follow, one after the other. A connection that is added meanwhile may stay. One
    /// whose row cannot be opened, or of which only credentials are [left](Self::connections_left), is deleted too.
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
    /// [`Error::IntegrationNotFound`] if it has no connection. An error during the sweep is returned too, but then the
    /// connection is already gone.
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the integration is gone for every reader, except for connections not
    /// yet deleted: call it again. The rows that are left are swept by [`Vault::run_jobs`](crate::Vault::run_jobs), or
    /// before the connection is added again.
    pub async fn delete_integration(&self, integration: &IntegrationId) -> Result<(), Error> {
        let call = Call::of("delete_integration").account(self.id()).of_app(integration, None);
        self.org().tenant.observed(call, self.delete_connections(integration)).await
    }

    async fn delete_connections(&self, integration: &IntegrationId) -> Result<(), Error> {
        let default = self.delete_app(&AppId::of(integration, None)).await;
        let mut deleted = default.is_ok();
        if default.as_ref().is_err_and(|error| !matches!(error, Error::IntegrationNotFound { .. })) {
            return default;
        }
        let named = self.named_connections(integration).await?;
        for app in &named {
            match self.delete_app(app).await {
                Ok(()) => deleted = true,
                // Another caller deleted it, or is deleting it.
                Err(Error::IntegrationNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if deleted { Ok(()) } else { default }
    }

    /// Deletes one connection of an integration and its credentials. After the first batch none of them can be read.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let (crm, work) = ("crm".parse()?, "work".parse()?);
    /// account.add_integration(&crm).await?;
    /// account.add_connection(&crm, &work).await?;
    /// account.delete_connection(&crm, &work).await?;
    /// assert!(account.integration(&crm).await?.is_some()); // the default one stays
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::IntegrationNotFound`]. An error during the sweep is returned too, but then the connection is already
    /// gone.
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the connection is gone for every reader. The rows that are left are
    /// swept by [`Vault::run_jobs`](crate::Vault::run_jobs), or before the connection is added again.
    pub async fn delete_connection(
        &self,
        integration: &IntegrationId,
        connection: &ConnectionId,
    ) -> Result<(), Error> {
        let app = AppId::of(integration, Some(connection));
        let call = Call::of("delete_connection").account(self.id()).of_app(integration, Some(connection));
        self.org().tenant.observed(call, self.delete_app(&app)).await
    }

    async fn delete_app(&self, app: &AppId) -> Result<(), Error> {
        let tenant = &*self.org().tenant;
        let delete = until_landed(tenant, |freshness| self.try_delete_integration(app, freshness));
        let job = delete.await?;
        run_job(tenant, &job).await
    }

    /// The connections of an integration that are gone, although rows of them are left that no job sweeps, such as
    /// credentials: `None` for the default one. [`delete_integration`](Self::delete_integration) takes these too.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// let default_app = strongroom::IntegrationId::default_app();
    /// assert!(account.connections_left(&default_app).await?.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the account's row or the org's keys cannot be read, or a
    /// later release wrote a connection; [`Error::Store`].
    pub async fn connections_left(
        &self,
        integration: &IntegrationId,
    ) -> Result<Vec<Option<ConnectionId>>, Error> {
        let call = Call::of("connections_left").account(self.id()).of_app(integration, None);
        self.org().tenant.observed(call, self.find_left(integration)).await
    }

    async fn find_left(&self, integration: &IntegrationId) -> Result<Vec<Option<ConnectionId>>, Error> {
        let tenant = &*self.org().tenant;
        let (mut left, freshness) = (Vec::new(), Freshness::Fresh);
        let mut apps = self.named_connections(integration).await?;
        apps.insert(AppId::of(integration, None));
        for app in &apps {
            let (view, rows) = self.read_integration(app, freshness).await?;
            let [account_row, row] = &rows;
            if tenant.live_account(&view, self.registration(), account_row.as_ref())?.is_none() {
                return Ok(Vec::new());
            }
            match tenant.live_integration(&view, self.registration(), app, &rows) {
                // It is there, whether it can be read or not.
                Ok(_) => {}
                Err(error) if freshness.is_lost(&error) => {}
                Err(_) if self.has_left(&view, app, row.as_ref()).await? => left.push(app.connection()),
                Err(_) => {}
            }
        }
        Ok(left)
    }

    /// The connections of an integration, except the default one, of which there are rows: their own, or only
    /// credentials or versions of these. From their keys only.
    async fn named_connections(&self, integration: &IntegrationId) -> Result<BTreeSet<AppId>, Error> {
        let tenant = &*self.org().tenant;
        let mut apps = BTreeSet::new();
        for mut range in tenant.id.named_connections(self.id(), integration) {
            loop {
                let page = tenant.engine.read(Scan::new(range.clone(), PAGE_ROWS).keys_only()).await?;
                apps.extend(page.rows.iter().filter_map(|(key, _)| tenant.id.parse_connection(key)));
                let Some((last, _)) = page.rows.last().filter(|_| page.more) else { break };
                range = range.after(last.as_bytes());
            }
        }
        Ok(apps)
    }

    /// Reads the rows of the account and of one integration, in this order.
    async fn read_integration(
        &self,
        app: &AppId,
        freshness: Freshness,
    ) -> Result<(View<'static>, [Option<Versioned>; 2]), Error> {
        let needs = Needs::org_keys().freshness(freshness);
        self.org().tenant.read(&needs, self.integration_gets(app)).await
    }

    /// The keys of the rows of the account and of one integration, in this order.
    fn integration_gets(&self, app: &AppId) -> [Key; 2] {
        let tenant_id = &self.org().tenant.id;
        [tenant_id.account(self.id()).key(), tenant_id.integration(self.id(), app).key()]
    }

    async fn try_integration(&self, app: &AppId, freshness: Freshness) -> Result<Option<Integration>, Error> {
        let tenant = &*self.org().tenant;
        let (view, rows) = self.read_integration(app, freshness).await?;
        match tenant.live_integration(&view, self.registration(), app, &rows) {
            Ok((_, loaded)) => Ok(loaded.body.into_model(app)),
            Err(Error::IntegrationNotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn try_add_integration(
        &self,
        app: &AppId,
        freshness: Freshness,
    ) -> Result<Attempt<Integration>, Error> {
        let tenant = &*self.org().tenant;
        let account = self.id();
        // With the account's keys: the integration has to count from after their last drop, whatever the clock says.
        let owner = [account];
        let needs = Needs::org_keys().accounts(&owner).freshness(freshness);
        let (view, [account_row, row]) = tenant.read(&needs, self.integration_gets(app)).await?;
        let known = tenant.live_account(&view, self.registration(), account_row.as_ref())?;
        let known = known.ok_or_else(|| self.registration().not_found())?;
        let Some(existing) = self.org().existing_integration(&view, account, app, row.as_ref()).await? else {
            return Ok(Attempt::AGAIN);
        };
        if let Some(loaded) = existing {
            return Ok(loaded.body.into_model(app).into());
        }
        let mut draft = Draft::new(tenant, &view);
        let now = tenant.engine.now().max(tenant.account_begins_at(&view, account)?);
        let body = IntegrationBody::new(draft.new_id()?, now);
        // Otherwise a delete of the account at the same time could leave the integration behind.
        draft.expect_as_read(tenant.id.account(account).key(), Some(known.row_revision));
        row.iter().for_each(|row| draft.replace_dead(tenant.id.integration(account, app).key(), row));
        draft.put_integration(account, app, &body, None)?;
        match draft.commit().await? {
            Attempt::Landed(_) => Ok(body.into_model(app).into()),
            Attempt::Lost(rows) => Ok(Attempt::Lost(rows)),
            Attempt::AfterShred => Ok(Attempt::AfterShred),
        }
    }

    async fn try_delete_integration(
        &self,
        app: &AppId,
        freshness: Freshness,
    ) -> Result<Attempt<JobId>, Error> {
        let tenant = &*self.org().tenant;
        let account = self.id();
        let (view, rows) = self.read_integration(app, freshness).await?;
        let (known, loaded) = match tenant.live_integration(&view, self.registration(), app, &rows) {
            Ok((known, loaded)) => (known, Some(loaded)),
            Err(error) => {
                let [account_row, row] = &rows;
                let known = tenant.live_account(&view, self.registration(), account_row.as_ref())?;
                let is_lost = freshness.is_lost(&error) || self.has_left(&view, app, row.as_ref()).await?;
                (known.filter(|_| is_lost).ok_or(error)?, None)
            }
        };

        let mut draft = Draft::new(tenant, &view);
        draft.makes_room();
        let job = draft.put_job(&Sweep::Integration(account.clone(), app.clone()))?;
        match loaded {
            Some(loaded) => {
                draft.put_integration(account, app, &loaded.body.clone().deleting(&job), Some(&loaded))?;
            }
            None => {
                let now = tenant.engine.now().max(tenant.account_begins_at(&view, account)?);
                let body = IntegrationBody::new(draft.new_id()?, now).deleting(&job);
                rows[1]
                    .iter()
                    .for_each(|row| draft.replace_dead(tenant.id.integration(account, app).key(), row));
                draft.put_integration(account, app, &body, None)?;
            }
        }
        draft.bump_generation(account, &known)?;
        Ok(draft.commit().await?.map(|_| job))
    }

    /// Whether an integration that is not there has left rows that no job sweeps: its own row or the job of its delete
    /// was lost.
    async fn has_left(&self, view: &View<'_>, app: &AppId, row: Option<&Versioned>) -> Result<bool, Error> {
        let tenant = &*self.org().tenant;
        let loaded = row.map(|row| tenant.open_integration(view, self.id(), app, row)).transpose()?.flatten();
        if let Some((loaded, job)) = loaded.and_then(|loaded| loaded.body.deleting.map(|job| (loaded, job))) {
            let marked = (tenant.id.integration(self.id(), app).key(), loaded.row_revision);
            return is_lost_job(tenant, &job, marked).await;
        }
        let ranges = [tenant.id.credentials(self.id(), app), tenant.id.credentials_history(self.id(), app)];
        tenant.has_rows(ranges).await
    }
}

impl Org {
    /// The integration in `row`; `None` inside for a row from before a delete of its account. The outer `None` means
    /// that it was being deleted: that delete is now finished, so read again.
    pub(crate) async fn existing_integration(
        &self,
        view: &View<'_>,
        account: &LinkedAccountId,
        app: &AppId,
        row: Option<&Versioned>,
    ) -> Result<Option<Option<Loaded<IntegrationBody>>>, Error> {
        let Some(row) = row else { return Ok(Some(None)) };
        let loaded = self.tenant.open_integration(view, account, app, row)?;
        if let Some(job) = loaded.as_ref().and_then(|loaded| loaded.body.deleting) {
            let marked = (self.tenant.id.integration(account, app).key(), row.revision);
            finish_job(&self.tenant, &job, marked).await?;
            return Ok(None);
        }
        Ok(Some(loaded))
    }
}

/// The list of integrations, and of their connections.
const INTEGRATIONS: &str = "integrations";
/// More than the default quota of an account, so that one page nearly always holds them all.
const PAGE_ROWS: usize = 1_000;
