//! A definition whose index row of its name is lost keeps its name, and gets the row back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{DefinitionChange, DefinitionId, Error, NewValue, Org, Revision, Scope, WriteOptions};
use strongroom_memory::MemoryStore;

use crate::rig::{Kind, RowKey, empty, open, org, rows, text, verified};

/// What is made of the row of the name OTHER, to be put in the place of that of V: with `None`, no row.
type Rewrite = fn(&[u8]) -> Option<Vec<u8>>;

/// Two definitions, V with a value and OTHER, which was called V once, and GONE, which was deleted as such.
struct Lost {
    store: Arc<MemoryStore>,
    v: DefinitionId,
    other: DefinitionId,
    as_v: Revision,
    deleted: DefinitionId,
}

impl Lost {
    /// The row of the name V is gone.
    fn new() -> Self {
        Self::with(|_| None)
    }

    fn with(row: Rewrite) -> Self {
        let (store, vault) = empty();
        let org = org(&vault);
        let (other, as_v, deleted, v) = block_on(async {
            let other = org.define(text("V")).await.unwrap();
            let as_v = org.definition(other).await.unwrap().unwrap().revision;
            org.update_definition(other, DefinitionChange::new().name("OTHER")).await.unwrap();
            let deleted = org.define(text("V")).await.unwrap();
            let kept = WriteOptions::default().keep_history();
            org.delete_definition_with(deleted, kept).await.unwrap();
            let v = org.define(text("V")).await.unwrap();
            org.set_value("V", Scope::Org, "mine").await.unwrap();
            (other, as_v, deleted, v)
        });
        let mut batch = WriteBatch::default();
        let all = rows(&*store);
        let name = |name: &[u8]| {
            let is_its = |key: &RowKey| key.kind == Kind::DefinitionName && key.rest == name;
            all.iter().find(|(key, _)| is_its(&RowKey::parse(key))).unwrap()
        };
        match row(name(b"OTHER").1) {
            Some(row) => batch.put(name(b"V").0.as_slice().into(), row),
            None => batch.delete(name(b"V").0.as_slice().into()),
        }
        block_on(store.commit(Arc::new(batch))).unwrap();
        Self { store, v, other, as_v, deleted }
    }

    /// Whether a verb is refused since V is defined, and V is found by its name again and the vault whole.
    fn refuses<T: std::fmt::Debug>(&self, verb: impl AsyncFnOnce(&Org) -> Result<T, Error>) {
        let org = org(&open(Arc::clone(&self.store)));
        assert!(block_on(org.definition("V")).unwrap().is_none(), "the row is lost");
        let refused = block_on(verb(&org));
        assert!(matches!(refused, Err(Error::DefinitionExists(id)) if id == self.v), "{refused:?}");
        assert_eq!(block_on(org.value("V", Scope::Org)).unwrap().unwrap().value.expose(), "mine");
        verified(&self.store);
    }
}

#[test]
fn no_other_definition_is_made_under_its_name() {
    Lost::new().refuses(async |org| org.define(text("V")).await);
    Lost::new().refuses(async |org| {
        let values = [NewValue::new("W", Scope::Org, "w"), NewValue::new("V", Scope::Org, "v")];
        org.define_and_set(&[text("W"), text("V")], &values).await
    });
}

#[test]
fn a_row_that_leads_to_no_definition_of_the_name_counts_as_lost() {
    let to_other = |row: &[u8]| Some(row.to_vec());
    let to_none = |row: &[u8]| {
        let mut row = row.to_vec();
        row.iter_mut().rev().take(12).for_each(|byte| *byte = 0x7a);
        Some(row)
    };
    for way in [to_other, to_none] as [Rewrite; 2] {
        Lost::with(way).refuses(async |org| org.define(text("V")).await);
        let lost = Lost::with(way);
        lost.refuses(async |org| org.update_definition(lost.other, DefinitionChange::new().name("V")).await);
    }
}

#[test]
fn no_other_definition_is_renamed_to_its_name() {
    let lost = Lost::new();
    lost.refuses(async |org| org.update_definition(lost.other, DefinitionChange::new().name("V")).await);
    let lost = Lost::new();
    lost.refuses(async |org| org.restore_definition(lost.other, lost.as_v).await);
}

#[test]
fn no_deleted_definition_comes_back_under_its_name() {
    let lost = Lost::new();
    lost.refuses(async |org| org.undelete_definition(lost.deleted).await);
}

#[test]
fn it_gets_its_row_back_by_a_restore_of_a_version_of_that_name() {
    let lost = Lost::new();
    let vault = open(Arc::clone(&lost.store));
    let org = org(&vault);
    block_on(async {
        let first = org.definition(lost.v).await.unwrap().unwrap().revision;
        org.update_definition(lost.v, DefinitionChange::new().required()).await.unwrap();
        org.restore_definition(lost.v, first).await.unwrap();
        assert_eq!(org.definition("V").await.unwrap().unwrap().id, lost.v);
    });
    verified(&lost.store);
}

#[test]
fn of_two_definitions_of_one_name_it_leads_to_the_one_that_its_row_names() {
    let (store, vault) = empty();
    let org_of = org(&vault);
    let first = block_on(org_of.define(text("V"))).unwrap();
    let old = rows(&*store);
    block_on(org_of.update_definition(first, DefinitionChange::new().name("W"))).unwrap();
    let second = block_on(org_of.define(text("V"))).unwrap();
    // The store puts back the first one as it was.
    let (key, row) = old.into_iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Definition).unwrap();
    let mut batch = WriteBatch::default();
    batch.put(key.into(), row);
    block_on(store.commit(Arc::new(batch))).unwrap();
    let org = org(&open(Arc::clone(&store)));
    let refused = block_on(org.define(text("V")));
    assert!(matches!(refused, Err(Error::DefinitionExists(id)) if id == second), "{refused:?}");
    assert_eq!(block_on(org.definition("V")).unwrap().unwrap().id, second);
}
