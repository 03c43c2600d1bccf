//! What bad input gets: the documented envelope with the right status, no echo, and a server that stays up.

mod support;

use std::num::NonZeroU32;

use strongroom_http::{Limits, Rate};
use support::{Answer, Fixture};

const SET: &str = "/env/values";

/// An error in the envelope, without what was sent.
#[track_caller]
fn is_refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(
        answer.body.starts_with(&format!(r#"{{"status_code":{status},"http_error_type":"#)),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains("canary"), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_400() {
    let fixture = Fixture::new().await;
    for body in [
        "canary",
        "{",
        r#"{"value":"canary}"#,
        r#"{"value":"\ud800canary"}"#,
        r#"{"value":"canary"}{}"#,
        r#"{"value":"canary",}"#,
        "\u{feff}{}",
        r#"{"value":'canary'}"#,
    ] {
        is_refused(&fixture.call("POST", SET).json(body).await, 400);
    }
    let call = fixture.call("POST", SET).header("content-type", "application/json");
    let answer = call.body(b"{\"extra\":\"canary\xff\"}".to_vec()).send().await;
    answer.is_bad_request("the request body is not valid JSON");
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_a_400() {
    let fixture = Fixture::new().await;
    for body in
        ["null", "1", r#""canary""#, r#"["canary"]"#, r#"{"value":["canary"]}"#, r#"{"workflow_id":1}"#]
    {
        is_refused(&fixture.call("POST", SET).json(body).await, 400);
    }
    // The fields of the body, in the order in which they stand in the code.
    let id = fixture.define_string("A").await;
    let list = format!(r#" ["{id}","v",null,null]"#);
    let answer = fixture.call("POST", SET).json(&list).await;
    answer.is_bad_request("the request body must be a JSON object");
}

#[tokio::test]
async fn a_list_in_the_place_of_an_object_is_a_400() {
    let fixture = Fixture::new().await;
    for (method, body, field) in [
        ("POST", r#"{"account_id":"a","your_app":[{"auth_credentials":{"k":"v"}}]}"#, "your_app"),
        ("PUT", r#"{"account_id":"a","your_app":[{"auth_credentials":{"k":"v"}}]}"#, "your_app"),
        ("PUT", r#"{"payload":["a",null,null,null,null]}"#, "payload"),
    ] {
        let answer = fixture.call(method, "/linked-account").json(body).await;
        answer.is_bad_request(&format!("{field} has the wrong type"));
    }
    assert!(fixture.org.linked_account(&"a".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn deep_nesting_is_taken_or_refused_and_never_overflows() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let answer = fixture.call("POST", SET).json(&format!(r#"{{"extra":{deep}}}"#)).await;
    answer.is_bad_request("variable_definition_id is required");
    is_refused(&fixture.call("POST", SET).json(&format!(r#"{{"value":{deep}}}"#)).await, 400);
    is_refused(&fixture.call("POST", SET).json(&deep).await, 400);
    let credential = "/linked-account/default-app/auth-credentials/k?linked_account_id=a";
    let answer = fixture.call("PUT", credential).json(&format!(r#"{{"value":{deep}}}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    is_refused(
        &fixture
            .call("POST", "/env/definitions")
            .json(&format!(r#"{{"name":"A","var_format":{deep}}}"#))
            .await,
        400,
    );
}

#[tokio::test]
async fn a_huge_body_is_a_413() {
    let fixture = Fixture::new().await;
    let body = format!(r#"{{"value":"{}"}}"#, "x".repeat(10 << 20));
    let answer = fixture.call("POST", SET).json(&body).await;
    answer.is_error(413, "BAD_REQUEST", "SERVER_ERROR", "Request body too large");
}

#[tokio::test]
async fn a_body_that_is_not_declared_to_be_json_is_a_415() {
    let fixture = Fixture::new().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "json", "application/jsonx"] {
        let answer = fixture.call("POST", SET).header("content-type", kind).body("{}").send().await;
        answer.is_error(415, "BAD_REQUEST", "SERVER_ERROR", "Content-Type must be application/json");
    }
    is_refused(&fixture.call("POST", SET).body("{}").send().await, 415);
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"] {
        let answer = fixture.call("POST", SET).header("content-type", kind).body("{}").send().await;
        answer.is_bad_request("variable_definition_id is required");
    }
}

#[tokio::test]
async fn an_unknown_route_or_method_has_the_envelope() {
    let fixture = Fixture::new().await;
    for path in
        ["/canary", "/env", "/env/values/a/b", "/env/definitions/", "//env/values", "/env/value/../values"]
    {
        fixture.call("GET", path).send().await.is_not_found("Route not found");
    }
    for (method, path) in [("PUT", SET), ("OPTIONS", SET), ("CANARY", SET), ("GET", "/session-token")] {
        let answer = fixture.call(method, path).send().await;
        answer.is_error(405, "BAD_REQUEST", "SERVER_ERROR", "Method not allowed");
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
    }
}

#[tokio::test]
async fn headers_and_queries_are_read_strictly() {
    let fixture = Fixture::new().await;
    let path = "/env/value/6500a1b2c3d4e5f6a7b8c9d1";
    let twice = fixture.call("GET", path).header("linked_account_id", "a").header("linked_account_id", "a");
    is_refused(&twice.send().await, 400);
    for query in ["linked_account_id=%ff", "linked_account_id=a&linked_account_id=a", "%ff=1"] {
        is_refused(&fixture.call("GET", &format!("{path}?{query}")).send().await, 400);
    }
    for query in ["linked_account_id=", "linked_account_id=%00", "linked_account_id=..", "workflow_id=%0a"] {
        is_refused(&fixture.call("GET", &format!("{path}?{query}")).send().await, 400);
    }
    let long = format!("{path}?linked_account_id={}", "a".repeat(255));
    is_refused(&fixture.call("GET", &long).send().await, 400);
    let large = fixture.call("GET", path).header("x-large", &"x".repeat(17 << 10)).send().await;
    large.is_error(431, "BAD_REQUEST", "SERVER_ERROR", "Request headers too large");
}

#[tokio::test]
async fn too_many_requests_of_one_key_are_a_429() {
    let rate = Rate { per_sec: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let fixture = Fixture::with(|options| options.limits(Limits::default().rate(rate))).await;
    let mut last = fixture.call("GET", "/env/definitions").send().await;
    for _ in 0..100 {
        if last.status != 200 {
            break;
        }
        last = fixture.call("GET", "/env/definitions").send().await;
    }
    last.is_error(429, "BAD_REQUEST", "SERVER_ERROR", "Too many requests");
    assert_eq!(last.header("retry-after"), "1");
    let other = support::api_key(&fixture.org).await;
    let call = fixture.call_anonymously("GET", "/env/definitions").header("x-api-key", &other);
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn too_many_requests_at_once_are_a_503() {
    let fixture = Fixture::with(|options| options.limits(Limits::default().requests_max(0))).await;
    let answer = fixture.call("GET", "/env/definitions").send().await;
    let message = "Service unavailable, try again later";
    answer.is_error(503, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVER_ERROR", message);
    assert_eq!(answer.header("retry-after"), "1");
}
