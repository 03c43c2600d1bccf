//! Verbs on linked accounts and their integrations.

pub(crate) mod delete;
pub(crate) mod integrations;
pub(crate) mod write;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::model::{LinkedAccount, Listing, PageRequest};
use crate::tenant::{Freshness, List, Needs, fresh_if_stale, listed_id};
use crate::verbs::org::Org;

pub use write::{AccountWritten, CreateAccount, UpdateAccount, UpsertAccount};

impl Org {
    /// The registered linked account with this id.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// let known = org.linked_account(account.id()).await?;
    /// assert_eq!(known.map(|known| known.account_id), Some("user_12345".parse()?));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn linked_account(&self, account: &LinkedAccountId) -> Result<Option<LinkedAccount>, Error> {
        let read = fresh_if_stale(|freshness| self.try_linked_account(account, freshness));
        self.tenant.observed(Call::of("linked_account").account(account), read).await
    }

    /// The registered linked accounts, in the order of the bytes of their ids.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// use strongroom::PageRequest;
    /// let page = org.linked_accounts(PageRequest::first(100)).await?;
    /// assert!(page.items.iter().any(|known| known.account_id == *account.id()) && page.next.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`].
    pub async fn linked_accounts(&self, page: PageRequest) -> Result<Listing<LinkedAccount>, Error> {
        let run = async {
            let tenant = &*self.tenant;
            let range = tenant.id.accounts();
            tenant
                .list(List::new("linked_accounts", &range), &page, |view, key, row| {
                    let account: LinkedAccountId = listed_id(&range, key)?;
                    let loaded = tenant.open_account(view, &account, row)?;
                    Ok(loaded.and_then(|loaded| loaded.into_model(account)))
                })
                .await
        };
        self.tenant.observed(Call::of("linked_accounts"), run).await
    }

    pub(crate) async fn try_linked_account(
        &self,
        account: &LinkedAccountId,
        freshness: Freshness,
    ) -> Result<Option<LinkedAccount>, Error> {
        let tenant = &*self.tenant;
        let gets = [tenant.id.account(account).key()];
        let (view, [row]) = tenant.read(&Needs::org_keys().freshness(freshness), gets).await?;
        let Some(row) = row else { return Ok(None) };
        let loaded = tenant.open_account(&view, account, &row)?;
        Ok(loaded.and_then(|loaded| loaded.into_model(account.clone())))
    }
}
