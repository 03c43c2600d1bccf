//! When rows are counted for a quota: as seldom, and as few at once, as the quotas allow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom::{Org, Quota, Quotas, VaultOptions};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, text, unlock, vault, workflow};
use crate::quotas::{assert_refused, furnish, reopen};
use crate::rig::Altered;

/// A store in memory, and the number of ranges that were read of it. It counts as one engine's own.
fn counting() -> (Altered, impl Fn() -> usize) {
    let scans = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&scans);
    let store = Altered::of(MemoryStore::new()).on_read(move |request, _| {
        scans.fetch_add(request.scans.len(), Ordering::Relaxed);
    });
    (store, move || counted.load(Ordering::Relaxed))
}

#[test]
fn a_store_of_one_engine_is_counted_once_and_never_for_an_update() {
    run(async {
        let (store, scans) = counting();
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        furnish(&org).await?.upsert_credential("1", "v").await?;
        let org = org_of(&VaultOptions::default().open(store.clone(), unlock()).await?);
        let a = org.account(id("a"));
        let before = scans();
        a.upsert_credential("1", "w").await?;
        assert_eq!(scans(), before);
        a.upsert_credential("2", "v").await?;
        let counted = scans();
        assert!(counted > before);
        for index in 3..50 {
            a.upsert_credential(&index.to_string(), "v").await?;
        }
        assert_eq!(scans(), counted);
        Ok(())
    });
}

#[test]
fn an_org_of_many_rows_is_counted_bit_by_bit_and_then_held_to_its_quotas() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        furnish(&org).await?;
        for index in 0..1_500 {
            org.set_value("V0", workflow(&format!("w{index}")), "v").await?;
        }
        // Three values more than there are: six pages are counted one with each of the first writes.
        let org = reopen(&store, Quotas::default().org_workflow_values_max(1_503)).await?;
        let mut passed = 0;
        for index in 0..20 {
            passed += usize::from(org.set_value("V1", workflow(&format!("w{index}")), "v").await.is_ok());
        }
        assert!((3..=3 + 6).contains(&passed), "{passed}");
        assert_refused(org.set_value("V2", workflow("w1"), "v").await, Quota::OrgWorkflowValues, 1_503);
        Ok(())
    });
}

#[test]
fn a_write_that_adds_much_counts_much_of_an_org_and_one_that_adds_little_counts_little() {
    run(async {
        let (store, scans) = counting();
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        furnish(&org).await?;
        for index in 0..1_500 {
            org.set_value("V0", workflow(&format!("w{index}")), "v").await?;
        }
        let counted_for = async |len: usize| {
            let org = org_of(&VaultOptions::default().open(store.clone(), unlock()).await?);
            let before = scans();
            org.set_value("V1", workflow(&len.to_string()), "x".repeat(len)).await?;
            Ok::<_, strongroom::Error>(scans() - before)
        };
        let (little, much) = (counted_for(1).await?, counted_for(60_000).await?);
        assert!(0 < little && 3 * little < much, "{little} and {much} ranges");
        Ok(())
    });
}

#[test]
fn what_an_account_held_when_the_vault_was_opened_counts() {
    run(async {
        let (store, _) = counting();
        let a = furnish(&org_of(&vault(store.clone(), VaultOptions::default()).await?)).await?;
        a.set_value("V0", "v").await?;
        a.set_value("V1", "v").await?;
        let options = VaultOptions::default().quotas(Quotas::default().account_values_max(2));
        let a = org_of(&options.open(store, unlock()).await?).account(id("a"));
        assert_refused(a.set_value("V2", "v").await, Quota::AccountValues, 2);
        Ok(())
    });
}

#[test]
fn what_an_account_held_before_it_was_registered_counts() {
    run(async {
        let (store, _) = counting();
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        org.define(text("V0")).await?;
        org.define(text("V1")).await?;
        org.account(id("a")).set_value("V0", "v").await?;
        let options = VaultOptions::default().quotas(Quotas::default().account_values_max(1));
        let org = org_of(&options.open(store, unlock()).await?);
        let a = org.create_account(id("a")).with_default_app().await?;
        assert_refused(a.set_value("V1", "v").await, Quota::AccountValues, 1);
        Ok(())
    });
}

#[test]
fn an_account_that_has_nothing_yet_is_not_counted() {
    run(async {
        let (store, scans) = counting();
        let org: Org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        furnish(&org).await?;
        let before = scans();
        org.create_account(id("b")).with_credential("k", "v").await?;
        org.account(id("c")).set_value("V0", "v").await?;
        assert_eq!(scans(), before);
        Ok(())
    });
}
