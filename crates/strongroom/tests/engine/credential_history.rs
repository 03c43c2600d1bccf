//! The former versions of credentials: what is kept, what comes back, and what is gone for good.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::Arc;

use strongroom::store::{Key, Store, StoreErrorKind};
use strongroom::{
    Account, AppCredentials, Backup, DataKeys, Error, Expected, IntegrationId, ManualClock, NewCredential,
    Org, PageRequest, Revision, Timestamp, Vault, VaultOptions, Version, WriteOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{FailingStore, SmallStore, id, is_verified, org_of, plant, rows, run, unlock, vault};
use crate::rig::{Hooked, Point};

#[test]
fn a_credential_keeps_its_versions_and_is_set_back_to_one() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        let alice = default_app(&account.acting_as(id("user:alice")));
        let first = app.upsert("k", "one").await?.info;
        alice.upsert_with("k", "two", WriteOptions::default().note("rotated")).await?;
        let versions = history(&app, "k").await?;
        assert_eq!(texts(&app, "k", &versions).await?, ["two", "one"]);
        assert_eq!(versions[0].metadata.note(), Some("rotated"));
        assert_eq!((versions[1].id, versions[1].revision), (first.id, first.revision));

        let back = app.restore("k", first.revision).await?;
        assert_eq!(back.info.id, first.id);
        assert_eq!(app.get("k").await?.unwrap().value.expose(), "one");
        assert_eq!(texts(&app, "k", &history(&app, "k").await?).await?, ["one", "two", "one"]);
        let late = WriteOptions::expecting(Expected::Revision(first.revision));
        assert!(matches!(app.restore_with("k", first.revision, late).await, Err(Error::Unexpected { .. })));
        Ok(())
    });
}

#[test]
fn the_oldest_version_goes_with_the_write_that_makes_one_too_many() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        let first = app.upsert("k", "0").await?.info.revision;
        for value in 1..6 {
            app.upsert("k", value.to_string()).await?;
        }
        assert_eq!(texts(&app, "k", &history(&app, "k").await?).await?, ["5", "4", "3", "2"]);
        assert!(matches!(app.version("k", first).await, Err(Error::VersionNotFound(_))));
        assert!(matches!(app.restore("k", first).await, Err(Error::VersionNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_credential_that_is_brought_back_expires_when_it_did_before() {
    run(async {
        let clock = ManualClock::default();
        let options = VaultOptions::default().history_versions(4).clock(clock.clone());
        let account = org_of(&vault(MemoryStore::new(), options).await?)
            .upsert_account(id("a"))
            .with_default_app()
            .await?
            .account;
        let (app, at) = (default_app(&account), Timestamp::from_ms(5_000));
        app.upsert_with("k", "one", WriteOptions::default().expires_at(at)).await?;
        for now in [1_000, 6_000] {
            clock.set(Timestamp::from_ms(now));
            app.delete_with("k", WriteOptions::default().keep_history()).await?;
            assert_eq!(app.undelete("k").await?.unwrap().info.metadata.expires_at(), Some(at));
            assert_eq!(app.get("k").await?.unwrap().info.metadata.expires_at(), Some(at));
        }
        Ok(())
    });
}

#[test]
fn a_credential_that_is_brought_back_may_be_given_another_expiry() {
    with_kept(async |_, account| {
        let (app, until) = (default_app(&account), |at| WriteOptions::default().expires_at(at));
        let [at, later] = [4_000_000_000_000, 5_000_000_000_000].map(Timestamp::from_ms);
        app.upsert_with("k", "one", until(at)).await?;
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        let back = app.undelete_with("k", until(later)).await?.unwrap();
        assert_eq!(back.info.metadata.expires_at(), Some(later));
        Ok(())
    });
}

#[test]
fn a_credential_that_is_set_back_to_a_version_does_not_expire() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        let expiring = WriteOptions::default().expires_at(Timestamp::from_ms(4_000_000_000_000));
        let first = app.upsert_with("k", "one", expiring).await?.info.revision;
        app.upsert("k", "two").await?;
        assert_eq!(app.restore("k", first).await?.info.metadata.expires_at(), None);
        Ok(())
    });
}

