//! The control calls: what each does, and which right it needs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use strongroom::store::{
    Capabilities, Committed, Key, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use strongroom::{
    AuditFilter, Backup, DefinitionChange, EventKind, LinkedAccountId, PageRequest, RawKey, Scope, Timestamp,
    Unlock, VarFormat, VariableDefinition, Vault, VaultOptions, WriteOptions,
};
use strongroom_http::control::OpenSessions;
use strongroom_http::{ApiKeys, Grant, Limits, NewApiKey, Right, ServiceOptions};
use strongroom_memory::MemoryStore;

use support::damage::{damage, holds, rows};
use support::gate::gated;
use support::{Answer, Fixture};

const CONTROL: &str = "/api/admin/v1";

/// Calls of one key.
struct Desk<'f> {
    fixture: &'f Fixture,
    key: String,
}

impl<'f> Desk<'f> {
    async fn with(fixture: &'f Fixture, rights: impl IntoIterator<Item = Right>) -> Self {
        Self::granted(fixture, Grant::of(rights)).await
    }

    async fn granted(fixture: &'f Fixture, grant: Grant) -> Self {
        let made =
            ApiKeys::of(&fixture.org).unwrap().create(NewApiKey::named("desk").with(grant)).await.unwrap();
        Self { fixture, key: made.key.expose().to_owned() }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let call = self.fixture.call_at_root(method, &format!("{CONTROL}{path}"));
        let call = call.header("x-api-key", &self.key);
        if body.is_null() { call.send().await } else { call.json(&body.to_string()).await }
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.send(method, path, &body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null).await
    }

    #[track_caller]
    fn lacks(answer: &Answer, right: Right) {
        answer.is_error(403, "BAD_REQUEST", "SERVER_ERROR", &format!("this API key lacks the right {right}"));
    }
}

async fn fixture() -> Fixture {
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let options = VaultOptions::default().history_versions(5);
    let vault: Vault = options.create(MemoryStore::new(), unlock).await.unwrap();
    Fixture::over(vault, ServiceOptions::default()).await
}

/// Every call, with a body that it takes and the right that it needs.
fn calls() -> Vec<(&'static str, &'static str, Value, Right)> {
    use Right::{Admin, Operate, Read, Reveal, Write};
    vec![
        ("GET", "/definitions", Value::Null, Read),
        ("POST", "/definitions", json!({"name": "N"}), Write),
        ("GET", "/definitions/A", Value::Null, Read),
        ("PATCH", "/definitions/A", json!({"required": true}), Write),
        ("DELETE", "/definitions/A", Value::Null, Admin),
        ("POST", "/definitions/A/undelete", Value::Null, Write),
        ("GET", "/matrix", Value::Null, Read),
        ("GET", "/values", Value::Null, Read),
        ("GET", "/values?reveal=true", Value::Null, Reveal),
        ("POST", "/values", json!({"values": []}), Write),
        ("GET", "/values/A", Value::Null, Read),
        ("GET", "/values/A?reveal=true", Value::Null, Reveal),
        ("GET", "/values/A?version=1", Value::Null, Reveal),
        ("PUT", "/values/A", json!({"value": "x"}), Write),
        ("DELETE", "/values/A", Value::Null, Write),
        ("GET", "/values/A/history", Value::Null, Read),
        ("POST", "/values/A/undo", json!({}), Write),
        ("POST", "/values/A/restore", json!({"version": "1"}), Write),
        ("GET", "/resolve", Value::Null, Read),
        ("GET", "/resolve?reveal=true", Value::Null, Reveal),
        ("GET", "/explain/A", Value::Null, Read),
        ("GET", "/accounts", Value::Null, Read),
        ("POST", "/accounts", json!({"linked_account_id": "n"}), Write),
        ("GET", "/accounts/a", Value::Null, Read),
        ("DELETE", "/accounts/a", Value::Null, Admin),
        ("GET", "/accounts/a/connections", Value::Null, Read),
        ("PUT", "/accounts/a/connections/crm", Value::Null, Write),
        ("PUT", "/accounts/a/connections/crm/work", Value::Null, Write),
        ("DELETE", "/accounts/a/connections/crm/work", Value::Null, Write),
        ("DELETE", "/accounts/a/connections/crm", Value::Null, Write),
        ("GET", "/accounts/a/usage", Value::Null, Read),
        ("GET", "/accounts/a/sessions", Value::Null, Admin),
        ("DELETE", "/accounts/a/sessions/0123", Value::Null, Admin),
        ("POST", "/accounts/a/revoke-sessions", Value::Null, Admin),
        ("POST", "/revoke-sessions", Value::Null, Admin),
        ("GET", "/accounts/a/credentials/default-app", Value::Null, Read),
        ("GET", "/accounts/a/credentials/default-app/k", Value::Null, Reveal),
        ("PUT", "/accounts/a/credentials/default-app/k", json!({"value": "x"}), Write),
        ("DELETE", "/accounts/a/credentials/default-app/k", Value::Null, Write),
        ("GET", "/accounts/a/credentials/default-app/k/history", Value::Null, Read),
        ("POST", "/accounts/a/credentials/default-app/k/undo", json!({}), Write),
        ("POST", "/accounts/a/credentials/default-app/k/restore", json!({"version": "1"}), Write),
        ("GET", "/api-keys", Value::Null, Admin),
        ("POST", "/api-keys", json!({"name": "n"}), Admin),
        ("DELETE", "/api-keys/6500a1b2c3d4e5f6a7b8c9d0", Value::Null, Admin),
        ("POST", "/api-keys/6500a1b2c3d4e5f6a7b8c9d0/rotate", json!({}), Admin),
        ("GET", "/audit", Value::Null, Admin),
        ("GET", "/audit?newest_first=true", Value::Null, Admin),
        ("GET", "/usage", Value::Null, Read),
        ("GET", "/settings", Value::Null, Operate),
        ("PATCH", "/settings", json!({"audit": true}), Operate),
        ("GET", "/slots", Value::Null, Operate),
        ("DELETE", "/slots/00000000000000000000000000000000", Value::Null, Operate),
        ("GET", "/jobs", Value::Null, Operate),
        ("POST", "/jobs/run", Value::Null, Operate),
        ("POST", "/jobs/6500a1b2c3d4e5f6a7b8c9d0", json!({"action": "pause"}), Operate),
        ("POST", "/rotate", json!({}), Operate),
        ("POST", "/verify", Value::Null, Operate),
        ("GET", "/tasks", Value::Null, Operate),
        ("GET", "/tasks/x", Value::Null, Operate),
        ("GET", "/backup", Value::Null, Operate),
    ]
}

#[tokio::test]
async fn no_call_ignores_a_parameter_of_the_query() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    for (method, path, body, _) in calls() {
        let with = if path.contains('?') { "&" } else { "?" };
        let refused = desk.send(method, &format!("{path}{with}dry-run=true"), &body).await;
        assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
    }
    assert!(fixture.org.linked_account(&"a".parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_router_that_a_host_mounts_below_a_path_takes_queries_and_gives_reasons() {
    let mut fixture = fixture().await;
    fixture.app = axum::Router::new().nest("/vault", fixture.app.clone());
    let key = Desk::with(&fixture, [Right::Read]).await.key;
    let send = async |method: &str, path: &str| {
        let call = fixture.call_at_root(method, &format!("/vault{CONTROL}{path}"));
        call.header("x-api-key", &key).send().await
    };
    for method in ["GET", "HEAD"] {
        assert_eq!(send(method, "/definitions?limit=1").await.status, 200, "{method}");
    }
    let refused = send("GET", "/audit").await;
    assert!(refused.body.contains(r#""reason":"lacks_right""#), "{}", refused.body);
}

#[tokio::test]
async fn each_call_names_the_right_that_a_key_lacks_and_takes_a_key_that_has_it() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.register("a").await;
    for (method, path, body, needed) in calls() {
        let anonymous = fixture.call_at_root(method, &format!("{CONTROL}{path}")).send().await;
        assert_eq!(anonymous.status, 401, "{method} {path}");
        let others = Right::ALL.into_iter().filter(|right| *right != needed);
        Desk::lacks(&Desk::with(&fixture, others).await.send(method, path, &body).await, needed);
        let with_all = Desk::with(&fixture, Right::ALL).await.send(method, path, &body).await;
        assert_ne!(with_all.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn every_described_control_call_is_among_those_that_are_tested() {
    let fixture = fixture().await;
    let description = fixture.call_at_root("GET", "/openapi.json").send().await;
    let description: Value = serde_json::from_str(&description.body).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let described = paths.iter().filter(|(path, _)| path.starts_with(CONTROL));
    let described: usize = described.map(|(_, calls)| calls.as_object().unwrap().len()).sum();
    // Some stand again, with a query; what any key may ask, its own status, is not among them.
    let all = calls();
    let tested: HashSet<_> = all.iter().map(|(method, path, ..)| (method, path.split('?').next())).collect();
    assert_eq!(tested.len() + 1, described);
}

#[tokio::test]
async fn a_key_for_control_calls_makes_no_documented_ones_unless_it_has_that_right_too() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read]).await;
    let documented = fixture.call_anonymously("GET", "/env/definitions").header("x-api-key", &desk.key);
    Desk::lacks(&documented.send().await, Right::Documented);
    let status = desk.get("/status").await;
    assert_eq!(status["rights"], json!(["read"]));
    assert_eq!(status["environment"], "test");
}

#[tokio::test]
async fn plain_text_is_shown_with_the_right_to_reveal_alone_and_each_time_is_noted() {
    let fixture = fixture().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await;
    fixture.org.set_value("SECRET", Scope::Org, "canary").await.unwrap();
    fixture.register("a").await;
    fixture.org.account("a".parse().unwrap()).upsert_credential("k", "canary").await.unwrap();
    let (read, reveal) =
        (Desk::with(&fixture, [Right::Read]).await, Desk::with(&fixture, [Right::Reveal]).await);

    assert_eq!(read.get("/values/SECRET").await["value"], Value::Null);
    assert_eq!(read.get("/resolve").await["values"][0]["value"], Value::Null);
    assert_eq!(read.get("/matrix").await["rows"][0]["cells"][0], json!({"state": "set"}));

    let before = reveals(&fixture).await;
    let shown = reveal.send("GET", "/values/SECRET?reveal=true", &Value::Null).await;
    assert_eq!((shown.field("value").as_str(), shown.header("cache-control")), ("canary", "no-store"));
    assert_eq!(reveal.get("/resolve?reveal=true").await["values"][0]["value"], "canary");
    assert_eq!(reveal.get("/accounts/a/credentials/default-app/k").await["value"], "canary");
    assert_eq!(reveals(&fixture).await, before + 3);
}

#[tokio::test]
async fn a_batch_that_compares_leaves_conditions_to_the_write() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.org.set_value("A", Scope::Org, "here").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    let same = json!({"name": "A", "value": "here"});
    let done = desk.ok("POST", "/values", json!({"values": [same], "compare": true})).await;
    assert_eq!((&done["unchanged"], &done["values"]), (&json!(["A"]), &json!([])));
    // An equal value does not make a false condition hold.
    let stale = json!({"name": "A", "value": "here", "version": "1"});
    let refused = desk.send("POST", "/values", &json!({"values": [stale], "compare": true})).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    // Nor is another value for the same name dropped with it.
    let other = json!({"name": "A", "value": "other"});
    let twice = desk.send("POST", "/values", &json!({"values": [same, other], "compare": true})).await;
    assert!(twice.status == 400 || twice.body.contains("\"updated\""), "{}", twice.body);
}

#[tokio::test]
async fn a_comparison_with_an_encrypted_value_is_noted_also_if_it_differs() {
    let fixture = fixture().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await;
    fixture.org.set_value("SECRET", Scope::Org, "canary").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Write, Right::Reveal]).await;
    let before = reveals(&fixture).await;
    let guess = json!({"values": [{"name": "SECRET", "value": "guess"}], "compare": true, "dry_run": true});
    desk.ok("POST", "/values", guess).await;
    assert_eq!(reveals(&fixture).await, before + 1);
}

#[tokio::test]
async fn a_bound_that_is_not_named_stays() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    desk.ok("POST", "/definitions", json!({"name": "N", "bytes_max": 5})).await;
    let changed = desk.ok("PATCH", "/definitions/N", json!({"bytes_min": 2})).await;
    let definition = &changed["definition"];
    assert_eq!((&definition["bytes_min"], &definition["bytes_max"]), (&json!(2), &json!(5)));
}

#[tokio::test]
async fn a_bound_that_is_null_is_removed() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    for (gone, min, max) in [
        (json!({"bytes_min": null}), json!(0), json!(5)),
        (json!({"bytes_max": null}), json!(2), json!(65_536)),
        (json!({"bytes_min": null, "bytes_max": null}), Value::Null, Value::Null),
    ] {
        let bounded = json!({"name": "N", "bytes_min": 2, "bytes_max": 5});
        desk.ok("POST", "/definitions", bounded).await;
        let changed = desk.ok("PATCH", "/definitions/N", gone).await;
        let definition = &changed["definition"];
        assert_eq!((&definition["bytes_min"], &definition["bytes_max"]), (&min, &max));
        fixture.org.delete_definition("N").await.unwrap();
    }
}

#[tokio::test]
async fn a_null_that_removes_nothing_is_refused() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write, Right::Operate]).await;
    desk.ok("POST", "/definitions", json!({"name": "N"})).await;
    let of_definition = [
        "name",
        "var_format",
        "scopes",
        "required",
        "encrypted",
        "history_versions",
        "history_age_secs",
        "keep_mismatched",
        "dry_run",
    ];
    let of_settings = ["audit", "generations"];
    let fields = of_definition.map(|field| ("/definitions/N", field)).into_iter();
    for (path, field) in fields.chain(of_settings.map(|field| ("/settings", field))) {
        let refused = desk.send("PATCH", path, &json!({field: null})).await;
        assert_eq!(refused.status, 400, "{field}");
        assert!(refused.body.contains(&format!("{field} has the wrong type")), "{}", refused.body);
    }
}

