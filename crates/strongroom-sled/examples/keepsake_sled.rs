//! Makes the store that `tests/keepsake.rs` opens: `cargo run -p strongroom-sled --example keepsake_sled -- PATH`.
//! Once a version of the format; what is committed is never made again.

use std::error::Error;

use strongroom_sled::SledStore;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("a path is missing")?;
    strongroom_conformance::keepsake::make_v1(SledStore::open(path)?);
    Ok(())
}
