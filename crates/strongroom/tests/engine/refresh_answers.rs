//! What becomes of a provider's answer that is not as it should be, and what ends a refresh that went wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::pin_mut;
use strongroom::store::StoreErrorKind::{Indeterminate, Unavailable};
use strongroom::{
    AuditFilter, Credential, Credentials, Error, ErrorKind, EventKind, Expected, IntegrationId, ManualClock,
    NewCredential, OnUncertain, PageRequest, RefreshError, RefreshState, RefreshedBy, Timestamp, Unrefreshed,
    VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, vault};
use crate::refresh::{Provider, REJECTED, UNCERTAIN, app, fault, refresh, token, uncertain, with_provider};

#[test]
fn an_answer_without_credentials_is_no_refresh_and_leaves_the_old_ones_and_an_uncertain_outcome() {
    with_provider(async |app, _, _| {
        let none = async |_: &Credentials| Ok::<_, Unrefreshed<Error>>(Vec::new());
        let refused = app.refresh(app.get_all().await?, &refresh(), none).await;
        assert_eq!(fault(refused), RefreshError::NothingIssued { since: Timestamp::from_ms(0) });
        let kept = app.get_all().await?;
        assert_eq!((token(&kept, "refresh"), kept.refresh), ("refresh-0".to_owned(), UNCERTAIN));
        assert_eq!(fault(app.refresh(kept, &refresh(), never).await), uncertain(0));
        Ok(())
    });
}

#[test]
fn of_an_answer_that_is_partly_refused_the_rest_is_stored_and_the_old_token_is_not_shown_again() {
    let long = "x".repeat(64 * 1024 + 1);
    let unsound = [("not a key\u{0}name", "r1"), ("refresh", long.as_str()), ("access", "r1")];
    for (key_name, value) in unsound {
        with_provider(async |app, provider, _| {
            let answer = async |old: &Credentials| {
                provider.answer(old)?;
                let new = vec![NewCredential::new("access", "access-1"), NewCredential::new(key_name, value)];
                Ok::<_, Unrefreshed<Error>>(new)
            };
            let refused = app.refresh(app.get_all().await?, &refresh(), answer).await;
            let since = Timestamp::from_ms(0);
            let expected = RefreshError::AnswerRefused { since, first: 1, refused: 1, stored: 1 };
            let shown = refused.as_ref().unwrap_err().to_string();
            assert!(!shown.contains("r1") && !shown.contains("key\u{0}name"));
            assert_eq!(fault(refused), expected);
            let held = app.get_all().await?;
            assert_eq!((token(&held, "access"), held.refresh), ("access-1".to_owned(), UNCERTAIN));
            assert_eq!(fault(app.refresh(held, &refresh(), never).await), uncertain(0));
            assert_eq!((provider.exchanges(), provider.replays()), (1, 0));
            Ok(())
        });
    }
}

#[test]
fn an_answer_of_which_nothing_can_be_stored_leaves_an_uncertain_outcome() {
    with_provider(async |app, _, _| {
        let answer = async |_: &Credentials| Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new("", "x")]);
        let refused = app.refresh(app.get_all().await?, &refresh(), answer).await;
        let since = Timestamp::from_ms(0);
        let expected = RefreshError::AnswerRefused { since, first: 0, refused: 1, stored: 0 };
        assert_eq!((fault(refused), app.get_all().await?.refresh), (expected, UNCERTAIN));
        Ok(())
    });
}

#[test]
fn an_answer_that_has_expired_or_has_a_condition_is_stored_as_it_is_and_refreshed_at_the_next_call() {
    with_provider(async |app, provider, clock| {
        clock.set(Timestamp::from_ms(10_000));
        let past = Timestamp::from_ms(9_000);
        let answer = async |old: &Credentials| {
            let answer = provider.answer(old)?.into_iter();
            Ok::<_, Unrefreshed<Error>>(
                answer.map(|new| new.expires_at(past).expecting(Expected::Absent)).collect(),
            )
        };
        let done = app.refresh(app.get_all().await?, &refresh(), answer).await?;
        assert_eq!(
            (done.by, token(&done.credentials, "refresh").as_str()),
            (RefreshedBy::ThisCall, "refresh-1")
        );
        let held = app.get_all().await?;
        assert_eq!(held.get("access").unwrap().info.metadata.expires_at(), Some(past));
        assert_eq!(held.refresh, RefreshState::Idle);
        app.refresh(held, &refresh(), provider.exchange(0)).await?;
        assert_eq!((provider.exchanges(), provider.replays()), (2, 0));
        Ok(())
    });
}

