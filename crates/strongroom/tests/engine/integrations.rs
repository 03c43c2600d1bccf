//! Integrations (apps) of a linked account.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{FailingStore, id, org_of, run, vault, with_clock, with_org, with_small_store};
use strongroom::store::StoreErrorKind;
use strongroom::{Error, IntegrationId, PageRequest, VaultOptions};

#[test]
fn an_integration_is_added_once_and_answered_after_that() {
    with_clock(async |org, clock| {
        let account = org.create_account(id("a")).await?;
        let added = account.add_integration(&id("crm")).await?;
        clock.set(9_000);
        assert_eq!(account.add_integration(&id("crm")).await?, added);
        assert_eq!((added.integration.as_str(), added.created_at.as_ms()), ("crm", 1_000));
        assert_eq!(account.integrations(PageRequest::default()).await?.items, [added]);
        Ok(())
    });
}

#[test]
fn an_integration_needs_a_registered_account() {
    with_org(async |org| {
        let refused = org.account(id("a")).add_integration(&id("crm")).await;
        assert!(matches!(refused, Err(Error::AccountNotFound(account)) if account.as_str() == "a"));
        Ok(())
    });
}

#[test]
fn integrations_are_listed_in_the_order_of_the_bytes_of_their_slugs() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        for slug in ["b", "a\u{ff}", "a/", "a", "B"] {
            account.add_integration(&id(slug)).await?;
        }
        let listed = account.integrations(PageRequest::default()).await?.items;
        let listed: Vec<_> = listed.iter().map(|found| found.integration.as_str()).collect();
        assert_eq!(listed, ["B", "a", "a/", "a\u{ff}", "b"]);
        Ok(())
    });
}

#[test]
fn after_a_delete_the_next_upsert_finds_no_integration() {
    with_org(async |org| {
        let account = org.create_account(id("a")).with_credential("k", "1").await?;
        account.delete_integration(&IntegrationId::default_app()).await?;
        let lost = [
            account.upsert_credential("k", "2").await.err(),
            account.credential("k").await.err(),
            account.credentials(PageRequest::default()).await.err(),
            account.delete_credential("k").await.err(),
            account.delete_integration(&IntegrationId::default_app()).await.err(),
        ];
        assert!(
            lost.iter().all(|error| matches!(error, Some(Error::IntegrationNotFound { .. }))),
            "{lost:?}"
        );
        Ok(())
    });
}

#[test]
fn an_integration_that_is_added_again_starts_with_no_credentials() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        let first = account.add_integration(&id("crm")).await?;
        account.app(id("crm")).upsert("k", "1").await?;
        account.delete_integration(&id("crm")).await?;
        let second = account.add_integration(&id("crm")).await?;
        assert_ne!(second.id, first.id);
        assert!(account.app(id("crm")).get("k").await?.is_none());
        assert!(account.app(id("crm")).list(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn the_integrations_of_an_account_that_waits_to_be_swept_are_gone() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        let account = org.create_account(id("a")).with_default_app().await?;
        store.fail_after(1, StoreErrorKind::Unavailable);
        org.delete_account(&id("a")).await.unwrap_err();
        assert!(account.integrations(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn a_deleted_integration_leaves_the_others() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        for slug in ["a", "a/", "aa"] {
            account.add_integration(&id(slug)).await?;
            account.app(id(slug)).upsert("k", slug).await?;
        }
        account.delete_integration(&id("a")).await?;
        for slug in ["a/", "aa"] {
            assert_eq!(account.app(id(slug)).get("k").await?.unwrap().value.expose(), slug);
        }
        Ok(())
    });
}

#[test]
fn more_credentials_than_one_batch_holds_go_with_their_integration() {
    with_small_store(async |org| {
        let account = org.create_account(id("a")).with_default_app().await?;
        for number in 0..70 {
            account.upsert_credential(&format!("key_{number}"), "x").await?;
        }
        account.delete_integration(&IntegrationId::default_app()).await?;
        account.add_integration(&IntegrationId::default_app()).await?;
        assert!(account.credentials(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}
