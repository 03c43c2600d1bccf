//! The list of values in which one that cannot be read keeps no other out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{DefinitionChange, Error, Org, PageRequest, Scope};
use strongroom_memory::MemoryStore;

use crate::rig::{Kind, RowKey, empty, open, org, rows, text};

/// Values of A, B and C.
fn three() -> (Arc<MemoryStore>, Org) {
    let (store, vault) = empty();
    let org = org(&vault);
    for name in ["A", "B", "C"] {
        block_on(org.define(text(name))).unwrap();
        block_on(org.set_value(name, Scope::Org, name)).unwrap();
    }
    (store, org)
}

/// Puts a row in the place of the one of B.
fn put_b(store: &MemoryStore, org: &Org, kind: Kind, row: Vec<u8>) {
    let id = block_on(org.definition("B")).unwrap().unwrap().id;
    let is_it = |key: &Vec<u8>| RowKey::parse(key).kind == kind && key.ends_with(id.as_bytes());
    let key = rows(store).into_keys().find(is_it).unwrap();
    let mut batch = WriteBatch::default();
    batch.put(key.into(), row);
    block_on(store.commit(Arc::new(batch))).unwrap();
}

fn listed(org: &Org) -> Result<Vec<Option<String>>, Error> {
    let page = block_on(org.each_value(Scope::Org, PageRequest::default()))?;
    Ok(page.items.into_iter().map(|one| one.ok().map(|one| one.value.expose().to_owned())).collect())
}

#[test]
fn in_the_place_of_a_value_that_cannot_be_read_is_its_error() {
    let (store, org_of) = three();
    put_b(&store, &org_of, Kind::Value, b"junk".to_vec());
    let found = listed(&org(&open(store))).unwrap();
    assert_eq!(found, [Some("A".to_owned()), None, Some("C".to_owned())]);
}

#[test]
fn the_values_of_a_definition_that_cannot_be_read_are_left_out() {
    let (store, org_of) = three();
    put_b(&store, &org_of, Kind::Definition, b"junk".to_vec());
    let found = listed(&org(&open(store))).unwrap();
    assert_eq!(found, [Some("A".to_owned()), Some("C".to_owned())]);
}

#[test]
fn a_definition_that_was_put_back_fails_the_list_since_it_is_not_lost() {
    let (store, org) = three();
    let old = rows(&store);
    let id = block_on(org.definition("B")).unwrap().unwrap().id;
    let is_it = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Definition && key.ends_with(id.as_bytes());
    let (_, row) = old.into_iter().find(|(key, _)| is_it(key)).unwrap();
    block_on(org.update_definition("B", DefinitionChange::new().description("new"))).unwrap();
    put_b(&store, &org, Kind::Definition, row);
    let found = listed(&org);
    assert!(matches!(found, Err(Error::RolledBack { .. })), "{found:?}");
}
