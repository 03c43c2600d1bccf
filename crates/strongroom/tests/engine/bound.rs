//! A handle that is bound to one registration of an account: once that is over, nothing of it is written or read,
//! whoever comes in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use strongroom::store::{Key, StoreErrorKind};
use strongroom::{
    Account, Credentials, DefinitionFilter, DefinitionRef, DocumentId, Error, Expected, IntegrationId,
    NewCredential, PageRequest, Refresh, Revision, ScopeKind, Scopes, Unrefreshed, Upsert, WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::plant;
use crate::rig::{
    Hooked, Kind, Point, RowKey, Rows, account, audit, base, flip, of_account, open, org, rows,
    stop_after_first_commit, text,
};

/// An account with a value, a credential and an integration of each kind.
fn furnished() -> (Arc<MemoryStore>, DocumentId) {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.define(text("W")).await?;
        let account = org.create_account(account("a")).with_credential("k", "c").await?;
        account.add_integration(&"crm".parse()?).await?;
        account.set_value("V", "v").await?;
        Ok(())
    });
    let id = block_on(org(&open(Arc::clone(&base))).value("V", of_account("a"))).unwrap().unwrap().id;
    (base, id)
}

type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
type Case = (&'static str, fn(Account, DocumentId) -> Answer);

macro_rules! case {
    ($name:literal, |$account:ident, $id:ident| $body:expr) => {
        ($name, |$account, $id| {
            Box::pin(async move {
                let _: DocumentId = $id;
                $body.map(drop)
            })
        })
    };
}

fn writes() -> Vec<Case> {
    vec![
        case!("set_value", |account, id| account.set_value("V", "of life 1").await),
        case!("set_value, a first one", |account, id| account.set_value("W", "of life 1").await),
        case!("delete_value", |account, id| account.delete_value("V").await),
        case!("delete_value_by_id", |account, id| account.delete_value_by_id(&id).await),
        case!("upsert_credential", |account, id| account.upsert_credential("k", "of life 1").await),
        case!("delete_credential", |account, id| account.delete_credential("k").await),
        case!("add_integration", |account, id| account.add_integration(&"new".parse()?).await),
        case!("delete_integration", |account, id| account.delete_integration(&"crm".parse()?).await),
        case!("update", |account, id| account.update().name("of life 1").with_credential("k", "x").await),
        case!("rotate_keys", |account, id| account.rotate_keys().await),
    ]
}

fn reads() -> Vec<Case> {
    vec![
        case!("value", |account, id| account.value("V").await),
        case!("value_by_id", |account, id| account.value_by_id(&id).await),
        case!("values", |account, id| account.values(PageRequest::default()).await),
        case!("credential", |account, id| account.credential("k").await),
        case!("credentials", |account, id| account.credentials(PageRequest::default()).await),
        case!("integration", |account, id| account.integration(&IntegrationId::default_app()).await),
        case!("integrations", |account, id| account.integrations(PageRequest::default()).await),
        case!("definitions", |account, id| {
            account.definitions(&DefinitionFilter::default(), PageRequest::default()).await
        }),
        case!("usage", |account, id| account.usage().await),
        case!("bound", |account, id| account.bound().await),
    ]
}

/// All rows but those of jobs on keys, of which one comes and goes.
fn rows_but_jobs(store: &Arc<MemoryStore>) -> Rows {
    rows(store).into_iter().filter(|(key, _)| RowKey::parse(key).kind != Kind::KeyJob).collect()
}

/// Registers the account again, with a value and a credential of its own.
async fn register_again(org: &strongroom::Org) {
    let again = org.create_account(account("a")).with_credential("k", "of life 2").await.unwrap();
    again.set_value("V", "of life 2").await.unwrap();
}

#[test]
fn no_verb_of_a_bound_handle_reaches_an_account_that_was_deleted_or_the_next_of_its_id() {
    for is_registered_again in [false, true] {
        for (name, verb) in writes().into_iter().chain(reads()) {
            let (store, id) = furnished();
            let vault = open(Arc::clone(&store));
            let org = org(&vault);
            let bound = block_on(org.account(account("a")).bound()).unwrap();
            block_on(org.delete_account(bound.id())).unwrap();
            if is_registered_again {
                block_on(register_again(&org));
            }
            let before = rows(&store);
            let refused = block_on(verb(bound.clone(), id));
            assert!(matches!(refused, Err(Error::AccountNotFound(_))), "{name}: {refused:?}");
            assert_eq!(before, rows(&store), "{name} wrote something");
            assert!(block_on(bound.info()).unwrap().is_none(), "{name}");
        }
    }
}

#[test]
fn no_error_of_a_bound_handle_tells_of_the_next_registration_of_its_account() {
    let (store, _) = furnished();
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    let bound = block_on(org.account(account("a")).bound()).unwrap();
    block_on(org.delete_account(bound.id())).unwrap();
    block_on(register_again(&org));
    let expecting = |expected| WriteOptions::expecting(expected);
    let old = Expected::Revision(Revision::from_u64(1));
    let refused = [
        block_on(bound.set_value_with("V", "v", expecting(Expected::Absent))).map(drop),
        block_on(bound.set_value_with("V", "v", expecting(old))).map(drop),
        block_on(bound.delete_value_with("V", expecting(Expected::Absent))).map(drop),
        block_on(bound.delete_value_with("V", expecting(old))).map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::AccountNotFound(_))), "{refused:?}");
    }
    let is_value = |(key, _): &(Vec<u8>, Vec<u8>)| RowKey::parse(key).kind == Kind::Value;
    let (key, mut row) = rows(&store).into_iter().find(is_value).unwrap();
    flip(&mut row, usize::MAX, 0);
    block_on(plant(&store, &Key::from(key), Some(row))).unwrap();
    for damaged in [
        block_on(bound.value("V")).map(drop),
        block_on(bound.values(PageRequest::default())).map(drop),
        block_on(bound.delete_value_with("V", expecting(old))).map(drop),
    ] {
        assert!(matches!(damaged, Err(Error::AccountNotFound(_))), "{damaged:?}");
    }
}

