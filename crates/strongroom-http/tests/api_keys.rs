//! API keys: made, listed, revoked, expired, tampered with.

mod support;

use strongroom::{DataKeys, Environment, Error, Invalid, PageRequest, Timestamp};
use strongroom_http::{ApiKeys, Grant, NewApiKey, Right};
use support::damage::{damage, holds};
use support::{Fixture, NOW_MS, api_key};

async fn try_key(fixture: &Fixture, key: &str) -> support::Answer {
    let path = "/env/value/6500a1b2c3d4e5f6a7b8c9d1";
    fixture.call_anonymously("GET", path).header("x-api-key", key).send().await
}

#[tokio::test]
async fn a_key_is_refused_once_it_is_revoked() {
    let fixture = Fixture::new().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let created = keys.create(NewApiKey::named("ci")).await.unwrap();
    assert_eq!(try_key(&fixture, created.key.expose()).await.status, 404);
    let listed = keys.list(PageRequest::default()).await.unwrap();
    assert!(listed.items.contains(&created.info));
    assert_eq!(created.info.created_at, Timestamp::from_ms(NOW_MS));
    assert!(keys.revoke(&created.info.id).await.unwrap());
    assert!(!keys.revoke(&created.info.id).await.unwrap());
    let answer = try_key(&fixture, created.key.expose()).await;
    answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
}

#[tokio::test]
async fn no_public_type_shows_a_key_or_token() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    assert_eq!(fixture.call_with_token(&token, "GET", "/linked-account/a").send().await.status, 200);
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let created = keys.create(NewApiKey::named("ci")).await.unwrap();
    let secret = created.key.expose().to_owned();
    assert_eq!(try_key(&fixture, &secret).await.status, 404);
    let shown = format!("{created:?} {keys:?} {:?}", fixture.service);
    for secret in [&secret, &fixture.key, &token] {
        // Neither the whole nor a piece of it.
        assert!(!shown.contains(&secret[3..23]) && !shown.contains(&secret[secret.len() - 20..]), "{shown}");
    }
    assert!(shown.contains("[REDACTED]"), "{shown}");
}

#[tokio::test]
async fn a_key_has_a_name_of_1_to_256_bytes() {
    let fixture = Fixture::new().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let create =
        async |name: String| keys.create(NewApiKey::named(name)).await.map(|created| created.info.name);
    assert!(matches!(create(String::new()).await, Err(Error::Invalid(Invalid::Id(_)))));
    assert!(matches!(create("n".repeat(257)).await, Err(Error::TooLong { .. })));
    assert_eq!(create("n".repeat(256)).await.unwrap().len(), 256);
}

#[tokio::test]
async fn a_key_stays_good_when_its_record_is_sealed_anew() {
    let fixture = Fixture::new().await;
    assert_eq!(try_key(&fixture, &fixture.key).await.status, 404);
    let job = fixture.vault.rotate_data_keys(&DataKeys::all()).await.unwrap();
    job.run().await.unwrap();
    for _ in 0..2 {
        assert_eq!(try_key(&fixture, &fixture.key).await.status, 404);
    }
}

#[tokio::test]
async fn a_key_is_refused_once_its_org_is_shredded() {
    let fixture = Fixture::new().await;
    assert_eq!(try_key(&fixture, &fixture.key).await.status, 404);
    let _ = fixture.org.shred().await.unwrap();
    assert_eq!(try_key(&fixture, &fixture.key).await.status, 401);
    fixture.define_string("ANEW").await;
    assert_eq!(try_key(&fixture, &fixture.key).await.status, 401);
}

#[tokio::test]
async fn a_key_is_refused_once_it_expires() {
    let fixture = Fixture::new().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let new = NewApiKey::named("short").expires_at(Timestamp::from_ms(NOW_MS + 60_000));
    let created = keys.create(new).await.unwrap();
    fixture.clock.forward(59);
    assert_eq!(try_key(&fixture, created.key.expose()).await.status, 404);
    fixture.clock.forward(1);
    assert_eq!(try_key(&fixture, created.key.expose()).await.status, 401);
}

