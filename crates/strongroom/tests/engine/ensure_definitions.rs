//! The catalogue that a service needs at its start: all of it, or nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::format::LengthBounds;
use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionFilter, DefinitionPart, Error, Invalid, ScopeKind, Scopes, VarFormat, VariableDefinition,
    Vault, VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{id, is_sound, org_of, run, text, unlock, vault};
use crate::rig::{Hooked, Point};

#[test]
fn all_that_is_missing_and_all_that_changes_is_one_commit() {
    run(async {
        let store = Faulty::new(MemoryStore::new());
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        org.define(text("OLD").scopes(Scopes::only(ScopeKind::Org))).await?;
        let mut wanted = many(200);
        wanted.push(text("OLD").description("which allows every scope now"));
        let before = store.commits_len();
        let ensured = org.ensure_definitions(&wanted).await?;
        assert_eq!((ensured.added.len(), ensured.changed.as_slice()), (200, &["OLD".to_owned()][..]));
        assert_eq!(store.commits_len() - before, 1);
        let old = org.definition("OLD").await?.unwrap();
        assert_eq!((old.definition.scopes, old.definition.description.is_some()), (Scopes::ALL, true));
        assert_eq!(org.ensure_definitions(&wanted).await?.unchanged.len(), 201);
        assert_eq!(store.commits_len() - before, 1);
        Ok(())
    });
}

#[test]
fn one_that_is_refused_or_a_store_that_fails_leaves_nothing_done() {
    run(async {
        let store = Faulty::new(MemoryStore::new());
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        org.define(text("OLD")).await?;
        let mut wanted = many(60);
        wanted.insert(0, text("OLD").description("another"));
        wanted.push(VariableDefinition::new("BAD", VarFormat::Integer).default_value("http"));
        let refused = org.ensure_definitions(&wanted).await.unwrap_err();
        assert!(matches!(&refused, Error::Invalid(Invalid::Default { name, .. }) if name == "BAD"));
        wanted.pop();
        let next = store.commits_len();
        let failing = store.on_commits(next..next + 1, Fault::Before(StoreErrorKind::Unavailable));
        assert!(org.ensure_definitions(&wanted).await.unwrap_err().is_retryable());
        assert_eq!(failing.commits_len(), next + 1);
        assert_eq!(org.count_definitions(&DefinitionFilter::all()).await?, 1);
        assert_eq!(org.definition("OLD").await?.unwrap().definition.description, None);
        assert_eq!(org.ensure_definitions(&wanted).await?.added.len(), 60);
        Ok(())
    });
}

#[test]
fn of_services_that_start_at_once_each_finds_all_of_it_and_one_defines_it() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let first = vault(Hooked::new(Arc::clone(&store)).shared(), VaultOptions::default()).await?;
        let second = Vault::open(Hooked::new(Arc::clone(&store)).shared(), unlock()).await?;
        let (wanted, orgs) = (many(20), [org_of(&first), org_of(&second)]);
        let starts = (0..8).map(|number| orgs[number % 2].ensure_definitions(&wanted));
        let ensured = join_all(starts).await.into_iter().collect::<Result<Vec<_>, Error>>()?;
        assert_eq!(ensured.iter().filter(|ensured| ensured.added.len() == 20).count(), 1);
        assert_eq!(ensured.iter().filter(|ensured| ensured.unchanged.len() == 20).count(), 7);
        Ok(())
    });
}

#[test]
fn what_is_returned_holds_at_the_moment_of_the_commit() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let hooked = Hooked::new(Arc::clone(&store));
        let here = vault(hooked.shared(), VaultOptions::default()).await?;
        let elsewhere = org_of(&Vault::open(Hooked::new(Arc::clone(&store)).shared(), unlock()).await?);
        elsewhere.define(text("KEPT")).await?;
        let gone = elsewhere.clone();
        hooked.once(Point::BeforeCommit, move || {
            block_on(gone.delete_definition("KEPT")).unwrap();
        });
        let ensured = org_of(&here).ensure_definitions(&[text("KEPT"), text("NEW")]).await?;
        assert_eq!(ensured.added, ["KEPT", "NEW"]);
        assert_eq!(hooked.hooks_left(), 0);
        let told = org_of(&here)
            .ensure_definitions(&[VariableDefinition::new("NEW", VarFormat::Url), text("NEWER")])
            .await?;
        assert_eq!(told.differing[0].parts, [DefinitionPart::Format]);
        assert_eq!(told.added, ["NEWER"]);
        Ok(())
    });
}

