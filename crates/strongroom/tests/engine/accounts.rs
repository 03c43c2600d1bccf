//! Linked accounts: registering, the handle that reaches only its own, and what a delete takes along.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionFilter, Error, Expected, IntegrationId, Invalid, LinkedAccountId, ManualClock, NewCredential,
    NewValue, PageRequest, Revision, Scope, ScopeKind, ScopePath, Scopes, Timestamp, Upsert, VaultOptions,
    WriteOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::{account, exposed, id, org_of, run, text, vault, with_clock, with_org, with_small_store};

#[test]
fn a_customer_who_connects_is_there_as_a_whole_in_one_commit_or_not_at_all() {
    run(async {
        let (store, clock) = (Faulty::new(MemoryStore::new()), ManualClock::default());
        let org = org_of(&vault(store.clone(), VaultOptions::default().clock(clock.clone())).await?);
        let at = Timestamp::from_ms(5_000);
        let connect = || {
            let tokens =
                [NewCredential::new("access", "a1").expires_at(at), NewCredential::new("refresh", "r1")];
            org.upsert_account(id("a")).with_integration(id("crm"), tokens).with_credential("api_key", "k1")
        };
        let next = store.commits_len();
        let store = store.on_commits(next..next + 1, Fault::Before(StoreErrorKind::Unavailable));
        assert!(connect().await.unwrap_err().is_retryable());
        assert!(org.linked_account(&id("a")).await?.is_none());

        let written = connect().await?;
        assert_eq!(store.commits_len() - next, 2);
        let names = written.credentials.iter().map(|written| written.info.key_name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["access", "refresh", "api_key"]);
        let crm = written.account.app(id("crm")).get_all().await?;
        assert_eq!(crm.get("access").unwrap().info.metadata.expires_at(), Some(at));
        assert_eq!(written.account.credential("api_key").await?.unwrap().value.expose(), "k1");
        assert_eq!(connect().await?.action, Upsert::Updated);
        clock.set(at);
        assert!(matches!(connect().await, Err(Error::InvalidMetadata(_))));
        Ok(())
    });
}

#[test]
fn an_account_reads_back_as_it_was_created() {
    with_clock(async |org, _| {
        let handle = org.create_account(id("a")).name("Ann").udf(" {} ").await?;
        let info = handle.info().await?.unwrap();
        assert_eq!((info.account_id.as_str(), info.name.as_deref()), ("a", Some("Ann")));
        assert_eq!((info.udf.as_deref(), info.credential_generation), (Some(" {} "), 0));
        assert_eq!((info.created_at.as_ms(), info.updated_at.as_ms()), (1_000, 1_000));
        assert_eq!(org.linked_account(&id("a")).await?, Some(info));
        Ok(())
    });
}

#[test]
fn an_account_is_created_once() {
    with_org(async |org| {
        org.create_account(id("a")).name("first").await?;
        let again = org.create_account(id("a")).name("second").await;
        assert!(matches!(again, Err(Error::AccountExists(taken)) if taken.as_str() == "a"));
        assert_eq!(org.account(id("a")).info().await?.unwrap().name.as_deref(), Some("first"));
        Ok(())
    });
}

#[test]
fn an_upsert_adds_and_then_updates_what_it_names() {
    with_clock(async |org, clock| {
        let upsert = || org.upsert_account(id("a"));
        assert_eq!(upsert().name("Ann").udf("1").await?.action, Upsert::Added);
        let before = org.account(id("a")).info().await?.unwrap();
        clock.set(2_000);
        assert_eq!(upsert().udf("2").await?.action, Upsert::Updated);
        let after = org.account(id("a")).info().await?.unwrap();
        assert_eq!((after.name.as_deref(), after.udf.as_deref()), (Some("Ann"), Some("2")));
        assert_eq!((after.id, after.created_at), (before.id, before.created_at));
        assert_eq!(after.updated_at.as_ms(), 2_000);
        assert_ne!(after.revision, before.revision);
        Ok(())
    });
}

