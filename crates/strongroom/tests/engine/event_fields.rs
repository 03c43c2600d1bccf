//! An event says of each change which document it is, and from which revision to which.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use strongroom::store::Key;
use strongroom::{
    AuditChange, AuditFilter, AuditNote, DefinitionChange, Error, EventKind, Expected, IntegrationId,
    PageRequest, Revision, Scope, ValueWritten, VaultOptions, WriteOptions,
};

use crate::audit_kept::Kept;
use crate::common::{plant, rows, run};
use crate::rig::{Kind, RowKey, account, of_account, of_workflow, org, text, unlock};

/// The last change that was noted, which must be of this kind.
async fn last(kept: &Kept, kind: EventKind) -> Result<AuditChange, Error> {
    let page = kept.org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await?;
    let change = page.items.last().and_then(|event| event.changes.last()).unwrap().clone();
    assert_eq!(change.kind, kind);
    Ok(change)
}

/// The name, the account, the workflow, the integration and the connection.
fn names(change: &AuditChange) -> [&str; 5] {
    [
        change.name.as_deref().unwrap_or_default(),
        change.linked_account.as_ref().map_or("", |id| id.as_str()),
        change.workflow.as_ref().map_or("", |id| id.as_str()),
        change.integration.as_ref().map_or("", |id| id.as_str()),
        change.connection.as_ref().map_or("", |id| id.as_str()),
    ]
}

fn revisions(change: &AuditChange) -> [Option<Revision>; 2] {
    [change.before, change.after]
}

#[test]
fn a_change_of_a_definition_names_it_and_its_revisions() {
    let kept = Kept::new();
    run(async {
        let id = kept.org.define(text("N")).await?;
        let made = kept.org.definition("N").await?.unwrap().revision;
        let change = last(&kept, EventKind::DefinitionCreated).await?;
        assert_eq!((change.definition_id, names(&change)), (Some(id), ["N", "", "", "", ""]));
        assert_eq!(revisions(&change), [None, Some(made)]);
        let renamed = kept.org.update_definition("N", DefinitionChange::new().name("M")).await?.revision;
        let change = last(&kept, EventKind::DefinitionUpdated).await?;
        assert_eq!((change.definition_id, names(&change)[0]), (Some(id), "M"));
        assert_eq!(revisions(&change), [Some(made), Some(renamed)]);
        kept.org.delete_definition("M").await?;
        let change = last(&kept, EventKind::DefinitionDeleted).await?;
        assert_eq!((change.definition_id, names(&change)[0]), (Some(id), "M"));
        assert_eq!(revisions(&change), [Some(renamed), None]);
        Ok(())
    });
}

#[test]
fn a_definition_that_comes_back_is_named_with_its_new_revision() {
    let kept = Kept::new();
    run(async {
        let keeping = text("N").history_versions(2);
        let id = kept.org.define(keeping).await?;
        kept.org.delete_definition_with("N", WriteOptions::default().keep_history()).await?;
        let back = kept.org.undelete_definition(id).await?.unwrap();
        let change = last(&kept, EventKind::DefinitionCreated).await?;
        assert_eq!((change.definition_id, names(&change)[0]), (Some(id), "N"));
        assert_eq!(revisions(&change), [None, Some(back.revision)]);
        Ok(())
    });
}

#[test]
fn a_value_that_could_not_be_read_is_noted_as_deleted_under_the_id_that_its_successor_keeps() {
    let kept = Kept::new();
    run(async {
        kept.org.define(text("H").history_versions(2)).await?;
        kept.org.set_value("H", Scope::Org, "1").await?;
        let id = kept.org.set_value("H", Scope::Org, "2").await?.id;
        let is_value = |(key, _): &(Key, _)| RowKey::parse(key.as_bytes()).kind == Kind::Value;
        let (key, _) = rows(&kept.store).await?.into_iter().find(is_value).unwrap();
        plant(&kept.store, &key, Some(b"junk".to_vec())).await?;
        let unreadable = WriteOptions::expecting(Expected::Unreadable);
        kept.org.set_value_with("H", Scope::Org, "3", unreadable).await?;
        let page = kept.org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await?;
        let changes = &page.items.last().unwrap().changes;
        let noted: Vec<_> = changes.iter().map(|change| (change.kind, change.document_id)).collect();
        assert_eq!(noted, [(EventKind::ValueDeleted, Some(id)), (EventKind::ValueSet, Some(id))]);
        Ok(())
    });
}

