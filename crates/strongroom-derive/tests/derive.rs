//! A struct states its definitions and reads a run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;

use strongroom::{
    Error, Invalid, ReadError, Scope, ScopeKind, ScopePath, Scopes, Secret, VarFormat, VariableDefinition,
    Variables,
};
use strongroom_conformance::with_org;

#[derive(Debug, Variables)]
struct Env {
    /// Where to listen.
    ///
    /// A port.
    #[variable(default = "8080")]
    port: u16,
    /// The token of the API.
    api_token: Secret,
    #[variable(name = "base-url", format = VarFormat::Url, scopes = Scopes::only(ScopeKind::Org))]
    base_url: String,
    trace_rate: Option<f64>,
    bind: Option<IpAddr>,
    spare_token: Option<Secret>,
}

#[test]
fn the_definitions_are_those_that_the_fields_state() {
    let definitions = Env::definitions().unwrap();
    let new = VariableDefinition::new;
    let expected = [
        new("PORT", VarFormat::Integer)
            .description("Where to listen. A port.")
            .required()
            .default_value("8080"),
        new("API_TOKEN", VarFormat::String).description("The token of the API.").encrypted().required(),
        new("base-url", VarFormat::Url).required().scopes(Scopes::only(ScopeKind::Org)),
        new("TRACE_RATE", VarFormat::Number),
        new("BIND", VarFormat::Ip),
        new("SPARE_TOKEN", VarFormat::String).encrypted(),
    ];
    assert_eq!(definitions, expected);
}

#[test]
fn a_run_is_read_once_everything_that_is_required_has_a_value() {
    with_org(async |org| {
        let ensured = org.ensure_definitions(&Env::definitions()?).await?;
        assert_eq!(ensured.added.len(), 6);
        let read = async || Ok::<_, Error>(Env::read(&org.resolve_all(&ScopePath::org()).await?));
        assert_eq!(read().await?.unwrap_err(), ReadError::Missing("API_TOKEN".into()));
        org.set_value("API_TOKEN", Scope::Org, "hunter2").await?;
        org.set_value("base-url", Scope::Org, "https://example.com").await?;
        org.set_value("BIND", Scope::Org, "::1").await?;
        let env = read().await?.unwrap();
        assert_eq!((env.port, env.base_url.as_str(), env.trace_rate), (8080, "https://example.com", None));
        assert_eq!((env.bind, env.api_token.expose()), (Some("::1".parse().unwrap()), "hunter2"));
        assert!(env.spare_token.is_none() && !format!("{env:?}").contains("hunter2"));
        org.set_value("PORT", Scope::Org, "70000").await?;
        assert_eq!(read().await?.unwrap_err(), ReadError::Unfit("PORT".into()));
        Ok(())
    });
}

#[test]
fn the_name_of_a_raw_field_is_that_without_its_prefix() {
    #[derive(Variables)]
    struct Raw {
        r#type: String,
    }
    assert_eq!(Raw::definitions().unwrap()[0].name, "TYPE");
    with_org(async |org| {
        org.ensure_definitions(&Raw::definitions()?).await?;
        org.set_value("TYPE", Scope::Org, "a").await?;
        assert_eq!(Raw::read(&org.resolve_all(&ScopePath::org()).await?).unwrap().r#type, "a");
        Ok(())
    });
}

#[test]
fn a_description_is_one_line_whatever_comment_it_comes_from() {
    #[derive(Variables)]
    struct Described {
        /** Where to listen.
         *
         * A port, **not** an address.
         */
        _port: u16,
        #[doc = "The *hosts*,\n\n* in order"]
        _hosts: String,
    }
    let definitions = Described::definitions().unwrap();
    let descriptions: Vec<_> = definitions.iter().map(|one| one.description.as_deref().unwrap()).collect();
    assert_eq!(descriptions, ["Where to listen. A port, **not** an address.", "The *hosts*, in order"]);
}

#[test]
fn a_default_that_does_not_match_its_format_is_refused_by_name_before_anything_is_defined() {
    #[derive(Variables)]
    struct Wrong {
        #[variable(default = "nowhere", format = VarFormat::Url)]
        _base_url: String,
    }
    let refused = Wrong::definitions().unwrap_err();
    assert!(matches!(&refused, Error::Invalid(Invalid::Default { name, .. }) if name == "BASE_URL"));
    assert!(refused.to_string().contains("BASE_URL"));
}

#[test]
fn a_default_that_does_not_fit_the_type_behind_an_alias_is_refused_before_anything_is_defined() {
    type Port = u16;
    #[derive(Variables)]
    struct Wrong {
        #[variable(default = "70000")]
        _port: Port,
    }
    let refused = Wrong::definitions().unwrap_err();
    assert!(matches!(refused, Error::Invalid(Invalid::Definition { .. })), "{refused}");
    assert!(refused.to_string().contains("PORT") && !refused.to_string().contains("70000"));
    #[derive(Variables)]
    struct Right {
        #[variable(default = "8080")]
        _port: Option<Port>,
    }
    assert_eq!(Right::definitions().unwrap()[0].default.as_deref(), Some("8080"));
}

#[test]
fn a_format_that_does_not_fit_its_type_is_refused_before_anything_is_defined() {
    #[derive(Variables)]
    struct Wrong {
        #[variable(format = VarFormat::Url)]
        _port: u16,
    }
    assert!(matches!(Wrong::definitions(), Err(Error::Invalid(Invalid::Definition { .. }))));
}
