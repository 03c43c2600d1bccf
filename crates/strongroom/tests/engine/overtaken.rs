//! A verb that another one overtakes at a chosen point: it answers what was so before, or what is so now.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::future::IntoFuture as _;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, StoreErrorKind, WriteBatch};
use strongroom::{
    DefinitionChange, Error, Expected, Org, PageRequest, RootRotation, Scope, ScopeKind, ScopePath, Scopes,
    WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};

use crate::rig::{
    Hooked, Kind, Paged, Point, RowKey, account, audit, base, load, of_account, open, org, rows,
    stop_after_first_commit, text, unlock,
};

#[test]
fn a_scope_that_is_written_to_while_it_is_removed_is_given_back() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    let hooked = Hooked::new(Arc::clone(&base));
    let vault = open(hooked.clone());
    block_on(vault.change_settings(|settings| settings.audit = true)).unwrap();
    let other = org(&open(Arc::clone(&base)));
    hooked.once(Point::BeforeCommit, move || {
        block_on(other.set_value("V", of_account("a"), "v")).unwrap();
    });
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    let options = WriteOptions::default().note("only of the org").label("l");
    let alice = org(&vault).acting_as("alice".parse().unwrap());
    let refused = block_on(alice.update_definition_with("V", narrow, options));
    assert!(matches!(refused, Err(Error::ScopeInUse { .. })), "{refused:?}");
    let stored = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert_eq!(stored.definition.scopes, Scopes::ALL);
    // Nobody asked for it: what was said of the change that is taken back is not said of this version.
    assert!(stored.metadata.is_empty() && stored.definition.author.is_none(), "{stored:?}");
    let filter = strongroom::AuditFilter::all().newest_first();
    let newest = block_on(org(&vault).audit(&filter, PageRequest::first(1))).unwrap();
    assert_eq!(newest.items[0].actor, None);
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
            let store = load(&rows(&base));
            let hooked = Hooked::new(Arc::clone(&store));
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
            audit(&store);
        }
    }
}

#[test]
fn a_delete_of_what_was_gone_leaves_nothing_of_what_is_set_and_deleted_again_meanwhile() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await.map(drop)
    });
    for (set_at, deleted_after) in (0..4).flat_map(|set| (0..3).map(move |more| (set, more))) {
        let store = load(&rows(&base));
        let hooked = Hooked::new(Arc::clone(&store));
        let vault = open(hooked.clone());
        let (one, other) = (org(&vault), org(&vault));
        let deletes = hooked.clone();
        hooked.once_after(Point::AfterRead, set_at, move || {
            block_on(one.set_value("V", Scope::Org, "b")).unwrap();
            deletes.once_after(Point::BeforeRead, deleted_after, move || {
                let kept = WriteOptions::default().keep_history();
                block_on(other.delete_value_with("V", Scope::Org, kept)).unwrap();
            });
        });
        let deleted = block_on(org(&vault).delete_value("V", Scope::Org));
        if hooked.hooks_left() > 0 {
            continue;
        }
        let page = PageRequest::default();
        let versions = block_on(org(&vault).value_history("V", Scope::Org, page)).unwrap();
        assert_eq!(versions.items, [], "{set_at}, {deleted_after}: {deleted:?}");
        audit(&store);
    }
}

#[test]
fn a_condition_on_a_record_holds_until_the_batch_lands() {
    for expected in ["a revision", "absence"] {
        let base = base(async |org| org.define(text("V")).await.map(drop));
        let hooked = Hooked::new(Arc::clone(&base));
        let vault = open(hooked.clone());
        let records = org(&vault).records("notes".parse().unwrap());
        let key = || "r".parse().unwrap();
        let expected = match expected {
            "absence" => Expected::Absent,
            _ => Expected::Revision(block_on(records.put(&key(), "one")).unwrap().revision),
        };
        let other = org(&vault).records("notes".parse().unwrap());
        hooked.once(Point::BeforeCommit, move || drop(block_on(other.put(&key(), "two")).unwrap()));
        let options = WriteOptions::default().with_record(records.condition("r".parse().unwrap(), expected));
        let set = block_on(org(&vault).set_value_with("V", Scope::Org, "v", options));
        assert!(matches!(set, Err(Error::Unexpected { found: Some(_) })), "{expected:?}: {set:?}");
        assert!(block_on(org(&vault).value("V", Scope::Org)).unwrap().is_none());
    }
}

#[test]
fn a_scope_stays_removed_if_what_was_set_there_meanwhile_cannot_be_read() {
    let base = base(async |org| org.define(text("V")).await.map(|_| ()));
    let hooked = Hooked::new(Arc::clone(&base));
    let vault = open(hooked.clone());
    let (other, store) = (org(&vault), Arc::clone(&base));
    hooked.once(Point::BeforeCommit, move || {
        block_on(other.set_value("V", of_account("a"), "v")).unwrap();
        let key = rows(&store).into_keys().find(|key| RowKey::parse(key).kind == Kind::Value).unwrap();
        let mut batch = WriteBatch::default();
        batch.put(key.into(), b"junk".to_vec());
        block_on(store.commit(Arc::new(batch))).unwrap();
    });
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    let told = block_on(org(&vault).update_definition("V", narrow));
    assert!(matches!(told, Err(Error::Damaged { .. })), "{told:?}");
    let stored = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert_eq!(stored.definition.scopes, Scopes::only(ScopeKind::Org));
    assert_eq!(block_on(vault.verify()).unwrap().jobs, 0, "nothing is left to look at");
}

