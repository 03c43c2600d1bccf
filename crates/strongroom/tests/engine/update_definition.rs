//! `Org::update_definition`: what may change of a definition, and when.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{FailingStore, account, id, org_of, run, text, vault, with_clock, with_org, workflow};
use crate::rig::Paged;
use strongroom::store::StoreErrorKind;
use strongroom::{
    DefinitionChange, Error, Expected, Invalid, Org, Scope, ScopeKind, ScopePath, Scopes, VarFormat,
    VariableDefinition, VaultOptions, WriteOptions,
};

#[test]
fn what_is_not_named_stays() {
    with_org(async |org| {
        let before = text("A").required().default_value("x").description("d");
        org.define(before.clone()).await?;
        let after = org.update_definition("A", DefinitionChange::new().description("other")).await?;
        assert_eq!(after.definition, before.description("other"));
        Ok(())
    });
}

#[test]
fn what_is_taken_away_is_gone() {
    with_org(async |org| {
        org.define(text("A").required().default_value("x").description("d")).await?;
        let change = DefinitionChange::new().optional().no_default_value().no_description();
        assert_eq!(org.update_definition("A", change).await?.definition, text("A"));
        Ok(())
    });
}

#[test]
fn an_update_keeps_id_and_creation_and_changes_the_revision() {
    with_clock(async |org, clock| {
        let id = org.define(text("A").author("ann")).await?;
        let before = org.definition(id).await?.unwrap();
        clock.set(9_000);
        let after = org.update_definition("A", DefinitionChange::new().required().author("bob")).await?;
        assert_eq!(
            (after.id, after.created_at, after.created_by),
            (id, before.created_at, before.created_by)
        );
        assert_eq!((after.updated_at.as_ms(), after.definition.author.as_deref()), (9_000, Some("bob")));
        assert_ne!(after.revision, before.revision);
        assert_eq!(org.definition("A").await?.unwrap().revision, after.revision);
        Ok(())
    });
}

#[test]
fn a_rename_keeps_the_id_and_the_values() {
    with_org(async |org| {
        let id = org.define(text("OLD")).await?;
        let written = org.set_value("OLD", Scope::Org, "x").await?;
        let renamed = org.update_definition("OLD", DefinitionChange::new().name("NEW")).await?;
        let value = org.value("NEW", Scope::Org).await?.unwrap();
        assert_eq!((renamed.id, value.id, value.revision), (id, written.id, written.revision));
        assert_eq!(org.resolve("NEW", &ScopePath::org()).await?.unwrap().value.expose(), "x");
        Ok(())
    });
}

#[test]
fn the_old_name_becomes_free() {
    with_org(async |org| {
        let renamed = org.define(text("OLD")).await?;
        org.set_value("OLD", Scope::Org, "x").await?;
        org.update_definition("OLD", DefinitionChange::new().name("NEW")).await?;
        assert!(matches!(org.value("OLD", Scope::Org).await, Err(Error::DefinitionNotFound(_))));
        assert_ne!(org.define(text("OLD")).await?, renamed);
        assert!(org.value("OLD", Scope::Org).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_rename_to_a_taken_name_answers_the_id_that_has_it() {
    with_org(async |org| {
        let taken = org.define(text("A")).await?;
        org.define(text("B")).await?;
        let clash = org.update_definition("B", DefinitionChange::new().name("A")).await;
        assert!(matches!(clash, Err(Error::DefinitionExists(id)) if id == taken));
        assert!(org.definition("B").await?.is_some());
        Ok(())
    });
}

#[test]
fn a_rename_to_its_own_name_changes_no_name() {
    with_org(async |org| {
        let id = org.define(text("A")).await?;
        org.update_definition("A", DefinitionChange::new().name("A")).await?;
        assert_eq!(org.definition("A").await?.unwrap().id, id);
        Ok(())
    });
}

#[test]
fn encrypted_can_be_set_and_never_cleared() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.update_definition("A", DefinitionChange::new().encrypted()).await?;
        let later = org.update_definition("A", DefinitionChange::new().required()).await?;
        assert!(later.definition.encrypted);
        Ok(())
    });
}

#[test]
fn a_definition_with_a_default_is_not_encrypted_until_the_default_goes() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        let refused = org.update_definition("A", DefinitionChange::new().encrypted()).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Definition { .. }))));
        org.update_definition("A", DefinitionChange::new().encrypted().no_default_value()).await?;
        let refused = org.update_definition("A", DefinitionChange::new().default_value("x")).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Definition { .. }))));
        Ok(())
    });
}

#[test]
fn a_new_default_must_have_the_format() {
    with_org(async |org| {
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let refused = org.update_definition("PORT", DefinitionChange::new().default_value("http")).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Default { .. }))));
        Ok(())
    });
}

