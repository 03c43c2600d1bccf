//! The main job, end to end, as the README tells it.

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Environment, Error, RawKey, Scope, ScopePath, Unlock, Upsert, VarFormat, VariableDefinition, Vault,
};
use strongroom_memory::MemoryStore;

const KEY: [u8; 32] = [7; 32];

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes(KEY))
}

#[test]
fn what_was_written_reads_back_after_reopening() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let vault = Vault::create(Arc::clone(&store), unlock()).await?;
        let org_id = "6500a1b2c3d4e5f6a7b8c9d0".parse()?;
        let org = vault.org(org_id, Environment::test());

        org.define(VariableDefinition::new("API_BASE_URL", VarFormat::Url)).await?;
        org.define(VariableDefinition::new("API_SECRET", VarFormat::String).encrypted()).await?;
        let user: strongroom::LinkedAccountId = "user_12345".parse()?;
        org.set_value("API_BASE_URL", Scope::Org, "https://api.example.com").await?;
        org.set_value("API_SECRET", Scope::LinkedAccount(user.clone()), String::from("s3cret")).await?;
        let account = org.create_account(user.clone()).with_default_app().await?;
        assert_eq!(account.upsert_credential("api_key", "k1").await?.action, Upsert::Added);
        drop((account, org, vault));

        let vault = Vault::open(store, unlock()).await?;
        let org = vault.org(org_id, Environment::test());
        let run = ScopePath::org().linked_account(user.clone()).workflow("wf_1".parse()?);
        let one = org.resolve("API_SECRET", &run).await?.expect("a value stands at account scope");
        assert_eq!(
            (one.value.expose(), one.scope.as_str(), one.encrypted),
            ("s3cret", "linked_account", true)
        );
        let all = org.resolve_all(&run).await?;
        assert_eq!(all.get("API_BASE_URL").map(|url| url.value.expose()), Some("https://api.example.com"));
        assert_eq!(all.values.len(), 2);
        let credential = org.account(user).credential("api_key").await?.expect("it was upserted");
        assert_eq!(credential.value.expose(), "k1");
        Ok::<(), Error>(())
    })
    .unwrap();
}
