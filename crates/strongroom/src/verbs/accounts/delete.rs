//! Deleting a linked account and everything that belongs to it.

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::jobs::shred_org::opened_keyring;
use crate::jobs::{JobId, is_lost_job, run_job, until_landed};
use crate::model::{EventKind, Expected, Revision};
use crate::row::body::{AccountBody, Sweep};
use crate::store::Versioned;
use crate::tenant::{Attempt, Draft, Freshness, Loaded, Needs, View, WriteOptions};
use crate::verbs::org::Org;

/// What a delete does with an account that is already deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDeleted {
    Fail,
    /// Deletes it again: the earlier delete may have been interrupted.
    Repeat,
}

impl Org {
    /// Deletes a linked account with its values, integrations, credentials and data keys.
    ///
    /// The first batch drops the account's keys, so that nothing of it can be opened any more. The rows are swept
    /// before this returns. If that is interrupted, [`Vault::run_jobs`](crate::Vault::run_jobs) finishes it. The
    /// account's writers cannot hold up the delete, however many there are. An account that was never registered can be
    /// deleted too, if it has values, and so can one whose row or keyring cannot be opened, or of which only some rows
    /// are left.
    ///
    /// A [bound](crate::Account::bound) handle writes nothing after the first batch. Any other handle can set a value
    /// of an account that is not registered, so it can also do so after a delete.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// org.delete_account(account.id()).await?;
    /// assert!(account.credential("api_key").await.is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountNotFound`]; [`Error::UnknownVersion`] for one of a later release. An error during the sweep is
    /// returned too, but then the account is already gone.
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the account is gone for every reader. The rows that are left are
    /// swept by [`Vault::run_jobs`](crate::Vault::run_jobs), or before the account is registered again. Another call of
    /// this returns [`Error::AccountNotFound`].
    pub async fn delete_account(&self, account: &LinkedAccountId) -> Result<(), Error> {
        self.delete_account_with(account, WriteOptions::default()).await
    }

    /// [`delete_account`](Self::delete_account) with [`WriteOptions`].
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    /// use strongroom::WriteOptions;
    /// let visits = org.records("visits".parse()?);
    /// visits.put(&"s1".parse()?, "user_12345").await?;
    /// let options = WriteOptions::default().with_record(visits.removal("s1".parse()?));
    /// org.delete_account_with(account.id(), options).await?; // both, or neither
    /// assert!(visits.get(&"s1".parse()?).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `delete_account`, and [`Error::Unexpected`]; [`Error::Damaged`] for a condition on an account whose row
    /// cannot be opened.
    pub async fn delete_account_with(
        &self,
        account: &LinkedAccountId,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let delete = async {
            let (job, _) = self.begin_delete(account, &options, OnDeleted::Fail).await?;
            run_job(&self.tenant, &job).await
        };
        self.tenant.observed(Call::of("delete_account").account(account), delete).await
    }

    /// Drops the account's keys, so that it is gone for every reader. Returns the job that sweeps its rows, and the
    /// revision of its keyring, below which no keyring of the account counts any more.
    pub(crate) async fn begin_delete(
        &self,
        account: &LinkedAccountId,
        options: &WriteOptions,
        on_deleted: OnDeleted,
    ) -> Result<(JobId, Revision), Error> {
        let attempt = |freshness| self.try_delete_account(account, options, on_deleted, freshness);
        until_landed(&self.tenant, attempt).await
    }