#[test]
fn new_credentials_by_any_verb_end_that_the_old_ones_were_rejected() {
    for verb in 0..3 {
        with_provider(async |app, provider, _| {
            let reject = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
            app.refresh(app.get_all().await?, &refresh(), reject).await.unwrap_err();
            app.delete("access").await?;
            assert_eq!(fault(app.refresh(app.get_all().await?, &refresh(), never).await), REJECTED);
            match verb {
                0 => drop(app.upsert("refresh", "refresh-0").await?),
                1 => drop(app.set_many(&[NewCredential::new("refresh", "refresh-0")]).await?),
                _ => drop(app.replace_all(&[NewCredential::new("refresh", "refresh-0")]).await?),
            }
            let connected = app.get_all().await?;
            assert_eq!(connected.refresh, RefreshState::Idle);
            let done = app.refresh(connected, &refresh(), provider.exchange(0)).await?;
            assert_eq!((done.by, provider.exchanges()), (RefreshedBy::ThisCall, 1));
            Ok(())
        });
    }
}

#[test]
fn an_account_that_is_upserted_with_new_credentials_is_refreshed_again() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        let account = org.upsert_account(id("a")).with_credential("refresh", "refresh-0").await?.account;
        let app = account.app(IntegrationId::default_app());
        let reject = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
        app.refresh(app.get_all().await?, &refresh(), reject).await.unwrap_err();
        account.update().name("Acme").with_default_app().await?;
        assert!(matches!(app.get_all().await?.refresh, RefreshState::Rejected { .. }));
        account.update().with_credential("refresh", "refresh-1").await?;
        assert_eq!(app.get_all().await?.refresh, RefreshState::Idle);
        Ok(())
    });
}

#[test]
fn single_credentials_that_are_set_do_not_end_an_uncertain_outcome() {
    with_provider(async |app, _, _| {
        let lost = async |_: &Credentials| Err(Unrefreshed::Unknown(Error::Locked));
        app.refresh(app.get_all().await?, &refresh(), lost).await.unwrap_err();
        app.upsert("label", "mine").await?;
        assert_eq!(fault(app.refresh(app.get_all().await?, &refresh(), never).await), uncertain(0));
        Ok(())
    });
}

#[test]
fn what_a_refresh_returns_is_what_the_store_holds_whatever_was_written_meanwhile() {
    for meanwhile in 0..5 {
        with_provider(async |app, provider, _| {
            app.upsert("label", "old").await?;
            let exchange = async |old: &Credentials| {
                match meanwhile {
                    0 => drop(app.upsert("label", "new").await?),
                    1 => drop(app.upsert("another", "new").await?),
                    2 => drop(app.delete("label").await?),
                    3 => drop(app.upsert("access", "by hand").await?),
                    _ => {}
                }
                provider.answer(old)
            };
            let done = app.refresh(app.get_all().await?, &refresh(), exchange).await?;
            let held = app.get_all().await?;
            assert_eq!((done.by, done.credentials.revision), (RefreshedBy::ThisCall, held.revision));
            assert_eq!(shown(&done.credentials), shown(&held));
            Ok(())
        });
    }
}

#[test]
fn a_holder_whose_turn_was_taken_over_is_not_told_that_the_old_credentials_are_refreshed() {
    let ends: [(End, RefreshError); 3] = [
        (Unrefreshed::Unused, uncertain(0)),
        (Unrefreshed::Rejected, RefreshError::Rejected { since: Timestamp::from_ms(31_000) }),
        (Unrefreshed::Unknown, uncertain(0)),
    ];
    for (end, expected) in ends {
        with_provider(async |app, provider, clock| {
            let late = async |old: &Credentials| {
                clock.advance(Duration::from_secs(31));
                let policy = refresh().on_uncertain(OnUncertain::TryKept);
                let fails = async |_: &Credentials| Err(end(Error::Locked));
                app.refresh(app.get_all().await?, &policy, fails).await.unwrap_err();
                provider.answer(old)
            };
            let seen = app.get_all().await?;
            assert_eq!(fault(app.refresh(seen, &refresh(), late).await), expected);
            assert_eq!(token(&app.get_all().await?, "refresh"), "refresh-0");
            Ok(())
        });
    }
}

#[test]
fn credentials_of_another_integration_are_refused_before_anything_is_called() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let (app, account) = (app(&vault).await?, org_of(&vault).account(id("a")));
        account.add_integration(&id("crm")).await?;
        let (mine, provider) = (account.app(id("crm")), Provider::default());
        for (stranger, seen) in [(&app, mine.get_all().await?), (&mine, app.get_all().await?)] {
            assert_eq!(fault(stranger.refresh(seen, &refresh(), never).await), RefreshError::OfAnother);
        }
        // What a refresh returned is of its integration.
        provider.connect(&app).await?;
        let done = app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
        app.refresh(done.credentials, &refresh(), provider.exchange(0)).await?;
        assert_eq!((provider.exchanges(), provider.replays()), (2, 0));
        Ok(())
    });
}

