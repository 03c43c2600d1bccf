//! `Org::resolve_all`: everything that a run sees. That it equals `resolve` in any state is held in `model`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{account, id, text, with_clock, with_org, with_small_store, workflow};
use strongroom::{Scope, ScopePath};

#[test]
fn every_definition_resolves_at_its_own_scope() {
    with_org(async |org| {
        for name in ["DEFAULT", "ORG", "ACCOUNT", "WORKFLOW", "NOTHING"] {
            let definition = text(name);
            org.define(if name == "DEFAULT" { definition.default_value("x") } else { definition }).await?;
        }
        org.set_value("ORG", Scope::Org, "x").await?;
        org.set_value("ACCOUNT", account("a"), "x").await?;
        org.set_value("WORKFLOW", workflow("w"), "x").await?;
        let run = ScopePath::org().linked_account(id("a")).workflow(id("w"));
        let all = org.resolve_all(&run).await?;
        let origin = |name| all.get(name).map(|resolved| resolved.scope.as_str());
        assert_eq!(origin("DEFAULT"), Some("default"));
        assert_eq!(origin("ORG"), Some("org"));
        assert_eq!(origin("ACCOUNT"), Some("linked_account"));
        assert_eq!(origin("WORKFLOW"), Some("workflow"));
        assert_eq!(origin("NOTHING"), None);
        Ok(())
    });
}

#[test]
fn values_come_in_the_order_of_the_definitions_making() {
    with_clock(async |org, clock| {
        for (ms, name) in [(1_000, "C"), (2_000, "A"), (3_000, "B")] {
            clock.set(ms);
            org.define(text(name).default_value("x")).await?;
        }
        let all = org.resolve_all(&ScopePath::org()).await?;
        let names: Vec<_> = all.values.iter().map(|resolved| resolved.name.as_str()).collect();
        assert_eq!(names, ["C", "A", "B"]);
        Ok(())
    });
}

#[test]
fn a_required_definition_that_resolves_to_nothing_is_missing() {
    with_org(async |org| {
        org.define(text("OPTIONAL")).await?;
        org.define(text("BY_DEFAULT").required().default_value("x")).await?;
        org.define(text("OF_ACCOUNT").required()).await?;
        org.set_value("OF_ACCOUNT", account("a"), "x").await?;
        let seen = org.resolve_all(&ScopePath::org().linked_account(id("a"))).await?;
        assert_eq!(seen.missing_required, [""; 0]);
        let seen = org.resolve_all(&ScopePath::org().linked_account(id("b"))).await?;
        assert_eq!(seen.missing_required, ["OF_ACCOUNT"]);
        Ok(())
    });
}

#[test]
fn a_change_of_a_definition_shows_at_once() {
    with_org(async |org| {
        org.define(text("A").default_value("1")).await?;
        org.resolve_all(&ScopePath::org()).await?;
        let change = strongroom::DefinitionChange::new().default_value("2").name("B");
        org.update_definition("A", change).await?;
        let all = org.resolve_all(&ScopePath::org()).await?;
        assert!(all.get("A").is_none());
        assert_eq!(all.get("B").unwrap().value.expose(), "2");
        Ok(())
    });
}

#[test]
fn values_that_fill_several_pages_of_the_store_all_resolve() {
    with_small_store(async |org| {
        let long = "x".repeat(65_000);
        for number in 0..20 {
            let name = format!("V{number}");
            org.define(text(&name)).await?;
            org.set_value(&name, Scope::Org, [long.as_str(), &name].concat()).await?;
        }
        let all = org.resolve_all(&ScopePath::org().linked_account(id("a"))).await?;
        assert_eq!(all.values.len(), 20);
        assert!(
            all.values.iter().all(|resolved| resolved.value.expose()[65_000..] == *resolved.name.as_str())
        );
        Ok(())
    });
}
