//! Refreshes of many connections of one account, and what becomes of a refresh whose account or connection is deleted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use strongroom::{
    AppCredentials, Credentials, Error, IntegrationId, ManualClock, NewCredential, Org, RefreshError,
    RefreshState, Refreshed, RefreshedBy, Timestamp, Unrefreshed, Vault, VaultOptions, WriteOptions,
};
use strongroom_conformance::Faulty;
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, unlock, vault};
use crate::refresh::{app, fault, refresh, token, with_provider, yielded};
use crate::rig::{Hooked, Stepped, drive};

const CONNECTIONS: usize = 64;

#[test]
fn refreshes_of_many_connections_of_one_account_all_succeed() {
    for engines in 1..=3 {
        let store = Stepped { inner: Arc::new(MemoryStore::new()), shared: engines > 1 };
        drive(connect_all(&drive(Vault::create(store.clone(), unlock())).unwrap()));
        let open = |_| org_of(&drive(Vault::open(store.clone(), unlock())).unwrap());
        let orgs: Vec<Org> = (0..engines).map(open).collect();
        let calls = (0..CONNECTIONS).map(|number| {
            let app = connection(&orgs[number % engines], number);
            async move {
                // One after the other, so that some take their leases while the answers of others land.
                for _ in 0..number {
                    yielded().await;
                }
                renew(&app, number).await
            }
        });
        for (number, done) in together(calls).into_iter().enumerate() {
            let done =
                done.unwrap_or_else(|error| panic!("connection {number} of {engines} engines: {error}"));
            assert_eq!(
                (done.by, token(&done.credentials, "access")),
                (RefreshedBy::ThisCall, format!("new-{number}"))
            );
        }
        for number in 0..CONNECTIONS {
            let held = drive(connection(&orgs[0], number).get_all()).unwrap();
            assert_eq!((token(&held, "access"), held.refresh), (format!("new-{number}"), RefreshState::Idle));
        }
    }
}

#[test]
fn a_lease_is_taken_whatever_is_written_to_other_connections_of_the_account_meanwhile() {
    run(async {
        let store = Faulty::new(MemoryStore::new());
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        connect_all(&vault).await;
        let org = org_of(&vault);
        let (mine, other) = (connection(&org, 0), connection(&org, 1));
        let seen = mine.get_all().await?;
        other.upsert("access", "x").await?;
        let before = store.commits_len();
        let exchange = async |old: &Credentials| {
            assert_eq!(store.commits_len(), before + 1);
            answer(0)(old).await
        };
        assert_eq!(mine.refresh(seen, &refresh(), exchange).await?.by, RefreshedBy::ThisCall);
        Ok(())
    });
}

#[test]
fn a_token_that_was_set_or_deleted_since_it_was_seen_is_not_shown_to_the_provider() {
    for write in 0..4 {
        run(async {
            let store = Arc::new(MemoryStore::new());
            let vault = vault(Hooked::new(Arc::clone(&store)).shared(), VaultOptions::default()).await?;
            let mine = app(&vault).await?;
            mine.set_many(&[NewCredential::new("access", "a"), NewCredential::new("refresh", "r")]).await?;
            let elsewhere = Vault::open(Hooked::new(store).shared(), unlock()).await?;
            let theirs = app(&elsewhere).await?;
            let seen = mine.get_all().await?;
            match write {
                0 => drop(theirs.upsert("refresh", "r2").await?),
                1 => drop(theirs.delete("refresh").await?),
                2 => drop(theirs.replace_all(&[]).await?),
                _ => drop(org_of(&elsewhere).delete_account(&id("a")).await?),
            }
            let done = mine.refresh(seen, &refresh(), never).await;
            match write {
                3 => assert!(matches!(done, Err(Error::IntegrationNotFound { .. })), "{done:?}"),
                _ => assert_eq!(done?.by, RefreshedBy::Another),
            }
            Ok(())
        });
    }
}

#[test]
fn who_refreshes_what_is_deleted_meanwhile_is_told_that_the_new_tokens_are_stored_nowhere() {
    for (way, late) in (0..6).flat_map(|way| [(way, false), (way, true)]) {
        run(async {
            let clock = ManualClock::default();
            let vault = vault(MemoryStore::new(), VaultOptions::default().clock(clock.clone())).await?;
            let org = org_of(&vault);
            let (account, crm) = (org.create_account(id("a")).await?, id::<IntegrationId>("crm"));
            account.add_integration(&crm).await?;
            account.add_connection(&crm, &id("work")).await?;
            let app = account.app(crm.clone()).connection(id("work"));
            app.upsert("refresh", "r").await?;
            let app = if way == 5 {
                org.account(id("a")).bound().await?.app(crm.clone()).connection(id("work"))
            } else {
                app
            };
            let mut issued = None;
            let done = app
                .refresh(app.get_all().await?, &refresh(), async |_: &Credentials| {
                    issued = Some("new");
                    match way {
                        0 => org.delete_account(&id("a")).await?,
                        1 => account.delete_connection(&crm, &id("work")).await?,
                        2 => account.delete_integration(&crm).await?,
                        3 => drop(org.shred_account(&id("a")).await?),
                        _ => {
                            org.delete_account(&id("a")).await?;
                            let again = org.create_account(id("a")).await?;
                            again.add_connection(&crm, &id("work")).await?;
                            again.app(crm.clone()).connection(id("work")).upsert("refresh", "theirs").await?;
                        }
                    }
                    if late {
                        clock.advance(Duration::from_secs(31));
                    }
                    Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new("refresh", "new")])
                })
                .await;
            assert_eq!(
                (fault(done), issued),
                (RefreshError::Gone { since: Timestamp::from_ms(0) }, Some("new")),
                "{way}"
            );
            Ok(())
        });
    }
}

