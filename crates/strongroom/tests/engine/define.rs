//! `Org::define` and `Org::delete_definition`: which definitions there are.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{account, id, org_id, org_of, text, vault, with_clock, with_org, workflow};
use strongroom::{
    DefinitionFilter, DefinitionId, Environment, Error, Expected, Invalid, PageRequest, Revision, Scope,
    ScopeKind, ScopePath, Scopes, VarFormat, VariableDefinition, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_definition_reads_back_as_it_was_written() {
    with_clock(async |org, clock| {
        clock.set(7);
        let written = text("REGION").required().default_value("eu").description("where").author("ann");
        let id = org.define(written.clone().scopes(Scopes::only(ScopeKind::Org))).await?;
        let stored = org.definition(id).await?.unwrap();
        assert_eq!(stored.definition, written.scopes(Scopes::only(ScopeKind::Org)));
        assert_eq!((stored.id, stored.created_by.as_deref()), (id, Some("ann")));
        assert_eq!((stored.created_at.as_ms(), stored.updated_at.as_ms()), (7, 7));
        Ok(())
    });
}

#[test]
fn a_definition_is_found_by_name_and_by_id_alike() {
    with_org(async |org| {
        let id = org.define(text("A")).await?;
        assert_eq!(org.definition("A").await?, org.definition(id).await?);
        Ok(())
    });
}

#[test]
fn what_is_not_defined_is_absent() {
    with_org(async |org| {
        assert_eq!(org.definition("A").await?, None);
        assert_eq!(org.definition(id::<DefinitionId>("000000000000000000000000")).await?, None);
        Ok(())
    });
}

#[test]
fn a_taken_name_answers_the_id_that_has_it() {
    with_org(async |org| {
        let first = org.define(text("A")).await?;
        let clash = org.define(VariableDefinition::new("A", VarFormat::Url)).await;
        assert!(matches!(clash, Err(Error::DefinitionExists(taken)) if taken == first));
        Ok(())
    });
}

#[test]
fn names_that_differ_in_case_or_in_normal_form_are_different() {
    with_org(async |org| {
        for name in ["name", "NAME", " name", "\u{e9}", "e\u{301}", "a/b", "..."] {
            org.define(text(name)).await?;
        }
        assert_eq!(org.count_definitions(&DefinitionFilter::all()).await?, 7);
        Ok(())
    });
}

#[test]
fn a_name_out_of_its_rule_is_refused() {
    with_org(async |org| {
        let long = "x".repeat(257);
        for name in ["", ".", "..", "a\0", "a\n", "\u{7f}", "\u{85}", long.as_str()] {
            assert!(matches!(org.define(text(name)).await, Err(Error::Invalid(Invalid::Id(_)))), "{name:?}");
        }
        org.define(text(&"x".repeat(256))).await?;
        Ok(())
    });
}

#[test]
fn an_encrypted_definition_has_no_default() {
    with_org(async |org| {
        let refused = org.define(text("A").encrypted().default_value("x")).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Definition { .. }))));
        assert_eq!(org.definition("A").await?, None);
        Ok(())
    });
}

#[test]
fn a_default_must_have_the_format() {
    with_org(async |org| {
        let port = VariableDefinition::new("PORT", VarFormat::Integer);
        let refused = org.define(port.clone().default_value("http")).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Default { .. }))));
        org.define(port.default_value("80")).await?;
        Ok(())
    });
}

#[test]
fn a_definition_allows_all_three_scopes_unless_narrowed() {
    with_org(async |org| {
        org.define(text("WIDE")).await?;
        for scope in [Scope::Org, account("a"), workflow("w")] {
            org.set_value("WIDE", scope, "x").await?;
        }
        Ok(())
    });
}