#[test]
fn an_account_comes_with_its_credentials_or_not_at_all() {
    with_org(async |org| {
        let create = || org.create_account(id("a")).with_credential("k", "1");
        let twice = create().with_credential("k", "2").await;
        assert!(matches!(twice, Err(Error::Invalid(Invalid::DuplicateCredentialKey))));
        let control = create().with_credential("a\0", "2").await;
        assert!(matches!(control, Err(Error::Invalid(Invalid::Id(_)))));
        assert_eq!(org.account(id("a")).info().await?, None);
        let handle = create().with_credential("l", "2").await?;
        assert_eq!(handle.credential("l").await?.unwrap().value.expose(), "2");
        Ok(())
    });
}

#[test]
fn an_upsert_merges_credentials_by_key() {
    with_org(async |org| {
        let handle = org.create_account(id("a")).with_credential("k", "1").with_credential("l", "1").await?;
        org.upsert_account(id("a")).with_credential("l", "2").with_credential("m", "2").await?;
        for (key, value) in [("k", "1"), ("l", "2"), ("m", "2")] {
            assert_eq!(handle.credential(key).await?.unwrap().value.expose(), value);
        }
        Ok(())
    });
}

#[test]
fn a_write_of_an_account_answers_each_integration_that_it_names_new_or_not() {
    with_org(async |org| {
        org.create_account(id("a")).with_default_app().await?;
        let tokens = [NewCredential::new("token", "t1")];
        let written = org.upsert_account(id("a")).with_default_app().with_integration(id("crm"), tokens);
        let written = written.await?;
        assert_eq!(written.integrations.len(), 2);
        let listed = written.account.integrations(PageRequest::default()).await?.items;
        assert_eq!(written.integrations, listed);
        Ok(())
    });
}

#[test]
fn an_account_needs_no_registration_to_have_values() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let handle = org.account(id("a"));
        handle.set_value("A", "x").await?;
        assert_eq!(exposed(handle.value("A").await?.as_ref()), Some("x"));
        assert_eq!(handle.info().await?, None);
        assert!(org.linked_accounts(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn the_handle_sees_its_own_values_and_never_the_org_s_or_a_default() {
    with_org(async |org| {
        org.define(text("A").default_value("default")).await?;
        org.define(text("B")).await?;
        org.set_value("A", Scope::Org, "org").await?;
        org.set_value("A", account("other"), "other").await?;
        let handle = org.account(id("a"));
        assert!(handle.value("A").await?.is_none());
        assert!(handle.values(PageRequest::default()).await?.items.is_empty());
        handle.set_value("B", "own").await?;
        let listed = handle.values(PageRequest::default()).await?.items;
        assert_eq!(listed.iter().map(|value| value.value.expose()).collect::<Vec<_>>(), ["own"]);
        Ok(())
    });
}

#[test]
fn the_handle_writes_and_deletes_its_own_values_alone() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.set_value("A", Scope::Org, "org").await?;
        let handle = org.account(id("a"));
        assert!(handle.delete_value("A").await?.is_none());
        assert_eq!(handle.set_value("A", "own").await?.scope, account("a"));
        handle.delete_value("A").await?.unwrap();
        assert_eq!(exposed(org.value("A", Scope::Org).await?.as_ref()), Some("org"));
        Ok(())
    });
}

#[test]
fn the_handle_sees_the_definitions_that_allow_a_value_of_it() {
    with_org(async |org| {
        org.define(text("OPEN")).await?;
        org.define(text("CLOSED").scopes(Scopes::only(ScopeKind::Org))).await?;
        let listed =
            org.account(id("a")).definitions(&DefinitionFilter::all(), PageRequest::default()).await?;
        assert_eq!(listed.items.len(), 1);
        assert_eq!(listed.items[0].definition.name, "OPEN");
        Ok(())
    });
}

#[test]
fn the_handle_sees_of_those_only_what_a_filter_by_another_scope_takes() {
    with_org(async |org| {
        org.define(text("OPEN")).await?;
        for (name, kind) in [("OWN", ScopeKind::LinkedAccount), ("CLOSED", ScopeKind::Workflow)] {
            org.define(text(name).scopes(Scopes::only(kind))).await?;
        }
        let filter = DefinitionFilter::all().scope(ScopeKind::Workflow);
        let listed = org.account(id("a")).definitions(&filter, PageRequest::default()).await?.items;
        let names: Vec<_> = listed.iter().map(|stored| stored.definition.name.as_str()).collect();
        assert_eq!(names, ["OPEN"]);
        Ok(())
    });
}

