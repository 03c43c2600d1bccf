//! Plans: what verbs would write, as one batch for a transaction of the host's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_util::TryStreamExt;
use strongroom::store::{Plan, PlanError, Store, StoreErrorKind};
use strongroom::{
    AuditFilter, DefinitionChange, Error, Namespace, NewValue, Org, PageRequest, RawKey, Records,
    RootRotation, Scope, Unlock, Vault, VaultOptions, Version, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{account, exposed, id, is_sound, is_verified, org_of, rows, run, text, vault};

#[test]
fn nothing_is_written_or_cached_before_the_plan_is_applied_and_all_of_it_is_there_after() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "before").await?;
        let before = rows(&store).await?;
        let (plan, written) =
            org.plan(async |org: Org| org.set_value("V", Scope::Org, "after").await).await?;
        let (dropped, _) = org.plan(async |org: Org| org.update_definition("V", renamed()).await).await?;
        drop(dropped);
        assert_eq!(rows(&store).await?, before);
        assert_eq!(exposed(org.value("V", Scope::Org).await?.as_ref()), Some("before"));
        apply(&store, &plan).await.unwrap();
        let value = org.value("V", Scope::Org).await?.unwrap();
        assert_eq!((value.value.expose(), value.revision), ("after", written.revision));
        is_verified(&vault).await
    });
}

#[test]
fn each_verb_of_a_plan_sees_what_those_before_it_wrote() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        for name in ["A", "B"] {
            org.define(text(name)).await?;
        }
        org.set_value("B", Scope::Org, "gone").await?;
        let verbs = async |org: Org| {
            let account = org.create_account(id("user_1")).with_default_app().await?;
            account.upsert_credential("token", "t1").await?;
            account.upsert_credential("token", "t2").await?;
            assert_eq!(account.credential("token").await?.unwrap().value.expose(), "t2");
            org.set_value("A", Scope::Org, "one").await?;
            account.set_value("A", "two").await?;
            assert!(org.delete_value("B", Scope::Org).await?.is_some());
            let run = strongroom::ScopePath::org().linked_account(id("user_1"));
            assert_eq!(org.resolve("A", &run).await?.unwrap().value.expose(), "two");
            let all = org.resolve_all(&run).await?;
            assert_eq!(all.values.len(), 1);
            let listed = org.values(Scope::Org, PageRequest::first(10)).await?;
            assert_eq!(listed.items.iter().map(|value| value.value.expose()).collect::<Vec<_>>(), ["one"]);
            org.define(text("C")).await?;
            org.records(id("notes")).put(&id("a"), "noted").await?;
            Ok(account.credentials(PageRequest::first(10)).await?.items.len())
        };
        let (plan, credentials) = org.plan(verbs).await?;
        assert_eq!(credentials, 1);
        assert!(org.definition("C").await?.is_none());
        apply(&store, &plan).await.unwrap();
        let user = org.account(id("user_1"));
        assert_eq!(user.credential("token").await?.unwrap().value.expose(), "t2");
        assert_eq!(exposed(user.value("A").await?.as_ref()), Some("two"));
        assert!(org.value("B", Scope::Org).await?.is_none() && org.definition("C").await?.is_some());
        assert!(org.records(id("notes")).get(&id("a")).await?.is_some());
        is_verified(&vault).await
    });
}

#[test]
fn a_plan_holds_its_event_and_the_former_version() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(5)).await?;
        vault.change_settings(|settings| settings.audit = true).await?;
        let org = org_of(&vault).acting_as(id("user:alice"));
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "one").await?;
        for value in ["two", "three"] {
            let (plan, _) = org.plan(async |org: Org| org.set_value("V", Scope::Org, value).await).await?;
            apply(&store, &plan).await.unwrap();
        }
        let events = org.audit(&AuditFilter::all(), PageRequest::first(10)).await?.items;
        assert_eq!(events.len(), 4);
        assert!(events.iter().all(|event| event.actor.as_deref() == Some("user:alice")));
        assert_eq!(org.value_history("V", Scope::Org, PageRequest::default()).await?.items.len(), 3);
        // A writer that continues after plans were made, applied or not, has lost nothing and waits for none.
        let (dropped, _) = org.plan(async |org: Org| org.delete_value("V", Scope::Org).await).await?;
        org.set_value("V", Scope::Org, "four").await?;
        drop(dropped);
        is_verified(&vault).await
    });
}

