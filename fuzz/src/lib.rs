//! What each fuzz target asserts, as functions that take any bytes and panic when a property fails.
//!
//! A program in `targets/` calls one of them; `tests/corpus.rs` calls all of them over the committed inputs.

mod backup;
mod bytes;
mod dotenv;
mod engine;
mod envelope;
mod format;
mod grammar;
mod http;
mod import;
mod pattern;
mod postgres;
mod socket;
mod store;

// The reference model of the domain, as the engine's own tests have it.
#[path = "../../crates/strongroom/tests/engine/common/mod.rs"]
mod common;
#[path = "../../crates/strongroom/tests/engine/model/compare.rs"]
mod compare;
#[path = "../../crates/strongroom/tests/engine/model/domain.rs"]
mod domain;
#[path = "../../crates/strongroom/tests/engine/model/step.rs"]
mod step;
#[allow(dead_code, reason = "streams are made of fuzzed bytes here")]
#[path = "../../crates/strongroom/tests/engine/model/verb.rs"]
mod verb;

pub use backup::backup;
pub use dotenv::dotenv;
pub use engine::{engine_memory, engine_sled};
pub use envelope::envelope;
pub use format::format;
pub use http::{callers, http};
pub use import::import;
pub use postgres::postgres_address;
pub use socket::{socket_client, socket_door};
pub use store::{store_memory, store_redb, store_sled, store_sqlite};
pub use strongroom::hazmat::fuzz::{key, plaintext, primitives, row};

/// Takes any bytes, and panics when a property fails.
pub type Target = fn(&[u8]);

/// Every target under its name, which is that of its program and of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 20] = [
    ("primitives", primitives),
    ("row", row),
    ("plaintext", plaintext),
    ("key", key),
    ("envelope", envelope),
    ("format", format),
    ("dotenv", dotenv),
    ("import", import),
    ("postgres_address", postgres_address),
    ("backup", backup),
    ("socket_door", socket_door),
    ("socket_client", socket_client),
    ("http", http),
    ("callers", callers),
    ("store_memory", store_memory),
    ("store_redb", store_redb),
    ("store_sled", store_sled),
    ("store_sqlite", store_sqlite),
    ("engine_memory", engine_memory),
    ("engine_sled", engine_sled),
];
