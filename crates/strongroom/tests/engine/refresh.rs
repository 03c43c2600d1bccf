//! Tokens that are refreshed once, against a provider that takes each refresh token once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::{join, join_all, poll_immediate};
use futures_util::pin_mut;
use strongroom::store::StoreErrorKind;
use strongroom::{
    Account, AppCredentials, Credentials, Error, IntegrationId, ManualClock, NewCredential, OnUncertain,
    Refresh, RefreshError, RefreshState, Refreshed, RefreshedBy, Timestamp, Unrefreshed, Vault, VaultOptions,
    WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{id, org_of, run, unlock, vault};
use crate::rig::{Hooked, Point};

#[test]
fn of_any_number_of_tasks_and_engines_one_calls_the_provider() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let provider = Provider::default();
        provider.connect(&app(&vault(Arc::clone(&store), VaultOptions::default()).await?).await?).await?;
        let engines = [open(&store).await?, open(&store).await?];
        for round in 1..=EXPIRIES {
            let calls = (0..TASKS).map(|task| {
                let (app, provider) = (&engines[task % 2], &provider);
                async move {
                    let seen = app.get_all().await?;
                    app.refresh(seen, &refresh(), provider.exchange(3)).await
                }
            });
            let done = join_all(calls).await.into_iter().collect::<Result<Vec<Refreshed>, Error>>()?;
            assert_eq!(done.iter().filter(|done| done.by == RefreshedBy::ThisCall).count(), 1);
            let tokens: BTreeSet<_> = done.iter().map(|done| token(&done.credentials, "access")).collect();
            assert_eq!(tokens, BTreeSet::from([format!("access-{round}")]));
        }
        assert_eq!((provider.exchanges(), provider.replays()), (EXPIRIES, 0));
        Ok(())
    });
}

#[test]
fn threads_of_two_engines_exchange_once_an_expiry() {
    let store = Arc::new(MemoryStore::new());
    let provider = Arc::new(Provider::default());
    run(async {
        provider.connect(&app(&vault(Arc::clone(&store), VaultOptions::default()).await?).await?).await
    });
    let apps = [block_on(open(&store)).unwrap(), block_on(open(&store)).unwrap()];
    for _ in 0..EXPIRIES {
        std::thread::scope(|scope| {
            for app in apps.iter().cycle().take(4) {
                scope.spawn(|| {
                    block_on(async {
                        let seen = app.get_all().await?;
                        app.refresh(seen, &refresh(), provider.exchange(1)).await
                    })
                    .unwrap()
                });
            }
        });
    }
    // A thread that reads late sees the new token as expired, and exchanges it too: never the same one twice.
    assert!(provider.exchanges() >= EXPIRIES && provider.replays() == 0);
    let held = block_on(apps[0].get_all()).unwrap();
    assert_eq!(token(&held, "access"), format!("access-{}", provider.exchanges()));
}

#[test]
fn of_the_tasks_of_an_engine_that_wait_for_a_refresh_one_looks_at_the_store() {
    run(async {
        let store = Faulty::new(Hooked::new(Arc::new(MemoryStore::new())).shared());
        let app = app(&vault(store.clone(), VaultOptions::default()).await?).await?;
        let provider = Provider::default();
        provider.connect(&app).await?;
        let calls = (0..TASKS).map(|_| {
            let (app, provider) = (&app, &provider);
            async move { app.refresh(app.get_all().await?, &refresh(), provider.exchange(POLLS)).await }
        });
        let before = store.reads_len();
        let done = join_all(calls).await.into_iter().collect::<Result<Vec<Refreshed>, Error>>()?;
        assert!(done.iter().all(|done| token(&done.credentials, "access") == "access-1"));
        // What each has seen, that it is under way, and what came of it; and one pause takes two polls.
        let reads = store.reads_len() - before;
        assert!(reads > POLLS / 2 && reads < POLLS + 5 * TASKS, "{reads}");
        Ok(())
    });
}

