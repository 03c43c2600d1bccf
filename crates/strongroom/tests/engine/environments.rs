//! `Vault::environments`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_executor::block_on;
use strongroom::{Environment, OrgId, PageRequest, Vault, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::common::{text, vault};

fn places(vault: &Vault, limit: usize) -> Vec<(OrgId, Environment)> {
    let (mut all, mut page) = (Vec::new(), PageRequest::first(limit));
    loop {
        let found = block_on(vault.environments(page)).unwrap();
        assert!(found.items.len() <= limit);
        all.extend(found.items);
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
