//! Verbs that destroy data for good.

use std::sync::Arc;

use crate::engine::observer::Call;
use crate::envelope::DekId;
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::jobs::shred::{
    Assume, NotDestroyed, ShredEffect, ShredReceipt, destroy, effect, forgotten, former_keys, note_shredded,
    org_backup, read_store_row, refusal,
};
use crate::jobs::shred_org::{begin_shred, dropped_keys};
use crate::jobs::{run_job, until_landed};
use crate::keys::provider::KeyProvider;
use crate::keys::{Floor, SlotHeld, StoreRow};
use crate::tenant::job::SHRED_JOB;
use crate::tenant::{Needs, WriteOptions};
use crate::verbs::accounts::delete::OnDeleted;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

impl Org {
    /// Deletes a linked account and drops its data keys, and reports how far that can be relied on. A rotation of the
    /// root key makes the shred stronger; one rotation serves any number of shreds. See [`Vault::settle_shred`].
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::ShredEffect;
    /// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// let receipt = org.shred_account(account.id()).await?;
    /// assert!(matches!(receipt.effect, ShredEffect::Logical { .. }) && receipt.keys.len() == 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::delete_account`], except [`Error::AccountNotFound`] for an account that was deleted or shredded
    /// before, if the store still shows it.
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the account is deleted and its keys are dropped, perhaps without a
    /// note of it. Call it again for the receipt; this also works for an account that was deleted before. The rows that
    /// are left are swept by that call, or by [`Vault::run_jobs`](crate::Vault::run_jobs).
    pub async fn shred_account(&self, account: &LinkedAccountId) -> Result<ShredReceipt, Error> {
        self.shred_account_with(account, WriteOptions::default()).await
    }

    /// [`shred_account`](Self::shred_account) with [`WriteOptions`], as
    /// [`delete_account_with`](Self::delete_account_with).
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::WriteOptions;
    /// let account = org.create_account("user_12345".parse()?).await?;
    /// let visits = org.records("visits".parse()?);
    /// visits.put(&"s1".parse()?, "user_12345").await?;
    /// let options = WriteOptions::default().with_record(visits.removal("s1".parse()?));
    /// let _receipt = org.shred_account_with(account.id(), options).await?;
    /// assert!(visits.get(&"s1".parse()?).await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of `shred_account`, and [`Error::Unexpected`].
    pub async fn shred_account_with(
        &self,
        account: &LinkedAccountId,
        options: WriteOptions,
    ) -> Result<ShredReceipt, Error> {
        let call = Call::of("shred_account").account(account);
        self.tenant.observed(call, self.delete_and_drop(account, &options)).await
    }

    async fn delete_and_drop(
        &self,
        account: &LinkedAccountId,
        options: &WriteOptions,
    ) -> Result<ShredReceipt, Error> {
        let engine = &self.tenant.engine;
        let owner = [account];
        let needs = Needs::org_keys().accounts(&owner);
        let mut keys: Vec<DekId> = match self.tenant.read(&needs, ()).await {
            Ok((view, ())) => {
                view.keys(Some(account)).into_iter().flat_map(|keys| keys.keyring.ids().copied()).collect()
            }
            // Nobody knows the keys of a keyring that cannot be read, which the delete replaces.
            Err(error) if error.is_damage() => Vec::new(),
            Err(error) => return Err(error),
        };
        let (job, revision) = self.begin_delete(account, options, OnDeleted::Repeat).await?;
        // A key that was added between the first read and the delete was dropped too, so the receipt lists it.
        let (view, ()) = self.tenant.read(&needs, ()).await?;
        if let Some(dropped) = view.keys(Some(account)) {
            keys.extend(dropped.keyring.dropped().copied());
            keys.sort_unstable();
            keys.dedup();
        }
        // Whatever the store showed of the account's keys, no earlier keyring counts from now on.
        let floor = Floor::of(&self.tenant.id.keyring(Some(account)), revision);
        let slots = note_shredded(engine, &keys, floor).await?;
        // After the note, so that the note stays if the sweep is interrupted.
        run_job(&self.tenant, &job).await?;
        // With the root key and an older copy of the store, the dropped keys can still be opened.
        let mut because = vec![NotDestroyed::RootInUse];
        because.extend(org_backup(engine, &self.tenant.id.org).await?);
        let (org, root_id) = (self.tenant.id.org, *engine.roots.get()?.active.key.id());
        Ok(ShredReceipt { org, keys, root_id, effect: ShredEffect::Logical { because }, slots, floor })
    }
}

