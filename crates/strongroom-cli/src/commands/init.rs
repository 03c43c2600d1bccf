//! `init`: a new vault.

use serde::Serialize;
use strongroom::Unlock;

use crate::config::Config;
use crate::failure::Failure;
use crate::keys;
use crate::output::Output;
use crate::passphrase::NewPassphrase;
use crate::session::Session;

/// `init` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Ask for a passphrase and use it instead of a root key file
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
        let unlock = || match self.ask_passphrase {
            true => keys::asked_twice(self.new).map(Unlock::passphrase),
            false => keys::for_new_vault(config, self.new, output),
        };
        let session = Session::create(config, unlock).await?;
        let store_id = session.vault.store_id();
        session.finish(Ok(()), output).await?;
        let store = config.store.to_string();
        output.done(&format!("created a vault at {store}"), &Made { store, store_id: &store_id })
    }
}
