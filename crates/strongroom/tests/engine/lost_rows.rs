//! A present row that is damaged or gone while former versions are kept: it is reported so, and a version takes its
//! place where that is expected. A definition of which nothing is to stay is purged by its id.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    AuditChange, AuditFilter, DefinitionChange, DefinitionFilter, DefinitionId, Error, EventKind, Expected,
    Org, PageRequest, Revision, Scope, ScopePath, Timestamp, Vault, Version, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::rig::{Kind, RowKey, account, empty, flip, of_account, open, org, rows, text, verified};

/// A value, a credential and a definition with three versions each.
fn furnished() -> (Arc<MemoryStore>, DefinitionId) {
    let (store, vault) = empty();
    let org = org(&vault);
    let id = block_on(async {
        vault.change_settings(|settings| settings.audit = true).await?;
        let id = org.define(text("V")).await?;
        org.create_account(account("a")).with_default_app().await?;
        for value in ["one", "two", "three"] {
            org.set_value("V", of_account("a"), value).await?;
            org.account(account("a")).upsert_credential("k", value).await?;
            org.update_definition("V", DefinitionChange::new().description(value)).await?;
        }
        Ok::<_, Error>(id)
    });
    (store, id.unwrap())
}

/// Puts what is given in the place of the only row of a kind, or takes it away.
fn put(store: &MemoryStore, kind: Kind, row: impl FnOnce(&[u8]) -> Option<Vec<u8>>) {
    let all = rows(store);
    let (key, was) = all.iter().find(|(key, _)| RowKey::parse(key).kind == kind).unwrap();
    let mut batch = WriteBatch::default();
    match row(was) {
        Some(row) => batch.put(key.as_slice().into(), row),
        None => batch.delete(key.as_slice().into()),
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
}

/// What becomes of a row.
type Way = fn(&[u8]) -> Option<Vec<u8>>;

/// Each way that a present row is lost: its clear part is that of another version, it is junk, or it is gone.
fn ways() -> [Way; 4] {
    [
        |row| {
            let mut flipped = row.to_vec();
            flip(&mut flipped, usize::MAX, 0);
            Some(flipped)
        },
        |row| {
            // The revision that the row states: of eight bytes, or of none beside its head.
            let mut other = row.to_vec();
            let at = if row[3] == 0xa3 { 18 } else { 4 };
            assert_eq!(row[at], 1, "the revision");
            other[if row[at + 1] == 0x1b { at + 9 } else { at + 1 }] ^= 1;
            Some(other)
        },
        |_| Some(b"junk".to_vec()),
        |_| None,
    ]
}

fn unreadable() -> WriteOptions {
    WriteOptions::expecting(Expected::Unreadable)
}

async fn of_value(org: &Org) -> Vec<Version> {
    org.value_history("V", of_account("a"), PageRequest::default()).await.unwrap().items
}

async fn of_credential(org: &Org) -> Vec<Version> {
    let account = org.account(account("a"));
    account
        .app(strongroom::IntegrationId::default_app())
        .history("k", PageRequest::default())
        .await
        .unwrap()
        .items
}

fn is_lost_with_two_versions(versions: &[Version]) -> Revision {
    let seen: Vec<_> =
        versions.iter().map(|version| (version.unreadable.is_some(), version.deleted)).collect();
    assert_eq!(seen, [(true, false), (false, false), (false, false)], "{versions:?}");
    assert_eq!(versions[0].as_expected(), Expected::Unreadable);
    let last = Version::to_undo(versions).unwrap();
    assert_eq!(last.revision, versions[1].revision, "the newest former version");
    last.revision
}

#[test]
fn a_lost_value_becomes_its_newest_former_version_where_that_is_expected() {
    for way in ways() {
        let (store, _) = furnished();
        let id = block_on(org(&open(Arc::clone(&store))).value("V", of_account("a"))).unwrap().unwrap().id;
        put(&store, Kind::Value, way);
        let vault = open(Arc::clone(&store));
        let org = org(&vault);
        block_on(async {
            let last = is_lost_with_two_versions(&of_value(&org).await);
            let back = org.restore_value_with("V", of_account("a"), last, unreadable()).await.unwrap();
            assert_eq!(back.id, id);
            assert_eq!(org.value_by_id(&id).await.unwrap().unwrap().value.expose(), "two");
            let states: Vec<_> = of_value(&org).await.iter().map(|one| one.unreadable.is_some()).collect();
            assert_eq!(states, [false; 3]);
            let again = org.restore_value_with("V", of_account("a"), last, unreadable()).await;
            assert!(matches!(again, Err(Error::Unexpected { .. })), "what can be read is not replaced");
        });
        is_clean(&vault);
    }
}

#[test]
fn a_lost_value_is_undone_to_what_was_before_its_last_deletion() {
    let (store, _) = furnished();
    let vault = open(Arc::clone(&store));
    block_on(async {
        let kept = WriteOptions::default().keep_history();
        org(&vault).delete_value_with("V", of_account("a"), kept).await?;
        org(&vault).set_value("V", of_account("a"), "four").await
    })
    .unwrap();
    put(&store, Kind::Value, |_| None);
    let versions = block_on(of_value(&org(&open(store))));
    assert!(versions[0].unreadable.is_some() && versions[1].deleted, "{versions:?}");
    assert_eq!(Version::to_undo(&versions).unwrap().revision, versions[2].revision);
}

#[test]
fn a_lost_credential_becomes_its_newest_former_version_where_that_is_expected() {
    for way in ways() {
        let (store, _) = furnished();
        put(&store, Kind::Credential, way);
        let vault = open(Arc::clone(&store));
        let org = org(&vault);
        block_on(async {
            let last = is_lost_with_two_versions(&of_credential(&org).await);
            let app = org.account(account("a")).app(strongroom::IntegrationId::default_app());
            app.restore_with("k", last, unreadable()).await.unwrap();
            assert_eq!(app.get("k").await.unwrap().unwrap().value.expose(), "two");
        });
        is_clean(&vault);
    }
}

#[test]
fn a_lost_definition_becomes_its_newest_former_version_where_that_is_expected() {
    for way in ways() {
        let (store, id) = furnished();
        put(&store, Kind::Definition, way);
        let vault = open(Arc::clone(&store));
        let org = org(&vault);
        block_on(async {
            for found in [
                org.definition_history("V", PageRequest::default()).await,
                org.definition_history(id, PageRequest::default()).await,
            ] {
                let versions = found.unwrap().items;
                assert!(versions[0].unreadable.is_some() && versions.len() == 4, "{versions:?}");
                let last = Version::to_undo(&versions).unwrap();
                assert_eq!(last.revision, versions[1].revision);
            }
            let last = org.definition_history(id, PageRequest::default()).await.unwrap().items[1].revision;
            assert!(org.restore_definition(id, last).await.is_err());
            let back = org.restore_definition_with(id, last, unreadable()).await.unwrap();
            assert_eq!((back.id, back.definition.description.as_deref()), (id, Some("two")));
            assert_eq!(org.value("V", of_account("a")).await.unwrap().unwrap().value.expose(), "three");
        });
        is_clean(&vault);
    }
}

#[test]
fn what_is_left_of_a_value_that_is_gone_is_deleted_with_its_versions() {
    let (store, _) = furnished();
    put(&store, Kind::Value, |_| None);
    let org = org(&open(Arc::clone(&store)));
    block_on(org.delete_value("V", of_account("a"))).unwrap();
    assert!(block_on(of_value(&org)).is_empty());
    let left = rows(&*store).keys().map(|key| RowKey::parse(key).kind).collect::<Vec<_>>();
    for kind in [Kind::FormerValue, Kind::DefinitionValue, Kind::ValueId] {
        assert!(!left.contains(&kind), "{kind:?}");
    }
    verified(&store);
    block_on(org.set_value("V", of_account("a"), "new")).unwrap();
    assert_eq!(block_on(of_value(&org)).len(), 1);
}

#[test]
fn a_value_that_is_set_meanwhile_is_not_overwritten_by_a_version_of_the_one_that_was_gone() {
    let (store, _) = furnished();
    put(&store, Kind::Value, |_| None);
    let hooked = crate::rig::Hooked::new(Arc::clone(&store)).shared();
    let (here, there) = (open(hooked.clone()), open(Arc::clone(&store)));
    let last = block_on(of_value(&org(&here)))[1].revision;
    hooked.once(crate::rig::Point::BeforeCommit, move || {
        let org = org(&there);
        block_on(org.set_value("V", of_account("a"), "meanwhile")).unwrap();
        block_on(org.delete_value_with("V", of_account("a"), WriteOptions::default().keep_history()))
            .unwrap();
    });
    let late = block_on(org(&here).restore_value_with("V", of_account("a"), last, unreadable()));
    assert!(matches!(late, Err(Error::Unexpected { .. })), "{late:?}");
}

/// Every row is whole. The revisions that were lost are passed over, so the strict audit of the rig is not for this.
fn is_clean(vault: &Vault) {
    let report = block_on(vault.verify()).unwrap();
    assert!(report.is_clean() && report.unverifiable == 0 && report.jobs == 0, "{report}");
}

/// Whether nothing of a definition is left, and the rest is whole.
fn is_purged(store: &Arc<MemoryStore>, vault: &Vault, id: DefinitionId) {
    let org = org(vault);
    assert!(block_on(org.definition(id)).unwrap().is_none());
    assert!(block_on(org.undelete_definition(id)).unwrap().is_none());
    let left: Vec<_> = rows(&**store).keys().map(|key| RowKey::parse(key).kind).collect();
    for kind in [
        Kind::Definition,
        Kind::DefinitionName,
        Kind::DefinitionValue,
        Kind::FormerDefinition,
        Kind::DeletedDefinition,
        Kind::Value,
        Kind::FormerValue,
    ] {
        assert!(!left.contains(&kind), "{kind:?}");
    }
    let events = block_on(org.audit(&AuditFilter::all(), PageRequest::default())).unwrap().items;
    // Not the last one: two vaults wrote, maybe within a millisecond.
    let is_told = |change: &AuditChange| {
        change.kind == EventKind::DefinitionDeleted && change.name.as_deref() == Some("V")
    };
    assert!(events.iter().flat_map(|event| &event.changes).any(is_told));
    verified(store);
    block_on(org.define(text("V"))).unwrap();
    verified(store);
}

#[test]
fn a_definition_is_purged_by_its_id_whether_it_is_whole_lost_or_deleted() {
    let (store, id) = furnished();
    let vault = open(Arc::clone(&store));
    block_on(org(&vault).purge_definition(id)).unwrap();
    is_purged(&store, &vault, id);

    let (store, id) = furnished();
    let vault = open(Arc::clone(&store));
    let kept = WriteOptions::default().keep_history();
    block_on(org(&vault).delete_definition_with(id, kept)).unwrap();
    block_on(org(&vault).purge_definition(id)).unwrap();
    is_purged(&store, &vault, id);
    assert!(matches!(block_on(org(&vault).purge_definition(id)), Err(Error::DefinitionNotFound(_))));

    for way in ways() {
        let (store, id) = furnished();
        put(&store, Kind::Definition, way);
        let vault = open(Arc::clone(&store));
        let refused = block_on(org(&vault).delete_definition(id));
        assert!(matches!(refused, Err(Error::Damaged { .. } | Error::DefinitionNotFound(_))), "{refused:?}");
        block_on(org(&vault).purge_definition(id)).unwrap();
        is_purged(&store, &vault, id);
    }
}

#[test]
fn a_definition_that_cannot_be_read_keeps_no_other_out_of_a_list_that_says_so() {
    let (store, id) = furnished();
    put(&store, Kind::Definition, |_| Some(b"junk".to_vec()));
    let org = org(&open(store));
    block_on(async {
        org.define(text("W")).await.unwrap();
        let all = DefinitionFilter::all();
        let strict = org.definitions(&all, PageRequest::default()).await.map(drop);
        assert!(matches!(strict, Err(Error::Damaged { .. })));
        let each = org.each_definition(&all, PageRequest::default()).await.unwrap().items;
        let [Err(Error::Damaged { row, .. }), Ok(other)] = each.as_slice() else { panic!("{each:?}") };
        assert!(row.contains(&id.to_string()) && other.definition.name == "W", "{row}");
        org.set_value("W", Scope::Org, "w").await.unwrap();
    });
}

#[test]
fn a_value_whose_last_row_is_gone_is_not_shown_as_an_older_version_of_it() {
    let kept = || WriteOptions::default().keep_history();
    for lost in [Kind::Value, Kind::DeletedValue] {
        let (store, _) = furnished();
        let org = org(&open(Arc::clone(&store)));
        let path = ScopePath::org().linked_account(account("a"));
        let versions = block_on(of_value(&org));
        if lost == Kind::DeletedValue {
            block_on(org.delete_value_with("V", of_account("a"), kept())).unwrap();
        }
        let at = |moment| block_on(org.resolve_at("V", &path, moment));
        let all_at = |moment| block_on(org.resolve_all_at(&path, moment));
        let now = Timestamp::from_ms(u64::MAX);
        at(now).unwrap();
        all_at(now).unwrap();
        put(&store, lost, |_| None);
        assert!(matches!(at(now), Err(Error::Damaged { .. })), "{lost:?}");
        assert!(matches!(all_at(now), Err(Error::Damaged { .. })), "{lost:?}");
        let before = Timestamp::from_ms(versions[2].written_at.as_ms() - 1);
        assert!(at(before).unwrap().is_none(), "{lost:?}");
    }
}

#[test]
fn a_definition_of_which_only_its_name_is_left_is_purged_by_its_id() {
    let (store, vault) = empty();
    let id = block_on(async {
        vault.change_settings(|settings| settings.audit = true).await?;
        let id = org(&vault).define(text("V")).await?;
        org(&vault).set_value("V", Scope::Org, "one").await?;
        Ok::<_, Error>(id)
    });
    put(&store, Kind::Definition, |_| None);
    let (vault, id) = (open(Arc::clone(&store)), id.unwrap());
    let org = org(&vault);
    assert!(matches!(block_on(org.define(text("V"))), Err(Error::DefinitionExists(_))));
    block_on(org.purge_definition(id)).unwrap();
    is_clean(&vault);
    block_on(org.define(text("V"))).unwrap();
    assert!(block_on(org.value("V", Scope::Org)).unwrap().is_none());
    verified(&store);
    assert!(matches!(block_on(org.purge_definition(id)), Err(Error::DefinitionNotFound(_))));
}

#[test]
fn a_definition_whose_deletion_is_damaged_becomes_its_newest_version_where_that_is_expected() {
    let (store, id) = furnished();
    block_on(
        org(&open(Arc::clone(&store))).delete_definition_with(id, WriteOptions::default().keep_history()),
    )
    .unwrap();
    put(&store, Kind::DeletedDefinition, |_| Some(b"junk".to_vec()));
    let vault = open(Arc::clone(&store));
    let org = org(&vault);
    let versions = block_on(org.definition_history(id, PageRequest::default())).unwrap().items;
    assert!(versions[0].deleted && versions[0].unreadable.is_some());
    let last = versions[1].revision;
    let plain = block_on(org.restore_definition(id, last));
    assert!(matches!(plain, Err(Error::DefinitionNotFound(_))), "{plain:?}");
    let back = block_on(org.restore_definition_with(id, last, unreadable())).unwrap();
    assert_eq!((back.id, back.definition.description.as_deref()), (id, Some("three")));
    assert!(block_on(org.value("V", of_account("a"))).unwrap().is_none(), "its values went with it");
    is_clean(&vault);
}

#[test]
fn a_purge_of_a_planted_definition_leaves_the_count_true() {
    let (store, id) = furnished();
    let planted: DefinitionId = {
        let all = rows(&*store);
        let (key, row) = all.iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Definition).unwrap();
        let mut key = key.clone();
        key.iter_mut().rev().take(12).for_each(|byte| *byte = b'q');
        let mut batch = WriteBatch::default();
        batch.put(key.as_slice().into(), row.clone());
        block_on(store.commit(Arc::new(batch))).unwrap();
        "71".repeat(12).parse().unwrap()
    };
    let org = org(&open(Arc::clone(&store)));
    block_on(org.purge_definition(planted)).unwrap();
    verified(&store);
    assert!(block_on(org.definition(id)).unwrap().is_some());
}

