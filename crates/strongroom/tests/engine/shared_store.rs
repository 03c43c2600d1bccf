//! Two vaults on one store: what one changes, the other sees at once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::{
    DefinitionChange, DefinitionFilter, Error, Expected, NewValue, Org, PageRequest, Scope, ScopeKind,
    ScopePath, Scopes, WriteOptions,
};

use crate::rig::{
    account, audit, empty, furnished, load, of_account, open, org, stop_after_first_commit, text, verbs, view,
};

/// Two orgs, the same one, of two vaults on one store, each with warm caches.
fn two() -> (Org, Org) {
    let (store, vault) = empty();
    let one = org(&vault);
    block_on(async {
        one.define(text("V").default_value("default")).await?;
        one.set_value("V", Scope::Org, "v").await?;
        one.set_value("V", of_account("a"), "v of a").await?;
        Ok::<(), Error>(())
    })
    .unwrap();
    let other = org(&open(store));
    warm(&one);
    warm(&other);
    (one, other)
}

fn warm(org: &Org) {
    let run = ScopePath::org().linked_account(account("a"));
    assert!(block_on(org.resolve("V", &run)).unwrap().is_some());
    assert_eq!(block_on(org.resolve_all(&run)).unwrap().values.len(), 1);
}

#[test]
fn every_verb_of_one_vault_is_seen_at_once_by_the_other() {
    let base = furnished();
    for verb in verbs() {
        let store = load(&base);
        let (one, other) = (open(Arc::clone(&store)), open(Arc::clone(&store)));
        let before = view(&org(&other));
        assert_eq!(view(&org(&one)), before);
        block_on(verb.run(org(&one))).unwrap();
        let after = view(&org(&other));
        assert_ne!(after, before, "{}", verb.name);
        assert_eq!(after, view(&org(&one)), "{}", verb.name);
        assert_eq!(after, view(&org(&open(Arc::clone(&store)))), "{}", verb.name);
        audit(&store);
    }
}

#[test]
fn every_verb_is_seen_after_the_vault_that_ran_it_is_gone() {
    let base = furnished();
    for verb in verbs() {
        let store = load(&base);
        let (one, other) = (open(Arc::clone(&store)), open(store));
        let before = view(&org(&other));
        block_on(verb.run(org(&one))).unwrap();
        let after = view(&org(&one));
        drop(one);
        // From here on the store has one handle, and nobody else will write to it.
        assert_ne!(after, before);
        assert_eq!(view(&org(&other)), after, "{}", verb.name);
        assert_eq!(view(&org(&other)), after, "{}, from the caches", verb.name);
    }
}

#[test]
fn a_handle_that_could_come_back_counts_as_shared() {
    let (store, vault) = empty();
    drop(vault);
    let weak = Arc::downgrade(&store);
    let vault = open(store);
    let one = org(&vault);
    block_on(one.define(text("V"))).unwrap();
    block_on(one.set_value("V", Scope::Org, "v")).unwrap();
    warm(&one);
    let other = open(weak.upgrade().unwrap());
    block_on(org(&other).delete_definition("V")).unwrap();
    drop(other);
    assert!(block_on(one.definition("V")).unwrap().is_none());
}

#[test]
fn a_value_is_not_set_under_a_definition_that_the_other_changed() {
    let (one, other) = two();
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org).and(ScopeKind::LinkedAccount));
    block_on(one.update_definition("V", narrow)).unwrap();
    let workflow = crate::rig::of_workflow("w");
    let refused = block_on(other.set_value("V", workflow.clone(), "v"));
    assert!(matches!(refused, Err(Error::ScopeNotAllowed { .. })), "{refused:?}");
    block_on(one.delete_definition("V")).unwrap();
    let refused = block_on(other.set_value("V", Scope::Org, "v"));
    assert!(matches!(refused, Err(Error::DefinitionNotFound(_))), "{refused:?}");
}

#[test]
fn values_in_parts_of_a_renamed_definition_and_of_the_one_that_took_its_name_are_not_set_twice() {
    let (one, other) = two();
    block_on(one.update_definition("V", DefinitionChange::new().name("OLD"))).unwrap();
    block_on(one.define(text("V"))).unwrap();
    let values = ["V", "OLD"].map(|name| NewValue::new(name, Scope::Org, name));
    block_on(other.set_values_in_parts(&values, |_| {})).unwrap();
    for name in ["V", "OLD"] {
        assert_eq!(block_on(one.value(name, Scope::Org)).unwrap().unwrap().value.expose(), name);
    }
}