#[test]
fn a_value_at_another_scope_than_the_allowed_is_refused() {
    with_org(async |org| {
        for allowed in ScopeKind::ALL {
            let id = org.define(text(allowed.as_str()).scopes(Scopes::only(allowed))).await?;
            for scope in [Scope::Org, account("a"), workflow("w")] {
                let kind = scope.kind();
                match org.set_value(id, scope, "x").await {
                    Ok(_) => assert_eq!(kind, allowed),
                    Err(Error::ScopeNotAllowed { definition, scope, .. }) => {
                        assert_eq!((definition, scope == kind, kind == allowed), (id, true, false));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_definition_belongs_to_one_org_and_environment() {
    crate::common::run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let id = org_of(&vault).define(text("A")).await?;
        let elsewhere = [
            vault.org(org_id(), Environment::production()),
            vault.org(org_id(), "test2".parse()?),
            vault.org("6500a1b2c3d4e5f6a7b8c9d1".parse()?, Environment::test()),
        ];
        for org in elsewhere {
            assert_eq!(org.definition(id).await?, None);
            assert_eq!(org.definition("A").await?, None);
            assert!(
                org.definitions(&DefinitionFilter::all(), PageRequest::default()).await?.items.is_empty()
            );
            assert_ne!(org.define(text("A")).await?, id);
        }
        Ok(())
    });
}

#[test]
fn a_deleted_definition_takes_its_values_of_every_scope_along() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let mut ids = Vec::new();
        for scope in [Scope::Org, account("a"), account("b"), workflow("w")] {
            ids.push(org.set_value("A", scope, "x").await?.id);
        }
        org.delete_definition("A").await?;
        org.define(text("A")).await?;
        for scope in [Scope::Org, account("a"), account("b"), workflow("w")] {
            assert!(org.value("A", &scope).await?.is_none());
            assert!(org.values(&scope, PageRequest::default()).await?.items.is_empty());
        }
        for id in ids {
            assert!(org.value_by_id(&id).await?.is_none());
        }
        Ok(())
    });
}

#[test]
fn more_values_than_one_batch_holds_go_with_their_definition() {
    crate::common::with_small_store(async |org| {
        org.define(text("A")).await?;
        let scopes: Vec<_> = (0..70).map(|number| account(&format!("user_{number}"))).collect();
        let mut ids = Vec::new();
        for scope in &scopes {
            ids.push(org.set_value("A", scope, "x").await?.id);
        }
        org.delete_definition("A").await?;
        for id in ids {
            assert!(org.value_by_id(&id).await?.is_none());
        }
        Ok(())
    });
}

#[test]
fn a_deleted_definition_is_unknown_to_every_verb() {
    with_org(async |org| {
        let id = org.define(text("A").default_value("x")).await?;
        org.delete_definition(id).await?;
        let path = ScopePath::org();
        let lost = [
            org.set_value(id, Scope::Org, "x").await.err(),
            org.value(id, Scope::Org).await.err(),
            org.delete_value(id, Scope::Org).await.err(),
            org.resolve(id, &path).await.err(),
            org.explain(id, &path).await.err(),
            org.validate(id, Scope::Org, "x").await.err(),
            org.delete_definition(id).await.err(),
            org.update_definition(id, Default::default()).await.err(),
        ];
        assert!(lost.iter().all(|error| matches!(error, Some(Error::DefinitionNotFound(_)))), "{lost:?}");
        assert!(org.resolve_all(&path).await?.values.is_empty());
        Ok(())
    });
}

#[test]
fn the_name_of_a_deleted_definition_is_free() {
    with_org(async |org| {
        let first = org.define(text("A")).await?;
        org.delete_definition("A").await?;
        assert_ne!(org.define(text("A")).await?, first);
        Ok(())
    });
}

#[test]
fn a_delete_that_expects_another_revision_changes_nothing() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let never = WriteOptions::expecting(Expected::Revision(Revision::from_u64(99)));
        assert!(matches!(org.delete_definition_with("A", never).await, Err(Error::Unexpected { .. })));
        let standing = org.definition("A").await?.unwrap().revision;
        let current = WriteOptions::expecting(Expected::Revision(standing));
        org.delete_definition_with("A", current).await?;
        Ok(())
    });
}