#[test]
fn what_is_safe_is_changed_where_another_part_differs_and_no_description_erases_none() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        org.define(text("A").required().scopes(Scopes::only(ScopeKind::Org)).description("by hand")).await?;
        org.define(text("B").description("by hand")).await?;
        let accounts = Scopes::only(ScopeKind::LinkedAccount);
        let told = org.ensure_definitions(&[text("A").scopes(accounts), text("B")]).await?;
        assert_eq!(told.differing[0].parts, [DefinitionPart::Required, DefinitionPart::Scopes]);
        assert_eq!((told.differing.len(), told.changed.as_slice()), (1, &["A".to_owned()][..]));
        assert_eq!(told.unchanged, ["B"]);
        for (name, scopes) in [("A", accounts.and(ScopeKind::Org)), ("B", Scopes::ALL)] {
            let kept = org.definition(name).await?.unwrap().definition;
            assert_eq!((kept.scopes, kept.description.as_deref()), (scopes, Some("by hand")));
        }
        Ok(())
    });
}

#[test]
fn bounds_on_the_length_that_differ_are_told_as_part_of_the_format() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        let of_at_most = |bytes| text("V").length(LengthBounds::new(1..=bytes).unwrap());
        org.define(of_at_most(4)).await?;
        let told = org.ensure_definitions(&[of_at_most(8)]).await?;
        assert_eq!((told.differing.len(), told.unchanged.len()), (1, 0));
        assert_eq!(told.differing[0].parts, [DefinitionPart::Format]);
        assert_eq!(org.definition("V").await?.unwrap().definition, of_at_most(4));
        Ok(())
    });
}

fn many(count: usize) -> Vec<VariableDefinition> {
    (0..count).map(|number| text(&format!("V{number}"))).collect()
}

#[test]
fn former_versions_that_are_asked_for_and_stored_differently_are_told() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default()).await?);
        org.define(text("V").history_versions(5).history_age_secs(60)).await?;
        assert_eq!(org.ensure_definitions(&[text("V")]).await?.unchanged, ["V"]);
        for wanted in [text("V").history_versions(6), text("V").history_age_secs(61)] {
            let told = org.ensure_definitions(&[wanted]).await?;
            assert_eq!(told.differing[0].parts, [DefinitionPart::History]);
        }
        Ok(())
    });
}

#[test]
fn a_stored_format_that_this_process_does_not_know_is_left_alone() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let knowing = VaultOptions::default().custom_format("even".parse().unwrap(), |_| Ok(()));
        let even = VariableDefinition::new("N", VarFormat::Custom("even".parse().unwrap()));
        org_of(&vault(Arc::clone(&store), knowing).await?).define(even).await?;
        let org = org_of(&Vault::open(store, unlock()).await?);
        let refused = org.ensure_definitions(&[text("N").description("another")]).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Definition { .. }))), "{refused:?}");
        assert_eq!(org.definition("N").await?.unwrap().definition.description, None);
        Ok(())
    });
}

#[test]
fn the_longest_name_of_an_actor_is_that_of_an_author_too() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let long = org_of(&vault).acting_as(id(&"a".repeat(300)));
        long.define(text("DEFINED")).await?;
        long.ensure_definitions(&[text("ENSURED")]).await?;
        for name in ["DEFINED", "ENSURED"] {
            long.update_definition(name, strongroom::DefinitionChange::new().required()).await?;
        }
        is_sound(&vault).await
    });
}
