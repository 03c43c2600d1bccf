//! `init`: a new vault.

use serde_json::json;
use strongroom::{Secret, Unlock};

use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::{input, keys};

pub(crate) async fn run(config: &Config, ask_passphrase: bool, output: &Output) -> Result<(), Failure> {
    if config.store.path().is_none() {
        return Err(
            Failure::usage("a store in memory is gone when `init` ends").next("name a path with --store")
        );
    }
    let unlock = || match ask_passphrase {
        true => asked_twice().map(Unlock::passphrase),
        false => keys::for_new_vault(config, output),
    };
    let session = Session::create(config, unlock).await?;
    let store_id = session.vault.store_id();
    session.close().await?;
    let path = config.store.path().unwrap_or(std::path::Path::new("")).display();
    let json = json!({ "store": path.to_string(), "store_id": store_id });
    output.done(&format!("made a vault at {path}"), &json)
}

fn asked_twice() -> Result<Secret, Failure> {
    if !input::can_prompt() {
        return Err(
            Failure::usage("a passphrase can be asked for on a terminal only").next("give --passphrase-file")
        );
    }
    let passphrase = input::prompt("New passphrase: ")?;
    if passphrase.is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing"));
    }
    if input::prompt("Once more: ")?.expose() != passphrase.expose() {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok(passphrase)
}