impl Vault {
    /// Destroys the provider keys that protected former roots, once nothing else keeps the shred from being complete,
    /// and reports how far the shred can be relied on now. Call it after a rotation of the root key has finished, and
    /// again while a deletion at a provider is pending.
    ///
    /// Whatever else a provider's key protects is lost with it. No key is destroyed while another reason keeps the
    /// shred [`Logical`](ShredEffect::Logical), or if the store has put back older rows: the vault notes the latest
    /// 1,024 keys that were shredded, and a receipt remembers the slots of its time. A scheduled deletion counts only
    /// after its provider confirms it, since it may have been cancelled.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Assume, Environment, NotDestroyed, RawKey, RootRotation, ShredEffect, Unlock};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let account = org.create_account("user_12345".parse()?).await?;
    /// let receipt = org.shred_account(account.id()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // the key that opens the vault today
    /// vault.rotate_root(RootRotation::new().keep(key)).await?.job.run().await?;
    /// let receipt = vault.settle_shred(receipt, &[], &[Assume::NoBackup]).await?;
    /// // A raw key opened the vault, and nobody knows who has a copy of it.
    /// assert_eq!(receipt.effect, ShredEffect::Logical { because: vec![NotDestroyed::KnownSecret] });
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Provider`] if a provider fails, [`Error::Contended`], [`Error::RootRotated`], [`Error::Store`].
    pub async fn settle_shred(
        &self,
        receipt: ShredReceipt,
        providers: &[Arc<dyn KeyProvider>],
        assume: &[Assume],
    ) -> Result<ShredReceipt, Error> {
        let engine = &self.engine;
        let store_row = read_store_row(engine).await?;
        let mut because = self.reasons(&store_row, &receipt, assume);
        because.extend(org_backup(engine, &receipt.org).await?);
        because.extend(forgotten(engine, &store_row, &receipt).await?);
        let former = former_keys(&store_row);
        // Every key is checked before the first is destroyed.
        for key in &former {
            because.extend(refusal(&store_row, key, providers, engine.now()));
        }
        // Destroying a key cannot be undone, so do it only if nothing else is in the way.
        if because.is_empty() {
            for key in &former {
                because.extend(destroy(engine, key, providers).await?);
            }
        }
        let effect = match because.is_empty() {
            // Read it again: destroying a key has changed the row.
            true => effect(&read_store_row(engine).await?),
            false => ShredEffect::Logical { because },
        };
        Ok(ShredReceipt { effect, ..receipt })
    }

    /// What keeps the shred logical, apart from provider keys.
    fn reasons(&self, store_row: &StoreRow, receipt: &ShredReceipt, assume: &[Assume]) -> Vec<NotDestroyed> {
        let body = &store_row.body;
        let in_use = body.root_id == *receipt.root_id.as_bytes() || body.retiring.is_some();
        // While the root of that time is in use, include its slots: a rotation would not change what they open.
        let of_shred =
            |held: &SlotHeld| held.root_id != body.root_id || held.root_id == *receipt.root_id.as_bytes();
        let known = body.slots.iter().any(|held| held.key.is_none() && of_shred(held));
        let others = self.engine.is_shared() && !assume.contains(&Assume::NoOtherProcess);
        let reasons = [
            (in_use, NotDestroyed::RootInUse),
            (known, NotDestroyed::KnownSecret),
            (others, NotDestroyed::OtherProcesses),
            (!assume.contains(&Assume::NoBackup), NotDestroyed::Backups),
        ];
        reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
    }
}

impl Org {
    /// Deletes everything of the org in this environment, definitions and records included, and drops every data key:
    /// the org's and those of its linked accounts. [`Vault::settle_shred`](crate::Vault::settle_shred) reports how
    /// far that can be relied on, as for [`shred_account`](Self::shred_account).
    ///
    /// The first batch makes everything unreadable. The rows are swept before this returns. If that is interrupted,
    /// [`Vault::run_jobs`](crate::Vault::run_jobs), the next write to the org or this verb finishes it. The org can
    /// be used again, with new keys. Its keyrings remain, but hold only the ids of the dropped keys. It also works if
    /// nobody can open the org's keyring any more.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, ShredEffect};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let account = org.create_account("user_12345".parse()?).with_credential("api_key", "k1").await?;
    /// let receipt = org.shred().await?;
    /// assert!(matches!(receipt.effect, ShredEffect::Logical { .. }) && receipt.keys.len() == 2);
    /// assert!(account.info().await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] and the like for a job that cannot be read; [`Error::UnknownVersion`] for an org keyring of a
    /// later release; [`Error::Contended`], [`Error::RootRotated`], [`Error::Store`].
    ///
    /// # Cancellation
    /// If dropped, either nothing has happened, or the keys are destroyed. The rows that are left are swept by the next
    /// call of this, or of [`Vault::run_jobs`](crate::Vault::run_jobs). Call it again for the receipt, before anything
    /// is written to the org: newer data would be shredded too.
    pub async fn shred(&self) -> Result<ShredReceipt, Error> {
        let tenant = &*self.tenant;
        let begin = until_landed(tenant, |freshness| begin_shred(tenant, freshness));
        let revision = tenant.observed(Call::of("shred"), begin).await?;
        run_job(tenant, &SHRED_JOB).await?;
        let keys = dropped_keys(tenant).await?;
        let floor = Floor::of(&tenant.id.keyring(None), revision);
        // The job has already noted this, whoever ran it, unless there was no room.
        let slots = note_shredded(&tenant.engine, &keys, floor).await?;
        let mut because = vec![NotDestroyed::RootInUse];
        because.extend(org_backup(&tenant.engine, &tenant.id.org).await?);
        let effect = ShredEffect::Logical { because };
        let root_id = *tenant.engine.roots.get()?.active.key.id();
        Ok(ShredReceipt { org: tenant.id.org, keys, root_id, effect, slots, floor })
    }
}