#[test]
fn a_delete_that_keeps_the_history_can_be_undone_and_a_plain_one_cannot() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        let made = app.upsert("k", "one").await?.info;
        assert!(matches!(app.undelete("k").await, Err(Error::Unexpected { .. })));
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        assert!(app.get("k").await?.is_none() && app.list(PageRequest::default()).await?.items.is_empty());
        let versions = history(&app, "k").await?;
        assert_eq!((versions.len(), versions[0].deleted), (2, true));
        assert!(matches!(app.version("k", versions[0].revision).await, Err(Error::VersionNotFound(_))));
        assert_eq!(app.undelete("k").await?.unwrap().info.id, made.id);
        assert_eq!(app.get("k").await?.unwrap().value.expose(), "one");

        // Set again instead: the same document continues.
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        assert_eq!(app.upsert("k", "two").await?.info.id, made.id);
        assert!(app.delete("k").await?);
        assert_eq!(past_rows(&store).await?, []);
        assert!(app.undelete("k").await?.is_none());
        assert_ne!(app.upsert("k", "three").await?.info.id, made.id);
        Ok(())
    });
}

#[test]
fn a_credential_is_continued_also_under_a_condition_on_all_of_them() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        let made = app.upsert("k", "one").await?.info;
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        let seen = WriteOptions::expecting(app.get_all().await?.expected());
        let written = app.set_many_with(&[NewCredential::new("k", "two")], seen).await?;
        assert_eq!(written[0].info.id, made.id);
        Ok(())
    });
}

#[test]
fn a_plain_delete_purges_a_history_that_was_kept() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        app.upsert("k", "one").await?;
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        assert!(!app.delete("k").await?);
        assert_eq!(past_rows(&store).await?, []);
        Ok(())
    });
}

#[test]
fn a_delete_that_expects_a_deletion_purges_the_history_of_that_one_alone() {
    with_kept(async |_, account| {
        let (app, mut deletions) = (default_app(&account), Vec::new());
        for value in ["one", "two"] {
            app.upsert("k", value).await?;
            app.delete_with("k", WriteOptions::default().keep_history()).await?;
            deletions.push(history(&app, "k").await?[0].as_expected());
        }
        let purge = async |expected| app.delete_with("k", WriteOptions::expecting(expected)).await;
        assert!(matches!(purge(deletions[0]).await, Err(Error::Unexpected { found: None })));
        assert!(!purge(deletions[1]).await?);
        assert!(history(&app, "k").await?.is_empty());
        Ok(())
    });
}

#[test]
fn a_delete_of_a_history_alone_is_tied_to_an_account_too() {
    run(async {
        let org = org_of(&vault(MemoryStore::new(), keeping()).await?);
        let app = default_app(&org.create_account(id("a")).with_default_app().await?);
        let other = org.create_account(id("b")).await?.info().await?.unwrap();
        app.upsert("k", "one").await?;
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        org.delete_account(&other.account_id).await?;
        let tied = WriteOptions::default().while_registered(&other);
        assert!(matches!(app.delete_with("k", tied).await, Err(Error::AccountNotFound(_))));
        assert_eq!(history(&app, "k").await?.len(), 2);
        Ok(())
    });
}

#[test]
fn replacing_all_removes_a_credential_that_cannot_be_read_unless_its_history_is_to_be_kept() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        for value in ["one", "two"] {
            app.upsert("k", value).await?;
        }
        let (place, _) = of_kind(&store, &[0x32]).await?.remove(0);
        plant(&store, &place, Some(b"junk".to_vec())).await?;
        let kept = app.replace_all_with(&[], WriteOptions::default().keep_history()).await;
        assert!(matches!(kept, Err(Error::Damaged { .. })));
        let replaced = app.replace_all(&[NewCredential::new("new", "x")]).await?;
        assert_eq!(replaced.removed[0].as_str(), "k");
        assert!(app.get("k").await?.is_none() && past_rows(&store).await?.is_empty());
        Ok(())
    });
}

#[test]
fn replacing_all_keeps_or_purges_what_it_removes_as_it_is_told() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        let many: Vec<_> = (0..40).map(|name| NewCredential::new(format!("k{name}"), "one")).collect();
        app.replace_all(&many).await?;
        for name in 0..40 {
            app.upsert(&format!("k{name}"), "two").await?;
        }
        let kept = WriteOptions::default().keep_history();
        let removed = app.replace_all_with(&many[..20], kept).await?.removed;
        assert_eq!(removed.len(), 20);
        assert_eq!(app.undelete("k39").await?.unwrap().info.key_name.as_str(), "k39");
        assert_eq!(app.get("k39").await?.unwrap().value.expose(), "two");
        app.replace_all(&[]).await?;
        // What was deleted before, with its history kept, is not among what the last call removed.
        let left = past_rows(&store).await?.len();
        assert_eq!(left, 19 * 3);
        account.delete_integration(&IntegrationId::default_app()).await?;
        assert_eq!(past_rows(&store).await?, []);
        Ok(())
    });
}

