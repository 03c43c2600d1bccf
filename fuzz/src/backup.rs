//! Files of backups.

use std::io::Cursor;

use futures_executor::block_on;
use sha2::{Digest as _, Sha256};
use strongroom::{Backup, RawKey, Unlock};
use strongroom_memory::MemoryStore;

use crate::bytes::{Bytes, edited};
use crate::common::unlock;

/// A file opens if it is, to the byte, one that a vault wrote. Then it restores; any other one is refused, also where
/// its checksums are right.
pub fn backup(data: &[u8]) {
    let mut bytes = Bytes::of(data);
    let choice = bytes.byte();
    let (original, key): (_, fn() -> Unlock) = match choice & 1 {
        0 => (WHOLE, unlock),
        _ => (ONE_ORG, || Unlock::raw_key(RawKey::from_bytes([9; 32]))),
    };
    let mut file = match choice & 2 {
        0 => edited(original, &mut bytes),
        _ => bytes.rest().to_vec(),
    };
    if choice & 4 != 0 {
        mend_checksums(&mut file);
    }
    let is_original = file == original;
    let opened = block_on(Backup::open(Cursor::new(file), key()));
    assert!(opened.is_ok() == is_original, "a file opens if, and only if, a vault wrote it");
    if let Ok(backup) = opened {
        let restored = block_on(backup.restore_as_new(MemoryStore::new(), unlock(), |_| ()));
        restored.expect("what opened can be restored");
    }
}

/// Gives each frame the checksum of what it holds now, as whoever alters a file can: FORMAT.md, `frame`.
fn mend_checksums(file: &mut [u8]) {
    let mut at = MAGIC_LEN;
    while let Some(start) = file.get(at..at + START_LEN) {
        let len = start.last_chunk().map_or(0, |len| u32::from_be_bytes(*len)) as usize;
        let Some(body_end) = at.checked_add(START_LEN + len).filter(|end| end + SUM_LEN <= file.len()) else {
            return;
        };
        let sum = Sha256::digest(&file[at..body_end]);
        file[body_end..body_end + SUM_LEN].copy_from_slice(&sum[..SUM_LEN]);
        at = body_end + SUM_LEN + MAC_LEN;
    }
}

const WHOLE: &[u8] = include_bytes!("../../crates/strongroom/tests/fixtures/v1/vault.backup");
const ONE_ORG: &[u8] = include_bytes!("../../crates/strongroom/tests/fixtures/v1/org.backup");
const MAGIC_LEN: usize = b"\xd7strongroom backup\n".len() + 1;
const START_LEN: usize = 13;
const SUM_LEN: usize = 8;
const MAC_LEN: usize = 32;