/// How many times the audit says that something was shown.
async fn reveals(fixture: &Fixture) -> usize {
    let events = fixture.org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await.unwrap().items;
    let kinds = [EventKind::ValueRead, EventKind::CredentialRead];
    events.iter().flat_map(|event| &event.changes).filter(|change| kinds.contains(&change.kind)).count()
}

#[tokio::test]
async fn a_narrowed_key_sees_and_changes_nothing_else() {
    let fixture = fixture().await;
    for name in ["SMTP_HOST", "JWT"] {
        fixture.define_string(name).await;
        fixture.org.set_value(name, Scope::Org, "x").await.unwrap();
    }
    fixture.register("a").await;
    fixture.register("b").await;
    let names = Desk::granted(
        &fixture,
        Grant::of([Right::Read, Right::Write, Right::Reveal]).only_names(["SMTP_*"]).unwrap(),
    )
    .await;
    assert_eq!(names.get("/definitions").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(names.get("/values").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(names.get("/resolve?reveal=true").await["values"].as_array().unwrap().len(), 1);
    assert_eq!(names.get("/matrix").await["rows"].as_array().unwrap().len(), 1);
    let elsewhere = "this API key has the right write only for other names or accounts";
    let put = names.send("PUT", "/values/JWT", &json!({"value": "y"})).await;
    put.is_error(403, "BAD_REQUEST", "SERVER_ERROR", elsewhere);
    let batch = json!({"values": [{"name": "SMTP_HOST", "value": "y"}, {"name": "JWT", "value": "y"}]});
    names.send("POST", "/values", &batch).await.is_error(403, "BAD_REQUEST", "SERVER_ERROR", elsewhere);

    let a: LinkedAccountId = "a".parse().unwrap();
    let account =
        Desk::granted(&fixture, Grant::of([Right::Read, Right::Write]).only_accounts([a]).unwrap()).await;
    account.ok("PUT", "/values/JWT", json!({"value": "y", "linked_account_id": "a"})).await;
    let found = account.get("/resolve?linked_account_id=a").await;
    assert_eq!(found["values"].as_array().unwrap().len(), 2, "with what it inherits");
    for path in ["/resolve", "/resolve?linked_account_id=b", "/values", "/accounts/b", "/usage"] {
        assert_eq!(account.send("GET", path, &Value::Null).await.status, 403, "{path}");
    }
    assert_eq!(account.get("/accounts").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(account.get("/matrix").await["columns"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_for_one_account_uses_no_credential_of_another() {
    let fixture = fixture().await;
    for account in ["a", "b"] {
        fixture.register(account).await;
        fixture.org.account(account.parse().unwrap()).upsert_credential("k", "v").await.unwrap();
    }
    let grant = Grant::of([Right::Read, Right::Write, Right::Reveal]);
    let desk = Desk::granted(&fixture, grant.only_accounts(["a".parse().unwrap()]).unwrap()).await;
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("GET", "/k", Value::Null),
        ("GET", "/k/history", Value::Null),
        ("PUT", "/k", json!({"value": "w"})),
        ("DELETE", "/k", Value::Null),
        ("POST", "/k/undo", json!({})),
    ] {
        let credentials = |account| format!("/accounts/{account}/credentials/default-app{path}");
        let refused = desk.send(method, &credentials("b"), &body).await;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.body);
        desk.ok(method, &credentials("a"), body).await;
    }
}

#[tokio::test]
async fn a_key_narrowed_to_names_gives_no_variable_another_name() {
    let fixture = fixture().await;
    fixture.define_string("SMTP_HOST").await;
    let grant = Grant::of([Right::Read, Right::Write]).only_names(["SMTP_*"]).unwrap();
    let desk = Desk::granted(&fixture, grant).await;
    let refused = desk.send("PATCH", "/definitions/SMTP_HOST", &json!({"name": "JWT_SECRET"})).await;
    let elsewhere = "this API key has the right write only for other names or accounts";
    refused.is_error(403, "BAD_REQUEST", "SERVER_ERROR", elsewhere);
    desk.ok("PATCH", "/definitions/SMTP_HOST", json!({"name": "SMTP_SERVER"})).await;
}

#[tokio::test]
async fn a_key_narrowed_to_an_account_defines_nothing() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let grant = Grant::of([Right::Write]).only_accounts(["a".parse().unwrap()]).unwrap();
    let desk = Desk::granted(&fixture, grant).await;
    let batch = json!({"linked_account_id": "a", "definitions": [{"name": "A"}], "values": []});
    for (path, body) in [("/definitions", json!({"name": "A"})), ("/values", batch)] {
        assert_eq!(desk.send("POST", path, &body).await.status, 403, "{path}");
    }
    assert!(fixture.org.definition("A").await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_of_format_says_which_values_stand_in_its_way_and_writes_nothing_then() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    desk.ok("POST", "/definitions", json!({"name": "PORT", "scopes": ["org", "linked_account"]})).await;
    desk.ok("PUT", "/values/PORT", json!({"value": "http"})).await;
    let change = json!({"var_format": "integer", "description": "where to listen"});
    let refused = desk.ok("PATCH", "/definitions/PORT", change.clone()).await;
    assert_eq!(refused["applied"], false);
    assert_eq!(
        (&refused["refused"][0]["scope"], refused["refused"].as_array().unwrap().len()),
        (&json!("org"), 1)
    );
    assert_eq!(desk.get("/definitions/PORT").await["var_format"], "string");

    desk.ok("PUT", "/values/PORT", json!({"value": "80"})).await;
    let mut dry = change.clone();
    dry["dry_run"] = json!(true);
    assert_eq!(desk.ok("PATCH", "/definitions/PORT", dry).await["applied"], false);
    let changed = desk.ok("PATCH", "/definitions/PORT", change).await;
    assert_eq!(changed["definition"]["var_format"], "integer");
    assert_eq!(changed["definition"]["description"], "where to listen");
    let narrowed = desk.ok("PATCH", "/definitions/PORT", json!({"scopes": ["workflow"]})).await;
    assert_eq!((&narrowed["applied"], &narrowed["refused"][0]["scope"]), (&json!(false), &json!("org")));
}

#[tokio::test]
async fn a_change_of_format_is_not_made_if_what_comes_with_it_is_refused() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    desk.ok("POST", "/definitions", json!({"name": "TAKEN"})).await;
    desk.ok("POST", "/definitions", json!({"name": "PORT", "default": "http"})).await;
    for other in [
        json!({"name": "TAKEN", "default": "80"}),
        json!({"description": "x".repeat(2_000), "default": "80"}),
        json!({"encrypted": true, "default": "80"}),
    ] {
        let mut change = other.clone();
        change["var_format"] = json!("integer");
        assert_eq!(desk.send("PATCH", "/definitions/PORT", &change).await.status, 400, "{other}");
        let left = desk.get("/definitions/PORT").await;
        assert_eq!((&left["var_format"], &left["default"]), (&json!("string"), &json!("http")), "{other}");
    }
    for (default, format) in [(json!("80"), "integer"), (Value::Null, "url")] {
        let change = json!({"var_format": format, "default": default, "encrypted": default.is_null()});
        let changed = desk.ok("PATCH", "/definitions/PORT", change).await["definition"].take();
        assert_eq!((&changed["var_format"], &changed["default"]), (&json!(format), &default));
    }
}

#[tokio::test]
async fn a_batch_is_written_as_a_whole_or_says_what_is_refused() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    let batch = |port: &str| {
        json!({"definitions": [{"name": "PORT", "var_format": "integer"}, {"name": "HOST"}],
               "values": [{"name": "HOST", "value": "h"}, {"name": "PORT", "value": port}]})
    };
    let refused = desk.ok("POST", "/values", batch("http")).await;
    assert_eq!((&refused["applied"], &refused["refused"][0]["name"]), (&json!(false), &json!("PORT")));
    assert_eq!(desk.get("/definitions").await["items"], json!([]));
    let done = desk.ok("POST", "/values", batch("80")).await;
    assert_eq!((&done["applied"], &done["defined"]), (&json!(true), &json!(2)));
    assert_eq!(desk.get("/values/PORT").await["value"], "80");
    // A version that is no longer the present one refuses all of it.
    let stale =
        json!({"values": [{"name": "HOST", "value": "i"}, {"name": "PORT", "value": "81", "version": ""}]});
    assert_eq!(desk.send("POST", "/values", &stale).await.status, 400);
    assert_eq!(desk.get("/values/HOST").await["value"], "h");
}

#[tokio::test]
async fn a_dry_run_refuses_what_the_write_would_refuse_of_a_new_definition() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    for definition in [json!({"name": "A", "bytes_max": 2}), json!({"name": "A", "scopes": ["workflow"]})] {
        let batch =
            json!({"definitions": [definition], "values": [{"name": "A", "value": "abc"}], "dry_run": true});
        let tried = desk.ok("POST", "/values", batch).await;
        assert_eq!(tried["refused"][0]["name"], "A", "{tried}");
    }
}

#[tokio::test]
async fn a_key_that_may_only_write_learns_nothing_of_values_by_trying_changes() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.org.set_value("A", Scope::Org, "hunter2").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Write]).await;
    for change in [
        json!({"dry_run": true}),
        json!({"dry_run": true, "var_format": {"pattern": {"pattern": "h.*"}}}),
        json!({"dry_run": true, "scopes": ["workflow"]}),
    ] {
        let refused = desk.send("PATCH", "/definitions/A", &change).await;
        assert!(refused.status == 403 && refused.body.contains("right read"), "{change}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_custom_format_is_named_as_responses_name_it() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    for (format, said) in [
        (json!("custom:iban"), "not registered"),
        (json!({"custom": "iban"}), "not registered"),
        (json!("custom:Iban"), "var_format has the wrong type"),
    ] {
        let refused = desk.send("POST", "/definitions", &json!({"name": "IBAN", "var_format": format})).await;
        assert!(refused.status == 400 && refused.body.contains(said), "{format}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_value_has_a_history_and_comes_back() {
    let fixture = fixture().await;
    fixture.define_string("PORT").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    let first = desk.ok("PUT", "/values/PORT", json!({"value": "80"})).await;
    desk.ok("PUT", "/values/PORT", json!({"value": "81", "note": "80 is taken"})).await;
    let history = desk.get("/values/PORT/history").await;
    assert_eq!(
        (&history["items"][0]["state"], &history["items"][0]["note"]),
        (&json!("current"), &json!("80 is taken"))
    );
    assert_eq!(
        (&history["items"][1]["state"], &history["items"][1]["version"]),
        (&json!("former"), &first["version"])
    );
    assert!(history["items"][0]["author"].as_str().unwrap().starts_with("api-key:"));

    let undone = desk.ok("POST", "/values/PORT/undo", json!({})).await;
    assert_eq!(undone["restored"], first["version"]);
    assert_eq!(desk.get("/values/PORT").await["value"], "80");
    desk.ok("DELETE", "/values/PORT", Value::Null).await;
    assert_eq!(desk.send("GET", "/values/PORT", &Value::Null).await.status, 404);
    desk.ok("POST", "/values/PORT/restore", json!({"version": first["version"]})).await;
    assert_eq!(desk.get("/values/PORT").await["value"], "80");
}

#[tokio::test]
async fn a_credential_has_a_history_and_comes_back_with_the_right_to_write_and_is_not_shown() {
    let fixture = fixture().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    let shows = Desk::with(&fixture, [Right::Reveal]).await;
    desk.ok("PUT", "/accounts/a/connections/crm/work", Value::Null).await;
    for (app, connection) in [("default-app", None), ("crm", Some("work"))] {
        let path = format!("/accounts/a/credentials/{app}/token");
        let asked = connection.map_or(String::new(), |id| format!("?connection={id}"));
        let value = async || shows.get(&format!("{path}{asked}")).await["value"].clone();
        let with = |mut body: Value| {
            if let Some(id) = connection {
                body["connection"] = json!(id);
            }
            body
        };
        for value in ["t1", "t2", "t3"] {
            desk.ok("PUT", &path, with(json!({"value": value}))).await;
        }
        let history = desk.get(&format!("{path}/history{asked}")).await;
        let states: Vec<_> = history["items"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["current", "former", "former"]);
        assert!(history["items"][0]["author"].as_str().unwrap().starts_with("api-key:"));

        let undone = desk.ok("POST", &format!("{path}/undo"), with(json!({}))).await;
        assert_eq!(undone["restored"], history["items"][1]["version"]);
        assert_eq!(value().await, "t2");
        let first = &history["items"][2]["version"];
        let restored = desk.ok("POST", &format!("{path}/restore"), with(json!({"version": first}))).await;
        assert_eq!(value().await, "t1");
        desk.ok("DELETE", &format!("{path}{asked}"), Value::Null).await;
        let back = desk.ok("POST", &format!("{path}/undo"), with(json!({}))).await;
        assert_eq!((&back["restored"], value().await), (&restored["version"], json!("t1")));
        let answers = [&history, &undone, &restored, &back].map(Value::to_string).concat();
        assert!(!answers.contains("t1") && !answers.contains("t2"), "{answers}");

        let purge = format!("{path}?purge=true{}", asked.replace('?', "&"));
        desk.ok("DELETE", &purge, Value::Null).await;
        assert_eq!(desk.send("POST", &format!("{path}/undo"), &with(json!({}))).await.status, 404);
        assert_eq!(desk.get(&format!("{path}/history{asked}")).await["items"], json!([]));
        assert_eq!(desk.send("DELETE", &purge, &Value::Null).await.status, 404);
    }
    let events = fixture.org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await.unwrap().items;
    let of = |kind| {
        let changes = events.iter().flat_map(|event| &event.changes);
        changes.filter(|change| change.kind == kind && change.name.as_deref() == Some("token")).count()
    };
    assert_eq!(of(EventKind::CredentialSet), 2 * (3 + 3));
    assert_eq!(of(EventKind::CredentialDeleted), 2 * 2);

    let narrow =
        Desk::granted(&fixture, Grant::of([Right::Read, Right::Write]).only_names(["OTHER"]).unwrap()).await;
    let token = "/accounts/a/credentials/default-app/token";
    assert_eq!(narrow.send("GET", &format!("{token}/history"), &Value::Null).await.status, 403);
    assert_eq!(narrow.send("POST", &format!("{token}/undo"), &json!({})).await.status, 403);
}

#[tokio::test]
async fn a_deleted_credential_comes_back_with_the_expiry_that_it_had() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let app = fixture.org.account("a".parse().unwrap()).app("default-app".parse().unwrap());
    let at = Timestamp::from_ms(4_000_000_000_000);
    app.upsert_with("token", "t", WriteOptions::default().expires_at(at)).await.unwrap();
    let desk = Desk::with(&fixture, [Right::Write]).await;
    let path = "/accounts/a/credentials/default-app/token";
    desk.ok("DELETE", path, Value::Null).await;
    desk.ok("POST", &format!("{path}/undo"), json!({})).await;
    assert_eq!(app.get("token").await.unwrap().unwrap().info.metadata.expires_at(), Some(at));
}

#[tokio::test]
async fn a_former_version_is_shown_only_with_the_right_to_reveal_and_noted_with_its_number() {
    let fixture = fixture().await;
    fixture.define_string("PORT").await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    let credential = "/accounts/a/credentials/default-app/token";
    for path in ["/values/PORT", credential] {
        for value in ["former", "present"] {
            desk.ok("PUT", path, json!({"value": value})).await;
        }
        let history = desk.get(&format!("{path}/history")).await;
        let version = history["items"][1]["version"].as_str().unwrap().to_owned();
        let before = reveals(&fixture).await;
        let shown = desk.send("GET", &format!("{path}?version={version}"), &Value::Null).await;
        assert_eq!((shown.field("value").as_str(), shown.header("cache-control")), ("former", "no-store"));
        assert_eq!(reveals(&fixture).await, before + 1);
        let noted = desk.get("/audit?newest_first=true&limit=1").await["items"][0]["changes"][0].clone();
        assert_eq!(noted["version_before"], json!(version), "{noted}");
        let narrow = Grant::of([Right::Reveal]).only_names(["OTHER"]).unwrap();
        let narrow = Desk::granted(&fixture, narrow).await;
        assert_eq!(narrow.send("GET", &format!("{path}?version={version}"), &Value::Null).await.status, 403);
        for (absent, status) in [("99", 404), ("x", 400), ("", 400), ("1&reveal=false", 400)] {
            let asked = desk.send("GET", &format!("{path}?version={absent}"), &Value::Null).await;
            assert_eq!(asked.status, status, "{absent}: {}", asked.body);
        }
    }
    let reads = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    Desk::lacks(&reads.send("GET", "/values/PORT?version=1", &Value::Null).await, Right::Reveal);
}

#[tokio::test]
async fn the_matrix_shows_what_is_set_inherited_overridden_and_missing() {
    let fixture = fixture().await;
    let string = |name| VariableDefinition::new(name, VarFormat::String);
    fixture.define(string("API_BASE_URL").default_value("http://localhost")).await;
    fixture.define(string("REGION").required()).await;
    fixture.define(string("NOTE")).await;
    for account in ["user_1", "user_2"] {
        fixture.register(account).await;
    }
    let user_1 = Scope::LinkedAccount("user_1".parse().unwrap());
    fixture.org.set_value("API_BASE_URL", Scope::Org, "https://org.example").await.unwrap();
    fixture.org.set_value("API_BASE_URL", &user_1, "https://own.example").await.unwrap();
    fixture.org.set_value("REGION", &user_1, "eu").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Read]).await;

    let matrix = desk.get("/matrix?search=a").await;
    let columns = matrix["columns"].as_array().unwrap();
    let place = columns.iter().position(|column| column["linked_account_id"] == "user_1").unwrap();
    let other = columns.iter().position(|column| column["linked_account_id"] == "user_2").unwrap();
    let row = &matrix["rows"][0];
    assert_eq!(row["name"], "API_BASE_URL");
    assert_eq!(
        row["cells"][place],
        json!({"state": "set", "value": "https://own.example", "overrides": ["org", "default"]})
    );
    assert_eq!(row["cells"][other]["state"], "inherited");
    assert_eq!(row["cells"][other]["value"], "https://org.example");

    let missing = desk.get("/matrix?missing=true").await;
    assert_eq!(missing["rows"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&missing["rows"][0]["name"], &missing["rows"][0]["cells"][0]["state"]),
        (&json!("REGION"), &json!("missing"))
    );
    // Both rows and columns continue where they ended.
    let first = desk.get("/matrix?limit=2&columns=1").await;
    assert_eq!((first["rows"].as_array().unwrap().len(), first["columns"].as_array().unwrap().len()), (2, 2));
    let (rows, columns) = (first["next"].as_str().unwrap(), first["next_columns"].as_str().unwrap());
    let rest = desk.get(&format!("/matrix?limit=2&columns=1&after={rows}&columns_after={columns}")).await;
    assert_eq!(rest["rows"].as_array().unwrap().len(), 1);
    assert_ne!(rest["columns"][1], first["columns"][1]);
}

