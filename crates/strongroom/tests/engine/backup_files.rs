//! A backup file that was cut, altered, reordered or mixed is refused before anything is written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;

use futures_executor::block_on;
use strongroom::{Backup, BackupFault, Environment, Error, RawKey, Scope, SlotError, Unlock, Vault};
use strongroom_memory::MemoryStore;

use crate::rig::{empty, org, text, unlock};

const CANARY: &str = "qzx-CANARY-7";

/// A small vault with a canary in everything that is sealed.
fn small() -> Vault {
    let (_, vault) = empty();
    let org = org(&vault);
    block_on(async {
        org.define(text("V").description(CANARY)).await?;
        org.set_value("V", Scope::Org, CANARY).await?;
        let account =
            org.create_account(crate::rig::account("a")).name(CANARY).with_credential("k", CANARY).await?;
        account.set_value("V", CANARY).await?;
        org.records("visitor".parse()?).put(&"r".parse()?, CANARY).await?;
        Ok::<_, Error>(())
    })
    .unwrap();
    vault
}

fn file_of(vault: &Vault) -> Vec<u8> {
    let mut file = Vec::new();
    block_on(vault.backup(&mut file, |_| ())).unwrap();
    file
}

fn refusal(file: &[u8]) -> Error {
    block_on(Backup::open(Cursor::new(file), unlock())).expect_err("the file is to be refused")
}

fn fault(file: &[u8]) -> BackupFault {
    match refusal(file) {
        Error::BadBackup(fault) => fault,
        error => panic!("{error}"),
    }
}

/// Where each frame begins, and where the last one ends.
fn frames(file: &[u8]) -> Vec<usize> {
    let mut at = b"\xd7strongroom backup\n".len() + 1;
    let mut starts = vec![at];
    while at < file.len() {
        let len = u32::from_be_bytes(file[at + 9..at + 13].try_into().unwrap());
        at += 13 + len as usize + 8 + 32;
        starts.push(at);
    }
    starts
}

#[test]
fn no_plaintext_stands_in_a_file() {
    let file = file_of(&small());
    let shows = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!shows(CANARY) && !shows("CANARY"));
    assert!(shows(crate::rig::ORG), "ids do");
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let file = file_of(&small());
    assert_eq!(fault(&[]), BackupFault::NotABackup);
    for len in 1..file.len() {
        assert_eq!(fault(&file[..len]), BackupFault::Truncated, "{len}");
    }
}

#[test]
fn a_frame_longer_than_any_is_refused_before_it_is_read() {
    let mut file = file_of(&small());
    let start = frames(&file)[1];
    file[start + 9..start + 13].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(fault(&file), BackupFault::Decayed);
}

#[test]
fn a_bit_that_flips_anywhere_is_noticed() {
    let mut file = file_of(&small());
    for at in 0..file.len() {
        let bit = 1 << (at % 8);
        file[at] ^= bit;
        match refusal(&file) {
            Error::BadBackup(_) => {}
            Error::UnknownVersion { .. } => assert_eq!(at, 19, "the version stands there"),
            error => panic!("{at}: {error}"),
        }
        file[at] ^= bit;
    }
    assert!(block_on(Backup::open(Cursor::new(&file), unlock())).is_ok());
}

#[test]
fn frames_that_are_moved_repeated_left_out_or_added_are_refused() {
    let file = file_of(&small());
    let starts = frames(&file);
    let frames: Vec<&[u8]> = starts.windows(2).map(|pair| &file[pair[0]..pair[1]]).collect();
    let build = |frames: &[&[u8]]| [&file[..starts[0]], &frames.concat()].concat();
    assert_eq!(frames.len(), 5, "head, keyrings, the other rows, the end of the tenant, trailer");
    assert!(block_on(Backup::open(Cursor::new(build(&frames)), unlock())).is_ok());
    for one in 0..frames.len() {
        let mut without = frames.clone();
        without.remove(one);
        assert!(matches!(fault(&build(&without)), BackupFault::Altered | BackupFault::Truncated), "{one}");
        let mut twice = frames.clone();
        twice.insert(one, frames[one]);
        assert_eq!(fault(&build(&twice)), BackupFault::Altered, "{one}");
        for other in 0..one {
            let mut swapped = frames.clone();
            swapped.swap(one, other);
            assert_eq!(fault(&build(&swapped)), BackupFault::Altered, "{one} {other}");
        }
    }
    assert_eq!(fault(&[&file[..], b"\0"].concat()), BackupFault::Altered);
}

