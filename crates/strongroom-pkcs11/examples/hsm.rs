//! A vault that a token opens: `hsm MODULE TOKEN PIN_FILE`. It makes a key on the token, and destroys it at the end.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::provider::KeyProvider;
use strongroom::{Unlock, Vault};
use strongroom_memory::MemoryStore;
use strongroom_pkcs11::{Token, TokenOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, token, pin_file] = arguments.as_slice() else {
        return Err("usage: hsm MODULE TOKEN PIN_FILE".into());
    };
    let pin = std::fs::read_to_string(pin_file)?;
    let pin = pin.strip_suffix('\n').unwrap_or(&pin);
    block_on(show(TokenOptions::new(module, token, pin)))
}

async fn show(options: TokenOptions) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let token = Token::open(options).await?;
    let key = token.generate_key("strongroom example").await?;
    let hsm = Arc::new(token.key("strongroom example"));
    let by_hsm = || Unlock::provider(Arc::clone(&hsm) as Arc<dyn KeyProvider>);

    let store = Arc::new(MemoryStore::new());
    let vault = Vault::create(Arc::clone(&store), by_hsm()).await?;
    for slot in vault.slots().list().await? {
        writeln!(out, "slot {} is opened by {:?}", slot.id, slot.kind)?;
    }
    Vault::open(Arc::clone(&store), by_hsm()).await?;
    writeln!(out, "the vault opens with the token")?;
    writeln!(out, "{:?}", hsm.destroy(&key).await?)?;
    let refused = Vault::open(store, by_hsm()).await.map(drop);
    writeln!(out, "and then: {}", refused.err().ok_or("a destroyed key still opens")?)?;
    Ok(())
}
