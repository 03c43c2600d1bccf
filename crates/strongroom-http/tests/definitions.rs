//! Variable definitions.

mod support;

use strongroom::{ScopeKind, Scopes, VarFormat, VariableDefinition};
use support::{Fixture, NOW, ORG};

const UNKNOWN: &str = "/env/definitions/6500a1b2c3d4e5f6a7b8c9d1";

#[tokio::test]
async fn a_definition_is_made_read_changed_and_deleted() {
    let fixture = Fixture::new().await;
    let body = r#"{"name":"API-url","var_format":"url","description":"d","scope":"workflow"}"#;
    let made = fixture.call("POST", "/env/definitions").json(body).await;
    let made_json: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let id = made_json["definition"]["_id"].as_str().unwrap();
    let key = made_json["definition"]["created_by"].as_str().unwrap();
    let doc = |name: &str, description: &str, scope: &str, encrypted: bool| {
        [
            format!(r#"{{"definition":{{"_id":"{id}","org_id":"{ORG}","name":"{name}","#),
            format!(r#""description":"{description}","scope":"{scope}","var_format":"url","#),
            format!(r#""encrypted":{encrypted},"created_by":"{key}","updated_by":"{key}","#),
            format!(r#""createdAt":"{NOW}","updatedAt":"{NOW}"}}}}"#),
        ]
        .concat()
    };
    made.is(200, &doc("API-url", "d", "workflow", false));
    let path = format!("/env/definitions/{id}");
    fixture.call("GET", &path).send().await.is(200, &doc("API-url", "d", "workflow", false));
    let change = r#"{"name":"URL","description":null,"encrypted":true,"scope":"linked_account"}"#;
    fixture.call("PATCH", &path).json(change).await.is(200, &doc("URL", "", "linked_account", true));
    let deleted = fixture.call("DELETE", &path).send().await;
    deleted.is(200, r#"{"success":true,"message":"Variable definition deleted successfully"}"#);
    fixture.call("GET", &path).send().await.is_coded_not_found("Variable definition not found");
}

#[tokio::test]
async fn a_definition_that_is_not_there_is_a_404_with_error_code() {
    let fixture = Fixture::new().await;
    for method in ["GET", "PATCH", "DELETE"] {
        for path in [UNKNOWN, "/env/definitions/x", "/env/definitions/%2e%2e"] {
            let answer = fixture.call(method, path).json("{}").await;
            answer.is_coded_not_found("Variable definition not found");
        }
    }
}

#[tokio::test]
async fn a_change_of_the_format_is_refused_and_the_same_format_is_none() {
    let fixture = Fixture::new().await;
    let path = format!("/env/definitions/{}", fixture.define_string("A").await);
    let patch = async |body: &str| fixture.call("PATCH", &path).json(body).await;
    let refused = "var_format cannot be changed: values would no longer match it";
    patch(r#"{"var_format":"number","name":"B"}"#).await.is_bad_request(refused);
    patch(r#"{"var_format":{"enum":["a"]}}"#).await.is_bad_request(refused);
    patch(r#"{"var_format":"canary"}"#).await.is_bad_request(refused);
    let same = patch(r#"{"var_format":"string","name":"C"}"#).await;
    assert!(same.status == 200 && same.body.contains(r#""name":"C""#), "{}", same.body);
    let made =
        fixture.call("POST", "/env/definitions").json(r#"{"name":"E","var_format":{"enum":["a"]}}"#).await;
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let path = format!("/env/definitions/{}", made["definition"]["_id"].as_str().unwrap());
    for same in [r#"{"var_format":"enum"}"#, r#"{"var_format":{"enum":["a"]}}"#] {
        assert_eq!(fixture.call("PATCH", &path).json(same).await.status, 200);
    }
    let unknown = fixture.call("PATCH", UNKNOWN).json(r#"{"var_format":"string"}"#).await;
    unknown.is_coded_not_found("Variable definition not found");
}

#[tokio::test]
async fn the_author_of_a_definition_is_an_api_key_or_not_shown() {
    let fixture = Fixture::new().await;
    let host = fixture.org.acting_as("os:0".parse().unwrap());
    host.define(VariableDefinition::new("A", VarFormat::String)).await.unwrap();
    let list = fixture.call("GET", "/env/definitions").send().await;
    assert!(list.body.contains(r#""created_by":"","updated_by":"","#), "{}", list.body);
}

#[tokio::test]
async fn a_definition_that_breaks_a_rule_is_a_400() {
    let fixture = Fixture::new().await;
    fixture.define_string("TAKEN").await;
    let create = async |body: &str| fixture.call("POST", "/env/definitions").json(body).await;
    create("{}").await.is_bad_request("name is required");
    create(r#"{"name":"TAKEN"}"#).await.is_bad_request("a variable definition with this name exists");
    create(r#"{"name":""}"#).await.is_bad_request("a variable definition name must not be empty");
    create(r#"{"name":"A","var_format":"canary"}"#).await.is_bad_request("var_format is not a format");
    create(r#"{"name":"A","scope":"canary"}"#)
        .await
        .is_bad_request("a scope is `org`, `linked_account` or `workflow`");
    create(r#"{"name":1}"#).await.is_bad_request("name has the wrong type");
    let body = r#"{"name":"E","var_format":{"enum":["a","b"]},"default_value":"c"}"#;
    create(body).await.is_bad_request(
        "the default of the variable definition is invalid: one of the values of the definition's list is required",
    );
    let body = r#"{"name":"secret_in_the_wrong_field","encrypted":true,"default_value":"x"}"#;
    create(body)
        .await
        .is_bad_request("the variable definition is invalid: an encrypted definition has no default");
    let id = fixture.define(VariableDefinition::new("S", VarFormat::String).encrypted()).await;
    let answer =
        fixture.call("PATCH", &format!("/env/definitions/{id}")).json(r#"{"encrypted":false}"#).await;
    answer.is_bad_request("encrypted can be set, never cleared");
}

#[tokio::test]
async fn a_list_is_paged_and_sorted_by_id() {
    let fixture = Fixture::new().await;
    for name in ["C", "B", "A"] {
        fixture.define_string(name).await;
        fixture.clock.forward(1);
    }
    let answer = fixture.call("GET", "/env/definitions?limit=2").send().await;
    assert_eq!(answer.column("name"), ["C", "B"]);
    let tail = [
        r#""totalDocs":3,"limit":2,"page":1,"totalPages":2,"hasNextPage":true,"hasPrevPage":false,"#,
        r#""nextPage":2,"prevPage":null,"pagingCounter":1}"#,
    ]
    .concat();
    assert!(answer.body.ends_with(&tail), "{}", answer.body);
    assert_eq!(fixture.call("GET", "/env/definitions?limit=2&page=2").send().await.column("name"), ["A"]);
    let none = fixture.call("GET", "/env/definitions?page=7").send().await;
    assert!(none.body.starts_with(r#"{"docs":[],"totalDocs":3,"#));
    let answer = fixture.call("GET", "/env/definitions?page=0").send().await;
    answer.is_bad_request("page must be a number from 1 to 1000000");
}

#[tokio::test]
async fn a_list_is_filtered() {
    let fixture = Fixture::new().await;
    fixture.define(VariableDefinition::new("API_URL", VarFormat::Url)).await;
    fixture.define_at("API_KEY", Scopes::only(ScopeKind::Workflow)).await;
    fixture.define_at("api_key", Scopes::only(ScopeKind::Org)).await;
    let list = async |query: &str| {
        let mut found = fixture.call("GET", &format!("/env/definitions?{query}")).send().await.column("name");
        found.sort();
        found
    };
    assert_eq!(list("scope=workflow").await, ["API_KEY", "API_URL"]);
    assert_eq!(list("scope=workspace").await, ["API_URL", "api_key"]);
    assert_eq!(list("var_format=url").await, ["API_URL"]);
    assert_eq!(list("name=%5EAPI_").await, ["API_KEY", "API_URL"]);
    assert_eq!(list("names=API_URL,api_key,none").await, ["API_URL", "api_key"]);
    let answer = fixture.call("GET", "/env/definitions?name=(").send().await;
    answer.is_bad_request("the name pattern is not a regular expression that compiles within the size limit");
}
