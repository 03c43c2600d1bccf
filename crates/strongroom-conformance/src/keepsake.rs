//! A vault that was made once by each backend, committed as a file, and is to be opened by every later version.
//!
//! What it holds never changes: another content is another version, beside this one.

use futures_executor::block_on;
use strongroom::store::Store;
use strongroom::{
    DataKeys, Environment, Error, LinkedAccountId, Org, RawKey, Scope, ScopePath, Unlock, VarFormat,
    VariableDefinition, Vault,
};

/// Fills an empty store with version 1.
///
/// # Panics
/// Where the store is not empty or fails.
pub fn make_v1(store: impl Store) {
    block_on(async {
        let vault = Vault::create(store, unlock()).await?;
        let org = org(&vault)?;
        org.define(VariableDefinition::new("URL", VarFormat::Url).default_value("https://a.example")).await?;
        org.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await?;
        org.define(VariableDefinition::new("LONG", VarFormat::String)).await?;
        org.set_value("URL", Scope::Org, "https://b.example").await?;
        for (scope, value) in
            [Scope::Org, Scope::LinkedAccount(account()?), workflow()?].into_iter().zip(SECRETS)
        {
            org.set_value("SECRET", scope, value).await?;
        }
        org.set_value("LONG", Scope::Org, long()).await?;
        let account = org.create_account(account()?).with_default_app().await?;
        account.upsert_credential("api_key", "k1").await?;
        account.upsert_credential("api_key", "k2").await?;
        org.records("notes".parse()?).put(&"first".parse()?, "sealed").await?;
        // Rows under an old and a new key.
        let _job = vault.rotate_data_keys(&DataKeys::all()).await?;
        org.set_value("SECRET", workflow()?, SECRETS[2]).await?;
        vault.close().await
    })
    .unwrap_or_else(|error: Error| unreachable!("{error}"));
}

/// Holds that everything in version 1 is there, and can be changed.
///
/// # Panics
/// Where it is not.
pub fn check_v1(store: impl Store) {
    block_on(async {
        let vault = Vault::open(store, unlock()).await?;
        let report = vault.verify().await?;
        assert!(report.is_clean() && report.unverifiable == 0, "{report}");
        check_values(&org(&vault)?).await?;
        vault.run_jobs().await?;
        org(&vault)?.set_value("URL", Scope::Org, "https://c.example").await?;
        check(&org(&vault)?, "URL", &ScopePath::org(), "https://c.example").await?;
        assert!(vault.verify().await?.is_clean());
        vault.close().await
    })
    .unwrap_or_else(|error: Error| unreachable!("{error}"));
}

async fn check_values(org: &Org) -> Result<(), Error> {
    let of_account = ScopePath::org().linked_account(account()?);
    let run = of_account.clone().workflow("wf_1".parse()?);
    for (path, value) in [ScopePath::org(), of_account, run.clone()].iter().zip(SECRETS) {
        check(org, "SECRET", path, value).await?;
    }
    check(org, "URL", &run, "https://b.example").await?;
    check(org, "LONG", &run, &long()).await?;
    assert_eq!(org.resolve_all(&run).await?.values.len(), 3);
    let credential = org.account(account()?).credential("api_key").await?;
    assert!(credential.is_some_and(|found| found.value.expose() == "k2"), "the credential");
    let record = org.records("notes".parse()?).get(&"first".parse()?).await?;
    assert!(record.is_some_and(|found| found.value.expose() == "sealed"), "the record");
    Ok(())
}

async fn check(org: &Org, name: &str, path: &ScopePath, value: &str) -> Result<(), Error> {
    let found = org.resolve(name, path).await?;
    assert!(found.is_some_and(|found| found.value.expose() == value), "{name}");
    Ok(())
}

fn org(vault: &Vault) -> Result<Org, Error> {
    Ok(vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::production()))
}

fn account() -> Result<LinkedAccountId, Error> {
    Ok("user_12345".parse()?)
}

fn workflow() -> Result<Scope, Error> {
    Ok(Scope::Workflow("wf_1".parse()?))
}

fn long() -> String {
    "0123456789".repeat(4_000)
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

const SECRETS: [&str; 3] = ["of the org", "of the account", "of the workflow"];