#[test]
fn what_the_next_registration_deleted_with_its_history_is_not_purged_by_a_bound_handle() {
    let (store, _) = furnished();
    let vault = open(store);
    let org = org(&vault);
    let bound = block_on(org.account(account("a")).bound()).unwrap();
    block_on(org.delete_account(bound.id())).unwrap();
    block_on(register_again(&org));
    let kept = WriteOptions::default().keep_history();
    block_on(org.delete_value_with("V", of_account("a"), kept)).unwrap();
    let refused = block_on(bound.delete_value("V"));
    assert!(matches!(refused, Err(Error::AccountNotFound(_))), "{refused:?}");
    assert!(block_on(org.undelete_value("V", of_account("a"))).unwrap().is_some());
}

#[test]
fn a_bound_handle_does_all_that_its_account_may() {
    for (name, verb) in writes().into_iter().chain(reads()) {
        let (store, id) = furnished();
        let bound = block_on(org(&open(Arc::clone(&store))).account(account("a")).bound()).unwrap();
        block_on(verb(bound, id)).unwrap_or_else(|error| panic!("{name}: {error}"));
        audit(&store);
    }
}

#[test]
fn a_write_that_is_about_to_land_when_its_account_is_deleted_writes_nothing() {
    for is_registered_again in [false, true] {
        for (name, verb) in writes() {
            let (store, id) = furnished();
            let hooked = Hooked::new(Arc::clone(&store));
            let vault = open(hooked.clone());
            let other = org(&vault);
            let bound = block_on(other.account(account("a")).bound()).unwrap();
            hooked.once(Point::BeforeCommit, move || {
                block_on(other.delete_account(&account("a"))).unwrap();
                if is_registered_again {
                    block_on(register_again(&other));
                }
            });
            let refused = block_on(verb(bound, id));
            assert_eq!(hooked.hooks_left(), 0, "{name}");
            assert!(matches!(refused, Err(Error::AccountNotFound(_))), "{name}: {refused:?}");
            audit(&store);
            let again = org(&vault).account(account("a"));
            if is_registered_again {
                let values = block_on(again.values(PageRequest::default())).unwrap().items;
                assert_eq!(values.len(), 1, "{name}");
                assert_eq!(values[0].value.expose(), "of life 2", "{name}");
                let credential = block_on(again.credential("k")).unwrap().unwrap();
                assert_eq!(credential.value.expose(), "of life 2", "{name}");
                assert_eq!(block_on(again.info()).unwrap().unwrap().name, None, "{name}");
            } else {
                assert!(block_on(again.info()).unwrap().is_none(), "{name}");
                assert!(block_on(again.values(PageRequest::default())).unwrap().items.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn a_rotation_of_a_bound_handle_never_reaches_the_keys_of_the_next_registration() {
    for is_registered_again in [false, true] {
        for (point, skip) in [Point::BeforeRead, Point::AfterRead, Point::BeforeCommit, Point::AfterCommit]
            .into_iter()
            .flat_map(|point| (0..24).map(move |skip| (point, skip)))
        {
            let (store, _) = furnished();
            let hooked = Hooked::new(Arc::clone(&store));
            let vault = open(hooked.clone());
            let (other, next) = (org(&vault), Arc::new(Mutex::new(None)));
            let bound = block_on(other.account(account("a")).bound()).unwrap();
            let (base, made) = (Arc::clone(&store), Arc::clone(&next));
            hooked.once_after(point, skip, move || {
                block_on(other.delete_account(&account("a"))).unwrap();
                if is_registered_again {
                    block_on(register_again(&other));
                }
                *made.lock().unwrap() = Some(rows_but_jobs(&base));
            });
            let answer = block_on(bound.rotate_keys());
            let place = format!("{point:?} {skip}, registered again: {is_registered_again}");
            let Some(next) = next.lock().unwrap().take() else {
                // It was over before the account was.
                answer.unwrap();
                continue;
            };
            assert!(matches!(answer, Err(Error::AccountNotFound(_))), "{place}: {answer:?}");
            assert_eq!(rows_but_jobs(&store), next, "{place}");
            assert!(block_on(vault.jobs(PageRequest::default())).unwrap().items.is_empty(), "{place}");
            audit(&store);
        }
    }
}

#[test]
fn a_job_of_a_bound_handle_ends_with_its_registration_whoever_runs_it() {
    let (store, _) = furnished();
    let faulty = Faulty::new(Arc::clone(&store)).on_commits(0..=0, Fault::After(StoreErrorKind::Poisoned));
    let bound = block_on(org(&open(faulty)).account(account("a")).bound()).unwrap();
    block_on(bound.rotate_keys()).unwrap_err();
    let vault = open(Arc::clone(&store));
    assert_eq!(block_on(vault.jobs(PageRequest::default())).unwrap().items.len(), 1);
    block_on(org(&vault).delete_account(&account("a"))).unwrap();
    block_on(register_again(&org(&vault)));
    let next = rows_but_jobs(&store);
    block_on(vault.run_jobs()).unwrap();
    assert!(block_on(vault.jobs(PageRequest::default())).unwrap().items.is_empty());
    assert_eq!(rows_but_jobs(&store), next);
}

#[test]
fn a_refresh_of_a_bound_handle_is_not_of_credentials_that_another_handle_saw_of_the_next_registration() {
    let (store, _) = furnished();
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    let bound = block_on(org.account(account("a")).bound()).unwrap();
    block_on(org.delete_account(&account("a"))).unwrap();
    block_on(register_again(&org));
    let (app, before) = (IntegrationId::default_app, rows(&store));
    let seen = block_on(org.account(account("a")).app(app()).get_all()).unwrap();
    let is_asked = AtomicBool::new(false);
    let refreshed = block_on(bound.app(app()).refresh::<Error, _>(
        seen,
        &Refresh::new(|_| std::future::ready(())),
        async |_| {
            is_asked.store(true, Ordering::Relaxed);
            Ok(vec![NewCredential::new("k", "of life 1")])
        },
    ));
    assert!(matches!(refreshed, Err(Error::AccountNotFound(_))), "{refreshed:?}");
    assert!(
        !is_asked.load(Ordering::Relaxed),
        "the provider was shown a credential of the next registration"
    );
    assert_eq!(rows(&store), before);
}

#[test]
fn a_refresh_is_not_settled_after_the_first_batch_that_deletes_its_account() {
    let (store, _) = furnished();
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let org = org(&open(hooked.clone()));
    let app = block_on(org.account(account("a")).bound()).unwrap().app(IntegrationId::default_app());
    let refresh = Refresh::new(|_| std::future::ready(()));
    let loses = async |_: &Credentials| Err(Unrefreshed::Unknown(Error::WrongKey));
    let seen = block_on(app.get_all()).unwrap();
    block_on(app.refresh(seen, &refresh, loses)).unwrap_err();
    hooked.once(Point::BeforeCommit, move || {
        stop_after_first_commit(&store, async |org| {
            let _ = org.delete_account(&account("a")).await;
        });
    });
    let settled = block_on(app.settle_refresh());
    assert!(matches!(settled, Err(Error::AccountNotFound(_))), "{settled:?}");
    assert_eq!(hooked.hooks_left(), 0);
}

#[test]
fn a_delete_lands_in_its_second_attempt_whatever_the_writers_of_the_account_do() {
    for has_keys in [true, false] {
        let base = base(async |org| {
            org.define(text("V")).await?;
            let account = org.create_account(account("a")).with_default_app().await?;
            if has_keys {
                account.set_value("V", "v").await?;
                account.upsert_credential("k", "c").await?;
            }
            Ok(())
        });
        let hooked = Hooked::new(Arc::clone(&base)).shared();
        let vault = open(hooked.clone());
        let bound = block_on(org(&open(Arc::clone(&base))).account(account("a")).bound()).unwrap();
        // Before each of so many commits, a writer of the account is faster.
        for round in 0..20 {
            let writer = bound.clone();
            hooked.once(Point::BeforeCommit, move || {
                block_on(async {
                    let _ = writer.update().with_default_app().await;
                    if has_keys {
                        let _ = writer.upsert_credential("k", format!("c{round}")).await;
                        let _ = writer.set_value("V", format!("v{round}")).await;
                    }
                });
            });
        }
        block_on(org(&vault).delete_account(&account("a"))).unwrap();
        assert!(block_on(org(&vault).linked_account(&account("a"))).unwrap().is_none());
        audit(&base);
    }
}

#[test]
fn a_delete_that_expects_a_revision_is_refused_once_the_account_has_changed() {
    let (store, _) = furnished();
    let hooked = Hooked::new(Arc::clone(&store));
    let vault = open(hooked.clone());
    let org = org(&vault);
    let known = block_on(org.linked_account(&account("a"))).unwrap().unwrap();
    let other = org.account(account("a"));
    hooked.once(Point::BeforeCommit, move || {
        block_on(other.upsert_credential("k", "newer")).unwrap();
    });
    let as_read = WriteOptions::expecting(Expected::Revision(known.revision));
    let refused = block_on(org.delete_account_with(&account("a"), as_read));
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
    assert!(block_on(org.linked_account(&account("a"))).unwrap().is_some());
    audit(&store);
}

#[test]
fn an_update_never_registers_an_account() {
    let base = base(async |_| Ok(()));
    let vault = open(Arc::clone(&base));
    let update = block_on(org(&vault).account(account("a")).update().name("A").into_future());
    assert!(matches!(update, Err(Error::AccountNotFound(_))), "{update:?}");
    let org = org(&vault);
    let upsert = org.upsert_account(account("a")).name("A").into_future();
    assert_eq!(block_on(upsert).unwrap().action, Upsert::Added);
}

#[test]
fn a_definition_that_an_account_may_not_see_is_answered_like_one_that_does_not_exist() {
    let base = base(async |org| {
        org.define(text("HIDDEN").scopes(Scopes::only(ScopeKind::Org)).default_value("d")).await?;
        org.create_account(account("a")).await?;
        Ok(())
    });
    let vault = open(Arc::clone(&base));
    let org = org(&vault);
    let hidden = block_on(org.definition("HIDDEN")).unwrap().unwrap().id;
    let missing: strongroom::DefinitionId = "0123456789abcdef01234567".parse().unwrap();
    for account in [org.account(account("a")), block_on(org.account(account("a")).bound()).unwrap()] {
        for sought in
            [DefinitionRef::from("HIDDEN"), DefinitionRef::from("MISSING"), hidden.into(), missing.into()]
        {
            let expecting = |expected| WriteOptions::expecting(expected);
            let answers = [
                block_on(account.value(sought.clone())).map(drop),
                block_on(account.set_value(sought.clone(), "v")).map(drop),
                block_on(account.set_value_with(sought.clone(), "v", expecting(Expected::Absent))).map(drop),
                block_on(account.delete_value(sought.clone())).map(drop),
                block_on(account.delete_value_with(sought.clone(), expecting(Expected::Absent))).map(drop),
                block_on(
                    account.delete_value_with(
                        sought.clone(),
                        expecting(Expected::Revision(Revision::from_u64(1))),
                    ),
                )
                .map(drop),
            ];
            for answer in answers {
                assert!(
                    matches!(&answer, Err(Error::DefinitionNotFound(named)) if *named == sought),
                    "{sought:?}: {answer:?}"
                );
            }
        }
    }
}
