//! The former versions of values: what is kept, what comes back, and what is gone for good.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Key, StoreErrorKind};
use strongroom::{
    AuditFilter, Backup, DefinitionChange, Environment, Error, EventKind, Expected, FormatChange, OnMismatch,
    Org, PageRequest, Revision, Scope, ScopeKind, ScopePath, Scopes, Settings, Upsert, VarFormat, Vault,
    VaultOptions, Version, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{
    FailingStore, TestClock, account, exposed, id, is_verified, org_of, plant, rows, run, text, unlock,
    vault, workflow,
};
use crate::rig::{Hooked, Paged, Point};

#[test]
fn versions_come_newest_first_with_who_wrote_them_and_when() {
    with_kept_clock(async |org, clock| {
        org.define(text("V")).await?;
        let alice = org.acting_as(id("user:alice"));
        for (at, value) in [(1_000, "a"), (2_000, "b"), (3_000, "c")] {
            clock.set(at);
            alice.set_value_with("V", Scope::Org, value, WriteOptions::default().note(value)).await?;
        }
        let history = history(&org, "V", &Scope::Org).await?;
        let seen: Vec<_> = history.iter().map(|v| (v.written_at.as_ms(), v.metadata.note())).collect();
        assert_eq!(seen, [(3_000, Some("c")), (2_000, Some("b")), (1_000, Some("a"))]);
        assert!(history.iter().all(|v| v.created_at.as_ms() == 1_000 && v.id == history[0].id));
        assert!(history.iter().all(|v| v.metadata.author() == Some("user:alice") && !v.deleted));
        assert_eq!(texts(&org, "V", &Scope::Org, &history).await?, ["c", "b", "a"]);
        Ok(())
    });
}

#[test]
fn the_oldest_version_goes_with_the_write_that_makes_one_too_many() {
    for kept in [0, 1, 10, 100_u8] {
        run(async {
            let options = VaultOptions::default().history_versions(kept);
            let vault = vault(MemoryStore::new(), options).await?;
            let org = org_of(&vault);
            org.define(text("V")).await?;
            for value in 0..usize::from(kept) + 3 {
                org.set_value("V", Scope::Org, value.to_string()).await?;
                let versions = history(&org, "V", &Scope::Org).await?;
                assert_eq!(versions.len(), 1 + value.min(usize::from(kept)));
            }
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_host_that_asks_for_more_than_100_versions_keeps_100() {
    run(async {
        let options = VaultOptions::default().history_versions(u8::MAX);
        let org = org_of(&vault(MemoryStore::new(), options).await?);
        org.define(text("V")).await?;
        for value in 0..103 {
            org.set_value("V", Scope::Org, value.to_string()).await?;
        }
        assert_eq!(history(&org, "V", &Scope::Org).await?.len(), 101, "and the present one");
        Ok(())
    });
}

#[test]
fn pages_of_any_length_hold_every_version_once() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        for value in ["a", "b", "c", "d"] {
            org.set_value("V", Scope::Org, value).await?;
        }
        let all = history(&org, "V", &Scope::Org).await?;
        for limit in 1..6 {
            let (mut paged, mut page) = (Vec::new(), PageRequest::first(limit));
            loop {
                let found = org.value_history("V", Scope::Org, page).await?;
                assert!(found.items.len() <= limit);
                paged.extend(found.items);
                let Some(next) = found.next else { break };
                page = PageRequest::first(limit).after(next);
            }
            assert_eq!(paged, all, "{limit}");
        }
        Ok(())
    });
}

#[test]
fn a_restored_version_is_a_new_one_that_can_be_undone_in_turn() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        let scope = account("a");
        let first = org.set_value("V", &scope, "a").await?;
        let second = org.set_value("V", &scope, "").await?;
        let restored = org.restore_value("V", &scope, first.revision).await?;
        assert_eq!((restored.id, restored.created_at), (first.id, first.created_at));
        assert!(![first.revision, second.revision].contains(&restored.revision));
        assert_eq!(exposed(org.value("V", &scope).await?.as_ref()), Some("a"));
        org.restore_value("V", &scope, second.revision).await?;
        assert_eq!(exposed(org.value("V", &scope).await?.as_ref()), Some(""));
        Ok(())
    });
}

#[test]
fn a_version_that_breaks_the_rules_of_today_is_not_restored() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "http").await?.revision;
        org.set_value("V", Scope::Org, "80").await?;
        org.change_format("V", &FormatChange::to(VarFormat::Integer), OnMismatch::Refuse).await?;
        assert!(matches!(org.restore_value("V", Scope::Org, first).await, Err(Error::InvalidValue { .. })));
        let wrong = WriteOptions::expecting(Expected::Absent);
        let refused = org.restore_value_with("V", Scope::Org, first, wrong).await;
        assert!(matches!(refused, Err(Error::InvalidValue { .. } | Error::Unexpected { .. })));
        assert_eq!(history(&org, "V", &Scope::Org).await?.len(), 2);
        assert_eq!(org.value_version("V", Scope::Org, first).await?.value.expose(), "http");
        Ok(())
    });
}