#[test]
fn a_change_of_a_value_names_its_variable_its_scope_its_id_and_its_revisions() {
    let kept = Kept::new();
    run(async {
        for (scope, account, workflow) in
            [(Scope::Org, "", ""), (of_account("a"), "a", ""), (of_workflow("w"), "", "w")]
        {
            let check = |change: &AuditChange, one: &ValueWritten| {
                assert_eq!(names(change), ["V", account, workflow, "", ""]);
                assert_eq!(
                    (change.definition_id, change.document_id),
                    (Some(one.definition_id), Some(one.id))
                );
            };
            let made = kept.org.set_value("V", scope.clone(), "1").await?;
            let change = last(&kept, EventKind::ValueSet).await?;
            check(&change, &made);
            assert_eq!(revisions(&change), [None, Some(made.revision)]);
            let again = kept.org.set_value("V", scope.clone(), "2").await?;
            let change = last(&kept, EventKind::ValueSet).await?;
            check(&change, &again);
            assert_eq!(revisions(&change), [Some(made.revision), Some(again.revision)]);
            kept.org.delete_value("V", scope).await?;
            let change = last(&kept, EventKind::ValueDeleted).await?;
            check(&change, &again);
            assert_eq!(revisions(&change), [Some(again.revision), None]);
        }
        Ok(())
    });
}

#[test]
fn a_change_of_an_account_names_it_and_the_revision_that_was_read() {
    let kept = Kept::new();
    run(async {
        let handle = kept.org.create_account(account("a")).await?;
        let change = last(&kept, EventKind::AccountCreated).await?;
        assert_eq!((names(&change), change.before), (["", "a", "", "", ""], None));
        let made = handle.info().await?.unwrap().revision;
        kept.org.upsert_account(account("a")).name("A").await?;
        let change = last(&kept, EventKind::AccountUpdated).await?;
        assert_eq!((names(&change)[1], change.before), ("a", Some(made)));
        let updated = handle.info().await?.unwrap().revision;
        kept.org.delete_account(&account("a")).await?;
        let change = last(&kept, EventKind::AccountDeleted).await?;
        assert_eq!((names(&change)[1], change.before), ("a", Some(updated)));
        Ok(())
    });
}

#[test]
fn a_change_of_a_connection_names_it_and_its_revisions() {
    let kept = Kept::new();
    run(async {
        let handle = kept.org.create_account(account("a")).await?;
        handle.add_connection(&"crm".parse()?, &"work".parse()?).await?;
        let made = last(&kept, EventKind::ConnectionCreated).await?;
        assert_eq!(names(&made), ["", "a", "", "crm", "work"]);
        assert!(made.before.is_none() && made.after.is_some());
        handle.delete_connection(&"crm".parse()?, &"work".parse()?).await?;
        let ended = last(&kept, EventKind::ConnectionDisconnected).await?;
        assert_eq!(names(&ended), ["", "a", "", "crm", "work"]);
        assert_eq!(revisions(&ended), [made.after, None]);
        Ok(())
    });
}

#[test]
fn a_change_of_a_credential_names_its_key_its_connection_and_its_revisions() {
    let kept = Kept::new();
    run(async {
        let handle = kept.org.create_account(account("a")).await?;
        handle.add_connection(&"crm".parse()?, &"work".parse()?).await?;
        let app = handle.app("crm".parse()?).connection("work".parse()?);
        let made = app.upsert("k", "1").await?.info.revision;
        let change = last(&kept, EventKind::CredentialSet).await?;
        assert_eq!(names(&change), ["k", "a", "", "crm", "work"]);
        assert_eq!(revisions(&change), [None, Some(made)]);
        let again = app.upsert("k", "2").await?.info.revision;
        let change = last(&kept, EventKind::CredentialSet).await?;
        assert_eq!(revisions(&change), [Some(made), Some(again)]);
        app.delete("k").await?;
        let change = last(&kept, EventKind::CredentialDeleted).await?;
        assert_eq!(names(&change), ["k", "a", "", "crm", "work"]);
        assert_eq!(revisions(&change), [Some(again), None]);
        Ok(())
    });
}

#[test]
fn a_delete_of_the_history_that_a_credential_left_names_it() {
    let kept = Kept::new();
    kept.clock.set(1_000);
    run(async {
        let options = VaultOptions::default().history_versions(3).clock(kept.clock.clone());
        let org = org(&options.open(Arc::clone(&kept.store), unlock()).await?);
        let handle = org.create_account(account("a")).with_default_app().await?;
        let app = handle.app(IntegrationId::default_app());
        app.upsert("k", "1").await?;
        app.delete_with("k", WriteOptions::default().keep_history()).await?;
        let deleted = async || {
            let deletions = AuditFilter::all().kind(EventKind::CredentialDeleted);
            Ok::<_, Error>(kept.org.audit(&deletions, PageRequest::first(1_000)).await?.items.len())
        };
        assert_eq!(deleted().await?, 1);
        assert!(!app.delete("k").await?);
        let change = last(&kept, EventKind::CredentialDeleted).await?;
        assert_eq!(names(&change), ["k", "a", "", "default-app", ""]);
        assert_eq!((deleted().await?, revisions(&change)), (2, [None, None]));
        assert!(!app.delete("k").await?);
        assert_eq!(deleted().await?, 2, "nothing was left");
        Ok(())
    });
}

