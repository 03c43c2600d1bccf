//! Shredding on a real token and on sled, whose files keep deleted bytes for long: a copy of the files from before
//! yields nothing once the token's key is destroyed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod token;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use strongroom::provider::{KeyProvider, ProviderErrorKind};
use strongroom::{
    Assume, Environment, Error, NotDestroyed, Org, RootRotation, Scope, ShredEffect, Unlock, VarFormat,
    VariableDefinition, Vault,
};
use strongroom_pkcs11::{Token, TokenKey};
use strongroom_sled::SledStore;

use token::{SoftHsm, on_softhsm};

#[test]
fn a_copy_of_the_files_from_before_yields_nothing_of_a_shredded_org() {
    on_softhsm(async |hsm: &SoftHsm| {
        shred_and_open_the_copy(hsm, async |org| org.shred().await.unwrap()).await;
    });
}

#[test]
fn a_copy_of_the_files_from_before_yields_nothing_of_a_shredded_account() {
    on_softhsm(async |hsm: &SoftHsm| {
        let account = ACCOUNT.parse().unwrap();
        shred_and_open_the_copy(hsm, async |org| org.shred_account(&account).await.unwrap()).await;
    });
}

async fn shred_and_open_the_copy(hsm: &SoftHsm, shred: impl AsyncFnOnce(&Org) -> strongroom::ShredReceipt) {
    let dir = tempfile::tempdir().unwrap();
    let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
    let token = hsm.open().await;
    let (old_key, new_key) = (new_key(&token, "vault-1").await, new_key(&token, "vault-2").await);

    let vault = Vault::create(SledStore::open(&live).unwrap(), unlock(&old_key)).await.unwrap();
    fill(&org(&vault)).await;
    fill(&vault.org(ORG.parse().unwrap(), Environment::production())).await;
    drop(vault);
    copy_dir(&live, &copy);
    assert_eq!(canaries_in(&live), NONE, "nothing was ever written in the clear");
    let opened = Vault::open(SledStore::open(&copy).unwrap(), unlock(&old_key)).await.unwrap();
    assert_eq!(read(&org(&opened)).await, [VALUE, CREDENTIAL, DESCRIPTION], "so far the copy opens");
    drop(opened);

    let vault = Vault::open(SledStore::open(&live).unwrap(), unlock(&old_key)).await.unwrap();
    let receipt = shred(&org(&vault)).await;
    let providers: [Arc<dyn KeyProvider>; 1] = [Arc::new(old_key.clone())];
    let sure = [Assume::NoOtherProcess, Assume::NoBackup];
    let early = vault.settle_shred(receipt.clone(), &providers, &sure).await.unwrap();
    assert_eq!(early.effect, ShredEffect::Logical { because: vec![NotDestroyed::RootInUse] });

    let rotation = RootRotation::new().keep(unlock(&new_key));
    vault.rotate_root(rotation).await.unwrap().job.run().await.unwrap();
    let settled = vault.settle_shred(receipt, &providers, &sure).await.unwrap();
    let ShredEffect::KeyDestroyed { evidence } = settled.effect else { panic!("{:?}", settled.effect) };
    assert_eq!(evidence.len(), 1);
    drop(vault);

    for key in [&old_key, &new_key] {
        let refused = Vault::open(SledStore::open(&copy).unwrap(), unlock(key)).await;
        let Err(Error::Provider(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), ProviderErrorKind::NotThisKey);
    }
    for dir in [&live, &copy] {
        assert_eq!(canaries_in(dir), NONE, "{}", dir.display());
    }
    let vault = Vault::open(SledStore::open(&live).unwrap(), unlock(&new_key)).await.unwrap();
    assert!(vault.verify().await.unwrap().is_clean());
    assert_eq!(org(&vault).account(ACCOUNT.parse().unwrap()).info().await.unwrap(), None);
    let bystander = vault.org(ORG.parse().unwrap(), Environment::production());
    assert_eq!(read(&bystander).await, [VALUE, CREDENTIAL, DESCRIPTION], "another tenant is all there");
}

async fn new_key(token: &Token, label: &str) -> TokenKey {
    token.generate_key(label).await.unwrap();
    token.key(label)
}

fn unlock(key: &TokenKey) -> Unlock {
    Unlock::provider(Arc::new(key.clone()))
}

fn org(vault: &Vault) -> Org {
    vault.org(ORG.parse().unwrap(), Environment::test())
}

async fn fill(org: &Org) {
    let definition = VariableDefinition::new("V", VarFormat::String).description(DESCRIPTION);
    org.define(definition).await.unwrap();
    let account = ACCOUNT.parse().unwrap();
    org.create_account(ACCOUNT.parse().unwrap()).with_credential("k", CREDENTIAL).await.unwrap();
    org.set_value("V", Scope::LinkedAccount(account), VALUE).await.unwrap();
}

/// The value, the credential and what the definition says.
async fn read(org: &Org) -> [String; 3] {
    let account = org.account(ACCOUNT.parse().unwrap());
    let value = account.value("V").await.unwrap().unwrap();
    let credential = account.credential("k").await.unwrap().unwrap();
    let stored = org.definition("V").await.unwrap().unwrap();
    let description = stored.definition.description.unwrap();
    [value.value.expose().to_owned(), credential.value.expose().to_owned(), description]
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What of the tenant stands in the clear anywhere in the files.
fn canaries_in(dir: &Path) -> Vec<&'static str> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(canaries_in(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let holds = |canary: &&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        found.extend([VALUE, CREDENTIAL, DESCRIPTION].into_iter().filter(holds));
    }
    found
}

const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";
const ACCOUNT: &str = "user_12345";
const VALUE: &str = "canary-of-a-value";
const CREDENTIAL: &str = "canary-of-a-credential";
const DESCRIPTION: &str = "canary of a definition";
const NONE: [&str; 0] = [];