#[test]
fn a_scope_that_is_written_to_while_it_is_removed_is_given_back_whichever_page_says_so() {
    let base = base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", of_account("a"), "v").await.map(drop)
    });
    // The value of an account whose delete was cut short stands before the one that is set meanwhile.
    stop_after_first_commit(&base, async |org| assert!(org.delete_account(&account("a")).await.is_err()));
    let hooked = Hooked::new(Arc::clone(&base));
    let vault = open(Paged::of(hooked.clone(), 1));
    let other = org(&vault);
    hooked.once(Point::BeforeCommit, move || {
        block_on(other.set_value("V", of_account("b"), "v")).unwrap();
    });
    let narrow = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
    let refused = block_on(org(&vault).update_definition("V", narrow));
    assert!(matches!(refused, Err(Error::ScopeInUse { .. })), "{refused:?}");
    let stored = block_on(org(&vault).definition("V")).unwrap().unwrap();
    assert_eq!((stored.definition.scopes, hooked.hooks_left()), (Scopes::ALL, 0));
}

/// A reader of V while another definition is unreadable, and V's name goes to another definition meanwhile.
#[test]
fn a_reader_of_some_names_sees_one_that_bears_the_name_whoever_renames_meanwhile() {
    let base = base(async |org| {
        for name in ["LOST", "V", "OTHER"] {
            org.define(text(name).default_value(name.to_lowercase())).await?;
        }
        Ok(())
    });
    let lost = block_on(org(&open(Arc::clone(&base))).definition("LOST")).unwrap().unwrap().id;
    let mut damaged = rows(&base);
    let is_lost =
        |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Definition && key.ends_with(lost.as_bytes());
    let key = damaged.keys().find(is_lost).unwrap().clone();
    damaged.insert(key, b"junk".to_vec());
    for skip in 0.. {
        let store = load(&damaged);
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let other = org(&open(store));
        let vault = open(hooked.clone());
        hooked.once_after(Point::AfterRead, skip, move || {
            block_on(async {
                other.update_definition("V", DefinitionChange::new().name("GONE")).await?;
                other.update_definition("OTHER", DefinitionChange::new().name("V")).await
            })
            .unwrap();
        });
        let run = org(&vault).reader(ScopePath::org()).only(["V"]);
        let seen = block_on(run.resolve_all());
        if hooked.hooks_left() > 0 {
            assert!(skip > 2, "a reader makes more than {skip} reads");
            break;
        }
        let seen: Vec<_> = seen.unwrap().values.iter().map(|one| one.value.expose().to_owned()).collect();
        assert!(seen == ["v"] || seen == ["other"], "{skip}: {seen:?}");
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

#[test]
fn whoever_lost_a_race_for_an_account_finishes_its_delete_that_was_cut_short() {
    let store = base(async |org| org.define(text("V")).await.map(drop));
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let own = org(&open(hooked.clone()));
    hooked.once(Point::BeforeCommit, move || {
        let other = org(&open(Arc::clone(&store)));
        block_on(other.create_account(account("a")).name("other").into_future()).unwrap();
        stop_after_first_commit(&store, async |org| {
            assert!(org.delete_account(&account("a")).await.is_err());
        });
    });
    let made = block_on(own.create_account(account("a")).name("own").into_future()).unwrap();
    assert_eq!(block_on(made.info()).unwrap().unwrap().name.as_deref(), Some("own"));
    assert_eq!(hooked.hooks_left(), 0);
}

#[test]
fn keys_that_a_delete_drops_meanwhile_open_nothing_also_for_what_was_not_asked_for_before() {
    let base = base(async |org| {
        for name in ["V", "W"] {
            org.define(text(name)).await?;
            org.set_value(name, of_account("a"), "v").await?;
        }
        Ok(())
    });
    let id = block_on(org(&open(Arc::clone(&base))).definition("V")).unwrap().unwrap().id;
    let hooked = Hooked::new(base);
    let store = Faulty::new(hooked.clone());
    let org = org(&open(store.clone()));
    // It has the keys of the account and does not know V, whose row is left by a delete that is cut short.
    assert!(block_on(org.value("W", &of_account("a"))).unwrap().is_some());
    let _fails =
        store.clone().on_commits(store.commits_len() + 1.., Fault::Before(StoreErrorKind::Unavailable));
    let other = org.clone();
    hooked.once(Point::BeforeRead, move || assert!(block_on(other.delete_account(&account("a"))).is_err()));
    assert!(block_on(org.value(id, &of_account("a"))).unwrap().is_none());
    assert_eq!(hooked.hooks_left(), 0);
}
