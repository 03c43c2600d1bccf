//! Who observes the verbs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::pin_mut;
use strongroom::{
    Error, ErrorKind, IntegrationId, ManualClock, Observation, Observer, Org, Outcome, Scope, ScopePath,
    Timestamp, VaultOptions,
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
