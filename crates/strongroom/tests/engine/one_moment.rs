//! What is read in several pages is of one moment, whatever changes between any two of them; and a lease is as old as
//! the clock says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    Clock as _, DataKeys, DefinitionChange, JobOutcome, NewValue, Org, Scope, ScopePath, Timestamp,
    VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::TestClock;
use crate::rig::{
    Hooked, Paged, Point, account, audit, base, furnished, load, of_account, open, org, text, unlock,
};

const NAMES: [&str; 9] = ["A", "B", "C", "D", "E", "F", "G", "H", "I"];

fn tenant() -> Arc<MemoryStore> {
    base(async |org| {
        for name in NAMES {
            org.define(text(name).default_value("old")).await?;
        }
        set_all(org, "old").await;
        Ok(())
    })
}

/// All values of the org and of the account, in one batch.
async fn set_all(org: &Org, value: &str) {
    let scopes = [Scope::Org, of_account("a")];
    let new = |name, scope| NewValue::new(name, scope, format!("{value} at {scope}"));
    let values: Vec<_> = NAMES.iter().flat_map(|name| scopes.iter().map(|scope| new(*name, scope))).collect();
    org.set_values(&values).await.unwrap();
}

/// What a run sees: each name with its value.
fn seen(org: &Org) -> Vec<(String, String)> {
    let path = ScopePath::org().linked_account(account("a"));
    let all = block_on(org.resolve_all(&path)).unwrap().values;
    let mut seen: Vec<_> = all.into_iter().map(|one| (one.name, one.value.expose().to_owned())).collect();
    // Ids that are made in one moment are in a random order.
    seen.sort();
    seen
}

/// Lets `change` in after each read of `resolve_all` in turn: what it returns is what stood before, or after.
fn assert_one_moment(change: fn(&Org)) {
    let before = seen(&org(&open(tenant())));
    let after = {
        let vault = open(tenant());
        change(&org(&vault));
        seen(&org(&vault))
    };
    for warm in [false, true] {
        for skip in 0.. {
            let store = tenant();
            let hooked = Hooked::new(Arc::clone(&store));
            let vault = open(Paged::of(hooked.shared(), 4));
            let other = open(Arc::clone(&store));
            if warm {
                seen(&org(&vault));
            }
            hooked.once_after(Point::AfterRead, skip, move || change(&org(&other)));
            let now = seen(&org(&vault));
            assert!(now == before || now == after, "after {skip} reads, warm {warm}: {now:?}");
            if hooked.hooks_left() > 0 {
                assert!(skip > 2, "it is read in several pages");
                break;
            }
            assert_eq!(seen(&org(&vault)), after);
        }
    }
}

#[test]
fn values_that_change_between_two_pages_are_all_old_or_all_new() {
    assert_one_moment(|org| block_on(set_all(org, "new")));
}

#[test]
fn a_value_that_is_made_or_deleted_between_two_pages_is_there_or_not() {
    assert_one_moment(|org| drop(block_on(org.delete_value("I", of_account("a"))).unwrap()));
}

#[test]
fn a_definition_that_changes_between_two_pages_has_one_name() {
    assert_one_moment(|org| {
        block_on(org.update_definition("B", DefinitionChange::new().name("Z"))).unwrap();
    });
}

/// A runner that comes back after its lease ran out renews it, or finds another at work: whoever worked last holds it.
#[test]
fn a_lease_is_renewed_by_the_step_that_finds_it_old() {
    let clock = TestClock::default();
    clock.set(1_000);
    let store = load(&furnished());
    let options = || VaultOptions::default().clock(clock.clone());
    let one = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
    let other = block_on(options().open(Arc::clone(&store), unlock())).unwrap();
    let job = block_on(one.rotate_data_keys(&DataKeys::all())).unwrap();
    let mut runners = [other.key_job(*job.id()), job];
    for step in 0.. {
        let report = block_on(runners[1].step()).unwrap();
        if report.outcome == JobOutcome::Finished {
            assert!(step > 4, "a rotation takes more than {step} steps");
            break;
        }
        assert_eq!(report.outcome, JobOutcome::Unfinished, "step {step}");
        let JobOutcome::Held { until } = block_on(runners[0].step()).unwrap().outcome else {
            panic!("step {step}: two runners at once");
        };
        assert!(until > Timestamp::from_ms(clock.now_ms() + 10_000), "step {step}: an old lease");
        clock.set(clock.now_ms() + 31_000);
        if step % 3 == 2 {
            runners.swap(0, 1);
        }
    }
    audit(&store);
}
