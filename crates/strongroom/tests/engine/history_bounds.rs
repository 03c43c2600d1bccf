//! The edges of a history: no version is kept, a page is just full, a version states something else than its place.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{IntegrationId, Org, PageRequest, Scope, VaultOptions, Version, WriteOptions};
use strongroom_conformance::Faulty;
use strongroom_memory::MemoryStore;

use crate::rig::{Hooked, Kind, RowKey, account, base, empty, load, open, org, rows, text, unlock};

/// A variable whose value was set three times.
fn three() -> (Arc<MemoryStore>, Org) {
    let (store, vault) = empty();
    let org = org(&vault);
    block_on(org.define(text("V"))).unwrap();
    for value in ["a", "b", "c"] {
        block_on(org.set_value("V", Scope::Org, value)).unwrap();
    }
    (store, org)
}

fn history(org: &Org, limit: usize) -> (Vec<Version>, bool) {
    let page = block_on(org.value_history("V", Scope::Org, PageRequest::first(limit))).unwrap();
    (page.items, page.next.is_some())
}

fn put(store: &MemoryStore, key: &[u8], row: Vec<u8>) {
    let mut batch = WriteBatch::default();
    batch.put(key.into(), row);
    block_on(store.commit(Arc::new(batch))).unwrap();
}

#[test]
fn where_no_version_is_kept_a_delete_keeps_none_whatever_it_asks_for() {
    let store = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "v").await?;
        org.create_account(account("a")).with_credential("k", "c").await.map(drop)
    });
    let org = org(&block_on(VaultOptions::default().open(Arc::clone(&store), unlock())).unwrap());
    let kept = || WriteOptions::default().keep_history();
    block_on(async {
        let id = org.definition("V").await?.unwrap().id;
        let app = org.account(account("a")).app(IntegrationId::default_app());
        assert!(org.delete_value_with("V", Scope::Org, kept()).await?.is_some());
        assert!(app.delete_with("k", kept()).await?);
        assert!(org.undelete_value("V", Scope::Org).await?.is_none());
        assert!(app.undelete("k").await?.is_none());
        org.delete_definition_with("V", kept()).await?;
        assert!(org.undelete_definition(id).await?.is_none());
        Ok::<_, strongroom::Error>(())
    })
    .unwrap();
    let kinds = [Kind::DeletedValue, Kind::DeletedCredential, Kind::DeletedDefinition];
    assert!(!rows(&store).keys().any(|key| kinds.contains(&RowKey::parse(key).kind)));
}

#[test]
fn a_page_that_holds_all_versions_has_no_next_one() {
    let (_, org) = three();
    for (limit, more) in [(2, true), (3, false), (4, false)] {
        assert_eq!(history(&org, limit).1, more, "{limit}");
    }
}

#[test]
fn a_page_of_a_history_is_read_once_if_nobody_writes_meanwhile() {
    let (store, _) = three();
    let counted = Faulty::new(Hooked::new(store));
    let org = org(&open(counted.clone()));
    block_on(org.definition("V")).unwrap();
    let before = counted.reads_len();
    assert_eq!(history(&org, 10).0.len(), 3);
    assert_eq!(counted.reads_len() - before, 2, "the value, and its former versions");
}

#[test]
fn a_history_of_a_value_that_a_store_puts_back_comes_to_an_end() {
    let (store, vault) = empty();
    let first = org(&vault);
    block_on(first.define(text("V"))).unwrap();
    block_on(first.set_value("V", Scope::Org, "a")).unwrap();
    let old = rows(&store);
    for value in ["b", "c"] {
        block_on(first.set_value("V", Scope::Org, value)).unwrap();
    }
    let (key, row) = old.into_iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Value).unwrap();
    put(&store, &key, row);
    assert!(!history(&org(&open(store)), 10).0.is_empty());
}

#[test]
fn a_former_version_that_cannot_be_read_has_the_revision_of_its_place() {
    let (store, org_of) = three();
    let whole = history(&org_of, 10).0;
    for (key, _) in rows(&store).into_iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::FormerValue) {
        put(&store, &key, b"junk".to_vec());
    }
    let damaged = history(&org(&open(load(&rows(&store)))), 10).0;
    let revisions = |versions: &[Version]| versions.iter().map(|one| one.revision).collect::<Vec<_>>();
    assert_eq!(revisions(&damaged), revisions(&whole));
    assert!(damaged[1..].iter().all(|one| one.unreadable.is_some()));
}
