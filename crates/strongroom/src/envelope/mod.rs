//! Sealed records: how one value is bound to a key and an address, and opened again.
//!
//! Pure: bytes in, bytes out, with no I/O except for the operating system's random numbers. `docs/FORMAT.md` is the
//! specification.

mod address;
mod dek_id;
mod error;
mod kdf;
mod local_key;
mod mac;
mod padding;
mod passphrase;
mod primitives;
mod record;

pub(crate) use address::{Address, StoreId};
pub use dek_id::DekId;
#[allow(unreachable_pub, reason = "public behind the feature `hazmat` only")]
pub use error::OpenError;
pub(crate) use error::SealError;
pub(crate) use kdf::{KeyMaterial, checkpoint_key, new_dek, slot_key};
pub(crate) use local_key::{LocalKey, PartTag};
pub(crate) use mac::{MacKey, MacTag, RunningMac, checksum};
#[cfg(feature = "hazmat")]
pub(crate) use padding::padded_len;
pub(crate) use passphrase::{Argon2Bounds, argon2id};
pub use passphrase::{Argon2Error, Argon2Params};
#[cfg(all(feature = "aws-lc", feature = "hazmat"))]
pub(crate) use primitives::assert_alike;
#[cfg(feature = "hazmat")]
pub(crate) use primitives::expand;
pub(crate) use record::{RECORD_LEN_MAX, SealedRecord, SealingKey};
