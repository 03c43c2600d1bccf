//! The feature `serde`: models, ids and formats go out and come back by their own rules; secrets never go out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Debug;

use crate::common::{PLAIN_FORMATS, account, id, text, with_org, workflow};
use ::serde::Serialize;
use ::serde::de::DeserializeOwned;
use serde_json::{from_str, json, to_string, to_value};
use strongroom::format::{EnumFormat, LengthBounds, PatternFormat, UrlSchemes};
use strongroom::{
    CredentialKey, DefinitionId, DefinitionName, DocumentId, Environment, IntegrationId, LinkedAccountId,
    Namespace, OrgId, Origin, PageRequest, RecordKey, Revision, Scope, ScopeKind, ScopePath, Scopes,
    Timestamp, Upsert, VarFormat, VariableDefinition, WorkflowId, WriteOptions,
};

const CANARY: &str = "the canary";

#[test]
fn an_id_is_its_text_and_comes_back_by_its_rule() {
    fn holds<T: std::str::FromStr<Err: Debug> + Serialize + DeserializeOwned + PartialEq + Debug>(
        good: &str,
    ) {
        same(&good.parse::<T>().unwrap(), &json!(good));
        assert!(from_str::<T>(r#""a\u0000""#).is_err() && from_str::<T>(r#""""#).is_err());
    }
    holds::<OrgId>("6500a1b2c3d4e5f6a7b8c9d0");
    holds::<DefinitionId>("6500a1b2c3d4e5f6a7b8c9d0");
    holds::<DocumentId>("6500a1b2c3d4e5f6a7b8c9d0");
    holds::<Environment>("test");
    holds::<LinkedAccountId>("a\"\\\u{e9}");
    holds::<WorkflowId>("w");
    holds::<IntegrationId>("default-app");
    holds::<DefinitionName>("A");
    holds::<CredentialKey>("..");
    holds::<Namespace>("session");
    holds::<RecordKey>("k");
}

#[test]
fn numbers_and_words_have_one_form() {
    same(&Timestamp::from_ms(7), &json!(7));
    same(&Revision::from_u64(u64::MAX), &json!("18446744073709551615"));
    same(&Upsert::Added, &json!("added"));
    same(&ScopeKind::LinkedAccount, &json!("linked_account"));
    same(&Scope::Org, &json!("org"));
    same(&account("a"), &json!({"linked_account": "a"}));
    same(&workflow("w"), &json!({"workflow": "w"}));
    same(&Origin::Default, &json!("default"));
    same(&Scopes::only(ScopeKind::Org).and(ScopeKind::Workflow), &json!(["org", "workflow"]));
    assert!(from_str::<Scopes>("[]").is_err());
}

#[test]
fn every_format_comes_back() {
    for name in PLAIN_FORMATS {
        same(&name.parse::<VarFormat>().unwrap(), &json!(name));
    }
    let pattern = PatternFormat::draft("[a-z]+").must_match("a").must_not_match("A").vet().unwrap();
    for format in [
        VarFormat::Enum(EnumFormat::new(["a", "b"]).unwrap()),
        VarFormat::UrlWithScheme(UrlSchemes::new(["https"]).unwrap()),
        VarFormat::Pattern(pattern),
    ] {
        comes_back(&format);
    }
}

#[test]
fn what_breaks_a_rule_does_not_come_back() {
    let pattern = PatternFormat::draft("[a-z]+").must_match("q").vet().unwrap();
    refused_with(&pattern, "[a-z]+", "[a-z");
    refused_with(&pattern, "\"q\"", "\"Q\"");
    refused_with(&EnumFormat::new(["a", "b"]).unwrap(), "\"b\"", "\"a\"");
    refused_with(&UrlSchemes::new(["https"]).unwrap(), "https", "HTTPS");
    refused_with(&LengthBounds::new(1..=2).unwrap(), "2", "0");
    refused_with(&VarFormat::String, "string", "STRING");
}

#[test]
fn a_definition_comes_back_and_needs_no_more_than_its_name() {
    let definition = text("A").required().default_value("x").length(LengthBounds::new(1..=2).unwrap());
    comes_back(&definition.description("d").author("a").scopes(Scopes::only(ScopeKind::Org)));
    assert_eq!(from_str::<VariableDefinition>(r#"{"name": "A"}"#).unwrap(), text("A"));
}

#[test]
fn stored_models_come_back() {
    with_org(async |org| {
        org.define(text("A").default_value("x")).await?;
        let handle = org.create_account(id("a")).name("n").udf("u").with_credential("k", CANARY).await?;
        handle.set_value("A", CANARY).await?;
        comes_back(&org.definition("A").await?.unwrap());
        comes_back(&handle.info().await?.unwrap());
        comes_back(&handle.integrations(PageRequest::default()).await?.items[0]);
        comes_back(&handle.credentials(PageRequest::default()).await?.items[0]);
        comes_back(&org.explain("A", &ScopePath::org().linked_account(id("a"))).await?);
        Ok(())
    });
}

#[test]
fn what_holds_a_secret_goes_out_without_it() {
    with_org(async |org| {
        org.define(text("A").encrypted()).await?;
        let handle = org.create_account(id("a")).with_credential("k", CANARY).await?;
        let shown = WriteOptions::default().with_ciphertext();
        let written = handle.set_value_with("A", CANARY, shown).await?;
        let path = ScopePath::org().linked_account(id("a"));
        org.records(id("visitor")).put(&id("k"), CANARY).await?;
        let out = [
            to_value(&written).unwrap(),
            to_value(handle.value("A").await?).unwrap(),
            to_value(handle.credential("k").await?).unwrap(),
            to_value(org.resolve("A", &path).await?).unwrap(),
            to_value(&org.resolve_all(&path).await?.values).unwrap(),
            to_value(org.resolve_all(&path).await?).unwrap(),
            to_value(org.records(id("visitor")).get(&id("k")).await?).unwrap(),
        ];
        for value in out {
            let text = value.to_string();
            assert!(!text.contains("canary"), "{text}");
            assert!(value.get("value").is_none() && text.len() > 20, "{text}");
        }
        Ok(())
    });
}

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, form: &serde_json::Value) {
    assert_eq!(to_value(value).unwrap(), *form);
    comes_back(value);
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = to_string(value).unwrap();
    assert_eq!(from_str::<T>(&text).unwrap(), *value, "{text}");
}

/// Asserts that the form of `good` is refused once a part of it is exchanged.
fn refused_with<T: Serialize + DeserializeOwned + Debug>(good: &T, part: &str, instead: &str) {
    let form = to_string(good).unwrap();
    assert!(form.contains(part) && from_str::<T>(&form).is_ok(), "{form}");
    assert!(from_str::<T>(&form.replace(part, instead)).is_err(), "{form}");
}
