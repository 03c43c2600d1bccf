//! A verb that another one overtakes at a chosen point: it answers what was so before, or what is so now.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::future::IntoFuture as _;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionChange, Error, Expected, Org, PageRequest, RootRotation, Scope, ScopeKind, ScopePath, Scopes,
    WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};

use crate::rig::{Hooked, Point, account, audit, base, load, of_account, open, org, rows, text, unlock};

#[test]
fn a_scope_that_is_written_to_while_it_is_removed_is_given_back() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    let hooked = Hooked::new(Arc::clone(&base));
    let vault = open(hooked.clone());
    let other = org(&vault);
    hooked.once(Point::BeforeCommit, move || {
        block_on(other.set_value("V", of_account("a"), "v")).unwrap();
    });
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    let refused = block_on(org(&vault).update_definition("V", narrow));
    assert!(matches!(refused, Err(Error::ScopeInUse { .. })), "{refused:?}");
    let stored = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert_eq!(stored.definition.scopes, Scopes::ALL);
    audit(&base);
}

#[test]
fn a_reader_who_is_overtaken_by_a_delete_never_sees_the_definition_without_its_values() {
    for point in [Point::BeforeRead, Point::AfterRead] {
        let base = base(async |org| {
            org.define(text("V").default_value("default")).await?;
            org.set_value("V", Scope::Org, "v").await?;
            Ok(())
        });
        let hooked = Hooked::new(base);
        let vault = open(hooked.clone());
        let org = org(&vault);
        block_on(org.resolve("V", &ScopePath::org())).unwrap();
        let other = org.clone();
        hooked.once(point, move || block_on(other.delete_definition("V")).unwrap());
        match block_on(org.resolve("V", &ScopePath::org())) {
            Ok(resolved) => assert_eq!(resolved.unwrap().value.expose(), "v"),
            Err(error) => assert!(matches!(error, Error::DefinitionNotFound(_)), "{error}"),
        }
        assert_eq!(hooked.hooks_left(), 0);

        block_on(org.define(text("V").default_value("default"))).unwrap();
        block_on(org.set_value("V", Scope::Org, "v")).unwrap();
        block_on(org.resolve_all(&ScopePath::org())).unwrap();
        let other = org.clone();
        hooked.once(point, move || block_on(other.delete_definition("V")).unwrap());
        let all = block_on(org.resolve_all(&ScopePath::org())).unwrap();
        assert!(all.values.iter().all(|one| one.value.expose() == "v"));
        assert_eq!(hooked.hooks_left(), 0);
    }
}

#[test]
fn a_delete_of_what_was_deleted_before_spares_the_versions_of_what_is_set_meanwhile() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await.map(drop)
    });
    for point in [Point::BeforeRead, Point::AfterRead, Point::BeforeCommit] {
        for skip in 0.. {
            let hooked = Hooked::new(load(&rows(&base)));
            let vault = open(hooked.clone());
            let other = org(&vault);
            hooked.once_after(point, skip, move || {
                block_on(other.set_value("V", Scope::Org, "b")).unwrap();
            });
            let absent = WriteOptions::expecting(Expected::Absent);
            let deleted = block_on(org(&vault).delete_value_with("V", Scope::Org, absent));
            if hooked.hooks_left() > 0 {
                break;
            }
            let versions =
                block_on(org(&vault).value_history("V", Scope::Org, PageRequest::default())).unwrap();
            // Refused, it has deleted nothing.
            let left = if deleted.is_ok() { 1 } else { 3 };
            assert_eq!(versions.items.len(), left, "{skip}: {deleted:?}");
        }
    }
}

#[test]
fn a_list_reads_what_was_just_sealed_under_a_new_key() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", of_account("a"), "v1").await?;
        Ok(())
    });
    let hooked = Hooked::new(base);
    let vault = open(hooked.clone());
    let org = org(&vault);
    block_on(org.delete_account(&account("a"))).unwrap();
    let listed = |org: &Org| {
        let page = block_on(org.values(&of_account("a"), PageRequest::default())).unwrap();
        page.items.iter().map(|found| found.value.expose().to_owned()).collect::<Vec<_>>()
    };
    // Caches the account's keyring as it is without a key.
    assert!(listed(&org).is_empty());
    let other = org.clone();
    hooked.once(Point::AfterCommit, move || {
        let page = block_on(other.values(&of_account("a"), PageRequest::default())).unwrap();
        assert_eq!(page.items.len(), 1, "what is applied is seen, whoever has heard of it");
    });
    block_on(org.set_value("V", of_account("a"), "v2")).unwrap();
    assert_eq!(hooked.hooks_left(), 0);
    assert_eq!(listed(&org), ["v2"]);
}