#[test]
fn when_the_task_that_looks_for_others_is_dropped_the_next_one_does() {
    with_provider(async |app, provider, _| {
        let call = async || app.refresh(app.get_all().await?, &refresh(), provider.exchange(POLLS)).await;
        let (holder, waits, other) = (call(), call(), call());
        pin_mut!(holder, other);
        assert!(poll_immediate(holder.as_mut()).await.is_none());
        {
            pin_mut!(waits);
            for _ in 0..10 {
                assert!(poll_immediate(waits.as_mut()).await.is_none());
                assert!(poll_immediate(other.as_mut()).await.is_none());
            }
        }
        let (held, waited) = join(holder, other).await;
        assert_eq!((held?.by, waited?.by), (RefreshedBy::ThisCall, RefreshedBy::Another));
        Ok(())
    });
}

#[test]
fn without_contention_it_costs_two_commits_and_no_read() {
    run(async {
        let store = Faulty::new(Hooked::new(Arc::new(MemoryStore::new())).shared());
        let app = app(&vault(store.clone(), VaultOptions::default()).await?).await?;
        let provider = Provider::default();
        provider.connect(&app).await?;
        let seen = app.get_all().await?;
        let before = (store.commits_len(), store.reads_len());
        app.refresh(seen, &refresh(), provider.exchange(0)).await.map(drop)?;
        assert_eq!((store.commits_len() - before.0, store.reads_len() - before.1), (2, 0));
        Ok(())
    });
}

#[test]
fn a_holder_that_comes_back_after_its_lease_cannot_write() {
    with_provider(async |app, provider, clock| {
        let seen = app.get_all().await?;
        let paused = app
            .refresh(seen, &refresh(), async |old: &Credentials| {
                let new = provider.answer(old);
                clock.advance(Duration::from_secs(31));
                new
            })
            .await;
        assert_eq!(fault(paused), uncertain(0));
        let kept = app.get_all().await?;
        assert_eq!((token(&kept, "refresh"), kept.refresh), ("refresh-0".to_owned(), UNCERTAIN));
        let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
        assert_eq!(fault(app.refresh(kept, &refresh(), never).await), uncertain(0));
        // The old token was used up: the customer connects again.
        let again = refresh().on_uncertain(OnUncertain::TryKept);
        assert!(app.refresh(app.get_all().await?, &again, provider.exchange(0)).await.is_err());
        provider.connect(&app).await?;
        let connected = app.get_all().await?;
        assert_eq!(connected.refresh, RefreshState::Idle);
        app.refresh(connected, &refresh(), provider.exchange(0)).await.map(drop)
    });
}

#[test]
fn a_holder_is_fenced_off_by_whoever_says_that_its_lease_is_over_whatever_its_own_clock_says() {
    for policy in [OnUncertain::Refuse, OnUncertain::TryKept] {
        with_provider(async |app, _, clock| {
            let seen = app.get_all().await?;
            let answer = app
                .refresh(seen, &refresh(), async |_: &Credentials| {
                    clock.advance(Duration::from_secs(31));
                    let other = refresh().on_uncertain(policy);
                    let taken = app.refresh(app.get_all().await?, &other, async |_: &Credentials| {
                        Ok::<_, Unrefreshed<Error>>(vec![NewCredential::new("access", "of the other")])
                    });
                    assert_eq!(taken.await.is_ok(), policy == OnUncertain::TryKept);
                    clock.set(Timestamp::from_ms(0));
                    Ok(vec![NewCredential::new("access", "late")])
                })
                .await;
            let held = token(&app.get_all().await?, "access");
            match policy {
                OnUncertain::TryKept => {
                    assert_eq!((answer?.by, held.as_str()), (RefreshedBy::Another, "of the other"));
                }
                _ => {
                    assert_eq!(fault(answer), uncertain(0));
                    assert_eq!(held, "access-0");
                }
            }
            Ok(())
        });
    }
}