#[test]
fn the_audit_says_when_a_refresh_became_uncertain_or_was_rejected_and_who_settled_it() {
    run(async {
        let clock = ManualClock::default();
        let vault = vault(MemoryStore::new(), VaultOptions::default().clock(clock.clone())).await?;
        vault.change_settings(|settings| settings.audit = true).await?;
        let org = org_of(&vault).acting_as("user:alice".parse()?);
        let account = org.upsert_account(id("a")).with_default_app().await?.account;
        let (app, provider) = (account.app(IntegrationId::default_app()), Provider::default());
        provider.connect(&app).await?;
        let begun = org.audit(&AuditFilter::all(), PageRequest::first(100)).await?.items.len();

        let ends: [End; 3] = [Unrefreshed::Unused, Unrefreshed::Rejected, Unrefreshed::Unknown];
        for end in ends {
            app.refresh(app.get_all().await?, &refresh(), async |_: &Credentials| Err(end(Error::Locked)))
                .await
                .unwrap_err();
            app.settle_refresh().await?;
        }
        // One whose holder died is uncertain from when somebody finds that out.
        for policy in [refresh(), refresh().on_uncertain(OnUncertain::TryKept)] {
            let (seen, mine) = (app.get_all().await?, refresh());
            let dead = app.refresh(seen, &mine, provider.exchange(usize::MAX));
            {
                pin_mut!(dead);
                assert!(poll_immediate(&mut dead).await.is_none());
            }
            clock.advance(Duration::from_secs(30));
            app.refresh(app.get_all().await?, &policy, provider.exchange(0)).await.ok();
            app.settle_refresh().await?;
        }

        let events = org.audit(&AuditFilter::all(), PageRequest::first(100)).await?.items;
        assert!(events.iter().all(|event| event.actor.as_deref() == Some("user:alice")));
        let changes = events.iter().skip(begun).flat_map(|event| &event.changes);
        let kinds: Vec<EventKind> = changes.clone().map(|change| change.kind).collect();
        let rejected = EventKind::ConnectionExpired;
        let (uncertain, settled) = (EventKind::RefreshUncertain, EventKind::RefreshSettled);
        assert_eq!(
            kinds[..],
            [rejected, settled, uncertain, settled, uncertain, settled, uncertain, rejected, settled]
        );
        for change in changes {
            assert_eq!(change.integration, Some(IntegrationId::default_app()));
            assert_eq!(change.linked_account, Some(id("a")));
        }
        Ok(())
    });
}

async fn never(_: &Credentials) -> Result<Vec<NewCredential>, Unrefreshed<Error>> {
    panic!("called")
}

type End = fn(Error) -> Unrefreshed<Error>;

/// Of a lease the answer is lost, whether it was written or not, and so is the answer of one of the reads that follow.
#[test]
fn a_refresh_whose_lease_had_a_lost_answer_succeeds_or_has_called_nothing() {
    let mut succeeded = [0, 0];
    for (way, lost) in [Fault::After(Indeterminate), Fault::Before(Indeterminate)].into_iter().enumerate() {
        for read in 0..6 {
            run(async {
                let store = Faulty::new(Arc::new(MemoryStore::new()));
                let app = app(&vault(store.clone(), VaultOptions::default()).await?).await?;
                let provider = Provider::default();
                provider.connect(&app).await?;
                let stale = app.get_all().await?;
                let (commit, read) = (store.commits_len(), store.reads_len() + read);
                let _faults = store
                    .clone()
                    .on_commits(commit..=commit, lost)
                    .on_reads(read..=read, Fault::Before(Unavailable));
                match app.refresh(stale, &refresh(), provider.exchange(0)).await {
                    Ok(_) => {
                        assert_eq!((provider.exchanges(), provider.replays()), (1, 0), "{lost:?}, {read}");
                        succeeded[way] += 1;
                    }
                    Err(error) => {
                        let kind = error.kind();
                        assert!(matches!(kind, ErrorKind::Indeterminate | ErrorKind::Busy), "{error:?}");
                        assert_eq!((provider.exchanges(), provider.replays()), (0, 0), "{lost:?}, {read}");
                    }
                }
                Ok(())
            });
        }
    }
    assert!(succeeded.iter().all(|succeeded| *succeeded > 1), "{succeeded:?}");
}

fn shown(credentials: &Credentials) -> Vec<(String, u64, String)> {
    let shown = |item: &Credential| {
        let info = &item.info;
        (info.key_name.to_string(), info.revision.as_u64(), item.value.expose().to_owned())
    };
    credentials.items.iter().map(shown).collect()
}
