//! What opens a vault, beside what its kind of slot costs at the least; and the key of one scope, cold beside warm.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use futures_executor::block_on;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store as _};
use strongroom::{Argon2Params, RawKey, Scope, Unlock, Vault, VaultOptions};
use strongroom_memory::MemoryStore;
use strongroom_pkcs11::Wrapping;
use zeroize::Zeroizing;

use crate::population::Population;
use crate::raw::Cipher;
use crate::token::SoftHsm;
use crate::vault::{Filled, name};
use crate::{Run, Work};

/// Every kind of slot. Those of a token need SoftHSM2; where it is not installed, that is said.
#[must_use]
pub fn works() -> Vec<Work> {
    let mut works = vec![raw_key(), passphrase(), data_key()];
    match SoftHsm::initialise() {
        Some(hsm) => works.extend([
            token(&hsm, Wrapping::Gcm, "the token's C_Decrypt"),
            token(&hsm, Wrapping::KeyWrapPad, "the token's C_UnwrapKey, read and destroyed"),
        ]),
        None => eprintln!(
            "the slots of a token are left out: they need SoftHSM2 (apt-get install softhsm2, or SOFTHSM2_MODULE)"
        ),
    }
    works
}

fn raw_key() -> Work {
    let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let (store, opens) = vault(unlock);
    let work = Run::cpu(opens);
    let head = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 100)] };
    let cipher = Cipher::new();
    let sealed = cipher.seal(&[1; 180], &[0; 32]);
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(block_on(store.read(&head)).is_ok());
            for _ in ["the slot", "the store row"] {
                black_box(cipher.open(&[1; 180], black_box(&sealed)).is_some());
            }
        }
    });
    Work::new("memory: open a vault by a raw key", work, "the store's read + 2 raw opens", floor)
}

fn passphrase() -> Work {
    let unlock = || Unlock::passphrase(PASSPHRASE);
    let (_, opens) = vault(unlock);
    // By the wall clock: the engine derives on a thread of its own.
    let work = Run::wall(opens);
    let today = Argon2Params::default();
    let params = Params::new(today.memory_kib(), today.iterations(), today.lanes(), Some(32));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("they are in use"));
    let floor = Run::wall(move |n| {
        for _ in 0..n {
            let mut key = Zeroizing::new([0; 32]);
            let derived = argon2.hash_password_into(PASSPHRASE.as_bytes(), &[2; 16], key.as_mut_slice());
            derived.expect("the passphrase is short");
            black_box(&key);
        }
    });
    Work::new("memory: open a vault by a passphrase", work, "argon2id, 64 MiB, 3 passes, 4 lanes", floor)
}

fn token(hsm: &SoftHsm, wrapping: Wrapping, floor_name: &'static str) -> Work {
    let provider = Arc::new(hsm.key(wrapping));
    let unlock = move || Unlock::provider(Arc::clone(&provider) as Arc<_>);
    let (_, opens) = vault(unlock);
    let work = Run::wall(opens);
    let floor = Run::wall(hsm.bare_unwraps(wrapping));
    Work::new(format!("memory: open a vault by a token, {wrapping:?}"), work, floor_name, floor)
}

/// A value of an org whose key is unwrapped for each look-up, beside the same with the key cached.
fn data_key() -> Work {
    let filled = Filled::new(MemoryStore::new(), Population { orgs: 1 });
    let reads = |options: VaultOptions| {
        let org = filled.reopen(options).pop().expect("there is an org");
        let name = name(0);
        move |n| {
            for _ in 0..n {
                black_box(block_on(org.value(&name, Scope::Org)).expect("it opens").is_some());
            }
        }
    };
    let cold = Run::cpu(reads(VaultOptions::default().cached_key_age_max(Duration::ZERO)));
    let warm = Run::cpu(reads(VaultOptions::default()));
    Work::new("memory: value of an org, its key unwrapped", cold, "the same, its key cached", warm)
}

/// A new vault, and something that opens it again and again.
fn vault<U: Fn() -> Unlock>(unlock: U) -> (Arc<MemoryStore>, impl FnMut(u64) + use<U>) {
    let store = Arc::new(MemoryStore::new());
    block_on(Vault::create(Arc::clone(&store), unlock())).expect("the store is empty");
    let again = Arc::clone(&store);
    let opens = move |n| {
        for _ in 0..n {
            let opened = block_on(Vault::open(Arc::clone(&again), unlock()));
            black_box(opened.expect("this is its key").root_id());
        }
    };
    (store, opens)
}

const PASSPHRASE: &str = "six words that come from a generator";