#[test]
fn a_version_that_is_not_kept_is_named() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?.revision;
        for value in 0..11 {
            org.set_value("V", Scope::Org, value.to_string()).await?;
        }
        let gone = org.value_version("V", Scope::Org, first).await.map(drop);
        assert!(matches!(gone, Err(Error::VersionNotFound(revision)) if revision == first));
        let gone = org.restore_value("V", Scope::Org, first).await.map(drop);
        assert!(matches!(gone, Err(Error::VersionNotFound(_))));
        let other_place = org.value_version("V", workflow("w"), first).await.map(drop);
        assert!(matches!(other_place, Err(Error::VersionNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_plain_delete_leaves_no_version_behind() {
    for versions in [1, 2, 63, 64, 65, 66, 101] {
        run(async {
            let store = Arc::new(MemoryStore::new());
            let options = VaultOptions::default().history_versions(100);
            let org = org_of(&vault(Arc::clone(&store), options).await?);
            org.define(text("V")).await?;
            for value in 0..versions {
                org.set_value("V", account("a"), value.to_string()).await?;
            }
            assert_eq!(past_rows(&store).await?.len(), versions - 1);
            assert!(org.delete_value("V", account("a")).await?.is_some());
            assert_eq!(past_rows(&store).await?, []);
            assert_eq!(history(&org, "V", &account("a")).await?, []);
            assert!(org.undelete_value("V", account("a")).await?.is_none());
            Ok(())
        });
    }
}

#[test]
fn a_delete_that_keeps_the_history_can_be_undone() {
    with_rows(async |_, vault, org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?;
        let bob = WriteOptions::default().keep_history().by(id("user:bob")).note("by mistake");
        assert_eq!(org.delete_value_with("V", Scope::Org, bob).await?.unwrap().id, Some(first.id));
        assert!(org.value("V", Scope::Org).await?.is_none() && org.value_by_id(&first.id).await?.is_none());
        is_verified(&vault).await?;

        let after = history(&org, "V", &Scope::Org).await?;
        assert!(after[0].deleted && !after[1].deleted && after.len() == 2);
        let said = (after[0].metadata.author(), after[0].metadata.note());
        assert_eq!(said, (Some("user:bob"), Some("by mistake")));
        let deletion = org.value_version("V", Scope::Org, after[0].revision).await.map(drop);
        assert!(matches!(deletion, Err(Error::VersionNotFound(_))));

        let back = org.undelete_value("V", Scope::Org).await?.unwrap();
        assert_eq!((back.id, back.created_at), (first.id, first.created_at));
        assert_eq!(exposed(org.value_by_id(&first.id).await?.as_ref()), Some("a"));
        let deleted: Vec<_> = history(&org, "V", &Scope::Org).await?.iter().map(|v| v.deleted).collect();
        assert_eq!(deleted, [false, true, false]);
        assert!(matches!(org.undelete_value("V", Scope::Org).await, Err(Error::Unexpected { .. })));
        is_verified(&vault).await
    });
}

#[test]
fn setting_a_deleted_value_again_continues_its_history() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        let stale = WriteOptions::expecting(Expected::Revision(first.revision));
        let refused = org.set_value_with("V", Scope::Org, "b", stale).await;
        assert!(matches!(refused, Err(Error::Unexpected { found: None })));
        let absent = WriteOptions::expecting(Expected::Absent);
        let again = org.set_value_with("V", Scope::Org, "b", absent).await?;
        assert_eq!((again.id, again.action.as_str()), (first.id, "added"));
        assert_eq!(history(&org, "V", &Scope::Org).await?.len(), 3);
        Ok(())
    });
}

#[test]
fn a_plain_delete_purges_a_history_that_was_kept() {
    with_rows(async |store, vault, org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        assert!(org.delete_value("V", Scope::Org).await?.is_none());
        assert_eq!(past_rows(&store).await?, []);
        assert_ne!(org.set_value("V", Scope::Org, "b").await?.id, first.id);
        is_verified(&vault).await
    });
}

#[test]
fn a_delete_that_expects_a_deletion_purges_the_history_of_that_one_alone() {
    with_kept(async |org| {
        let (kept, scope) = (|| WriteOptions::default().keep_history(), Scope::Org);
        org.define(text("V")).await?;
        let mut deletions = Vec::new();
        for value in ["a", "b"] {
            org.set_value("V", &scope, value).await?;
            org.delete_value_with("V", &scope, kept()).await?;
            deletions.push(history(&org, "V", &scope).await?[0].as_expected());
        }
        let purge =
            async |expected| org.delete_value_with("V", Scope::Org, WriteOptions::expecting(expected)).await;
        assert!(matches!(purge(deletions[0]).await, Err(Error::Unexpected { found: None })));
        assert_eq!(history(&org, "V", &scope).await?.len(), 4);
        assert!(purge(deletions[1]).await?.is_none());
        assert!(history(&org, "V", &scope).await?.is_empty());
        Ok(())
    });
}

#[test]
fn a_purge_of_a_deletion_spares_one_that_is_made_meanwhile() {
    let kept = || WriteOptions::default().keep_history();
    for reads in 0..16 {
        let store = crate::rig::base(async |org| {
            org.define(text("V")).await?;
            org.set_value("V", Scope::Org, "a").await?;
            org.delete_value_with("V", Scope::Org, kept()).await.map(drop)
        });
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let (vault, other) = (crate::rig::open(hooked.clone()), crate::rig::open(store));
        let (org, other) = (crate::rig::org(&vault), crate::rig::org(&other));
        let first = block_on(history(&org, "V", &Scope::Org)).unwrap()[0].as_expected();
        hooked.once_after(Point::BeforeRead, reads, move || {
            run(async {
                other.set_value("V", Scope::Org, "b").await?;
                other.delete_value_with("V", Scope::Org, kept()).await.map(drop)
            });
        });
        let purged = block_on(org.delete_value_with("V", Scope::Org, WriteOptions::expecting(first)));
        if hooked.hooks_left() > 0 {
            assert!(purged.unwrap().is_none());
            return;
        }
        assert!(matches!(purged, Err(Error::Unexpected { found: None })));
    }
    panic!("it reads without end");
}

#[test]
fn a_delete_that_purges_a_history_alone_takes_no_record_along() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        let notes = org.records(id("notes"));
        let noted = WriteOptions::default().with_record(notes.write(id("k"), "x"));
        assert!(org.delete_value_with("V", Scope::Org, noted).await?.is_none());
        assert!(notes.get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_former_version_in_the_place_of_another_row_is_refused() {
    with_rows(async |store, vault, org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?.revision;
        let second = org.set_value("V", Scope::Org, "b").await?.revision;
        let current = value_row(&store).await?;
        org.set_value("V", Scope::Org, "c").await?;
        let last = value_row(&store).await?.1;
        let past = past_rows(&store).await?;
        let [(newer, second_row), (older, first_row)] = past.as_slice() else { unreachable!() };

        for row in [first_row, second_row] {
            plant(&store, &current.0, Some(row.clone())).await?;
            assert!(matches!(org.value("V", Scope::Org).await, Err(Error::Damaged { .. })));
        }
        plant(&store, &current.0, Some(last)).await?;
        plant(&store, older, Some(second_row.clone())).await?;
        let swapped = org.value_version("V", Scope::Org, first).await.map(drop);
        assert!(matches!(swapped, Err(Error::Damaged { .. })));
        // The row of the value itself, from when it was that version.
        plant(&store, newer, Some(current.1)).await?;
        let replayed = org.value_version("V", Scope::Org, second).await.map(drop);
        assert!(matches!(replayed, Err(Error::Damaged { .. })));
        assert!(!vault.verify().await?.is_clean());
        Ok(())
    });
}

