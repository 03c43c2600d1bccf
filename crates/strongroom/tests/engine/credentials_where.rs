//! Which accounts lack a credential, and which credentials expire.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::poll_immediate;
use futures_util::pin_mut;
use strongroom::{
    CredentialFilter, CredentialPlace, Credentials, Error, IntegrationId, Invalid, ManualClock,
    NewCredential, OnUncertain, Org, PageRequest, Refresh, Timestamp, Unrefreshed, Vault, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, unlock, vault, with_org};
use crate::rig::{self, Hooked, Paged, Point, base, stop_after_first_commit};

#[test]
fn what_the_provider_rejected_is_left_out_for_a_job_that_refreshes_until_it_is_set_again() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        let (at, later) = (Timestamp::from_ms(4_000_000_000_000), Timestamp::from_ms(4_000_000_000_001));
        let access = || NewCredential::new("access", "a1").expires_at(at);
        for name in ["a", "b"] {
            org.upsert_account(id(name)).with_integration(IntegrationId::default_app(), [access()]).await?;
        }
        let due = async || {
            let filter = CredentialFilter::expiring_before(later).not_rejected();
            let found = org.credentials_where(&filter, PageRequest::default()).await?.items;
            Ok::<_, Error>(found.iter().map(|place| place.account.to_string()).collect::<Vec<_>>())
        };
        let app = org.account(id("b")).app(IntegrationId::default_app());
        let refresh = Refresh::new(|_| std::future::ready(()));
        let reject = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
        app.refresh(app.get_all().await?, &refresh, reject).await.unwrap_err();
        assert_eq!(due().await?, ["a"]);
        let all = CredentialFilter::expiring_before(later);
        assert_eq!(org.credentials_where(&all, PageRequest::default()).await?.items.len(), 2);
        app.set_many(&[access()]).await?;
        assert_eq!(due().await?, ["a", "b"]);
        Ok(())
    });
}

#[test]
fn accounts_without_the_credential_are_found_whether_or_not_they_have_the_app() {
    with_org(async |org| {
        furnish(&org).await?;
        let missing = CredentialFilter::missing(id("access"));
        assert_eq!(places(&org, &missing, 100).await?, ["a05 default-app access", "bare default-app access"]);
        let missing = CredentialFilter::missing(id("token")).of(id("crm"));
        let found = places(&org, &missing, 7).await?;
        assert_eq!(found.len(), ACCOUNTS);
        assert!(!found.contains(&"a03 crm token".to_owned()));
        Ok(())
    });
}

#[test]
fn a_credential_that_a_connection_lacks_is_found_in_each_that_lacks_it() {
    with_org(async |org| {
        for (account, connections) in
            [("all", "- home work"), ("some", "- home work"), ("named", "home"), ("none", "")]
        {
            let account = org.create_account(id(account)).await?;
            for connection in connections.split_whitespace() {
                let app = match connection {
                    "-" => {
                        account.add_integration(&id("crm")).await?;
                        account.app(id("crm"))
                    }
                    named => {
                        account.add_connection(&id("crm"), &id(named)).await?;
                        account.app(id("crm")).connection(id(named))
                    }
                };
                if account.id().as_str() == "all" || connection == "work" {
                    app.upsert("token", "t").await?;
                }
            }
        }
        let missing = || CredentialFilter::missing(id("token")).of(id("crm"));
        for limit in [1, 2, 100] {
            assert_eq!(
                places(&org, &missing(), limit).await?,
                ["named crm/home token", "none crm token", "some crm token", "some crm/home token"]
            );
        }
        let of_home = missing().connection(id("home"));
        assert_eq!(
            places(&org, &of_home, 100).await?,
            ["named crm/home token", "none crm/home token", "some crm/home token"]
        );
        org.account(id("some")).delete_connection(&id("crm"), &id("home")).await?;
        assert_eq!(
            places(&org, &missing(), 100).await?,
            ["named crm/home token", "none crm token", "some crm token"]
        );
        Ok(())
    });
}