#[test]
fn a_replacement_that_expires_keeps_the_history_of_what_it_removes() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        app.upsert("old", "one").await?;
        let at = Timestamp::from_ms(4_000_000_000_000);
        let options = WriteOptions::default().keep_history().expires_at(at);
        let replaced = app.replace_all_with(&[NewCredential::new("new", "n")], options).await?;
        assert_eq!(replaced.written[0].info.metadata.expires_at(), Some(at));
        let versions = history(&app, "old").await?;
        assert_eq!((versions[0].deleted, versions[0].metadata.expires_at()), (true, None));
        assert_eq!(app.undelete("old").await?.unwrap().info.metadata.expires_at(), None);
        Ok(())
    });
}

#[test]
fn a_deleted_connection_leaves_no_former_version() {
    with_kept(async |store, account| {
        account.add_connection(&id("crm"), &id("work")).await?;
        let app = account.app(id("crm")).connection(id("work"));
        for value in ["one", "two", "three"] {
            app.upsert("k", value).await?;
        }
        assert_eq!(past_rows(&store).await?.len(), 2);
        account.delete_connection(&id("crm"), &id("work")).await?;
        assert_eq!(past_rows(&store).await?, []);
        Ok(())
    });
}

#[test]
fn a_registration_with_credentials_keeps_what_it_replaces() {
    with_kept(async |_, account| {
        let app = default_app(&account);
        let made = app.upsert("k", "one").await?.info;
        account.update().with_credential("k", "two").await?;
        assert_eq!(texts(&app, "k", &history(&app, "k").await?).await?, ["two", "one"]);
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        account.update().with_credential("k", "three").await?;
        assert_eq!(app.get("k").await?.unwrap().info.id, made.id);
        Ok(())
    });
}

#[test]
fn a_former_version_in_the_place_of_another_row_is_refused() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        app.upsert("k", "one").await?;
        let present = of_kind(&store, &[0x32]).await?.pop().unwrap();
        app.upsert("k", "two").await?;
        app.upsert("k", "three").await?;
        let last = of_kind(&store, &[0x32]).await?.pop().unwrap().1;
        for (_, row) in past_rows(&store).await? {
            plant(&store, &present.0, Some(row)).await?;
            assert!(matches!(app.get("k").await, Err(Error::Damaged { .. })));
        }
        plant(&store, &present.0, Some(last)).await?;
        for (planted, (place, _)) in past_rows(&store).await?.into_iter().enumerate() {
            plant(&store, &place, Some(present.1.clone())).await?;
            let listed = history(&app, "k").await?;
            let unreadable = listed.iter().filter(|version| version.unreadable.is_some());
            assert_eq!((listed.len(), unreadable.count()), (3, planted + 1));
        }
        Ok(())
    });
}

#[test]
fn a_deleted_or_shredded_account_leaves_no_version_that_opens() {
    for shreds in [false, true] {
        with_kept(async |store, account| {
            let (org, app) = (org_of_handle(&store).await?, default_app(&account));
            let first = app.upsert("k", "one").await?.info.revision;
            app.upsert("k", "two").await?;
            let kept = past_rows(&store).await?;
            if shreds {
                let _ = org.shred_account(account.id()).await?;
            } else {
                org.delete_account(account.id()).await?;
            }
            assert_eq!(past_rows(&store).await?, []);
            let again = org.create_account(account.id().clone()).with_default_app().await?;
            for (key, row) in kept {
                plant(&store, &key, Some(row)).await?;
            }
            let app = default_app(&again);
            assert_eq!(history(&app, "k").await?, []);
            assert!(matches!(app.version("k", first).await, Err(Error::VersionNotFound(_))));
            app.upsert("k", "new").await?;
            assert_eq!(texts(&app, "k", &history(&app, "k").await?).await?, ["new"]);
            Ok(())
        });
    }
}