#[tokio::test]
async fn a_wrong_size_or_place_of_a_page_is_refused_by_its_name() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read]).await;
    for (query, why) in [
        ("limit=0", "limit must be a number from 1 to 200"),
        ("columns=51", "columns must be a number from 1 to 50"),
        ("after=x", "after is not the next of a page"),
        ("columns_after=x", "columns_after is not the next of a page"),
    ] {
        let refused = desk.send("GET", &format!("/matrix?{query}"), &Value::Null).await;
        assert!(refused.status == 400 && refused.body.contains(&format!("\"{why}\"")), "{}", refused.body);
    }
}

#[tokio::test]
async fn a_list_from_a_cursor_shows_all_whatever_is_deleted_meanwhile() {
    let fixture = fixture().await;
    for number in 0..12 {
        fixture.register(&format!("user_{number:02}")).await;
    }
    let desk = Desk::with(&fixture, [Right::Read]).await;
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/accounts?limit=4".to_owned();
    loop {
        let page = desk.get(&path).await;
        let ids = page["items"].as_array().unwrap().iter();
        let ids: Vec<String> =
            ids.map(|item| item["linked_account_id"].as_str().unwrap().to_owned()).collect();
        // What was shown goes: with page numbers, the next page would skip as many.
        for id in &ids {
            fixture.org.delete_account(&id.parse().unwrap()).await.unwrap();
        }
        seen.extend(ids);
        match page["next"].as_str() {
            Some(next) => path = format!("/accounts?limit=4&after={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, (0..12).map(|number| format!("user_{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_key_makes_only_keys_that_may_do_no_more_and_is_replaced_with_a_grace() {
    let fixture = Fixture::new().await;
    let desk = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    let more = desk.send("POST", "/api-keys", &json!({"name": "n", "rights": ["read", "operate"]})).await;
    Desk::lacks(&more, Right::Operate);
    Desk::lacks(&desk.send("POST", "/api-keys", &json!({"name": "n"})).await, Right::Documented);
    let wrong = desk.send("POST", "/api-keys", &json!({"name": "n", "rights": ["all"]})).await;
    wrong.is_bad_request("a right is documented, read, write, reveal, admin or operate");

    let made = desk.ok("POST", "/api-keys", json!({"name": "n", "rights": ["read"], "names": ["A"]})).await;
    let old = Desk { fixture: &fixture, key: made["api_key"].as_str().unwrap().to_owned() };
    old.get("/definitions").await;
    let path = format!("/api-keys/{}/rotate", made["id"].as_str().unwrap());
    let next = desk.ok("POST", &path, json!({"grace_secs": 60})).await;
    assert_eq!((&next["names"], &next["rights"]), (&json!(["A"]), &json!(["read"])));
    let new = Desk { fixture: &fixture, key: next["api_key"].as_str().unwrap().to_owned() };
    new.get("/definitions").await;
    old.get("/definitions").await;
    fixture.clock.forward(61);
    assert_eq!(old.send("GET", "/definitions", &Value::Null).await.status, 401);
    new.get("/definitions").await;
    // A key of a higher power is no way to one: it cannot be replaced by who has less.
    let listed = desk.get("/api-keys").await;
    let first = listed["items"].as_array().unwrap().iter().find(|key| key["rights"] == json!(["documented"]));
    let path = format!("/api-keys/{}/rotate", first.unwrap()["id"].as_str().unwrap());
    assert_eq!(desk.send("POST", &path, &json!({})).await.status, 403);
}

#[tokio::test]
async fn a_revoked_key_names_the_keys_that_it_made_and_takes_them_along_if_that_is_asked() {
    let fixture = Fixture::new().await;
    let desk = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    let made_with = async |by: &Desk<'_>| {
        let made = by.ok("POST", "/api-keys", json!({"name": "n", "rights": ["admin", "read"]})).await;
        let key = made["api_key"].as_str().unwrap().to_owned();
        (made["id"].as_str().unwrap().to_owned(), Desk { fixture: &fixture, key })
    };
    let (leaked, with_leaked) = made_with(&desk).await;
    let (other, with_other) = made_with(&desk).await;
    let (child, with_child) = made_with(&with_leaked).await;
    let (grandchild, with_grandchild) = made_with(&with_child).await;
    // What stood between the two is no longer there.
    with_child.ok("DELETE", &format!("/api-keys/{child}"), Value::Null).await;
    let path = format!("/api-keys/{grandchild}/rotate");
    let replaced = with_grandchild.ok("POST", &path, json!({"grace_secs": 60})).await;

    let path = format!("/api-keys/{leaked}");
    let revoked = desk.ok("DELETE", &path, Value::Null).await;
    let names = |answer: &Value| {
        let children = answer["children"].as_array().unwrap().iter();
        children.map(|key| key["id"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let made = [grandchild, replaced["id"].as_str().unwrap().to_owned()].into();
    assert_eq!((names(&revoked), &revoked["children_deleted"]), (made, &json!(false)));
    assert_eq!(with_grandchild.send("GET", "/definitions", &Value::Null).await.status, 200);
    assert_eq!(desk.send("DELETE", &path, &Value::Null).await.status, 404);

    fixture.register("a").await;
    let token = fixture.token("a").await;
    let too = format!("{path}?with_children=true&with_sessions=true");
    let revoked = desk.ok("DELETE", &too, Value::Null).await;
    assert_eq!((names(&revoked).len(), &revoked["children_deleted"]), (2, &json!(true)));
    assert_eq!(revoked["sessions_ended"], 1);
    assert_eq!(fixture.call_with_token(&token, "GET", "/linked-account/a").send().await.status, 401);
    assert_eq!(with_grandchild.send("GET", "/definitions", &Value::Null).await.status, 401);
    with_other.get("/definitions").await;
    assert_eq!(desk.ok("DELETE", &format!("/api-keys/{other}"), Value::Null).await["children"], json!([]));
    // As after an answer that was lost: the key is gone, and what it issued is not.
    let token = fixture.token("a").await;
    let again = desk.ok("DELETE", &format!("{path}?with_sessions=true"), Value::Null).await;
    assert_eq!((&again["deleted"], &again["sessions_ended"]), (&json!(false), &json!(1)));
    assert_eq!(fixture.call_with_token(&token, "GET", "/linked-account/a").send().await.status, 401);
}

#[tokio::test]
async fn a_long_chain_of_keys_is_revoked_with_its_first_one() {
    let fixture = fixture().await;
    let root = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    let (mut ids, mut last) = (Vec::new(), root.key.clone());
    for _ in 0..70 {
        let desk = Desk { fixture: &fixture, key: last };
        let made = desk.ok("POST", "/api-keys", json!({"name": "n", "rights": ["admin", "read"]})).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
        last = made["api_key"].as_str().unwrap().to_owned();
    }
    let last = Desk { fixture: &fixture, key: last };
    last.get("/definitions").await;
    let first = format!("/api-keys/{}?with_children=true", ids[0]);
    let revoked = root.ok("DELETE", &first, Value::Null).await;
    assert_eq!(revoked["children"].as_array().unwrap().len(), ids.len() - 1);
    assert_eq!(last.send("GET", "/definitions", &Value::Null).await.status, 401);
}

#[tokio::test]
async fn a_key_shows_the_day_on_which_it_was_last_used() {
    let fixture = Fixture::new().await;
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    let last_used = async || {
        loop {
            // It is noted beside the request, so it may take a moment.
            let listed = desk.get("/api-keys").await;
            let keys = listed["items"].as_array().unwrap();
            let own = keys.iter().find(|key| key["rights"] == json!(["admin"])).unwrap();
            if let Some(day) = own["last_used"].as_str() {
                return day.to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(last_used().await, "2023-11-14");
}

#[tokio::test]
async fn the_sessions_of_an_account_are_listed_and_end_one_by_one() {
    let fixture = Fixture::new().await;
    for account in ["a", "b"] {
        fixture.register(account).await;
    }
    let (first, of_b) = (fixture.token("a").await, fixture.token("b").await);
    let issue = fixture.call("POST", "/session-token?force_refresh=true");
    let other: String = issue.json(r#"{"linked_account_id":"a"}"#).await.field("token");
    let desk = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    let listed = desk.get("/accounts/a/sessions").await["items"].take();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    let oldest = ids[0];
    assert!(listed[0]["issued_at"].as_str() < listed[0]["expires_at"].as_str());
    for token in [&first, &other] {
        assert!(!listed.to_string().contains(token.as_str()));
    }

    let under_b = desk.send("DELETE", &format!("/accounts/b/sessions/{oldest}"), &Value::Null).await;
    assert_eq!(under_b.status, 404);
    assert_eq!(desk.ok("DELETE", &format!("/accounts/a/sessions/{oldest}"), Value::Null).await["revoked"], 1);
    let status = async |token: &str| {
        fixture.call_with_token(token, "GET", "/session/active-linked-account").send().await.status.as_u16()
    };
    assert_eq!((status(&first).await, status(&other).await, status(&of_b).await), (401, 200, 200));
    assert_eq!(desk.get("/accounts/a/sessions").await["items"].as_array().unwrap().len(), 1);
    // The list is a hint: one that a store does not show keeps no session from its end.
    let lists = fixture.org.reserved_records("account-session".parse().unwrap());
    assert!(lists.delete(&"a".parse().unwrap()).await.unwrap());
    assert_eq!(
        desk.ok("DELETE", &format!("/accounts/a/sessions/{}", ids[1]), Value::Null).await["revoked"],
        1
    );
    assert_eq!((status(&other).await, status(&of_b).await), (401, 200));
}

#[tokio::test]
async fn all_sessions_of_an_account_or_of_the_org_end() {
    let fixture = Fixture::new().await;
    for account in ["a", "b"] {
        fixture.register(account).await;
    }
    let (a, b) = (fixture.token("a").await, fixture.token("b").await);
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    assert_eq!(desk.ok("POST", "/accounts/a/revoke-sessions", Value::Null).await["revoked"], 1);
    let status = async |token: &str| {
        fixture.call_with_token(token, "GET", "/session/active-linked-account").send().await.status
    };
    assert_eq!((status(&a).await.as_u16(), status(&b).await.as_u16()), (401, 200));
    assert_eq!(desk.ok("POST", "/revoke-sessions", Value::Null).await["revoked"], 1);
    assert_eq!(status(&b).await, 401);
}

/// A store that takes so many batches and no more.
#[derive(Debug)]
struct Stopped(Arc<MemoryStore>, AtomicUsize);

#[async_trait]
impl Store for Stopped {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.0.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        let took = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if took.is_err() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "stopped"));
        }
        self.0.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Where a call is asked about account `a`.
fn at_account(path: &str) -> String {
    let takes_it = ["/values", "/resolve", "/explain", "/matrix"].iter().any(|start| path.starts_with(start));
    match (takes_it, path.contains('?')) {
        (true, true) => format!("{path}&linked_account_id=a"),
        (true, false) => format!("{path}?linked_account_id=a"),
        (false, _) => path.to_owned(),
    }
}

#[tokio::test]
async fn an_account_that_was_shredded_elsewhere_is_gone_for_every_call_whatever_the_store_shows() {
    for (is_cut_off, is_hidden) in [(true, false), (true, true), (false, false), (false, true)] {
        let store = Arc::new(MemoryStore::new());
        let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = VaultOptions::default().create(Arc::clone(&store), unlock()).await.unwrap();
        let fixture = Fixture::over(vault, ServiceOptions::default()).await;
        fixture.define_string("A").await;
        fixture.register("a").await;
        let token = fixture.token("a").await;
        let desk = Desk::with(&fixture, Right::ALL).await;
        desk.ok("PUT", "/values/A", json!({"value": "x", "linked_account_id": "a"})).await;
        desk.ok("PUT", "/accounts/a/credentials/default-app/k", json!({"value": "x"})).await;
        let before = rows(&store).await;
        let org = support::ORG.parse::<strongroom::OrgId>().unwrap();
        let mut batch = WriteBatch::default();
        if is_hidden {
            // The keyring of the account, and not the index row of its value, whose key is longer.
            let of_account =
                before.iter().map(|(key, _)| key).filter(|key| key.as_bytes().ends_with(b"\x01a\0"));
            batch.delete(of_account.min_by_key(|key| key.as_bytes().len()).unwrap().clone());
        }
        store.commit(Arc::new(batch)).await.unwrap();
        let stopped = Stopped(Arc::clone(&store), AtomicUsize::new(if is_cut_off { 1 } else { 100 }));
        let other = Vault::open(stopped, unlock()).await.unwrap();
        let shred =
            other.org(org, fixture.org.environment().clone()).shred_account(&"a".parse().unwrap()).await;
        assert_eq!(shred.is_err(), is_cut_off);
        if !is_cut_off {
            fixture.vault.slots().list().await.unwrap();
            let mut batch = WriteBatch::default();
            let of_org = before.into_iter().filter(|(key, _)| key.as_bytes().starts_with(&[1]));
            of_org.for_each(|(key, row)| batch.put(key, row));
            store.commit(Arc::new(batch)).await.unwrap();
        }

        let answer = fixture.call_with_token(&token, "GET", "/session/active-linked-account").send().await;
        assert_eq!(answer.status, 401);
        for (method, path, body, _) in calls() {
            let path = if method == "GET" { at_account(path) } else { path.to_owned() };
            let answer = desk.send(method, &path, &body).await;
            assert!(
                answer.status.as_u16() < 500,
                "{is_cut_off} {is_hidden} {method} {path}: {}",
                answer.body
            );
            assert!(!path.starts_with("/accounts/a/c") || answer.status == 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn sessions_that_the_store_hid_while_all_were_ended_are_ended_when_it_shows_them_again() {
    // Once more in the same second: what is issued in between is of the next one.
    for (path, is_again) in ENDINGS.into_iter().flat_map(|path| [(path, false), (path, true)]) {
        let store = Arc::new(MemoryStore::new());
        let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = VaultOptions::default().create(Arc::clone(&store), unlock()).await.unwrap();
        let fixture = Fixture::over(vault, ServiceOptions::default()).await;
        let desk = Desk::with(&fixture, [Right::Admin]).await;
        fixture.register("a").await;
        let _made_the_signing_key = fixture.token("a").await;
        fixture.register("b").await;
        if is_again {
            desk.ok("POST", path, Value::Null).await;
        }
        let before = rows(&store).await;
        let token = |account: &'static str| {
            let body = format!(r#"{{"linked_account_id":"{account}"}}"#);
            let call = fixture.call("POST", "/session-token?force_refresh=true");
            async move { call.json(&body).await.field("token") }
        };
        let first = token("a").await;
        let mut hidden = rows(&store).await;
        hidden.retain(|row| !before.contains(row));
        let mut batch = WriteBatch::default();
        hidden.iter().for_each(|(key, _)| batch.delete(key.clone()));
        store.commit(Arc::new(batch)).await.unwrap();

        desk.ok("POST", path, Value::Null).await;
        let mut batch = WriteBatch::default();
        hidden.into_iter().for_each(|(key, row)| batch.put(key, row));
        store.commit(Arc::new(batch)).await.unwrap();
        let status = async |token: &str| {
            let call = fixture.call_with_token(token, "GET", "/session/active-linked-account");
            call.send().await.status.as_u16()
        };
        assert_eq!(status(&first).await, 401, "{path} {is_again}");
        assert_eq!(desk.get("/accounts/a/sessions").await["items"], json!([]));
        for account in ["a", "b"] {
            assert_eq!(status(&token(account).await).await, 200, "a new one");
        }
    }
}

const ENDINGS: [&str; 2] = ["/accounts/a/revoke-sessions", "/revoke-sessions"];

/// What `fixture` answers a request with `token`.
async fn status_of(fixture: &Fixture, token: &str) -> u16 {
    fixture.call_with_token(token, "GET", "/session/active-linked-account").send().await.status.as_u16()
}

/// Up to which second sessions were ended at `path`, as the store has it.
async fn noted(fixture: &Fixture, path: &str) -> u64 {
    let is_of_one = path.starts_with("/accounts");
    let (namespace, key) =
        if is_of_one { ("account-session", "a") } else { ("signing-key", "sessions-ended") };
    let records = fixture.org.records(namespace.parse().unwrap());
    let record = records.get(&key.parse().unwrap()).await.unwrap().expect("a note");
    let noted: Value = serde_json::from_str(record.value.expose()).unwrap();
    if is_of_one { &noted["ended"] } else { &noted }.as_u64().unwrap()
}

#[tokio::test]
async fn what_another_server_issues_after_sessions_were_ended_is_later_than_that() {
    for path in ENDINGS {
        for is_behind in [0, 60] {
            let here = Fixture::new().await;
            here.register("a").await;
            let first = here.token("a").await;
            let there = here.beside().await;
            here.clock.forward(is_behind);
            Desk::with(&here, [Right::Admin]).await.ok("POST", path, Value::Null).await;
            let token = there.token("a").await;
            assert_eq!(there.token("a").await, token, "it is used again");
            for server in [&here, &there] {
                assert_eq!(status_of(server, &token).await, 200, "{path} {is_behind}");
                assert_eq!(status_of(server, &first).await, 401, "{path} {is_behind}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_was_hidden_from_who_ended_it_elsewhere_ends_once_one_is_issued() {
    let store = Arc::new(MemoryStore::new());
    let unlock = || Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = VaultOptions::default().create(Arc::clone(&store), unlock()).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    fixture.register("a").await;
    fixture.token("a").await;
    let before = rows(&store).await;
    let forced = fixture.call("POST", "/session-token?force_refresh=true");
    let hidden_token = forced.json(r#"{"linked_account_id":"a"}"#).await.field("token");
    let is_new = |key: &Key| before.iter().all(|(old, _)| old != key);
    let hidden: Vec<_> = rows(&store).await.into_iter().filter(|(key, _)| is_new(key)).collect();
    let mut batch = WriteBatch::default();
    hidden.iter().for_each(|(key, _)| batch.delete(key.clone()));
    store.commit(Arc::new(batch)).await.unwrap();
    let beside = Vault::open(Arc::clone(&store), unlock()).await.unwrap();
    let org = beside.org(*fixture.org.id(), fixture.org.environment().clone());
    OpenSessions::of(&org).unwrap().end_of(&"a".parse().unwrap()).await.unwrap();
    let mut batch = WriteBatch::default();
    hidden.into_iter().for_each(|(key, row)| batch.put(key, row));
    store.commit(Arc::new(batch)).await.unwrap();

    let token = fixture.token("a").await;
    assert_ne!(token, hidden_token);
    assert_eq!((status_of(&fixture, &token).await, status_of(&fixture, &hidden_token).await), (200, 401));
}

#[tokio::test]
async fn a_note_of_a_clock_that_ran_ahead_counts_once_its_time_has_come() {
    for path in ENDINGS {
        let here = Fixture::new().await;
        here.register("a").await;
        let ended = here.token("a").await;
        let ahead = here.beside().await;
        ahead.clock.forward(3_600);
        Desk::with(&ahead, [Right::Admin]).await.ok("POST", path, Value::Null).await;
        for server in [&here, &here.beside().await] {
            let token = server.token("a").await;
            assert_eq!(
                (status_of(server, &token).await, status_of(server, &ended).await),
                (200, 401),
                "{path}"
            );
        }
        let before = here.token("a").await;
        here.clock.forward(3_600 - 60);
        let token = here.token("a").await;
        assert_eq!((status_of(&here, &token).await, status_of(&here, &before).await), (200, 401), "{path}");
    }
}

#[tokio::test]
async fn a_note_of_ended_sessions_moves_back_only_from_a_clock_that_ran_ahead() {
    for path in ENDINGS {
        let behind = Fixture::new().await;
        behind.register("a").await;
        behind.token("a").await;
        let here = behind.beside().await;
        here.clock.forward(60);
        let now = support::NOW_MS / 1_000;
        for (server, then) in [(&here, now + 60), (&behind, now + 60)] {
            Desk::with(server, [Right::Admin]).await.ok("POST", path, Value::Null).await;
            assert_eq!(noted(server, path).await, then, "{path}");
        }
        let ahead = here.beside().await;
        ahead.clock.forward(3_600);
        // The second after the one up to which it ended them before.
        for (server, then) in [(&ahead, now + 3_660), (&here, now + 61)] {
            Desk::with(server, [Right::Admin]).await.ok("POST", path, Value::Null).await;
            assert_eq!(noted(server, path).await, then, "{path}");
        }
    }
}

#[tokio::test]
async fn a_check_and_a_rotation_run_on_and_say_how_they_ended() {
    let fixture = fixture().await;
    fixture.define_string("PORT").await;
    fixture.org.set_value("PORT", Scope::Org, "80").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    for (path, body) in [("/verify", Value::Null), ("/rotate", json!({})), ("/jobs/run", Value::Null)] {
        let task = desk.ok("POST", path, body).await;
        let id = task["id"].as_str().unwrap();
        let ended = loop {
            let task = desk.get(&format!("/tasks/{id}")).await;
            if task["state"] != "running" {
                break task;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((&ended["state"], &ended["findings"]), (&json!("finished"), &json!([])), "{path}");
    }
    assert_eq!(desk.get("/tasks").await.as_array().unwrap().len(), 3);
    assert_eq!(fixture.org.value("PORT", Scope::Org).await.unwrap().unwrap().value.expose(), "80");
}

#[tokio::test]
async fn a_streamed_backup_opens_as_the_vault() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    let fixture = fixture().await;
    fixture.define_string("PORT").await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let request = axum::http::Request::get(format!("{CONTROL}/backup")).header("x-api-key", &desk.key);
    let response =
        fixture.app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let file = response.into_body().collect().await.unwrap().to_bytes();
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let backup = Backup::open(Cursor::new(file), unlock).await.unwrap();
    assert_eq!(backup.store_id(), fixture.vault.store_id());
}

#[tokio::test]
async fn bad_input_gets_the_documented_envelope() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    for (method, path, body) in [
        ("GET", "/definitions?limit=0", Value::Null),
        ("GET", "/definitions?after=x", Value::Null),
        ("GET", "/values?linked_account_id=a&workflow_id=b", Value::Null),
        ("GET", "/values?reveal=maybe", Value::Null),
        ("GET", "/audit?since=yesterday", Value::Null),
        ("POST", "/definitions", json!({"name": "A", "var_format": "nothing"})),
        ("POST", "/definitions", json!({"name": "A", "scopes": []})),
        ("POST", "/values", json!({"definitions": [["A"]]})),
        ("POST", "/values", json!({"values": [["A", "1"]]})),
        ("POST", "/accounts", json!({"linked_account_id": ""})),
        ("POST", "/jobs/6500a1b2c3d4e5f6a7b8c9d0", json!({"action": "dance"})),
    ] {
        let answer = desk.send(method, path, &body).await;
        let envelope: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (answer.status.as_u16(), &envelope["status_code"]),
            (400, &json!(400)),
            "{path} {}",
            answer.body
        );
        assert!(envelope["message"].is_string() && envelope["http_error_type"] == "BAD_REQUEST", "{path}");
    }
    desk.send("GET", "/nothing", &Value::Null).await.is_not_found("Route not found");
}

#[tokio::test]
async fn the_format_of_a_secret_is_tried_by_keys_that_may_reveal_it() {
    let fixture = fixture().await;
    fixture.org.define(VariableDefinition::new("JWT", VarFormat::String).encrypted()).await.unwrap();
    fixture.org.define(VariableDefinition::new("OPEN", VarFormat::String)).await.unwrap();
    fixture.org.set_value("JWT", Scope::Org, "s3cr3t").await.unwrap();
    let guess = json!({"dry_run": true, "var_format": {"pattern": {"pattern": "a.*"}}});
    let write = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    Desk::lacks(&write.send("PATCH", "/definitions/JWT", &guess).await, Right::Reveal);
    write.ok("PATCH", "/definitions/OPEN", guess.clone()).await;
    write.ok("PATCH", "/definitions/JWT", json!({"required": true})).await;

    let both = Desk::with(&fixture, [Right::Read, Right::Write, Right::Reveal]).await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    let plan = both.ok("PATCH", "/definitions/JWT", guess).await;
    assert_eq!(plan["refused"].as_array().unwrap().len(), 1);
    let events = fixture.org.audit(&AuditFilter::default(), PageRequest::default()).await.unwrap();
    let read =
        events.items.iter().flat_map(|event| &event.changes).find(|one| one.kind == EventKind::ValueRead);
    assert_eq!(read.unwrap().name.as_deref(), Some("JWT"));
}

#[tokio::test]
async fn a_key_of_some_accounts_sees_no_workflow_and_no_other_account() {
    let fixture = fixture().await;
    for id in ["a", "b", "c"] {
        fixture.org.create_account(id.parse().unwrap()).await.unwrap();
    }
    let only: LinkedAccountId = "b".parse().unwrap();
    let grant = Grant::of([Right::Read, Right::Reveal]).only_accounts([only]).unwrap();
    let desk = Desk::granted(&fixture, grant).await;
    let listed = desk.get("/accounts?limit=1").await;
    assert_eq!(
        (listed["items"][0]["linked_account_id"].as_str(), &listed["next"]),
        (Some("b"), &Value::Null)
    );
    desk.get("/resolve?linked_account_id=b").await;
    for path in [
        "/resolve?linked_account_id=b&workflow_id=w",
        "/resolve?linked_account_id=b&workflow_id=w&reveal=1",
        "/explain/A?linked_account_id=b&workflow_id=w",
        "/explain/A?linked_account_id=a",
        "/explain/A",
    ] {
        assert_eq!(desk.send("GET", path, &Value::Null).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_key_that_expires_makes_none_that_lasts_longer() {
    let fixture = fixture().await;
    let (own, later) = ("2100-01-01T00:00:00.000Z", "2100-01-02T00:00:00Z");
    let root = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    let made = |expires_at: Value| json!({"name": "n", "rights": ["read"], "expires_at": expires_at});
    let admin = json!({"name": "n", "rights": ["admin", "read"], "expires_at": own});
    let admin = root.ok("POST", "/api-keys", admin).await;
    let id = admin["id"].as_str().unwrap().to_owned();
    let desk = Desk { fixture: &fixture, key: admin["api_key"].as_str().unwrap().to_owned() };
    let refused = desk.send("POST", "/api-keys", &made(json!(later))).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let child = desk.ok("POST", "/api-keys", json!({"name": "n", "rights": ["read"]})).await;
    assert_eq!(child["expires_at"], own);
    let rotated = desk.ok("POST", &format!("/api-keys/{id}/rotate"), json!({"grace_secs": 60})).await;
    assert_eq!(rotated["expires_at"], own);

    let past = root.ok("POST", "/api-keys", made(json!("2001-01-01T00:00:00Z"))).await;
    let past = format!("/api-keys/{}/rotate", past["id"].as_str().unwrap());
    assert_eq!(root.send("POST", &past, &json!({})).await.status, 400, "an expired key comes back");
    for field in ["names", "linked_account_ids"] {
        let empty = json!({"name": "n", "rights": ["read"], field: []});
        assert_eq!(root.send("POST", "/api-keys", &empty).await.status, 400, "{field}");
    }
}

#[tokio::test]
async fn the_audit_is_not_turned_off_by_a_call() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    assert_eq!(desk.send("PATCH", "/settings", &json!({"audit": false})).await.status, 400);
    assert_eq!(desk.get("/settings").await["audit"], true);
}

/// Lists all pages of a call, one item a page: what `show` says of the items, and all cursors.
async fn walked(desk: &Desk<'_>, path: &str, list: &str, show: &str) -> (Vec<String>, Vec<String>) {
    let (mut shown, mut cursors) = (Vec::new(), Vec::new());
    let mut after = String::new();
    loop {
        let page = desk.get(&format!("{path}limit=1{after}")).await;
        let items = page[list].as_array().unwrap();
        shown.extend(items.iter().map(|item| item[show].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return (shown, cursors) };
        cursors.push(next.to_owned());
        after = format!("&after={next}");
    }
}

#[tokio::test]
async fn no_cursor_names_what_a_narrowed_key_does_not_see() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let credentials = fixture.org.account("a".parse().unwrap());
    let (mut hidden, mut seen) = (Vec::new(), Vec::new());
    for number in 0..70 {
        let name = if number % 30 == 3 { format!("SMTP_{number:02}") } else { format!("JWT_{number:02}") };
        let id = fixture.define_string(&name).await;
        fixture.org.set_value(&*name, Scope::Org, "x").await.unwrap();
        credentials.upsert_credential(&name, "x").await.unwrap();
        if name.starts_with("SMTP") {
            seen.push(name);
        } else {
            hidden.extend([id, hex::encode(name)]);
        }
    }
    let grant = Grant::of([Right::Read]).only_names(["SMTP_*"]).unwrap();
    let desk = Desk::granted(&fixture, grant).await;
    for (path, list, show) in [
        ("/definitions?", "items", "name"),
        ("/values?", "items", "name"),
        ("/matrix?", "rows", "name"),
        ("/accounts/a/credentials/default-app?", "items", "key"),
    ] {
        let (shown, cursors) = walked(&desk, path, list, show).await;
        assert_eq!(shown, seen, "{path}");
        for cursor in cursors {
            assert!(!hidden.iter().any(|name| cursor.contains(name.as_str())), "{path}: {cursor}");
        }
    }
}

#[tokio::test]
async fn a_value_that_is_encrypted_by_the_time_it_is_set_is_not_shown() {
    let options = DefinitionChange::new().encrypted();
    for path in ["/values/SECRET", "/values", "/resolve", "/matrix"] {
        let mut held = 1;
        loop {
            let (store, gate) = gated();
            let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
            let fixture = Fixture::over(vault, ServiceOptions::default()).await;
            fixture.define_string("SECRET").await;
            fixture.org.set_value("SECRET", Scope::Org, "open").await.unwrap();
            let desk = Desk::with(&fixture, [Right::Read]).await;
            desk.get(path).await;
            let encrypt_and_set = async {
                fixture.org.update_definition("SECRET", options.clone()).await.unwrap();
                fixture.org.set_value("SECRET", Scope::Org, "canary").await.unwrap();
            };
            let call = desk.send("GET", path, &Value::Null);
            let (answer, was_held) = gate.while_read_waits(held, encrypt_and_set, call).await;
            assert_eq!(answer.status, 200, "{path} {held}: {}", answer.body);
            assert!(!answer.body.contains("canary"), "{path}, read {held} was held: {}", answer.body);
            if !was_held {
                break;
            }
            held += 1;
        }
        assert!(held > 1, "{path} reads nothing");
    }
}

#[tokio::test]
async fn a_key_of_some_names_registers_no_account() {
    let fixture = fixture().await;
    let names = Grant::of([Right::Read, Right::Write]).only_names(["SMTP_*"]).unwrap();
    let desk = Desk::granted(&fixture, names).await;
    let body = json!({"linked_account_id": "n"});
    let elsewhere = "this API key has the right write only for other names or accounts";
    desk.send("POST", "/accounts", &body).await.is_error(403, "BAD_REQUEST", "SERVER_ERROR", elsewhere);
    let own: LinkedAccountId = "n".parse().unwrap();
    let account = Desk::granted(&fixture, Grant::of([Right::Write]).only_accounts([own]).unwrap()).await;
    account.ok("POST", "/accounts", body).await;
    // Values of its names may be at any account.
    assert_eq!(desk.get("/accounts").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_admin_revokes_any_key_so_that_one_that_leaked_can_be_taken_back() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    let more = Desk::with(&fixture, Right::ALL).await;
    let listed = desk.get("/api-keys").await;
    let strong = listed["items"].as_array().unwrap().iter().find(|key| key["rights"][1] == "read").unwrap();
    desk.ok("DELETE", &format!("/api-keys/{}", strong["id"].as_str().unwrap()), Value::Null).await;
    assert_eq!(more.send("GET", "/definitions", &Value::Null).await.status, 401);
}

#[tokio::test]
async fn a_page_of_long_values_ends_before_it_is_too_large() {
    let fixture = fixture().await;
    for number in 0..130 {
        let name = format!("LONG_{number:03}");
        fixture.define_string(&name).await;
        fixture.org.set_value(&*name, Scope::Org, "x".repeat(64 << 10)).await.unwrap();
    }
    let desk = Desk::with(&fixture, [Right::Read]).await;
    let (mut shown, mut after) = (0, String::new());
    loop {
        let answer = desk.send("GET", &format!("/values?limit=1000{after}"), &Value::Null).await;
        assert!(answer.body.len() < 9 << 20, "{} bytes", answer.body.len());
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        shown += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(shown, 130);
}

#[tokio::test]
async fn a_page_that_long_values_fill_ends_with_one_that_a_narrowed_key_sees() {
    let fixture = fixture().await;
    let define = async |name: &str, value: String| {
        let id = fixture.define_string(name).await;
        fixture.org.set_value(name, Scope::Org, value).await.unwrap();
        id
    };
    let mut last = String::new();
    // The last of those that fill a page comes later than one page of the engine.
    for number in 0..64 {
        if number == 63 {
            define("JWT", "x".to_owned()).await;
        }
        last = define(&format!("SMTP_{number}"), "x".repeat(64 << 10)).await;
    }
    for number in 0..70 {
        define(&format!("JWT_{number}"), "x".to_owned()).await;
    }
    define("SMTP", "x".to_owned()).await;
    let desk = Desk::granted(&fixture, Grant::of([Right::Read]).only_names(["SMTP*"]).unwrap()).await;
    let page = desk.get("/values?limit=1000").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 64);
    assert!(page["next"].as_str().unwrap().ends_with(&last), "{}", page["next"]);
}

#[tokio::test]
async fn a_scope_in_the_wrong_place_and_a_name_that_is_unknown_are_refused_and_nothing_is_done() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.org.set_value("A", Scope::Org, "1").await.unwrap();
    fixture.org.set_value("A", Scope::Org, "2").await.unwrap();
    let desk = Desk::with(&fixture, Right::ALL).await;
    let account = "linked_account_id=a";
    for (method, path, body) in [
        ("POST", format!("/values/A/undo?{account}"), json!({})),
        ("POST", "/values/A/undo".to_owned(), json!({"account": "a"})),
        ("PUT", format!("/values/A?{account}"), json!({"value": "3"})),
        ("PUT", "/values/A".to_owned(), json!({"value": "3", "account": "a"})),
        ("POST", format!("/values?{account}"), json!({"values": [{"name": "A", "value": "3"}]})),
        ("POST", "/values".to_owned(), json!({"values": [{"name": "A", "value": "3", "scope": "a"}]})),
        ("DELETE", "/values/A?linked_account=a".to_owned(), Value::Null),
        ("GET", "/resolve?account=a".to_owned(), Value::Null),
        ("POST", "/api-keys".to_owned(), json!({"name": "k", "rights": ["read"], "only": ["A"]})),
        ("POST", "/rotate".to_owned(), json!({"linked_account": "a"})),
    ] {
        let answer = desk.send(method, &path, &body).await;
        assert_eq!(answer.status, 400, "{method} {path}");
    }
    for name in ["linked_account_id", "linked-account-id"] {
        let path = format!("{CONTROL}/values/A");
        let call = fixture.call_at_root("DELETE", &path).header("x-api-key", &desk.key);
        assert_eq!(call.header(name, "a").send().await.status, 400, "{name}");
    }
    assert_eq!(fixture.org.value("A", Scope::Org).await.unwrap().unwrap().value.expose(), "2");
    assert_eq!(desk.get("/api-keys").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_done_to_the_vault_as_a_whole_is_in_the_audit() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    desk.ok("PATCH", "/settings", json!({})).await;
    desk.ok("POST", "/rotate", json!({})).await;
    desk.ok("POST", "/jobs/run", Value::Null).await;
    assert_eq!(desk.send("GET", "/backup", &Value::Null).await.status, 200);
    let events = desk.get("/audit").await;
    let events = events["items"].as_array().unwrap();
    let noted = events.iter().flat_map(|event| event["changes"].as_array().unwrap());
    let noted = noted.filter(|change| change["kind"] == "Vault Operated");
    let mut names: Vec<_> = noted.map(|change| change["name"].as_str().unwrap()).collect();
    // How the rotation went is noted when it has ended.
    names.retain(|name| !name.starts_with("rotate data: "));
    names.sort_unstable();
    assert_eq!(names, ["backup", "job run", "rotate data", "settings: audit on"]);
}

#[tokio::test]
async fn a_key_that_may_only_reveal_leaves_a_note_of_each_value_it_is_shown() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.org.set_value("A", Scope::Org, "plain").await.unwrap();
    let all = Desk::with(&fixture, Right::ALL).await;
    all.ok("PATCH", "/settings", json!({"audit": true})).await;
    let desk = Desk::with(&fixture, [Right::Reveal]).await;
    assert_eq!(desk.get("/values?reveal=true").await["items"][0]["value"], "plain");
    desk.get("/values/A?reveal=true").await;
    desk.get("/resolve?reveal=true").await;
    let events = all.get("/audit").await;
    let reads = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["changes"][0]["kind"] == "Variable Value Read");
    assert_eq!(reads.count(), 3);
}

#[tokio::test]
async fn a_key_for_some_names_learns_and_makes_nothing_else_of_an_account() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let grant = Grant::of([Right::Read, Right::Write]).only_names(["A_*".to_owned()]).unwrap();
    let desk = Desk::granted(&fixture, grant).await;
    assert_eq!(desk.send("GET", "/accounts/a/usage", &Value::Null).await.status, 403);
    for (method, path) in [("PUT", "crm"), ("PUT", "crm/work"), ("DELETE", "crm/work"), ("GET", "")] {
        let path = format!("/accounts/a/connections/{path}");
        let path = path.trim_end_matches('/');
        assert_eq!(desk.send(method, path, &Value::Null).await.status, 403, "{method} {path}");
    }
    let before = desk.get("/accounts/a").await;
    fixture.org.account("a".parse().unwrap()).upsert_credential("k", "v").await.unwrap();
    assert_eq!(desk.get("/accounts/a").await["updated_at"], before["updated_at"]);
}

#[tokio::test]
async fn a_key_that_may_only_write_is_not_shown_what_it_brings_back() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    Desk::with(&fixture, [Right::Admin]).await.ok("DELETE", "/definitions/A", Value::Null).await;
    let desk = Desk::with(&fixture, [Right::Write]).await;
    Desk::lacks(&desk.send("POST", "/definitions/A/undelete", &Value::Null).await, Right::Read);
    assert!(fixture.org.definition("A").await.unwrap().is_none());
}

#[tokio::test]
async fn of_the_deleted_definitions_of_a_name_the_last_one_is_brought_back() {
    let fixture = Fixture::new().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write, Right::Admin]).await;
    for description in ["first", "second", "third"] {
        let new = json!({"name": "A", "description": description, "history_versions": 5});
        desk.ok("POST", "/definitions", new).await;
        fixture.clock.forward(1);
        desk.ok("DELETE", "/definitions/A", Value::Null).await;
    }
    desk.ok("POST", "/definitions/A/undelete", Value::Null).await;
    assert_eq!(desk.get("/definitions/A").await["description"], "third");
}

#[tokio::test]
async fn a_key_that_may_only_write_learns_nothing_of_a_value_that_it_brought_back_by_comparing() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    for value in ["former", "present"] {
        fixture.org.set_value("A", Scope::Org, value).await.unwrap();
    }
    let desk = Desk::with(&fixture, [Right::Write]).await;
    desk.ok("POST", "/values/A/undo", json!({})).await;
    let revision = async || fixture.org.value("A", Scope::Org).await.unwrap().unwrap().revision;
    let before = revision().await;
    let guess = json!({"values": [{"name": "A", "value": "former"}], "compare": true});
    desk.ok("POST", "/values", guess).await;
    assert_ne!(revision().await, before, "it is written as another value is");
}

#[tokio::test]
async fn a_key_that_may_only_write_is_not_told_the_connections_that_it_deletes() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Write]).await;
    desk.ok("PUT", "/accounts/a/connections/crm/work", Value::Null).await;
    for query in ["?dry_run=true", ""] {
        let path = format!("/accounts/a/connections/crm{query}");
        assert_eq!(desk.ok("DELETE", &path, Value::Null).await.get("connections"), None, "{path}");
    }
}

#[tokio::test]
async fn an_account_id_that_a_header_would_cut_is_refused() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Write]).await;
    for id in [" a", "a ", "\u{a0}a"] {
        let made = desk.send("POST", "/accounts", &json!({"linked_account_id": id})).await;
        assert_eq!(made.status, 400, "{id:?}");
        let body = json!({"udf": id, "linked_account_id": id}).to_string();
        let call = fixture.call("PUT", "/linked-account").json(&body);
        assert_eq!(call.await.status, 400, "{id:?}");
    }
}

#[tokio::test]
async fn an_account_id_that_a_header_would_cut_is_refused_in_every_place() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    let (id, encoded) = (" x", "%20x");
    let named = json!({"linked_account_id": id});
    for (method, path, body) in [
        ("PUT", "/values/A".to_owned(), json!({"value": "1", "linked_account_id": id})),
        ("POST", "/values".to_owned(), json!({"values": [], "linked_account_id": id})),
        ("POST", "/values/A/undo".to_owned(), named.clone()),
        ("GET", format!("/values?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/values/A?linked_account_id={encoded}"), Value::Null),
        ("DELETE", format!("/values/A?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/resolve?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/explain/A?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/matrix?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/audit?linked_account_id={encoded}"), Value::Null),
        ("GET", format!("/accounts/{encoded}"), Value::Null),
        ("DELETE", format!("/accounts/{encoded}"), Value::Null),
        ("POST", "/rotate".to_owned(), named.clone()),
        (
            "POST",
            "/api-keys".to_owned(),
            json!({"name": "k", "rights": ["read"], "linked_account_ids": [id]}),
        ),
    ] {
        let refused = desk.send(method, &path, &body).await;
        let message = "a linked account id neither begins nor ends with a blank";
        refused.is_error(400, "BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID", message);
    }
    for method in ["GET", "DELETE"] {
        let call = fixture.call(method, &format!("/linked-account/{encoded}"));
        assert_eq!(call.send().await.status, 400, "{method}");
    }
}

#[tokio::test]
async fn what_the_body_of_any_call_says_is_never_passed_over() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.register("a").await;
    fixture.token("a").await;
    fixture.org.set_value("A", Scope::Org, "1").await.unwrap();
    fixture.org.account("a".parse().unwrap()).upsert_credential("k", "v").await.unwrap();
    let desk = Desk::with(&fixture, Right::ALL).await;
    let before =
        (fixture.org.usage().await.unwrap(), desk.get("/api-keys").await["items"].as_array().map(Vec::len));
    for (method, path, body, _) in calls() {
        for stray in
            [json!({"linked_account_id": "b", "nothing": 1}), json!({"connection": "b", "dry_run": true})]
        {
            let mut sent = body.as_object().cloned().unwrap_or_default();
            sent.extend(stray.as_object().unwrap().clone());
            let refused = desk.send(method, path, &Value::Object(sent)).await;
            assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
        }
    }
    let after =
        (fixture.org.usage().await.unwrap(), desk.get("/api-keys").await["items"].as_array().map(Vec::len));
    assert_eq!(before, after);
    assert_eq!(desk.get("/accounts/a/sessions").await["items"].as_array().unwrap().len(), 1);
    // Refused by what it declares: nothing waits for it.
    let endless = axum::body::Body::from_stream(Endless);
    let call =
        fixture.call_at_root("DELETE", &format!("{CONTROL}/accounts/a")).header("x-api-key", &desk.key);
    assert_eq!(call.body(endless).send().await.status, 400);
}

/// A body that never comes.
struct Endless;

impl futures_core::Stream for Endless {
    type Item = std::io::Result<axum::body::Bytes>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_field_that_a_call_does_not_take_is_not_repeated_and_one_that_is_missing_is_named() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    let desk = Desk::with(&fixture, Right::ALL).await;
    let untaken = "the request body has a field that this call does not take";
    for (method, path, body) in [
        ("PUT", "/values/A", json!({"value": "v", "sk_live_SECRET": "x"})),
        ("POST", "/values", json!({"values": [{"name": "A", "value": "v", "sk_live_SECRET": 1}]})),
        ("POST", "/accounts", json!({"linked_account_id": "q", "K".repeat(100_000): "x"})),
        ("PATCH", "/settings", json!({"sk_live_SECRET": true})),
        ("POST", "/revoke-sessions", json!({"sk_live_SECRET": true})),
    ] {
        desk.send(method, path, &body).await.is_bad_request(untaken);
    }
    desk.send("POST", "/accounts", &json!({})).await.is_bad_request("linked_account_id is required");
    desk.send("PUT", "/values/A", &json!({})).await.is_bad_request("value is required");
    let within = json!({"values": [{"name": "A"}]});
    desk.send("POST", "/values", &within).await.is_bad_request("value is required");
    desk.send("PUT", "/values/A", &json!({"value": 5})).await.is_bad_request("value has the wrong type");
    let twice = fixture.call_at_root("PUT", &format!("{CONTROL}/values/A")).header("x-api-key", &desk.key);
    let twice = twice.json(r#"{"value":"a","value":"b"}"#).await;
    twice.is_bad_request("value must stand in the request body once");
}

#[tokio::test]
async fn the_last_item_that_a_narrowed_key_sees_is_the_end_of_its_list() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let credentials = fixture.org.account("a".parse().unwrap());
    let names = ["SMTP_A".to_owned(), "SMTP_B".to_owned()].into_iter();
    for name in names.chain((0..70).map(|number| format!("ZZ_{number}"))) {
        fixture.define_string(&name).await;
        fixture.org.set_value(&*name, Scope::Org, "x").await.unwrap();
        credentials.upsert_credential(&name, "x").await.unwrap();
    }
    let desk = Desk::granted(&fixture, Grant::of([Right::Read]).only_names(["SMTP_*"]).unwrap()).await;
    for path in ["/definitions", "/values", "/matrix", "/accounts/a/credentials/default-app"] {
        assert!(desk.get(&format!("{path}?limit=1")).await["next"].is_string(), "{path}");
        assert_eq!(desk.get(&format!("{path}?limit=2")).await["next"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn a_key_that_replaces_itself_again_gets_one_that_lasts_unless_others_replaced_it() {
    let fixture = fixture().await;
    let own = "2100-01-01T00:00:00.000Z";
    let root = Desk::with(&fixture, [Right::Admin, Right::Read]).await;
    for expires_at in [json!(own), Value::Null] {
        let new = json!({"name": "n", "rights": ["admin", "read"], "expires_at": expires_at});
        let made = root.ok("POST", "/api-keys", new).await;
        let desk = Desk { fixture: &fixture, key: made["api_key"].as_str().unwrap().to_owned() };
        let path = format!("/api-keys/{}/rotate", made["id"].as_str().unwrap());
        let grace = json!({"grace_secs": 600});
        for _ in 0..3 {
            // The answer was lost.
            assert_eq!(desk.ok("POST", &path, grace.clone()).await["expires_at"], expires_at);
        }
        assert_eq!(root.ok("POST", &path, grace.clone()).await["expires_at"], expires_at);
        // Whoever took the key from its holder has the last word.
        let late = desk.send("POST", &path, &grace).await;
        assert!(late.status == 400 || late.field("expires_at").as_str() < own, "{}", late.body);
    }
}

/// A service over a store in memory, whose rows can be altered.
async fn with_rows() -> (Arc<MemoryStore>, Fixture) {
    let store = Arc::new(MemoryStore::new());
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = Vault::create(Arc::clone(&store), unlock).await.unwrap();
    (store, Fixture::over(vault, ServiceOptions::default()).await)
}

/// Alters the rows that are not among these.
async fn damage_since(store: &Arc<MemoryStore>, before: &[(Key, Vec<u8>)]) {
    damage(store, |key| !before.iter().any(|(known, _)| known == key)).await;
}

#[tokio::test]
async fn a_trace_says_that_an_inherited_value_cannot_be_read() {
    let (store, fixture) = with_rows().await;
    fixture.define_string("A").await;
    fixture.register("a").await;
    fixture.org.set_value("A", Scope::Org, "v").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Read]).await;
    damage(&store, |key| holds(key, b"\0test\0\x20\0")).await;
    let trace = desk.get("/explain/A?linked_account_id=a").await;
    assert_eq!(trace["steps"][0]["outcome"], "no value");
    assert!(trace["steps"][0].get("unreadable").is_none());
    assert_eq!((&trace["steps"][1]["outcome"], &trace["scope"]), (&json!("unreadable"), &json!("org")));
    assert!(trace["steps"][1]["unreadable"].as_str().unwrap().contains("is damaged"), "{trace}");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_in_the_way_only_of_who_asks_for_it() {
    let (store, fixture) = with_rows().await;
    for name in ["A", "B"] {
        fixture.define_string(name).await;
    }
    fixture.org.set_value("A", Scope::Org, "x").await.unwrap();
    let before = rows(&store).await;
    fixture.org.set_value("B", Scope::Org, "x").await.unwrap();
    damage_since(&store, &before).await;
    let all = Desk::with(&fixture, [Right::Read]).await;
    assert_eq!(all.get("/resolve?name=A").await["values"].as_array().unwrap().len(), 1);
    for path in ["/resolve?name=B", "/resolve"] {
        assert_eq!(all.send("GET", path, &Value::Null).await.status, 500, "{path}");
    }
    let narrowed = Desk::granted(&fixture, Grant::of([Right::Read]).only_names(["A*"]).unwrap()).await;
    assert_eq!(narrowed.get("/resolve").await["values"].as_array().unwrap().len(), 1);
    assert_eq!(narrowed.get("/matrix").await["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_one_cell_of_the_matrix() {
    let (store, fixture) = with_rows().await;
    for name in ["A", "B"] {
        fixture.define_string(name).await;
        fixture.org.set_value(name, Scope::Org, "x").await.unwrap();
    }
    for account in ["a", "b"] {
        fixture.register(account).await;
    }
    fixture.org.set_value("A", Scope::LinkedAccount("a".parse().unwrap()), "y").await.unwrap();
    let before = rows(&store).await;
    fixture.org.set_value("B", Scope::LinkedAccount("a".parse().unwrap()), "y").await.unwrap();
    damage_since(&store, &before).await;
    let states = |matrix: &Value| -> Vec<Vec<String>> {
        let of_row = |row: &Value| {
            row["cells"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cell| cell["state"].as_str().unwrap().to_owned())
                .collect()
        };
        matrix["rows"].as_array().unwrap().iter().map(of_row).collect()
    };
    let all = Desk::with(&fixture, [Right::Read]).await.get("/matrix").await;
    assert_eq!(states(&all), [["set", "set", "inherited"], ["set", "unreadable", "inherited"]]);
    assert_eq!(all["rows"][0]["cells"][1], json!({"state": "set", "value": "y", "overrides": ["org"]}));
    let narrowed = Grant::of([Right::Read]).only_accounts(["a".parse().unwrap()]).unwrap();
    let narrowed = Desk::granted(&fixture, narrowed).await.get("/matrix").await;
    assert_eq!(states(&narrowed), [["set"], ["unreadable"]]);
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_leaves_the_other_rows_of_the_matrix() {
    let (store, fixture) = with_rows().await;
    fixture.define_string("A").await;
    let before = rows(&store).await;
    let lost = fixture.org.define(VariableDefinition::new("LOST", VarFormat::String)).await.unwrap();
    damage_since(&store, &before).await;
    fixture.define_string("B").await;
    fixture.org.set_value("B", Scope::Org, "x").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Read]).await;
    let matrix = desk.get("/matrix").await;
    let names: Vec<_> = matrix["rows"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["A", "B"]);
    assert_eq!(matrix["rows"][1]["cells"][0]["value"], "x");
    let told = matrix["unreadable"].as_array().unwrap();
    assert!(told.len() == 1 && told[0].as_str().unwrap().contains(&lost.to_string()), "{told:?}");
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_named_beside_the_others_and_deleted_only_if_that_is_asked_for() {
    let (store, fixture) = with_rows().await;
    fixture.define_string("A").await;
    fixture.register("b").await;
    let before = rows(&store).await;
    fixture.register("a").await;
    damage_since(&store, &before).await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Admin]).await;
    let accounts = desk.get("/accounts").await;
    let ids: Vec<_> =
        accounts["items"].as_array().unwrap().iter().map(|one| &one["linked_account_id"]).collect();
    assert_eq!(ids, ["b"]);
    let matrix = desk.get("/matrix").await;
    assert_eq!(matrix["columns"].as_array().unwrap().len(), 2);
    for list in [&accounts, &matrix, &desk.get("/matrix?linked_account_id=a").await] {
        let told = list["unreadable"].as_array().unwrap();
        assert!(told.len() == 1 && told[0].as_str().unwrap().contains("linked account a"), "{told:?}");
    }
    let refused = desk.send("DELETE", "/accounts/a", &Value::Null).await;
    assert_eq!((refused.status.as_u16(), refused.reason.as_deref()), (500, Some("damaged")));
    assert!(refused.body.contains("purge=true"), "{}", refused.body);
    assert_eq!(desk.ok("DELETE", "/accounts/a?purge=true", Value::Null).await["deleted"], true);
    assert_eq!(desk.get("/accounts").await.get("unreadable"), None);
    fixture.register("a").await;
}

/// A service with a session of the account `a`, whose list of sessions cannot be read.
async fn with_damaged_sessions() -> (Fixture, String) {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    fixture.register("b").await;
    let token = fixture.token("a").await;
    fixture.token("b").await;
    damage(&store, |key| holds(key, b"account-session\0a")).await;
    (fixture, token)
}

#[tokio::test]
async fn a_list_of_sessions_that_cannot_be_read_says_so_and_is_made_anew_when_they_are_ended() {
    let (fixture, token) = with_damaged_sessions().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Admin]).await;
    let sessions = desk.get("/accounts/a/sessions").await;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["unreadable"].as_array().unwrap().len(), 1, "{sessions}");
    let issue = async || {
        let call = fixture.call("POST", "/session-token?force_refresh=true");
        call.json(r#"{"linked_account_id":"a"}"#).await.status
    };
    assert_eq!(issue().await, 500, "who ended which is not known");
    assert_eq!(desk.ok("POST", "/accounts/a/revoke-sessions", json!({})).await["revoked"], 1);
    let active = fixture.call_with_token(&token, "GET", "/session/active-linked-account").send().await;
    assert_eq!(active.status, 401);
    assert_eq!(desk.get("/accounts/a/sessions").await, json!({"items": [], "next": null}));
    assert_eq!(issue().await, 200);
}

#[tokio::test]
async fn an_account_whose_list_of_sessions_cannot_be_read_is_deleted_with_them() {
    let (fixture, _) = with_damaged_sessions().await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Admin]).await;
    desk.ok("DELETE", "/accounts/a", Value::Null).await;
    for namespace in ["session", "account-session"] {
        let records = fixture.org.reserved_records(namespace.parse().unwrap());
        assert_eq!(records.list(PageRequest::default()).await.unwrap().items.len(), 1, "{namespace}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_goes_with_its_account_also_where_no_list_has_it() {
    for by_store in [false, true] {
        let (store, fixture) = with_rows().await;
        fixture.register("a").await;
        fixture.token("a").await;
        for end in [&b"account-session\0a"[..], b"\x40session\0"] {
            damage(&store, |key| holds(key, end)).await;
        }
        match by_store {
            true => {
                let sessions = OpenSessions::of(&fixture.org).unwrap();
                sessions.delete_account(&"a".parse().unwrap()).await.unwrap();
            }
            false => {
                let desk = Desk::with(&fixture, [Right::Admin]).await;
                desk.ok("DELETE", "/accounts/a", Value::Null).await;
            }
        }
        for namespace in ["session", "account-session"] {
            let records = fixture.org.reserved_records(namespace.parse().unwrap());
            let left = records.each(PageRequest::default()).await.unwrap().items;
            assert!(left.is_empty(), "{namespace}: {left:?}");
        }
    }
}

#[tokio::test]
async fn what_is_left_of_an_account_that_is_gone_is_deleted_with_purge() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    for (key, _) in rows(&store).await {
        if holds(&key, b"\0test\0\x30a\0") || holds(&key, b"\0test\0\x01a\0") {
            let mut batch = WriteBatch::default();
            batch.delete(key);
            store.commit(Arc::new(batch)).await.unwrap();
        }
    }
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    assert_eq!(desk.send("DELETE", "/accounts/a", &Value::Null).await.status, 404);
    assert_eq!(desk.ok("DELETE", "/accounts/a?purge=true", Value::Null).await["deleted"], true);
    assert_eq!(desk.send("DELETE", "/accounts/a?purge=true", &Value::Null).await.status, 404);
    assert!(!rows(&store).await.iter().any(|(key, _)| holds(key, b"\0test\0\x31a\0")), "its app is gone too");
}

#[tokio::test]
async fn a_connection_that_cannot_be_read_keeps_no_other_out_of_a_list_that_says_so() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    for app in ["crm", "mail"] {
        desk.ok("PUT", &format!("/accounts/a/connections/{app}"), json!({})).await;
    }
    damage(&store, |key| holds(key, b"\x31a\0crm\0")).await;
    let listed = desk.get("/accounts/a/connections").await;
    assert!(listed["unreadable"][0].as_str().unwrap().contains("crm"), "{listed}");
    assert!(listed["items"].as_array().unwrap().iter().any(|one| one["integration"] == "mail"), "{listed}");
    desk.ok("DELETE", "/accounts/a/connections/crm", Value::Null).await;
    assert_eq!(desk.get("/accounts/a/connections").await.get("unreadable"), None);
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_fails_no_run_that_names_another() {
    let (store, fixture) = with_rows().await;
    fixture.define_string("WHOLE").await;
    fixture.org.set_value("WHOLE", Scope::Org, "x").await.unwrap();
    let before = rows(&store).await;
    fixture.define_string("LOST").await;
    let is_lost = |key: &Key| holds(key, b"test\0\x10") && !before.iter().any(|(known, _)| known == key);
    damage(&store, is_lost).await;
    let desk = Desk::with(&fixture, [Right::Read]).await;
    for path in ["/resolve", "/resolve?name=LOST"] {
        assert_eq!(desk.send("GET", path, &Value::Null).await.status, 500, "{path}");
    }
    assert_eq!(desk.get("/resolve?name=WHOLE").await["values"][0]["name"], "WHOLE");
    assert_eq!(desk.get("/explain/WHOLE").await["name"], "WHOLE");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_named_and_ended_by_its_id_or_with_all() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    fixture.token("a").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Admin]).await;
    for path in ["/accounts/a/sessions/{id}", "/revoke-sessions"] {
        let listed = desk.get("/accounts/a/sessions").await;
        let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
        damage(&store, |key| holds(key, id.as_bytes())).await;
        let listed = desk.get("/accounts/a/sessions").await;
        assert_eq!(listed["items"], json!([]));
        assert!(listed["unreadable"][0].as_str().unwrap().contains(&id), "{listed}");
        let done = match path {
            "/revoke-sessions" => desk.ok("POST", path, json!({})).await,
            path => desk.ok("DELETE", &path.replace("{id}", &id), Value::Null).await,
        };
        assert_eq!(done["revoked"], 1);
        assert_eq!(desk.get("/accounts/a/sessions").await, json!({"items": [], "next": null}));
        fixture.token("a").await;
    }
}

#[tokio::test]
async fn a_signing_key_that_cannot_be_read_is_replaced_on_request_and_all_sessions_end() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Admin]).await;
    desk.ok("POST", "/revoke-sessions", json!({})).await;
    let issue = async || {
        let call = fixture.call("POST", "/session-token?force_refresh=true");
        call.json(r#"{"linked_account_id":"a"}"#).await.status
    };
    // The key, and the note beside it up to when all sessions were ended.
    for record in ["hs256", "sessions-ended"] {
        let token = fixture.token("a").await;
        damage(&store, |key| holds(key, record.as_bytes())).await;
        assert_eq!(issue().await, 500, "{record}");
        let done = desk.ok("POST", "/revoke-sessions", json!({"new_signing_key": true})).await;
        assert_eq!(done["revoked"], 1, "{record}");
        let active = fixture.call_with_token(&token, "GET", "/session/active-linked-account").send().await;
        assert_eq!(active.status, 401, "{record}");
        assert_eq!(issue().await, 200, "{record}");
        desk.ok("POST", "/revoke-sessions", json!({})).await;
    }
}

#[tokio::test]
async fn a_new_signing_key_refuses_what_the_old_one_signed() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    fixture.token("a").await;
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    let key = async || {
        let rows = rows(&store).await;
        rows.into_iter().find(|(key, _)| holds(key, b"hs256")).map(|(_, row)| row)
    };
    let before = key().await;
    desk.ok("POST", "/revoke-sessions", json!({})).await;
    assert_eq!(key().await, before, "it is replaced only on request");
    desk.ok("POST", "/revoke-sessions", json!({"new_signing_key": true})).await;
    assert!(key().await.is_some_and(|key| Some(key) != before));
}