#[test]
fn a_job_that_refreshes_is_shown_what_a_refresh_would_take_to_the_provider() {
    run(async {
        let clock = ManualClock::at(Timestamp::from_ms(1_000));
        let options = VaultOptions::default().clock(clock.clone());
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        let at = Timestamp::from_ms(FIRST);
        for name in ["good", "lost", "rejected", "underway"] {
            let access = NewCredential::new("access", "a").expires_at(at);
            let app = IntegrationId::default_app();
            let account = org.create_account(id(name)).with_integration(app.clone(), [access]).await?;
            let (app, refresh) = (account.app(app), Refresh::new(|_| std::future::ready(())));
            let seen = app.get_all().await?;
            let refused = match name {
                "good" => continue,
                "lost" => Unrefreshed::Unknown(Error::Locked),
                "rejected" => Unrefreshed::Rejected(Error::Locked),
                _ => {
                    let stuck =
                        async |_: &Credentials| std::future::pending::<Result<_, Unrefreshed<Error>>>().await;
                    let dead = app.refresh(seen, &refresh, stuck);
                    pin_mut!(dead);
                    assert!(poll_immediate(&mut dead).await.is_none());
                    continue;
                }
            };
            app.refresh(seen, &refresh, async |_: &Credentials| Err(refused)).await.unwrap_err();
        }
        let due = || CredentialFilter::expiring_before(Timestamp::from_ms(FIRST + 1));
        let found = async |filter| {
            let places = places(&org, &filter, 100).await?;
            Ok::<_, Error>(
                places.iter().map(|place| place.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(found(due()).await?, ["good", "lost", "rejected", "underway"]);
        assert_eq!(found(due().not_rejected()).await?, ["good", "lost", "underway"]);
        assert_eq!(found(due().refreshable(OnUncertain::TryKept)).await?, ["good", "lost", "underway"]);
        assert_eq!(found(due().refreshable(OnUncertain::Refuse)).await?, ["good", "underway"]);
        // Its lease is over, and nobody has said so yet.
        clock.advance(Duration::from_secs(31));
        assert_eq!(found(due().refreshable(OnUncertain::Refuse)).await?, ["good"]);
        Ok(())
    });
}

#[test]
fn credentials_that_expire_before_a_moment_are_found_in_every_integration_or_in_one() {
    with_org(async |org| {
        furnish(&org).await?;
        // Account number n expires n milliseconds after `FIRST`.
        let expiring = |number| CredentialFilter::expiring_before(Timestamp::from_ms(FIRST + number));
        assert!(places(&org, &expiring(0), 100).await?.is_empty());
        let found = places(&org, &expiring(4), 100).await?;
        let of_default_app =
            ["a00", "a01", "a02", "a03"].map(|account| format!("{account} default-app access"));
        assert_eq!(found[..3], of_default_app[..3]);
        assert_eq!(found[3..], ["a03 crm token".to_owned(), of_default_app[3].clone()]);
        assert_eq!(places(&org, &expiring(4).of(id("crm")), 100).await?, ["a03 crm token"]);
        let first = org.credentials_where(&expiring(4), PageRequest::first(1)).await?;
        assert_eq!(
            first.items[0].info.as_ref().unwrap().metadata.expires_at(),
            Some(Timestamp::from_ms(FIRST))
        );
        Ok(())
    });
}

#[test]
fn pages_of_any_length_give_what_one_gives_on_a_store_of_small_pages_too() {
    run(async {
        let store = Paged::of(MemoryStore::new(), 3);
        let org = org_of(&vault(store, VaultOptions::default()).await?);
        furnish(&org).await?;
        for filter in [
            CredentialFilter::missing(id("token")).of(id("crm")),
            CredentialFilter::expiring_before(Timestamp::from_ms(FIRST + 1_000)),
        ] {
            let whole = places(&org, &filter, 1_000).await?;
            assert!(whole.len() >= ACCOUNTS);
            for limit in [1, 2, whole.len() - 1, whole.len()] {
                assert_eq!(places(&org, &filter, limit).await?, whole, "{limit}");
            }
        }
        let cursor = org.linked_accounts(PageRequest::first(1)).await?.next.unwrap();
        let page = PageRequest::first(1).after(cursor);
        let refused = org.credentials_where(&CredentialFilter::missing(id("access")), page).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Cursor(_)))));
        Ok(())
    });
}