#[test]
fn a_scope_is_removed_only_when_no_value_stands_there() {
    for scope in [Scope::Org, account("a"), workflow("w")] {
        with_org(async |org| {
            let id = org.define(text("A")).await?;
            org.set_value("A", &scope, "x").await?;
            let in_use = narrow_from(&org, scope.kind()).await;
            assert!(matches!(in_use, Err(Error::ScopeInUse { definition, scope: at })
                if definition == id && at == scope));
            org.delete_value("A", &scope).await?;
            narrow_from(&org, scope.kind()).await?;
            let refused = org.set_value("A", &scope, "x").await;
            assert!(matches!(refused, Err(Error::ScopeNotAllowed { .. })));
            Ok(())
        });
    }
}

#[test]
fn of_scopes_that_are_removed_together_none_may_hold_a_value() {
    for scope in [account("a"), workflow("w")] {
        with_clock(async |org, clock| {
            org.define(text("A")).await?;
            org.set_value("A", &scope, "x").await?;
            // Long before the scopes are removed.
            clock.set(3_600_000);
            let org_only = DefinitionChange::new().scopes(Scopes::only(ScopeKind::Org));
            let in_use = org.update_definition("A", org_only).await;
            assert!(matches!(in_use, Err(Error::ScopeInUse { scope: at, .. }) if at == scope));
            Ok(())
        });
    }
}

#[test]
fn a_value_whose_account_is_gone_does_not_hold_its_scope() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        org.set_value("A", account("a"), "x").await?;
        store.fail_after(1, StoreErrorKind::Unavailable);
        // The first batch drops the account's keys; the rows wait for a sweep.
        org.delete_account(&id("a")).await.unwrap_err();
        store.recover();
        narrow_from(&org, ScopeKind::LinkedAccount).await?;
        Ok(())
    });
}

#[test]
fn a_value_behind_one_whose_account_is_gone_holds_its_scope() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let org = org_of(&vault(Arc::clone(&store), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        for scope in [account("a"), account("b")] {
            org.set_value("A", scope, "x").await?;
        }
        store.fail_after(1, StoreErrorKind::Unavailable);
        org.delete_account(&id("a")).await.unwrap_err();
        store.recover();
        let in_use = narrow_from(&org, ScopeKind::LinkedAccount).await;
        assert!(matches!(in_use, Err(Error::ScopeInUse { scope, .. }) if scope == account("b")));
        Ok(())
    });
}

#[test]
fn a_value_on_a_later_page_of_the_index_holds_its_scope() {
    run(async {
        let store = Arc::new(FailingStore::default());
        let org = org_of(&vault(Paged::of(Arc::clone(&store), 1), VaultOptions::default()).await?);
        org.define(text("A")).await?;
        for scope in [account("a"), account("b")] {
            org.set_value("A", scope, "x").await?;
        }
        store.fail_after(1, StoreErrorKind::Unavailable);
        org.delete_account(&id("a")).await.unwrap_err();
        store.recover();
        let in_use = narrow_from(&org, ScopeKind::LinkedAccount).await;
        assert!(matches!(in_use, Err(Error::ScopeInUse { scope, .. }) if scope == account("b")));
        Ok(())
    });
}

#[test]
fn a_scope_is_removed_while_values_stand_at_others() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.set_value("A", account("a"), "x").await?;
        narrow_from(&org, ScopeKind::Workflow).await?;
        assert!(org.value("A", &account("a")).await?.is_some());
        Ok(())
    });
}

#[test]
fn a_scope_can_be_given_back() {
    with_org(async |org| {
        org.define(text("A").scopes(Scopes::only(ScopeKind::Org))).await?;
        org.update_definition("A", DefinitionChange::new().scopes(Scopes::ALL)).await?;
        org.set_value("A", workflow("w"), "x").await?;
        Ok(())
    });
}

#[test]
fn an_update_that_expects_another_revision_changes_nothing() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let first = org.definition("A").await?.unwrap().revision;
        let expecting = || WriteOptions::expecting(Expected::Revision(first));
        org.update_definition_with("A", DefinitionChange::new().required(), expecting()).await?;
        let late = org.update_definition_with("A", DefinitionChange::new().optional(), expecting()).await;
        assert!(matches!(late, Err(Error::Unexpected { found: Some(found) }) if found != first));
        assert!(org.definition("A").await?.unwrap().definition.required);
        Ok(())
    });
}

/// Allows the definition `A` everywhere but at one kind of scope.
async fn narrow_from(org: &Org, kind: ScopeKind) -> Result<(), Error> {
    let mut rest = ScopeKind::ALL.into_iter().filter(|other| *other != kind);
    let first = Scopes::only(rest.next().unwrap());
    let narrow = rest.fold(first, Scopes::and);
    org.update_definition("A", DefinitionChange::new().scopes(narrow)).await.map(|_| ())
}