#[tokio::test]
async fn a_call_with_a_key_whose_record_cannot_be_read_says_that_it_is_damaged() {
    let (store, fixture) = with_rows().await;
    let before = rows(&store).await;
    let desk = Desk::with(&fixture, [Right::Read]).await;
    damage_since(&store, &before).await;
    let refused = desk.send("GET", "/definitions", &Value::Null).await;
    assert_eq!(refused.status, 500);
    assert_eq!(refused.reason.as_deref(), Some("damaged"), "{}", refused.body);
}

#[tokio::test]
async fn a_narrowed_key_is_not_told_the_name_of_a_damaged_row() {
    let (store, fixture) = with_rows().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    account.upsert_credential("SMTP_A", "x").await.unwrap();
    let before = rows(&store).await;
    account.upsert_credential("ZZ_hidden", "x").await.unwrap();
    damage_since(&store, &before).await;
    let list = "/accounts/a/credentials/default-app";
    let by_name = Grant::of([Right::Read]).only_names(["SMTP_*"]).unwrap();
    for (grant, is_told) in [(Grant::of([Right::Read]), true), (by_name, false)] {
        let page = Desk::granted(&fixture, grant).await.get(list).await;
        assert_eq!(page["items"][0]["key"], "SMTP_A");
        assert_eq!(page.to_string().contains("ZZ_hidden"), is_told, "{page}");
    }
    let one = format!("{list}/ZZ_hidden");
    let by_account = Grant::of([Right::Reveal]).only_accounts(["a".parse().unwrap()]).unwrap();
    for (grant, is_told) in [(Grant::of([Right::Reveal]), true), (by_account, false)] {
        let answer = Desk::granted(&fixture, grant).await.send("GET", &one, &Value::Null).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.contains("hidden")),
            (500, is_told),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn a_damaged_value_or_credential_is_replaced_or_deleted_with_its_versions_only_if_that_is_asked_for() {
    let store = Arc::new(MemoryStore::new());
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault =
        VaultOptions::default().history_versions(10).create(Arc::clone(&store), unlock).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    fixture.org.define(VariableDefinition::new("X", VarFormat::String)).await.unwrap();
    for value in ["one", "two"] {
        fixture.org.set_value("X", Scope::Org, value).await.unwrap();
        account.upsert_credential("k", value).await.unwrap();
    }
    let tenant_len = 1 + 24 + 1 + fixture.org.environment().as_str().len() + 1;
    let damage = async |store: &Arc<MemoryStore>| {
        for (key, mut value) in rows(store).await {
            if matches!(key.as_bytes().get(tenant_len), Some(0x20 | 0x32)) {
                *value.last_mut().unwrap() ^= 1;
                let mut batch = WriteBatch::default();
                batch.put(key, value);
                store.commit(Arc::new(batch)).await.unwrap();
            }
        }
    };
    damage(&store).await;
    let desk = Desk::with(&fixture, [Right::Write]).await;
    for path in ["/values/X", "/accounts/a/credentials/default-app/k"] {
        let refused = desk.send("POST", &format!("{path}/undo"), &json!({})).await;
        assert!(refused.status == 500 && refused.body.contains("replace_damaged"), "{}", refused.body);
        let undone = desk.ok("POST", &format!("{path}/undo"), json!({"replace_damaged": true})).await;
        let again = json!({"version": undone["version"], "replace_damaged": true});
        let whole = desk.send("POST", &format!("{path}/restore"), &again).await;
        assert!(whole.status == 400 && whole.body.contains("is not damaged"), "{}", whole.body);
        assert_ne!(undone["version"], undone["restored"]);
    }
    damage(&store).await;
    for path in ["/values/X", "/accounts/a/credentials/default-app/k"] {
        let refused = desk.send("DELETE", path, &Value::Null).await;
        assert!(refused.status == 500 && refused.body.contains("purge=true"), "{}", refused.body);
        let done = desk.send("DELETE", &format!("{path}?purge=true"), &Value::Null).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }
}

#[tokio::test]
async fn a_session_of_an_account_that_had_the_id_before_is_not_listed() {
    let fixture = fixture().await;
    fixture.register("a").await;
    fixture.token("a").await;
    fixture.org.delete_account(&"a".parse().unwrap()).await.unwrap();
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    desk.send("GET", "/accounts/a/sessions", &Value::Null).await.is_not_found("Linked account not found");
    fixture.register("a").await;
    assert_eq!(desk.get("/accounts/a/sessions").await["items"], json!([]));
}

#[tokio::test]
async fn rotations_that_are_asked_for_at_once_leave_no_job_that_nobody_runs() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let rotate = async || desk.ok("POST", "/rotate", json!({})).await["id"].as_str().unwrap().to_owned();
    let (one, other) = tokio::join!(rotate(), rotate());
    assert_eq!(one, other, "the one that runs is the answer");
    while desk.get(&format!("/tasks/{one}")).await["state"] == "running" {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.get("/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn credentials_of_a_connection_are_its_own_and_those_without_one_are_of_the_default() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let desk =
        Desk::with(&fixture, [Right::Read, Right::Write, Right::Reveal, Right::Admin, Right::Operate]).await;
    let made = desk.ok("PUT", "/accounts/a/connections/crm/work", Value::Null).await;
    assert_eq!((&made["integration"], &made["connection"]), (&json!("crm"), &json!("work")));
    let token = "/accounts/a/credentials/crm/token";
    let put = async |body: Value| desk.send("PUT", token, &body).await.status;
    assert_eq!(put(json!({"value": "t"})).await, 404, "there is no default connection");
    desk.ok("PUT", "/accounts/a/connections/crm", Value::Null).await;
    assert_eq!(put(json!({"value": "of the default"})).await, 200);
    assert_eq!(put(json!({"value": "of work", "connection": "work"})).await, 200);
    assert_eq!(put(json!({"value": "x", "connection": "home"})).await, 404);
    assert_eq!(put(json!({"value": "x", "connection": "\u{1}"})).await, 400);
    assert_eq!(put(json!({"value": "x", "conection": "work"})).await, 400);

    assert_eq!(desk.get(token).await["value"], "of the default");
    assert_eq!(desk.get(&format!("{token}?connection=work")).await["value"], "of work");
    let refused = async |method, path: String| desk.send(method, &path, &Value::Null).await.status;
    assert_eq!(refused("GET", format!("{token}?conection=work")).await, 400);
    assert_eq!(refused("GET", format!("{token}?connection=home")).await, 404);
    let listed = desk.get("/accounts/a/credentials/crm?connection=work&limit=5").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let connections = desk.get("/accounts/a/connections?limit=2").await;
    let next = connections["next"].as_str().unwrap().to_owned();
    let rest = desk.get(&format!("/accounts/a/connections?after={next}")).await;
    let shown = [&connections, &rest].map(|page| page["items"].as_array().unwrap().clone()).concat();
    let shown: Vec<_> =
        shown.iter().map(|item| (item["integration"].clone(), item["connection"].clone())).collect();
    assert_eq!(
        shown,
        [(json!("crm"), Value::Null), (json!("crm"), json!("work")), (json!("default-app"), Value::Null)]
    );
    // The calls that know no connection show the default ones alone.
    assert_eq!(desk.get("/accounts/a").await["connections"].as_array().unwrap().len(), 2);

    assert_eq!(refused("DELETE", format!("{token}?connection=work")).await, 200);
    assert_eq!(refused("GET", format!("{token}?connection=work")).await, 404);
    assert_eq!(desk.get(token).await["value"], "of the default");
    desk.ok("DELETE", "/accounts/a/connections/crm/work", Value::Null).await;
    assert_eq!(refused("DELETE", "/accounts/a/connections/crm/work".to_owned()).await, 404);
    assert_eq!(refused("GET", "/accounts/nobody/connections".to_owned()).await, 404);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_a_bad_request() {
    let fixture = fixture().await;
    for account in ["a", "b"] {
        fixture.register(account).await;
        let account = fixture.org.account(account.parse().unwrap());
        for name in ["k1", "k2"] {
            account.upsert_credential(name, "x").await.unwrap();
        }
    }
    let desk =
        Desk::with(&fixture, [Right::Read, Right::Write, Right::Reveal, Right::Admin, Right::Operate]).await;
    let (of_a, of_b) = ("/accounts/a/credentials/default-app", "/accounts/b/credentials/default-app");
    let next =
        async |path: &str| desk.get(&format!("{path}?limit=1")).await["next"].as_str().unwrap().to_owned();
    let after = async |path: &str, next: &str| {
        desk.send("GET", &format!("{path}?after={next}"), &Value::Null).await.status
    };
    let (cursor, accounts) = (next(of_a).await, next("/accounts").await);
    assert_eq!(after(of_a, &cursor).await, 200);
    assert_eq!(after("/accounts", &accounts).await, 200);
    let flipped = format!("{}{}", if cursor.starts_with('0') { "1" } else { "0" }, &cursor[1..]);
    for (path, next) in [
        (of_b, cursor.as_str()),
        (of_a, &accounts),
        (of_a, &flipped),
        ("/accounts", &cursor),
        ("/accounts/a/connections", &cursor),
        ("/definitions", &accounts),
        ("/values", &accounts),
        ("/audit", &accounts),
        ("/api-keys", &accounts),
        ("/jobs", &accounts),
    ] {
        assert_eq!(after(path, next).await, 400, "{path} {next}");
    }
}

#[tokio::test]
async fn the_slot_that_the_service_opened_the_vault_with_is_marked_and_goes_only_if_said() {
    let fixture = fixture().await;
    fixture.vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32]))).await.unwrap();
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let slots = desk.get("/slots").await;
    let own: Vec<_> = slots.as_array().unwrap().iter().filter(|slot| slot["own"] == true).collect();
    assert_eq!(own.len(), 1);
    let path = format!("/slots/{}", own[0]["id"].as_str().unwrap());
    let refused = desk.send("DELETE", &path, &Value::Null).await;
    assert!(refused.status == 400 && refused.body.contains("own=true"), "{}", refused.body);
    assert_eq!(desk.get("/slots").await.as_array().unwrap().len(), 2);
    desk.ok("DELETE", &format!("{path}?own=true"), Value::Null).await;
    assert_eq!(desk.get("/slots").await.as_array().unwrap().len(), 1);
}