#[test]
fn a_token_that_the_host_has_set_is_refreshed_however_little_of_its_life_is_left() {
    with_provider(async |app, provider, clock| {
        clock.set(Timestamp::from_ms(1_000));
        let soon = WriteOptions::default().expires_at(Timestamp::from_ms(11_000));
        app.upsert_with("access", "imported", soon).await?;
        let done = app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
        assert_eq!((done.by, provider.exchanges()), (RefreshedBy::ThisCall, 1));
        Ok(())
    });
}

#[test]
fn a_lease_longer_than_the_tokens_live_that_the_provider_gives_is_refused_before_anything_is_called_or_written()
 {
    with_provider(async |app, provider, clock| {
        clock.set(Timestamp::from_ms(1_000));
        let short = async |old: &Credentials| {
            let life = Timestamp::from_ms(30_999);
            Ok::<_, Unrefreshed<Error>>(
                provider.answer(old)?.into_iter().map(|new| new.expires_at(life)).collect(),
            )
        };
        app.refresh(app.get_all().await?, &refresh(), short).await?;
        let before = app.get_all().await?;
        let refused = app.refresh(app.get_all().await?, &refresh(), never).await;
        assert_eq!(fault(refused), RefreshError::LeaseOutlivesToken);
        let after = app.get_all().await?;
        assert_eq!((after.revision, after.refresh), (before.revision, RefreshState::Idle));
        // A shorter lease is good, and so is any for a token that has expired.
        let shorter = refresh().lease(Duration::from_millis(29_999));
        app.refresh(after, &shorter, short).await?;
        clock.set(Timestamp::from_ms(30_999));
        app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
        assert_eq!((provider.exchanges(), provider.replays()), (3, 0));
        // The last answer said nothing of a life: what the host sets then is its own.
        let soon = WriteOptions::default().expires_at(Timestamp::from_ms(31_500));
        app.upsert_with("access", "imported", soon).await?;
        app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await.map(drop)
    });
}

#[test]
fn a_lease_is_held_against_the_shortest_lived_of_the_tokens_that_the_provider_gives() {
    for lives in [[90_000, 20_000], [20_000, 90_000]] {
        with_provider(async |app, provider, _| {
            let exchange = async |old: &Credentials| {
                let each = provider.answer(old)?.into_iter().zip(lives);
                let new = each.map(|(new, life)| new.expires_at(Timestamp::from_ms(life))).collect();
                Ok::<Vec<_>, Unrefreshed<Error>>(new)
            };
            app.refresh(app.get_all().await?, &refresh(), exchange).await?;
            let refused = app.refresh(app.get_all().await?, &refresh(), never).await;
            assert_eq!(fault(refused), RefreshError::LeaseOutlivesToken);
            Ok(())
        });
    }
}

/// Polls futures in turns to their ends, on a store that wakes nobody.
fn together<T, F: Future<Output = T>>(futures: impl Iterator<Item = F>) -> Vec<T> {
    let mut running: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    while done.iter().any(Option::is_none) {
        for (future, done) in running.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(ended) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                *done = Some(ended);
            }
        }
    }
    done.into_iter().flatten().collect()
}

async fn connect_all(vault: &Vault) {
    let org = org_of(vault);
    let account = org.create_account(id("a")).await.unwrap();
    for number in 0..CONNECTIONS {
        account.add_connection(&id("crm"), &id(&number.to_string())).await.unwrap();
        connection(&org, number).set_many(&tokens("old", number)).await.unwrap();
    }
}

fn connection(org: &Org, number: usize) -> AppCredentials {
    org.account(id("a")).app(id("crm")).connection(id(&number.to_string()))
}

async fn renew(app: &AppCredentials, number: usize) -> Result<Refreshed, Error> {
    app.refresh(app.get_all().await?, &refresh(), answer(number)).await
}

fn answer(number: usize) -> impl AsyncFnOnce(&Credentials) -> Result<Vec<NewCredential>, Unrefreshed<Error>> {
    async move |old: &Credentials| {
        assert_eq!(token(old, "refresh"), format!("old-{number}"));
        Ok(tokens("new", number).into())
    }
}

fn tokens(age: &str, number: usize) -> [NewCredential; 2] {
    ["access", "refresh"].map(|name| NewCredential::new(name, format!("{age}-{number}")))
}

async fn never(_: &Credentials) -> Result<Vec<NewCredential>, Unrefreshed<Error>> {
    panic!("called")
}
