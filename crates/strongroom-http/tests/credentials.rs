//! Credentials of the default app.

mod support;

use strongroom::{Quotas, RawKey, Unlock, VaultOptions};
use strongroom_http::ServiceOptions;
use strongroom_memory::MemoryStore;
use support::{Fixture, NOW};

const PATH: &str = "/linked-account/default-app/auth-credentials";

#[tokio::test]
async fn a_credential_is_added_then_updated() {
    let fixture = Fixture::new().await;
    fixture.register("user_12345").await;
    let put = async |value: &str| {
        let call = fixture.call("PUT", &format!("{PATH}/api_key")).header("linked_account_id", "user_12345");
        call.json(&format!(r#"{{"value":{value}}}"#)).await
    };
    put(r#""k1""#).await.is(
        200,
        r#"{"success":true,"message":"Auth credential 'api_key' added successfully","action":"added"}"#,
    );
    put(r#""k2""#).await.is(
        200,
        r#"{"success":true,"message":"Auth credential 'api_key' updated successfully","action":"updated"}"#,
    );
    let account = fixture.org.account("user_12345".parse().unwrap());
    let kept = account.credential("api_key").await.unwrap().unwrap();
    assert_eq!(kept.value.expose(), "k2");
}

#[tokio::test]
async fn what_is_not_a_string_is_kept_as_its_exact_source() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    for (json, kept) in [
        (r#""\u00e9\n""#, "é\n"),
        ("12345678901234567890.10", "12345678901234567890.10"),
        (" { \"b\" : [1 , 1e400], \"b\":null }", "{ \"b\" : [1 , 1e400], \"b\":null }"),
        ("null", "null"),
        ("true", "true"),
        (r#""""#, ""),
    ] {
        let call = fixture.call("PUT", &format!("{PATH}/k?linked_account_id=a"));
        let answer = call.json(&format!(r#"{{"value":{json}}}"#)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(account.credential("k").await.unwrap().unwrap().value.expose(), kept);
    }
}

#[tokio::test]
async fn a_key_is_percent_decoded_once_and_case_sensitive() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    for (path, key) in [
        ("%41pi%2Fkey", "Api/key"),
        ("api%2541", "api%41"),
        ("%C3%A9", "é"),
        ("a+b", "a+b"),
        ("%2E%2E", ".."),
    ] {
        let call = fixture.call("PUT", &format!("{PATH}/{path}?linked_account_id=a"));
        call.json(r#"{"value":"v"}"#).await;
        assert!(account.credential(key).await.unwrap().is_some(), "{path}");
    }
    let put = async |key: &str| {
        let call = fixture.call("PUT", &format!("{PATH}/{key}?linked_account_id=a"));
        call.json(r#"{"value":"v"}"#).await
    };
    put("%FF").await.is_bad_request("the path must be UTF-8");
    put("a%00").await.is_bad_request("a credential key must not contain control characters");
    put(&"k".repeat(257)).await.is_bad_request("a credential key must be at most 256 bytes of UTF-8");
}

#[tokio::test]
async fn a_credential_needs_the_default_app() {
    let fixture = Fixture::new().await;
    let call = fixture.call("PUT", &format!("{PATH}/api_key")).header("linked_account_id", "user_12345");
    let answer = call.json(r#"{"value":"k1"}"#).await;
    answer.is_not_found("Default app integration not found for linked account user_12345");
    let answer = fixture.call("PUT", &format!("{PATH}/api_key")).json(r#"{"value":"k1"}"#).await;
    answer.is_bad_request("linked_account_id is required");
    let call = fixture.call("PUT", &format!("{PATH}/api_key")).header("linked_account_id", "a");
    call.json("{}").await.is_bad_request("value is required");
}

#[tokio::test]
async fn a_credential_is_deleted_once() {
    let fixture = Fixture::new().await;
    fixture.register("user_12345").await;
    let account = fixture.org.account("user_12345".parse().unwrap());
    account.upsert_credential("api_key", "k1").await.unwrap();
    let delete = async || {
        let call = fixture.call("DELETE", &format!("{PATH}/api_key"));
        call.header("linked_account_id", "user_12345").send().await
    };
    let deleted = delete().await;
    deleted.is(200, r#"{"success":true,"message":"Auth credential 'api_key' deleted successfully"}"#);
    delete().await.is_not_found("Auth credential key 'api_key' not found");
}

#[tokio::test]
async fn credentials_are_listed_by_name_alone() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    for key in ["x", "y", "z"] {
        account.upsert_credential(key, "canary").await.unwrap();
    }
    let answer = fixture.call("GET", &format!("{PATH}?linked_account_id=a&limit=2&page=2")).send().await;
    answer.is(
        200,
        &[
            format!(
                r#"{{"docs":[{{"key_name":"z","createdAt":"{NOW}","updatedAt":"{NOW}"}}],"totalDocs":3,"#
            ),
            r#""limit":2,"page":2,"totalPages":2,"hasNextPage":false,"hasPrevPage":true,"#.to_owned(),
            r#""nextPage":null,"prevPage":1,"pagingCounter":3}"#.to_owned(),
        ]
        .concat(),
    );
}

#[tokio::test]
async fn every_change_bumps_the_credential_generation() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let account = fixture.org.account("a".parse().unwrap());
    let generation = async || account.info().await.unwrap().unwrap().credential_generation;
    let before = generation().await;
    fixture.call("PUT", &format!("{PATH}/k?linked_account_id=a")).json(r#"{"value":1}"#).await;
    assert_eq!(generation().await, before + 1);
    fixture.call("DELETE", &format!("{PATH}/k?linked_account_id=a")).send().await;
    assert_eq!(generation().await, before + 2);
}

#[tokio::test]
async fn one_more_than_the_quota_is_a_400_that_names_it() {
    let options = VaultOptions::default().quotas(Quotas::default().account_credentials_max(1));
    let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
    let vault = options.create(MemoryStore::new(), unlock).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    fixture.register("user_12345").await;
    let put = async |key: &str| {
        let path = format!("/linked-account/default-app/auth-credentials/{key}");
        let call = fixture.call("PUT", &path).header("linked_account_id", "user_12345");
        call.json(r#"{"value":"k1"}"#).await
    };
    assert_eq!(put("one").await.status, 200);
    put("two").await.is_bad_request(
        "there can be at most 1 credentials of the linked account: delete some first, or have the operator raise \
         `account_credentials_max`",
    );
    assert_eq!(put("one").await.status, 200);
}
