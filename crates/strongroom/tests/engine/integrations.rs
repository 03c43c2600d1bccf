//! Integrations (apps) of a linked account.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{FailingStore, id, org_of, run, unlock, vault, with_clock, with_org, with_small_store};
use strongroom::store::StoreErrorKind;
use strongroom::{
    ConnectionId, CredentialFilter, Credentials, Error, IntegrationId, ManualClock, NewCredential,
    PageRequest, Quotas, Refresh, Timestamp, Unrefreshed, VaultOptions,
};
use strongroom_memory::MemoryStore;

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
fn an_integration_is_there_also_if_the_clock_by_which_its_account_was_deleted_before_is_ahead() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let at = |ms| VaultOptions::default().clock(ManualClock::at(Timestamp::from_ms(ms)));
        let ahead = org_of(&vault(Arc::clone(&store), at(60_000)).await?);
        ahead.create_account(id("a")).with_credential("k", "c").await?;
        ahead.delete_account(&id("a")).await?;
        let opened = async || Ok::<_, Error>(org_of(&at(1_000).open(Arc::clone(&store), unlock()).await?));
        opened().await?.create_account(id("a")).await?;
        // In another process, which has seen no keys of the account.
        let account = opened().await?.account(id("a"));
        account.add_integration(&id("crm")).await?;
        account.app(id("crm")).upsert("token", "t").await?;
        assert!(account.app(id("crm")).get("token").await?.is_some());
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

#[test]
fn what_one_connection_has_is_its_own() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        let crm = account.app(id("crm"));
        account.add_integration(&id("crm")).await?;
        let (work, home) = (crm.connection(id("work")), crm.connection(id("home")));
        assert!(matches!(
            work.upsert("k", "1").await,
            Err(Error::IntegrationNotFound { connection: Some(missing), .. }) if missing.as_str() == "work"
        ));
        for app in [&work, &home] {
            account.add_connection(app.integration(), app.connection_id().unwrap()).await?;
        }
        crm.upsert("k", "of the default one").await?;
        work.set_many(&[NewCredential::new("k", "of work"), NewCredential::new("l", "l of work")]).await?;
        assert_eq!(crm.get("k").await?.unwrap().value.expose(), "of the default one");
        let found = work.get("k").await?.unwrap();
        assert_eq!((found.value.expose(), found.info.connection.as_ref()), ("of work", work.connection_id()));
        assert!(home.get_all().await?.items.is_empty());
        work.replace_all(&[NewCredential::new("k", "of work again")]).await?;
        for (app, count) in [(&crm, 1), (&work, 1), (&home, 0)] {
            assert_eq!(app.get_all().await?.items.len(), count);
        }
        Ok(())
    });
}

#[test]
fn connections_are_listed_by_integration_the_default_one_first() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        for (slug, connection) in [("crm", "b"), ("crm", "a"), ("crm2", "x"), ("cr", "y")] {
            account.add_connection(&id(slug), &id(connection)).await?;
        }
        let of = async |slug: &str, limit| {
            let (mut names, mut page) = (Vec::new(), PageRequest::first(limit));
            loop {
                let found = account.connections(&id(slug), page).await?;
                let text =
                    |found: &strongroom::Integration| found.connection.as_ref().map(ToString::to_string);
                names.extend(found.items.iter().map(|found| text(found).unwrap_or_default()));
                let Some(next) = found.next else { return Ok::<_, Error>(names) };
                page = PageRequest::first(limit).after(next);
            }
        };
        assert_eq!(of("crm", 100).await?, ["a", "b"]);
        account.add_integration(&id("crm")).await?;
        assert_eq!(of("crm", 1).await?, ["", "a", "b"]);
        assert_eq!((of("crm2", 100).await?, of("c", 100).await?.len()), (vec!["x".to_owned()], 0));
        let all = account.integrations(PageRequest::default()).await?.items;
        let all: Vec<_> = all.iter().map(|found| found.integration.as_str()).collect();
        assert_eq!(all, ["cr", "crm", "crm", "crm", "crm2"]);
        Ok(())
    });
}

