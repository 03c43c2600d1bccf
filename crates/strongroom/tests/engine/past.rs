//! What a run saw at an earlier moment, and what it was pinned to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use strongroom::{
    DefinitionChange, Error, Org, Resolution, Scope, ScopeKind, ScopePath, Scopes, Timestamp, VaultOptions,
    WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{TestClock, account, id, org_of, run, text, unlock, vault, workflow};
use crate::rig::Paged;

#[test]
fn a_random_history_resolves_at_each_moment_as_it_did_then() {
    // A fixed sequence of numbers: which verb comes next.
    for seed in 0..20 {
        with_kept(async |org, clock| {
            let mut random = seed * 7_919 + 1;
            let mut next = |choices: u64| {
                random = u64::wrapping_mul(random, 6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 33) % choices
            };
            let path = ScopePath::org().linked_account(id("a")).workflow(id("w"));
            let scopes = [Scope::Org, account("a"), workflow("w")];
            for name in ["V", "W"] {
                org.define(text(name).default_value("default")).await?;
            }
            let mut seen: Vec<(u64, String)> = Vec::new();
            for at in 2..60 {
                clock.set(at * 1_000);
                let (name, scope) = (["V", "W"][next(2) as usize], &scopes[next(3) as usize]);
                match next(6) {
                    0 => {
                        let kept = WriteOptions::default().keep_history();
                        org.delete_value_with(name, scope, kept).await?;
                    }
                    1 => {
                        let change = DefinitionChange::new().default_value(format!("default of {at}"));
                        org.update_definition(name, change).await?;
                    }
                    _ => drop(org.set_value(name, scope, format!("{at}")).await?),
                }
                seen.push((at, shown(&org.resolve_all(&path).await?)));
            }
            for (at, then) in seen {
                for ms in [at * 1_000, at * 1_000 + 999] {
                    let at = Timestamp::from_ms(ms);
                    assert_eq!(shown(&org.resolve_all_at(&path, at).await?), then, "at {ms}");
                    let mut one_by_one = String::new();
                    for name in ["V", "W"] {
                        one_by_one += &line(&org.resolve_at(name, &path, at).await?.unwrap());
                    }
                    assert_eq!(one_by_one, then, "at {ms}");
                }
            }
            Ok(())
        });
    }
}

#[test]
fn a_moment_between_versions_that_were_not_kept_is_an_error_and_so_is_one_whose_version_is_too_old() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let options = |kept| VaultOptions::default().clock(clock.clone()).history_versions(kept);
        let org = org_of(&vault(Arc::clone(&store), options(10)).await?);
        // Of a host that keeps none.
        let other = org_of(&options(0).open(Arc::clone(&store), unlock()).await?);
        org.define(text("V").history_age_secs(60)).await?;
        for (at, by) in [(1_000, &org), (2_000, &org), (3_000, &other), (4_000, &other), (5_000, &org)] {
            clock.set(at);
            by.set_value("V", Scope::Org, at.to_string()).await?;
        }
        let at = async |ms| org.resolve_at("V", &ScopePath::org(), Timestamp::from_ms(ms)).await;
        assert!(matches!(at(2_500).await, Err(Error::VersionNotFound(_))), "1000, or one that was not kept");
        assert_eq!(at(4_500).await?.unwrap().value.expose(), "4000");
        clock.set(64_500);
        assert_eq!(at(4_500).await?.unwrap().value.expose(), "4000", "it was replaced at 5000");
        clock.set(65_000);
        assert!(matches!(at(4_500).await, Err(Error::VersionNotFound(_))));
        assert_eq!(at(5_000).await?.unwrap().value.expose(), "5000", "the present one has no age");
        Ok(())
    });
}