#[test]
fn a_deleted_value_comes_back_although_its_index_row_is_lost() {
    let (store, _) = furnished();
    let kept = || WriteOptions::default().keep_history();
    block_on(org(&open(Arc::clone(&store))).delete_value_with("V", &of_account("a"), kept())).unwrap();
    put(&store, Kind::DefinitionValue, |_| None);
    let org = org(&open(Arc::clone(&store)));
    let back = block_on(org.undelete_value("V", &of_account("a"))).unwrap();
    assert!(back.is_some());
    assert_eq!(block_on(org.value("V", &of_account("a"))).unwrap().unwrap().value.expose(), "three");
    verified(&store);
}

/// A purge goes by the keys of the values too: the row that leads to one may be lost.
#[test]
fn a_purge_leaves_no_value_whose_index_row_is_lost() {
    for comes_first in [Kind::DefinitionValue, Kind::Definition, Kind::DefinitionName] {
        let (store, id) = furnished();
        put(&store, comes_first, |_| None);
        if comes_first != Kind::DefinitionValue {
            put(&store, Kind::DefinitionValue, |_| None);
        }
        let vault = open(Arc::clone(&store));
        block_on(org(&vault).purge_definition(id)).unwrap();
        is_purged(&store, &vault, id);
    }
}

#[test]
fn values_whose_definition_is_gone_for_good_are_purged_by_its_id() {
    let (store, id) = furnished();
    let kinds = [Kind::Value, Kind::FormerValue];
    let orphans = rows(&*store).into_iter().filter(|(key, _)| kinds.contains(&RowKey::parse(key).kind));
    let mut batch = WriteBatch::default();
    orphans.for_each(|(key, row)| batch.put(key.as_slice().into(), row));
    block_on(org(&open(Arc::clone(&store))).purge_definition(id)).unwrap();
    block_on(store.commit(Arc::new(batch))).unwrap();
    let vault = open(Arc::clone(&store));
    assert!(!block_on(vault.verify()).unwrap().is_clean());
    block_on(org(&vault).purge_definition(id)).unwrap();
    verified(&store);
    assert!(matches!(block_on(org(&vault).purge_definition(id)), Err(Error::DefinitionNotFound(_))));
}