#[test]
fn a_deleted_value_is_not_brought_back_by_the_row_that_says_so() {
    with_rows(async |store, _, org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        let current = value_row(&store).await?.0;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        for (_, row) in past_rows(&store).await? {
            plant(&store, &current, Some(row)).await?;
            assert!(matches!(org.value("V", Scope::Org).await, Err(Error::Damaged { .. })));
        }
        Ok(())
    });
}

#[test]
fn a_shredded_account_leaves_no_version_that_opens_and_a_new_one_starts_afresh() {
    with_rows(async |store, vault, org| {
        org.define(text("V")).await?;
        org.define(text("W")).await?;
        org.create_account(id("a")).await?;
        let scope = account("a");
        let first = org.set_value("V", &scope, "a").await?;
        org.set_value("V", &scope, "b").await?;
        org.set_value("W", &scope, "a").await?;
        org.delete_value_with("W", &scope, WriteOptions::default().keep_history()).await?;
        let kept = past_rows(&store).await?;
        assert_eq!(kept.len(), 3);
        let _ = org.shred_account(&id("a")).await?;
        assert_eq!(past_rows(&store).await?, []);
        is_verified(&vault).await?;

        for (key, row) in kept {
            plant(&store, &key, Some(row)).await?;
        }
        assert_eq!(history(&org, "V", &scope).await?, []);
        let gone = org.value_version("V", &scope, first.revision).await.map(drop);
        assert!(matches!(gone, Err(Error::VersionNotFound(_))));
        org.create_account(id("a")).await?;
        assert_ne!(org.set_value("V", &scope, "new").await?.id, first.id);
        assert_ne!(org.set_value("W", &scope, "new").await?.id, first.id);
        assert_eq!(texts(&org, "V", &scope, &history(&org, "V", &scope).await?).await?, ["new"]);
        Ok(())
    });
}

#[test]
fn a_deleted_definition_and_a_shredded_org_leave_no_version_behind() {
    for scopes in [0, 1, 31, 32, 33] {
        run(async {
            let store = Arc::new(MemoryStore::new());
            let vault = vault(Arc::clone(&store), keeping()).await?;
            let org = org_of(&vault);
            org.define(text("V")).await?;
            for index in 0..scopes {
                let scope = workflow(&index.to_string());
                for value in ["a", "b", "c"] {
                    org.set_value("V", &scope, value).await?;
                }
                if index % 2 == 0 {
                    org.delete_value_with("V", &scope, WriteOptions::default().keep_history()).await?;
                }
            }
            org.delete_definition("V").await?;
            assert_eq!(past_rows(&store).await?, [], "{scopes}");
            is_verified(&vault).await?;

            org.define(text("V")).await?;
            org.set_value("V", Scope::Org, "a").await?;
            org.set_value("V", Scope::Org, "b").await?;
            let _ = org.shred().await?;
            assert_eq!(past_rows(&store).await?, []);
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_rotation_seals_every_version_again() {
    with_rows(async |store, vault, org| {
        let places = with_history(&org).await?;
        let before = past_rows(&store).await?;
        let report = org.rotate_keys().await?;
        assert_eq!((report.progress.failed, report.progress.keys_kept), (0, 0));
        let after = past_rows(&store).await?;
        assert_eq!(after.len(), before.len());
        assert!(before.iter().zip(&after).all(|(old, new)| old.0 == new.0 && old.1 != new.1));
        for (scope, wanted) in places {
            let versions = history(&org, "V", &scope).await?;
            assert_eq!(texts(&org, "V", &scope, &versions).await?, wanted);
        }
        is_verified(&vault).await
    });
}

#[test]
fn backups_copies_and_an_org_restored_elsewhere_carry_every_version() {
    run(async {
        let one = vault(MemoryStore::new(), keeping()).await?;
        let org = org_of(&one);
        let places = with_history(&org).await?;
        let (mut whole, mut of_org) = (Vec::new(), Vec::new());
        one.backup(&mut whole, |_| ()).await?;
        one.backup_org(*org.id(), unlock(), &mut of_org, |_| ()).await?;

        let file = Backup::open(Cursor::new(&whole), unlock()).await?;
        let original = file.replace_original(MemoryStore::new(), |_| ()).await?;
        let file = Backup::open(Cursor::new(&whole), unlock()).await?;
        let new = file.restore_as_new(MemoryStore::new(), unlock(), |_| ()).await?;
        let elsewhere = vault(MemoryStore::new(), keeping()).await?;
        let mut file = Backup::open(Cursor::new(&of_org), unlock()).await?;
        file.restore_org(*org.id(), &elsewhere, |_| ()).await?;
        for vault in [original, new, elsewhere] {
            let org = vault.org(*org.id(), Environment::test());
            for (scope, wanted) in &places {
                let versions = history(&org, "V", scope).await?;
                assert_eq!(texts(&org, "V", scope, &versions).await?, *wanted);
            }
            is_verified(&vault).await?;
            assert!(org.undelete_value("V", workflow("gone")).await?.is_some());
            is_verified(&vault).await?;
        }
        Ok(())
    });
}

#[test]
fn a_write_that_does_not_land_leaves_no_version() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let vault = vault(Arc::clone(&store), keeping()).await?;
        let org = org_of(&vault);
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        let before = history(&org, "V", &Scope::Org).await?;
        store.fail_after(0, StoreErrorKind::Unavailable);
        assert!(org.set_value("V", Scope::Org, "b").await.is_err());
        let kept = WriteOptions::default().keep_history();
        assert!(org.delete_value_with("V", Scope::Org, kept).await.is_err());
        store.recover();
        assert_eq!(history(&org, "V", &Scope::Org).await?, before);
        is_verified(&vault).await
    });
}

#[test]
fn a_value_that_was_deleted_does_not_keep_its_scope_from_being_removed() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", workflow("w"), "a").await?;
        org.delete_value_with("V", workflow("w"), WriteOptions::default().keep_history()).await?;
        let only_org = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
        org.update_definition("V", only_org).await?;
        let refused = org.undelete_value("V", workflow("w")).await.map(drop);
        assert!(matches!(refused, Err(Error::ScopeNotAllowed { .. })));
        Ok(())
    });
}