#[test]
fn a_moment_whose_version_is_no_longer_kept_is_an_error_and_one_before_the_value_is_not() {
    run(async {
        let clock = TestClock::default();
        clock.set(1_000);
        let options = VaultOptions::default().clock(clock.clone()).history_versions(1);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        org.define(text("V")).await?;
        for at in [2_000, 3_000, 4_000] {
            clock.set(at);
            org.set_value("V", Scope::Org, at.to_string()).await?;
        }
        let at = async |ms| org.resolve_at("V", &ScopePath::org(), Timestamp::from_ms(ms)).await;
        assert_eq!(at(3_500).await?.unwrap().value.expose(), "3000");
        assert!(matches!(at(2_500).await, Err(Error::VersionNotFound(_))));
        assert!(at(1_500).await?.is_none());
        assert!(at(500).await?.is_none(), "before it was defined");
        let all = org.resolve_all_at(&ScopePath::org(), Timestamp::from_ms(2_500)).await;
        assert!(matches!(all, Err(Error::VersionNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_value_that_is_encrypted_now_was_so_at_any_moment() {
    with_kept(async |org, clock| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        clock.set(2_000);
        org.update_definition("V", DefinitionChange::new().encrypted()).await?;
        let then = org.resolve_at("V", &ScopePath::org(), Timestamp::from_ms(1_500)).await?;
        assert!(then.unwrap().encrypted);
        Ok(())
    });
}

#[test]
fn a_value_at_a_scope_that_is_no_longer_allowed_was_seen_while_it_was() {
    with_kept(async |org, clock| {
        org.define(text("V")).await?;
        org.set_value("V", account("a"), "a").await?;
        clock.set(2_000);
        org.delete_value_with("V", account("a"), WriteOptions::default().keep_history()).await?;
        org.update_definition("V", DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org))).await?;
        let path = ScopePath::org().linked_account(id("a"));
        let then = org.resolve_at("V", &path, Timestamp::from_ms(1_500)).await?;
        assert_eq!(then.unwrap().value.expose(), "a");
        Ok(())
    });
}

#[test]
fn a_run_missed_what_was_required_then_by_its_name_of_then() {
    with_kept(async |org, clock| {
        org.define(text("V")).await?;
        clock.set(2_000);
        org.update_definition("V", DefinitionChange::new().required()).await?;
        clock.set(3_000);
        org.update_definition("V", DefinitionChange::new().name("W")).await?;
        for (at, missing) in [(1_500, vec![]), (2_500, vec!["V"]), (3_500, vec!["W"])] {
            let then = org.resolve_all_at(&ScopePath::org(), Timestamp::from_ms(at)).await?;
            assert_eq!(then.missing_required, missing, "at {at}");
        }
        Ok(())
    });
}

#[test]
fn what_is_pinned_comes_again_whatever_was_written_meanwhile() {
    with_kept(async |org, _| {
        for name in ["V", "W", "D"] {
            org.define(text(name).default_value("default")).await?;
        }
        org.set_value("V", Scope::Org, "V").await?;
        org.set_value("W", account("a"), "W").await?;
        let path = ScopePath::org().linked_account(id("a"));
        let seen = org.resolve_all(&path).await?;
        let pin = seen.pin();
        assert_eq!(pin.values().len(), 3);

        org.set_value("V", Scope::Org, "later").await?;
        org.delete_value_with("W", account("a"), WriteOptions::default().keep_history()).await?;
        org.update_definition("D", DefinitionChange::new().default_value("later")).await?;
        let again = org.resolve_pinned(&pin).await?;
        assert_eq!(shown(&again), shown(&seen));
        assert_eq!((again.pin(), again.pin().digest()), (pin.clone(), pin.digest()));
        assert_ne!(org.resolve_all(&path).await?.pin().digest(), pin.digest());
        Ok(())
    });
}

#[test]
fn a_default_that_was_pinned_is_encrypted_if_its_variable_is_by_now() {
    with_kept(async |org, _| {
        org.define(text("D").default_value("default")).await?;
        let pin = org.resolve_all(&ScopePath::org()).await?.pin();
        org.update_definition("D", DefinitionChange::new().no_default_value().encrypted()).await?;
        let again = org.resolve_pinned(&pin).await?;
        let again = again.get("D").unwrap();
        assert_eq!((again.value.expose(), again.encrypted), ("default", true));
        Ok(())
    });
}

#[test]
fn what_is_no_longer_kept_as_it_was_pinned_is_named() {
    with_kept(async |org, _| {
        for name in ["V", "W", "X", "Y"] {
            org.define(text(name)).await?;
            org.set_value(name, account("a"), name).await?;
        }
        org.set_value("Y", Scope::Org, "Y").await?;
        let path = ScopePath::org().linked_account(id("a"));
        let pin = org.resolve_all(&path).await?.pin();
        org.delete_value("V", account("a")).await?;
        // Another document takes its place.
        org.set_value("V", account("a"), "V").await?;
        org.delete_definition("X").await?;
        let differ = org.resolve_pinned(&pin).await;
        assert!(is_not_as_pinned(&differ, &["V", "X"]));
        let org_pin = org.resolve_all(&ScopePath::org()).await?.pin();
        let _ = org.shred_account(&id("a")).await?;
        let shredded = org.resolve_pinned(&pin).await;
        assert!(is_not_as_pinned(&shredded, &["V", "W", "X", "Y"]));
        assert_eq!(shown(&org.resolve_pinned(&org_pin).await?), "Y=Y at org\n");
        Ok(())
    });
}

#[test]
fn a_version_that_is_older_than_it_may_be_kept_is_shown_to_nobody_who_pinned_it() {
    with_kept(async |org, clock| {
        org.define(text("V").history_age_secs(60)).await?;
        org.set_value("V", Scope::Org, "a").await?;
        let pin = org.resolve_all(&ScopePath::org()).await?.pin();
        clock.set(100_000);
        assert_eq!(shown(&org.resolve_pinned(&pin).await?), "V=a at org\n", "the present one has no age");
        org.set_value("V", Scope::Org, "b").await?;
        clock.set(159_000);
        assert_eq!(shown(&org.resolve_pinned(&pin).await?), "V=a at org\n");
        clock.set(160_000);
        assert!(is_not_as_pinned(&org.resolve_pinned(&pin).await, &["V"]));
        Ok(())
    });
}

#[test]
fn a_history_of_many_pages_is_searched_to_its_end() {
    with_pages(async |org, clock| {
        org.define(text("V")).await?;
        for at in 1..8 {
            clock.set(at * 1_000);
            org.set_value("V", Scope::Org, at.to_string()).await?;
            let change = DefinitionChange::new().description(format!("described at {at}"));
            org.update_definition("V", change).await?;
        }
        for at in 1..8 {
            let seen = org.resolve_at("V", &ScopePath::org(), Timestamp::from_ms(at * 1_000)).await?;
            assert_eq!(seen.unwrap().value.expose(), at.to_string());
        }
        Ok(())
    });
}

#[test]
fn a_history_whose_keys_fill_pages_too_is_read_while_nothing_changes_it() {
    with_pages(async |org, clock| {
        org.define(text("V")).await?;
        for at in 1..50 {
            clock.set(at * 1_000);
            org.set_value("V", Scope::Org, at.to_string()).await?;
        }
        let seen = org.resolve_all_at(&ScopePath::org(), Timestamp::from_ms(1_000)).await?;
        assert_eq!(shown(&seen), "V=1 at org\n");
        Ok(())
    });
}

/// Ids made within a second come in any order, so the lines are sorted.
fn shown(resolution: &Resolution) -> String {
    let mut lines: Vec<_> = resolution.values.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

fn is_not_as_pinned(resolved: &Result<Resolution, Error>, names: &[&str]) -> bool {
    let Err(Error::NotAsPinned(differ)) = resolved else { return false };
    let mut differ = differ.clone();
    differ.sort();
    differ == names
}

fn line(resolved: &strongroom::Resolved) -> String {
    format!("{}={} at {}\n", resolved.name, resolved.value.expose(), resolved.scope)
}

fn with_kept(test: impl AsyncFnOnce(Org, TestClock) -> Result<(), Error>) {
    run(async {
        let clock = TestClock::default();
        clock.set(1_000);
        let options = VaultOptions::default().clock(clock.clone()).history_versions(100);
        test(org_of(&vault(MemoryStore::new(), options).await?), clock).await
    });
}

/// A store whose pages hold two rows, or 32 keys.
fn with_pages(test: impl AsyncFnOnce(Org, TestClock) -> Result<(), Error>) {
    run(async {
        let clock = TestClock::default();
        clock.set(1_000);
        let options = VaultOptions::default().clock(clock.clone()).history_versions(100);
        test(org_of(&vault(Paged::of(MemoryStore::new(), 2), options).await?), clock).await
    });
}