#[tokio::test]
async fn a_key_that_replaces_a_narrowed_one_is_narrowed_as_well() {
    let fixture = Fixture::new().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let grant = Grant::of([Right::Read]).only_names(["SMTP_*"]).unwrap();
    let grant = grant.only_accounts(["a".parse().unwrap()]).unwrap();
    let old = keys.create(NewApiKey::named("ci").with(grant.clone())).await.unwrap();
    let until = Timestamp::from_ms(NOW_MS + 60_000);
    let new = keys.rotate(&old.info.id, until, None).await.unwrap().unwrap();
    assert_eq!(new.info.grant, grant);
    for id in [old.info.id, new.info.id] {
        assert_eq!(keys.info(&id).await.unwrap().unwrap().grant, grant);
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_is_refused_once_it_expires_although_its_grace_is_longer() {
    let fixture = Fixture::new().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let at = |secs: u64| Timestamp::from_ms(NOW_MS + secs * 1_000);
    let old = keys.create(NewApiKey::named("short").expires_at(at(60))).await.unwrap();
    assert!(keys.rotate(&old.info.id, at(600), None).await.unwrap().is_some());
    assert_eq!(try_key(&fixture, old.key.expose()).await.status, 404);
    fixture.clock.forward(60);
    assert_eq!(try_key(&fixture, old.key.expose()).await.status, 401);
}

#[tokio::test]
async fn a_key_decides_org_and_environment() {
    let fixture = Fixture::new().await;
    let definition = fixture.define_string("REGION").await;
    let elsewhere = [
        fixture.vault.org(*fixture.org.id(), Environment::production()),
        fixture.vault.org("6500a1b2c3d4e5f6a7b8c9d9".parse().unwrap(), Environment::test()),
    ];
    for org in elsewhere {
        let key = api_key(&org).await;
        let path = format!("/env/value/{definition}");
        let answer = fixture.call_anonymously("GET", &path).header("x-api-key", &key).send().await;
        answer.is_coded_not_found("Variable definition not found");
    }
}

#[tokio::test]
async fn another_scheme_beside_a_key_is_passed_over() {
    let fixture = Fixture::new().await;
    for other in ["Basic YTpi", "Negotiate", "Digest a=\"b\"", "Bearerx y", "Basic \u{fc}"] {
        let call = fixture.call("GET", "/env/definitions").header("authorization", other);
        assert_eq!(call.send().await.status, 200, "{other}");
        let call = fixture.call_anonymously("GET", "/env/definitions").header("authorization", other);
        let answer = call.header("x-api-key", "tk_x").send().await;
        answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
    }
}

#[tokio::test]
async fn a_bad_session_token_beside_a_key_is_refused() {
    let fixture = Fixture::new().await;
    for bad in ["Bearer x", "bearer  x", "Bearer", "Bearer ", "BEARER \u{fc}"] {
        let call = fixture.call("GET", "/env/definitions").header("authorization", bad);
        call.send().await.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
    }
    let call = fixture.call("GET", "/env/definitions").header("authorization", "Basic YTpi");
    let answer = call.header("authorization", "Bearer x").send().await;
    answer.is_error(401, "UNAUTHORIZED", "INVALID_TOKEN", "Invalid token");
}

#[tokio::test]
async fn a_key_that_was_tampered_with_is_refused() {
    let fixture = Fixture::new().await;
    let (head, last) = fixture.key.split_at(fixture.key.len() - 1);
    let altered = format!("{head}{}", if last == "A" { "B" } else { "A" });
    let renamed = fixture.key.replacen("tk_", "pk_", 1);
    for bad in ["", "tk_", "x", &altered, &renamed, &fixture.key[1..]] {
        let answer = try_key(&fixture, bad).await;
        answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
    }
    let answer = fixture.call_anonymously("GET", "/env/value/x").send().await;
    answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
    let twice = fixture.call("GET", "/env/value/x").header("x-api-key", &fixture.key).send().await;
    twice.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
}

#[tokio::test]
async fn a_note_of_an_ended_line_that_cannot_be_read_is_renewed_in_one_batch() {
    let (fixture, store, gate) = Fixture::gated().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let id = keys.create(NewApiKey::named("ci")).await.unwrap().info.id;
    assert!(!keys.revoke_made(&id).await.unwrap().renewed);
    damage(&store, |key| holds(key, b"api-key-line")).await;
    gate.fail_commits_after(1);
    assert!(keys.revoke_made(&id).await.unwrap().renewed);
    let notes = fixture.org.reserved_records("api-key-line".parse().unwrap());
    assert_eq!(notes.list(PageRequest::default()).await.unwrap().items.len(), 1);
}