#[test]
fn accounts_whose_ids_extend_one_another_never_see_each_other_s_rows() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let accounts: Vec<LinkedAccountId> = ["a", "a/", "aa", "a\u{ff}"].map(id).into();
        for own in &accounts {
            let handle = org.create_account(own.clone()).with_credential("k", own.as_str()).await?;
            handle.set_value("A", own.as_str()).await?;
        }
        org.delete_account(&accounts[0]).await?;
        for own in &accounts[1..] {
            let handle = org.account(own.clone());
            let values = handle.values(PageRequest::default()).await?.items;
            assert_eq!(values.iter().map(|value| value.value.expose()).collect::<Vec<_>>(), [own.as_str()]);
            assert_eq!(handle.credential("k").await?.unwrap().value.expose(), own.as_str());
            assert_eq!(handle.credentials(PageRequest::default()).await?.items.len(), 1);
            assert_eq!(handle.integrations(PageRequest::default()).await?.items.len(), 1);
        }
        Ok(())
    });
}

#[test]
fn a_deleted_account_takes_values_credentials_and_integrations_along() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let handle = org.create_account(id("a")).with_credential("k", "1").await?;
        let value = handle.set_value("A", "x").await?.id;
        org.delete_account(&id("a")).await?;
        assert_eq!(handle.info().await?, None);
        assert!(handle.value("A").await?.is_none());
        assert!(org.value_by_id(&value).await?.is_none());
        assert!(handle.values(PageRequest::default()).await?.items.is_empty());
        assert!(handle.integrations(PageRequest::default()).await?.items.is_empty());
        assert!(matches!(handle.credential("k").await, Err(Error::IntegrationNotFound { .. })));
        assert!(org.resolve("A", &ScopePath::org().linked_account(id("a"))).await?.is_none());
        assert!(org.linked_accounts(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn more_values_than_one_batch_holds_go_with_their_account() {
    with_small_store(async |org| {
        let handle = org.create_account(id("a")).await?;
        for number in 0..70 {
            let name = format!("V{number}");
            org.define(text(&name)).await?;
            handle.set_value(&name, "x").await?;
        }
        org.delete_account(&id("a")).await?;
        assert!(handle.values(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn a_new_account_of_the_same_id_starts_empty() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let old = org.create_account(id("a")).name("old").with_credential("k", "1").await?;
        old.set_value("A", "x").await?;
        let before = old.info().await?.unwrap();
        org.delete_account(&id("a")).await?;

        let new = org.create_account(id("a")).with_default_app().await?;
        let after = new.info().await?.unwrap();
        assert_eq!((after.name, after.credential_generation), (None, 0));
        assert_ne!(after.id, before.id);
        assert!(new.value("A").await?.is_none());
        assert!(new.credentials(PageRequest::default()).await?.items.is_empty());
        Ok(())
    });
}

#[test]
fn a_new_account_of_the_same_id_has_a_fresh_key() {
    with_org(async |org| {
        org.define(text("A").encrypted()).await?;
        let dek_id = async || {
            let options = WriteOptions::default().with_ciphertext();
            let shown = org.set_value_with("A", account("a"), "x", options).await?.ciphertext.unwrap();
            // The first 24 characters are 18 bytes: version, suite and data key id.
            Ok::<_, Error>(shown[..24].to_owned())
        };
        let old = dek_id().await?;
        assert_eq!(dek_id().await?, old);
        org.delete_account(&id("a")).await?;
        assert_ne!(dek_id().await?, old);
        Ok(())
    });
}

#[test]
fn a_value_of_a_deleted_account_frees_its_scope_in_the_definition() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.account(id("a")).set_value("A", "x").await?;
        org.delete_account(&id("a")).await?;
        let narrow = strongroom::DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
        org.update_definition("A", narrow).await?;
        Ok(())
    });
}

#[test]
fn an_account_that_was_never_registered_is_deleted_with_its_values() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.account(id("a")).set_value("A", "x").await?;
        org.delete_account(&id("a")).await?;
        assert!(org.account(id("a")).value("A").await?.is_none());
        Ok(())
    });
}