#[test]
fn what_is_deleted_or_shredded_is_not_found_also_where_the_sweep_was_interrupted() {
    let all = CredentialFilter::expiring_before(Timestamp::from_ms(u64::MAX));
    let without = CredentialFilter::missing(id("nothing"));
    let store = Arc::new(MemoryStore::new());
    let org = block_on(async {
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        furnish(&org).await.map(|()| org)
    });
    let org = org.unwrap();
    let (held, lacking) =
        (block_on(places(&org, &all, 100)).unwrap(), block_on(places(&org, &without, 100)).unwrap());
    stop_after_first_commit(&store, async |org| {
        let _ = org.delete_account(&id("a01")).await;
    });
    stop_after_first_commit(&store, async |org| {
        let _ = org.account(id("a03")).delete_integration(&id("crm")).await;
    });
    run(async {
        let org = org_of(&Vault::open(Arc::clone(&store), unlock()).await?);
        let gone = ["a01 default-app access", "a03 crm token"];
        let left: Vec<_> = held.into_iter().filter(|place| !gone.contains(&place.as_str())).collect();
        assert_eq!(places(&org, &all, 100).await?, left);
        assert_eq!(places(&org, &without, 100).await?.len(), lacking.len() - 1);
        let _ = org.shred().await?;
        assert!(places(&org, &all, 100).await?.is_empty() && places(&org, &without, 100).await?.is_empty());
        Ok(())
    });
}

#[test]
fn an_account_whose_only_connection_is_being_deleted_lacks_the_credential() {
    let store = base(async |org| {
        let account = org.create_account(id("a")).await?;
        account.add_integration(&id("crm")).await.map(drop)
    });
    stop_after_first_commit(&store, async |org| {
        let _ = org.account(id("a")).delete_integration(&id("crm")).await;
    });
    run(async {
        let org = org_of(&Vault::open(store, unlock()).await?);
        let missing = CredentialFilter::missing(id("token")).of(id("crm"));
        assert_eq!(places(&org, &missing, 100).await?, ["a crm token"]);
        Ok(())
    });
}

#[test]
fn an_account_that_is_registered_in_the_middle_of_a_search_does_not_fail_it() {
    async fn connect(org: &Org, name: &str) -> Result<(), Error> {
        let access = NewCredential::new("access", "t").expires_at(Timestamp::from_ms(FIRST));
        org.create_account(id(name)).with_integration(id("crm"), [access]).await.map(drop)
    }
    let store = base(async |org| {
        connect(org, "a").await?;
        connect(org, "c").await
    });
    let hooked = Hooked::new(store);
    let vault = rig::open(hooked.clone());
    let other = rig::org(&vault);
    // The accounts are listed, and their credentials and keys are not read yet.
    hooked.once(Point::AfterRead, move || block_on(connect(&other, "b")).unwrap());
    let all = CredentialFilter::expiring_before(Timestamp::from_ms(u64::MAX));
    run(async {
        assert_eq!(places(&rig::org(&vault), &all, 100).await?, ["a crm access", "c crm access"]);
        assert_eq!(hooked.hooks_left(), 0);
        assert_eq!(places(&rig::org(&vault), &all, 100).await?.len(), 3);
        Ok(())
    });
}

/// Accounts of which the fifth has no access token and the third a CRM, and one with no app at all.
async fn furnish(org: &Org) -> Result<(), Error> {
    for number in 0..ACCOUNTS {
        let account = org.create_account(id(&format!("a{number:02}"))).with_default_app().await?;
        let at = Timestamp::from_ms(FIRST + u64::try_from(number).unwrap());
        let app = account.app(IntegrationId::default_app());
        let name = if number == 5 { "other" } else { "access" };
        app.set_many(&[NewCredential::new(name, "t").expires_at(at), NewCredential::new("id", "x")]).await?;
        if number == 3 {
            account.add_integration(&id("crm")).await?;
            account.app(id("crm")).set_many(&[NewCredential::new("token", "t").expires_at(at)]).await?;
        }
    }
    org.create_account(id("bare")).await.map(drop)
}

/// All places, a page at a time.
async fn places(org: &Org, filter: &CredentialFilter, limit: usize) -> Result<Vec<String>, Error> {
    let shown = |place: &CredentialPlace| {
        let connection = place.connection.as_ref().map(|connection| format!("/{connection}"));
        let connection = connection.unwrap_or_default();
        format!("{} {}{connection} {}", place.account, place.integration, place.key_name)
    };
    let (mut found, mut page) = (Vec::new(), PageRequest::first(limit));
    loop {
        let listed = org.credentials_where(filter, page).await?;
        assert!(listed.items.len() == limit || listed.next.is_none());
        found.extend(listed.items.iter().map(shown));
        let Some(next) = listed.next else { return Ok(found) };
        page = PageRequest::first(limit).after(next);
    }
}

/// More than are looked at in one read.
const ACCOUNTS: usize = 70;
const FIRST: u64 = 4_000_000_000_000;
