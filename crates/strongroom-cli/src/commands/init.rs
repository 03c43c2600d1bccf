//! `init`: a new vault; on a terminal it asks what should open it.

use serde::Serialize;
use strongroom::Unlock;

use crate::config::Config;
use crate::failure::Failure;
use crate::input;
use crate::keys;
use crate::marks::KeptMark;
use crate::output::Output;
use crate::passphrase::NewPassphrase;
use crate::session::Session;

/// `init` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Init {
    /// Ask for a passphrase and use it instead of a root key file; without this option, `init` asks which to use if it
    /// runs on a terminal
    #[arg(long, conflicts_with_all = ["root_key_file", "passphrase_file"])]
    ask_passphrase: bool,
    #[command(flatten)]
    new: NewPassphrase,
}

#[derive(Serialize)]
struct Made<'a> {
    store: String,
    store_id: &'a str,
}

impl Init {
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<(), Failure> {
        config.store.refuse_unkept("init")?;
        let ask = || match self.ask_passphrase || wants_passphrase(config)? {
            true => keys::asked_twice(self.new).map(Some),
            false => Ok(None),
        };
        // If there is no store yet, ask first, so that giving up leaves nothing behind. If there is one, ask only once
        // it is known to be empty.
        let is_new = config.store.path().is_some_and(|path| !path.exists());
        if is_new {
            KeptMark::of(config)?.refuse_gone(&config.store, "is empty")?;
        }
        let asked = is_new.then(ask).transpose()?;
        let unlock = || match asked.map_or_else(ask, Ok)? {
            Some(passphrase) => Ok(Unlock::passphrase(passphrase)),
            None => keys::for_new_vault(config, self.new, output),
        };
        let session = Session::create(config, unlock).await?;
        let store_id = session.vault.store_id();
        session.finish(Ok(()), output).await?;
        let store = config.store.to_string();
        output.done(&format!("created a vault at {store}"), &Made { store, store_id: &store_id })
    }
}

/// Asks a person at a terminal who has named no key.
fn wants_passphrase(config: &Config) -> Result<bool, Failure> {
    if config.key.is_some() || !input::can_prompt() {
        return Ok(false);
    }
    let file = match config.default_key_file()? {
        Some(file) if file.exists() => format!("the key file {}, which is there", file.display()),
        Some(file) => format!("a new key file, {}", file.display()),
        // For a database there is no place for the key file where a later command would look by itself.
        None => return Ok(true),
    };
    let question = format!(
        "The vault will be at {}. It can be opened by {file}, or by a passphrase that is typed each time.",
        config.store
    );
    match input::answer(&question, "Key file or passphrase? [K/p] ")?.as_str() {
        "" | "k" | "key" | "key file" => Ok(false),
        "p" | "passphrase" => Ok(true),
        _ => Err(Failure::usage("that is neither k nor p").next("no vault was made; run the command again")),
    }
}