#[test]
fn a_change_of_a_record_names_its_namespace_or_api_key_its_account_and_its_revisions() {
    use EventKind::{ApiKeyCreated, ApiKeyRevoked, ApiKeyUpdated, RecordDeleted, RecordPut};
    let kept = Kept::new();
    run(async {
        for (namespace, name, [first, later, end]) in [
            ("notes", "notes", [RecordPut, RecordPut, RecordDeleted]),
            ("api-key", "r", [ApiKeyCreated, ApiKeyUpdated, ApiKeyRevoked]),
        ] {
            let records = kept.org.reserved_records(namespace.parse()?).about(account("a"));
            let made = records.put(&"r".parse()?, "1").await?.revision;
            let change = last(&kept, first).await?;
            assert_eq!(names(&change), [name, "a", "", "", ""]);
            assert_eq!(revisions(&change), [None, Some(made)]);
            let again = records.put(&"r".parse()?, "2").await?.revision;
            let change = last(&kept, later).await?;
            assert_eq!((names(&change)[1], revisions(&change)), ("a", [Some(made), Some(again)]));
            records.delete(&"r".parse()?).await?;
            let change = last(&kept, end).await?;
            assert_eq!(names(&change), [name, "a", "", "", ""]);
            assert_eq!(revisions(&change), [Some(again), None]);
        }
        Ok(())
    });
}

#[test]
fn a_note_of_a_read_names_what_was_shown() {
    let kept = Kept::new();
    run(async {
        for (scope, account, workflow) in
            [(Scope::Org, "", ""), (of_account("a"), "a", ""), (of_workflow("w"), "", "w")]
        {
            let set = kept.org.set_value("V", scope.clone(), "1").await?;
            let shown = kept.org.value("V", scope).await?.unwrap();
            let change = noted(&kept, AuditNote::value_read(&shown).named("V"), EventKind::ValueRead).await?;
            assert_eq!(names(&change), ["V", account, workflow, "", ""]);
            assert_eq!((change.definition_id, change.document_id), (Some(set.definition_id), Some(set.id)));
            assert_eq!(revisions(&change), [Some(set.revision), None]);
        }
        let definition = kept.org.definition("V").await?.unwrap();
        let change = noted(&kept, AuditNote::values_read(&definition), EventKind::ValueRead).await?;
        assert_eq!((change.definition_id, names(&change)), (Some(definition.id), ["V", "", "", "", ""]));
        let account = kept.org.create_account(account("b")).with_default_app().await?;
        account.upsert_credential("token", "1").await?;
        let shown = account.credentials(PageRequest::first(1)).await?.items.remove(0);
        let note = AuditNote::credential_read(account.id(), &shown);
        let change = noted(&kept, note, EventKind::CredentialRead).await?;
        assert_eq!(names(&change), ["token", "b", "", "default-app", ""]);
        assert_eq!(revisions(&change), [Some(shown.revision), None]);
        let work = "work".parse().unwrap();
        let note =
            AuditNote::connection_expired(account.id(), &"gmail".parse().unwrap()).of_connection(&work);
        let change = noted(&kept, note, EventKind::ConnectionExpired).await?;
        assert_eq!(names(&change), ["", "b", "", "gmail", "work"]);
        Ok(())
    });
}

#[test]
fn a_note_of_a_read_names_the_connection_of_the_credential() {
    let kept = Kept::new();
    run(async {
        let handle = kept.org.create_account(account("a")).await?;
        handle.add_connection(&"crm".parse()?, &"work".parse()?).await?;
        let app = handle.app("crm".parse()?).connection("work".parse()?);
        app.upsert("token", "1").await?;
        let shown = app.get("token").await?.unwrap().info;
        let note = AuditNote::credential_read(handle.id(), &shown);
        let change = noted(&kept, note, EventKind::CredentialRead).await?;
        assert_eq!(names(&change), ["token", "a", "", "crm", "work"]);
        Ok(())
    });
}

async fn noted(kept: &Kept, note: AuditNote, kind: EventKind) -> Result<AuditChange, Error> {
    assert_eq!(kept.org.note(&[note]).await?, 1);
    last(kept, kind).await
}
