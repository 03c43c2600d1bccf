//! A service over a store in memory, with one org, one key, one definition and one linked account, for a look around
//! and for `scripts/contract`. It ends with its standard input.

use std::error::Error;

use strongroom::{Environment, RawKey, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_http::{ApiKeys, Limits, MeasuredStore, Metrics, NewApiKey, ServiceOptions, serve};
use strongroom_memory::MemoryStore;
use tokio::io::{AsyncReadExt as _, stdin};
use tokio::net::TcpListener;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "what it prints is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::new();
    let store = MeasuredStore::new(MemoryStore::new(), metrics.vault());
    let vault = Vault::create(store, Unlock::raw_key(RawKey::generate()?)).await?;
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    let key = ApiKeys::of(&org)?.create(NewApiKey::named("example")).await?.key;
    let definition = org.define(VariableDefinition::new("API_SECRET", VarFormat::String).encrypted()).await?;
    org.create_account("user_12345".parse()?).with_default_app().await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, key) = (listener.local_addr()?, key.expose());
    println!(
        "{{\"url\":\"http://{address}\",\"api_key\":\"{key}\",\
         \"variable_definition_id\":\"{definition}\",\"linked_account_id\":\"user_12345\"}}"
    );
    let closed = async {
        // What is typed does not matter; the end of it does.
        let _ = stdin().read_to_end(&mut Vec::new()).await;
    };
    // What drives it calls as fast as it can, with one token.
    let limits = Limits::default().any_token_rate();
    serve(listener, ServiceOptions::default().limits(limits).metrics(metrics).serve(vault), closed).await;
    Ok(())
}
