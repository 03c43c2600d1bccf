//! A backup that an earlier build wrote opens and restores, and a checkpoint of it compares. The files are never made
//! again.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{Backup, RawKey, Unlock};
use strongroom_memory::MemoryStore;

use crate::rig::{org, sound, unlock, view};

const WHOLE: &[u8] = include_bytes!("../fixtures/v1/vault.backup");
const ONE_ORG: &[u8] = include_bytes!("../fixtures/v1/org.backup");

/// Written by the second implementation, of the rows of `vault.backup`.
const CHECKPOINT: &[u8] = include_bytes!("../fixtures/v1/vault.checkpoint");

/// What is seen of the furnished tenant, in the names of the rig.
fn expected(seen: &crate::rig::View) {
    assert_eq!(seen["value V org"], "V at org");
    assert_eq!(seen["credential a crm x"], "x of crm");
    assert_eq!(seen["record r"], "record r");
}

#[test]
fn a_backup_of_a_vault_opens_with_its_key() {
    let backup = block_on(Backup::open(Cursor::new(WHOLE), unlock())).unwrap();
    assert_eq!(backup.rows(), ROWS);
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(backup.replace_original(Arc::clone(&store), |_| ())).unwrap();
    expected(&view(&org(&vault)));
    sound(&store);
}

#[test]
fn a_checkpoint_of_the_backed_up_vault_says_that_the_restored_one_is_as_it_was() {
    let backup = block_on(Backup::open(Cursor::new(WHOLE), unlock())).unwrap();
    let vault = block_on(backup.replace_original(MemoryStore::new(), |_| ())).unwrap();
    let report = block_on(vault.verify_against(CHECKPOINT)).unwrap();
    assert!(report.is_clean() && report.questions_total == 0 && report.added == 0, "{report}");
    block_on(org(&vault).delete_value("V", strongroom::Scope::Org)).unwrap();
    let report = block_on(vault.verify_against(CHECKPOINT)).unwrap();
    assert_eq!((report.findings_total, report.questions_total), (0, 1), "{report}");
}

#[test]
fn a_backup_of_one_org_opens_with_its_key() {
    let key = Unlock::raw_key(RawKey::from_bytes([9; 32]));
    let backup = block_on(Backup::open(Cursor::new(ONE_ORG), key)).unwrap();
    let store = Arc::new(MemoryStore::new());
    let vault = block_on(backup.restore_as_new(Arc::clone(&store), unlock(), |_| ())).unwrap();
    expected(&view(&org(&vault)));
    sound(&store);
}

const ROWS: u64 = 37;
