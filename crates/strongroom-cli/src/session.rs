//! The vault of a command: opened, used, closed.

use std::sync::Arc;

use strongroom::store::{KeyRange, ReadBatch, Scan};
use strongroom::{Error, Org, Store, Unlock, Vault, WrongStore};
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

impl Session {
    /// Opens the existing vault. A store in memory gets a new one each time.
    pub(crate) async fn open(config: &Config, output: &Output) -> Result<Self, Failure> {
        if !config.store.is_kept() {
            return Self::create(config, || keys::for_vault_in_memory(config, output)).await;
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

    /// Creates a new vault with `unlock`, which is only called if the store is empty.
    pub(crate) async fn create(
        config: &Config,
        unlock: impl FnOnce() -> Result<Unlock, Failure>,
    ) -> Result<Self, Failure> {
        let store = config.store.open()?;
        if !is_empty(&*store).await? {
            return Err(Error::WrongStore(WrongStore::HoldsVault).into());
        }
        Ok(Self::of(Vault::create(store, unlock()?).await?, config))
    }

    /// Opens the existing vault, or creates one if the store is empty; counts the calls of the store. `start` returns
    /// the key of a new vault and what else it needs, which comes back only if the vault was created.
    pub(crate) async fn open_or_create<T>(
        config: &Config,
        metrics: &Metrics,
        output: &Output,
        start: impl FnOnce() -> Result<(Unlock, T), Failure>,
    ) -> Result<(Self, Option<T>), Failure> {
        let store = MeasuredStore::new(config.store.open()?, metrics);
        if is_empty(&store).await? {
            let (unlock, started) = start()?;
            return Ok((Self::of(Vault::create(store, unlock).await?, config), Some(started)));
        }
        let vault = Vault::open(store, keys::existing(config, output)?).await?;
        Ok((Self::of(vault, config), None))
    }

    fn of(vault: Vault, config: &Config) -> Self {
        let org = vault.org(config.org, config.environment.clone());
        Self { vault, org }
    }

    /// Makes everything durable and releases the store.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.vault.close().await?)
    }
}

async fn is_empty(store: &dyn Store) -> Result<bool, Failure> {
    let scans = vec![Scan::new(KeyRange::all(), 1).keys_only()];
    let set = store.read(&ReadBatch { gets: Vec::new(), scans }).await?;
    Ok(set.scans.iter().all(|page| page.rows.is_empty()))
}