    async fn try_delete_account(
        &self,
        account: &LinkedAccountId,
        options: &WriteOptions,
        on_deleted: OnDeleted,
        freshness: Freshness,
    ) -> Result<Attempt<(JobId, Revision)>, Error> {
        let tenant = &*self.tenant;
        let owner = [account];
        let (view, row, lost_keyring) = self.read_to_delete(account, &owner, freshness).await?;
        let opened = row.as_ref().map(|row| tenant.open_account(&view, account, row)).transpose();
        let (loaded, is_lost) = match opened {
            Err(error) if options.expected == Expected::Any && freshness.is_lost(&error) => (None, true),
            opened => (opened?.flatten(), false),
        };
        let live = loaded.as_ref().filter(|loaded| loaded.body.deleting.is_none());
        let keys = view.keys(Some(account));
        // An account that was never registered may still have values, and then it has keys. A deleted account has a
        // keyring without keys.
        let is_there = match on_deleted {
            OnDeleted::Fail => keys.is_some_and(|keys| keys.keyring.active().is_some()),
            OnDeleted::Repeat => keys.is_some(),
        };
        let is_known = live.is_some() || is_there || is_lost || lost_keyring.is_some();
        if !is_known && !self.has_left(account, loaded.as_ref()).await? {
            return Err(Error::AccountNotFound(account.clone()));
        }
        options.check(live.map(|loaded| loaded.revision))?;

        let mut draft = Draft::new(tenant, &view);
        draft.makes_room();
        let job = draft.put_job(&Sweep::Account(account.clone()))?;
        let now = tenant.engine.now();
        let mut body = match &loaded {
            Some(loaded) => loaded.body.clone().touched(now),
            // A row that only marks the delete, so that an account created meanwhile waits for the sweep.
            None => AccountBody::new(draft.new_id()?, now),
        };
        // A caller that finds the row before the sweep ends can finish the job that it names.
        body.deleting = Some(*job.as_bytes());
        // Without a condition, mark the row whatever it then holds: its writers could otherwise hold up the delete.
        if options.expected == Expected::Any {
            let revision = loaded.as_ref().map(|loaded| loaded.revision);
            draft.mark_account(account, &body, revision, row.as_ref())?;
        } else {
            draft.put_account(account, &body, loaded.as_ref())?;
        }
        // Every batch that seals something of the account expects its keyring, so none of them lands after this one.
        let revision = match &lost_keyring {
            Some(read) => draft.leave_no_lost_keys(Some(account), read)?,
            None => draft.leave_no_keys(Some(account))?,
        };
        draft.bump_epoch();
        draft.note_account(EventKind::AccountDeleted, account, live.map(|loaded| loaded.revision));
        draft.put_companions(options).await?;
        Ok(draft.commit().await?.map(|_| (job, revision)))
    }

    /// Whether an account that is not there has left rows that no job sweeps: its own row, its keyring or the job of
    /// its delete was lost, or they were planted.
    async fn has_left(
        &self,
        account: &LinkedAccountId,
        deleting: Option<&Loaded<AccountBody>>,
    ) -> Result<bool, Error> {
        let tenant = &*self.tenant;
        if let Some((loaded, job)) = deleting.and_then(|loaded| Some((loaded, loaded.body.deleting?))) {
            let marked = (tenant.id.account(account).key(), loaded.row_revision);
            return is_lost_job(tenant, &job, marked).await;
        }
        tenant.has_rows(tenant.id.counted_of_account(account)).await
    }

    /// The row of an account, and its keys. If nobody can open its keyring, the row of that instead.
    async fn read_to_delete<'a>(
        &self,
        account: &LinkedAccountId,
        owner: &'a [&'a LinkedAccountId],
        freshness: Freshness,
    ) -> Result<(View<'a>, Option<Versioned>, Option<Versioned>), Error> {
        let tenant = &*self.tenant;
        let place = tenant.id.account(account).key();
        let needs = Needs::org_keys().freshness(freshness);
        let read = tenant.read(&needs.accounts(owner), [place.clone()]).await;
        let error = match read {
            Ok((view, [row])) => return Ok((view, row, None)),
            Err(error) if freshness.is_lost(&error) => error,
            Err(error) => return Err(error),
        };
        // It may be the org's keyring instead, and then this read fails too.
        let keyring = tenant.id.keyring(Some(account)).key();
        let moment = tenant.engine.caches.moment();
        let needs = Needs::org_keys().freshness(freshness);
        let (view, [row, lost]) = tenant.read(&needs, [place, keyring.clone()]).await?;
        match lost {
            Some(lost) if opened_keyring(tenant, &keyring, &lost, moment).await?.is_none() => {
                Ok((view, row, Some(lost)))
            }
            _ => Err(error),
        }
    }
}
