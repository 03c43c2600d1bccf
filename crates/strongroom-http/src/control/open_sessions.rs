//! The sessions of linked accounts, for a host that ends them where the vault is.

use std::fmt;
use std::sync::Arc;

use strongroom::{Clock as _, Error, LinkedAccountId, Org, ShredReceipt, SystemClock, Timestamp};

use super::bodies::{AccountSession, Page};
use crate::auth::{EndedSessions, Sessions};

/// The sessions of the linked accounts of one org in one environment. Once they are ended, a service that has the vault
/// open refuses their tokens.
pub struct OpenSessions(Sessions);

impl OpenSessions {
    /// Those of `org`, in the environment of its handle. No I/O.
    ///
    /// # Errors
    /// None that the vault causes.
    pub fn of(org: &Org) -> Result<Self, Error> {
        Sessions::new(org.clone(), Arc::default()).map(Self)
    }

    /// Those of one account whose tokens are valid now, oldest first: at most 16, in one page.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Locked`], [`Error::RootRotated`], [`Error::Damaged`].
    pub async fn of_account(
        &self,
        account: &LinkedAccountId,
        now: Timestamp,
    ) -> Result<Page<AccountSession>, Error> {
        Ok(AccountSession::page(&self.0.of_account(account, now).await?))
    }

    /// Ends those of one account, also of one that is not registered: a store may hide it. A list of them that cannot
    /// be read is replaced. A session that is issued meanwhile may stay.
    ///
    /// # Errors
    /// Those of [`of_account`](Self::of_account), [`Error::Contended`], [`Error::Retired`].
    pub async fn end_of(&self, account: &LinkedAccountId) -> Result<EndedSessions, Error> {
        self.0.revoke_all_of(account, now()).await
    }

    /// The same for all accounts. Returns how many there were.
    ///
    /// # Errors
    /// Those of [`end_of`](Self::end_of).
    pub async fn end_all(&self) -> Result<usize, Error> {
        self.0.revoke_all(now()).await
    }

    /// The same, and replaces the key that signs their tokens, even one that cannot be read.
    ///
    /// # Errors
    /// Those of [`end_of`](Self::end_of).
    pub async fn replace_signing_key(&self) -> Result<usize, Error> {
        self.0.replace_signing_key(now()).await
    }

    /// Deletes an account with its sessions.
    ///
    /// # Errors
    /// Those of [`Org::delete_account`].
    pub async fn delete_account(&self, account: &LinkedAccountId) -> Result<(), Error> {
        self.0.delete_account(account).await
    }

    /// Shreds an account with its sessions.
    ///
    /// # Errors
    /// Those of [`Org::shred_account`].
    pub async fn shred_account(&self, account: &LinkedAccountId) -> Result<ShredReceipt, Error> {
        self.0.shred_account(account).await
    }
}

fn now() -> Timestamp {
    Timestamp::from_ms(SystemClock.now_ms())
}

impl fmt::Debug for OpenSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSessions").finish_non_exhaustive()
    }
}
