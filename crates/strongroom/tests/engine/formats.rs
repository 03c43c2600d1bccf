//! Formats through the public API: each grammar on a table, and what an error may say.

#![allow(clippy::unwrap_used)]

use std::ops::Bound;
use std::sync::Arc;

use futures_executor::block_on;
use proptest::prelude::*;
use proptest::sample::select;
use strongroom::format::{
    BadFormat, EnumFormat, LengthBounds, PatternCache, PatternFormat, UrlSchemes, VarFormat,
};
use strongroom::store::StoreErrorKind;
use strongroom::{
    Error, FormatChange, OnMismatch, PageRequest, Scope, ScopePath, VariableDefinition, Vault, VaultOptions,
};
use strongroom_conformance::{Fault, Faulty};
use strongroom_memory::MemoryStore;

use crate::common::PLAIN_FORMATS;
use crate::rig::{self, Kind, RowKey, unlock};

fn accepted<'a>(format: &VarFormat, values: &[&'a str]) -> Vec<&'a str> {
    values.iter().copied().filter(|value| format.validate(value).is_ok()).collect()
}

/// One of each format.
fn all() -> Vec<VarFormat> {
    let mut formats: Vec<VarFormat> = PLAIN_FORMATS.iter().map(|name| name.parse().unwrap()).collect();
    formats.push(VarFormat::UrlWithScheme(UrlSchemes::new(["https"]).unwrap()));
    formats.push(VarFormat::Enum(EnumFormat::new(["a", "b"]).unwrap()));
    formats.push(VarFormat::Pattern(PatternFormat::draft("[a-z]*").vet().unwrap()));
    formats.push(VarFormat::Custom("even".parse().unwrap()));
    formats
}

#[test]
fn the_rule_that_a_value_broke_is_what_its_error_says() {
    for format in all().into_iter().filter(|format| *format != VarFormat::String) {
        let broken = format.validate("").unwrap_err();
        assert!(
            broken.rule().len() > 10 && broken.rule() == broken.to_string(),
            "{format}: {}",
            broken.rule()
        );
    }
}

#[test]
fn the_empty_value_is_valid_for_string_only() {
    for format in all() {
        assert_eq!(format.validate("").is_ok(), format == VarFormat::String, "{format}");
    }
}

#[test]
fn no_error_holds_the_value_or_a_part_of_it() {
    let value = "\u{1}zqx-7351-SECRET\u{2}";
    for format in all().iter().filter(|format| **format != VarFormat::String) {
        let error = format.validate(value).unwrap_err();
        for text in [error.to_string(), format!("{error:?}"), error.rule().to_owned()] {
            assert!(!["zqx", "7351", "SECRET"].iter().any(|part| text.contains(part)), "{format}");
        }
    }
}

/// Any text, and what is almost of some format.
fn value() -> impl Strategy<Value = String> {
    let almost = select(vec![
        "-1.5e3",
        "true",
        "https://user:pw@[::1]:80/a?b#c",
        "{\"a\":[1,null]}",
        "a",
        "Zm9vYmE=",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "first.last+tag@mail.example",
        "-----BEGIN A-----\nZm8=\n-----END A-----\n",
    ]);
    let changed = (almost, any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, at, inserted)| {
        let at = at.index(text.len() + 1);
        format!("{}{inserted}{}", &text[..at], &text[at..])
    });
    prop_oneof![any::<String>(), "[ -~\r\n]{0,80}", changed]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_error_is_the_same_for_every_value_that_is_refused(value in value()) {
        for format in all() {
            if let Err(error) = format.validate(&value) {
                let known = format.validate("\u{1}").unwrap_err();
                prop_assert!(format!("{error} {error:?}") == format!("{known} {known:?}"), "{}", format);
            }
        }
        let bounds = LengthBounds::new(5_000..).unwrap();
        let sentences = [bounds.check(&value).unwrap_err(), bounds.check("").unwrap_err()];
        prop_assert_eq!(&sentences[0], &sentences[1]);
    }
}

#[test]
fn numbers_are_those_of_rfc_8259() {
    let good =
        ["0", "-0", "1", "-15", "1e5", "1E+5", "-1.5e3", "0.0", "1e-999", "123456789012345678901234567890"];
    let bad = [
        "", "01", "-01", "+1", ".5", "1.", "-", "--1", "1e", "1e+", "0x1", "NaN", "Infinity", " 1", "1 ",
        "1\n", "１", "1,0", "1_0", "1.5.2", "e5", "-.5", "1e5.0",
    ];
    assert_eq!(accepted(&VarFormat::Number, &[&good[..], &bad].concat()), good);
    assert_eq!(accepted(&VarFormat::Integer, &[&good[..], &bad].concat()), ["0", "-0", "1", "-15", good[9]]);
}