#[test]
fn a_plan_whose_ground_has_moved_is_refused_as_a_whole_and_says_what_moved() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "one").await?;
        let plan = async || org.plan(async |org: Org| org.set_value("V", Scope::Org, "planned").await).await;
        let moved = |refused| match refused {
            Err(PlanError::Moved(what)) => what,
            other => panic!("{other:?}"),
        };

        let (late, _) = plan().await?;
        org.set_value("V", Scope::Org, "two").await?;
        assert_eq!(moved(apply(&store, &late).await), "value");

        let (late, _) = plan().await?;
        org.rotate_keys().await?;
        let before = rows(&store).await?;
        assert_eq!(moved(apply(&store, &late).await), "keyring");
        assert_eq!(rows(&store).await?, before);

        let (late, _) = org
            .plan(async |org: Org| org.create_account(id("user_1")).with_credential("k", "v").await)
            .await?;
        let key = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        vault.rotate_root(RootRotation::new().keep(key)).await?.job.run().await?;
        assert_eq!(moved(apply(&store, &late).await), "store_row");

        let (late, _) = plan().await?;
        vault.change_settings(|settings| settings.generations = true).await?;
        assert_eq!(moved(apply(&store, &late).await), "header");

        let (late, _) = org.plan(async |org: Org| org.set_value("V", account("user_2"), "x").await).await?;
        org.update_definition("V", renamed()).await?;
        assert!(apply(&store, &late).await.is_err());
        assert_eq!(exposed(org.value("NAMED", Scope::Org).await?.as_ref()), Some("two"));
        is_verified(&vault).await
    });
}

#[test]
fn a_plan_that_is_applied_twice_says_so_and_changes_nothing() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        let (plan, _) = org.plan(async |org: Org| org.set_value("V", Scope::Org, "v").await).await?;
        apply(&store, &plan).await.unwrap();
        let once = rows(&store).await?;
        assert!(matches!(apply(&store, &plan).await, Err(PlanError::Applied)));
        assert_eq!(rows(&store).await?, once);
        is_verified(&vault).await
    });
}

#[test]
fn a_delete_in_a_plan_leaves_its_sweep_to_a_job() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        let user = org.create_account(id("user_1")).with_credential("token", "t1").await?;
        user.add_integration(&id("crm")).await?;
        for number in 0..100 {
            org.records(id("notes")).put(&id(&format!("n{number}")), "x").await?;
        }
        user.set_value("V", "v").await?;
        let (plan, ()) = org.plan(async |org: Org| org.delete_account(&id("user_1")).await).await?;
        assert!(plan.rows() < 10, "{plan:?}");
        assert!(user.credential("token").await?.is_some());
        apply(&store, &plan).await.unwrap();
        assert!(user.info().await?.is_none() && user.credential("token").await.is_err());
        is_sound(&vault).await?;
        vault.run_jobs().await?;
        is_verified(&vault).await?;

        let remade = async |org: Org| {
            let account = org.create_account(id("user_2")).await?;
            org.delete_account(account.id()).await?;
            org.create_account(id("user_2")).await.map(drop)
        };
        let refused = org.plan(remade).await.unwrap_err();
        assert!(is_store_error(&refused, StoreErrorKind::Unsupported), "{refused}");
        Ok(())
    });
}

#[test]
fn what_a_plan_cannot_hold_is_refused_by_name() {
    with_shared(async |vault, _store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "v").await?;
        let unsupported =
            |refused: Error| assert!(is_store_error(&refused, StoreErrorKind::Unsupported), "{refused}");
        unsupported(org.plan(async |org: Org| org.shred().await).await.unwrap_err());
        unsupported(org.plan(async |org: Org| org.rotate_keys().await).await.unwrap_err());
        unsupported(org.plan(async |org: Org| org.plan(async |_| Ok(())).await).await.unwrap_err());
        let undone = async |org: Org| {
            org.set_value("V", account("a"), "x").await?;
            org.delete_value("V", account("a")).await
        };
        unsupported(org.plan(undone).await.unwrap_err());
        let large = async |org: Org| {
            for number in 0..400 {
                org.set_value("V", account(&format!("u{number}")), "x".repeat(60_000)).await?;
            }
            Ok(())
        };
        let refused = org.plan(large).await.unwrap_err();
        assert!(is_store_error(&refused, StoreErrorKind::TooLarge), "{refused}");
        let (_, kept) = org.plan(async |org: Org| Ok(org)).await?;
        let late = kept.set_value("V", Scope::Org, "late").await.unwrap_err();
        assert!(is_store_error(&late, StoreErrorKind::Closed), "{late}");
        is_verified(&vault).await
    });
}

