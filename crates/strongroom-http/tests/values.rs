//! Setting and reading values.

mod support;

use strongroom::{
    AuditFilter, LinkedAccountId, PageRequest, Scope, ScopeKind, Scopes, VarFormat, VariableDefinition,
};
use support::{Fixture, NOW, ORG};

#[tokio::test]
async fn a_set_value_is_answered_in_the_documented_order() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("REGION").await;
    let body = format!(r#"{{"variable_definition_id":"{definition}","value":"eu","extra":[1]}}"#);
    let answer = fixture.call("POST", "/env/values").json(&body).await;
    let id = answer.field("_id");
    answer.is(
        200,
        &[
            format!(r#"{{"_id":"{id}","variable_definition_id":"{definition}","org_id":"{ORG}","#),
            format!(r#""environment":"test","value":"eu","createdAt":"{NOW}"}}"#),
        ]
        .concat(),
    );
    fixture.clock.forward(60);
    let again = fixture.call("POST", "/env/values").json(&body).await;
    assert_eq!(again.body, answer.body);
}

#[tokio::test]
async fn a_set_value_names_its_scope() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("REGION").await;
    let at = |field: &str| format!(r#"{{"variable_definition_id":"{definition}","value":"eu",{field}}}"#);
    let answer = fixture.call("POST", "/env/values").json(&at(r#""linked_account_id":"user_12345""#)).await;
    let id = answer.field("_id");
    answer.is(
        200,
        &[
            format!(r#"{{"_id":"{id}","variable_definition_id":"{definition}","org_id":"{ORG}","#),
            format!(
                r#""environment":"test","linked_account_id":"user_12345","value":"eu","createdAt":"{NOW}"}}"#
            ),
        ]
        .concat(),
    );
    let answer = fixture.call("POST", "/env/values").json(&at(r#""workflow_id":"wf_1""#)).await;
    let id = answer.field("_id");
    answer.is(
        200,
        &[
            format!(r#"{{"_id":"{id}","variable_definition_id":"{definition}","org_id":"{ORG}","#),
            format!(r#""environment":"test","workflow_id":"wf_1","value":"eu","createdAt":"{NOW}"}}"#),
        ]
        .concat(),
    );
}

#[tokio::test]
async fn an_encrypted_value_is_answered_as_ciphertext_and_read_redacted() {
    let fixture = Fixture::new().await;
    let definition = VariableDefinition::new("API_SECRET", VarFormat::String).encrypted();
    let definition = fixture.define(definition).await;
    let body = format!(
        r#"{{"variable_definition_id":"{definition}","value":"s3cret-canary","linked_account_id":"user_12345"}}"#
    );
    let answer = fixture.call("POST", "/env/values").json(&body).await;
    assert!(answer.field("value").starts_with("AQ"), "a record of version 1 in base64");
    assert!(!answer.body.contains("s3cret-canary"));
    let path = format!("/env/value/{definition}?linked_account_id=user_12345");
    let answer = fixture.call("GET", &path).send().await;
    answer.is(
        200,
        &[
            r#"{"value":"[REDACTED]","encrypted":true,"name":"API_SECRET","scope":"linked_account","#
                .to_owned(),
            format!(r#""variable_definition_id":"{definition}"}}"#),
        ]
        .concat(),
    );
}

#[tokio::test]
async fn a_value_is_read_from_the_most_specific_scope() {
    let fixture = Fixture::new().await;
    let definition = VariableDefinition::new("REGION", VarFormat::String).default_value("d");
    let definition = fixture.define(definition).await;
    let get = async |query: &str| {
        let path = format!("/env/value/{definition}{query}");
        let answer = fixture.call("GET", &path).send().await;
        (answer.field("value"), answer.field("scope"))
    };
    assert_eq!(get("").await, ("d".into(), "default".into()));
    for (scope, value) in [
        (Scope::Org, "o"),
        (Scope::LinkedAccount("a:1@x".parse().unwrap()), "a"),
        (Scope::Workflow("wf 1".parse().unwrap()), "w"),
    ] {
        fixture.org.set_value("REGION", scope, value).await.unwrap();
    }
    assert_eq!(get("").await, ("o".into(), "org".into()));
    assert_eq!(get("?linked_account_id=a%3A1%40x").await, ("a".into(), "linked_account".into()));
    assert_eq!(get("?linked_account_id=a%3A1%40x&workflow_id=wf+1").await, ("w".into(), "workflow".into()));
    assert_eq!(get("?linked_account_id=other").await, ("o".into(), "org".into()));
}

#[tokio::test]
async fn the_header_wins_over_the_query_and_must_agree_with_the_body() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("REGION").await;
    fixture.org.set_value("REGION", Scope::LinkedAccount("a".parse().unwrap()), "of a").await.unwrap();
    let path = format!("/env/value/{definition}?linked_account_id=b");
    let answer = fixture.call("GET", &path).header("linked_account_id", "a").send().await;
    assert_eq!(answer.field("value"), "of a");
    let body = format!(r#"{{"variable_definition_id":"{definition}","value":"v","linked_account_id":"b"}}"#);
    let answer = fixture.call("POST", "/env/values").header("linked_account_id", "a").json(&body).await;
    let message = "linked_account_id differs between two places of the request";
    answer.is_error(400, "BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID", message);
}

#[tokio::test]
async fn what_the_body_of_a_read_or_delete_names_is_not_passed_over() {
    let fixture = Fixture::new().await;
    let id = fixture.define_string("A").await;
    for account in ["a", "b"] {
        fixture.register(account).await;
        let scope = Scope::LinkedAccount(account.parse().unwrap());
        fixture.org.set_value("A", scope, account).await.unwrap();
        let account = fixture.org.account(account.parse().unwrap());
        account.upsert_credential("k", "v").await.unwrap();
    }
    let (of_a, of_b) = (r#"{"linked_account_id":"a"}"#, r#"{"linked_account_id":"b"}"#);
    let scope = Scope::LinkedAccount("a".parse().unwrap());
    let value = fixture.org.value("A", scope).await.unwrap().unwrap().id;
    assert_eq!(fixture.call("GET", &format!("/env/value/{id}")).json(of_b).await.field("value"), "b");
    for (method, path) in [
        ("GET", format!("/env/value/{id}")),
        ("GET", "/env/values/linked_account".to_owned()),
        ("GET", "/linked-account/default-app/auth-credentials".to_owned()),
        ("GET", "/linked-account/a".to_owned()),
        ("DELETE", format!("/env/values/{value}")),
        ("DELETE", "/linked-account/default-app/auth-credentials/k".to_owned()),
        ("DELETE", "/linked-account/integration/default-app".to_owned()),
        ("DELETE", "/linked-account/a".to_owned()),
    ] {
        let named = format!("{path}?linked_account_id=a");
        assert_eq!(fixture.call(method, &named).json(of_b).await.status, 400, "{method} {path}");
        let agreed = fixture.call(method, &named).header("linked_account_id", "a").json(of_a).await;
        assert_eq!(agreed.status, 200, "{method} {path}: {}", agreed.body);
    }
    let left = fixture.org.account("b".parse().unwrap()).usage().await.unwrap();
    assert_eq!((left.values, left.credentials, left.integrations), (1, 1, 1));
}

#[tokio::test]
async fn a_workflow_in_the_query_is_not_passed_over() {
    let fixture = Fixture::new().await;
    let id = fixture.define_string("A").await;
    let body = format!(r#"{{"variable_definition_id":"{id}","value":"v"}}"#);
    let set = fixture.call("POST", "/env/values?workflow_id=wf_1").json(&body).await;
    assert_eq!(set.field("workflow_id"), "wf_1");
    assert_eq!(fixture.call("GET", &format!("/env/value/{id}")).send().await.status, 404);
    let other = format!(r#"{{"variable_definition_id":"{id}","value":"v","workflow_id":"wf_2"}}"#);
    let refused = fixture.call("POST", "/env/values?workflow_id=wf_1").json(&other).await;
    refused.is_bad_request("workflow_id differs between query and body");
    fixture.register("user_1").await;
    let token = fixture.token("user_1").await;
    let foreign = fixture.call_with_token(&token, "POST", "/env/values?workflow_id=wf_1").json(&body).await;
    foreign.is_bad_request("linked account auth must match the target scope");
}

#[tokio::test]
async fn a_delete_takes_only_the_value_of_the_workflow_that_it_names() {
    let fixture = Fixture::new().await;
    let id = fixture.define_string("A").await;
    let body = format!(r#"{{"variable_definition_id":"{id}","value":"v"}}"#);
    let of_org = fixture.call("POST", "/env/values").json(&body).await.field("_id");
    let of_workflow = fixture.call("POST", "/env/values?workflow_id=wf_1").json(&body).await.field("_id");
    let not_found = "Variable value not found";
    for value in [&of_org, &of_workflow] {
        let path = format!("/env/values/{value}");
        let other = fixture.call("DELETE", &format!("{path}?workflow_id=wf_2")).send().await;
        other.is_coded_not_found(not_found);
        let two = fixture.call("DELETE", &format!("{path}?workflow_id=wf_1"));
        let two = two.json(r#"{"workflow_id":"wf_2"}"#).await;
        two.is_bad_request("workflow_id differs between query and body");
    }
    fixture.register("user_1").await;
    let token = fixture.token("user_1").await;
    let own = fixture.call_with_token(&token, "POST", "/env/values").json(&body).await.field("_id");
    let path = format!("/env/values/{own}?workflow_id=wf_1");
    let foreign = fixture.call_with_token(&token, "DELETE", &path).send().await;
    foreign.is_bad_request("linked account auth must match the target scope");
    let path = format!("/env/values/{of_workflow}?workflow_id=wf_1");
    assert_eq!(fixture.call("DELETE", &path).send().await.status, 200);
}

#[tokio::test]
async fn a_header_with_hyphens_sets_nothing_for_the_whole_org() {
    let fixture = Fixture::new().await;
    let id = fixture.define_string("A").await;
    let body = format!(r#"{{"variable_definition_id":"{id}","value":"v"}}"#);
    let set = fixture.call("POST", "/env/values").header("linked-account-id", "user_1").json(&body).await;
    let message = "the header is linked_account_id, with underscores";
    set.is_error(400, "BAD_REQUEST", "INVALID_LINKED_ACCOUNT_ID", message);
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_is_a_400_without_echo() {
    let fixture = Fixture::new().await;
    let number = fixture.define(VariableDefinition::new("N", VarFormat::Number)).await;
    let account = fixture.define_at("A", Scopes::only(ScopeKind::LinkedAccount)).await;
    let workflow = fixture.define_at("W", Scopes::only(ScopeKind::Workflow)).await;
    let both = Scopes::only(ScopeKind::Workflow).and(ScopeKind::LinkedAccount);
    let both = fixture.define_at("B", both).await;
    let long = "x".repeat(65_537);
    let set = async |definition: &str, rest: &str| {
        let body = format!(r#"{{"variable_definition_id":"{definition}",{rest}}}"#);
        fixture.call("POST", "/env/values").json(&body).await
    };
    set(&number, r#""value":"canary""#).await.is_bad_request("value does not match the variable format");
    set(&number, r#""value":""#).await.is_bad_request("the request body is not valid JSON");
    set(&number, r#""value":1"#).await.is_bad_request("value has the wrong type");
    set(&number, r#""value":"1","value":"2""#)
        .await
        .is_bad_request("value must stand in the request body once");
    set(&number, r#""value":null"#).await.is_bad_request("value is required");
    set(&account, r#""value":"v""#)
        .await
        .is_bad_request("linked_account_id is required for linked_account scope");
    set(&workflow, r#""value":"v""#).await.is_bad_request("workflow_id is required for workflow scope");
    set(&both, r#""value":"v""#).await.is_bad_request("linked_account_id or workflow_id is required");
    set(&account, r#""value":"v","workflow_id":"w""#)
        .await
        .is_bad_request("the variable definition allows no value at workflow scope");
    set(&account, r#""value":"v","workflow_id":"w","linked_account_id":"a""#)
        .await
        .is_bad_request("linked_account_id and workflow_id must not stand together");
    set(&account, &format!(r#""value":"{long}","linked_account_id":"a""#))
        .await
        .is_bad_request("a value must be at most 65536 bytes");
    set("6500a1b2c3d4e5f6a7b8c9d1", r#""value":"v""#).await.is_not_found("Variable definition not found");
    set("REGION", r#""value":"v""#).await.is_not_found("Variable definition not found");
    let answer = fixture.call("POST", "/env/values").json(r#"{"value":"v"}"#).await;
    answer.is_bad_request("variable_definition_id is required");
}

#[tokio::test]
async fn a_value_that_is_not_there_is_a_404_with_error_code() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("REGION").await;
    let answer = fixture.call("GET", &format!("/env/value/{definition}")).send().await;
    answer.is_coded_not_found("Variable value not found");
    for unknown in ["6500a1b2c3d4e5f6a7b8c9d1", "REGION", "%00", "..%2F.."] {
        let answer = fixture.call("GET", &format!("/env/value/{unknown}")).send().await;
        answer.is_coded_not_found("Variable definition not found");
    }
}

#[tokio::test]
async fn a_scope_is_listed_redacted() {
    let fixture = Fixture::new().await;
    let plain = fixture.define_string("PLAIN").await;
    let narrow = VariableDefinition::new("NARROW", VarFormat::String).encrypted();
    let narrow = fixture.define(narrow.scopes(Scopes::only(ScopeKind::LinkedAccount))).await;
    let scope = Scope::LinkedAccount("a".parse().unwrap());
    let one = fixture.org.set_value("PLAIN", &scope, "canary").await.unwrap().id;
    fixture.clock.forward(60);
    let other = fixture.org.set_value("NARROW", scope, "canary").await.unwrap().id;
    fixture.org.set_value("PLAIN", Scope::Org, "canary").await.unwrap();
    let one = [
        format!(r#"{{"_id":"{one}","variable_definition_id":{{"_id":"{plain}","name":"PLAIN","#),
        format!(r#""scope":"org","encrypted":false}},"value":"[REDACTED]","updatedAt":"{NOW}"}}"#),
    ]
    .concat();
    let other = [
        format!(r#"{{"_id":"{other}","variable_definition_id":{{"_id":"{narrow}","name":"NARROW","#),
        r#""scope":"linked_account","encrypted":true},"value":"[REDACTED]","#.to_owned(),
        r#""updatedAt":"2023-11-14T22:14:20.000Z"}"#.to_owned(),
    ]
    .concat();
    let (first, second) = if plain < narrow { (&one, &other) } else { (&other, &one) };

    let all = fixture.call("GET", "/env/values/linked_account").header("linked_account_id", "a").send().await;
    all.is(
        200,
        &format!(r#"{{"status":"success","docs":[{first},{second}],"totalDocs":2,"limit":10,"page":1}}"#),
    );
    let path = "/env/values/linked_account?linked_account_id=a&limit=1&page=2";
    let page = fixture.call("GET", path).send().await;
    page.is(200, &format!(r#"{{"status":"success","docs":[{second}],"totalDocs":2,"limit":1,"page":2}}"#));
    let path = format!("/env/values/linked_account?linked_account_id=a&variable_definition_id={plain}");
    let filtered = fixture.call("GET", &path).send().await;
    filtered.is(200, &format!(r#"{{"status":"success","docs":[{one}],"totalDocs":1,"limit":10,"page":1}}"#));
    for name in ["org", "workspace"] {
        let org = fixture.call("GET", &format!("/env/values/{name}")).send().await;
        assert!(org.body.ends_with(r#""totalDocs":1,"limit":10,"page":1}"#), "{}", org.body);
    }
    let none = fixture.call("GET", "/env/values/org?variable_definition_id=x").send().await;
    none.is(200, r#"{"status":"success","docs":[],"totalDocs":0,"limit":10,"page":1}"#);
}

#[tokio::test]
async fn a_list_of_a_scope_needs_its_id() {
    let fixture = Fixture::new().await;
    let list = async |scope: &str| fixture.call("GET", &format!("/env/values/{scope}")).send().await;
    list("workflow").await.is_bad_request("workflow_id is required for workflow scope");
    list("linked_account").await.is_bad_request("linked_account_id is required for linked_account scope");
    list("canary").await.is_bad_request("a scope is `org`, `linked_account` or `workflow`");
}

#[tokio::test]
async fn a_value_is_deleted_by_its_id() {
    let fixture = Fixture::new().await;
    fixture.define_string("API_SECRET").await;
    let scope = Scope::LinkedAccount("a".parse().unwrap());
    let id = fixture.org.set_value("API_SECRET", scope, "v").await.unwrap().id;
    let path = format!("/env/values/{id}");
    let other = fixture.call("DELETE", &path).header("linked_account_id", "b").send().await;
    other.is_coded_not_found("Variable value not found");
    fixture.call("DELETE", &path).send().await.is(
        200,
        r#"{"status":"success","message":"Variable value for \"API_SECRET\" deleted successfully"}"#,
    );
    fixture.call("DELETE", &path).send().await.is_coded_not_found("Variable value not found");
    fixture.call("DELETE", "/env/values/org").send().await.is_coded_not_found("Variable value not found");
}

#[tokio::test]
async fn a_value_names_the_key_or_session_and_the_request_that_set_it() {
    let fixture = Fixture::new().await;
    let id = fixture.define_string("A").await;
    fixture.register("user_1").await;
    let token = fixture.token("user_1").await;
    let set = format!(r#"{{"variable_definition_id":"{id}","value":"x"}}"#);
    fixture.call("POST", "/env/values").header("x-request-id", "r-1").json(&set).await;
    fixture.call_with_token(&token, "POST", "/env/values").json(&set).await;
    let of_org = fixture.org.value("A", Scope::Org).await.unwrap().unwrap().metadata;
    assert!(of_org.author().unwrap().starts_with("api-key:") && of_org.request_id() == Some("r-1"));
    let account = fixture.org.account("user_1".parse().unwrap());
    let of_account = account.value("A").await.unwrap().unwrap().metadata;
    assert!(of_account.author().unwrap().starts_with("session:") && of_account.request_id().is_some());
}

#[tokio::test]
async fn what_a_session_writes_names_its_account_and_its_session() {
    let fixture = Fixture::new().await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    let id = fixture.define_string("A").await;
    // As long as an id may be.
    let account = "u".repeat(LinkedAccountId::BYTES_MAX);
    fixture.register(&account).await;
    let token = fixture.token(&account).await;
    let set = format!(r#"{{"variable_definition_id":"{id}","value":"x"}}"#);
    assert_eq!(fixture.call_with_token(&token, "POST", "/env/values").json(&set).await.status, 200);
    let events = fixture.org.audit(&AuditFilter::all(), PageRequest::first(1_000)).await.unwrap().items;
    let actor = events.last().unwrap().actor.clone().unwrap();
    let session = actor.strip_prefix("session:").and_then(|rest| rest.strip_suffix(&format!("@{account}")));
    assert_eq!(session.unwrap().len(), 32, "{actor}");
}