#[test]
fn booleans_are_two_words() {
    let values = ["true", "false", "True", "FALSE", "1", "yes", " true", "true\n"];
    assert_eq!(accepted(&VarFormat::Boolean, &values), ["true", "false"]);
}

#[test]
fn urls_are_those_of_rfc_3986_with_a_host() {
    let good = [
        "https://api.example.com",
        "http://[::1]:80/",
        "https://user:pw@h/",
        "postgres://u:p@h:5432/db?x=1",
        "HTTP://H",
        "https://h/a%20b?q=a/b#frag",
        "http://127.0.0.1:8080",
        "http://h:/",
        "amqp+ssl://h",
        "http://[v1.x]/",
        "http://h/;p=1/..//x",
        "http://xn--bcher-kva.example/",
        "http://a_b/",
    ];
    let bad = [
        "",
        "https://",
        "http:///x",
        "http://:80/",
        "mailto:a@b",
        "a:b",
        "urn:isbn:1",
        "file:///etc",
        "//h/x",
        "h/x",
        "http//h",
        "http://h/a b",
        " http://h",
        "http://h\n",
        "http://bücher.example/",
        "http://h/%zz",
        "http://h/<x>",
        "http://[::1",
        "http://[::g]/",
        "http://h:port/",
        "1http://h",
        "http://u@",
        "http://h/\\x",
        "http://h/{x}",
    ];
    assert_eq!(accepted(&VarFormat::Url, &[&good[..], &bad].concat()), good);
}

#[test]
fn a_port_of_a_connection_string_is_behind_one_colon() {
    let good = ["db://h:1,[::1]:2/x", "db://h,[::1]"];
    let bad = ["db://h::1", "db://[::1]::2", "db://[::1]2"];
    assert_eq!(accepted(&VarFormat::ConnectionString, &[&good[..], &bad].concat()), good);
}

#[test]
fn schemes_narrow_a_url_and_nothing_else() {
    let https = VarFormat::UrlWithScheme(UrlSchemes::new(["https"]).unwrap());
    let values = ["https://h", "HTTPS://h#x", "http://h", "https:///", "https:h", "httpsx://h"];
    assert_eq!(accepted(&https, &values), ["https://h", "HTTPS://h#x"]);
}

#[test]
fn a_url_may_have_any_of_16_schemes() {
    let names = |count: usize| (0..count).map(|number| format!("s{number}"));
    let most = VarFormat::UrlWithScheme(UrlSchemes::new(names(16)).unwrap());
    assert_eq!(accepted(&most, &["s0://h", "s15://h", "s16://h"]), ["s0://h", "s15://h"]);
    assert!(UrlSchemes::new(names(17)).is_err());
}

#[test]
fn a_line_that_begins_a_pem_block_has_at_most_254_bytes() {
    let block = |label: &str| format!("-----BEGIN {label}-----\nZm8=\n-----END {label}-----\n");
    let longest = "A".repeat(254 - "-----BEGIN -----".len());
    assert!(VarFormat::Pem.validate(&block(&longest)).is_ok());
    assert!(VarFormat::Pem.validate(&block(&format!("{longest}A"))).is_err());
}

#[test]
fn an_email_address_has_at_most_254_bytes() {
    let (local, label) = ("a".repeat(64), "b".repeat(63));
    let longest = format!("{local}@{label}.{label}.{}", "c".repeat(61));
    assert_eq!(longest.len(), 254);
    assert!(VarFormat::Email.validate(&longest).is_ok());
    assert!(VarFormat::Email.validate(&format!("{longest}c")).is_err());
}

#[test]
fn names_are_case_sensitive_and_come_back() {
    for format in all() {
        let simple = format.name().parse::<VarFormat>();
        assert_eq!(format.to_string(), format.name());
        assert!(
            simple == Ok(format.clone()) || matches!(format.name(), "url_with_scheme" | "enum" | "pattern")
        );
    }
    for name in ["", "String", "NUMBER", "enum", "pattern", "float", " url"] {
        assert_eq!(name.parse::<VarFormat>(), Err(BadFormat::UnknownName));
    }
}