#[test]
fn a_plan_brings_back_no_definition_that_it_deletes() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(3)).await?;
        let org = org_of(&vault);
        let definition = org.define(text("V")).await?;
        let back = async |org: Org| {
            org.delete_definition_with("V", WriteOptions::default().keep_history()).await?;
            org.undelete_definition(definition).await
        };
        let refused = org.plan(back).await.unwrap_err();
        assert!(is_store_error(&refused, StoreErrorKind::Unsupported), "{refused}");
        is_verified(&vault).await
    });
}

#[test]
fn a_store_that_no_transaction_of_a_hosts_reaches_takes_no_plan() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        org.define(text("V")).await?;
        let refused = org.plan(async |org: Org| org.set_value("V", Scope::Org, "v").await).await.unwrap_err();
        assert!(is_store_error(&refused, StoreErrorKind::Unsupported), "{refused}");
        Ok(())
    });
}

#[test]
fn an_older_keyring_than_the_vault_has_seen_is_refused_in_a_plan_too() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "v").await?;
        let before = rows(&store).await?;
        org.rotate_keys().await?;
        org.set_value("V", Scope::Org, "w").await?;
        for (key, row) in &before {
            crate::common::plant(&store, key, Some(row.clone())).await?;
        }
        let refused = org.plan(async |org: Org| org.set_value("V", Scope::Org, "x").await).await.unwrap_err();
        assert!(matches!(refused, Error::RolledBack { .. }), "{refused}");
        Ok(())
    });
}

#[test]
fn a_session_that_was_ended_and_put_back_is_not_seen_in_a_plan_either() {
    with_shared(async |vault, store| {
        let sessions = |org: &Org| org.reserved_records(id("session"));
        let org = org_of(&vault);
        for key in ["ended", "live"] {
            sessions(&org).put(&id(key), "s").await?;
        }
        let before = rows(&store).await?;
        sessions(&org).delete(&id("ended")).await?;
        let after = rows(&store).await?;
        for (key, row) in before.iter().filter(|(key, _)| after.iter().all(|(known, _)| known != key)) {
            crate::common::plant(&store, key, Some(row.clone())).await?;
        }
        let look = async |org: Org| {
            let sessions = sessions(&org);
            Ok([sessions.get(&id("ended")).await?.is_some(), sessions.get(&id("live")).await?.is_some()])
        };
        assert_eq!(org.plan(look).await?.1, [false, true]);
        Ok(())
    });
}

#[test]
fn a_key_that_a_dropped_plan_revoked_or_changed_and_read_again_is_as_it_was_before() {
    with_shared(async |vault, _store| {
        let keys = |org: &Org| org.reserved_records(id("api-key"));
        let org = org_of(&vault);
        for key in ["revoked", "changed"] {
            keys(&org).put(&id(key), "before").await?;
        }
        let verbs = async |org: Org| {
            let keys = keys(&org);
            assert!(keys.delete(&id("revoked")).await?);
            keys.put(&id("changed"), "after").await?;
            Ok([keys.get(&id("revoked")).await?.is_some(), keys.get(&id("changed")).await?.is_some()])
        };
        let (dropped, seen) = org.plan(verbs).await?;
        assert_eq!(seen, [false, true]);
        drop(dropped);
        for key in ["revoked", "changed"] {
            let kept = keys(&org).get(&id(key)).await?;
            assert_eq!(kept.as_ref().map(|kept| kept.value.expose()), Some("before"), "{key}");
        }
        Ok(())
    });
}

#[test]
fn conditions_hold_in_a_plan_and_batches_of_many_values_are_one_plan() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "one").await?;
        org.set_value("V", Scope::Org, "two").await?;
        let late = WriteOptions::expecting(strongroom::Expected::Revision(first.revision));
        let refused = org.plan(async |org: Org| org.set_value_with("V", Scope::Org, "x", late).await).await;
        assert!(matches!(refused, Err(Error::Unexpected { .. })));
        let many: Vec<_> =
            (0..200).map(|number| NewValue::new("V", account(&format!("u{number}")), "x")).collect();
        let (plan, written) = org.plan(async |org: Org| org.set_values(&many).await).await?;
        assert_eq!(written.len(), 200);
        apply(&store, &plan).await.unwrap();
        is_verified(&vault).await
    });
}

