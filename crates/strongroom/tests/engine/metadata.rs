//! What is said about a version of a value, credential or definition.

use strongroom::{
    Actor, Error, IntegrationId, Metadata, NewCredential, NewValue, PageRequest, Scope, ScopePath, Timestamp,
    WriteOptions,
};

use crate::common::{id, text, with_clock, with_org};

#[test]
fn a_value_shows_who_set_it_and_why_until_it_is_set_again() {
    with_org(async |org| {
        org.define(text("URL")).await?;
        let alice = org.acting_as(id::<Actor>("user:alice").in_request(id("r1")));
        let options = WriteOptions::default().note("moved").label("b").label("a");
        alice.set_value_with("URL", Scope::Org, "1", options).await?;
        let metadata = org.value("URL", Scope::Org).await?.unwrap().metadata;
        assert_eq!(said(&metadata), (Some("user:alice"), Some("r1"), Some("moved"), vec!["a", "b"]));
        let listed = org.values(Scope::Org, PageRequest::first(1)).await?.items;
        assert_eq!(listed[0].metadata, metadata);

        org.set_value("URL", Scope::Org, "2").await?;
        assert!(org.value("URL", Scope::Org).await?.unwrap().metadata.is_empty());
        Ok(())
    });
}

#[test]
fn whoever_the_write_names_comes_before_the_actor_of_the_handle() {
    with_org(async |org| {
        org.define(text("URL")).await?;
        let alice = org.acting_as(id::<Actor>("user:alice").in_request(id("r1")));
        let values = [NewValue::new("URL", Scope::Org, "1")];
        alice.set_values_with(&values, WriteOptions::default().by(id("user:bob"))).await?;
        let metadata = org.value("URL", Scope::Org).await?.unwrap().metadata;
        assert_eq!(said(&metadata), (Some("user:bob"), None, None, vec![]));
        Ok(())
    });
}

#[test]
fn handles_of_accounts_and_apps_act_for_the_actor_of_their_org() {
    with_org(async |org| {
        org.define(text("URL")).await?;
        org.create_account(id("user_1")).with_default_app().await?;
        let account = org.acting_as(id("user:alice")).account(id("user_1"));
        account.set_value("URL", "1").await?;
        account.upsert_credential("token", "t").await?;
        assert_eq!(account.value("URL").await?.unwrap().metadata.author(), Some("user:alice"));
        let app = org.account(id("user_1")).app(IntegrationId::default_app());
        assert_eq!(app.list(PageRequest::first(1)).await?.items[0].metadata.author(), Some("user:alice"));
        Ok(())
    });
}

#[test]
fn explain_shows_who_set_each_value() {
    with_org(async |org| {
        org.define(text("URL").default_value("0")).await?;
        let (alice, bob) = (org.acting_as(id("user:alice")), org.acting_as(id("user:bob")));
        alice.set_value("URL", Scope::Org, "1").await?;
        bob.set_value("URL", Scope::Workflow(id("w")), "2").await?;
        let trace = org.explain("URL", &ScopePath::org().workflow(id("w"))).await?;
        let authors: Vec<_> = trace.steps.iter().map(|step| step.metadata.author()).collect();
        assert_eq!(authors, [Some("user:bob"), Some("user:alice"), None]);
        Ok(())
    });
}

#[test]
fn a_definition_keeps_the_note_of_its_last_change_only() {
    with_org(async |org| {
        let noted = |note: &str| WriteOptions::default().by(id("user:alice")).note(note).label("l");
        org.define_with(text("URL"), noted("new")).await?;
        let stored = org.definition("URL").await?.unwrap();
        assert_eq!(said(&stored.metadata), (Some("user:alice"), None, Some("new"), vec!["l"]));
        assert_eq!(stored.created_by.as_deref(), Some("user:alice"));
        let changed = org.update_definition("URL", strongroom::DefinitionChange::new().required()).await?;
        assert!(changed.metadata.is_empty());
        assert_eq!(org.definition("URL").await?.unwrap(), changed);
        Ok(())
    });
}

#[test]
fn a_credential_expires_in_the_future_only() {
    with_clock(async |org, clock| {
        clock.set(1_000);
        let account = org.create_account(id("user_1")).with_default_app().await?;
        let app = account.app(IntegrationId::default_app());
        let at = |ms| WriteOptions::default().expires_at(Timestamp::from_ms(ms));
        for past in [0, 1_000] {
            let refused = app.upsert_with("token", "t", at(past)).await;
            assert!(matches!(refused, Err(Error::InvalidMetadata(_))));
        }
        assert!(app.get("token").await?.is_none());
        app.upsert_with("token", "t", at(1_001)).await?;
        let info = app.get("token").await?.unwrap().info;
        assert_eq!(info.metadata.expires_at(), Some(Timestamp::from_ms(1_001)));
        app.upsert("token", "t").await?;
        assert!(app.get("token").await?.unwrap().info.metadata.is_empty());
        Ok(())
    });
}

#[test]
fn when_a_credential_itself_expires_comes_before_when_all_of_its_write_do() {
    with_org(async |org| {
        let account = org.create_account(id("user_1")).with_default_app().await?;
        let app = account.app(IntegrationId::default_app());
        let [soon, later] = [4_000_000_000_000, 5_000_000_000_000].map(Timestamp::from_ms);
        let new = [NewCredential::new("access", "a").expires_at(soon), NewCredential::new("refresh", "r")];
        app.set_many_with(&new, WriteOptions::default().expires_at(later)).await?;
        let all = app.get_all().await?;
        let expiries: Vec<_> = all.items.iter().map(|item| item.info.metadata.expires_at()).collect();
        assert_eq!(expiries, [Some(soon), Some(later)]);
        Ok(())
    });
}

#[test]
fn values_definitions_and_records_do_not_expire() {
    with_org(async |org| {
        org.define(text("URL")).await?;
        let expiring = || WriteOptions::default().expires_at(Timestamp::from_ms(u64::MAX));
        let set = org.set_value_with("URL", Scope::Org, "1", expiring()).await.map(drop);
        let define = org.define_with(text("OTHER"), expiring()).await.map(drop);
        let put = org.records(id("n")).put_with(&id("k"), "1", expiring()).await.map(drop);
        for refused in [set, define, put] {
            assert!(matches!(refused, Err(Error::InvalidMetadata(_))));
        }
        Ok(())
    });
}

#[test]
fn notes_and_labels_are_bounded() {
    with_org(async |org| {
        org.define(text("URL")).await?;
        let set = async |options| org.set_value_with("URL", Scope::Org, "1", options).await.map(drop);
        let note = |len| WriteOptions::default().note("x".repeat(len));
        let labels = |count: u8, len| {
            (0..count).fold(WriteOptions::default(), |options, n| {
                options.label(char::from(b'a' + n).to_string().repeat(len))
            })
        };
        for fits in [note(512), labels(16, 32)] {
            set(fits).await?;
        }
        assert!(matches!(set(note(513)).await, Err(Error::TooLong { max: 512, .. })));
        assert!(matches!(set(labels(16, 33)).await, Err(Error::TooLong { max: 512, .. })));
        for bad in [labels(17, 1), WriteOptions::default().label("")] {
            assert!(matches!(set(bad).await, Err(Error::InvalidMetadata(_))));
        }
        Ok(())
    });
}

fn said(metadata: &Metadata) -> (Option<&str>, Option<&str>, Option<&str>, Vec<&str>) {
    (metadata.author(), metadata.request_id(), metadata.note(), metadata.labels().collect())
}