#[test]
fn a_holder_that_was_paused_before_it_called_begins_again() {
    run(async {
        let (clock, store) = (ManualClock::default(), Hooked::new(Arc::new(MemoryStore::new())));
        let hooked = store.shared();
        let app = app(&vault(hooked, VaultOptions::default().clock(clock.clone())).await?).await?;
        let provider = Provider::default();
        provider.connect(&app).await?;
        let seen = app.get_all().await?;
        store.once(Point::AfterCommit, move || clock.advance(Duration::from_secs(30)));
        let done = app.refresh(seen, &refresh(), provider.exchange(0)).await?;
        assert_eq!((done.by, provider.exchanges(), provider.replays()), (RefreshedBy::ThisCall, 1, 0));
        assert_eq!((app.get_all().await?.refresh, store.hooks_left()), (RefreshState::Idle, 0));
        Ok(())
    });
}

#[test]
fn a_caller_that_dies_in_the_exchange_leaves_the_old_credentials_and_an_uncertain_outcome() {
    with_provider(async |app, provider, clock| {
        let policy = refresh().wait(Duration::from_millis(100));
        let dead = app.refresh(app.get_all().await?, &policy, provider.exchange(usize::MAX));
        {
            pin_mut!(dead);
            assert!(poll_immediate(&mut dead).await.is_none());
        }
        let kept = app.get_all().await?;
        assert_eq!(kept.refresh, RefreshState::Underway { until: Timestamp::from_ms(30_000) });
        // While its lease lasts, the others wait.
        let late = app.refresh(kept, &policy, provider.exchange(0)).await;
        assert_eq!(fault(late), RefreshError::StillStale);
        clock.advance(Duration::from_secs(30));
        let kept = app.get_all().await?;
        assert_eq!((token(&kept, "refresh"), kept.refresh), ("refresh-0".to_owned(), UNCERTAIN));
        assert_eq!(fault(app.refresh(kept, &policy, provider.exchange(0)).await), uncertain(0));
        assert_eq!((provider.exchanges(), provider.replays()), (1, 0));
        Ok(())
    });
}

#[test]
fn who_waits_for_another_caller_waits_for_no_longer_than_was_said() {
    with_provider(async |app, provider, _| {
        let policy = refresh();
        let underway = app.refresh(app.get_all().await?, &policy, provider.exchange(usize::MAX));
        pin_mut!(underway);
        assert!(poll_immediate(underway.as_mut()).await.is_none());
        let waited = Arc::new(Mutex::new(Duration::ZERO));
        let sum = Arc::clone(&waited);
        let timer = move |pause: Duration| {
            *sum.lock().unwrap() += pause;
            yielded()
        };
        let patient = Refresh::new(timer).wait(Duration::from_millis(100));
        let late = app.refresh(app.get_all().await?, &patient, provider.exchange(0)).await;
        assert_eq!(fault(late), RefreshError::StillStale);
        assert_eq!(*waited.lock().unwrap(), Duration::from_millis(100));
        Ok(())
    });
}

#[test]
fn an_answer_is_not_lost_to_a_store_that_fails_for_a_while() {
    for fault in [
        Fault::Before(StoreErrorKind::Unavailable),
        Fault::Before(StoreErrorKind::Contention),
        Fault::Before(StoreErrorKind::Indeterminate),
        Fault::After(StoreErrorKind::Indeterminate),
    ] {
        run(async {
            let store = Faulty::new(MemoryStore::new());
            let app = app(&vault(store.clone(), VaultOptions::default()).await?).await?;
            let provider = Provider::default();
            provider.connect(&app).await?;
            let next = store.commits_len() + 1;
            let store = store.on_commits(next..next + 20, fault);
            let done = app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
            assert_eq!(
                (done.by, token(&done.credentials, "access").as_str()),
                (RefreshedBy::ThisCall, "access-1")
            );
            assert!(store.commits_len() > next);
            let held = app.get_all().await?;
            assert_eq!((token(&held, "refresh").as_str(), held.refresh), ("refresh-1", RefreshState::Idle));
            Ok(())
        });
    }
}

