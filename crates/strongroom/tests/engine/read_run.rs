//! Reading a run into the host's own types.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use serde::Deserialize;
use strongroom::{
    Error, ReadError, Resolution, Scope, ScopePath, Secret, SecretBytes, VarFormat, Variable,
    VariableDefinition,
};

use crate::common::{text, with_org};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Env {
    port: u16,
    rate: f64,
    debug: bool,
    mode: Mode,
    hosts: Vec<String>,
    limits: Limits,
    api_key: Secret,
    maybe: Option<Secret>,
    absent: Option<u16>,
    #[serde(default)]
    fallback: u8,
    wrapped: Wrapped,
}

#[derive(Debug, Deserialize)]
struct Wrapped(i64);

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Slow,
}

#[derive(Debug, Deserialize)]
struct Limits {
    max: u32,
}

#[test]
fn a_run_is_read_into_a_struct_whose_secrets_stay_secret() {
    with_run(&EVERYTHING, |run| {
        let env: Env = run.deserialize().unwrap();
        assert_eq!((env.port, env.debug, env.mode, env.wrapped.0), (8080, true, Mode::Slow, -1));
        assert_eq!(
            (env.rate.to_string(), env.hosts, env.limits.max),
            ("0.5".into(), vec!["a".into(), "b".into()], 7)
        );
        assert_eq!((env.api_key.expose(), env.maybe.unwrap().expose()), ("\"k1\n", ""));
        assert_eq!((env.absent, env.fallback), (None, 0));
        let all: BTreeMap<String, Secret> = run.deserialize().unwrap();
        assert_eq!(all.len(), EVERYTHING.len());
    });
}

#[test]
fn an_error_names_the_variable_and_never_shows_a_value() {
    for (name, value) in [
        ("PORT", "hunter2"),
        ("PORT", "65536"),
        ("DEBUG", "hunter2"),
        ("MODE", "hunter2"),
        ("HOSTS", "[hunter2"),
        ("HOSTS", "{\"hunter2\":1}"),
        ("LIMITS", "{\"max\":\"hunter2\"}"),
        ("WRAPPED", "hunter2"),
    ] {
        let mut values = EVERYTHING;
        values.iter_mut().find(|(known, _)| *known == name).unwrap().1 = value;
        with_run(&values, |run| {
            let error = run.deserialize::<Env>().unwrap_err();
            assert_eq!(error, ReadError::Unfit(name.into()));
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        });
    }
    with_run(&EVERYTHING[1..], |run| {
        assert_eq!(run.deserialize::<Env>().unwrap_err(), ReadError::Missing("PORT".into()));
        assert_eq!(run.deserialize::<u16>().unwrap_err(), ReadError::Shape);
        assert_eq!(run.parse::<u16>("PORT"), Ok(None));
        assert_eq!(run.parse::<u16>("MODE"), Err(ReadError::Unfit("MODE".into())));
    });
}

#[test]
fn a_run_iterates_looks_up_and_gives_its_values_away() {
    with_run(&EVERYTHING, |mut run| {
        let names: Vec<_> = (&run).into_iter().map(|found| found.name.clone()).collect();
        assert_eq!(names, EVERYTHING.map(|(name, _)| name));
        assert_eq!(run.take("MODE").unwrap().value.expose(), "slow");
        assert!(run.get("MODE").is_none() && run.take("MODE").is_none());
        assert_eq!(run.get("WRAPPED").unwrap().value.expose(), "-1");
        run.values.swap(0, 1);
        assert_eq!(
            (run.get("PORT").unwrap().value.expose(), run.get("RATE").unwrap().value.expose()),
            ("8080", "0.5")
        );
        assert_eq!(run.into_iter().count(), EVERYTHING.len() - 1);
    });
}

fn with_run(values: &[(&str, &str)], test: impl FnOnce(Resolution)) {
    with_org(async |org| {
        for (name, value) in values {
            org.define(text(name)).await?;
            org.set_value(*name, Scope::Org, *value).await?;
        }
        test(org.resolve_all(&ScopePath::org()).await?);
        Ok::<_, Error>(())
    });
}

const EVERYTHING: [(&str, &str); 9] = [
    ("PORT", "8080"),
    ("RATE", "0.5"),
    ("DEBUG", "true"),
    ("MODE", "slow"),
    ("HOSTS", "[\"a\",\"b\"]"),
    ("LIMITS", "{\"max\":7}"),
    ("API_KEY", "\"k1\n"),
    ("MAYBE", ""),
    ("WRAPPED", "-1"),
];

#[test]
fn a_format_fits_a_type_that_reads_its_values() {
    fn fits<T: Variable>(format: VarFormat) -> bool {
        VariableDefinition::read_as::<T>("V", format).is_ok()
    }
    assert!(fits::<u16>(VarFormat::Integer) && !fits::<u16>(VarFormat::Url));
    assert!(fits::<Option<u16>>(VarFormat::Integer) && !fits::<Option<u16>>(VarFormat::Url));
    assert!(fits::<String>(VarFormat::Url) && fits::<Secret>(VarFormat::Url));
    assert!(fits::<SecretBytes>(VarFormat::Base64) && !fits::<SecretBytes>(VarFormat::Url));
}

#[test]
fn a_default_is_one_that_its_type_reads() {
    fn with_default<T: Variable>(default: &str) -> Result<Option<String>, Error> {
        let definition = VariableDefinition::read_as::<T>("V", T::format())?.default_read_as::<T>(default)?;
        assert_eq!(definition.name, "V");
        Ok(definition.default)
    }
    assert_eq!(with_default::<u16>("8080").unwrap().as_deref(), Some("8080"));
    assert_eq!(with_default::<String>("text").unwrap().as_deref(), Some("text"));
    assert!(with_default::<u16>("70000").is_err() && with_default::<Option<u16>>("70000").is_err());
}

#[test]
fn a_value_is_read_as_it_was_set_whether_or_not_it_may_be_missing() {
    with_org(async |org| {
        org.define(text("V")).await?;
        org.set_value("V", Scope::Org, "text").await?;
        let found = org.resolve("V", &ScopePath::org()).await?;
        assert_eq!(<String as Variable>::read(found.as_ref(), "V").unwrap(), "text");
        assert_eq!(<Option<String> as Variable>::read(found.as_ref(), "V").unwrap().as_deref(), Some("text"));
        assert!(<String as Variable>::read(None, "V").is_err());
        assert_eq!(<Option<String> as Variable>::read(None, "V").unwrap(), None);
        Ok(())
    });
}

#[test]
fn a_secret_that_is_no_text_is_refused_with_what_was_expected() {
    let refused = serde_json::from_str::<Secret>("7").unwrap_err().to_string();
    assert!(refused.contains("expected a text"), "{refused}");
}