#[test]
fn every_format_takes_64_kib_of_the_worst_in_its_stride() {
    for unit in
        ["a", "[", "1", "-", ".", "é", "a.", "\\", "\"", "https://", "-----BEGIN A-----\n", "\u{10ffff}"]
    {
        let value = unit.repeat(64 * 1024 / unit.len());
        all().iter().for_each(|format| drop(format.validate(&value)));
    }
}

#[test]
fn a_pattern_that_was_never_vetted_refuses_every_value() {
    let pattern = VarFormat::Pattern(PatternFormat::draft("(a)\\1").assume_vetted());
    assert!(pattern.validate("a").is_err() && pattern.validate_with("a", &PatternCache::new(1024)).is_err());
}

#[test]
fn length_bounds_say_what_they_are() {
    let bounds = LengthBounds::new(2..=3).unwrap();
    assert_eq!(bounds.check("a").unwrap_err().to_string(), "2 to 3 bytes are required");
}

#[test]
fn a_bound_that_is_excluded_is_no_length_that_a_value_may_have() {
    let bounds = LengthBounds::new((Bound::Excluded(2), Bound::Excluded(5))).unwrap();
    assert_eq!((bounds.min(), bounds.max()), (3, 4));
    assert!(LengthBounds::new((Bound::Excluded(2), Bound::Included(2))).is_err());
}

#[cfg(feature = "serde")]
mod serde_forms {
    use super::*;

    #[test]
    fn a_format_without_parameters_is_its_name() {
        assert_eq!(serde_json::to_string(&VarFormat::Url).unwrap(), "\"url\"");
        assert_eq!(serde_json::from_str::<VarFormat>("\"hostname\"").unwrap(), VarFormat::Hostname);
    }

    #[test]
    fn every_format_survives_its_form_under_its_name() {
        for format in all() {
            let json = serde_json::to_string(&format).unwrap();
            let name = format.name().split(':').next_back().unwrap();
            assert!(json.contains(&format!("\"{name}\"")));
            assert_eq!(serde_json::from_str::<VarFormat>(&json).unwrap(), format);
        }
    }

