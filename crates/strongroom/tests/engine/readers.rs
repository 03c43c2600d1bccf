//! Handles that only read, and paths that must be known.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use strongroom::{
    Error, FormatChange, IntegrationId, NewCredential, OnMismatch, PageRequest, Scope, ScopePath, Timestamp,
    VarFormat,
};

use crate::common::{account, id, text, with_org, workflow};

#[test]
fn a_reader_knows_its_path_and_its_names_alone_and_never_comes_to_know_more() {
    with_org(async |org| {
        for name in ["A", "B", "C"] {
            org.define(text(name)).await?;
            org.set_value(name, Scope::Org, "of the org").await?;
        }
        org.define(text("D").required()).await?;
        org.set_value("A", account("a"), "of a").await?;
        let run = org.reader(ScopePath::org().linked_account(id("a")));
        assert_eq!(run.resolve("A").await?.unwrap().value.expose(), "of a");
        let narrow = run.only(["A", "B"]);
        let all = narrow.only(["B", "C"]);
        for (reader, names) in [(&run, "ABC"), (&narrow, "AB"), (&all, "B")] {
            let found = reader.resolve_all().await?;
            let found: String = found.iter().map(|found| found.name.as_str()).collect();
            assert_eq!(found, names);
            let traced = reader.explain_all().await?;
            assert!(traced.iter().all(|trace| names.contains(&trace.name) || trace.name == "D"));
        }
        assert!(narrow.resolve_all().await?.missing_required.is_empty());
        let hidden = (all.resolve("A").await, all.explain("A").await);
        assert!(matches!(hidden, (Err(Error::DefinitionNotFound(_)), Err(Error::DefinitionNotFound(_)))));
        Ok(())
    });
}

#[test]
fn a_viewer_reads_what_its_account_has_under_its_names() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.define(text("B")).await?;
        let owner = org.create_account(id("a")).with_default_app().await?.bound().await?;
        owner.set_value("A", "1").await?;
        owner.set_value("B", "2").await?;
        owner.upsert_credential("k", "3").await?;
        let (viewer, app) = (owner.viewer().only(["A", "k"]), IntegrationId::default_app);
        assert_eq!(viewer.value("A").await?.unwrap().value.expose(), "1");
        assert!(matches!(viewer.value("B").await, Err(Error::DefinitionNotFound(_))));
        let page = viewer.values(PageRequest::first(1)).await?;
        assert_eq!(page.items.iter().map(|found| found.value.expose()).collect::<Vec<_>>(), ["1"]);
        assert!(page.next.is_none(), "it would say that there are others");
        assert_eq!(viewer.credential(app(), "k").await?.unwrap().value.expose(), "3");
        assert!(viewer.only(["A"]).credential(app(), "k").await?.is_none());
        assert_eq!(viewer.credentials(app(), PageRequest::default()).await?.items.len(), 1);
        assert!(viewer.only(["A"]).credentials(app(), PageRequest::default()).await?.items.is_empty());
        org.delete_account(&id("a")).await?;
        assert!(matches!(viewer.value("A").await, Err(Error::AccountNotFound(_))));
        let listed = viewer.values(PageRequest::default()).await;
        assert!(matches!(listed, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_handle_that_is_left_without_any_name_knows_none() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        let run = org.reader(ScopePath::org());
        for nothing in [run.only([""; 0]), run.only(["A"]).only(["B"])] {
            assert!(nothing.resolve_all().await?.values.is_empty());
            assert!(nothing.explain_all().await?.is_empty());
            assert!(matches!(nothing.resolve("A").await, Err(Error::DefinitionNotFound(_))));
        }
        Ok(())
    });
}