/// What the audit says of the vault as a whole, the oldest first.
async fn operations(fixture: &Fixture) -> Vec<String> {
    let events = fixture.org.audit(&AuditFilter::default(), PageRequest::default()).await.unwrap();
    let changes = events.items.into_iter().flat_map(|event| event.changes);
    changes.filter(|one| one.kind == EventKind::VaultOperated).filter_map(|one| one.name).collect()
}

#[tokio::test]
async fn the_audit_says_what_was_done_to_the_vault_and_not_what_was_refused() {
    let fixture = fixture().await;
    let spare = fixture.vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32]))).await.unwrap().id;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    assert_eq!(desk.send("PATCH", "/settings", &json!({"audit": false})).await.status, 400);
    assert_eq!(
        desk.send("POST", "/jobs/6500a1b2c3d4e5f6a7b8c9d0", &json!({"action": "stop"})).await.status,
        400
    );
    assert_eq!(desk.send("DELETE", "/slots/x", &Value::Null).await.status, 404);
    desk.ok("PATCH", "/settings", json!({"generations": true})).await;
    desk.ok("DELETE", &format!("/slots/{spare}"), Value::Null).await;
    assert_eq!(desk.send("DELETE", &format!("/slots/{spare}"), &Value::Null).await.status, 404);
    let noted = operations(&fixture).await;
    let removed = format!("slot remove {spare}");
    let failed = format!("{removed}: failed");
    assert_eq!(noted, ["settings: audit on", "settings: generations on", &removed, &removed, &failed]);
}