/// 10 versions are kept.
#[test]
fn a_definition_says_how_many_versions_of_it_and_of_its_values_are_kept() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(1)).await?;
        let org = org_of(&vault);
        org.define(text("ONE")).await?;
        org.define(text("TWO").history_versions(2)).await?;
        org.define(text("NONE").history_versions(0)).await?;
        for (name, kept) in [("ONE", 1), ("TWO", 2), ("NONE", 0)] {
            for value in ["a", "b", "c", "d"] {
                org.set_value(name, Scope::Org, value).await?;
                org.update_definition(name, DefinitionChange::new().description(value)).await?;
            }
            assert_eq!(history(&org, name, &Scope::Org).await?.len(), 1 + kept, "{name}");
            let versions = org.definition_history(name, PageRequest::default()).await?.items;
            assert_eq!(versions.len(), 1 + kept, "{name}");
        }
        let kept = WriteOptions::default().keep_history();
        org.delete_value_with("NONE", Scope::Org, kept).await?;
        assert!(org.undelete_value("NONE", Scope::Org).await?.is_none(), "nothing of it is kept");
        org.update_definition("TWO", DefinitionChange::new().history_versions(100)).await?;
        let too_many = org.update_definition("TWO", DefinitionChange::new().history_versions(101)).await;
        assert!(matches!(too_many, Err(Error::Invalid(_))));
        is_verified(&vault).await
    });
}

#[test]
fn a_version_that_is_too_old_is_not_shown_and_goes_with_the_next_write() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let vault = vault(Arc::clone(&store), keeping().clock(clock.clone())).await?;
        let org = org_of(&vault);
        org.define(text("V").history_age_secs(60)).await?;
        let mut revisions = Vec::new();
        for at in [0, 5_000, 65_000] {
            clock.set(at);
            revisions.push(org.set_value("V", Scope::Org, at.to_string()).await?.revision);
        }
        let versions = history(&org, "V", &Scope::Org).await?;
        assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, ["65000", "5000"]);
        let old = org.value_version("V", Scope::Org, revisions[0]).await.map(drop);
        assert!(matches!(old, Err(Error::VersionNotFound(_))));
        assert_eq!(past_rows(&store).await?.len(), 1);
        clock.set(125_000);
        assert_eq!(history(&org, "V", &Scope::Org).await?.len(), 1, "the present one has no age");
        org.set_value("V", Scope::Org, "new").await?;
        assert_eq!(past_rows(&store).await?.len(), 1);
        is_verified(&vault).await
    });
}

#[test]
fn a_version_is_kept_for_its_age_from_when_it_was_replaced_on() {
    with_kept_clock(async |org, clock| {
        org.define(text("V").history_age_secs(60)).await?;
        let first = org.set_value("V", Scope::Org, "a year old").await?.revision;
        let year = 365 * 24 * 60 * 60 * 1_000;
        clock.set(year);
        org.set_value("V", Scope::Org, "by mistake").await?;
        clock.set(year + 30_000);
        org.set_value("V", Scope::Org, "again").await?;
        let is_kept = async || org.value_version("V", Scope::Org, first).await.is_ok();
        let shown = async |limit: usize| {
            let mut page = PageRequest::first(limit);
            let mut revisions = Vec::new();
            loop {
                let found = org.value_history("V", Scope::Org, page).await?;
                revisions.extend(found.items.iter().map(|version| version.revision));
                let Some(next) = found.next else { return Ok::<_, Error>(revisions) };
                page = PageRequest::first(limit).after(next);
            }
        };
        clock.set(year + 59_000);
        assert!(is_kept().await && shown(1).await?.contains(&first) && shown(9).await?.contains(&first));
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        assert!(is_kept().await && shown(1).await?.contains(&first) && shown(9).await?.contains(&first));
        clock.set(year + 60_000);
        assert!(!is_kept().await && !shown(1).await?.contains(&first) && !shown(9).await?.contains(&first));
        assert_eq!(shown(1).await?.len(), 3, "the deletion, and those that were replaced since");
        Ok(())
    });
}

#[test]
fn a_value_is_set_also_where_a_version_that_may_be_too_old_cannot_be_read() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let org = org_of(&vault(Arc::clone(&store), keeping().clock(clock.clone())).await?);
        org.define(text("V").history_age_secs(60)).await?;
        for value in ["a", "b", "c"] {
            org.set_value("V", Scope::Org, value).await?;
        }
        for (key, mut row) in past_rows(&store).await? {
            *row.last_mut().unwrap() ^= 1;
            plant(&store, &key, Some(row)).await?;
        }
        clock.set(90_000);
        org.set_value("V", Scope::Org, "d").await?;
        assert_eq!(exposed(org.value("V", Scope::Org).await?.as_ref()), Some("d"));
        Ok(())
    });
}

