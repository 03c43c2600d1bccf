//! Deletions that were planted beside what they say was deleted, damaged index rows of nothing, and sweeps of which a
//! part fails: each sweep takes what it may, and no more.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Cause, DefinitionChange, DefinitionId, Environment, Error, RowName, Vault, VerifyReport, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::rig::{Hooked, Kind, OTHER_ORG, Point, RowKey, account, empty, of_account, open, org, rows, text};
use crate::unreadable_rows::{first, furnished, is_whole, put, report};

/// The key of a document, and that of its deletion.
type Keys = (Vec<u8>, Vec<u8>);

/// A value, a credential and a definition.
fn with_histories() -> (Arc<MemoryStore>, [Keys; 3]) {
    let store = furnished();
    block_on(org(&open(Arc::clone(&store))).account(account("a")).upsert_credential("k", "d")).unwrap();
    let deletion = |kind| {
        let former = first(&store, kind);
        former[..former.len() - 8].to_vec()
    };
    let definition = first(&store, Kind::Definition);
    let (tenant, id) = definition.split_at(definition.len() - 13);
    let of_definition = [tenant, &[0x50], id].concat();
    let keys = [
        (first(&store, Kind::Value), deletion(Kind::FormerValue)),
        (first(&store, Kind::Credential), deletion(Kind::FormerCredential)),
        (definition.clone(), of_definition),
    ];
    (store, keys)
}

fn delete_value(vault: &Vault) {
    let kept = WriteOptions::default().keep_history();
    block_on(org(vault).delete_value_with("V", of_account("a"), kept)).unwrap();
}

fn causes(found: &VerifyReport) -> Vec<(RowName, &Cause)> {
    found.findings.iter().map(|found| (found.path.row, &found.cause)).collect()
}

#[test]
fn an_unreadable_deletion_goes_if_what_it_says_was_deleted_can_be_read() {
    for way in 0..3 {
        let (store, keys) = with_histories();
        let (present, deletion) = &keys[way];
        put(&store, deletion, Some(b"junk"));
        let (vault, found) = report(&store);
        assert!(found.findings.iter().any(|found| found.cause == Cause::Superseded), "{found}");
        let whole = rows(&*store)[present].clone();
        put(&store, present, Some(b"junk"));
        assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 0, "{found}");
        put(&store, present, Some(&whole));
        assert_eq!(block_on(vault.sweep_stray(&found)).unwrap(), 0, "{found}");
        assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 1, "{found}");
        is_whole(&store);
    }
}

#[test]
fn an_old_deletion_beside_a_value_is_told_and_swept() {
    let (store, [(_, deletion), ..]) = with_histories();
    let vault = open(Arc::clone(&store));
    delete_value(&vault);
    let deleted = rows(&*store)[&deletion].clone();
    block_on(org(&vault).undelete_value("V", of_account("a"))).unwrap().unwrap();
    put(&store, &deletion, Some(&deleted));
    let (other, found) = report(&store);
    assert_eq!(causes(&found), [(RowName::DeletedValue, &Cause::Superseded)]);
    assert_eq!(block_on(other.sweep_stray(&found)).unwrap(), 1, "{found}");
    is_whole(&store);
}

#[test]
fn an_old_value_beside_its_deletion_is_told_and_the_deletion_stays() {
    let (store, [(present, _), ..]) = with_histories();
    let before = rows(&*store)[&present].clone();
    delete_value(&open(Arc::clone(&store)));
    put(&store, &present, Some(&before));
    let (vault, found) = report(&store);
    assert!(causes(&found).contains(&(RowName::DeletedValue, &Cause::CameBack)), "{found}");
    assert_eq!(block_on(vault.sweep_stray(&found)).unwrap(), 0, "{found}");
    assert_eq!(block_on(vault.sweep_unreadable(&found)).unwrap(), 0, "{found}");
}

#[test]
fn a_damaged_index_row_of_no_value_is_swept() {
    let store = furnished();
    let mut key = first(&store, Kind::DefinitionValue);
    // The first byte of the definition's id.
    key[first(&store, Kind::Count).len()] ^= 1;
    put(&store, &key, Some(b"junk"));
    let (vault, found) = report(&store);
    assert_eq!(block_on(vault.sweep_stray(&found)).unwrap(), 1, "{found}");
    is_whole(&store);
}

#[test]
fn a_damaged_index_row_of_a_deleted_value_is_written_again() {
    let store = furnished();
    delete_value(&open(Arc::clone(&store)));
    put(&store, &first(&store, Kind::DefinitionValue), Some(b"junk"));
    let (vault, found) = report(&store);
    assert_eq!(block_on(vault.sweep_stray(&found)).unwrap(), 0, "{found}");
    assert_eq!(block_on(vault.mend(&found)).unwrap(), 1, "{found}");
    is_whole(&store);
}

#[test]
fn keys_of_an_org_that_cannot_be_read_keep_no_other_org_from_being_swept() {
    let (store, vault) = empty();
    let other = vault.org(OTHER_ORG.parse().unwrap(), Environment::test());
    for org in [org(&vault), other] {
        block_on(org.define(text("V"))).unwrap();
    }
    let counts = rows(&*store).into_keys().filter(|key| RowKey::parse(key).kind == Kind::Count);
    let planted: Vec<_> = counts.map(|key| [&key[..key.len() - 1], &[0x64, 1]].concat()).collect();
    planted.iter().for_each(|key| put(&store, key, Some(b"junk")));
    put(&store, &first(&store, Kind::Keyring), Some(b"junk"));
    let (vault, found) = report(&store);
    let swept = block_on(vault.sweep_stray(&found));
    assert!(matches!(swept, Err(Error::Damaged { .. })), "{swept:?}");
    let left = rows(&*store);
    assert_eq!([&planted[0], &planted[1]].map(|key| left.contains_key(key)), [true, false]);
}

/// A vault whose definition has lost the row of its name, and a report of that.
fn unnamed() -> (Hooked, Vault, VerifyReport, DefinitionId) {
    let store = furnished();
    put(&store, &first(&store, Kind::DefinitionName), None);
    let hooked = Hooked::new(store);
    let vault = open(hooked.shared());
    let found = block_on(vault.verify()).unwrap();
    let id = found.findings.iter().find_map(|found| found.path.definition_id).unwrap();
    (hooked, vault, found, id)
}

#[test]
fn a_definition_that_is_deleted_during_a_mend_is_no_error() {
    for skip in 0.. {
        let (hooked, vault, found, id) = unnamed();
        let other = org(&open(hooked.shared()));
        hooked.once_after(Point::BeforeRead, skip, move || block_on(other.delete_definition(id)).unwrap());
        block_on(vault.mend(&found)).unwrap();
        if hooked.hooks_left() > 0 {
            break;
        }
    }
}

#[test]
fn a_name_that_is_not_written_counts_as_none_that_was_mended() {
    let (hooked, vault, found, id) = unnamed();
    let other = org(&open(hooked.shared()));
    let change = DefinitionChange::new().description("other");
    hooked.once(Point::BeforeCommit, move || drop(block_on(other.update_definition(id, change)).unwrap()));
    assert_eq!(block_on(vault.mend(&found)).unwrap(), 0);
}
