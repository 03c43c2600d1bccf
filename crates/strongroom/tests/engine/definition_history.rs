//! The former versions of variable definitions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use strongroom::store::{Key, StoreErrorKind};
use strongroom::{
    Backup, DataKeys, DefinitionChange, Error, Expected, FormatChange, Invalid, LengthBounds, OnMismatch,
    Org, PageRequest, Scope, ScopeKind, Scopes, VarFormat, VaultOptions, Version, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{FailingStore, account, id, is_verified, org_of, plant, rows, run, text, unlock, vault};
use crate::rig::{Hooked, Point, stop_after_first_commit};

#[test]
fn a_definition_keeps_who_changed_it_and_what_it_was() {
    with_kept(async |_, org| {
        let first = org.define(text("V").description("one")).await?;
        let by = |who: &str| org.acting_as(id(who));
        let change = |what: &str| DefinitionChange::new().description(what);
        by("user:alice").update_definition("V", change("two")).await?;
        by("user:bob")
            .update_definition_with("V", change("three"), WriteOptions::default().note("why"))
            .await?;
        let versions = history(&org, "V").await?;
        let said: Vec<_> = versions.iter().map(|version| version.metadata.author()).collect();
        assert_eq!(said, [Some("user:bob"), Some("user:alice"), None]);
        assert_eq!(versions[0].metadata.note(), Some("why"));
        for (version, what) in versions.iter().zip(["three", "two", "one"]) {
            let stored = org.definition_version(first, version.revision).await?;
            assert_eq!(stored.definition.description.as_deref(), Some(what));
        }
        assert!(matches!(
            org.definition_history("W", PageRequest::default()).await,
            Err(Error::DefinitionNotFound(_))
        ));
        Ok(())
    });
}

#[test]
fn a_version_that_cannot_be_read_hides_no_other() {
    with_kept(async |vault, org| {
        let first = org.define(text("V").description("one")).await?;
        for what in ["two", "three"] {
            org.update_definition("V", DefinitionChange::new().description(what)).await?;
        }
        let whole = history(&org, "V").await?;
        let store = Arc::new(MemoryStore::new());
        vault.copy_to(&store, |_| ()).await?;
        let of_definition = |key: &Key| {
            let kind = key.as_bytes().strip_prefix(b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0".as_slice());
            kind.is_some_and(|kind| kind.starts_with(&[0x10]) || kind.starts_with(&[0x50, 0x10]))
        };
        let rows = rows(&store).await?.into_iter().filter(|(key, _)| of_definition(key));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), 3);
        for (key, row) in rows {
            let mut changed = row.clone();
            *changed.last_mut().unwrap() ^= 1;
            plant(&store, &key, Some(changed)).await?;
            let damaged = org_of(&VaultOptions::default().open(Arc::clone(&store), unlock()).await?);
            let by_name = history(&damaged, "V").await?;
            let by_id = damaged.definition_history(first, PageRequest::default()).await?.items;
            assert_eq!((by_name.len(), &by_name), (whole.len(), &by_id));
            let unreadable = by_name.iter().filter(|version| version.unreadable.is_some()).count();
            let readable = by_name.iter().filter(|version| whole.contains(version)).count();
            assert_eq!((unreadable, readable), (1, 2));
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_definition_is_made_what_it_was_with_its_name_its_scopes_and_its_format() {
    with_kept(async |vault, org| {
        let first = org.definition(org.define(text("V")).await?).await?.unwrap();
        org.set_value("V", Scope::Org, "text").await?;
        let change = DefinitionChange::new().name("W").scopes(Scopes::only(ScopeKind::Org));
        org.update_definition("V", change).await?;
        let integer = FormatChange::to(VarFormat::Integer);
        org.change_format("W", &integer, OnMismatch::Grandfather).await?;
        assert_eq!(org.grandfathered_values("W", PageRequest::default()).await?.items, [Scope::Org]);

        let back = org.restore_definition("W", first.revision).await?;
        assert_eq!(back.definition, first.definition);
        assert_eq!((back.id, back.format_changes), (first.id, 2));
        assert!(org.definition("W").await?.is_none());
        assert!(org.grandfathered_values("V", PageRequest::default()).await?.items.is_empty());
        org.set_value("V", account("a"), "anywhere").await?;
        assert_eq!(history(&org, "V").await?.len(), 4);
        is_verified(&vault).await
    });
}

#[test]
fn a_restored_definition_keeps_who_restored_it_and_why() {
    with_kept(async |_, org| {
        let first = org.definition(org.define(text("V")).await?).await?.unwrap().revision;
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
        let options = WriteOptions::default().by(id("user:alice")).note("why").label("l");
        org.restore_definition_with("V", first, options).await?;
        let versions = history(&org, "V").await?;
        let metadata = &versions[0].metadata;
        assert_eq!((metadata.author(), metadata.note()), (Some("user:alice"), Some("why")));
        assert!(metadata.labels().eq(["l"]));
        Ok(())
    });
}

#[test]
fn a_length_that_is_restored_grandfathers_the_values_that_do_not_have_it() {
    with_kept(async |vault, org| {
        let short = text("V").length(LengthBounds::new(1..=4).unwrap());
        let first = org.definition(org.define(short).await?).await?.unwrap().revision;
        org.change_format("V", &FormatChange::to(VarFormat::String), OnMismatch::Refuse).await?;
        org.set_value("V", Scope::Org, "123456").await?;
        assert_eq!(org.restore_definition("V", first).await?.format_changes, 2);
        assert_eq!(org.grandfathered_values("V", PageRequest::default()).await?.items, [Scope::Org]);
        is_verified(&vault).await
    });
}

#[test]
fn what_breaks_the_rules_of_today_is_not_restored() {
    with_kept(async |_, org| {
        let open = org.definition(org.define(text("V")).await?).await?.unwrap().revision;
        org.update_definition("V", DefinitionChange::new().encrypted()).await?;
        let plain = org.restore_definition("V", open).await;
        assert!(matches!(plain, Err(Error::Invalid(Invalid::Definition { .. }))));

        let narrow = text("N").scopes(Scopes::only(ScopeKind::Org));
        let narrow = org.definition(org.define(narrow).await?).await?.unwrap().revision;
        org.update_definition("N", DefinitionChange::new().scopes(Scopes::ALL).name("M")).await?;
        org.set_value("M", account("a"), "a").await?;
        assert!(matches!(org.restore_definition("M", narrow).await, Err(Error::ScopeInUse { .. })));
        org.delete_value("M", account("a")).await?;
        org.define(text("N")).await?;
        assert!(matches!(org.restore_definition("M", narrow).await, Err(Error::DefinitionExists(_))));
        assert_eq!(history(&org, "M").await?.len(), 2, "nothing was written");
        Ok(())
    });
}

#[test]
fn a_definition_that_was_deleted_with_its_history_comes_back_without_its_values() {
    with_kept(async |vault, org| {
        let made = org.define(text("V").description("one")).await?;
        org.set_value("V", Scope::Org, "a").await?;
        assert!(matches!(org.undelete_definition(made).await, Err(Error::Unexpected { .. })));
        org.acting_as(id("user:alice"))
            .delete_definition_with("V", WriteOptions::default().keep_history())
            .await?;
        assert!(org.definition(made).await?.is_none() && org.definition("V").await?.is_none());
        let versions = history_by_id(&org, made).await?;
        assert_eq!((versions.len(), versions[0].deleted), (2, true));
        assert_eq!(versions[0].metadata.author(), Some("user:alice"));
        is_verified(&vault).await?;

        org.define(text("V")).await?;
        assert!(matches!(org.undelete_definition(made).await, Err(Error::DefinitionExists(_))));
        org.delete_definition("V").await?;
        let back = org.undelete_definition(made).await?.unwrap();
        assert_eq!((back.id, back.definition.description.as_deref()), (made, Some("one")));
        assert!(org.value("V", Scope::Org).await?.is_none());
        org.set_value("V", Scope::Org, "b").await?;
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
        is_verified(&vault).await
    });
}

#[test]
fn a_deletion_that_keeps_the_history_keeps_who_deleted_and_why() {
    with_kept(async |_, org| {
        let made = org.define(text("V")).await?;
        let options = WriteOptions::default().keep_history().by(id("user:alice")).note("why").label("l");
        org.delete_definition_with("V", options).await?;
        let versions = history_by_id(&org, made).await?;
        let metadata = &versions[0].metadata;
        assert_eq!((metadata.author(), metadata.note()), (Some("user:alice"), Some("why")));
        assert!(metadata.labels().eq(["l"]));
        Ok(())
    });
}

#[test]
fn a_definition_whose_sweep_was_cut_short_comes_back_without_what_is_left_of_its_values() {
    let store = crate::rig::base(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "a").await.map(drop)
    });
    let made =
        futures_executor::block_on(crate::rig::org(&crate::rig::open(Arc::clone(&store))).definition("V"));
    let made = made.unwrap().unwrap().id;
    // The engine of the rig keeps a history.
    stop_after_first_commit(&store, async |org| {
        drop(org.delete_definition_with("V", WriteOptions::default().keep_history()).await);
    });
    let vault = crate::rig::open(store);
    run(async {
        let org = crate::rig::org(&vault);
        assert!(org.undelete_definition(made).await?.is_some());
        assert!(org.value("V", Scope::Org).await?.is_none());
        is_verified(&vault).await
    });
}

#[test]
fn a_plain_delete_leaves_no_version_behind() {
    with_store(async |store, vault, org| {
        let made = org.define(text("V")).await?;
        for what in ["two", "three"] {
            org.update_definition("V", DefinitionChange::new().description(what)).await?;
        }
        assert_eq!(past_rows(&store).await?, 2);
        org.delete_definition("V").await?;
        assert_eq!(past_rows(&store).await?, 0);
        assert!(org.undelete_definition(made).await?.is_none());
        is_verified(&vault).await
    });
}

#[test]
fn a_rotation_a_copy_and_a_backup_carry_every_version() {
    with_store(async |_, vault, org| {
        org.define(text("V").description("one")).await?;
        org.update_definition("V", DefinitionChange::new().description("two")).await?;
        let gone = org.define(text("G")).await?;
        org.delete_definition_with(gone, WriteOptions::default().keep_history()).await?;
        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        is_verified(&vault).await?;
        let (copy, mut file) = (Arc::new(MemoryStore::new()), Vec::new());
        vault.backup(&mut file, |_| ()).await?;
        vault.copy_to(&copy, |_| ()).await?;
        let backup = Backup::open(Cursor::new(file), unlock()).await?;
        let restored = backup.restore_as_new(MemoryStore::new(), unlock(), |_| ()).await?;
        for vault in [keeping().open(copy, unlock()).await?, restored] {
            let org = org_of(&vault);
            assert_eq!((history(&org, "V").await?.len(), history_by_id(&org, gone).await?.len()), (2, 2));
            is_verified(&vault).await?;
            assert!(org.undelete_definition(gone).await?.is_some());
            is_verified(&vault).await?;
        }
        Ok(())
    });
}

#[test]
fn a_version_takes_the_place_of_a_definition_that_cannot_be_opened_where_that_is_expected() {
    with_store(async |store, vault, org| {
        let first = org.definition(org.define(text("V").description("one")).await?).await?.unwrap();
        org.update_definition("V", DefinitionChange::new().encrypted()).await?;
        org.set_value("V", account("a"), "a").await?;
        org.update_definition("V", DefinitionChange::new().name("W").description("three")).await?;
        let (place, mut row) = definition_rows(&store, &[0x10]).await?.remove(0);
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        // The engine has cached it.
        let vault_again = keeping().open(Arc::clone(&store), unlock()).await?;
        let again = org_of(&vault_again);
        let second = again.definition_history(first.id, PageRequest::default()).await?.items[1].revision;
        let refused = again.restore_definition(first.id, second).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        let unreadable = || WriteOptions::expecting(Expected::Unreadable);
        let plain = again.restore_definition_with(first.id, first.revision, unreadable()).await;
        assert!(matches!(plain, Err(Error::Invalid(Invalid::Definition { .. }))), "it was marked encrypted");
        let back = again.restore_definition_with("W", second, unreadable()).await?;
        assert_eq!(
            (back.id, back.created_at, back.definition.name.as_str()),
            (first.id, first.created_at, "V")
        );
        assert!(back.definition.encrypted && again.definition("W").await?.is_none());
        assert_eq!(again.value("V", account("a")).await?.unwrap().value.expose(), "a");
        again.define(text("W")).await?;
        again.update_definition("V", DefinitionChange::new().description("four")).await?;
        assert_eq!(history(&again, "V").await?.len(), 4);
        is_verified(&vault_again).await?;
        let whole = again.restore_definition_with("V", second, unreadable()).await;
        assert!(matches!(whole, Err(Error::Unexpected { .. })), "what can be read is not replaced");
        drop(vault);
        Ok(())
    });
}

#[test]
fn a_deletion_that_cannot_be_read_hides_no_other() {
    with_store(async |store, _, org| {
        let kept = || WriteOptions::default().keep_history();
        for name in ["V", "W"] {
            org.define(text(name)).await?;
            org.delete_definition_with(name, kept()).await?;
        }
        // The first row of a history is the deletion.
        let (place, mut row) = definition_rows(&store, &[0x50, 0x10]).await?.remove(0);
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        let deleted = org.deleted_definitions(PageRequest::default()).await?.items;
        let [Err(Error::Damaged { .. }), Ok(other)] = deleted.as_slice() else { panic!("{deleted:?}") };
        assert!(org.undelete_definition(other.id).await?.is_some());
        Ok(())
    });
}

#[test]
fn versions_that_are_too_many_since_fewer_are_kept_go_with_the_change() {
    with_kept(async |vault, org| {
        org.define(text("V")).await?;
        for what in ["two", "three", "four"] {
            org.update_definition("V", DefinitionChange::new().description(what)).await?;
        }
        assert_eq!(history(&org, "V").await?.len(), 4);
        for kept in [2, 0] {
            org.update_definition("V", DefinitionChange::new().history_versions(kept)).await?;
            assert_eq!(history(&org, "V").await?.len(), 1 + usize::from(kept));
        }
        is_verified(&vault).await
    });
}

#[test]
fn versions_of_a_definition_that_changes_while_they_are_read_are_listed_newest_first() {
    for reads in 0..16 {
        let store = crate::rig::base(async |org| org.define(text("V")).await.map(drop));
        let hooked = Hooked::new(Arc::clone(&store)).shared();
        let (reader, writer) = (crate::rig::open(hooked.clone()), crate::rig::open(store));
        let (reader, writer) = (crate::rig::org(&reader), crate::rig::org(&writer));
        hooked.once_after(Point::BeforeRead, reads, move || {
            run(async {
                for what in ["two", "three"] {
                    writer.update_definition("V", DefinitionChange::new().description(what)).await?;
                }
                Ok(())
            });
        });
        let mut listed = Vec::new();
        run(async {
            listed = history(&reader, "V").await?;
            Ok(())
        });
        assert!(listed.is_sorted_by(|newer, older| newer.revision.as_u64() > older.revision.as_u64()));
        if hooked.hooks_left() > 0 {
            return;
        }
    }
    panic!("it reads without end");
}

#[test]
fn the_job_of_a_delete_that_is_cut_short_takes_its_versions_too() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let options = |kept| VaultOptions::default().history_versions(kept);
        let mut vault = vault(Arc::clone(&store), options(100)).await?;
        org_of(&vault).define(text("V")).await?;
        // Fewer were kept for a while: of the gap that this left, none is dropped when others are added.
        for (changes, kept) in [(110, 100), (25, 1), (100, 100)] {
            vault = options(kept).open(Arc::clone(&store), unlock()).await?;
            for _ in 0..changes {
                org_of(&vault).update_definition("V", DefinitionChange::new().required()).await?;
            }
        }
        let made = org_of(&vault).definition("V").await?.unwrap().id;
        let versions = async || {
            let listed = org_of(&vault).definition_history(made, PageRequest::first(1_000)).await;
            listed.map_or(0, |listed| listed.items.len())
        };
        assert!(versions().await > 102);
        store.fail_after(1, StoreErrorKind::Unavailable);
        assert!(org_of(&vault).delete_definition("V").await.is_err());
        store.recover();
        assert!(versions().await > 0);
        vault.run_jobs().await?;
        assert_eq!(versions().await, 0);
        is_verified(&vault).await
    });
}

fn keeping() -> VaultOptions {
    VaultOptions::default().history_versions(5)
}

fn with_kept(test: impl AsyncFnOnce(strongroom::Vault, Org) -> Result<(), Error>) {
    with_store(async |_, vault, org| test(vault, org).await);
}

fn with_store(test: impl AsyncFnOnce(Arc<MemoryStore>, strongroom::Vault, Org) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), keeping()).await?;
        let org = org_of(&vault);
        test(store, vault, org).await
    });
}

async fn history(org: &Org, name: &str) -> Result<Vec<Version>, Error> {
    Ok(org.definition_history(name, PageRequest::default()).await?.items)
}

async fn history_by_id(org: &Org, id: strongroom::DefinitionId) -> Result<Vec<Version>, Error> {
    Ok(org.definition_history(id, PageRequest::default()).await?.items)
}

async fn past_rows(store: &MemoryStore) -> Result<usize, Error> {
    Ok(definition_rows(store, &[0x50, 0x10]).await?.len())
}

/// The rows of the org whose kind begins so.
async fn definition_rows(store: &MemoryStore, kind: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    let prefix = [b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0", kind].concat();
    Ok(rows(store).await?.into_iter().filter(|(key, _)| key.as_bytes().starts_with(&prefix)).collect())
}
