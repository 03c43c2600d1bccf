//! What a vault holds: orgs, environments, and the places of a definition's values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use futures_executor::block_on;
use strongroom::{Cursor, Environment, Error, Invalid, OrgId, PageRequest, Scope, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::common::{account, id, run, text, vault, with_org, with_small_store, workflow};

#[test]
fn orgs_and_environments_are_listed_a_page_at_a_time_whatever_they_hold() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        assert!(vault.orgs(PageRequest::default()).await?.items.is_empty());
        let ids: Vec<OrgId> = (0..5_u8).map(|n| [n; 12].into()).chain([[255; 12].into()]).collect();
        for org in &ids {
            for environment in ["test", "tes", "test-2", "production"] {
                let org = vault.org(*org, id(environment));
                org.define(text("A")).await?;
                org.define(text("B")).await?;
            }
        }
        let mut page = PageRequest::first(4);
        let mut listed = Vec::new();
        loop {
            let found = vault.orgs(page.clone()).await?;
            listed.extend(found.items);
            let Some(next) = found.next else { break };
            page = page.after(next);
        }
        assert_eq!(listed, ids);
        let names: Vec<Environment> = ["production", "tes", "test", "test-2"].map(id).into();
        assert_eq!(vault.org(ids[5], id("other")).environments().await?, names);
        assert_eq!(vault.org(ids[0], Environment::test()).environments().await?, names);
        assert!(vault.org([9; 12].into(), Environment::test()).environments().await?.is_empty());
        let foreign: Cursor = "00".parse().unwrap();
        let refused = vault.orgs(PageRequest::default().after(foreign)).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Cursor(_)))));
        Ok(())
    });
}

#[test]
fn a_page_of_no_items_is_a_page_of_one() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let ids: Vec<OrgId> = (1..3_u8).map(|n| [n; 12].into()).collect();
        for org in &ids {
            vault.org(*org, Environment::test()).define(text("A")).await?;
        }
        let first = vault.orgs(PageRequest::first(0)).await?;
        assert_eq!(first.items, ids[..1]);
        let last = vault.orgs(PageRequest::first(0).after(first.next.unwrap())).await?;
        assert_eq!((last.items, last.next), (ids[1..].to_vec(), None));
        Ok(())
    });
}

fn places(vault: &Vault, limit: usize) -> Vec<(OrgId, Environment)> {
    let (mut all, mut page) = (Vec::new(), PageRequest::first(limit));
    loop {
        let found = block_on(vault.orgs(page)).unwrap();
        assert!(found.items.len() <= limit);
        for org in found.items {
            let environments = block_on(vault.org(org, Environment::test()).environments()).unwrap();
            all.extend(environments.into_iter().map(|environment| (org, environment)));
        }
        let Some(next) = found.next else { return all };
        page = PageRequest::first(limit).after(next);
    }
}

#[test]
fn every_environment_with_rows_is_listed_once_whatever_the_page() {
    let vault = block_on(vault(MemoryStore::new(), VaultOptions::default())).unwrap();
    assert!(places(&vault, 3).is_empty());
    let mut expected = Vec::new();
    for org in ["000000000000000000000001", "000000000000000000000002", "00000000000000000000000a"] {
        for environment in ["prod", "prod-eu", "test"] {
            let (org, environment): (OrgId, Environment) =
                (org.parse().unwrap(), environment.parse().unwrap());
            let at = vault.org(org, environment.clone());
            for name in ["A", "B"] {
                block_on(at.define(text(name))).unwrap();
            }
            expected.push((org, environment));
        }
    }
    for limit in [1, 2, 3, 9, 10] {
        assert_eq!(places(&vault, limit), expected, "{limit}");
    }
    let (org, environment) = &expected[0];
    let first = vault.org(*org, environment.clone());
    block_on(first.delete_definition("A")).unwrap();
    block_on(first.delete_definition("B")).unwrap();
    assert_eq!(places(&vault, 9), expected, "its keys are still there");
}

#[test]
fn the_places_of_a_definition_are_those_whose_value_can_be_read() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.define(text("B")).await?;
        for scope in [Scope::Org, account("a"), account("b"), workflow("a")] {
            org.set_value("A", &scope, "x").await?;
        }
        org.set_value("B", account("c"), "x").await?;
        let _ = org.shred_account(&id("b")).await?;
        let places = org.values_of("A", PageRequest::default()).await?;
        let scopes: Vec<_> = places.items.iter().map(|place| place.scope.clone()).collect();
        assert_eq!((scopes, places.next), (vec![Scope::Org, account("a"), workflow("a")], None));
        let value = org.value("A", account("a")).await?.unwrap();
        assert_eq!((places.items[1].found.id, places.items[1].found.revision), (value.id, value.revision));
        assert!(matches!(
            org.values_of("C", PageRequest::default()).await,
            Err(Error::DefinitionNotFound(_))
        ));
        Ok(())
    });
}

#[test]
fn places_of_many_values_come_page_by_page_each_once() {
    with_small_store(async |org| {
        org.define(text("A")).await?;
        for index in 0..70 {
            org.set_value("A", account(&format!("a{index:02}")), "x").await?;
        }
        for limit in [1, 31, 32, 33, 70, 1_000] {
            let (mut page, mut listed) = (PageRequest::first(limit), Vec::new());
            loop {
                let found = org.values_of("A", page.clone()).await?;
                assert!(found.items.len() <= limit);
                listed.extend(found.items.into_iter().map(|place| place.scope));
                let Some(next) = found.next else { break };
                page = page.after(next);
            }
            assert_eq!(listed, (0..70).map(|index| account(&format!("a{index:02}"))).collect::<Vec<_>>());
        }
        Ok(())
    });
}

#[test]
fn the_scopes_with_values_come_page_by_page_each_once_and_whatever_is_registered() {
    with_small_store(async |org| {
        let names: Vec<String> = (0..30).map(|number| format!("V{number:02}")).collect();
        for name in &names {
            org.define(text(name)).await?;
        }
        org.create_account(id("a1")).await?;
        let mut scopes = vec![Scope::Org];
        scopes.extend((0..7).map(|number| account(&format!("a{number}"))));
        scopes.extend(["", "b", "bc"].map(|end| workflow(&format!("a{end}"))));
        for (index, scope) in scopes.iter().enumerate() {
            // One or many of them, so that a scope is longer than a page of the store, or not.
            for name in names.iter().take(if index % 2 == 0 { 1 } else { 30 }) {
                org.set_value(name, scope, "x").await?;
            }
        }
        for limit in [1, 2, 5, 11, 1_000] {
            let (mut page, mut listed) = (PageRequest::first(limit), Vec::new());
            loop {
                let found = org.scopes_with_values(page.clone()).await?;
                assert!(found.items.len() <= limit);
                listed.extend(found.items);
                let Some(next) = found.next else { break };
                page = page.after(next);
            }
            assert_eq!(listed, scopes);
        }
        org.delete_account(&id("a1")).await?;
        let left = org.scopes_with_values(PageRequest::default()).await?.items;
        assert_eq!(left, scopes.into_iter().filter(|scope| *scope != account("a1")).collect::<Vec<_>>());
        let foreign: Cursor = "07".parse().unwrap();
        let refused = org.scopes_with_values(PageRequest::default().after(foreign)).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Cursor(_)))));
        Ok(())
    });
}
