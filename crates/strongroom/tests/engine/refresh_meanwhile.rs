//! What happens to the credentials while the provider answers, or before the lease is written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use strongroom::store::StoreErrorKind;
use strongroom::{
    Account, AppCredentials, Credentials, Error, IntegrationId, ManualClock, NewCredential, Org, Refresh,
    RefreshState, RefreshedBy, Unrefreshed, VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, vault};
use crate::refresh::{Provider, app, fault, refresh, token, uncertain, yielded};
use crate::rig::{Hooked, Point, stop_after_first_commit};

#[test]
fn an_answer_is_not_lost_to_a_rotation_of_the_keys_meanwhile() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let (app, provider) = (app(&vault).await?, Provider::default());
        provider.connect(&app).await?;
        let account = org_of(&vault).account(id("a"));
        let rotates = async |old: &Credentials| {
            let answer = provider.answer(old);
            account.rotate_keys().await.unwrap();
            org_of(&vault).rotate_keys().await.unwrap();
            answer
        };
        let done = app.refresh(app.get_all().await?, &refresh(), rotates).await?;
        assert_eq!(
            (done.by, token(&done.credentials, "access").as_str()),
            (RefreshedBy::ThisCall, "access-1")
        );
        let held = app.get_all().await?;
        assert_eq!((token(&held, "refresh").as_str(), held.refresh), ("refresh-1", RefreshState::Idle));
        Ok(())
    });
}

#[test]
fn a_rejection_is_of_what_the_provider_was_shown_and_not_of_what_was_set_meanwhile() {
    type Connect = for<'a> fn(&'a Account, &'a AppCredentials) -> BoxedResult<'a>;
    let verbs: [Connect; 4] = [
        |_, app| Box::pin(async { app.upsert("refresh", "new").await.map(drop) }),
        |_, app| Box::pin(async { app.set_many(&[NewCredential::new("refresh", "new")]).await.map(drop) }),
        |_, app| Box::pin(async { app.upsert("token", "new").await.map(drop) }),
        |account, _| Box::pin(async { account.update().with_credential("token", "new").await.map(drop) }),
    ];
    for connect in verbs {
        run(async {
            let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
            let (app, provider) = (app(&vault).await?, Provider::default());
            provider.connect(&app).await?;
            let account = org_of(&vault).account(id("a"));
            let rejects = async |_: &Credentials| {
                connect(&account, &app).await.unwrap();
                Err(Unrefreshed::Rejected(Error::WrongKey))
            };
            let told = app.refresh(app.get_all().await?, &refresh(), rejects).await;
            assert!(matches!(told, Err(Error::WrongKey)));
            let held = app.get_all().await?;
            assert_eq!(held.refresh, RefreshState::Idle);
            let shown = async |new: &Credentials| {
                assert!(new.items.iter().any(|item| item.value.expose() == "new"));
                Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new("access", "access-2")])
            };
            assert_eq!(app.refresh(held, &refresh(), shown).await?.by, RefreshedBy::ThisCall);
            Ok(())
        });
    }
}

#[test]
fn a_credential_that_was_added_since_the_others_were_seen_is_not_overlooked() {
    type Connect = for<'a> fn(&'a Account, &'a AppCredentials) -> BoxedResult<'a>;
    let verbs: [Connect; 2] = [
        |_, app| Box::pin(async { app.set_many(&[NewCredential::new("token", "t")]).await.map(drop) }),
        |account, _| Box::pin(async { account.update().with_credential("token", "t").await.map(drop) }),
    ];
    for (connect, before) in verbs.into_iter().zip([None, Some("label")]) {
        run(async {
            let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
            let (app, account) = (app(&vault).await?, org_of(&vault).account(id("a")));
            if let Some(label) = before {
                app.upsert(label, "l").await?;
            }
            let seen = app.get_all().await?;
            connect(&account, &app).await?;
            let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
            let done = app.refresh(seen, &refresh(), never).await?;
            assert_eq!((done.by, token(&done.credentials, "token").as_str()), (RefreshedBy::Another, "t"));
            Ok(())
        });
    }
}

#[test]
fn a_refresh_in_a_plan_is_refused_before_the_provider_is_called() {
    run(async {
        let store = Hooked::new(Arc::new(MemoryStore::new())).shared();
        let vault = vault(store, VaultOptions::default()).await?;
        Provider::default().connect(&app(&vault).await?).await?;
        let refused = org_of(&vault)
            .plan(async |org: Org| {
                let app = org.account(id("a")).app(IntegrationId::default_app());
                let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
                app.refresh(app.get_all().await?, &refresh(), never).await.map(drop)
            })
            .await;
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Error::Store(error) if error.kind() == StoreErrorKind::Unsupported));
        Ok(())
    });
}

