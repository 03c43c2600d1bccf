//! `Org::resolve`: which value a run sees, where it was found and what it shadows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{account, id, org_id, org_of, run, text, vault, with_org, workflow};
use strongroom::{
    Environment, Error, Org, Origin, Scope, ScopePath, VarFormat, VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;

fn path() -> ScopePath {
    ScopePath::org().linked_account(id("a")).workflow(id("w"))
}

#[test]
fn the_most_specific_place_wins_and_shadows_the_rest() {
    let places = [
        Origin::Scope(workflow("w")),
        Origin::Scope(account("a")),
        Origin::Scope(Scope::Org),
        Origin::Default,
    ];
    for present in 0..16_u8 {
        let held: Vec<_> = (0..4).filter(|bit| present & (1 << bit) != 0).map(|bit| &places[bit]).collect();
        with_org(async |org| {
            hold(&org, &held).await?;
            let seen = org.resolve("A", &path()).await?;
            let Some((winner, shadowed)) = held.split_first() else {
                assert!(seen.is_none());
                return Ok(());
            };
            let seen = seen.unwrap();
            assert_eq!((&seen.scope, seen.value.expose()), (*winner, winner.to_string().as_str()));
            assert!(seen.shadowed.iter().eq(shadowed.iter().copied()));
            Ok(())
        });
    }
}

#[test]
fn what_stands_outside_of_the_path_is_not_seen() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for scope in [account("other"), workflow("other"), account("w"), workflow("a")] {
            org.set_value("A", scope, "x").await?;
        }
        assert!(org.resolve("A", &path()).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_path_without_an_account_or_a_workflow_skips_them() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for (scope, value) in [(Scope::Org, "org"), (account("a"), "account"), (workflow("w"), "workflow")] {
            org.set_value("A", scope, value).await?;
        }
        let seen = async |path: ScopePath| {
            Ok::<_, Error>(org.resolve("A", &path).await?.map(|seen| seen.value.expose().to_owned()))
        };
        assert_eq!(seen(ScopePath::org()).await?.as_deref(), Some("org"));
        assert_eq!(seen(ScopePath::org().linked_account(id("a"))).await?.as_deref(), Some("account"));
        assert_eq!(seen(ScopePath::org().workflow(id("w"))).await?.as_deref(), Some("workflow"));
        Ok(())
    });
}

#[test]
fn an_empty_value_wins_like_any_other() {
    with_org(async |org| {
        org.define(text("A").default_value("default")).await?;
        org.set_value("A", account("a"), "").await?;
        assert_eq!(org.resolve("A", &path()).await?.unwrap().value.expose(), "");
        Ok(())
    });
}

#[test]
fn the_answer_names_the_document_that_was_found() {
    with_org(async |org| {
        let definition = org.define(text("A").encrypted()).await?;
        let written = org.set_value("A", Scope::Org, "x").await?;
        let seen = org.resolve("A", &path()).await?.unwrap();
        let found = seen.found.unwrap();
        assert_eq!((found.id, found.revision), (written.id, written.revision));
        assert_eq!((seen.definition_id, seen.name.as_str(), seen.encrypted), (definition, "A", true));
        Ok(())
    });
}

#[test]
fn a_default_is_no_document() {
    with_org(async |org| {
        org.define(VariableDefinition::new("PORT", VarFormat::Integer).default_value("80")).await?;
        let seen = org.resolve("PORT", &path()).await?.unwrap();
        assert_eq!((seen.value.expose(), seen.scope, seen.found), ("80", Origin::Default, None));
        Ok(())
    });
}

#[test]
fn nothing_crosses_the_wall_between_environments_and_orgs() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let orgs = [
            org_of(&vault),
            vault.org(org_id(), Environment::production()),
            vault.org(id("6500a1b2c3d4e5f6a7b8c9d1"), Environment::test()),
        ];
        for org in &orgs {
            org.define(text("A")).await?;
        }
        for scope in [Scope::Org, account("a"), workflow("w")] {
            orgs[0].set_value("A", scope, "x").await?;
        }
        for org in &orgs[1..] {
            assert!(org.resolve("A", &path()).await?.is_none());
            assert!(org.resolve_all(&path()).await?.values.is_empty());
        }
        Ok(())
    });
}

#[test]
fn what_is_not_defined_does_not_resolve() {
    with_org(async |org| {
        assert!(matches!(org.resolve("NONE", &path()).await, Err(Error::DefinitionNotFound(_))));
        Ok(())
    });
}

/// Defines `A` so that these places hold a value, which is the place's own name.
async fn hold(org: &Org, places: &[&Origin]) -> Result<(), Error> {
    let mut definition = text("A");
    if places.contains(&&Origin::Default) {
        definition = definition.default_value("default");
    }
    org.define(definition).await?;
    for place in places {
        if let Origin::Scope(scope) = place {
            org.set_value("A", scope, scope.to_string()).await?;
        }
    }
    Ok(())
}
