//! Session tokens: what they are, what they reach, and when they end.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom::{
    AuditFilter, Environment, EventKind, LinkedAccountId, PageRequest, RawKey, Scope, ScopeKind, Scopes,
    Unlock, VarFormat, VariableDefinition,
};
use strongroom_http::control::OpenSessions;
use support::damage::{damage, holds};
use support::{Answer, Fixture, NOW_MS, ORG, api_key};

fn refused(answer: &Answer) {
    answer.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
}

async fn active(fixture: &Fixture, token: &str) -> Answer {
    fixture.call_with_token(token, "GET", "/session/active-linked-account").send().await
}

#[tokio::test]
async fn a_token_names_its_account_and_is_used_again() {
    let fixture = Fixture::new().await;
    fixture.register("user_12345").await;
    let issue = async |query: &str| {
        let call = fixture.call("POST", &format!("/session-token{query}"));
        call.json(r#"{"linked_account_id":"user_12345"}"#).await
    };
    let first = issue("").await;
    let token = first.field("token");
    first.is(200, &format!(r#"{{"token":"{token}","expires_in":86400}}"#));
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["org_id"], ORG);
    assert_eq!(claims["linked_account_id"], "user_12345");
    assert_eq!(claims["environment"], "test");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 86_400);
    fixture.clock.forward(100);
    issue("").await.is(200, &format!(r#"{{"token":"{token}","expires_in":86300}}"#));
    assert_ne!(issue("?force_refresh=true").await.field("token"), token);
    assert_eq!(active(&fixture, &token).await.status, 200);
    let answer = active(&fixture, &token).await;
    assert_eq!(answer.field("account_id"), "user_12345");
}

#[tokio::test]
async fn a_token_needs_a_registered_account() {
    let fixture = Fixture::new().await;
    let answer = fixture.call("POST", "/session-token").send().await;
    answer.is_bad_request("linked_account_id is required");
    let answer = fixture.call("POST", "/session-token").json(r#"{"linked_account_id":"user_99999"}"#).await;
    let message = "No linked account found for account id : user_99999 in environment test";
    answer.is_error(400, "BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID", message);
}

#[tokio::test]
async fn a_token_ends_when_it_is_revoked_or_expires() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let revoke = async || fixture.call_with_token(&token, "POST", "/session-token/revoke").send().await;
    revoke().await.is(200, r#"{"success":true,"revoked_count":1}"#);
    refused(&revoke().await);
    let second = fixture.token("a").await;
    assert_ne!(second, token);
    fixture.clock.forward(86_400 + 59);
    assert_eq!(active(&fixture, &second).await.status, 200, "within the skew of two clocks");
    fixture.clock.forward(1);
    refused(&active(&fixture, &second).await);
}

#[tokio::test]
async fn a_new_token_does_not_cut_the_skew_of_an_expired_one_short() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let expired = fixture.token("a").await;
    fixture.clock.forward(86_400 + 10);
    assert_ne!(fixture.token("a").await, expired);
    assert_eq!(active(&fixture, &expired).await.status, 200);
}

#[tokio::test]
async fn only_so_many_sessions_of_an_account_stand() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let first = fixture.token("a").await;
    for _ in 0..16 {
        let call = fixture.call("POST", "/session-token?force_refresh=true");
        call.json(r#"{"linked_account_id":"a"}"#).await;
    }
    refused(&active(&fixture, &first).await);
    let sessions = fixture.org.records("session".parse().unwrap());
    assert_eq!(sessions.list(Default::default()).await.unwrap().items.len(), 16);
}

#[tokio::test]
async fn sessions_that_were_revoked_end_none_that_stands() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let first = fixture.token("a").await;
    for _ in 0..20 {
        let call = fixture.call("POST", "/session-token?force_refresh=true");
        let token = call.json(r#"{"linked_account_id":"a"}"#).await.field("token");
        let revoked = fixture.call_with_token(&token, "POST", "/session-token/revoke").send().await;
        assert_eq!(revoked.status, 200);
    }
    assert_eq!(active(&fixture, &first).await.status, 200);
}

#[tokio::test]
async fn a_token_that_was_tampered_with_or_is_foreign_is_refused() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let other = URL_SAFE_NO_PAD.encode(text.replace("\"a\"", "\"b\""));
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let elsewhere = fixture.vault.org(*fixture.org.id(), Environment::production());
    elsewhere.create_account("a".parse().unwrap()).await.unwrap();
    let key = api_key(&elsewhere).await;
    let call = fixture.call_anonymously("POST", "/session-token").header("x-api-key", &key);
    let foreign = call.json(r#"{"linked_account_id":"a"}"#).await.field("token");
    let foreign_signature = foreign.rsplit_once('.').unwrap().1;
    for bad in [
        format!("{header}.{other}.{signature}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{claims}.{foreign_signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        "x".to_owned(),
        String::new(),
    ] {
        refused(&active(&fixture, &bad).await);
    }
    let call = fixture.call("GET", "/session/active-linked-account").header("authorization", "Basic YTpi");
    refused(&call.send().await);
}

#[tokio::test]
async fn a_token_reaches_its_own_account_alone() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    fixture.register("b").await;
    let definition = fixture.define_string("REGION").await;
    let hidden = fixture.define_at("HIDDEN", Scopes::only(ScopeKind::Org)).await;
    let default = VariableDefinition::new("DEFAULT", VarFormat::String).default_value("d");
    let default = fixture.define(default).await;
    let of_b = Scope::LinkedAccount("b".parse().unwrap());
    fixture.org.set_value("REGION", Scope::Org, "org").await.unwrap();
    let of_b = fixture.org.set_value("REGION", of_b, "b").await.unwrap().id;
    let token = fixture.token("a").await;
    let call = |method: &str, path: &str| fixture.call_with_token(&token, method, path);
    let own = "linked account auth must match the target scope";

    let path = format!("/env/value/{definition}");
    call("GET", &path).send().await.is_coded_not_found("Variable value not found");
    call("GET", &format!("/env/value/{default}")).send().await.is_coded_not_found("Variable value not found");
    call("GET", &format!("/env/value/{hidden}"))
        .send()
        .await
        .is_coded_not_found("Variable definition not found");
    call("GET", &path).header("linked_account_id", "b").send().await.is_bad_request(own);
    call("GET", &format!("{path}?linked_account_id=b")).send().await.is_bad_request(own);
    call("GET", &format!("{path}?workflow_id=w")).send().await.is_bad_request(own);
    for body in [
        format!(r#"{{"variable_definition_id":"{definition}","value":"v","linked_account_id":"b"}}"#),
        format!(r#"{{"variable_definition_id":"{definition}","value":"v","workflow_id":"w"}}"#),
    ] {
        call("POST", "/env/values").json(&body).await.is_bad_request(own);
    }
    let body = format!(r#"{{"variable_definition_id":"{hidden}","value":"v"}}"#);
    call("POST", "/env/values").json(&body).await.is_not_found("Variable definition not found");
    for id in [of_b.to_string(), "6500a1b2c3d4e5f6a7b8c9d1".to_owned()] {
        let answer = call("DELETE", &format!("/env/values/{id}")).send().await;
        answer.is_coded_not_found("Variable value not found");
    }
    for path in ["/env/values/org", "/env/values/workflow", "/linked-account/b", "/linked-account/none"] {
        call("GET", path).send().await.is_bad_request(own);
    }
    for account in ["b", "none"] {
        let body = format!(r#"{{"linked_account_id":"{account}"}}"#);
        call("PUT", "/linked-account").json(&body).await.is_bad_request(own);
        let path = format!("/linked-account/default-app/auth-credentials/k?linked_account_id={account}");
        call("PUT", &path).json(r#"{"value":1}"#).await.is_bad_request(own);
        call("DELETE", &path).send().await.is_bad_request(own);
    }
    call("GET", "/env/definitions?scope=org").send().await.is_bad_request(own);
    for (method, path) in [
        ("GET", "/env/definitions"),
        ("GET", "/session/active-linked-account"),
        ("POST", "/session-token/revoke"),
    ] {
        call(method, path).header("linked_account_id", "b").send().await.is_bad_request(own);
        call(method, &format!("{path}?linked_account_id=b")).send().await.is_bad_request(own);
    }
    let list = call("GET", "/env/definitions").send().await;
    assert!(list.body.contains(r#""totalDocs":2,"#) && !list.body.contains("HIDDEN"), "{}", list.body);
}

#[tokio::test]
async fn a_token_may_set_read_list_and_delete_what_is_its_own() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let definition = fixture.define_string("REGION").await;
    let token = fixture.token("a").await;
    let call = |method: &str, path: &str| fixture.call_with_token(&token, method, path);
    let body = format!(r#"{{"variable_definition_id":"{definition}","value":"eu"}}"#);
    let set = call("POST", "/env/values").header("linked_account_id", "a").json(&body).await;
    assert_eq!((set.field("linked_account_id").as_str(), set.field("value").as_str()), ("a", "eu"));
    let got = call("GET", &format!("/env/value/{definition}")).send().await;
    assert_eq!((got.field("scope").as_str(), got.field("value").as_str()), ("linked_account", "eu"));
    let list = call("GET", "/env/values/linked_account").send().await;
    assert!(list.body.contains(r#""totalDocs":1,"#));
    let deleted = call("DELETE", &format!("/env/values/{}", set.field("_id"))).send().await;
    assert_eq!(deleted.status, 200);
    let credential = "/linked-account/default-app/auth-credentials/k";
    assert_eq!(call("PUT", credential).json(r#"{"value":"v"}"#).await.status, 200);
    assert_eq!(call("DELETE", credential).send().await.status, 200);
    assert_eq!(call("PUT", "/linked-account").json(r#"{"name":"Ann"}"#).await.field("name"), "Ann");
    assert_eq!(call("GET", "/linked-account/a").send().await.field("account_id"), "a");
}

#[tokio::test]
async fn a_token_may_not_make_the_calls_of_a_key() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let definition = fixture.define_string("REGION").await;
    let token = fixture.token("a").await;
    for (method, path) in [
        ("GET", format!("/env/definitions/{definition}")),
        ("POST", "/env/definitions".to_owned()),
        ("PATCH", format!("/env/definitions/{definition}")),
        ("DELETE", format!("/env/definitions/{definition}")),
        ("GET", "/linked-account".to_owned()),
        ("POST", "/linked-account".to_owned()),
        ("DELETE", "/linked-account/a".to_owned()),
        ("DELETE", "/linked-account/integration/default-app".to_owned()),
        ("GET", "/linked-account/default-app/auth-credentials".to_owned()),
        ("POST", "/session-token".to_owned()),
    ] {
        let answer = fixture.call_with_token(&token, method, &path).json("{}").await;
        answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
    }
    for (method, path) in [("POST", "/session-token/revoke"), ("GET", "/session/active-linked-account")] {
        refused(&fixture.call(method, path).send().await);
    }
}

#[tokio::test]
async fn a_token_of_a_locked_org_is_a_503_until_it_is_unlocked() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    assert_eq!(active(&fixture, &token).await.status, 200);
    fixture.org.lock();
    for _ in 0..2 {
        assert_eq!(active(&fixture, &token).await.status, 503);
    }
    fixture.org.unlock(Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    assert_eq!(active(&fixture, &token).await.status, 200);
}

#[tokio::test]
async fn the_audit_names_the_account_of_each_session_that_is_issued_revoked_or_ended() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    let revoked = fixture.token("a").await;
    fixture.call_with_token(&revoked, "POST", "/session-token/revoke").send().await;
    fixture.token("a").await;
    OpenSessions::of(&fixture.org).unwrap().end_of(&"a".parse().unwrap()).await.unwrap();
    fixture.token("a").await;
    OpenSessions::of(&fixture.org).unwrap().end_all().await.unwrap();
    fixture.token("a").await;
    fixture.call("DELETE", "/linked-account/a").send().await;
    let page = PageRequest::first(100);
    let events = fixture.org.audit(&AuditFilter::all(), page).await.unwrap().items;
    let changes: Vec<_> = events.iter().flat_map(|event| &event.changes).collect();
    let of_sessions = changes.iter().filter(|change| {
        change.name.as_deref().is_some_and(|name| ["session", "account-session"].contains(&name))
    });
    let (mut put, mut deleted) = (0, 0);
    for change in of_sessions {
        let account = change.linked_account.as_ref().map(LinkedAccountId::as_str);
        assert_eq!(account, Some("a"), "{change:?}");
        put += usize::from(change.kind == EventKind::RecordPut);
        deleted += usize::from(change.kind == EventKind::RecordDeleted);
    }
    assert!(put >= 8 && deleted >= 5, "{put} and {deleted} of {changes:?}");
}

#[tokio::test]
async fn a_note_of_ended_sessions_that_cannot_be_read_is_replaced_in_one_batch() {
    for (account, namespace, key) in
        [(Some("a"), "account-session", "a"), (None, "signing-key", "sessions-ended")]
    {
        let (fixture, store, gate) = Fixture::gated().await;
        fixture.register("a").await;
        fixture.token("a").await;
        let sessions = OpenSessions::of(&fixture.org).unwrap();
        let end = async || match account {
            Some(account) => sessions.end_of(&account.parse().unwrap()).await.map(drop),
            None => sessions.end_all().await.map(drop),
        };
        end().await.unwrap();
        fixture.token("a").await;
        damage(&store, |row| holds(row, format!("\x40{namespace}\0{key}").as_bytes())).await;
        gate.fail_commits_after(1);
        assert!(end().await.is_err(), "the session itself stays");
        let notes = fixture.org.reserved_records(namespace.parse().unwrap());
        assert!(notes.get(&key.parse().unwrap()).await.unwrap().is_some(), "{namespace}");
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_another_server_ended_are_refused_after_a_minute_although_their_rows_stay() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    // What the other server writes first.
    let notes = fixture.org.reserved_records("signing-key".parse().unwrap());
    notes.put(&"sessions-ended".parse().unwrap(), (NOW_MS / 1_000).to_string()).await.unwrap();
    assert_eq!(active(&fixture, &token).await.status, 200);
    tokio::time::advance(Duration::from_secs(60)).await;
    refused(&active(&fixture, &token).await);
}

#[tokio::test]
async fn no_session_is_issued_while_what_says_which_were_ended_is_of_a_later_release() {
    for (namespace, key) in [("account-session", "a"), ("signing-key", "sessions-ended")] {
        let fixture = Fixture::new().await;
        fixture.register("a").await;
        let token = fixture.token("a").await;
        let (notes, key) = (fixture.org.reserved_records(namespace.parse().unwrap()), key.parse().unwrap());
        notes.put(&key, "of a later release").await.unwrap();
        let call = fixture.call("POST", "/session-token?force_refresh=true");
        assert_eq!(call.json(r#"{"linked_account_id":"a"}"#).await.status, 500, "{namespace}");
        assert_eq!(notes.get(&key).await.unwrap().unwrap().value.expose(), "of a later release");

        let sessions = OpenSessions::of(&fixture.org).unwrap();
        match namespace {
            "account-session" => drop(sessions.end_of(&"a".parse().unwrap()).await.unwrap()),
            _ => drop(sessions.end_all().await.unwrap()),
        }
        refused(&active(&fixture, &token).await);
        fixture.token("a").await;
    }
}
