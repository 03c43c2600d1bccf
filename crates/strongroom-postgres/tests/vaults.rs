//! Several engines on one database.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use futures_executor::block_on;
use strongroom::{
    Environment, Error, LinkedAccountId, Org, RawKey, Scope, ScopePath, Unlock, VarFormat,
    VariableDefinition, Vault,
};

const KEY: [u8; 32] = [7; 32];

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes(KEY))
}

fn org(vault: &Vault) -> Org {
    vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
}

/// Two engines, each with caches and connections of its own.
fn two_vaults() -> (Vault, Vault) {
    let cluster = cluster::shared();
    let database = cluster.database();
    let one = block_on(Vault::create(cluster.open(&database), unlock())).unwrap();
    let other = block_on(Vault::open(cluster.open(&database), unlock())).unwrap();
    (one, other)
}

#[test]
fn a_definition_changed_by_one_engine_is_seen_by_the_other_at_once() {
    let (one, other) = two_vaults();
    block_on(async {
        org(&one).define(VariableDefinition::new("PORT", VarFormat::String)).await?;
        for round in 0..5 {
            org(&one).set_value("PORT", Scope::Org, format!("{round}")).await?;
            let seen = org(&other).resolve("PORT", &ScopePath::org()).await?.unwrap();
            assert_eq!(seen.value.expose(), format!("{round}"));
        }
        // The other engine has the definition in its caches; it goes, and comes back with another format.
        org(&one).delete_definition("PORT").await?;
        let gone = org(&other).resolve("PORT", &ScopePath::org()).await;
        assert!(matches!(gone, Err(Error::DefinitionNotFound(_))), "{gone:?}");
        org(&one).define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let refused = org(&other).set_value("PORT", Scope::Org, "no number").await;
        assert!(refused.is_err(), "the other engine went by a definition that is gone");
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn keys_dropped_by_one_engine_open_nothing_in_the_other() {
    let (one, other) = two_vaults();
    let account: LinkedAccountId = "user_1".parse().unwrap();
    block_on(async {
        org(&one).define(VariableDefinition::new("TOKEN", VarFormat::String).encrypted()).await?;
        org(&one).create_account(account.clone()).await?;
        let path = ScopePath::org().linked_account(account.clone());
        org(&one).set_value("TOKEN", Scope::LinkedAccount(account.clone()), "one").await?;
        assert!(org(&other).resolve("TOKEN", &path).await?.is_some());
        org(&one).delete_account(&account).await?;
        assert!(org(&other).resolve("TOKEN", &path).await?.is_none());
        org(&other).set_value("TOKEN", Scope::LinkedAccount(account.clone()), "two").await?;
        let seen = org(&one).resolve("TOKEN", &path).await?.unwrap();
        assert_eq!(seen.value.expose(), "two");
        let report = one.verify().await?;
        assert!(report.is_clean(), "{report}");
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn a_vault_moves_into_the_database_and_out_of_it_again() {
    let cluster = cluster::shared();
    let source = block_on(Vault::create(strongroom_memory::MemoryStore::new(), unlock())).unwrap();
    block_on(async {
        let names: Vec<_> = (0..30).map(|number| format!("V{number}")).collect();
        for name in &names {
            org(&source).define(VariableDefinition::new(name, VarFormat::String)).await?;
            org(&source).set_value(name.as_str(), Scope::Org, format!("value of {name}")).await?;
        }
        let database = cluster.database();
        source.copy_to(&cluster.open(&database), |_| {}).await?;
        let moved = Vault::open(cluster.open(&database), unlock()).await?;
        let back = std::sync::Arc::new(strongroom_memory::MemoryStore::new());
        moved.copy_to(&back, |_| {}).await?;
        let back = Vault::open(back, unlock()).await?;
        let before = org(&source).resolve_all(&ScopePath::org()).await?;
        let after = org(&back).resolve_all(&ScopePath::org()).await?;
        assert_eq!(before.values.len(), 30);
        for (one, other) in before.values.iter().zip(&after.values) {
            assert_eq!((&one.name, one.value.expose()), (&other.name, other.value.expose()));
        }
        assert!(back.verify().await?.is_clean());
        Ok::<(), Error>(())
    })
    .unwrap();
}