#[test]
fn a_rename_that_another_makes_meanwhile_is_no_clash() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    let id = block_on(org(&open(Arc::clone(&base))).definition("V")).unwrap().unwrap().id;
    for skip in 0.. {
        let hooked = Hooked::new(load(&rows(&base)));
        let vault = open(hooked.clone());
        let other = org(&vault);
        hooked.once_after(Point::AfterRead, skip, move || {
            block_on(other.update_definition(id, DefinitionChange::new().name("W"))).unwrap();
        });
        let renamed = block_on(org(&vault).update_definition(id, DefinitionChange::new().name("W")));
        assert_eq!(renamed.unwrap().definition.name, "W");
        if hooked.hooks_left() > 0 {
            break;
        }
    }
}

#[test]
fn a_name_that_goes_from_one_definition_to_another_leads_to_the_one_that_has_it() {
    let base = base(async |org| {
        for name in ["V", "W"] {
            org.define(text(name)).await?;
            org.set_value(name, Scope::Org, name).await?;
        }
        Ok(())
    });
    for skip in 0..3 {
        let hooked = Hooked::new(load(&rows(&base)));
        let vault = open(hooked.clone());
        let org = org(&vault);
        let other = org.clone();
        hooked.once_after(Point::AfterRead, skip, move || {
            for (from, to) in [("V", "X"), ("W", "V"), ("X", "W")] {
                block_on(other.update_definition(from, DefinitionChange::new().name(to))).unwrap();
            }
        });
        match block_on(org.resolve("V", &ScopePath::org())) {
            Ok(resolved) => assert!(["V", "W"].contains(&resolved.unwrap().value.expose())),
            Err(error) => assert!(matches!(error, Error::DefinitionNotFound(_)), "{error}"),
        }
        if hooked.hooks_left() == 0 {
            let resolved = block_on(org.resolve("V", &ScopePath::org())).unwrap().unwrap();
            assert_eq!(resolved.value.expose(), "W");
        }
    }
}

#[test]
fn a_job_under_a_root_that_another_engine_made_is_no_damage() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.create_account(account("a")).with_credential("k", "v").await.map(drop)
    });
    // The delete lands, and its sweep does not.
    let unavailable = Fault::Before(StoreErrorKind::Unavailable);
    let cut_short = open(Faulty::new(Arc::clone(&base)).on_commits(1.., unavailable));
    block_on(org(&cut_short).delete_account(&account("a"))).unwrap_err();
    let behind = open(Arc::clone(&base));
    let org = org(&behind);
    block_on(org.resolve("V", &ScopePath::org().linked_account(account("a")))).unwrap();
    let rotated = block_on(open(Arc::clone(&base)).rotate_root(RootRotation::new().keep(unlock())));
    block_on(rotated.unwrap().job.run()).unwrap();

    let answers = [
        block_on(behind.jobs(PageRequest::default())).map(drop),
        block_on(behind.run_jobs()).map(drop),
        block_on(org.create_account(account("a")).into_future()).map(drop),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(Error::RootRotated)), "{answer:?}");
    }
}

#[test]
fn a_row_under_a_root_that_another_engine_made_is_no_damage_if_the_store_fails_meanwhile() {
    let unavailable = Fault::Before(StoreErrorKind::Unavailable);
    let mut rotated = 0;
    for read in 0..6 {
        let base = base(async |org| org.define(text("V")).await.map(drop));
        let store = Faulty::new(Arc::clone(&base));
        let behind = org(&open(store.clone()));
        let rotation = block_on(open(base).rotate_root(RootRotation::new().keep(unlock())));
        block_on(rotation.unwrap().job.run()).unwrap();
        drop(store.clone().on_reads(store.reads_len() + read..=store.reads_len() + read, unavailable));
        let answer = block_on(behind.shred());
        rotated += usize::from(matches!(answer, Err(Error::RootRotated)));
        assert!(matches!(answer, Err(Error::RootRotated | Error::Store(_))), "{read}: {answer:?}");
    }
    assert!((1..6).contains(&rotated), "{rotated}");
}