#[test]
fn a_provider_that_did_not_use_the_token_leaves_the_turn_to_the_next_and_a_lost_answer_does_not() {
    with_provider(async |app, provider, _| {
        let refused = app
            .refresh(app.get_all().await?, &refresh(), async |_: &Credentials| {
                Err(Unrefreshed::Unused(Error::Locked))
            })
            .await;
        assert!(matches!(refused, Err(Error::Locked)));
        app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
        let lost = app
            .refresh(app.get_all().await?, &refresh(), async |old: &Credentials| {
                let _answer = provider.answer(old)?;
                Err(Error::Locked)?
            })
            .await;
        assert!(matches!(lost, Err(Error::Locked)));
        assert_eq!(app.get_all().await?.refresh, UNCERTAIN);
        Ok(())
    });
}

#[test]
fn who_waited_for_a_refresh_that_gave_nothing_does_not_show_the_provider_the_same_token() {
    type End = fn(Error) -> Unrefreshed<Error>;
    let ends: [(End, RefreshError, RefreshState); 3] = [
        (Unrefreshed::Unused, RefreshError::StillStale, RefreshState::Idle),
        (Unrefreshed::Rejected, REJECTED, RefreshState::Rejected { since: Timestamp::from_ms(0) }),
        (Unrefreshed::Unknown, uncertain(0), UNCERTAIN),
    ];
    for (end, told, state) in ends {
        with_provider(async |app, provider, _| {
            let called = AtomicUsize::new(0);
            let calls = (0..TASKS).map(|_| async {
                let policy = refresh().on_uncertain(OnUncertain::TryKept);
                let fails = async |_: &Credentials| {
                    called.fetch_add(1, Ordering::Relaxed);
                    for _ in 0..3 {
                        yielded().await;
                    }
                    Err(end(Error::Locked))
                };
                app.refresh(app.get_all().await?, &policy, fails).await
            });
            let faults: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::err).collect();
            assert_eq!((called.into_inner(), faults.len()), (1, TASKS));
            let same = |fault: &&Error| matches!(fault, Error::Refresh(fault) if *fault == told);
            assert_eq!(faults.iter().filter(same).count(), TASKS - 1);
            assert_eq!(app.get_all().await?.refresh, state);
            // The next call goes by what is known of the token.
            let policy = refresh().on_uncertain(OnUncertain::TryKept);
            let next = app.refresh(app.get_all().await?, &policy, provider.exchange(0)).await;
            assert_eq!(
                (next.is_ok(), provider.exchanges()),
                (told != REJECTED, usize::from(told != REJECTED))
            );
            Ok(())
        });
    }
}

#[test]
fn a_lease_that_nobody_ended_is_taken_over_by_one_of_those_who_waited() {
    with_provider(async |app, provider, clock| {
        let policy = refresh().on_uncertain(OnUncertain::TryKept);
        let dead = app.refresh(app.get_all().await?, &policy, async |_: &Credentials| {
            std::future::pending::<Result<_, Unrefreshed<Error>>>().await
        });
        pin_mut!(dead);
        assert!(poll_immediate(&mut dead).await.is_none());
        let waiting = (0..TASKS).map(|task| {
            let (app, provider, clock, policy) = (&app, &provider, &clock, &policy);
            async move {
                let seen = app.get_all().await?;
                if task == TASKS - 1 {
                    clock.advance(Duration::from_secs(31));
                }
                app.refresh(seen, policy, provider.exchange(3)).await
            }
        });
        let done = join_all(waiting).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        assert_eq!(done.iter().filter(|done| done.by == RefreshedBy::ThisCall).count(), 1);
        assert_eq!((provider.exchanges(), provider.replays()), (1, 0));
        Ok(())
    });
}