#[test]
fn a_version_that_cannot_be_read_hides_no_other_and_is_named_as_a_verification_names_it() {
    with_rows(async |store, vault, org| {
        org.define(text("V")).await?;
        org.define(text("W")).await?;
        for value in ["a", "b", "c"] {
            org.set_value("V", Scope::Org, value).await?;
        }
        org.set_value("W", Scope::Org, "w").await?;
        org.delete_value_with("W", Scope::Org, WriteOptions::default().keep_history()).await?;
        let whole = [history(&org, "V", &Scope::Org).await?, history(&org, "W", &Scope::Org).await?];
        let mut damaged = of_kind(&store, &[0x20]).await?;
        damaged.extend(past_rows(&store).await?);
        assert_eq!(damaged.len(), 5);
        for (key, row) in damaged {
            let mut changed = row.clone();
            *changed.last_mut().unwrap() ^= 1;
            plant(&store, &key, Some(changed)).await?;
            let listed = [history(&org, "V", &Scope::Org).await?, history(&org, "W", &Scope::Org).await?];
            let mut named = Vec::new();
            for (listed, whole) in listed.iter().flatten().zip(whole.iter().flatten()) {
                assert_eq!((listed.revision, listed.deleted), (whole.revision, whole.deleted));
                match &listed.unreadable {
                    Some(why) => named.push(why.clone()),
                    None => assert_eq!(listed, whole),
                }
            }
            let [why] = named.as_slice() else { panic!("{named:?}") };
            let found = vault.verify().await?.findings;
            // A verification also names the definition, whose name an error does not know.
            let paths = found.into_iter().map(|finding| {
                let mut path = finding.path;
                path.definition_name = None;
                path.to_string()
            });
            let path = paths.into_iter().find(|path| why.starts_with(path));
            assert!(path.is_some_and(|path| why.starts_with(&format!("{path} is damaged: "))), "{why}");
            if listed[0][0].unreadable.is_none() && listed[0][1].unreadable.is_some() {
                assert!(Version::to_undo(&listed[0]).is_none(), "nobody knows what it was");
            }
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_history_is_lost_with_its_value_or_not_at_all() {
    for commits in 0..3 {
        run(async {
            let store = Arc::new(FailingStore::default());
            let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(100)).await?;
            let org = org_of(&vault);
            org.define(text("V")).await?;
            for value in 0..101 {
                org.set_value("V", Scope::Org, value.to_string()).await?;
            }
            let before = history(&org, "V", &Scope::Org).await?;
            store.fail_after(commits, StoreErrorKind::Unavailable);
            let deleted = org.delete_value("V", Scope::Org).await;
            store.recover();
            let left = history(&org, "V", &Scope::Org).await?;
            assert_eq!(left.len(), if deleted.is_ok() { 0 } else { before.len() }, "{commits}");
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_plain_delete_leaves_no_version_of_a_history_longer_than_a_batch() {
    for commits in 0..3 {
        run(async {
            let store = Arc::new(FailingStore::default());
            let vault = with_a_long_history(&store).await?;
            let org = org_of(&vault);
            let before = history(&org, "V", &Scope::Org).await?.len();
            assert!(before > 101, "{before}");
            if commits == 2 {
                // Also of one that was deleted before.
                org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
            }
            store.fail_after(commits, StoreErrorKind::Unavailable);
            let deleted = org.delete_value("V", Scope::Org).await;
            store.recover();
            let left = history(&org, "V", &Scope::Org).await?.len();
            match commits {
                0 => assert!(deleted.is_err() && left == before),
                1 => assert!(deleted.is_err() && left > 0 && left < before, "{left}"),
                _ => assert!(deleted.is_ok() && left == 0, "{left}"),
            }
            org.delete_value("V", Scope::Org).await?;
            assert_eq!(history(&org, "V", &Scope::Org).await?, []);
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_damaged_value_hides_no_version_and_is_not_deleted_without_them() {
    with_rows(async |store, vault, org| {
        org.define(text("V").history_age_secs(60)).await?;
        org.define(text("W")).await?;
        let kept = || WriteOptions::default().keep_history();
        let first = org.set_value("V", Scope::Org, "a").await?.revision;
        let (place, mut row) = value_row(&store).await?;
        org.set_value("V", Scope::Org, "b").await?;
        // It states the revision of the first version.
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        let listed = history(&org, "V", &Scope::Org).await?;
        let seen: Vec<_> = listed.iter().map(|one| (one.revision, one.unreadable.is_some())).collect();
        assert_eq!(seen, [(first, true), (first, false)]);

        let refused = org.delete_value_with("V", Scope::Org, kept()).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert_eq!(org.value_history("V", Scope::Org, PageRequest::default()).await?.items, listed);
        assert!(org.delete_value("V", Scope::Org).await?.is_some());
        assert_eq!(past_rows(&store).await?, []);

        // Where there is no version, nothing is lost.
        org.set_value("W", Scope::Org, "w").await?;
        let (place, mut row) = value_row(&store).await?;
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        assert!(org.delete_value_with("W", Scope::Org, kept()).await?.is_some());
        assert!(org.value("W", Scope::Org).await?.is_none());
        is_verified(&vault).await
    });
}

#[test]
fn a_value_is_set_also_where_the_version_that_is_too_many_is_too_old() {
    with_kept_clock(async |org, clock| {
        org.define(text("V").history_age_secs(60)).await?;
        for at in 0..12 {
            clock.set(at * 1_000);
            org.set_value("V", Scope::Org, at.to_string()).await?;
        }
        clock.set(65_000);
        org.set_value("V", Scope::Org, "later").await?;
        assert_eq!(history(&org, "V", &Scope::Org).await?.len(), 8, "it, and those of the last minute");
        Ok(())
    });
}

#[test]
fn versions_beyond_a_page_that_are_too_old_go_with_the_next_write_too() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let paged = Paged::of(Arc::clone(&store), 2);
        let org = org_of(&vault(paged, keeping().clock(clock.clone())).await?);
        org.define(text("V").history_age_secs(60)).await?;
        for at in 0..6 {
            clock.set(at * 1_000);
            org.set_value("V", Scope::Org, at.to_string()).await?;
        }
        assert_eq!(past_rows(&store).await?.len(), 5);
        clock.set(90_000);
        org.set_value("V", Scope::Org, "later").await?;
        assert_eq!(past_rows(&store).await?.len(), 1, "the one that it replaced");
        Ok(())
    });
}

#[test]
fn a_value_is_set_also_where_a_store_puts_an_older_one_back_and_its_only_version_is_that_one() {
    with_rows(async |store, vault, org| {
        org.define(text("V").history_versions(1)).await?;
        org.set_value("V", Scope::Org, "a").await?;
        let (place, old) = value_row(&store).await?;
        org.set_value("V", Scope::Org, "b").await?;
        plant(&store, &place, Some(old)).await?;
        org.set_value("V", Scope::Org, "c").await?;
        let versions = history(&org, "V", &Scope::Org).await?;
        assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, ["c", "a"]);
        is_verified(&vault).await
    });
}

#[test]
fn versions_that_are_too_many_since_fewer_are_kept_go_with_the_next_write() {
    with_kept(async |org| {
        org.define(text("V")).await?;
        for value in ["a", "b", "c", "d"] {
            org.set_value("V", Scope::Org, value).await?;
        }
        for (kept, expected) in [(2, vec!["2", "d", "c"]), (1, vec!["1", "2"]), (0, vec!["0"])] {
            org.update_definition("V", DefinitionChange::new().history_versions(kept)).await?;
            org.set_value("V", Scope::Org, kept.to_string()).await?;
            let versions = history(&org, "V", &Scope::Org).await?;
            assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, expected);
        }
        Ok(())
    });
}

#[test]
fn versions_that_are_too_many_since_fewer_are_kept_go_with_the_write_that_continues_a_deleted_value() {
    for kept in [0, 1, 2, 9] {
        run(async {
            let vault = vault(MemoryStore::new(), keeping()).await?;
            let org = org_of(&vault);
            org.define(text("V")).await?;
            for value in ["a", "b", "c", "d"] {
                org.set_value("V", Scope::Org, value).await?;
            }
            org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
            org.update_definition("V", DefinitionChange::new().history_versions(kept)).await?;
            org.set_value("V", Scope::Org, "e").await?;
            let versions = history(&org, "V", &Scope::Org).await?;
            let expected = ["e", "(deleted)", "d", "c", "b", "a"];
            let len = expected.len().min(1 + usize::from(kept));
            assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, expected[..len]);
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_history_that_is_read_while_the_value_is_set_lacks_no_version() {
    let store = crate::rig::base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.set_value("V", Scope::Org, "b").await.map(drop)
    });
    let options = || VaultOptions::default().history_versions(1);
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    run(async {
        let here = crate::rig::org(&options().open(hooked.clone(), crate::rig::unlock()).await?);
        let there = crate::rig::org(&options().open(store, crate::rig::unlock()).await?);
        here.definition("V").await?;
        hooked.once(Point::AfterRead, move || {
            run(async { there.set_value("V", Scope::Org, "c").await.map(drop) });
        });
        let versions = history(&here, "V", &Scope::Org).await?;
        let undone = Version::to_undo(&versions).unwrap().revision;
        let now = here.value("V", Scope::Org).await?.unwrap().revision;
        assert_eq!((versions[0].revision, undone), (now, versions[1].revision));
        Ok(())
    });
}

#[test]
fn what_was_not_kept_is_not_undone_to_an_older_version() {
    with_rows(async |store, _, org| {
        // Of a host that keeps none.
        let other = org_of(&VaultOptions::default().open(Arc::clone(&store), unlock()).await?);
        org.define(text("V")).await?;
        for (by, value) in [(&org, "a"), (&org, "b"), (&other, "c"), (&other, "d")] {
            by.set_value("V", Scope::Org, value).await?;
        }
        let versions = history(&org, "V", &Scope::Org).await?;
        assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, ["d", "a"]);
        assert!(Version::to_undo(&versions).is_none(), "it was c before");
        org.set_value("V", Scope::Org, "e").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        org.set_value("V", Scope::Org, "f").await?;
        let versions = history(&org, "V", &Scope::Org).await?;
        let undone = Version::to_undo(&versions).unwrap().revision;
        assert_eq!(org.value_version("V", Scope::Org, undone).await?.value.expose(), "e");
        Ok(())
    });
}

#[test]
fn a_deleted_value_whose_last_version_is_gone_does_not_come_back_as_an_older_one() {
    with_rows(async |store, _, org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.set_value("V", Scope::Org, "b").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        let last = history(&org, "V", &Scope::Org).await?[1].revision;
        let is_last = |key: &Key| key.as_bytes().ends_with(&(u64::MAX - last.as_u64()).to_be_bytes());
        let (key, _) = rows(&store).await?.into_iter().find(|(key, _)| is_last(key)).unwrap();
        plant(&store, &key, None).await?;
        let undeleted = org.undelete_value("V", Scope::Org).await.map(drop);
        assert!(matches!(undeleted, Err(Error::VersionNotFound(gone)) if gone == last));
        Ok(())
    });
}

#[test]
fn a_version_takes_the_place_of_a_value_that_cannot_be_opened_where_that_is_expected() {
    run(async {
        let (store, clock, mut settings) =
            (Arc::new(MemoryStore::new()), TestClock::default(), Settings::default());
        settings.audit = true;
        let vault = vault(Arc::clone(&store), keeping().clock(clock.clone()).settings(settings)).await?;
        let (org, scope) = (org_of(&vault), account("a"));
        org.define(text("V")).await?;
        let first = org.set_value("V", &scope, "a").await?;
        let second = org.set_value("V", &scope, "b").await?;
        let mut seen = vec![org.set_value("V", &scope, "c").await?.revision];
        let unreadable = || WriteOptions::expecting(Expected::Unreadable);
        let whole = org.restore_value_with("V", &scope, first.revision, unreadable()).await;
        assert!(
            matches!(whole, Err(Error::Unexpected { found: Some(_) })),
            "what can be read is not replaced"
        );
        let (place, row) = value_row(&store).await?;
        let flipped = [&row[..row.len() - 1], &[row[row.len() - 1] ^ 1]].concat();
        for (turn, damaged) in [Vec::new(), b"junk".to_vec(), flipped].into_iter().enumerate() {
            clock.set(turn as u64 + 1);
            plant(&store, &place, Some(damaged)).await?;
            let refused = org.restore_value("V", &scope, first.revision).await;
            assert!(matches!(refused, Err(Error::Damaged { .. })));
            assert_eq!(history(&org, "V", &scope).await?[0].as_expected(), Expected::Unreadable);
            let back = org.restore_value_with("V", &scope, first.revision, unreadable()).await?;
            assert_eq!(
                (back.id, back.created_at, back.action),
                (first.id, first.created_at, Upsert::Updated)
            );
            assert!(seen.iter().all(|seen| back.revision.as_u64() > seen.as_u64()));
            seen.push(back.revision);
            assert_eq!(exposed(org.value_by_id(&first.id).await?.as_ref()), Some("a"));
            let versions = history(&org, "V", &scope).await?;
            assert_eq!(texts(&org, "V", &scope, &versions).await?, ["a", "b", "a"]);
            assert!(Version::to_undo(&versions).is_none(), "what it was is lost");
            let event = org.audit(&AuditFilter::all(), PageRequest::first(100)).await?.items.pop().unwrap();
            let noted: Vec<_> =
                event.changes.iter().map(|change| (change.kind, change.before, change.after)).collect();
            let lost = (EventKind::ValueDeleted, None, None);
            assert_eq!(noted, [lost, (EventKind::ValueSet, None, Some(back.revision))]);
            is_verified(&vault).await?;
        }
        org.set_value("V", &scope, "d").await?;
        org.restore_value("V", &scope, second.revision).await?;
        is_verified(&vault).await
    });
}

#[test]
fn a_version_takes_the_place_of_a_deletion_that_cannot_be_opened_where_that_is_expected() {
    with_rows(async |store, vault, org| {
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, WriteOptions::default().keep_history()).await?;
        let (place, mut row) = past_rows(&store).await?.remove(0);
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        for refused in [
            org.set_value("V", Scope::Org, "b").await.map(drop),
            org.undelete_value("V", Scope::Org).await.map(drop),
        ] {
            assert!(matches!(refused, Err(Error::Damaged { .. })));
        }
        let unreadable = WriteOptions::expecting(Expected::Unreadable);
        let back = org.restore_value_with("V", Scope::Org, first.revision, unreadable).await?;
        assert_eq!((back.id, back.action), (first.id, Upsert::Added));
        let versions = history(&org, "V", &Scope::Org).await?;
        assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, ["a", "a"]);
        is_verified(&vault).await
    });
}

#[test]
fn without_a_version_that_can_be_read_nothing_takes_the_place_of_a_damaged_value() {
    with_rows(async |store, _, org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        let (place, mut row) = value_row(&store).await?;
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row.clone())).await?;
        let unreadable = WriteOptions::expecting(Expected::Unreadable);
        let refused = org.set_value_with("V", Scope::Org, "b", unreadable).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })));
        assert_eq!(value_row(&store).await?, (place, row));
        Ok(())
    });
}