#[test]
fn frames_of_another_backup_of_the_same_vault_are_refused() {
    let vault = small();
    let (one, other) = (file_of(&vault), file_of(&vault));
    assert_eq!(frames(&one), frames(&other));
    for pair in frames(&one).windows(2) {
        let mixed = [&one[..pair[0]], &other[pair[0]..pair[1]], &one[pair[1]..]].concat();
        assert_eq!(fault(&mixed), BackupFault::Altered);
    }
}

#[test]
fn a_frame_made_anew_without_the_key_is_refused() {
    let file = file_of(&small());
    let starts = frames(&file);
    // The last byte of the body of the second frame, with a checksum that fits.
    let (start, end) = (starts[1], starts[2]);
    let mut forged = file.clone();
    forged[end - 41] ^= 1;
    let sum = checksum(&forged[start..end - 40]);
    forged[end - 40..end - 32].copy_from_slice(&sum);
    assert_eq!(fault(&forged), BackupFault::Altered);
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)[..8].try_into().unwrap()
}

#[test]
fn a_file_of_another_vault_asks_for_its_own_key() {
    let file = file_of(&small());
    let other = Unlock::raw_key(RawKey::from_bytes([8; 32]));
    assert!(matches!(block_on(Backup::open(Cursor::new(&file), other)), Err(Error::WrongKey)));
    let passphrase = Unlock::passphrase("not this kind");
    assert!(matches!(
        block_on(Backup::open(Cursor::new(&file), passphrase)),
        Err(Error::Slot(SlotError::NoneOfThisKind(_)))
    ));
}

#[test]
fn the_head_of_another_vault_does_not_fit() {
    // The same key opens both vaults; their roots and ids differ.
    let (one, other) = (file_of(&small()), file_of(&small()));
    let (cut, other_cut) = (frames(&one)[1], frames(&other)[1]);
    assert_eq!(fault(&[&one[..cut], &other[other_cut..]].concat()), BackupFault::Altered);
}

#[test]
fn something_else_is_told_from_a_backup() {
    assert_eq!(fault(b"SQLite format 3\0"), BackupFault::NotABackup);
    let mut later = file_of(&small());
    later[19] = 2;
    assert!(matches!(refusal(&later), Error::UnknownVersion { version: 2, .. }));
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_refused() {
    use std::io::{Seek, SeekFrom, Write};
    let file = file_of(&small());
    let at = frames(&file)[2] - 45;
    let mut on_disk = tempfile::tempfile().unwrap();
    on_disk.write_all(&file).unwrap();
    let backup = block_on(Backup::open(on_disk.try_clone().unwrap(), unlock())).unwrap();
    on_disk.seek(SeekFrom::Start(at as u64)).unwrap();
    on_disk.write_all(&[!file[at]]).unwrap();
    let restored = block_on(backup.replace_original(MemoryStore::new(), |_| ()));
    assert!(matches!(restored, Err(Error::BadBackup(BackupFault::Decayed))));
}

#[test]
fn environments_are_kept_apart() {
    let (_, vault) = empty();
    for (environment, value) in [(Environment::test(), "t"), (Environment::production(), "p")] {
        let org = vault.org(crate::rig::ORG.parse().unwrap(), environment);
        block_on(org.define(text("V"))).unwrap();
        block_on(org.set_value("V", Scope::Org, value)).unwrap();
    }
    let backup = block_on(Backup::open(Cursor::new(file_of(&vault)), unlock())).unwrap();
    let restored = block_on(backup.replace_original(MemoryStore::new(), |_| ())).unwrap();
    for (environment, value) in [(Environment::test(), "t"), (Environment::production(), "p")] {
        let org = restored.org(crate::rig::ORG.parse().unwrap(), environment);
        assert_eq!(block_on(org.value("V", Scope::Org)).unwrap().unwrap().value.expose(), value);
    }
}