#[test]
fn what_was_rejected_is_tried_again_only_if_the_host_says_that_it_is_good_or_sets_it_anew() {
    with_provider(async |app, provider, _| {
        let reject = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
        let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
        for settle in [true, false] {
            app.refresh(app.get_all().await?, &refresh(), reject).await.unwrap_err();
            assert_eq!(fault(app.refresh(app.get_all().await?, &refresh(), never).await), REJECTED);
            if settle {
                assert!(app.settle_refresh().await? && !app.settle_refresh().await?);
            } else {
                provider.connect(&app).await?;
            }
            app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await?;
        }
        assert_eq!((provider.exchanges(), provider.replays()), (2, 0));
        Ok(())
    });
}

#[test]
fn a_write_of_other_credentials_of_the_account_does_not_keep_a_refresh_from_ending() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let (app, provider) = (app(&vault).await?, Provider::default());
        provider.connect(&app).await?;
        let account = org_of(&vault).account(id("a"));
        account.add_integration(&id("crm")).await?;
        let refused = app
            .refresh(app.get_all().await?, &refresh(), async |_: &Credentials| {
                account.app(id("crm")).upsert("token", "t").await?;
                Err(Unrefreshed::Unused(Error::Locked))
            })
            .await;
        assert!(matches!(refused, Err(Error::Locked)));
        assert_eq!(app.get_all().await?.refresh, RefreshState::Idle);
        app.refresh(app.get_all().await?, &refresh(), provider.exchange(0)).await.map(drop)
    });
}

#[test]
fn an_explicit_write_of_the_same_credentials_wins_and_one_of_others_stays() {
    with_provider(async |app, provider, _| {
        let done = app
            .refresh(app.get_all().await?, &refresh(), async |old: &Credentials| {
                app.upsert("label", "mine").await?;
                provider.answer(old)
            })
            .await;
        let done = done?;
        assert_eq!(
            (done.by, token(&app.get_all().await?, "label").as_str()),
            (RefreshedBy::ThisCall, "mine")
        );
        let done = app
            .refresh(app.get_all().await?, &refresh(), async |old: &Credentials| {
                app.upsert("refresh", "by hand").await?;
                provider.answer(old)
            })
            .await;
        let held = done?.credentials;
        assert_eq!(
            (token(&held, "access").as_str(), token(&held, "refresh").as_str()),
            ("access-2", "by hand")
        );
        assert_eq!(app.get_all().await?.refresh, RefreshState::Idle);
        Ok(())
    });
}

#[test]
fn a_write_or_a_delete_of_another_credential_in_the_exchange_shows_no_token_twice() {
    with_provider(async |app, provider, _| {
        for round in 0..2 {
            let refresh = refresh();
            let done = app.refresh(app.get_all().await?, &refresh, async |old: &Credentials| {
                match round {
                    0 => drop(app.upsert("access", "mine").await?),
                    _ => drop(app.delete("access").await?),
                }
                provider.answer(old)
            });
            assert_eq!(done.await?.by, RefreshedBy::ThisCall);
        }
        let held = app.get_all().await?;
        assert!(held.get("access").is_none());
        assert_eq!(token(&held, "refresh"), "refresh-2");
        let exchange = async |old: &Credentials| provider.answer(old);
        app.refresh(held, &refresh(), exchange).await?;
        Ok(())
    });
}

#[test]
fn credentials_that_were_replaced_are_not_refreshed() {
    with_provider(async |app, provider, _| {
        let seen = app.get_all().await?;
        let done = app
            .refresh(app.get_all().await?, &refresh(), async |old: &Credentials| {
                let late = provider.answer(old);
                app.replace_all(&[NewCredential::new("access", "new"), NewCredential::new("refresh", "new")])
                    .await?;
                late
            })
            .await;
        assert_eq!(done?.by, RefreshedBy::Another);
        let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
        let late = app.refresh(seen, &refresh(), never).await?;
        assert_eq!((late.by, token(&late.credentials, "access").as_str()), (RefreshedBy::Another, "new"));
        Ok(())
    });
}

