//! `Org::definitions` and `Org::count_definitions`: which definitions a filter takes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{text, with_org};
use strongroom::{
    DefinitionFilter, Error, Invalid, Org, PageRequest, ScopeKind, Scopes, VarFormat, VariableDefinition,
};

#[test]
fn a_filter_that_says_nothing_takes_all() {
    with_three(async |org| {
        assert_eq!(names(&org, DefinitionFilter::all()).await?, ["API_KEY", "API_URL", "PORT"]);
        Ok(())
    });
}

#[test]
fn a_filter_by_scope_takes_what_allows_a_value_there() {
    with_three(async |org| {
        let at = |kind| DefinitionFilter::all().scope(kind);
        assert_eq!(names(&org, at(ScopeKind::Org)).await?, ["API_KEY", "API_URL", "PORT"]);
        assert_eq!(names(&org, at(ScopeKind::LinkedAccount)).await?, ["API_KEY", "API_URL"]);
        Ok(())
    });
}

#[test]
fn a_filter_by_format_takes_its_exact_name() {
    with_three(async |org| {
        assert_eq!(names(&org, DefinitionFilter::all().format("url")).await?, ["API_URL"]);
        assert_eq!(names(&org, DefinitionFilter::all().format("ur")).await?, [""; 0]);
        Ok(())
    });
}

#[test]
fn a_name_pattern_matches_anywhere_unless_anchored() {
    with_three(async |org| {
        let matching = |pattern| DefinitionFilter::all().name_pattern(pattern);
        assert_eq!(names(&org, matching("R")?).await?, ["API_URL", "PORT"]);
        assert_eq!(names(&org, matching("^API_")?).await?, ["API_KEY", "API_URL"]);
        assert_eq!(names(&org, matching("^api_")?).await?, [""; 0]);
        Ok(())
    });
}

#[test]
fn a_filter_by_names_takes_exactly_those() {
    with_three(async |org| {
        let wanted = ["PORT", "API_KEY", "NONE"];
        assert_eq!(names(&org, DefinitionFilter::all().names(wanted)).await?, ["API_KEY", "PORT"]);
        Ok(())
    });
}

#[test]
fn a_filter_by_no_name_takes_nothing() {
    with_three(async |org| {
        assert_eq!(names(&org, DefinitionFilter::all().names([""; 0])).await?, [""; 0]);
        Ok(())
    });
}

#[test]
fn the_parts_of_a_filter_must_all_hold() {
    with_three(async |org| {
        let filter = DefinitionFilter::all().name_pattern("^API_")?.format("string");
        assert_eq!(names(&org, filter).await?, ["API_KEY"]);
        Ok(())
    });
}

#[test]
fn a_count_is_that_of_the_list() {
    with_three(async |org| {
        let filter = DefinitionFilter::all().scope(ScopeKind::Workflow);
        assert_eq!(org.count_definitions(&filter).await?, names(&org, filter).await?.len());
        Ok(())
    });
}

#[test]
fn a_pattern_that_is_no_regular_expression_or_too_costly_is_refused() {
    let long = "a".repeat(1_025);
    for pattern in ["(", "(a{1000}){1000}", "\\p{L}{400}", long.as_str()] {
        let refused = DefinitionFilter::all().name_pattern(pattern);
        assert!(matches!(refused, Err(Error::Invalid(Invalid::NamePattern))));
    }
}

#[test]
fn definitions_are_listed_in_the_order_of_their_making() {
    crate::common::with_clock(async |org, clock| {
        for (ms, name) in [(1_000, "C"), (1_001, "A"), (2_000, "B")] {
            clock.set(ms);
            org.define(text(name)).await?;
        }
        let listed = org.definitions(&DefinitionFilter::all(), PageRequest::default()).await?.items;
        let listed: Vec<_> = listed.into_iter().map(|stored| stored.definition.name).collect();
        assert_eq!(listed, ["C", "A", "B"]);
        Ok(())
    });
}

fn with_three(test: impl AsyncFnOnce(Org) -> Result<(), Error>) {
    with_org(async |org| {
        org.define(text("API_KEY").encrypted()).await?;
        org.define(VariableDefinition::new("API_URL", VarFormat::Url)).await?;
        let port = VariableDefinition::new("PORT", VarFormat::Integer);
        org.define(port.scopes(Scopes::only(ScopeKind::Org))).await?;
        test(org).await
    });
}

/// The names that a filter takes, sorted.
async fn names(org: &Org, filter: DefinitionFilter) -> Result<Vec<String>, Error> {
    let listed = org.definitions(&filter, PageRequest::default()).await?.items;
    let mut names: Vec<_> = listed.into_iter().map(|stored| stored.definition.name).collect();
    names.sort();
    Ok(names)
}
