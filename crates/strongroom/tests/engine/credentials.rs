//! Credentials of an integration of a linked account.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{id, with_clock, with_org};
use strongroom::{
    Account, Error, Expected, IntegrationId, Invalid, PageRequest, Revision, Upsert, WriteOptions,
};

#[test]
fn a_credential_is_its_exact_text() {
    with_account(async |account| {
        for value in ["", " k\r\n", "\0", "\u{e9}", "e\u{301}"] {
            account.upsert_credential("k", value).await?;
            assert_eq!(account.credential("k").await?.unwrap().value.expose(), value);
        }
        Ok(())
    });
}

#[test]
fn an_upsert_keeps_id_and_creation_time_and_changes_the_revision() {
    with_clock(async |org, clock| {
        let account = org.create_account(id("a")).with_default_app().await?;
        assert_eq!(account.upsert_credential("k", "1").await?.action, Upsert::Added);
        let before = account.credential("k").await?.unwrap().info;
        clock.set(2_000);
        assert_eq!(account.upsert_credential("k", "2").await?.action, Upsert::Updated);
        let after = account.credential("k").await?.unwrap().info;
        assert_eq!((after.id, after.created_at), (before.id, before.created_at));
        assert_eq!((after.created_at.as_ms(), after.updated_at.as_ms()), (1_000, 2_000));
        assert_ne!(after.revision, before.revision);
        Ok(())
    });
}

#[test]
fn a_credential_needs_its_integration() {
    with_org(async |org| {
        let unregistered = org.account(id("a"));
        let refused = unregistered.upsert_credential("k", "1").await;
        assert!(matches!(refused, Err(Error::IntegrationNotFound { account, integration, connection: None })
            if account.as_str() == "a" && integration == IntegrationId::default_app()));
        let account = org.create_account(id("a")).with_default_app().await?;
        let refused = account.app(id("crm")).upsert("k", "1").await;
        assert!(matches!(refused, Err(Error::IntegrationNotFound { integration, .. })
            if integration.as_str() == "crm"));
        Ok(())
    });
}

#[test]
fn credentials_of_one_key_under_different_integrations_are_different() {
    with_account(async |account| {
        account.add_integration(&id("crm")).await?;
        account.upsert_credential("k", "default").await?;
        assert!(account.app(id("crm")).get("k").await?.is_none());
        account.app(id("crm")).upsert("k", "crm").await?;
        assert_eq!(account.credential("k").await?.unwrap().value.expose(), "default");
        Ok(())
    });
}

#[test]
fn each_change_of_a_credential_bumps_the_generation_and_reading_does_not() {
    with_account(async |account| {
        let generation = async || Ok::<_, Error>(account.info().await?.unwrap().credential_generation);
        assert_eq!(generation().await?, 0);
        account.upsert_credential("k", "1").await?;
        assert_eq!(generation().await?, 1);
        account.upsert_credential("k", "1").await?;
        assert_eq!(generation().await?, 2);
        account.credential("k").await?;
        account.delete_credential("none").await?;
        assert_eq!(generation().await?, 2);
        account.delete_credential("k").await?;
        assert_eq!(generation().await?, 3);
        Ok(())
    });
}

#[test]
fn credentials_that_go_or_come_with_their_parent_bump_the_generation_too() {
    with_org(async |org| {
        let account = org.create_account(id("a")).with_credential("k", "1").await?;
        let generation = async || Ok::<_, Error>(account.info().await?.unwrap().credential_generation);
        let first = generation().await?;
        assert!(first > 0);
        org.upsert_account(id("a")).with_credential("k", "2").await?;
        let second = generation().await?;
        assert!(second > first);
        account.delete_integration(&IntegrationId::default_app()).await?;
        assert!(generation().await? > second);
        Ok(())
    });
}

#[test]
fn a_list_shows_key_names_in_the_order_of_their_bytes() {
    with_account(async |account| {
        for key in ["b", "a\u{ff}", "a/", "..", "a", "B"] {
            account.upsert_credential(key, "x").await?;
        }
        let listed = account.credentials(PageRequest::default()).await?.items;
        let listed: Vec<_> = listed.iter().map(|info| info.key_name.as_str()).collect();
        assert_eq!(listed, ["..", "B", "a", "a/", "a\u{ff}", "b"]);
        Ok(())
    });
}

#[test]
fn a_delete_answers_whether_there_was_one() {
    with_account(async |account| {
        account.upsert_credential("k", "1").await?;
        assert!(account.delete_credential("k").await?);
        assert!(!account.delete_credential("k").await?);
        assert!(account.credential("k").await?.is_none());
        Ok(())
    });
}

#[test]
fn a_delete_of_a_credential_that_is_absent_takes_no_record_along() {
    with_org(async |org| {
        let account = org.create_account(id("a")).with_default_app().await?;
        let notes = org.records(id("notes"));
        let noted = WriteOptions::default().with_record(notes.write(id("k"), "x"));
        assert!(!account.app(IntegrationId::default_app()).delete_with("none", noted).await?);
        assert!(notes.get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_write_that_expects_another_state_changes_nothing() {
    with_account(async |account| {
        let app = account.app(IntegrationId::default_app());
        let expecting = WriteOptions::expecting;
        app.upsert_with("k", "1", expecting(Expected::Absent)).await?;
        let standing = app.get("k").await?.unwrap().info.revision;
        for expected in [Expected::Absent, Expected::Revision(Revision::from_u64(u64::MAX))] {
            let upsert = app.upsert_with("k", "2", expecting(expected)).await;
            assert!(matches!(upsert, Err(Error::Unexpected { found }) if found == Some(standing)));
            let delete = app.delete_with("k", expecting(expected)).await;
            assert!(matches!(delete, Err(Error::Unexpected { found }) if found == Some(standing)));
        }
        assert_eq!(app.get("k").await?.unwrap().value.expose(), "1");
        app.upsert_with("k", "2", expecting(Expected::Revision(standing))).await?;
        Ok(())
    });
}

#[test]
fn a_revision_from_before_a_delete_never_fits_a_credential_made_after_it() {
    with_account(async |account| {
        let app = account.app(IntegrationId::default_app());
        app.upsert("k", "1").await?;
        let gone = app.get("k").await?.unwrap().info.revision;
        app.delete("k").await?;
        app.upsert("k", "1").await?;
        let stale = WriteOptions::expecting(Expected::Revision(gone));
        assert!(matches!(app.upsert_with("k", "2", stale).await, Err(Error::Unexpected { found: Some(_) })));
        Ok(())
    });
}

#[test]
fn a_key_name_out_of_its_rule_is_refused() {
    with_account(async |account| {
        let long = "x".repeat(257);
        for key in ["", "a\0", "a\n", long.as_str()] {
            assert!(matches!(account.upsert_credential(key, "1").await, Err(Error::Invalid(Invalid::Id(_)))));
            assert!(matches!(account.credential(key).await, Err(Error::Invalid(Invalid::Id(_)))));
            assert!(matches!(account.delete_credential(key).await, Err(Error::Invalid(Invalid::Id(_)))));
        }
        Ok(())
    });
}

fn with_account(test: impl AsyncFnOnce(Account) -> Result<(), Error>) {
    with_org(async |org| test(org.create_account(id("a")).with_default_app().await?).await);
}
