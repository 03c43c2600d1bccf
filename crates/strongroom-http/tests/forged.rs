//! Bad keys and tokens: they cost little, and lock nobody out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use strongroom::{DataKeys, RawKey, Unlock, Vault};
use strongroom_http::{ApiKeys, Limits, NewApiKey, Rate, ServiceOptions, serve};
use support::gate::{Gate, gated};
use support::{Answer, BASE, Fixture, api_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

async fn fixture(limits: Limits) -> (Fixture, Arc<Gate>) {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    // Refusals come at once, since these tests count what they cost.
    let limits = limits.refusal_pause(Duration::ZERO);
    (Fixture::over(vault, ServiceOptions::default().limits(limits)).await, gate)
}

/// A key with another secret.
fn forged_key(key: &str, number: usize) -> String {
    format!("{}{number:04}", &key[..key.len() - 4])
}

/// A token with another signature.
fn forged_token(token: &str, number: usize) -> String {
    format!("{}{number:04}", &token[..token.len() - 4])
}

async fn with_key(fixture: &Fixture, key: &str) -> Answer {
    fixture.call_anonymously("GET", "/env/definitions").header("x-api-key", key).send().await
}

async fn with_token(fixture: &Fixture, token: &str) -> Answer {
    fixture.call_with_token(token, "GET", "/env/definitions").send().await
}

/// Limits under which the second failure of an address is one too many, for as long as a test takes.
fn strict() -> Limits {
    Limits::default().failure_rate(Rate { per_sec: 1.try_into().unwrap(), burst: 1.try_into().unwrap() })
}

/// Uses up what the address of `call` may fail.
async fn use_up(mut call: impl AsyncFnMut() -> Answer) {
    for _ in 0..1_000 {
        if call().await.status == 429 {
            return;
        }
    }
    panic!("bad credentials are never too many");
}

#[tokio::test]
async fn a_thousand_forged_tokens_cost_next_to_no_read() {
    let (fixture, gate) = fixture(Limits::default()).await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let before = gate.reads();
    for number in 0..1_000 {
        let status = with_token(&fixture, &forged_token(&token, number)).await.status;
        assert!(status == 401 || status == 429, "{status}");
    }
    // The key is looked for again once a second.
    assert!(gate.reads() - before < 60, "{} reads", gate.reads() - before);
    assert_eq!(
        with_token(&fixture, &token).await.status,
        200,
        "the holder of a good token is not locked out"
    );
}

#[tokio::test]
async fn a_thousand_forged_tokens_of_an_org_that_is_not_known_cost_few_reads() {
    let (fixture, gate) = fixture(Limits::default()).await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    // Another server, which has never seen a token of the org.
    let options = ServiceOptions::default().limits(Limits::default().refusal_pause(Duration::ZERO));
    let fresh = Fixture::over(fixture.vault.clone(), options).await;
    let before = gate.reads();
    for number in 0..1_000 {
        let status = with_token(&fresh, &forged_token(&token, number)).await.status;
        assert!(status == 401 || status == 429, "{status}");
    }
    assert!(gate.reads() - before < 200, "{} reads", gate.reads() - before);
}

#[tokio::test]
async fn a_server_that_has_not_read_the_key_of_an_org_takes_no_forged_token() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let fresh = fixture.beside().await;
    assert_eq!(with_token(&fresh, &forged_token(&token, 1)).await.status, 401);
    assert_eq!(with_token(&fresh, &token).await.status, 200);
}

#[tokio::test]
async fn a_thousand_forged_keys_cost_few_reads() {
    let (fixture, gate) = fixture(Limits::default()).await;
    assert_eq!(with_key(&fixture, &fixture.key).await.status, 200);
    let before = gate.reads();
    let mut refused = 0;
    for number in 0..1_000 {
        let answer = with_key(&fixture, &forged_key(&fixture.key, number)).await;
        if answer.status == 429 {
            refused += 1;
            answer.is_error(429, "BAD_REQUEST", "SERVER_ERROR", "Too many requests");
        } else {
            answer.is_error(401, "UNAUTHORIZED", "SERVER_ERROR", "Invalid Credentials");
        }
    }
    assert!(refused > 500, "{refused}");
    assert!(gate.reads() - before < 500, "{} reads", gate.reads() - before);
    assert_eq!(
        with_key(&fixture, &fixture.key).await.status,
        200,
        "the holder of a good key is not locked out"
    );
}