#[test]
fn a_viewer_reads_the_credentials_of_a_connection_under_its_names_too() {
    with_org(async |org| {
        let owner = org.create_account(id("a")).await?;
        owner.add_connection(&id("crm"), &id("work")).await?;
        let app = owner.app(id("crm")).connection(id("work"));
        app.set_many(&[NewCredential::new("known", "1"), NewCredential::new("hidden", "2")]).await?;
        let viewer = owner.viewer().only(["known"]);
        let known = viewer.connection_credential(id("crm"), id("work"), "known").await?;
        assert_eq!(known.unwrap().value.expose(), "1");
        assert!(viewer.connection_credential(id("crm"), id("work"), "hidden").await?.is_none());
        let page = PageRequest::default();
        let listed = viewer.connection_credentials(id("crm"), id("work"), page).await?.items;
        assert_eq!(listed.iter().map(|info| info.key_name.as_str()).collect::<Vec<_>>(), ["known"]);
        Ok(())
    });
}

#[test]
fn a_name_that_a_viewer_does_not_know_is_asked_for_as_one_that_is_not_there() {
    with_org(async |org| {
        let owner = org.create_account(id("a")).with_default_app().await?.bound().await?;
        owner.upsert_credential("hidden", "x").await?;
        let viewer = owner.viewer().only(["known"]);
        for name in ["known", "hidden"] {
            assert!(viewer.credential(IntegrationId::default_app(), name).await?.is_none());
            let missing = viewer.credential(id("crm"), name).await;
            assert!(matches!(missing, Err(Error::IntegrationNotFound { .. })), "{name}");
        }
        org.delete_account(&id("a")).await?;
        for name in ["known", "hidden"] {
            let ended = viewer.credential(IntegrationId::default_app(), name).await;
            assert!(matches!(ended, Err(Error::AccountNotFound(_))), "{name}");
        }
        Ok(())
    });
}

#[test]
fn the_cursors_of_a_viewer_name_no_credential_that_it_does_not_know() {
    with_org(async |org| {
        let owner = org.create_account(id("a")).with_default_app().await?;
        for name in ["a", "b_hidden", "c", "d_hidden", "e_hidden"] {
            owner.upsert_credential(name, "x").await?;
        }
        let (viewer, mut page, mut found) = (owner.viewer().only(["a", "c"]), PageRequest::first(1), vec![]);
        loop {
            let read = viewer.credentials(IntegrationId::default_app(), page).await?;
            found.extend(read.items.into_iter().map(|one| one.key_name.to_string()));
            let Some(next) = read.next else { break };
            let cursor = String::from_utf8_lossy(&hex::decode(next.to_string()).unwrap()).into_owned();
            assert!(!cursor.contains("hidden"), "{cursor}");
            page = PageRequest::first(1).after(next);
        }
        assert_eq!(found, ["a", "c"]);
        Ok(())
    });
}

#[test]
fn what_a_viewer_does_not_know_moves_nothing_that_it_is_shown() {
    with_org(async |org| {
        let owner = org.create_account(id("a")).with_default_app().await?;
        owner.upsert_credential("known", "x").await?;
        let (viewer, app) = (owner.viewer().only(["known"]), IntegrationId::default_app);
        let before = (viewer.profile().await?, viewer.credentials(app(), PageRequest::first(1)).await?);
        owner.upsert_credential("hidden", "x").await?;
        owner.upsert_credential("z_hidden", "x").await?;
        let after = (viewer.profile().await?, viewer.credentials(app(), PageRequest::first(1)).await?);
        assert_eq!(after.0, before.0);
        assert_eq!((after.1.items, after.1.next), (before.1.items, before.1.next));
        Ok(())
    });
}

#[test]
fn a_page_of_a_viewer_is_as_full_as_if_there_were_nothing_else() {
    with_org(async |org| {
        let owner = org.create_account(id("a")).with_default_app().await?;
        for name in ["a", "b_hidden", "c", "d_hidden", "e_hidden", "f", "g", "h_hidden"] {
            owner.upsert_credential(name, "x").await?;
        }
        let (viewer, app) = (owner.viewer().only(["a", "c", "f", "g"]), IntegrationId::default_app);
        let first = viewer.credentials(app(), PageRequest::first(2)).await?;
        assert_eq!(first.items.len(), 2);
        let rest = viewer.credentials(app(), PageRequest::first(2).after(first.next.unwrap())).await?;
        assert_eq!((rest.items.len(), rest.next), (2, None), "nothing follows that it knows");
        Ok(())
    });
}