#[test]
fn a_former_version_that_was_pinned_is_shown_even_if_the_present_one_is_damaged() {
    with_rows(async |store, _, org| {
        org.define(text("V")).await?;
        let mut pins = Vec::new();
        for value in ["a", "b"] {
            org.set_value("V", Scope::Org, value).await?;
            pins.push(org.resolve_all(&ScopePath::org()).await?.pin());
        }
        damage(&store, [value_row(&store).await?]).await?;
        let run = org.resolve_pinned(&pins[0]).await?;
        assert_eq!(run.get("V").unwrap().value.expose(), "a");
        assert!(matches!(org.resolve_pinned(&pins[1]).await, Err(Error::Damaged { .. })));
        Ok(())
    });
}

#[test]
fn a_version_beyond_a_page_of_damaged_ones_is_continued_where_that_is_expected() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let org = org_of(&vault(Paged::of(Arc::clone(&store), 2), keeping()).await?);
        org.define(text("V")).await?;
        let first = org.set_value("V", Scope::Org, "0").await?;
        for value in 1..5 {
            org.set_value("V", Scope::Org, value.to_string()).await?;
        }
        damage(&store, past_rows(&store).await?.into_iter().take(3)).await?;
        damage(&store, [value_row(&store).await?]).await?;
        let unreadable = WriteOptions::expecting(Expected::Unreadable);
        let back = org.set_value_with("V", Scope::Org, "5", unreadable).await?;
        assert_eq!((back.id, back.created_at), (first.id, first.created_at));
        Ok(())
    });
}