#[tokio::test(start_paused = true)]
async fn good_keys_count_as_no_failure() {
    let (fixture, _) = fixture(strict()).await;
    for _ in 0..20 {
        let key = api_key(&fixture.org).await;
        assert_eq!(with_key(&fixture, &key).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_keys_do_not_keep_out_a_known_key_whose_record_was_sealed_again() {
    let (fixture, _) = fixture(strict()).await;
    assert_eq!(with_key(&fixture, &fixture.key).await.status, 200);
    fixture.vault.rotate_data_keys(&DataKeys::all()).await.unwrap().run().await.unwrap();
    use_up(async || with_key(&fixture, &forged_key(&fixture.key, 1)).await).await;
    assert_eq!(with_key(&fixture, &fixture.key).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_known_key_that_was_revoked_is_bad_and_from_then_on_kept_out_like_others() {
    let (fixture, _) = fixture(strict()).await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let made = keys.create(NewApiKey::named("n")).await.unwrap();
    assert_eq!(with_key(&fixture, made.key.expose()).await.status, 200);
    keys.revoke(&made.info.id).await.unwrap();
    use_up(async || with_key(&fixture, &forged_key(&fixture.key, 1)).await).await;
    assert_eq!(with_key(&fixture, made.key.expose()).await.status, 401);
    assert_eq!(with_key(&fixture, made.key.expose()).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn bad_keys_do_not_keep_out_a_good_token_when_its_signing_key_is_read_again() {
    let (fixture, _) = fixture(strict()).await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    assert_eq!(with_token(&fixture, &token).await.status, 200);
    tokio::time::advance(Duration::from_secs(61)).await;
    use_up(async || with_key(&fixture, &forged_key(&fixture.key, 1)).await).await;
    assert_eq!(with_token(&fixture, &token).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn failures_count_for_the_address_that_a_trusted_proxy_saw() {
    let (fixture, _) = fixture(strict().proxies(1)).await;
    let from = async |key: &str, forwarded: &str| {
        let call = fixture.call_anonymously("GET", "/env/definitions").header("x-api-key", key);
        call.header("x-forwarded-for", forwarded).send().await
    };
    use_up(async || from(&forged_key(&fixture.key, 1), "198.51.100.1").await).await;
    let new = api_key(&fixture.org).await;
    assert_eq!(from(&new, "198.51.100.1").await.status, 429);
    assert_eq!(
        from(&new, "192.0.2.1, 198.51.100.1").await.status,
        429,
        "what the client wrote does not count"
    );
    assert_eq!(from(&new, "198.51.100.2").await.status, 200);
    assert_eq!(from(&new, "198.51.100.1").await.status, 200, "it is known to be good now");
}

#[tokio::test]
async fn failures_count_for_the_address_of_a_connection() {
    let (fixture, _) = fixture(strict()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, fixture.service.clone(), std::future::pending()));
    let from = async |local: &str, key: &str| -> u16 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{local}:0").parse::<SocketAddr>().unwrap()).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!(
            "GET {BASE}/env/definitions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-forwarded-for: 198.51.100.1\r\nx-api-key: {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
    };
    let forged = forged_key(&fixture.key, 1);
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        assert!(statuses.len() < 1_000, "bad keys are never too many");
        statuses.push(from("127.0.0.2", &forged).await);
    }
    let new = api_key(&fixture.org).await;
    assert_eq!(from("127.0.0.1", &new).await, 200);
}

#[tokio::test]
async fn a_token_is_good_at_once_where_forged_ones_came_before() {
    let (fixture, _) = fixture(Limits::default()).await;
    fixture.register("a").await;
    let (other, _) = self::fixture(Limits::default()).await;
    other.register("a").await;
    // Of the same org, signed elsewhere, before this service has a key of its own to sign with.
    let foreign = other.token("a").await;
    for _ in 0..10 {
        assert_eq!(with_token(&fixture, &foreign).await.status, 401);
    }
    let token = fixture.token("a").await;
    assert_eq!(with_token(&fixture, &token).await.status, 200);
    let elsewhere = Fixture::over(fixture.vault.clone(), ServiceOptions::default()).await;
    assert_eq!(with_token(&elsewhere, &token).await.status, 200);
}