#[test]
fn a_strict_path_refuses_an_account_that_is_not_registered_and_a_workflow_without_values() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        org.create_account(id("a")).await?;
        org.set_value("A", workflow("w"), "of w").await?;
        let path = |account: &str, workflow: &str| {
            ScopePath::org().linked_account(id(account)).workflow(id(workflow)).strict()
        };
        assert_eq!(org.resolve("A", &path("a", "w")).await?.unwrap().value.expose(), "of w");
        let (typo, other) = (path("b", "w"), path("a", "v"));
        assert!(matches!(org.resolve("A", &typo).await, Err(Error::AccountNotFound(_))));
        assert!(matches!(org.resolve_all(&typo).await, Err(Error::AccountNotFound(_))));
        assert!(matches!(org.explain("A", &other).await, Err(Error::WorkflowUnknown(_))));
        assert!(matches!(org.explain_all(&other).await, Err(Error::WorkflowUnknown(_))));
        org.delete_account(&id("a")).await?;
        assert!(matches!(org.resolve("A", &path("a", "w")).await, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn a_path_that_is_strict_about_its_account_alone_takes_any_workflow() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        org.create_account(id("a")).await?;
        let path = |account: &str| ScopePath::org().linked_account(id(account)).strict_account();
        for known in [path("a"), path("a").workflow(id("without_values")), ScopePath::org().strict_account()]
        {
            assert!(org.resolve("A", &known).await?.is_some());
            assert_eq!(org.resolve_all(&known).await?.values.len(), 1);
        }
        for typo in [path("b"), path("b").workflow(id("w"))] {
            assert!(matches!(org.resolve("A", &typo).await, Err(Error::AccountNotFound(_))));
            assert!(matches!(org.resolve_all(&typo).await, Err(Error::AccountNotFound(_))));
            assert!(matches!(org.explain("A", &typo).await, Err(Error::AccountNotFound(_))));
            assert!(matches!(org.reader(typo).explain_all().await, Err(Error::AccountNotFound(_))));
        }
        let both = path("a").strict().strict_account().workflow(id("without_values"));
        assert!(matches!(org.resolve("A", &both).await, Err(Error::WorkflowUnknown(_))));
        Ok(())
    });
}

#[test]
fn a_strict_path_is_strict_about_an_earlier_moment_too() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        let then = Timestamp::from_ms(4_000_000_000_000);
        let typo = || ScopePath::org().linked_account(id("b"));
        assert!(org.resolve_at("A", &typo(), then).await?.is_some());
        assert!(matches!(org.resolve_at("A", &typo().strict(), then).await, Err(Error::AccountNotFound(_))));
        let all = org.resolve_all_at(&typo().strict_account(), then).await;
        assert!(matches!(all, Err(Error::AccountNotFound(_))));
        Ok(())
    });
}

#[test]
fn all_definitions_are_explained_as_each_one_is() {
    with_org(async |org| {
        for (name, default) in [("A", None), ("B", Some("x")), ("C", None)] {
            let definition = text(name);
            org.define(default.map_or(definition.clone(), |default| definition.default_value(default)))
                .await?;
        }
        for scope in [Scope::Org, account("a"), workflow("w")] {
            org.set_value("A", &scope, "text").await?;
        }
        org.set_value("B", account("a"), "1").await?;
        org.change_format("A", &FormatChange::to(VarFormat::Integer), OnMismatch::Grandfather).await?;
        let path = ScopePath::org().linked_account(id("a")).workflow(id("w"));
        let mut each = Vec::new();
        for name in ["A", "B", "C"] {
            each.push(org.explain(name, &path).await?);
        }
        assert!(each[0].steps[0].grandfathered);
        assert_eq!(org.explain_all(&path).await?, each);
        Ok(())
    });
}
