//! Who observes the verbs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::pin_mut;
use strongroom::{
    AuditFilter, Credentials, DefinitionFilter, Error, ErrorKind, IntegrationId, ManualClock, NewCredential,
    Observation, Observer, Org, Outcome, PageRequest, Refresh, Scope, ScopePath, Timestamp, Unrefreshed,
    VaultOptions,
};
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
                "set_credentials k a Ok",
                "credentials default-app a Ok",
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
                "integration default-app a Ok",
                "list_credentials default-app a Ok",
                "credential_history k a Ok",
                "credential_version k a Ok",
                "list_records notes - Ok",
                "generation - - Ok",
                "usage - - Ok",
                "audit - - Ok",
                "refresh_credentials default-app a Unrefreshed",
                "settle_refresh default-app a Ok",
                "credentials default-app a Ok",
                "refresh_credentials default-app a Ok",
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
        let name = seen.name().map_or_else(|| "-".to_owned(), Cow::into_owned);
        self.lines.lock().unwrap().push(format!("{} {name} {place} {:?}", seen.verb, seen.outcome));
        self.durations.lock().unwrap().push(seen.duration);
        assert_ne!(seen.outcome, Outcome::Failed(ErrorKind::Damaged));
    }
}