#[test]
fn an_answer_that_no_store_took_until_the_lease_ended_is_uncertain_and_not_to_be_tried_again() {
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Closed, StoreErrorKind::Contention] {
        run(async {
            let (clock, store) = (ManualClock::default(), Faulty::new(MemoryStore::new()));
            let options = VaultOptions::default().clock(clock.clone());
            let app = app(&vault(store.clone(), options).await?).await?;
            let provider = Provider::default();
            provider.connect(&app).await?;
            let seen = app.get_all().await?;
            let (commits, reads) = (store.commits_len() + 1, store.reads_len());
            let _fails =
                store.on_commits(commits.., Fault::Before(kind)).on_reads(reads.., Fault::Before(kind));
            let passes = Refresh::new(move |time| {
                clock.advance(time);
                yielded()
            });
            let told = app.refresh(seen, &passes, provider.exchange(0)).await;
            assert!(!told.as_ref().unwrap_err().is_retryable());
            assert_eq!((fault(told), provider.exchanges()), (uncertain(0), 1));
            Ok(())
        });
    }
}

#[test]
fn an_answer_that_a_locked_vault_did_not_take_until_the_lease_ended_is_uncertain() {
    run(async {
        let clock = ManualClock::default();
        let vault = vault(MemoryStore::new(), VaultOptions::default().clock(clock.clone())).await?;
        let (app, provider) = (app(&vault).await?, Provider::default());
        provider.connect(&app).await?;
        let locks = async |old: &Credentials| {
            vault.lock();
            provider.answer(old)
        };
        let passes = Refresh::new(move |time| {
            clock.advance(time);
            yielded()
        });
        let told = app.refresh(app.get_all().await?, &passes, locks).await;
        assert_eq!(fault(told), uncertain(0));
        Ok(())
    });
}

#[test]
fn a_lease_that_was_written_without_an_answer_of_the_store_is_used() {
    for lost in [Fault::Before(StoreErrorKind::Indeterminate), Fault::After(StoreErrorKind::Indeterminate)] {
        run(async {
            let store = Faulty::new(MemoryStore::new());
            let app = app(&vault(store.clone(), VaultOptions::default()).await?).await?;
            let provider = Provider::default();
            provider.connect(&app).await?;
            let next = store.commits_len();
            let _fails = store.on_commits(next..=next, lost);
            let done = app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
            assert_eq!((done.by, provider.exchanges(), provider.replays()), (RefreshedBy::ThisCall, 1, 0));
            assert_eq!(app.get_all().await?.refresh, RefreshState::Idle);
            Ok(())
        });
    }
}

#[test]
fn what_the_provider_issued_and_nobody_stored_is_named() {
    type Connect = for<'a> fn(&'a Account, &'a AppCredentials) -> BoxedResult<'a>;
    let cases: [(Connect, RefreshedBy, &[&str]); 4] = [
        (|_, _| Box::pin(async { Ok(()) }), RefreshedBy::ThisCall, &[]),
        (
            |_, app| Box::pin(async { app.upsert("refresh", "new").await.map(drop) }),
            RefreshedBy::ThisCall,
            &["refresh"],
        ),
        (
            |_, app| Box::pin(async { app.delete("refresh").await.map(drop) }),
            RefreshedBy::ThisCall,
            &["refresh"],
        ),
        (
            |_, app| Box::pin(async { app.replace_all(&[NewCredential::new("a", "b")]).await.map(drop) }),
            RefreshedBy::Another,
            &["access", "refresh"],
        ),
    ];
    for (meanwhile, by, unstored) in cases {
        run(async {
            let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
            let (app, provider) = (app(&vault).await?, Provider::default());
            provider.connect(&app).await?;
            let account = org_of(&vault).account(id("a"));
            let exchange = async |old: &Credentials| {
                meanwhile(&account, &app).await.unwrap();
                provider.answer(old)
            };
            let done = app.refresh(app.get_all().await?, &refresh(), exchange).await?;
            let named: Vec<_> = done.unstored.iter().map(strongroom::CredentialKey::as_str).collect();
            assert_eq!((done.by, named.as_slice()), (by, unstored));
            Ok(())
        });
    }
}

type BoxedResult<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

#[test]
fn nothing_of_an_account_that_is_deleted_before_the_lease_is_shown_to_the_provider() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let vault = vault(hooked.clone(), VaultOptions::default()).await?;
        let (app, provider) = (app(&vault).await?, Provider::default());
        provider.connect(&app).await?;
        let seen = app.get_all().await?;
        // A delete that is cut short leaves the rows of the credentials.
        hooked.once(Point::BeforeCommit, move || {
            stop_after_first_commit(&store, async |org| assert!(org.delete_account(&id("a")).await.is_err()));
        });
        let told = app.refresh(seen, &refresh(), provider.exchange(0)).await;
        assert!(
            matches!(told, Err(Error::AccountNotFound(_) | Error::IntegrationNotFound { .. })),
            "{told:?}"
        );
        assert_eq!((provider.exchanges(), hooked.hooks_left()), (0, 0));
        Ok(())
    });
}