#[test]
fn what_is_not_there_cannot_be_deleted() {
    with_org(async |org| {
        let missing = org.delete_account(&id("a")).await;
        assert!(matches!(missing, Err(Error::AccountNotFound(account)) if account.as_str() == "a"));
        org.create_account(id("a")).await?;
        org.delete_account(&id("a")).await?;
        assert!(matches!(org.delete_account(&id("a")).await, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_delete_that_expects_another_revision_changes_nothing() {
    with_org(async |org| {
        let handle = org.create_account(id("a")).with_default_app().await?;
        let first = handle.info().await?.unwrap().revision;
        handle.upsert_credential("k", "1").await?;
        let stale = WriteOptions::expecting(Expected::Revision(first));
        let refused = org.delete_account_with(&id("a"), stale).await;
        assert!(matches!(refused, Err(Error::Unexpected { found: Some(_) })));
        assert!(handle.credential("k").await?.is_some());
        Ok(())
    });
}

#[test]
fn many_accounts_get_their_keys_in_one_batch() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let accounts: Vec<_> = (0..120).map(|number| account(&format!("user_{number}"))).collect();
        let values: Vec<_> =
            accounts.iter().map(|scope| NewValue::new("A", scope, scope.to_string())).collect();
        org.set_values(&values).await?;
        for scope in &accounts {
            let found = org.value("A", scope).await?;
            assert_eq!(exposed(found.as_ref()), Some(scope.to_string().as_str()));
        }
        Ok(())
    });
}

#[test]
fn a_revision_from_before_a_delete_never_fits_an_account_made_after_it() {
    with_org(async |org| {
        let mut gone: Vec<Revision> = Vec::new();
        for _ in 0..20 {
            gone.push(org.create_account(id("a")).await?.info().await?.unwrap().revision);
            org.delete_account(&id("a")).await?;
        }
        let standing = org.create_account(id("a")).await?.info().await?.unwrap().revision;
        assert!(!gone.contains(&standing));
        Ok(())
    });
}

#[test]
fn a_write_while_an_account_is_registered_keeps_its_other_conditions() {
    with_org(async |org| {
        org.define(text("V")).await?;
        let known = org.create_account(id("a")).await?.info().await?.unwrap();
        let first = || WriteOptions::expecting(Expected::Absent).while_registered(&known);
        org.set_value_with("V", Scope::Org, "1", first()).await?;
        let again = org.set_value_with("V", Scope::Org, "2", first()).await;
        assert!(matches!(again, Err(Error::Unexpected { .. })));
        org.delete_value("V", Scope::Org).await?;
        org.delete_account(&id("a")).await?;
        let late = org.set_value_with("V", Scope::Org, "3", first()).await;
        assert!(matches!(late, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn accounts_are_listed_in_the_order_of_the_bytes_of_their_ids() {
    with_org(async |org| {
        for account in ["b", "a\u{ff}", "a/", "aa", "a", "B"] {
            org.create_account(id(account)).await?;
        }
        let listed = org.linked_accounts(PageRequest::default()).await?.items;
        let listed: Vec<_> = listed.iter().map(|account| account.account_id.as_str()).collect();
        assert_eq!(listed, ["B", "a", "a/", "aa", "a\u{ff}", "b"]);
        Ok(())
    });
}

#[test]
fn an_account_without_the_default_app_has_none() {
    with_org(async |org| {
        let handle = org.create_account(id("a")).await?;
        assert!(handle.integrations(PageRequest::default()).await?.items.is_empty());
        org.upsert_account(id("a")).with_default_app().await?;
        let listed = handle.integrations(PageRequest::default()).await?.items;
        assert_eq!(listed[0].integration, IntegrationId::default_app());
        Ok(())
    });
}