#[test]
fn a_version_is_too_old_from_the_next_one_that_can_be_read_also_beyond_a_page_of_damaged_ones() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let paged = Paged::of(Arc::clone(&store), 2);
        let org = org_of(&vault(paged, keeping().clock(clock.clone())).await?);
        org.define(text("V").history_age_secs(60)).await?;
        let first = org.set_value("V", Scope::Org, "0").await?.revision;
        for at in [1_000, 2_000, 3_000, 50_000] {
            clock.set(at);
            org.set_value("V", Scope::Org, at.to_string()).await?;
        }
        // The newest comes first: those of 2,000 and 1,000.
        damage(&store, past_rows(&store).await?.into_iter().skip(1).take(2)).await?;
        clock.set(62_999);
        assert_eq!(org.value_version("V", Scope::Org, first).await?.value.expose(), "0");
        clock.set(63_000);
        let too_old = org.value_version("V", Scope::Org, first).await.map(drop);
        assert!(matches!(too_old, Err(Error::VersionNotFound(_))), "{too_old:?}");
        Ok(())
    });
}

/// Makes rows unreadable.
async fn damage(store: &MemoryStore, rows: impl IntoIterator<Item = (Key, Vec<u8>)>) -> Result<(), Error> {
    for (place, mut row) in rows {
        *row.last_mut().unwrap() ^= 1;
        plant(store, &place, Some(row)).await?;
    }
    Ok(())
}

#[test]
fn an_undelete_overwrites_nothing_that_was_set_and_deleted_meanwhile() {
    let kept = || WriteOptions::default().keep_history();
    let store = crate::rig::base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        org.delete_value_with("V", Scope::Org, kept()).await.map(drop)
    });
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let (org, other) = (crate::rig::open(hooked.clone()), crate::rig::open(store));
    let (org, other) = (crate::rig::org(&org), crate::rig::org(&other));
    hooked.once(Point::BeforeCommit, move || {
        run(async {
            other.set_value("V", Scope::Org, "b").await?;
            other.delete_value_with("V", Scope::Org, kept()).await.map(drop)
        });
    });
    run(async {
        let overtaken = org.undelete_value("V", Scope::Org).await;
        assert!(matches!(overtaken, Err(Error::Unexpected { found: None })), "{overtaken:?}");
        org.undelete_value("V", Scope::Org).await?;
        assert_eq!(exposed(org.value("V", Scope::Org).await?.as_ref()), Some("b"));
        Ok(())
    });
}