#[test]
fn leases_and_expiries_that_make_no_sense_are_refused_before_anything_is_called_or_written() {
    with_provider(async |app, _, clock| {
        clock.set(Timestamp::from_ms(1_000));
        let before = app.get_all().await?;
        for (lease, expected) in [
            (Duration::ZERO, RefreshError::LeaseOutOfBounds),
            (Duration::from_secs(3_601), RefreshError::LeaseOutOfBounds),
            (Duration::MAX, RefreshError::LeaseOutOfBounds),
        ] {
            let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
            assert_eq!(
                fault(app.refresh(app.get_all().await?, &refresh().lease(lease), never).await),
                expected
            );
        }
        let past = NewCredential::new("access", "x").expires_at(Timestamp::from_ms(1_000));
        assert!(matches!(app.set_many(&[past]).await, Err(Error::InvalidMetadata(_))));
        assert_eq!(app.get_all().await?.revision, before.revision);
        Ok(())
    });
}

#[test]
fn a_lease_is_of_1_second_to_1_hour_and_of_no_millisecond_less_or_more() {
    with_provider(async |app, provider, _| {
        let lease = |ms| refresh().lease(Duration::from_millis(ms));
        for ms in [1_000, 3_600_000] {
            app.refresh(app.get_all().await?, &lease(ms), provider.exchange(0)).await?;
        }
        for ms in [999, 3_600_001] {
            let never = async |_: &Credentials| -> Result<_, Unrefreshed<Error>> { panic!("called") };
            let refused = app.refresh(app.get_all().await?, &lease(ms), never).await;
            assert_eq!(fault(refused), RefreshError::LeaseOutOfBounds);
        }
        Ok(())
    });
}

#[test]
fn a_token_that_has_expired_is_refreshed_however_short_its_life_was() {
    with_provider(async |app, provider, clock| {
        clock.set(Timestamp::from_ms(1_000));
        app.upsert_with("access", "x", WriteOptions::default().expires_at(Timestamp::from_ms(2_000))).await?;
        clock.set(Timestamp::from_ms(2_000));
        let exchange = async |old: &Credentials| provider.answer(old);
        let refreshed = app.refresh(app.get_all().await?, &refresh(), exchange).await?;
        assert_eq!(refreshed.by, RefreshedBy::ThisCall);
        Ok(())
    });
}

/// What expires, and what the host keeps beside it.
async fn expired(app: &AppCredentials, clock: &ManualClock) -> Result<Credentials, Error> {
    clock.set(Timestamp::from_ms(1_000));
    app.upsert_with("access", "old", WriteOptions::default().expires_at(Timestamp::from_ms(2_000))).await?;
    clock.set(Timestamp::from_ms(2_000));
    let seen = app.get_all().await?;
    app.upsert("workspace", "Acme").await?;
    Ok(seen)
}

#[test]
fn a_write_of_what_does_not_expire_is_no_refresh() {
    with_provider(async |app, provider, clock| {
        let seen = expired(&app, &clock).await?;
        let exchange = async |old: &Credentials| provider.answer(old);
        let refreshed = app.refresh(seen, &refresh(), exchange).await?;
        assert_eq!((refreshed.by, provider.exchanges()), (RefreshedBy::ThisCall, 1));
        assert_eq!(token(&refreshed.credentials, "access"), "access-1");
        Ok(())
    });
}

#[test]
fn who_waited_for_nothing_is_given_no_old_token_whatever_else_was_written() {
    with_provider(async |app, _, clock| {
        expired(&app, &clock).await?;
        let policy = refresh();
        let fails = async |_: &Credentials| {
            yielded().await;
            app.upsert("workspace", "Other").await.unwrap();
            yielded().await;
            Err(Unrefreshed::Unused(Error::Locked))
        };
        let never = async |_: &Credentials| Err(Unrefreshed::Unused(Error::WrongKey));
        let (seen, same) = (app.get_all().await?, app.get_all().await?);
        let both = join(app.refresh(seen, &policy, fails), app.refresh(same, &policy, never));
        let (first, waited) = both.await;
        assert!(matches!(first, Err(Error::Locked)));
        assert!(matches!(waited, Err(Error::Refresh(RefreshError::StillStale))), "{waited:?}");
        Ok(())
    });
}