#[tokio::test]
async fn a_vault_that_was_moved_says_so() {
    let fixture = fixture().await;
    fixture.vault.copy_to(&MemoryStore::new(), |_| ()).await.unwrap();
    let ready = fixture.call_at_root("GET", "/readyz").send().await;
    assert!(ready.status == 503 && ready.body.contains("moved to another store"), "{}", ready.body);
    let desk = fixture.call("POST", "/env/definitions").json(r#"{"name": "A"}"#).await;
    assert!(desk.status == 503 && desk.body.contains("moved to another store"), "{}", desk.body);
}

#[tokio::test]
async fn a_vault_that_was_moved_is_still_backed_up() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    fixture.vault.copy_to(&MemoryStore::new(), |_| ()).await.unwrap();
    let answer = desk.send("GET", "/backup", &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_backup_that_its_client_breaks_off_is_noted_as_failed() {
    use tower::ServiceExt as _;
    let fixture = fixture().await;
    // More than waits for a client that reads nothing.
    for number in 0..40 {
        let name = format!("LONG_{number}");
        fixture.define_string(&name).await;
        fixture.org.set_value(&*name, Scope::Org, "x".repeat(64 << 10)).await.unwrap();
    }
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    desk.ok("PATCH", "/settings", json!({"audit": true})).await;
    let request = axum::http::Request::get(format!("{CONTROL}/backup")).header("x-api-key", &desk.key);
    drop(fixture.app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap());
    let noted = async {
        while operations(&fixture).await != ["settings: audit on", "backup", "backup: failed"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), noted).await.unwrap();
}

#[tokio::test]
async fn four_backups_are_written_at_a_time_and_another_one_is_refused() {
    use tower::ServiceExt as _;
    let vault =
        Vault::create(MemoryStore::new(), Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    let limits = Limits::default().refusal_pause(std::time::Duration::ZERO);
    let fixture = Fixture::over(vault, ServiceOptions::default().limits(limits)).await;
    // More than waits for a client that reads nothing.
    for number in 0..40 {
        let name = format!("LONG_{number}");
        fixture.define_string(&name).await;
        fixture.org.set_value(&*name, Scope::Org, "x".repeat(64 << 10)).await.unwrap();
    }
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let begin = async || {
        let request = axum::http::Request::get(format!("{CONTROL}/backup")).header("x-api-key", &desk.key);
        fixture.app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap()
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(begin().await);
    }
    assert!(unread.iter().all(|begun| begun.status() == 200));
    assert_eq!(begin().await.status(), 429);
    let other = Desk::with(&fixture, [Right::Read]).await;
    Desk::lacks(&other.send("GET", "/backup", &Value::Null).await, Right::Operate);
}

#[tokio::test]
async fn a_text_is_found_in_the_matrix_in_upper_or_lower_case() {
    let fixture = fixture().await;
    for name in ["SMTP_HOST", "smtp_port", "JWT"] {
        fixture.define_string(name).await;
    }
    let desk = Desk::with(&fixture, [Right::Read]).await;
    for text in ["smtp", "SMTP", "Smtp"] {
        let found = desk.get(&format!("/matrix?search={text}")).await;
        assert_eq!(found["rows"].as_array().unwrap().len(), 2, "{text}");
    }
}

/// A task once it has ended.
async fn ended(desk: &Desk<'_>, task: &Value) -> Value {
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    loop {
        let task = desk.get(&path).await;
        if task["state"] != "running" {
            return task;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn of_the_tasks_that_ended_the_last_ones_are_listed() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let mut begun = Vec::new();
    for _ in 0..66 {
        let task = desk.ok("POST", "/verify", Value::Null).await;
        begun.push(ended(&desk, &task).await["id"].clone());
    }
    let listed = desk.get("/tasks").await;
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|task| task["id"].clone()).collect();
    assert_eq!(listed, begun[2..]);
}

#[tokio::test]
async fn only_the_newest_version_is_current_whatever_page_another_one_begins() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Read, Right::Write]).await;
    for path in ["/values/A", "/accounts/a/credentials/default-app/k"] {
        for value in ["1", "2"] {
            desk.ok("PUT", path, json!({"value": value})).await;
        }
        let first = desk.get(&format!("{path}/history?limit=1")).await;
        let next = first["next"].as_str().unwrap();
        let second = desk.get(&format!("{path}/history?limit=1&after={next}")).await;
        let states = [first, second].map(|page| page["items"][0]["state"].clone());
        assert_eq!(states, ["current", "former"], "{path}");
    }
}

#[tokio::test]
async fn the_status_of_a_service_that_drains_is_not_ready() {
    let fixture = fixture().await;
    let desk = Desk::with(&fixture, [Right::Read]).await;
    assert_eq!(desk.get("/status").await["ready"], true);
    fixture.service.drain();
    assert_eq!(desk.get("/status").await["ready"], false);
}

#[tokio::test]
async fn the_audit_is_narrowed_to_what_was_between_two_times() {
    let fixture = Fixture::new().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    // At 22:14:20, 22:15:20 and 22:16:20.
    for name in ["A", "B", "C"] {
        fixture.clock.forward(60);
        fixture.define_string(name).await;
    }
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    let noted = desk.get("/audit?since=2023-11-14T22:15:00Z&until=2023-11-14T22:16:20Z").await;
    let changes = noted["items"].as_array().unwrap().iter().flat_map(|event| event["changes"].as_array());
    let names: Vec<_> = changes.flatten().map(|change| &change["name"]).collect();
    assert_eq!(names, ["B"]);
}

#[tokio::test]
async fn the_audit_is_narrowed_to_one_linked_account() {
    let fixture = Fixture::new().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.register("a").await;
    fixture.register("b").await;
    let desk = Desk::with(&fixture, [Right::Admin]).await;
    let noted = desk.get("/audit?linked_account_id=a").await;
    let changes = noted["items"].as_array().unwrap().iter().flat_map(|event| event["changes"].as_array());
    let accounts: HashSet<_> =
        changes.flatten().filter_map(|change| change["linked_account_id"].as_str()).collect();
    assert_eq!(accounts, HashSet::from(["a"]));
}

#[tokio::test]
async fn a_rotation_of_all_keys_and_of_one_account_at_once_is_refused() {
    let fixture = fixture().await;
    fixture.register("a").await;
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let both = json!({"linked_account_id": "a", "all": true});
    assert_eq!(desk.send("POST", "/rotate", &both).await.status, 400);
    assert_eq!(desk.get("/tasks").await, json!([]));
}

#[tokio::test]
async fn a_data_key_is_replaced_that_is_old_enough_or_seals_enough_rows() {
    let fixture = fixture().await;
    fixture.define_string("A").await;
    fixture.org.set_value("A", Scope::Org, "x").await.unwrap();
    let desk = Desk::with(&fixture, [Right::Operate]).await;
    let either = json!({"older_than_secs": 1_000_000, "rows_at_least": 1});
    let task = desk.ok("POST", "/rotate", either).await;
    let message = ended(&desk, &task).await["message"].as_str().unwrap().to_owned();
    assert!(message.contains("new data keys") && !message.starts_with("0 "), "{message}");
}