#[test]
fn a_rotation_a_copy_and_a_backup_carry_every_version() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), keeping()).await?;
        let org = org_of(&vault);
        let account = org.create_account(id("a")).with_default_app().await?;
        let app = default_app(&account);
        for value in ["one", "two", "three"] {
            app.upsert("k", value).await?;
        }
        app.upsert("gone", "g").await?;
        app.delete_with("gone", WriteOptions::default().keep_history()).await?;
        vault.rotate_data_keys(&DataKeys::all()).await?.run().await?;
        is_as_it_was(&app).await?;
        is_verified(&vault).await?;

        let copy = Arc::new(MemoryStore::new());
        let mut file = Vec::new();
        vault.backup(&mut file, |_| ()).await?;
        vault.copy_to(&copy, |_| ()).await?;
        let copied = keeping().open(copy, unlock()).await?;
        is_as_it_was(&default_app(&org_of(&copied).account(id("a")))).await?;
        is_verified(&copied).await?;

        let backup = Backup::open(Cursor::new(file), unlock()).await?;
        let restored = backup.restore_as_new(MemoryStore::new(), unlock(), |_| ()).await?;
        is_as_it_was(&default_app(&org_of(&restored).account(id("a")))).await?;
        is_verified(&restored).await
    });
}

#[test]
fn a_version_that_cannot_be_read_hides_no_other() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        for value in ["one", "two", "three"] {
            app.upsert("k", value).await?;
        }
        let whole = history(&app, "k").await?;
        let mut damaged = past_rows(&store).await?;
        damaged.extend(of_kind(&store, &[0x32]).await?);
        for (key, row) in damaged {
            let mut changed = row.clone();
            *changed.last_mut().unwrap() ^= 1;
            plant(&store, &key, Some(changed)).await?;
            let listed = history(&app, "k").await?;
            assert_eq!(listed.len(), whole.len());
            let (unreadable, readable): (Vec<_>, Vec<_>) =
                listed.into_iter().partition(|version| version.unreadable.is_some());
            assert!(unreadable.len() == 1 && readable.iter().all(|version| whole.contains(version)));
            plant(&store, &key, Some(row)).await?;
        }
        Ok(())
    });
}

#[test]
fn what_a_replacement_removes_loses_its_history_with_it_or_not_at_all() {
    for commits in 0..3 {
        run(async {
            let store = Arc::new(FailingStore::default());
            let (vault, app) = with_long_histories(Arc::clone(&store)).await?;
            store.fail_after(commits, StoreErrorKind::Unavailable);
            let replaced = app.replace_all(&[NewCredential::new("new", "n")]).await;
            store.recover();
            for name in LONG {
                let versions = history(&app, name).await?.len();
                assert_eq!(versions, if replaced.is_ok() { 0 } else { 50 }, "{name}, {commits}");
            }
            is_verified(&vault).await
        });
    }
}

#[test]
fn a_history_that_no_batch_has_room_for_goes_once_its_credential_is_gone() {
    run(async {
        let (vault, app) = with_long_histories(SmallStore::default()).await?;
        assert_eq!(app.replace_all(&[NewCredential::new("new", "n")]).await?.removed.len(), LONG.len());
        for name in LONG {
            assert_eq!(history(&app, name).await?, []);
        }
        is_verified(&vault).await
    });
}

#[test]
fn a_version_takes_the_place_of_a_credential_that_cannot_be_opened_where_that_is_expected() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        let first = app.upsert("k", "one").await?.info;
        app.upsert("k", "two").await?;
        let unreadable = || WriteOptions::expecting(Expected::Unreadable);
        let whole = app.restore_with("k", first.revision, unreadable()).await;
        assert!(matches!(whole, Err(Error::Unexpected { found: Some(_) })));
        // The credential, then its deletion.
        for kind in [&[0x32][..], &[0x50, 0x32]] {
            let (place, mut row) = of_kind(&store, kind).await?.remove(0);
            *row.last_mut().unwrap() ^= 1;
            plant(&store, &place, Some(row)).await?;
            assert!(matches!(app.restore("k", first.revision).await, Err(Error::Damaged { .. })));
            assert_eq!(history(&app, "k").await?[0].as_expected(), Expected::Unreadable);
            let back = app.restore_with("k", first.revision, unreadable()).await?.info;
            assert_eq!((back.id, back.created_at), (first.id, first.created_at));
            assert_eq!(app.get("k").await?.unwrap().value.expose(), "one");
            app.delete_with("k", WriteOptions::default().keep_history()).await?;
        }
        Ok(())
    });
}

