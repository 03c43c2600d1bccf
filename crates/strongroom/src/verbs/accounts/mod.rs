//! Verbs on linked accounts and their integrations.

pub(crate) mod delete;
pub(crate) mod integrations;
pub(crate) mod write;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::model::{LinkedAccount, Listing, PageRequest};
use crate::row::parse_last_id;
use crate::tenant::{Freshness, List, Needs, fresh_if_stale};
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
    /// [`Error::Damaged`], [`Error::UnknownVersion`] and [`Error::Store`]: one that cannot be read fails the whole
    /// list. [`each_linked_account`](Self::each_linked_account) has the others.
    pub async fn linked_accounts(&self, page: PageRequest) -> Result<Listing<LinkedAccount>, Error> {
        let range = self.tenant.id.accounts();
        let list = self.list_accounts(List::new(ACCOUNTS, &range), &page, |_, found| found);
        self.tenant.observed(Call::of("linked_accounts"), list).await
    }

    /// The registered accounts, each with its id. One that cannot be read keeps no other out of the list: in its place
    /// is why.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// org.create_account("user_12345".parse()?).await?;
    /// let page = org.each_linked_account(strongroom::PageRequest::first(100)).await?;
    /// assert!(page.items.iter().all(|(id, found)| id.as_str() == "user_12345" && found.is_ok()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::UnknownVersion`] if the org's keys cannot be read; [`Error::Store`].
    pub async fn each_linked_account(
        &self,
        page: PageRequest,
    ) -> Result<Listing<(LinkedAccountId, Result<LinkedAccount, Error>)>, Error> {
        let range = self.tenant.id.accounts();
        // By keys that may be out of date, all of them would seem to be damaged.
        let list = List::new(ACCOUNTS, &range).fresh();
        let list = self.list_accounts(list, &page, |id, found| match found {
            Err(error) if error.is_damage() => Ok(Some((id, Err(error)))),
            found => Ok(found?.map(|found| (id, Ok(found)))),
        });
        self.tenant.observed(Call::of("each_linked_account"), list).await
    }

    async fn list_accounts<T>(
        &self,
        list: List<'_>,
        page: &PageRequest,
        take: impl Fn(LinkedAccountId, Result<Option<LinkedAccount>, Error>) -> Result<Option<T>, Error>,
    ) -> Result<Listing<T>, Error> {
        let (tenant, range) = (&*self.tenant, self.tenant.id.accounts());
        tenant
            .list(list, page, |view, key, row| {
                // Not the key of an account: `verify` reports it, and it does not hide the rest.
                let Some(account) = parse_last_id::<LinkedAccountId>(&range, key) else { return Ok(None) };
                let loaded = tenant.open_account(view, &account, row);
                let found = loaded.map(|loaded| loaded.and_then(|loaded| loaded.into_model(account.clone())));
                take(account, found)
            })
            .await
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

/// The list of all accounts.
const ACCOUNTS: &str = "linked_accounts";
