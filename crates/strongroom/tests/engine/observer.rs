//! Who observes the verbs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::pin_mut;
use strongroom::store::StoreErrorKind;
use strongroom::{
    AuditFilter, Credentials, DefinitionFilter, Error, ErrorKind, FormatChange, IntegrationId, ManualClock,
    NewCredential, NewValue, Observation, Observer, OnMismatch, Org, Outcome, PageRequest, Refresh, Scope,
    ScopePath, Timestamp, Unrefreshed, VarFormat, VaultOptions, WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{account, id, org_of, run, text, vault};
use crate::rig::{Hooked, Point, Slow};

#[test]
fn each_verb_is_observed_once_with_its_names_and_outcome_and_never_a_value() {
    run(async {
        let (seen, org) = observed(MemoryStore::new()).await?;
        let org = org.acting_as("user:alice".parse()?);
        org.define(text("A")).await?;
        org.set_value("A", account("a"), "hunter2").await?;
        org.resolve("A", &ScopePath::org().linked_account(id("a"))).await?;
        let a = org.upsert_account(id("a")).with_default_app().await?.account;
        a.upsert_credential("k", "hunter2").await?;
        a.app(IntegrationId::default_app()).get_all().await?;
        assert!(org.value("B", Scope::Org).await.is_err());
        org.records("notes".parse()?).put(&id("r"), "hunter2").await?;
        org.delete_value("A", account("a")).await?;
        org.delete_account(&id("a")).await?;
        assert_eq!(
            seen.take(),
            [
                "define A - Ok",
                "set_values A linked_account a Ok",
                "resolve A linked_account a Ok",
                "write_account - a Ok",
                "set_credentials k a default-app Ok",
                "credentials default-app a default-app Ok",
                "value B org Failed(NotFound)",
                "write_record r - Ok",
                "delete_value A linked_account a Ok",
                "delete_account - a Ok",
            ]
        );
        Ok(())
    });
}

#[test]
fn a_delete_whose_sweep_fails_is_observed_as_failed() {
    run(async {
        let store = Faulty::new(MemoryStore::new());
        let (seen, org) = observed(store.clone()).await?;
        org.define(text("A")).await?;
        org.set_value("A", account("a"), "v").await?;
        org.upsert_account(id("a")).await?;
        seen.take();
        for delete in [true, false] {
            let next = store.commits_len() + 1;
            let _fails = store.clone().on_commits(next..=next, Fault::Before(StoreErrorKind::Unavailable));
            match delete {
                true => assert!(org.delete_account(&id("a")).await.is_err()),
                false => assert!(org.delete_definition("A").await.is_err()),
            }
        }
        assert_eq!(seen.take(), ["delete_account - a Failed(Busy)", "delete_definition A - Failed(Busy)"]);
        Ok(())
    });
}

#[test]
fn lists_definitions_records_histories_and_refreshes_are_observed_once_too() {
    run(async {
        let (seen, org) = observed(MemoryStore::new()).await?;
        let first = || PageRequest::first(10);
        org.define(text("A")).await?;
        let value = org.set_value("A", Scope::Org, "hunter2").await?;
        let account = org.upsert_account(id("a")).with_default_app().await?.account;
        let app = account.app(IntegrationId::default_app());
        let credential = app.upsert("k", "hunter2").await?.info;
        let held = app.get_all().await?;
        seen.take();

        org.definition("A").await?;
        org.definitions(&DefinitionFilter::all(), first()).await?;
        org.count_definitions(&DefinitionFilter::all()).await?;
        org.definition_history("A", first()).await?;
        org.values_of("A", first()).await?;
        org.value_by_id(&value.id).await?;
        org.value_history("A", Scope::Org, first()).await?;
        org.validate("A", Scope::Org, "hunter2").await?;
        org.linked_accounts(first()).await?;
        account.integrations(first()).await?;
        account.integration(app.integration()).await?;
        app.list(first()).await?;
        app.history("k", first()).await?;
        app.version("k", credential.revision).await?;
        org.records("notes".parse()?).list(first()).await?;
        org.generation().await?;
        org.usage().await?;
        org.audit(&AuditFilter::all(), first()).await?;
        let refresh = Refresh::new(|_| std::future::ready(()));
        let fails = async |_: &Credentials| Err(Unrefreshed::Rejected(Error::Locked));
        app.refresh(held, &refresh, fails).await.unwrap_err();
        app.settle_refresh().await?;
        let answers = async |_: &Credentials| Ok(vec![NewCredential::new("k", "hunter2")]);
        app.refresh::<Error, _>(app.get_all().await?, &refresh, answers).await?;
        assert_eq!(
            seen.take(),
            [
                "definition A - Ok",
                "definitions - - Ok",
                "count_definitions - - Ok",
                "definition_history A - Ok",
                "values_of A - Ok",
                "value_by_id - - Ok",
                "value_history A org Ok",
                "validate A org Ok",
                "linked_accounts - - Ok",
                "integrations - a Ok",
                "integration default-app a default-app Ok",
                "list_credentials default-app a default-app Ok",
                "credential_history k a default-app Ok",
                "credential_version k a default-app Ok",
                "list_records notes - Ok",
                "generation - - Ok",
                "usage - - Ok",
                "audit - - Ok",
                "refresh_credentials default-app a default-app Unrefreshed",
                "settle_refresh default-app a default-app Ok",
                "credentials default-app a default-app Ok",
                "refresh_credentials default-app a default-app Ok",
            ]
        );
        Ok(())
    });
}

#[test]
fn of_two_observers_each_sees_every_verb() {
    run(async {
        let (one, other) = (Seen::default(), Seen::default());
        let options = VaultOptions::default().observer((one.clone(), other.clone()));
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        org.define(text("A")).await?;
        assert_eq!([one.take(), other.take()], [["define A - Ok"], ["define A - Ok"]]);
        Ok(())
    });
}

#[test]
fn the_verbs_of_a_plan_are_observed_whatever_becomes_of_it() {
    run(async {
        let (store, seen) = (Arc::new(MemoryStore::new()), Seen::default());
        let options = VaultOptions::default().observer(seen.clone());
        let org = org_of(&vault(Arc::clone(&store), options).await?);
        let (plan, _) = org.plan(async |org: Org| org.define(text("A")).await).await?;
        drop(plan);
        assert_eq!(seen.take(), ["define A - Ok"]);
        Ok(())
    });
}

#[test]
fn a_verb_that_is_made_of_others_is_observed_once() {
    run(async {
        let seen = Seen::default();
        let options = VaultOptions::default().observer(seen.clone()).history_versions(5);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        org.define(text("A")).await?;
        let account = org.upsert_account(id("a")).with_default_app().await?.account;
        let (app, crm) = (account.app(IntegrationId::default_app()), id::<IntegrationId>("crm"));
        account.add_integration(&crm).await?;
        for connection in ["home", "work"] {
            account.add_connection(&crm, &id(connection)).await?;
        }
        let kept = || WriteOptions::default().keep_history();
        let value = org.set_value("A", Scope::Org, "hunter2").await?.revision;
        let credential = app.upsert("k", "hunter2").await?.info.revision;
        seen.take();

        org.restore_value("A", Scope::Org, value).await?;
        org.undelete_value("A", Scope::Org).await.unwrap_err();
        app.restore("k", credential).await?;
        app.undelete("k").await.unwrap_err();
        app.delete_with("k", kept()).await?;
        app.undelete("k").await?;
        let refused = FormatChange::to(VarFormat::Integer);
        org.change_format("A", &refused, OnMismatch::Refuse).await.unwrap_err();
        org.set_values_in_parts(&[NewValue::new("A", Scope::Org, "hunter2")], |_| ()).await?;
        org.delete_value_by_id(&strongroom::DocumentId::from([1; 12])).await?;
        let strict = ScopePath::org().linked_account(id("a")).strict_account();
        org.resolve("A", &strict).await?;
        org.resolve_all(&strict).await?;
        org.explain("A", &strict).await?;
        account.delete_integration(&crm).await?;
        let _ = org.shred_account(&id("a")).await?;
        assert_eq!(
            seen.take(),
            [
                "restore_value A org Ok",
                "undelete_value A org Failed(Conflict)",
                "restore_credential k a default-app Ok",
                "undelete_credential k a default-app Failed(Conflict)",
                "delete_credential k a default-app Ok",
                "undelete_credential k a default-app Ok",
                "change_format A - Failed(Conflict)",
                "set_values_in_parts - - Ok",
                "delete_value - - Ok",
                "resolve A linked_account a Ok",
                "resolve_all - linked_account a Ok",
                "explain A linked_account a Ok",
                "delete_integration crm a crm Ok",
                "shred_account - a Ok",
            ]
        );
        Ok(())
    });
}

#[test]
fn what_is_done_to_a_connection_is_observed_with_the_connection() {
    run(async {
        let (seen, org) = observed(MemoryStore::new()).await?;
        let (account, crm, work) = (org.create_account(id("a")).await?, id("crm"), id("work"));
        seen.take();
        account.add_connection(&crm, &work).await?;
        let app = account.app(crm.clone()).connection(work.clone());
        app.upsert("k", "hunter2").await?;
        app.get("k").await?;
        let answers = async |_: &Credentials| Ok(vec![NewCredential::new("k", "hunter2")]);
        let refresh = Refresh::new(|_| std::future::ready(()));
        app.refresh::<Error, _>(app.get_all().await?, &refresh, answers).await?;
        account.connections(&crm, PageRequest::first(1)).await?;
        account.delete_connection(&crm, &work).await?;
        assert_eq!(
            seen.take(),
            [
                "add_connection crm a crm/work Ok",
                "set_credentials k a crm/work Ok",
                "credential k a crm/work Ok",
                "credentials crm a crm/work Ok",
                "refresh_credentials crm a crm/work Ok",
                "connections crm a crm Ok",
                "delete_connection crm a crm/work Ok",
            ]
        );
        Ok(())
    });
}

#[test]
fn a_verb_that_is_dropped_is_observed_as_cancelled() {
    run(async {
        let (seen, org) = observed(Slow(Arc::new(MemoryStore::new()))).await?;
        {
            let verb = org.define(text("A"));
            pin_mut!(verb);
            assert!(poll_immediate(&mut verb).await.is_none());
        }
        assert_eq!(seen.take(), ["define A - Cancelled"]);
        Ok(())
    });
}

#[test]
fn a_duration_is_what_passed_on_the_clock_of_the_vault() {
    run(async {
        let (clock, store) =
            (ManualClock::at(Timestamp::from_ms(1_000)), Hooked::new(Arc::new(MemoryStore::new())));
        let seen = Seen::default();
        let options = VaultOptions::default().clock(clock.clone()).observer(seen.clone());
        let org = org_of(&vault(store.clone(), options).await?);
        store.once(Point::AfterCommit, move || clock.advance(Duration::from_millis(40)));
        org.define(text("A")).await?;
        assert_eq!(seen.durations.lock().unwrap()[..], [Duration::from_millis(40)]);
        Ok(())
    });
}

async fn observed(store: impl strongroom::Store) -> Result<(Seen, Org), Error> {
    let seen = Seen::default();
    let org = org_of(&vault(store, VaultOptions::default().observer(seen.clone())).await?);
    seen.take();
    Ok((seen, org))
}

#[derive(Debug, Clone, Default)]
struct Seen {
    lines: Arc<Mutex<Vec<String>>>,
    durations: Arc<Mutex<Vec<Duration>>>,
}

impl Seen {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Observer for Seen {
    fn observe(&self, seen: &Observation<'_>) {
        assert!(!format!("{seen:?}").contains("hunter2"));
        assert!(matches!(seen.actor.map(|actor| actor.name().as_str()), None | Some("user:alice")));
        let place = match (seen.scope, seen.linked_account) {
            (Some(scope), _) => scope.to_string(),
            (None, Some(account)) => account.to_string(),
            (None, None) => "-".to_owned(),
        };
        let app = match (seen.integration, seen.connection) {
            (Some(integration), Some(connection)) => format!(" {integration}/{connection}"),
            (Some(integration), None) => format!(" {integration}"),
            (None, _) => String::new(),
        };
        let name = seen.name().map_or_else(|| "-".to_owned(), Cow::into_owned);
        self.lines.lock().unwrap().push(format!("{} {name} {place}{app} {:?}", seen.verb, seen.outcome));
        self.durations.lock().unwrap().push(seen.duration);
        assert_ne!(seen.outcome, Outcome::Failed(ErrorKind::Damaged));
    }
}
