//! Noticing changes: the generation of an org, and hints.

use crate::engine::ATTEMPTS_MAX;
use crate::engine::observer::Call;
use crate::engine::watch::Watch;
use crate::error::Error;
use crate::row::VaultRow;
use crate::store::RowRevision;
use crate::verbs::org::Org;
use crate::verbs::vault::Vault;

/// A point in the history of an org in an environment, to compare with another one of the same vault: while two are
/// equal, no run sees a difference. It changes whenever a run could see one. It may also change when no run does, as in
/// a rotation of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Of the settings: a vault that kept no generations for a while does not come back to one from before.
    header: RowRevision,
    /// Of definitions, keys and accounts: the epoch row.
    kept: Option<RowRevision>,
    /// Of everything that runs see: the generation row.
    seen: Option<RowRevision>,
}

impl Org {
    /// The org's present generation: one read of three small rows, however much the org stores. `None` unless the vault
    /// keeps generations ([`Settings::generations`](crate::Settings::generations)).
    ///
    /// Read it before resolving, and keep the resolved values for as long as it stays the same.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, VarFormat, VariableDefinition};
    /// vault.change_settings(|settings| settings.generations = true).await?;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let before = org.generation().await?;
    /// assert!(before.is_some() && org.generation().await? == before);
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// assert_ne!(org.generation().await?, before);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Locked`] and [`Error::Retired`]; [`Error::Contended`] if the settings keep changing.
    pub async fn generation(&self) -> Result<Option<Generation>, Error> {
        let run = async {
            let (engine, keys) = (&self.tenant.engine, &self.tenant.id);
            for _ in 0..ATTEMPTS_MAX {
                let pass = engine.pass().await?;
                let rows = [VaultRow::Header.key(), keys.epoch().key(), keys.generation().key()];
                let [header, kept, seen] = engine.read(rows).await?.map(|row| row.map(|row| row.revision));
                // Otherwise another engine changed the settings, and writes may no longer move the generation.
                if header == Some(pass.header) {
                    let generation = Generation { header: pass.header, kept, seen };
                    return Ok(pass.settings.generations.then_some(generation));
                }
                engine.look_at_gate().await?;
            }
            Err(Error::Contended(ATTEMPTS_MAX))
        };
        self.tenant.observed(Call::of("generation"), run).await
    }
}

impl Vault {
    /// Hints that an org changed, from every write of this process from now on. Writes of other processes give no hint:
    /// compare [`Org::generation`] for those. A write waits for no reader.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Environment, VarFormat, VariableDefinition};
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// let mut watch = vault.watch();
    /// org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
    /// assert!(watch.changed().await.is_some());
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.engine.watchers.add()
    }
}