#[test]
fn a_name_that_another_definition_took_leads_to_that_one() {
    let (one, other) = two();
    block_on(one.update_definition("V", DefinitionChange::new().name("OLD"))).unwrap();
    let id = block_on(one.define(text("V"))).unwrap();
    assert_eq!(block_on(other.definition("V")).unwrap().unwrap().id, id);
    assert!(block_on(other.resolve("V", &ScopePath::org())).unwrap().is_none());
    let taken = block_on(other.define(text("OLD")));
    assert!(matches!(taken, Err(Error::DefinitionExists(_))), "{taken:?}");
}

#[test]
fn a_key_that_the_other_dropped_neither_opens_nor_seals() {
    let (one, other) = two();
    block_on(one.delete_account(&account("a"))).unwrap();
    assert!(block_on(other.value("V", &of_account("a"))).unwrap().is_none());
    block_on(other.set_value("V", of_account("a"), "new")).unwrap();
    let seen = block_on(one.value("V", &of_account("a"))).unwrap().unwrap();
    assert_eq!(seen.value.expose(), "new");
    let listed = block_on(one.values(&of_account("a"), PageRequest::default())).unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[test]
fn lists_and_counts_are_never_of_another_moment() {
    let (one, other) = two();
    for round in 0..20 {
        let name = format!("V{round}");
        block_on(one.define(text(&name).default_value("d"))).unwrap();
        let all = block_on(other.resolve_all(&ScopePath::org())).unwrap();
        assert!(all.get(&name).is_some());
        assert_eq!(block_on(other.count_definitions(&DefinitionFilter::all())).unwrap(), round + 2);
        block_on(other.update_definition(&name, DefinitionChange::new().default_value("e"))).unwrap();
        let all = block_on(one.resolve_all(&ScopePath::org())).unwrap();
        assert_eq!(all.get(&name).unwrap().value.expose(), "e");
    }
}

#[test]
fn two_names_that_once_led_to_one_definition_are_no_duplicate() {
    let (one, other) = two();
    block_on(async {
        one.update_definition("V", DefinitionChange::new().name("W")).await?;
        one.define(text("V")).await?;
        other.set_value("W", Scope::Org, "w").await?;
        let values = ["V", "W"].map(|name| NewValue::new(name, Scope::Org, "x"));
        assert_eq!(other.set_values(&values).await?.len(), 2);
        Ok::<(), Error>(())
    })
    .unwrap();
}

#[test]
fn keys_that_the_other_dropped_open_nothing_also_for_what_was_not_asked_for_before() {
    let (store, vault) = empty();
    let one = org(&vault);
    block_on(async {
        for name in ["V", "W"] {
            one.define(text(name)).await?;
            one.set_value(name, of_account("a"), "v").await?;
        }
        Ok::<(), Error>(())
    })
    .unwrap();
    let id = block_on(one.definition("V")).unwrap().unwrap().id;
    let other = org(&open(Arc::clone(&store)));
    // It has the keys of the account and does not know V, whose row is left by a delete that was cut short.
    assert!(block_on(other.value("W", &of_account("a"))).unwrap().is_some());
    stop_after_first_commit(&store, async |org| assert!(org.delete_account(&account("a")).await.is_err()));
    assert!(block_on(other.value(id, &of_account("a"))).unwrap().is_none());
}

#[test]
fn a_definition_that_the_other_changed_is_listed_as_it_is_now() {
    let (one, other) = two();
    block_on(one.update_definition("V", DefinitionChange::new().description("new"))).unwrap();
    let listed = block_on(other.definitions(&DefinitionFilter::all(), PageRequest::default())).unwrap();
    assert_eq!(listed.items[0].definition.description.as_deref(), Some("new"));
    block_on(one.update_definition("V", DefinitionChange::new().default_value("now"))).unwrap();
    let all = block_on(other.resolve_all(&ScopePath::org().workflow("w".parse().unwrap()))).unwrap();
    assert_eq!(all.get("V").unwrap().value.expose(), "v");
    block_on(one.delete_value("V", Scope::Org)).unwrap();
    let all = block_on(other.resolve_all(&ScopePath::org())).unwrap();
    assert_eq!(all.get("V").unwrap().value.expose(), "now");
}

#[test]
fn an_api_key_that_was_expected_to_be_absent_is_seen_once_the_other_makes_it() {
    let (one, other) = two();
    let keys = |org: &Org| org.reserved_records("api-key".parse().unwrap());
    let id = || "k1".parse().unwrap();
    let absent = WriteOptions::default().with_record(keys(&one).condition(id(), Expected::Absent));
    block_on(one.set_value_with("V", Scope::Org, "w", absent)).unwrap();
    block_on(keys(&other).put(&id(), "made")).unwrap();
    assert!(block_on(keys(&one).get(&id())).unwrap().is_some());
}