/// Every way in which a plan can leave four records: there before or not, and then kept, replaced, deleted or added.
#[test]
fn a_list_in_a_plan_is_what_is_there_once_it_is_applied_whatever_its_pages() {
    with_shared(async |vault, store| {
        let org = org_of(&vault);
        let key = |number: usize| id(&format!("r{number}"));
        for ways in 0..5_usize.pow(RECORDS) {
            let namespace: Namespace = id(&format!("n{ways}"));
            let ways: Vec<_> = (0..RECORDS).map(|number| ways / 5_usize.pow(number) % 5).collect();
            for (number, _) in ways.iter().enumerate().filter(|(_, way)| **way < 3) {
                org.records(namespace.clone()).put(&key(number), "stored").await?;
            }
            let verbs = async |org: Org| {
                let records = org.records(namespace.clone());
                for (number, way) in ways.iter().enumerate() {
                    match way {
                        1 | 4 => drop(records.put(&key(number), "planned").await?),
                        2 => assert!(records.delete(&key(number)).await?),
                        _ => {}
                    }
                }
                listed(&records).await
            };
            let (plan, planned) = org.plan(verbs).await?;
            apply(&store, &plan).await.unwrap();
            assert_eq!(planned, listed(&org.records(namespace)).await?, "{ways:?}");
        }
        Ok(())
    });
}

/// The records as pages of each length show them.
async fn listed(records: &Records) -> Result<Vec<Vec<(String, String)>>, Error> {
    let mut all = Vec::new();
    for limit in 1..=RECORDS as usize {
        let page = async |page: PageRequest| {
            let listing = records.list(page).await?;
            assert!(listing.items.len() <= limit);
            Ok::<_, Error>(listing)
        };
        let items: Vec<_> = PageRequest::first(limit).items(page).try_collect().await?;
        let shown = items.iter().map(|item| (item.key.to_string(), item.value.expose().to_string()));
        all.push(shown.collect());
    }
    Ok(all)
}

#[test]
fn the_history_in_a_plan_is_what_is_there_once_it_is_applied_whatever_its_pages() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(3)).await?;
        let org = org_of(&vault);
        for (before, planned) in (0..5).flat_map(|before| (1..5).map(move |planned| (before, planned))) {
            let name = format!("V_{before}_{planned}");
            org.define(text(&name)).await?;
            for number in 0..before {
                org.set_value(&*name, Scope::Org, number.to_string()).await?;
            }
            let verbs = async |org: Org| {
                for number in 0..planned {
                    org.set_value(&*name, Scope::Org, number.to_string()).await?;
                }
                versions(&org, &name).await
            };
            let (plan, planned) = org.plan(verbs).await?;
            apply(&store, &plan).await.unwrap();
            assert_eq!(planned, versions(&org, &name).await?, "{name}");
        }
        Ok(())
    });
}

async fn versions(org: &Org, name: &str) -> Result<Vec<Vec<Version>>, Error> {
    let mut all = Vec::new();
    for limit in 1..=4 {
        let page = |page| org.value_history(name, Scope::Org, page);
        all.push(PageRequest::first(limit).items(page).try_collect().await?);
    }
    Ok(all)
}

/// A vault on a store that others write to as well.
fn with_shared(test: impl AsyncFnOnce(Vault, Arc<MemoryStore>) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        test(vault(Arc::clone(&store), VaultOptions::default()).await?, store).await
    });
}

/// As a transaction of the host's would.
async fn apply(store: &MemoryStore, plan: &Plan) -> Result<(), PlanError> {
    let refused = match store.commit(Arc::clone(plan.batch())).await {
        Ok(_) => return Ok(()),
        Err(refused) => refused,
    };
    let StoreErrorKind::Conflict { index } = refused.kind() else { return Err(refused.into()) };
    let stored = rows(store).await.unwrap();
    let find = |key| stored.iter().find(|(known, _)| known == key).map(|(_, row)| row.as_slice());
    Err(plan.refusal(index, plan.batch().ops.iter().map(|op| find(op.key()))))
}

fn renamed() -> DefinitionChange {
    DefinitionChange::new().name("NAMED")
}

fn is_store_error(error: &Error, kind: StoreErrorKind) -> bool {
    matches!(error, Error::Store(error) if error.kind() == kind)
}

const RECORDS: u32 = 4;
