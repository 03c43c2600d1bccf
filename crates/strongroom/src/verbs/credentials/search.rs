//! Which accounts lack a credential, and which credentials expire.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::model::{CredentialFilter, CredentialPlace, Listing, PageRequest};
use crate::verbs::credentials::AppCredentials;
use crate::verbs::org::Org;

impl Org {
    /// Finds credentials of all accounts that are missing or expire, in the byte order of their accounts, integrations
    /// and key names. No value is returned.
    ///
    /// Missing credentials are found from keys only, and only accounts that lack the credential are opened: some 500
    /// accounts in two reads of the store. The expiry of a credential is sealed in it, so those of the integration are
    /// opened: 64 accounts in two reads, and one more for each page of the store (4 MiB) that their credentials fill,
    /// so that no more of them are in memory at once. A call reads until its page is full or there are no more
    /// accounts.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{CredentialFilter, IntegrationId, NewCredential, PageRequest, Timestamp};
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// let (soon, later) = (Timestamp::from_ms(4_000_000_000_000), Timestamp::from_ms(4_000_000_000_001));
    /// let app = account.app(IntegrationId::default_app());
    /// app.set_many(&[NewCredential::new("access", "a1").expires_at(soon)]).await?;
    /// let expiring = CredentialFilter::expiring_before(later);
    /// assert_eq!(org.credentials_where(&expiring, PageRequest::default()).await?.items.len(), 1);
    /// let without = CredentialFilter::missing("refresh".parse()?);
    /// assert_eq!(org.credentials_where(&without, PageRequest::default()).await?.items.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Invalid::Cursor`](crate::Invalid::Cursor); [`Error::Damaged`] for a row that has to be opened.
    pub async fn credentials_where(
        &self,
        filter: &CredentialFilter,
        page: PageRequest,
    ) -> Result<Listing<CredentialPlace>, Error> {
        let search = self.tenant.credentials_where(filter, &page);
        let call = Call::of("credentials_where");
        let call = match &filter.integration {
            Some(integration) => call.of_app(integration, filter.connection.as_ref()),
            None => call,
        };
        self.tenant.observed(call, search).await
    }

    /// The credentials of a connection that was found, for example to refresh them. A connection with two matching
    /// credentials is found twice.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{CredentialFilter, PageRequest};
    /// org.create_account("user_12345".parse()?).with_default_app().await?;
    /// let without = CredentialFilter::missing("api_key".parse()?);
    /// for place in org.credentials_where(&without, PageRequest::default()).await?.items {
    ///     org.app_of(&place).upsert("api_key", "k1").await?;
    /// }
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn app_of(&self, place: &CredentialPlace) -> AppCredentials {
        let app = self.account(place.account.clone()).app(place.integration.clone());
        match &place.connection {
            Some(connection) => app.connection(connection.clone()),
            None => app,
        }
    }
}
