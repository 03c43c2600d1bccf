//! Why a call is refused, in a word for programs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use strongroom::{VarFormat, VariableDefinition};
use strongroom_http::control::Reason;
use strongroom_http::{ApiKeys, Grant, NewApiKey, Right};

use support::{Answer, Fixture};

async fn key(fixture: &Fixture, grant: Grant) -> String {
    let new = NewApiKey::named("desk").with(grant);
    ApiKeys::of(&fixture.org).unwrap().create(new).await.unwrap().key.expose().to_owned()
}

async fn send(fixture: &Fixture, key: &str, (method, path): (&str, &str), body: &Value) -> Answer {
    let call = fixture.call_at_root(method, &format!("/api/admin/v1{path}")).header("x-api-key", key);
    if body.is_null() { call.send().await } else { call.json(&body.to_string()).await }
}

#[tokio::test]
async fn every_refusal_of_a_control_call_says_why_in_a_word() {
    let fixture = Fixture::new().await;
    fixture.define_string("X").await;
    fixture.define(VariableDefinition::new("N", VarFormat::Integer)).await;
    fixture.register("a").await;
    let own = key(&fixture, Grant::of([Right::Read, Right::Write])).await;
    for (method, path, body, reason) in [
        ("GET", "/definitions/NONE", Value::Null, "definition_not_found"),
        ("GET", "/values/X", Value::Null, "value_not_found"),
        ("GET", "/accounts/nobody", Value::Null, "account_not_found"),
        ("GET", "/accounts/a/credentials/crm", Value::Null, "connection_not_found"),
        ("POST", "/accounts/a/credentials/default-app/k/undo", json!({}), "credential_not_found"),
        ("PUT", "/values/N", json!({"value": "no number"}), "invalid_value"),
        ("PUT", "/values/N", json!({"value": "1", "other": 1}), "invalid"),
        ("POST", "/definitions", json!({"name": "X", "var_format": "string"}), "already_exists"),
        ("GET", "/api-keys", Value::Null, "lacks_right"),
        ("PATCH", "/values/X", json!({}), "no_such_call"),
        ("GET", "/nope", Value::Null, "no_such_call"),
    ] {
        let refused = send(&fixture, &own, (method, path), &body).await;
        assert_eq!(refused.reason.as_deref(), Some(reason), "{method} {path}: {}", refused.body);
    }
    let narrowed = key(&fixture, Grant::of([Right::Read]).only_names(["A_*"]).unwrap()).await;
    let refused = send(&fixture, &narrowed, ("GET", "/definitions/X"), &Value::Null).await;
    assert_eq!(refused.reason.as_deref(), Some("right_elsewhere"));
    let refused = send(&fixture, "no key", ("GET", "/definitions"), &Value::Null).await;
    assert_eq!(refused.reason.as_deref(), Some("bad_key"));
}

#[tokio::test]
async fn no_refusal_of_a_documented_call_has_more_than_the_contract_says() {
    let fixture = Fixture::new().await;
    let refused = fixture.call("GET", "/env/definitions/6500a1b2c3d4e5f6a7b8c9d0").send().await;
    refused.is_coded_not_found("Variable definition not found");
    fixture.call("GET", "/nothing").send().await.is_not_found("Route not found");
}

#[tokio::test]
async fn a_refusal_of_a_documented_call_says_why_in_a_header() {
    let fixture = Fixture::new().await;
    let x = fixture.define_string("X").await;
    let n = fixture.define(VariableDefinition::new("N", VarFormat::Integer)).await;
    fixture.register("a").await;
    let account = |call: &str| format!("/linked-account/{call}?linked_account_id=a");
    for (method, path, body, reason) in [
        ("GET", "/env/definitions/6500a1b2c3d4e5f6a7b8c9d0".to_owned(), Value::Null, "definition_not_found"),
        ("GET", format!("/env/value/{x}"), Value::Null, "value_not_found"),
        ("GET", "/linked-account/nobody".to_owned(), Value::Null, "account_not_found"),
        ("POST", "/session-token".to_owned(), json!({"linked_account_id": "nobody"}), "account_not_found"),
        ("DELETE", account("default-app/auth-credentials/k"), Value::Null, "credential_not_found"),
        (
            "POST",
            "/env/values".to_owned(),
            json!({"variable_definition_id": n, "value": "x"}),
            "invalid_value",
        ),
        (
            "POST",
            "/env/definitions".to_owned(),
            json!({"name": "X", "var_format": "string"}),
            "already_exists",
        ),
        ("GET", "/nothing".to_owned(), Value::Null, "no_such_call"),
    ] {
        let call = fixture.call(method, &path);
        let refused = if body.is_null() { call.send().await } else { call.json(&body.to_string()).await };
        assert_eq!(refused.header("x-strongroom-reason"), reason, "{method} {path}: {}", refused.body);
    }
    let nobody = fixture.call_anonymously("GET", "/env/definitions").send().await;
    assert_eq!(nobody.header("x-strongroom-reason"), "bad_key");
}

#[test]
fn a_reason_of_a_later_release_is_read() {
    assert_eq!(serde_json::from_str::<Reason>("\"of_tomorrow\"").unwrap(), Reason::Unknown);
}
