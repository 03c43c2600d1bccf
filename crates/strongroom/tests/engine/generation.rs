//! A generation changes whenever a run could see something else, and hints come of every write.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use strongroom::store::StoreErrorKind::{Indeterminate, Unavailable};
use strongroom::{Generation, Moved, Org, Scope, Vault, Watch};
use strongroom_conformance::{Fault, Faulty};

use crate::rig::{Kind, OTHER_ORG, RowKey, Rows, furnished, load, open, org, rows, text, verbs, view};

/// The rows of a vault that keeps generations.
fn kept() -> Rows {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    block_on(vault.change_settings(|settings| settings.generations = true)).unwrap();
    rows(&store)
}

fn generation(org: &Org) -> Generation {
    block_on(org.generation()).unwrap().unwrap()
}

fn take(watch: &mut Watch) -> Option<Moved> {
    match watch.poll_changed(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(moved) => moved,
        Poll::Pending => None,
    }
}

fn other(vault: &Vault) -> Org {
    vault.org(OTHER_ORG.parse().unwrap(), strongroom::Environment::test())
}

#[test]
fn every_verb_that_changes_what_is_seen_changes_the_generation_for_every_engine() {
    let base = kept();
    for verb in verbs().into_iter().filter(|verb| !verb.name.contains("record")) {
        let store = load(&base);
        let (writer, reader) = (open(Arc::clone(&store)), open(Arc::clone(&store)));
        let (before, seen) = (generation(&org(&reader)), view(&org(&reader)));
        let mut watch = writer.watch();
        block_on(verb.run(org(&writer))).unwrap();
        let (after, now) = (generation(&org(&reader)), view(&org(&reader)));
        assert!(seen == now || before != after, "{} changed no generation", verb.name);
        assert!(seen == now || take(&mut watch).is_some(), "{} gave no hint", verb.name);
        assert_eq!(generation(&org(&writer)), after, "{}", verb.name);
    }
}

#[test]
fn what_is_not_seen_by_runs_of_the_org_leaves_its_generation_alone() {
    let vault = open(load(&kept()));
    let before = generation(&org(&vault));
    let mut watch = vault.watch();
    view(&org(&vault));
    block_on(async {
        org(&vault).records("notes".parse()?).put(&"a".parse()?, "b").await?;
        other(&vault).define(text("FRESH")).await?;
        Ok::<_, strongroom::Error>(())
    })
    .unwrap();
    assert_eq!(generation(&org(&vault)), before);
    assert!(matches!(take(&mut watch), Some(Moved::Org { org, .. }) if org == *other(&vault).id()));
    assert_eq!(take(&mut watch), None);
}

#[test]
fn a_vault_keeps_generations_only_if_it_is_told_to() {
    let store = load(&furnished());
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).set_value("V", Scope::Org, "other")).unwrap();
    assert_eq!(block_on(org(&vault).generation()).unwrap(), None);
    assert!(rows(&store).keys().all(|key| RowKey::parse(key).kind != Kind::Generation));
}

#[test]
fn a_write_while_no_generations_are_kept_is_not_hidden_from_an_engine_that_knew_of_them() {
    let store = load(&kept());
    let (reader, other) = (open(Arc::clone(&store)), open(store));
    let keep = |keeps| block_on(other.change_settings(|settings| settings.generations = keeps)).unwrap();
    let before = generation(&org(&reader));
    keep(false);
    block_on(org(&other).set_value("V", Scope::Org, "after")).unwrap();
    assert_eq!(block_on(org(&reader).generation()).unwrap(), None);
    keep(true);
    assert_ne!(generation(&org(&reader)), before);
}

#[test]
fn a_write_whose_answer_is_lost_or_that_was_dropped_gives_a_hint() {
    for fault in [Fault::After(Indeterminate), Fault::After(Unavailable)] {
        let store = Faulty::new(load(&furnished())).on_commits(0..=0, fault);
        let vault = open(store);
        let mut watch = vault.watch();
        block_on(org(&vault).set_value("V", Scope::Org, "other")).ok();
        assert!(take(&mut watch).is_some(), "{fault:?}");
    }
}

#[test]
fn a_shred_gives_a_hint_before_its_sweep() {
    let store = Faulty::new(load(&furnished())).on_commits(1.., Fault::Before(Unavailable));
    let vault = open(store);
    let mut watch = vault.watch();
    assert!(block_on(org(&vault).shred()).is_err());
    assert!(take(&mut watch).is_some());
}

#[test]
fn a_reader_who_waits_is_woken_and_a_vault_that_is_gone_ends_his_wait() {
    let vault = open(load(&furnished()));
    let mut watch = vault.watch();
    let waits = std::thread::spawn(move || {
        let first = block_on(watch.changed());
        (first, block_on(watch.changed()))
    });
    block_on(org(&vault).set_value("V", Scope::Org, "other")).unwrap();
    drop(vault);
    let (first, last) = waits.join().unwrap();
    assert!(matches!(first, Some(Moved::Org { .. })));
    assert_eq!(last, None);
}
