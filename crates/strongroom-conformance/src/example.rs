//! What a documented example starts from, so that it shows only what it is about.

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Account, Environment, Error, Org, RawKey, Unlock, VarFormat, VariableDefinition, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

/// Runs an example with an empty vault in memory, whose raw key is 32 bytes of 7.
///
/// ```
/// strongroom_conformance::with_vault(async |vault| {
///     assert!(vault.verify().await?.is_clean());
///     Ok(())
/// });
/// ```
///
/// # Panics
///
/// When the example returns an error.
pub fn with_vault(example: impl AsyncFnOnce(Vault) -> Result<(), Error>) {
    let run = async {
        let key = RawKey::from_bytes([7; 32]);
        let options = VaultOptions::default().history_versions(10);
        example(options.create(MemoryStore::new(), Unlock::raw_key(key)).await?).await
    };
    block_on(run).expect("the example succeeds");
}

/// Runs an example with an empty org of such a vault.
///
/// # Panics
///
/// When the example returns an error.
pub fn with_org(example: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_vault(async |vault| {
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
        example(org).await
    });
}

/// Runs an example with an org that defines one variable: `PORT`, an integer.
///
/// # Panics
///
/// When the example returns an error.
pub fn with_port(example: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_org(async |org| {
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        example(org).await
    });
}

/// The same, with the store too, which the example writes to beside the engine.
///
/// # Panics
///
/// When the example returns an error.
pub fn with_shared(example: impl AsyncFnOnce(Org, Arc<MemoryStore>) -> Result<(), Error>) {
    let run = async {
        let store = Arc::new(MemoryStore::new());
        let vault = Vault::create(Arc::clone(&store), Unlock::raw_key(RawKey::from_bytes([7; 32]))).await?;
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        example(org, store).await
    };
    block_on(run).expect("the example succeeds");
}

/// Runs an example with the account `user_12345`, which has its default app, in an org that defines `PORT`.
///
/// # Panics
///
/// When the example returns an error.
pub fn with_account(example: impl AsyncFnOnce(Account) -> Result<(), Error>) {
    with_port(async |org| {
        let account = org.create_account("user_12345".parse()?).with_default_app().await?;
        example(account).await
    });
}