    #[test]
    fn a_form_is_vetted_when_it_is_read() {
        let pattern = r#"{"pattern":{"pattern":"v\\d","must_match":["v1"],"must_not_match":["v"]}}"#;
        assert!(serde_json::from_str::<VarFormat>(pattern).is_ok());
        assert!(serde_json::from_str::<VarFormat>(&pattern.replace("v1", "x")).is_err());
        for bad in [
            r#"{"enum":[]}"#,
            r#"{"enum":["a","a"]}"#,
            r#"{"url_with_scheme":["HTTP"]}"#,
            r#"{"pattern":{"pattern":"("}}"#,
            r#"{"pattern":{"pattern":"a","flags":"i"}}"#,
            "\"Url\"",
            "\"enum\"",
            "\"float\"",
        ] {
            assert!(serde_json::from_str::<VarFormat>(bad).is_err());
        }
        assert!(serde_json::from_str::<LengthBounds>(r#"{"min":2,"max":1}"#).is_err());
        assert!(serde_json::from_str::<LengthBounds>(r#"{"min":1,"max":2}"#).is_ok());
    }
}

fn is_even(value: &str) -> Result<(), &'static str> {
    match value.parse::<u64>() {
        Ok(number) if number % 2 == 0 => Ok(()),
        _ => Err("an even number is required"),
    }
}

#[test]
fn a_custom_format_is_checked_by_its_host_and_writes_nothing_where_its_check_is_not() {
    let store = Arc::new(MemoryStore::new());
    let even = VarFormat::Custom("even".parse().unwrap());
    assert_eq!(("custom:even".parse(), even.name()), (Ok(even.clone()), "custom:even"));
    assert_eq!("custom:Even".parse::<VarFormat>(), Err(BadFormat::CustomName));
    let knowing = || VaultOptions::default().custom_format("even".parse().unwrap(), is_even);
    let vault = block_on(knowing().create(Arc::clone(&store), unlock())).unwrap();
    let org = rig::org(&vault);
    let rule = |error: Error| match error {
        Error::InvalidValue { rule, .. } => rule.to_string(),
        other => format!("{other:?}"),
    };

    block_on(org.define(VariableDefinition::new("N", even.clone()).default_value("0"))).unwrap();
    let odd =
        block_on(org.define(VariableDefinition::new("M", even.clone()).default_value("1"))).unwrap_err();
    assert!(matches!(odd, Error::Invalid(_)), "{odd}");
    block_on(org.set_value("N", &Scope::Org, "2")).unwrap();
    let refused = block_on(org.set_value("N", &Scope::Org, "7351")).unwrap_err();
    assert_eq!(rule(refused), "an even number is required");

    block_on(org.define(VariableDefinition::new("S", VarFormat::String))).unwrap();
    block_on(org.set_value("S", &Scope::Org, "3")).unwrap();
    let change = FormatChange::to(even.clone());
    let mismatches = block_on(org.plan_format_change("S", &change, PageRequest::default())).unwrap();
    assert_eq!(mismatches.items.len(), 1);

    // Another process, which does not bring the check along.
    let unknowing = block_on(VaultOptions::default().open(Arc::clone(&store), unlock())).unwrap();
    let org = rig::org(&unknowing);
    let found = block_on(org.resolve("N", &ScopePath::org())).unwrap().unwrap();
    assert_eq!(found.value.expose(), "2");
    assert!(rule(block_on(org.set_value("N", &Scope::Org, "4")).unwrap_err()).contains("custom format"));
    for result in [
        block_on(org.define(VariableDefinition::new("M", even))).map(drop),
        block_on(org.change_format("S", &change, OnMismatch::Grandfather)).map(drop),
    ] {
        assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    }
    block_on(org.rotate_keys()).unwrap();
    assert!(block_on(unknowing.verify()).unwrap().is_clean());
    let org = rig::org(&unknowing);
    block_on(org.change_format("N", &FormatChange::to(VarFormat::Integer), OnMismatch::Refuse)).unwrap();
    block_on(org.set_value("N", &Scope::Org, "3")).unwrap();
}

#[test]
fn values_are_marked_for_a_custom_format_only_by_a_host_with_its_check() {
    let store = rig::base(async |org| {
        org.define(rig::text("S")).await?;
        for (scope, value) in [(Scope::Org, "3"), (rig::of_workflow("w"), "4")] {
            org.set_value("S", scope, value).await?;
        }
        Ok(())
    });
    let knowing = || VaultOptions::default().custom_format("even".parse().unwrap(), is_even);
    let change = FormatChange::to(VarFormat::Custom("even".parse().unwrap()));
    let stopped = Faulty::new(Arc::clone(&store)).on_commits(1.., Fault::Before(StoreErrorKind::Unavailable));
    let vault = block_on(knowing().open(stopped, unlock())).unwrap();
    block_on(rig::org(&vault).change_format("S", &change, OnMismatch::Grandfather)).unwrap_err();

    let marked = |vault: &Vault| {
        block_on(rig::org(vault).grandfathered_values("S", PageRequest::default())).unwrap().items
    };
    let unknowing = rig::open(Arc::clone(&store));
    assert_eq!((block_on(unknowing.run_jobs()).unwrap(), marked(&unknowing).len()), (0, 0));
    let vault = block_on(knowing().open(store, unlock())).unwrap();
    assert_eq!(block_on(vault.run_jobs()).unwrap(), 1);
    assert_eq!(marked(&vault), [Scope::Org]);
}

#[test]
fn a_value_of_a_custom_format_is_not_marked_when_its_place_is_mended_without_the_check() {
    let store = Arc::new(MemoryStore::new());
    let knowing = VaultOptions::default().custom_format("even".parse().unwrap(), is_even);
    let vault = block_on(knowing.create(Arc::clone(&store), unlock())).unwrap();
    let org = rig::org(&vault);
    block_on(org.define(VariableDefinition::new("N", VarFormat::Custom("even".parse().unwrap())))).unwrap();
    block_on(org.set_value("N", &Scope::Org, "2")).unwrap();
    let mut rows = rig::rows(&store);
    rows.retain(|key, _| RowKey::parse(key).kind != Kind::DefinitionValue);

    let vault = rig::open(rig::load(&rows));
    let report = block_on(vault.verify()).unwrap();
    assert_eq!(block_on(vault.mend(&report)).unwrap(), 1, "{report}");
    let marked = block_on(rig::org(&vault).grandfathered_values("N", PageRequest::default())).unwrap();
    assert!(marked.items.is_empty());
    assert!(block_on(vault.verify()).unwrap().is_clean());
}
