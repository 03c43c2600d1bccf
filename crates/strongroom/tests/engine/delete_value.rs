//! `Org::delete_value` and `delete_value_by_id`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{account, exposed, text, with_org, workflow};
use strongroom::{DocumentId, Error, Expected, PageRequest, Revision, Scope, ScopePath, WriteOptions};

#[test]
fn a_deleted_value_is_gone_for_every_reader() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let id = org.set_value("A", Scope::Org, "x").await?.id;
        org.delete_value("A", Scope::Org).await?;
        assert!(org.value("A", Scope::Org).await?.is_none());
        assert!(org.value_by_id(&id).await?.is_none());
        assert!(org.values(Scope::Org, PageRequest::default()).await?.items.is_empty());
        assert!(org.resolve("A", &ScopePath::org()).await?.is_none());
        assert!(org.resolve_all(&ScopePath::org()).await?.values.is_empty());
        assert!(org.explain("A", &ScopePath::org()).await?.winner().is_none());
        Ok(())
    });
}

#[test]
fn a_delete_answers_what_it_deleted_and_none_where_nothing_stood() {
    with_org(async |org| {
        let definition = org.define(text("A")).await?;
        let id = org.set_value("A", workflow("w"), "x").await?.id;
        let deleted = org.delete_value("A", &workflow("w")).await?.unwrap();
        assert_eq!((deleted.id, deleted.definition_id), (Some(id), definition));
        assert_eq!((deleted.scope, deleted.damaged), (workflow("w"), false));
        assert!(org.delete_value("A", &workflow("w")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_delete_leaves_the_other_scopes() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for scope in [Scope::Org, account("a"), account("aa"), workflow("a")] {
            org.set_value("A", scope, "x").await?;
        }
        org.delete_value("A", &account("a")).await?;
        for scope in [Scope::Org, account("aa"), workflow("a")] {
            assert_eq!(exposed(org.value("A", &scope).await?.as_ref()), Some("x"));
        }
        Ok(())
    });
}

#[test]
fn a_delete_by_id_deletes_that_document_alone() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let first = org.set_value("A", account("a"), "x").await?.id;
        assert_eq!(org.delete_value_by_id(&first).await?.map(|deleted| deleted.scope), Some(account("a")));
        org.set_value("A", account("a"), "y").await?;
        assert!(org.delete_value_by_id(&first).await?.is_none());
        assert_eq!(exposed(org.value("A", &account("a")).await?.as_ref()), Some("y"));
        Ok(())
    });
}

#[test]
fn a_delete_by_an_unknown_id_deletes_nothing() {
    with_org(async |org| {
        let never: DocumentId = "000000000000000000000000".parse()?;
        assert!(org.delete_value_by_id(&never).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_delete_that_expects_another_state_changes_nothing() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let standing = org.set_value("A", Scope::Org, "x").await?.revision;
        for expected in [Expected::Absent, Expected::Revision(Revision::from_u64(u64::MAX))] {
            let options = WriteOptions::expecting(expected);
            let refused = org.delete_value_with("A", Scope::Org, options).await;
            assert!(matches!(refused, Err(Error::Unexpected { found }) if found == Some(standing)));
        }
        let current = WriteOptions::expecting(Expected::Revision(standing));
        assert!(org.delete_value_with("A", Scope::Org, current).await?.is_some());
        Ok(())
    });
}

#[test]
fn a_delete_that_expects_a_revision_where_nothing_stands_is_refused() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let gone = org.set_value("A", Scope::Org, "x").await?.revision;
        org.delete_value("A", Scope::Org).await?;
        let options = WriteOptions::expecting(Expected::Revision(gone));
        let refused = org.delete_value_with("A", Scope::Org, options).await;
        assert!(matches!(refused, Err(Error::Unexpected { found: None })));
        Ok(())
    });
}