#[test]
fn a_write_of_an_account_replaces_a_credential_that_cannot_be_opened_where_that_is_expected() {
    with_kept(async |store, account| {
        let app = default_app(&account);
        let first = app.upsert("k", "one").await?.info;
        app.upsert("k", "two").await?;
        let (place, mut row) = of_kind(&store, &[0x32]).await?.remove(0);
        *row.last_mut().unwrap() ^= 1;
        plant(&store, &place, Some(row)).await?;
        let replace = || {
            let new = NewCredential::new("k", "three").expecting(Expected::Unreadable);
            account.update().with_integration(IntegrationId::default_app(), [new])
        };
        replace().await?;
        let found = app.get("k").await?.unwrap();
        assert_eq!((found.info.id, found.value.expose()), (first.id, "three"));
        let whole = replace().await;
        assert!(
            matches!(whole, Err(Error::Unexpected { found: Some(_) })),
            "what can be read is not replaced"
        );
        Ok(())
    });
}

#[test]
fn an_undelete_overwrites_nothing_that_was_set_and_deleted_meanwhile() {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let kept = || WriteOptions::default().keep_history();
        let org = org_of(&vault(Arc::clone(&store), keeping()).await?);
        let other = default_app(&org.create_account(id("a")).with_default_app().await?);
        other.upsert("k", "one").await?;
        other.delete_with("k", kept()).await?;
        let hooked = Hooked::new(store).shared();
        let app = default_app(&org_of(&keeping().open(hooked.clone(), unlock()).await?).account(id("a")));
        hooked.once(Point::BeforeCommit, move || {
            run(async {
                other.upsert("k", "two").await?;
                other.delete_with("k", kept()).await.map(drop)
            });
        });
        assert!(matches!(app.undelete("k").await, Err(Error::Unexpected { found: None })));
        app.undelete("k").await?;
        assert_eq!(app.get("k").await?.unwrap().value.expose(), "two");
        Ok(())
    });
}

/// Credentials of 50 versions each.
async fn with_long_histories(store: impl Store + 'static) -> Result<(Vault, AppCredentials), Error> {
    let vault = vault(store, VaultOptions::default().history_versions(60)).await?;
    let app = default_app(&org_of(&vault).create_account(id("a")).with_default_app().await?);
    for name in LONG {
        for value in 0..50 {
            app.upsert(name, value.to_string()).await?;
        }
    }
    Ok((vault, app))
}

const LONG: [&str; 3] = ["k1", "k2", "k3"];

async fn is_as_it_was(app: &AppCredentials) -> Result<(), Error> {
    assert_eq!(texts(app, "k", &history(app, "k").await?).await?, ["three", "two", "one"]);
    assert_eq!(history(app, "gone").await?.len(), 2);
    Ok(())
}

fn keeping() -> VaultOptions {
    VaultOptions::default().history_versions(3)
}

fn with_kept(test: impl AsyncFnOnce(Arc<MemoryStore>, Account) -> Result<(), Error>) {
    run(async {
        let store = Arc::new(MemoryStore::new());
        let vault = vault(Arc::clone(&store), keeping()).await?;
        let account = org_of(&vault).create_account(id("a")).with_default_app().await?;
        test(store, account).await
    });
}

async fn org_of_handle(store: &Arc<MemoryStore>) -> Result<Org, Error> {
    Ok(org_of(&keeping().open(Arc::clone(store), unlock()).await?))
}

fn default_app(account: &Account) -> AppCredentials {
    account.app(IntegrationId::default_app())
}

async fn history(app: &AppCredentials, name: &str) -> Result<Vec<Version>, Error> {
    Ok(app.history(name, PageRequest::default()).await?.items)
}

async fn texts(app: &AppCredentials, name: &str, versions: &[Version]) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for revision in versions.iter().map(|version| version.revision).collect::<Vec<Revision>>() {
        texts.push(app.version(name, revision).await?.value.expose().to_owned());
    }
    Ok(texts)
}

async fn past_rows(store: &MemoryStore) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    of_kind(store, &[0x50, 0x32]).await
}

/// The rows of the org whose kind begins so.
async fn of_kind(store: &MemoryStore, kind: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, Error> {
    let prefix = [b"\x016500a1b2c3d4e5f6a7b8c9d0\0test\0", kind].concat();
    Ok(rows(store).await?.into_iter().filter(|(key, _)| key.as_bytes().starts_with(&prefix)).collect())
}
