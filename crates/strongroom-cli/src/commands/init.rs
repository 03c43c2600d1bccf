//! `init`: a new vault.

use serde_json::json;
use strongroom::Unlock;

use crate::config::Config;
use crate::failure::Failure;
use crate::keys;
use crate::output::Output;
use crate::session::Session;

pub(crate) async fn run(config: &Config, ask_passphrase: bool, output: &Output) -> Result<(), Failure> {
    if !config.store.is_kept() {
        return Err(
            Failure::usage("a store in memory is gone when `init` ends").next("name a path with --store")
        );
    }
    let unlock = || match ask_passphrase {
        true => keys::asked_twice().map(Unlock::passphrase),
        false => keys::for_new_vault(config, output),
    };
    let session = Session::create(config, unlock).await?;
    let store_id = session.vault.store_id();
    session.close().await?;
    let path = &config.store;
    let json = json!({ "store": path.to_string(), "store_id": store_id });
    output.done(&format!("made a vault at {path}"), &json)
}
