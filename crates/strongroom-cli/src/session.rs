//! The vault of a command: opened, used, closed.

use std::sync::Arc;

use strongroom::store::{KeyRange, ReadBatch, Scan};
use strongroom::{Error, Org, Store, Unlock, Vault};
use strongroom_http::{MeasuredStore, Metrics};

use crate::config::Config;
use crate::failure::Failure;
use crate::keys;
use crate::output::Output;

/// An open vault and the org that the command works on.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) vault: Vault,
    pub(crate) org: Org,
}

/// Whether the vault was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    Found,
    Created,
}

impl Session {
    /// Opens the vault that is there. A store that is gone with the process gets a new one each time.
    pub(crate) async fn open(config: &Config, output: &Output) -> Result<Self, Failure> {
        if !config.store.is_kept() {
            return Self::create(config, || keys::for_new_vault(config, output)).await;
        }
        let store = config.store.open_existing()?;
        Self::open_with(config, store, keys::existing(config, output)?).await
    }

    /// Opens the vault of this store with `unlock`.
    pub(crate) async fn open_with(
        config: &Config,
        store: Arc<dyn Store>,
        unlock: Unlock,
    ) -> Result<Self, Failure> {
        Ok(Self::of(Vault::open(store, unlock).await?, config))
    }

    /// Makes a new vault with `unlock`, which is asked for only where the store is empty.
    pub(crate) async fn create(
        config: &Config,
        unlock: impl FnOnce() -> Result<Unlock, Failure>,
    ) -> Result<Self, Failure> {
        let store = config.store.open()?;
        if !is_empty(&*store).await? {
            return Err(Error::AlreadyInitialised.into());
        }
        Ok(Self::of(Vault::create(store, unlock()?).await?, config))
    }

    /// Opens the vault that is there, or makes a new one where the store is empty; counts the calls of the store.
    pub(crate) async fn open_or_create(
        config: &Config,
        metrics: &Metrics,
        output: &Output,
    ) -> Result<(Self, Opened), Failure> {
        let store = MeasuredStore::new(config.store.open()?, metrics);
        let (vault, opened) = if is_empty(&store).await? {
            (Vault::create(store, keys::for_new_vault(config, output)?).await?, Opened::Created)
        } else {
            (Vault::open(store, keys::existing(config, output)?).await?, Opened::Found)
        };
        Ok((Self::of(vault, config), opened))
    }

    fn of(vault: Vault, config: &Config) -> Self {
        let org = vault.org(config.org, config.environment.clone());
        Self { vault, org }
    }

    /// Makes everything durable and lets go of the store.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.vault.close().await?)
    }
}

async fn is_empty(store: &dyn Store) -> Result<bool, Failure> {
    let scans = vec![Scan::new(KeyRange::all(), 1).keys_only()];
    let set = store.read(&ReadBatch { gets: Vec::new(), scans }).await?;
    Ok(set.scans.iter().all(|page| page.rows.is_empty()))
}
