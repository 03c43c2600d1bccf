//! Sealing and opening, by the size of the value, beside the bare cipher over the same context.

use std::hint::black_box;

use strongroom::hazmat::{Context, Key};

use crate::raw::{Cipher, context_bytes};
use crate::{Run, Work};

/// Seal and open of values of 32 bytes to 64 KiB.
#[must_use]
pub fn works() -> Vec<Work> {
    let sizes = [("32 B", 32), ("64 B", 64), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];
    sizes.into_iter().flat_map(|(label, len)| [open(label, len), seal(label, len)]).collect()
}

fn open(label: &str, len: usize) -> Work {
    let (key, value) = (key(), vec![b'v'; len]);
    let record = key.seal(&CONTEXT, &NONCE, &value).expect("the value is short");
    let cipher = Cipher::new();
    let aad = context_bytes(&CONTEXT);
    let sealed = cipher.seal(&aad, &value);
    let work = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(key.open(&CONTEXT, black_box(&record)).is_ok());
        }
    });
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(cipher.open(&aad, black_box(&sealed)).is_some());
        }
    });
    Work::new(format!("open {label}"), work, "raw SIV open, wiped", floor).bar(1.8)
}

fn seal(label: &str, len: usize) -> Work {
    let (key, value) = (key(), vec![b'v'; len]);
    let (cipher, aad, raw_value) = (Cipher::new(), context_bytes(&CONTEXT), value.clone());
    let work = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(key.seal(&CONTEXT, &NONCE, black_box(&value)).is_ok());
        }
    });
    let floor = Run::cpu(move |n| {
        for _ in 0..n {
            black_box(cipher.seal(&aad, black_box(&raw_value)).len());
        }
    });
    Work::new(format!("seal {label}"), work, "raw SIV seal", floor).bar(1.8)
}

/// The key that records of the benchmarks are sealed under.
#[must_use]
pub fn key() -> Key {
    Key::derive(&[7; 32])
}

/// The address of a value of an account.
pub const CONTEXT: Context<'_> = Context {
    kind: 1,
    store_id: [1; 16],
    org: "6500a1b2c3d4e5f6a7b8c9d0",
    environment: "test",
    linked_account: Some("user_12345"),
    workflow: None,
    name: "6500a1b2c3d4e5f6a7b8c9d1",
    key_name: "",
    doc_id: "6500a1b2c3d4e5f6a7b8c9d2",
    revision: 3,
};

/// The nonce that every seal of the benchmarks uses.
pub const NONCE: [u8; 12] = [9; 12];