#[test]
fn versions_and_events_are_read_with_the_keys_of_now() {
    run(async {
        let (store, mut settings) = (Arc::new(MemoryStore::new()), Settings::default());
        settings.audit = true;
        let org = org_of(&vault(Arc::clone(&store), keeping().settings(settings)).await?);
        org.define(text("V")).await?;
        for value in ["a", "b"] {
            org.set_value("V", account("a"), value).await?;
        }
        // It trusts the keys that it has cached.
        let reader = org_of(&keeping().open(Hooked::new(store), unlock()).await?);
        let before = history(&reader, "V", &account("a")).await?;
        let events = reader.audit(&AuditFilter::all(), PageRequest::default()).await?.items;
        org.rotate_keys().await?;
        assert_eq!(history(&reader, "V", &account("a")).await?, before);
        let now = reader.audit(&AuditFilter::all(), PageRequest::default()).await?.items;
        assert_eq!(now[..events.len()], events);
        Ok(())
    });
}

#[test]
fn the_list_and_the_version_agree_on_what_is_too_old_also_where_one_between_is_missing() {
    run(async {
        let (store, clock) = (Arc::new(MemoryStore::new()), TestClock::default());
        let org = org_of(&vault(Arc::clone(&store), keeping().clock(clock.clone())).await?);
        org.define(text("V").history_age_secs(60)).await?;
        let mut revisions = Vec::new();
        for at in [0, 10_000, 20_000, 30_000] {
            clock.set(at);
            revisions.push(org.set_value("V", Scope::Org, at.to_string()).await?.revision);
        }
        let (second, _) = past_rows(&store).await?.remove(1);
        plant(&store, &second, None).await?;
        for at in [75_000, 79_999, 80_000, 85_000, 90_000] {
            clock.set(at);
            let listed: Vec<_> = history(&org, "V", &Scope::Org).await?.iter().map(|v| v.revision).collect();
            for revision in [revisions[0], revisions[2], revisions[3]] {
                let read = org.value_version("V", Scope::Org, revision).await;
                assert_eq!(listed.contains(&revision), read.is_ok(), "at {at}");
            }
            assert_eq!(
                listed.contains(&revisions[0]),
                at < 80_000,
                "it was replaced at 20,000 at the latest"
            );
        }
        Ok(())
    });
}

#[test]
fn all_versions_that_are_too_many_go_with_the_next_write() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), VaultOptions::default().history_versions(100)).await?;
        let org = org_of(&vault);
        org.define(text("V")).await?;
        for value in 0..90 {
            org.set_value("V", Scope::Org, value.to_string()).await?;
        }
        org.update_definition("V", DefinitionChange::new().history_versions(2)).await?;
        org.set_value("V", Scope::Org, "last").await?;
        let versions = history(&org, "V", &Scope::Org).await?;
        assert_eq!(texts(&org, "V", &Scope::Org, &versions).await?, ["last", "89", "88"]);
        is_verified(&vault).await
    });
}

fn keeping() -> VaultOptions {
    VaultOptions::default().history_versions(10)
}

fn with_kept(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_rows(async |_, _, org| test(org).await);
}

/// The same with the rows as a backend has them.
fn with_rows(test: impl AsyncFnOnce(Arc<MemoryStore>, Vault, Org) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), keeping()).await?;
        let org = org_of(&vault);
        test(store, vault, org).await
    });
}

fn with_kept_clock(test: impl AsyncFnOnce(Org, TestClock) -> Result<(), Error>) {
    run(async {
        let clock = TestClock::default();
        let vault = vault(MemoryStore::new(), keeping().clock(clock.clone())).await?;
        test(org_of(&vault), clock).await
    });
}

/// Values with a history at every kind of scope, one of them deleted, and the texts of their versions.
async fn with_history(org: &Org) -> Result<Vec<(Scope, Vec<&'static str>)>, Error> {
    org.define(text("V")).await?;
    let scopes = [Scope::Org, account("a"), workflow("w"), workflow("gone")];
    for scope in &scopes {
        for value in ["a", "b", "c"] {
            org.set_value("V", scope, value).await?;
        }
    }
    org.delete_value_with("V", &scopes[3], WriteOptions::default().keep_history()).await?;
    let wanted = |scope: &Scope| match scope {
        Scope::Workflow(id) if id.as_str() == "gone" => vec!["(deleted)", "c", "b", "a"],
        _ => vec!["c", "b", "a"],
    };
    Ok(scopes.map(|scope| (scope.clone(), wanted(&scope))).into())
}

/// A value of which fewer versions were kept for a while: of the gap that this left, none is dropped when others are
/// added.
async fn with_a_long_history(store: &Arc<FailingStore>) -> Result<Vault, Error> {
    let options = |kept| VaultOptions::default().history_versions(kept);
    let mut vault = vault(Arc::clone(store), options(100)).await?;
    org_of(&vault).define(text("V")).await?;
    for (sets, kept) in [(110, 100), (25, 1), (100, 100)] {
        vault = options(kept).open(Arc::clone(store), unlock()).await?;
        for _ in 0..sets {
            org_of(&vault).set_value("V", Scope::Org, "v").await?;
        }
    }
    Ok(vault)
}

async fn history(org: &Org, name: &str, scope: &Scope) -> Result<Vec<Version>, Error> {
    Ok(org.value_history(name, scope, PageRequest::first(1_000)).await?.items)
}

async fn texts(org: &Org, name: &str, scope: &Scope, versions: &[Version]) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for Version { revision, deleted, .. } in versions {
        let revision: Revision = *revision;
        texts.push(match deleted {
            true => "(deleted)".to_owned(),
            false => org.value_version(name, scope, revision).await?.value.expose().to_owned(),
        });
    }
    Ok(texts)
}

/// The rows of the history, as a backend sees them.
async fn past_rows(store: &MemoryStore) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    of_kind(store, &[0x50]).await
}

/// The row of the only value.
async fn value_row(store: &MemoryStore) -> Result<(Key, Vec<u8>), Error> {
    Ok(of_kind(store, &[0x20]).await?.pop().unwrap())
}

async fn of_kind(store: &MemoryStore, kind: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    let prefix = [b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0".as_slice(), kind].concat();
    Ok(rows(store).await?.into_iter().filter(|(key, _)| key.as_bytes().starts_with(&prefix)).collect())
}