#[test]
fn a_connection_is_deleted_alone_and_all_with_their_integration_or_account() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        let app = account.app(id("crm"));
        let names = ["work", "home"].map(id::<ConnectionId>);
        let add = async || {
            for name in &names {
                account.add_connection(&id("crm"), name).await?;
                app.connection(name.clone()).upsert("k", "1").await?;
            }
            Ok::<_, Error>(())
        };
        let left = async || {
            Ok::<_, Error>(account.connections(&id("crm"), PageRequest::default()).await?.items.len())
        };
        add().await?;
        account.delete_connection(&id("crm"), &names[0]).await?;
        assert!(app.connection(names[0].clone()).get("k").await.is_err());
        assert_eq!((left().await?, account.usage().await?.credentials), (1, 1));
        add().await?;
        account.delete_integration(&id("crm")).await?;
        assert_eq!((left().await?, account.usage().await?.credentials), (0, 0));
        let again = account.delete_integration(&id("crm")).await;
        assert!(matches!(again, Err(Error::IntegrationNotFound { connection: None, .. })));
        add().await?;
        org.delete_account(account.id()).await?;
        org.create_account(id("a")).await?;
        assert_eq!((left().await?, account.usage().await?.integrations), (0, 0));
        Ok(())
    });
}

#[test]
fn each_connection_counts_as_an_integration_in_a_quota() {
    let quotas = Quotas::default().account_integrations_max(2);
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default().quotas(quotas)).await?);
        let account = org.create_account(id("a")).with_default_app().await?;
        account.add_connection(&id("crm"), &id("work")).await?;
        let third = account.add_connection(&id("crm"), &id("home")).await;
        assert!(matches!(third, Err(Error::OverQuota { .. })));
        Ok(())
    });
}

#[test]
fn each_connection_is_refreshed_for_itself() {
    with_org(async |org| {
        let account = org.create_account(id("a")).await?;
        let crm = account.app(id("crm"));
        let (work, home) = (crm.connection(id("work")), crm.connection(id("home")));
        for app in [&work, &home] {
            account.add_connection(app.integration(), app.connection_id().unwrap()).await?;
            app.upsert("access", "old").await?;
        }
        let refresh = Refresh::new(|_| std::future::ready(()));
        let reject = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
        home.refresh(home.get_all().await?, &refresh, reject).await.unwrap_err();
        let exchange =
            async |_: &Credentials| Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new("access", "new")]);
        work.refresh(work.get_all().await?, &refresh, &exchange).await.unwrap();
        assert_eq!(work.get("access").await?.unwrap().value.expose(), "new");
        assert_eq!(home.get("access").await?.unwrap().value.expose(), "old");
        let of_home = home.get_all().await?;
        let other = work.refresh(of_home, &refresh, &exchange).await;
        assert!(other.is_err(), "credentials of another connection are refused");
        Ok(())
    });
}

#[test]
fn what_expires_and_what_is_missing_names_its_connection() {
    with_org(async |org| {
        let (soon, later) = (Timestamp::from_ms(4_000_000_000_000), Timestamp::from_ms(4_000_000_000_001));
        let expiring = || [NewCredential::new("access", "1").expires_at(soon)];
        let account = org
            .create_account(id("a"))
            .with_integration(id("crm"), expiring())
            .with_connection(&id("crm"), &id("work"), expiring())
            .with_connection(&id("mail"), &id("work"), expiring())
            .await?;
        let found = async |filter: CredentialFilter, limit| {
            let (mut places, mut page) = (Vec::new(), PageRequest::first(limit));
            loop {
                let found = org.credentials_where(&filter, page).await?;
                for place in found.items {
                    let connection = place.connection.map(|id| id.to_string()).unwrap_or_default();
                    places.push(format!("{} {connection}", place.integration));
                }
                let Some(next) = found.next else { return Ok::<_, Error>(places) };
                page = PageRequest::first(limit).after(next);
            }
        };
        let due = || CredentialFilter::expiring_before(later);
        for limit in [1, 2, 100] {
            assert_eq!(found(due(), limit).await?, ["crm ", "crm work", "mail work"]);
        }
        assert_eq!(found(due().of(id("crm")), 100).await?, ["crm ", "crm work"]);
        assert_eq!(found(due().connection(id("work")), 100).await?, ["crm work", "mail work"]);
        let missing = |app: &str| CredentialFilter::missing(id("access")).of(id(app));
        assert!(found(missing("mail"), 100).await?.is_empty());
        assert_eq!(found(missing("none"), 100).await?, ["none "]);
        assert!(found(missing("mail").connection(id("work")), 100).await?.is_empty());
        account.delete_connection(&id("crm"), &id("work")).await?;
        assert_eq!(found(due().of(id("crm")), 100).await?, ["crm "]);
        assert_eq!(found(missing("crm").connection(id("work")), 100).await?, ["crm work"]);
        Ok(())
    });
}
