//! The audit finds what is planted, and lets pass what a job explains.

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{DataKeys, RootRotation};
use strongroom_memory::MemoryStore;

use super::opened::scope_of;
use super::{Moment, findings, opened};
use crate::rig::{
    Kind, ORG, RowKey, Rows, World, account, furnished, load, open, org, rows, stop_after_first_commit,
    unlock,
};

fn without(rows: &Rows, gone: &[u8]) -> Rows {
    let kept = rows.iter().filter(|(key, _)| *key != gone);
    kept.map(|(key, row)| (key.clone(), row.clone())).collect()
}

fn only(rows: &Rows, kind: Kind) -> Vec<u8> {
    let mut keys = rows.keys().filter(|key| RowKey::parse(key).kind == kind);
    let key = keys.next().unwrap().clone();
    assert!(keys.next().is_none(), "more than one {kind:?}");
    key
}

/// What a job explains is as it must be as long as there is the job, and is found at a quiet moment, or without it.
fn assert_explained(left: &Rows, job: Kind, without_it: &str) {
    assert_eq!(findings(left, Moment::Midway), [""; 0]);
    let job = only(left, job);
    let found = findings(left, Moment::Quiet);
    assert!(found.iter().any(|line| line.ends_with("is left")), "{found:?}");
    let found = findings(&without(left, &job), Moment::Midway);
    assert!(found.iter().any(|line| line.contains(without_it)), "{without_it}: {found:?}");
}

fn left_by(verb: impl AsyncFnOnce(strongroom::Org)) -> Rows {
    let store = load(&furnished());
    stop_after_first_commit(&store, verb);
    rows(&store)
}

#[test]
fn a_row_that_is_missing_is_found_unless_nothing_leads_to_it() {
    let rows = World::new().rows;
    assert_eq!(findings(&rows, Moment::Quiet), [""; 0]);
    for key in rows.keys() {
        let found = findings(&without(&rows, key), Moment::Quiet);
        let kind = RowKey::parse(key).kind;
        let led_to = !matches!(
            kind,
            Kind::Epoch
                | Kind::Generation
                | Kind::Record
                | Kind::FormerValue
                | Kind::FormerCredential
                | Kind::FormerDefinition
        );
        // Only the former versions of a credential lead to it.
        assert!(found.is_empty() != led_to || kind == Kind::Credential, "{kind:?}: {found:?}");
    }
}

#[test]
fn a_row_that_stands_in_the_place_of_another_is_found() {
    let rows = World::new().rows;
    for (one, row) in &rows {
        let kind = RowKey::parse(one).kind;
        let mut others = rows.iter().filter(|(key, _)| *key > one && RowKey::parse(key).kind == kind);
        let Some((other, _)) = others.find(|(_, other_row)| *other_row != row) else { continue };
        for (place, from) in [(one, other), (other, one)] {
            let mut moved = rows.clone();
            moved.insert(place.clone(), rows[from].clone());
            assert!(!findings(&moved, Moment::Midway).is_empty(), "{}", RowKey::parse(place));
        }
    }
}

#[test]
fn an_earlier_keyring_brings_a_dropped_key_back() {
    let before = furnished();
    let store = load(&before);
    let vault = open(Arc::clone(&store));
    let keyrings = before.keys().filter(|key| RowKey::parse(key).kind == Kind::Keyring);
    drop(block_on(org(&vault).shred()).unwrap());
    let after = rows(&store);
    assert_eq!(findings(&after, Moment::Quiet), [""; 0]);
    for key in keyrings.filter(|key| !RowKey::parse(key).rest.is_empty()) {
        let mut put_back = after.clone();
        put_back.insert(key.clone(), before[key].clone());
        let found = findings(&put_back, Moment::Quiet);
        assert!(found[0].ends_with("keeps keys of a shredded org"), "{found:?}");
    }
}

#[test]
fn a_sweep_that_is_not_finished_is_explained_by_its_job() {
    let account_gone = left_by(async |org| drop(org.delete_account(&account("a")).await));
    assert_explained(&account_gone, Kind::Job, "is left of a dropped key, and no job sweeps it");
    let definition_gone = left_by(async |org| drop(org.delete_definition("V").await));
    assert_explained(&definition_gone, Kind::Job, "has no definition, and no job sweeps it");
    let app = "default-app".parse().unwrap();
    let app_gone = left_by(async |org| drop(org.account(account("a")).delete_integration(&app).await));
    assert_explained(&app_gone, Kind::Job, "is being deleted, and its job is gone");
    let shredded = left_by(async |org| drop(org.shred().await));
    assert_explained(&shredded, Kind::Job, "keeps keys of a shredded org");
}

#[test]
fn a_key_or_root_that_is_to_go_is_explained_by_its_job() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    while opened(&rows(&store)).keyrings.values().all(|keyring| keyring.deks.len() == 1) {
        block_on(job.step()).unwrap();
    }
    assert_explained(&rows(&store), Kind::KeyJob, "keeps a retired key, and no job destroys it");
    block_on(job.run()).unwrap();
    drop(block_on(vault.rotate_root(RootRotation::new().keep(unlock()))).unwrap());
    assert_explained(&rows(&store), Kind::KeyJob, "keeps the former root, and no job drops it");
}

#[test]
fn a_store_that_was_moved_has_a_note() {
    let source = load(&furnished());
    let vault = open(Arc::clone(&source));
    block_on(vault.copy_to(&MemoryStore::new(), |_| ())).unwrap();
    assert_eq!(findings(&rows(&source), Moment::Midway), [""; 0]);
    assert_eq!(findings(&rows(&source), Moment::Quiet), ["Retired  is left"]);
}

#[test]
fn each_scope_has_the_keys_that_its_keyring_lists() {
    let rows = furnished();
    let opened = opened(&rows);
    let tenant = [ORG.as_bytes(), b"\0test\0"].concat();
    let owners: Vec<_> = opened.keyrings.keys().cloned().collect();
    let of = |id: &str| (tenant.clone(), Some(id.to_owned()));
    assert_eq!(owners, [(tenant.clone(), None), of("a"), of("u")]);
    for (key, row) in opened.rows.iter().filter(|(key, _)| key.is_data()) {
        let dek = &opened.keyrings[&scope_of(key)].deks[0];
        assert!(dek.is_active && row.sealed.unwrap().0 == dek.id, "{key}");
    }
}
