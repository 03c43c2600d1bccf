//! Linked accounts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use strongroom::{
    DefinitionChange, PageRequest, Quotas, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault,
    VaultOptions,
};
use strongroom_http::ServiceOptions;
use strongroom_memory::MemoryStore;
use support::gate::{Gate, gated};
use support::{Answer, Fixture, ORG};

const INVALID: &str = "INVALID_LINKED_ACCOUNT_ID";

#[tokio::test]
async fn an_account_is_registered_with_its_app_and_credentials() {
    let fixture = Fixture::new().await;
    let body = [
        r#"{"account_id":"user_12345","name":"Ann","udf":{"plan": 1},"#,
        r#""your_app":{"auth_credentials":{"api_key":"k1","port":80}}}"#,
    ]
    .concat();
    let answer = fixture.call("POST", "/linked-account").json(&body).await;
    let id = answer.field("_id");
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let app = json["integrations"][0]["_id"].as_str().unwrap().to_owned();
    let doc = [
        format!(r#"{{"_id":"{id}","account_id":"user_12345","name":"Ann","environment":"test","#),
        format!(r#""integrations":[{{"_id":"{app}","slug":"default-app"}}]}}"#),
    ]
    .concat();
    answer.is(200, &doc);
    fixture.call("GET", "/linked-account/user_12345").send().await.is(200, &doc);
    let account = fixture.org.account("user_12345".parse().unwrap());
    assert_eq!(account.credential("port").await.unwrap().unwrap().value.expose(), "80");
    assert_eq!(account.info().await.unwrap().unwrap().udf.as_deref(), Some(r#"{"plan": 1}"#));
}

#[tokio::test]
async fn the_documented_calls_mean_the_default_connection_and_delete_all_of_an_integration() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    let (crm, work) = ("crm".parse().unwrap(), "work".parse().unwrap());
    account.add_connection(&crm, &work).await.unwrap();
    let shown = fixture.call("GET", "/linked-account/a").send().await.body;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let slugs: Vec<_> = shown["integrations"].as_array().unwrap().iter().map(|app| &app["slug"]).collect();
    assert_eq!(slugs, ["default-app"]);
    let path = "/linked-account/integration/crm?linked_account_id=a";
    let deleted = r#"{"success":true,"message":"Integration deleted successfully"}"#;
    fixture.call("DELETE", path).send().await.is(200, deleted);
    assert!(account.connections(&crm, PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_account_is_listed_as_it_is_shown_however_many_connections_it_has() {
    let options = VaultOptions::default().quotas(Quotas::unlimited());
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = options.create(MemoryStore::new(), unlock).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    let account = fixture.org.create_account("a".parse().unwrap()).with_default_app().await.unwrap();
    for number in 0..105 {
        let connection = format!("c{number}").parse().unwrap();
        account.add_connection(&"crm".parse().unwrap(), &connection).await.unwrap();
    }
    let shown = fixture.call("GET", "/linked-account/a").send().await.body;
    let listed = fixture.call("GET", "/linked-account").send().await.body;
    assert!(shown.contains("default-app") && listed.contains(&shown), "{listed}");
}

#[tokio::test]
async fn the_account_of_a_path_must_agree_with_every_other_place() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    fixture.register("b").await;
    for method in ["GET", "DELETE"] {
        let of_header =
            fixture.call(method, "/linked-account/a").header("linked_account_id", "b").send().await;
        let of_query = fixture.call(method, "/linked-account/a?linked_account_id=b").send().await;
        for refused in [of_header, of_query] {
            let message = "linked_account_id differs between two places of the request";
            refused.is_error(400, "BAD_REQUEST", INVALID, message);
        }
    }
    for (method, path) in
        [("POST", "/linked-account"), ("PUT", "/linked-account"), ("POST", "/session-token")]
    {
        let path = format!("{path}?linked_account_id=b");
        let refused = fixture.call(method, &path).json(r#"{"linked_account_id":"a"}"#).await;
        assert_eq!(refused.status, 400, "{method} {path}");
    }
    let token = fixture.token("a").await;
    let foreign =
        fixture.call_with_token(&token, "GET", "/linked-account/a?linked_account_id=b").send().await;
    foreign.is_bad_request("linked account auth must match the target scope");
    assert_eq!(fixture.call("DELETE", "/linked-account/a?linked_account_id=a").send().await.status, 200);
    assert_eq!(fixture.call("GET", "/linked-account/b").send().await.status, 200);
}

#[tokio::test]
async fn what_was_written_is_the_answer_although_it_is_deleted_meanwhile() {
    for (method, path) in [("PUT", "/linked-account"), ("POST", "/linked-account")] {
        let mut held = 1;
        loop {
            let (fixture, gate) = gated_fixture().await;
            delete(&fixture).await;
            // Not there yet, or deleted again.
            let delete = async { drop(fixture.org.delete_account(&"a".parse().unwrap()).await) };
            let body = r#"{"account_id":"a","name":"Ann","your_app":{"auth_credentials":{"k":"v"}}}"#;
            let call = fixture.call(method, path).json(body);
            let (answer, was_held) = gate.while_read_waits(held, delete, call).await;
            assert_eq!(answer.status, 200, "{method}, read {held} was held: {}", answer.body);
            assert!(answer.body.contains("Ann") && answer.body.contains("default-app"), "{}", answer.body);
            if !was_held {
                break;
            }
            held += 1;
        }
        assert!(held > 2, "{held}");
    }
}

#[tokio::test]
async fn an_account_that_breaks_a_rule_is_a_400() {
    let fixture = Fixture::new().await;
    fixture.register("taken").await;
    let create = async |body: &str| fixture.call("POST", "/linked-account").json(body).await;
    create("{}").await.is_error(400, "BAD_REQUEST", INVALID, "linked_account_id required");
    create(r#"{"account_id":"taken"}"#).await.is_bad_request("Linked account exists already");
    create(r#"{"account_id":"a","linked_account_id":"b"}"#).await.is_error(
        400,
        "BAD_REQUEST",
        INVALID,
        "account_id and linked_account_id differ",
    );
    create(r#"{"account_id":""}"#).await.is_error(
        400,
        "BAD_REQUEST",
        INVALID,
        "a linked account id must not be empty",
    );
    for method in ["GET", "DELETE"] {
        let answer = fixture.call(method, "/linked-account/a%0a").send().await;
        let message = "a linked account id must not contain control characters";
        answer.is_error(400, "BAD_REQUEST", INVALID, message);
    }
    create(r#"{"account_id":"a","your_app":{"auth_credentials":{"k":"1","k":"2"}}}"#)
        .await
        .is_bad_request("Duplicate Auth key_name not allowed");
    create(r#"{"account_id":"a","udf":"canary"}"#).await.is_bad_request("udf must be an object");
    let answer = fixture.call("GET", "/linked-account/a").send().await;
    answer.is_not_found(&format!(
        "Linked Account with account id a for org {ORG} in environment test not found"
    ));
}

#[tokio::test]
async fn an_upsert_merges_and_its_payload_wins() {
    let fixture = Fixture::new().await;
    let put = async |body: &str| fixture.call("PUT", "/linked-account").json(body).await;
    let answer = put(r#"{"linked_account_id":"a","name":"flat","payload":{"name":"Ann"}}"#).await;
    let id = answer.field("_id");
    answer.is(
        200,
        &[
            format!(
                r#"{{"_id":"{id}","account_id":"a","name":"Ann","environment":"test","integrations":[],"#
            ),
            r#""new_account":true}"#.to_owned(),
        ]
        .concat(),
    );
    put(r#"{"linked_account_id":"a","your_app":{"auth_credentials":{"x":"1","y":"1"}}}"#).await;
    let answer =
        put(r#"{"payload":{"linked_account_id":"a","your_app":{"auth_credentials":{"y":"2"}}}}"#).await;
    assert!(answer.body.ends_with(r#""new_account":false}"#), "{}", answer.body);
    let account = fixture.org.account("a".parse().unwrap());
    for (key, value) in [("x", "1"), ("y", "2")] {
        assert_eq!(account.credential(key).await.unwrap().unwrap().value.expose(), value);
    }
}

#[tokio::test]
async fn accounts_are_listed_in_the_order_of_their_ids() {
    let fixture = Fixture::new().await;
    for account in ["c", "b", "a"] {
        fixture.register(account).await;
        fixture.clock.forward(1);
    }
    assert_eq!(fixture.call("GET", "/linked-account?limit=2").send().await.column("account_id"), ["c", "b"]);
    let answer = fixture.call("GET", "/linked-account?limit=2&page=2").send().await;
    assert_eq!(answer.column("account_id"), ["a"]);
    assert!(answer.body.contains(r#""totalDocs":3,"limit":2,"page":2,"totalPages":2,"#));
}

#[tokio::test]
async fn accounts_are_found_by_their_own_value() {
    let fixture = Fixture::new().await;
    fixture.define_string("PLAN").await;
    fixture.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await;
    for (account, plan) in [("a", "pro"), ("b", "free"), ("c", "pro")] {
        fixture.register(account).await;
        fixture.clock.forward(1);
        let scope = Scope::LinkedAccount(account.parse().unwrap());
        fixture.org.set_value("PLAN", scope, plan).await.unwrap();
    }
    let find = async |query: &str| fixture.call("GET", &format!("/linked-account?{query}")).send().await;
    assert_eq!(find("env_variable_name=PLAN&env_variable_value=pro").await.column("account_id"), ["a", "c"]);
    find("env_variable_name=SECRET&env_variable_value=x")
        .await
        .is_bad_request("accounts cannot be found by the value of an encrypted variable");
    find("env_variable_name=PLAN")
        .await
        .is_bad_request("env_variable_name and env_variable_value must stand together");
    find("env_variable_name=NONE&env_variable_value=x").await.is_not_found("Variable definition not found");
}

#[tokio::test]
async fn no_account_is_found_by_a_value_that_is_encrypted_by_the_time_it_is_set() {
    let path = "/linked-account?env_variable_name=PLAN&env_variable_value=canary";
    let mut held = 1;
    loop {
        let (fixture, gate) = gated_fixture().await;
        fixture.define_string("PLAN").await;
        assert_eq!(fixture.call("GET", path).send().await.column("account_id").len(), 0);
        let encrypt_and_set = async {
            let encrypted = DefinitionChange::new().encrypted();
            fixture.org.update_definition("PLAN", encrypted).await.unwrap();
            let scope = Scope::LinkedAccount("a".parse().unwrap());
            fixture.org.set_value("PLAN", scope, "canary").await.unwrap();
        };
        let call = fixture.call("GET", path).send();
        let (answer, was_held) = gate.while_read_waits(held, encrypt_and_set, call).await;
        let tells = answer.status == 200 && answer.column("account_id") == ["a"];
        assert!(!tells, "read {held} was held: {}", answer.body);
        if !was_held {
            break;
        }
        held += 1;
    }
    assert!(held > 2, "{held}");
}

#[tokio::test]
async fn an_account_goes_with_everything_that_is_its_own() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("PLAN").await;
    fixture.register("user_12345").await;
    let token = fixture.token("user_12345").await;
    let scope = Scope::LinkedAccount("user_12345".parse().unwrap());
    fixture.org.set_value("PLAN", scope, "pro").await.unwrap();
    let delete = async || fixture.call("DELETE", "/linked-account/user_12345").send().await;
    delete().await.is(200, r#"{"message":"User deleted successfully"}"#);
    delete().await.is_not_found(&format!(
        "Linked Account with account id user_12345 for org {ORG} in environment test not found"
    ));
    let path = format!("/env/value/{definition}");
    let answer = fixture.call("GET", &format!("{path}?linked_account_id=user_12345")).send().await;
    answer.is_coded_not_found("Variable value not found");
    let answer = fixture.call_with_token(&token, "GET", &path).send().await;
    answer.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
    fixture.register("user_12345").await;
    assert_eq!(fixture.call_with_token(&token, "GET", &path).send().await.status, 401);
    let sessions = fixture.org.records("session".parse().unwrap());
    assert!(sessions.list(Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_integration_goes_with_its_credentials() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let delete = async |slug: &str| {
        let path = format!("/linked-account/integration/{slug}");
        fixture.call("DELETE", &path).header("linked_account_id", "a").send().await
    };
    let deleted = delete("default-app").await;
    deleted.is(200, r#"{"success":true,"message":"Integration deleted successfully"}"#);
    delete("default-app").await.is_not_found("Default app integration not found for linked account a");
    delete("other").await.is_not_found("Integration not found for linked account a");
    let call = fixture.call("PUT", "/linked-account/default-app/auth-credentials/k?linked_account_id=a");
    let answer = call.json(r#"{"value":"v"}"#).await;
    answer.is_not_found("Default app integration not found for linked account a");
}

#[tokio::test]
async fn a_token_overwrites_neither_the_name_nor_the_fields_of_the_org() {
    let fixture = Fixture::new().await;
    let body = r#"{"account_id":"a","name":"Ann","udf":{"plan":"free"},"your_app":{}}"#;
    fixture.call("POST", "/linked-account").json(body).await;
    let token = fixture.token("a").await;
    let put = async |body: &str| fixture.call_with_token(&token, "PUT", "/linked-account").json(body).await;
    for body in [
        r#"{"name":"Bob"}"#,
        r#"{"udf":{"plan":"pro"}}"#,
        r#"{"udf":{}}"#,
        r#"{"payload":{"name":""},"your_app":{"auth_credentials":{"k":"v"}}}"#,
    ] {
        put(body).await.is_bad_request("name and udf of an account can be changed only with an API key");
    }
    let same =
        put(r#"{"name":"Ann","udf":{ "plan": "free" },"your_app":{"auth_credentials":{"k":"v"}}}"#).await;
    assert_eq!((same.status.as_u16(), same.field("name").as_str()), (200, "Ann"));
    let account = fixture.org.account("a".parse().unwrap());
    let known = account.info().await.unwrap().unwrap();
    assert_eq!((known.name.as_deref(), known.udf.as_deref()), (Some("Ann"), Some(r#"{"plan":"free"}"#)));
    assert_eq!(account.credential("k").await.unwrap().unwrap().value.expose(), "v");
}

#[tokio::test]
async fn a_token_sets_no_fields_of_the_org_where_there_are_none() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let put =
        fixture.call_with_token(&token, "PUT", "/linked-account").json(r#"{"udf":{"plan":"pro"}}"#).await;
    put.is_bad_request("name and udf of an account can be changed only with an API key");
    assert_eq!(fixture.org.account("a".parse().unwrap()).info().await.unwrap().unwrap().udf, None);
}

/// A service with the account `a`, whose store can be made to wait.
async fn gated_fixture() -> (Fixture, Arc<Gate>) {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    fixture.register("a").await;
    (fixture, gate)
}

/// Updates an account with its token, and runs `meanwhile` when the update is about to be written.
async fn update_while(meanwhile: impl AsyncFnOnce(&Fixture)) -> (Fixture, Answer) {
    let (fixture, gate) = gated_fixture().await;
    let token = fixture.token("a").await;
    gate.hold_next_commit();
    let body = r#"{"name":"Ann","your_app":{"auth_credentials":{"k":"v"}}}"#;
    let put = fixture.call_with_token(&token, "PUT", "/linked-account").json(body);
    let meanwhile = async {
        gate.commit_reached.notified().await;
        meanwhile(&fixture).await;
        gate.release_commit();
    };
    let (put, ()) = tokio::join!(put, meanwhile);
    (fixture, put)
}

async fn delete(fixture: &Fixture) {
    assert_eq!(fixture.call("DELETE", "/linked-account/a").send().await.status, 200);
}

#[tokio::test]
async fn a_deleted_account_is_not_made_again_by_its_token() {
    let (fixture, put) = update_while(delete).await;
    put.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
    assert!(fixture.org.account("a".parse().unwrap()).info().await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_of_a_deleted_account_changes_nothing_of_the_next_one() {
    let (fixture, put) = update_while(async |fixture: &Fixture| {
        delete(fixture).await;
        fixture.register("a").await;
    })
    .await;
    put.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
    let account = fixture.org.account("a".parse().unwrap());
    assert_eq!(account.info().await.unwrap().unwrap().name, None);
    assert!(account.credential("k").await.unwrap().is_none());
}

#[tokio::test]
async fn updates_with_one_token_at_once_all_land() {
    let (fixture, first) = update_while(async |fixture: &Fixture| {
        let token = fixture.token("a").await;
        let body = r#"{"your_app":{"auth_credentials":{"other":"w"}}}"#;
        let second = fixture.call_with_token(&token, "PUT", "/linked-account").json(body).await;
        assert_eq!(second.status, 200);
    })
    .await;
    assert_eq!(first.status, 200, "{}", first.body);
    let account = fixture.org.account("a".parse().unwrap());
    for (key, value) in [("k", "v"), ("other", "w")] {
        assert_eq!(account.credential(key).await.unwrap().unwrap().value.expose(), value);
    }
}

#[tokio::test]
async fn a_session_that_is_issued_during_the_deletion_of_its_account_goes_too() {
    for is_first in [true, false] {
        let (fixture, gate) = gated_fixture().await;
        if !is_first {
            fixture.token("a").await;
        }
        // The key that signs is there: the issue is one commit.
        fixture.register("b").await;
        fixture.token("b").await;
        gate.hold_next_commit();
        let issued = async {
            gate.commit_reached.notified().await;
            let issue = fixture.call("POST", "/session-token?force_refresh=true");
            let issued = issue.json(r#"{"linked_account_id":"a"}"#).await;
            gate.release_commit();
            issued.field("token")
        };
        let ((), token) = tokio::join!(delete(&fixture), issued);
        let answer = fixture.call_with_token(&token, "GET", "/linked-account/a").send().await;
        answer.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
        assert_eq!(sessions_len(&fixture).await, 1, "that of the other account");
    }
}

#[tokio::test]
async fn no_session_is_issued_for_an_account_that_is_deleted_meanwhile() {
    let (fixture, gate) = gated_fixture().await;
    fixture.register("b").await;
    fixture.token("b").await;
    gate.hold_next_commit();
    let issue = fixture.call("POST", "/session-token").json(r#"{"linked_account_id":"a"}"#);
    let meanwhile = async {
        gate.commit_reached.notified().await;
        delete(&fixture).await;
        gate.release_commit();
    };
    let (issued, ()) = tokio::join!(issue, meanwhile);
    let message = "No linked account found for account id : a in environment test";
    issued.is_error(400, "BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID", message);
    assert_eq!(sessions_len(&fixture).await, 1, "that of the other account");
}

async fn sessions_len(fixture: &Fixture) -> usize {
    let mut rows = 0;
    for namespace in ["session", "account-session"] {
        let records = fixture.org.records(namespace.parse().unwrap());
        rows = rows.max(records.list(Default::default()).await.unwrap().items.len());
    }
    rows
}

#[tokio::test]
async fn a_token_of_an_account_that_a_host_deleted_with_its_sessions_left_over_works_for_no_later_one() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("PLAN").await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    fixture.org.delete_account(&"a".parse().unwrap()).await.unwrap();
    fixture.register("a").await;
    let value = format!(r#"{{"variable_definition_id":"{definition}","value":"v"}}"#);
    let calls = [
        ("GET", "/linked-account/a".to_owned(), ""),
        ("PUT", "/linked-account".to_owned(), r#"{"your_app":{}}"#),
        ("POST", "/env/values".to_owned(), value.as_str()),
        ("GET", format!("/env/value/{definition}"), ""),
        ("PUT", "/linked-account/default-app/auth-credentials/k".to_owned(), r#"{"value":"v"}"#),
        ("DELETE", "/linked-account/default-app/auth-credentials/k".to_owned(), ""),
    ];
    for (method, path, body) in calls {
        let answer = fixture.call_with_token(&token, method, &path).json(body).await;
        answer.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
    }
    let account = fixture.org.account("a".parse().unwrap());
    assert!(account.value("PLAN").await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_token_was_about_to_write_when_its_account_was_deleted_is_refused() {
    for is_registered_again in [false, true] {
        for call in 0..3 {
            let (fixture, gate) = gated_fixture().await;
            let definition = fixture.define_string("PLAN").await;
            let token = fixture.token("a").await;
            let value = format!(r#"{{"variable_definition_id":"{definition}","value":"v"}}"#);
            let (method, path, body) = match call {
                0 => ("POST", "/env/values", value.as_str()),
                1 => ("PUT", "/linked-account/default-app/auth-credentials/k", r#"{"value":"v"}"#),
                _ => ("PUT", "/linked-account", r#"{"your_app":{"auth_credentials":{"k":"v"}}}"#),
            };
            gate.hold_next_commit();
            let write = fixture.call_with_token(&token, method, path).json(body);
            let meanwhile = async {
                gate.commit_reached.notified().await;
                delete(&fixture).await;
                if is_registered_again {
                    fixture.register("a").await;
                }
                gate.release_commit();
            };
            let (written, ()) = tokio::join!(write, meanwhile);
            written.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
            let account = fixture.org.account("a".parse().unwrap());
            assert!(account.values(Default::default()).await.unwrap().items.is_empty());
            if is_registered_again {
                assert!(account.credential("k").await.unwrap().is_none());
            }
        }
    }
}