#[test]
fn a_refresh_can_run_on_a_task_of_its_own() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    with_provider(async |app, provider, _| {
        let seen = app.get_all().await?;
        let exchange = async |old: &Credentials| provider.answer(old);
        is_send(app.refresh(seen, &refresh(), exchange)).await.map(drop)
    });
}

/// Issues tokens by number, and takes each refresh token once.
#[derive(Default)]
pub(crate) struct Provider(Mutex<Issued>);

#[derive(Default)]
struct Issued {
    latest: usize,
    replays: usize,
}

impl Provider {
    /// As after a customer's consent: what was issued before is void.
    pub(crate) async fn connect(&self, app: &AppCredentials) -> Result<(), Error> {
        let latest = self.0.lock().unwrap().latest;
        app.replace_all(&tokens(latest)).await.map(drop)
    }

    pub(crate) fn answer(&self, old: &Credentials) -> Result<Vec<NewCredential>, Unrefreshed<Error>> {
        let mut issued = self.0.lock().unwrap();
        if token(old, "refresh") != format!("refresh-{}", issued.latest) {
            issued.replays += 1;
            return Err(Unrefreshed::Rejected(Error::WrongKey));
        }
        issued.latest += 1;
        Ok(tokens(issued.latest))
    }

    /// An exchange whose answer takes some time.
    pub(crate) fn exchange(
        &self,
        polls: usize,
    ) -> impl AsyncFnOnce(&Credentials) -> Result<Vec<NewCredential>, Unrefreshed<Error>> {
        async move |old: &Credentials| {
            let answer = self.answer(old);
            for _ in 0..polls {
                yielded().await;
            }
            answer
        }
    }

    pub(crate) fn exchanges(&self) -> usize {
        self.0.lock().unwrap().latest
    }

    pub(crate) fn replays(&self) -> usize {
        self.0.lock().unwrap().replays
    }
}

fn tokens(number: usize) -> Vec<NewCredential> {
    ["access", "refresh"].map(|name| NewCredential::new(name, format!("{name}-{number}"))).into()
}

/// An engine of its own on a shared store.
async fn open(store: &Arc<MemoryStore>) -> Result<AppCredentials, Error> {
    app(&Vault::open(Hooked::new(Arc::clone(store)).shared(), unlock()).await?).await
}

pub(crate) async fn app(vault: &Vault) -> Result<AppCredentials, Error> {
    let account: Account = org_of(vault).upsert_account(id("a")).with_default_app().await?.account;
    Ok(account.app(IntegrationId::default_app()))
}

pub(crate) fn with_provider(
    test: impl AsyncFnOnce(AppCredentials, Provider, ManualClock) -> Result<(), Error>,
) {
    run(async {
        let (clock, provider) = (ManualClock::default(), Provider::default());
        let app =
            app(&vault(MemoryStore::new(), VaultOptions::default().clock(clock.clone())).await?).await?;
        provider.connect(&app).await?;
        test(app, provider, clock).await
    });
}

/// A timer that passes at once, so that no test sleeps.
pub(crate) fn refresh() -> Refresh {
    Refresh::new(|_| yielded()).wait(Duration::from_secs(1_000_000))
}

pub(crate) async fn yielded() {
    let mut polled = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

pub(crate) fn token(credentials: &Credentials, name: &str) -> String {
    credentials.get(name).unwrap().value.expose().to_owned()
}

pub(crate) fn fault(refreshed: Result<Refreshed, Error>) -> RefreshError {
    match refreshed {
        Err(Error::Refresh(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn uncertain(since_ms: u64) -> RefreshError {
    RefreshError::Uncertain { since: Timestamp::from_ms(since_ms) }
}

pub(crate) const REJECTED: RefreshError = RefreshError::Rejected { since: Timestamp::from_ms(0) };
pub(crate) const UNCERTAIN: RefreshState = RefreshState::Uncertain { since: Timestamp::from_ms(0) };
const EXPIRIES: usize = 100;
const TASKS: usize = 16;
const POLLS: usize = 1_000;
