//! Makes the store that `tests/keepsake.rs` opens: `cargo run -p strongroom-redb --example keepsake_redb -- PATH`.
//! Once a version of the format; what is committed is never made again.

use std::error::Error;

use futures_executor::block_on;
use strongroom::Store;
use strongroom_redb::RedbStore;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("a path is missing")?;
    strongroom_conformance::keepsake::make_v1(RedbStore::open(&path)?);
    let store = RedbStore::open(&path)?;
    block_on(store.compact())?;
    Ok(block_on(store.close())?)
}
