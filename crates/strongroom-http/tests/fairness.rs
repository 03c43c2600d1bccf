//! No caller takes the service from the others. Time stands still until all wait.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper::body::Frame;
use strongroom::{DataKeys, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_http::{ApiKeys, Grant, Limits, NewApiKey, Rate, Right, ServiceOptions, serve};
use support::gate::{Gate, gated};
use support::{Answer, BASE, Fixture, api_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

/// A body of which one byte arrives, and never the rest.
struct HalfSent {
    sent: bool,
}

impl hyper::body::Body for HalfSent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.sent, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{")))))
    }
}

fn half_sent() -> Body {
    Body::new(HalfSent { sent: false })
}

async fn fixture(limits: Limits) -> (Fixture, Arc<Gate>) {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    (Fixture::over(vault, ServiceOptions::default().limits(limits)).await, gate)
}

/// The key of an org that does nothing wrong.
async fn other_org(fixture: &Fixture) -> String {
    let org =
        fixture.vault.org("6500a1b2c3d4e5f6a7b8c9d9".parse().unwrap(), fixture.org.environment().clone());
    api_key(&org).await
}

async fn definitions(fixture: &Fixture, key: &str) -> Answer {
    fixture.call_anonymously("GET", "/env/definitions").header("x-api-key", key).send().await
}

/// Sends many requests with half a body, and returns their answers as they come.
fn send_half(fixture: &Fixture, count: usize, header: (&str, &str)) -> JoinSet<u16> {
    let mut sent = JoinSet::new();
    for _ in 0..count {
        let request = Request::post(format!("{BASE}/env/values"))
            .header("content-type", "application/json")
            .header(header.0, header.1)
            .body(half_sent());
        let answer = fixture.app.clone().oneshot(request.unwrap());
        sent.spawn(async { answer.await.unwrap().status().as_u16() });
    }
    sent
}

/// Returns once every task waits: only then does the clock move.
async fn all_wait() {
    sleep(Duration::from_millis(1)).await;
}

fn count_of(status: u16, answers: &[u16]) -> usize {
    answers.iter().filter(|answer| **answer == status).count()
}

const LONG: Duration = Duration::from_secs(1_000_000);

#[tokio::test(start_paused = true)]
async fn half_sent_bodies_of_one_token_leave_room_for_others() {
    let (fixture, _) = fixture(Limits::default()).await;
    let other = other_org(&fixture).await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let sent = send_half(&fixture, 1_030, ("authorization", &format!("Bearer {token}")));
    all_wait().await;
    assert_eq!(definitions(&fixture, &other).await.status, 200);
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200, "the token's own org too");
    let answers = sent.join_all().await;
    assert_eq!((count_of(408, &answers), count_of(429, &answers)), (32, 1_030 - 32));
}

#[tokio::test(start_paused = true)]
async fn half_sent_bodies_of_one_key_leave_room_for_other_orgs() {
    let (fixture, _) = fixture(Limits::default()).await;
    let other = other_org(&fixture).await;
    let sent = send_half(&fixture, 1_030, ("x-api-key", &fixture.key));
    all_wait().await;
    assert_eq!(definitions(&fixture, &other).await.status, 200);
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 429);
    let answers = sent.join_all().await;
    assert_eq!((count_of(408, &answers), count_of(429, &answers)), (512, 1_030 - 512));
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200, "all are over");
}

#[tokio::test(start_paused = true)]
async fn half_sent_bodies_of_many_orgs_leave_room_for_another() {
    let (fixture, _) = fixture(Limits::default()).await;
    let other = other_org(&fixture).await;
    let mut sent = Vec::new();
    for org in ["6500a1b2c3d4e5f6a7b8c9d1", "6500a1b2c3d4e5f6a7b8c9d2", "6500a1b2c3d4e5f6a7b8c9d3"] {
        let org = fixture.vault.org(org.parse().unwrap(), fixture.org.environment().clone());
        sent.push(send_half(&fixture, 512, ("x-api-key", &api_key(&org).await)));
    }
    all_wait().await;
    assert_eq!(definitions(&fixture, &other).await.status, 200);
    for sent in sent {
        assert_eq!(count_of(408, &sent.join_all().await), 512);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_body_is_awaited_is_not_at_work() {
    let (fixture, _) = fixture(Limits::default().requests_max(1).org_requests_max(2)).await;
    let sent = send_half(&fixture, 1, ("x-api-key", &fixture.key));
    all_wait().await;
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200);
    assert_eq!(sent.join_all().await, [408]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_came_is_refused_where_too_many_requests_are_at_work() {
    let (fixture, gate) = fixture(
        Limits::default().requests_max(1).org_requests_max(2).body_timeout(LONG).request_timeout(LONG),
    )
    .await;
    let (half, rest) = tokio::io::duplex(64);
    let body = Body::new(Late(rest));
    let late =
        fixture.call("POST", "/env/values").header("content-type", "application/json").body(body).send();
    let at_work = async {
        all_wait().await;
        gate.close();
        let at_work = definitions(&fixture, &fixture.key);
        let arrives = async {
            gate.reached.notified().await;
            drop(half);
            all_wait().await;
            gate.open();
        };
        tokio::join!(at_work, arrives).0.status
    };
    let both = async { tokio::join!(late, at_work) };
    let (late, at_work) = timeout(Duration::from_secs(3_600), both).await.unwrap();
    assert_eq!((late.status.as_u16(), at_work.as_u16()), (503, 200));
}

/// A body that ends when the other end of the pipe is dropped.
struct Late(tokio::io::DuplexStream);

impl hyper::body::Body for Late {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let mut bytes = [0; 64];
        let mut buffer = tokio::io::ReadBuf::new(&mut bytes);
        std::task::ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), context, &mut buffer))?;
        let read = Bytes::copy_from_slice(buffer.filled());
        Poll::Ready((!read.is_empty()).then_some(Ok(Frame::data(read))))
    }
}

/// The answer to a request whose body comes after `between` is done.
async fn held_back(fixture: &Fixture, header: (&str, &str), between: impl Future<Output = ()>) -> u16 {
    let (mut rest, body) = tokio::io::duplex(1_024);
    let request = Request::post(format!("{BASE}/env/definitions"))
        .header("content-type", "application/json")
        .header(header.0, header.1)
        .body(Body::new(Late(body)));
    let answer = tokio::spawn(fixture.app.clone().oneshot(request.unwrap()));
    // By the real clock: so long as no body takes that is sent with its headers.
    sleep(Duration::from_millis(60)).await;
    between.await;
    rest.write_all(br#"{"name":"LATE","var_format":"string"}"#).await.unwrap();
    drop(rest);
    answer.await.unwrap().unwrap().status().as_u16()
}

#[tokio::test]
async fn whoever_holds_a_body_back_until_the_key_is_revoked_does_nothing() {
    let (fixture, _) = fixture(Limits::default()).await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let key = keys.create(NewApiKey::named("leaked")).await.unwrap();
    let header = ("x-api-key", key.key.expose());
    let revoke = async { assert!(keys.revoke(&key.info.id).await.unwrap()) };
    assert_eq!(held_back(&fixture, header, revoke).await, 401);
    assert!(fixture.org.definition("LATE").await.unwrap().is_none());

    let kept = ("x-api-key", fixture.key.as_str());
    assert_eq!(held_back(&fixture, kept, async {}).await, 200);
}

#[tokio::test]
async fn whoever_holds_a_body_back_until_the_session_ends_does_nothing() {
    let (fixture, _) = fixture(Limits::default()).await;
    fixture.register("a").await;
    let bearer = format!("Bearer {}", fixture.token("a").await);
    let id = fixture.org.define(VariableDefinition::new("A", VarFormat::String)).await.unwrap();
    let (mut rest, body) = tokio::io::duplex(1_024);
    let request = Request::post(format!("{BASE}/env/values"))
        .header("content-type", "application/json")
        .header("authorization", &bearer)
        .body(Body::new(Late(body)));
    let answer = tokio::spawn(fixture.app.clone().oneshot(request.unwrap()));
    sleep(Duration::from_millis(60)).await;
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let revoked = fixture.call_with_token(token, "POST", "/session-token/revoke").send().await;
    assert_eq!(revoked.status, 200);
    rest.write_all(format!(r#"{{"variable_definition_id":"{id}","value":"late"}}"#).as_bytes())
        .await
        .unwrap();
    drop(rest);
    assert_eq!(answer.await.unwrap().unwrap().status(), 401);
    let scope = Scope::LinkedAccount("a".parse().unwrap());
    assert!(fixture.org.value("A", scope).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_a_408() {
    let (fixture, _) = fixture(Limits::default().body_timeout(Duration::from_secs(7))).await;
    let start = Instant::now();
    let call = fixture.call("POST", "/env/values").header("content-type", "application/json");
    let answer = call.body(half_sent()).send().await;
    answer.is_error(408, "BAD_REQUEST", "SERVER_ERROR", "Request body did not arrive in time");
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_a_body_that_did_not_arrive_in_time() {
    let (fixture, _) = fixture(Limits::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, fixture.service.clone(), std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {BASE}/env/values HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: 10\r\n\r\n{{",
        fixture.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let start = Instant::now();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_more_than_an_org_may_have_at_work_is_a_429_and_costs_no_read() {
    // At once, so that nothing else is read meanwhile.
    let limits = Limits::default().org_requests_max(1).request_timeout(LONG).refusal_pause(Duration::ZERO);
    let (fixture, gate) = fixture(limits).await;
    let other = other_org(&fixture).await;
    for key in [&fixture.key, &other] {
        assert_eq!(definitions(&fixture, key).await.status, 200);
    }
    gate.close();
    let one_more = async {
        gate.reached.notified().await;
        let before = gate.reads();
        let answer = definitions(&fixture, &fixture.key).await;
        assert_eq!(gate.reads(), before);
        gate.open();
        answer
    };
    let (at_work, one_more) = tokio::join!(definitions(&fixture, &fixture.key), one_more);
    one_more.is_error(429, "BAD_REQUEST", "SERVER_ERROR", "Too many requests");
    assert_eq!((one_more.header("retry-after"), at_work.status.as_u16()), ("1", 200));
    assert_eq!(definitions(&fixture, &other).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_held_back_and_takes_no_place_meanwhile() {
    let limits = Limits::default().requests_max(1).token_requests_max(1).org_requests_max(2);
    let (fixture, _) = fixture(limits.body_timeout(LONG).request_timeout(LONG)).await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let _half = send_half(&fixture, 1, ("authorization", &format!("Bearer {token}")));
    all_wait().await;
    let begun = Instant::now();
    let refused = async {
        let answer = fixture.call_with_token(&token, "GET", "/env/definitions").send().await;
        (answer.status.as_u16(), begun.elapsed().as_secs())
    };
    let others = async {
        all_wait().await;
        definitions(&fixture, &fixture.key).await.status.as_u16()
    };
    assert_eq!(tokio::join!(refused, others), ((429, 1), 200));
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_refused_together_come_again_apart() {
    let limits = Limits::default().token_requests_max(1);
    let (fixture, _) = fixture(limits.body_timeout(LONG).request_timeout(LONG)).await;
    fixture.register("a").await;
    let token = format!("Bearer {}", fixture.token("a").await);
    let _half = send_half(&fixture, 1, ("authorization", &token));
    all_wait().await;
    let (begun, mut refused) = (Instant::now(), JoinSet::new());
    for _ in 0..100 {
        let request = Request::get(format!("{BASE}/env/definitions")).header("authorization", &token);
        let answer = fixture.app.clone().oneshot(request.body(Body::empty()).unwrap());
        refused.spawn(async move {
            assert_eq!(answer.await.unwrap().status(), 429);
            begun.elapsed()
        });
    }
    let ends = refused.join_all().await;
    for tenth in 10..20 {
        let (from, to) = (Duration::from_millis(100 * tenth), Duration::from_millis(100 * (tenth + 1)));
        let count = ends.iter().filter(|end| (from..to).contains(end)).count();
        assert!((8..=12).contains(&count), "{count} of 100 after {from:?}");
    }
}

#[tokio::test]
async fn answers_that_are_not_read_are_bounded_and_one_org_has_half_of_them() {
    let (fixture, _) = fixture(Limits::default().answer_bytes_max(1 << 20)).await;
    let other =
        fixture.vault.org("6500a1b2c3d4e5f6a7b8c9d9".parse().unwrap(), fixture.org.environment().clone());
    let mut keys = Vec::new();
    for org in [&fixture.org, &other] {
        for name in ["A", "B"] {
            org.define(VariableDefinition::new(name, VarFormat::String)).await.unwrap();
            org.set_value(name, Scope::Org, "x".repeat(60_000)).await.unwrap();
        }
        let new = NewApiKey::named("n").with(Grant::of([Right::Read]));
        keys.push(ApiKeys::of(org).unwrap().create(new).await.unwrap().key);
    }
    let ask = async |key: usize| {
        let request = Request::get("/api/admin/v1/values").header("x-api-key", keys[key].expose());
        fixture.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(ask(0).await);
    }
    assert!(unread.iter().all(|answer| answer.status() == 200));
    assert_eq!(ask(0).await.status(), 503);
    assert_eq!(ask(1).await.status(), 200, "another org");
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200, "a small answer");
    drop(unread.pop());
    assert_eq!(ask(0).await.status(), 200);
}

#[tokio::test]
async fn a_token_has_a_rate_unless_set_and_a_key_has_none() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let call =
        async || fixture.call_with_token(&token, "GET", "/env/definitions").send().await.status.as_u16();
    for _ in 0..100 {
        assert_eq!(call().await, 200);
    }
    let mut more = 0;
    while call().await == 200 {
        more += 1;
        assert!(more < 1_000, "it is never too often");
    }
    for _ in 0..200 {
        assert_eq!(definitions(&fixture, &fixture.key).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_that_ended_uses_up_nothing_of_its_account() {
    let rate = Rate { per_sec: 1.try_into().unwrap(), burst: 10.try_into().unwrap() };
    let (fixture, _) = fixture(Limits::default().token_rate(rate)).await;
    fixture.register("a").await;
    let ended = fixture.token("a").await;
    let revoked = fixture.call_with_token(&ended, "POST", "/session-token/revoke").send().await;
    assert_eq!(revoked.status, 200);
    let token = fixture.token("a").await;
    let mut refused = Vec::new();
    while refused.last() != Some(&429) {
        assert!(refused.len() < 1_000, "it is never too often");
        refused.push(fixture.call_with_token(&ended, "GET", "/env/definitions").send().await.status.as_u16());
    }
    assert!(refused.contains(&401));
    for _ in 0..9 {
        let answer = fixture.call_with_token(&token, "GET", "/env/definitions").send().await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn all_sessions_of_an_account_share_its_rate() {
    let rate = Rate { per_sec: 1.try_into().unwrap(), burst: 10.try_into().unwrap() };
    let (fixture, _) = fixture(Limits::default().token_rate(rate)).await;
    fixture.register("a").await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let issue = fixture.call("POST", "/session-token?force_refresh=true");
        let token = issue.json(r#"{"linked_account_id":"a"}"#).await.field("token");
        // Exactly the burst of one session.
        for _ in 0..10 {
            let answer = fixture.call_with_token(&token, "GET", "/env/definitions").send().await;
            answers.push(answer.status.as_u16());
        }
    }
    assert!(count_of(429, &answers) > 0, "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_record_was_sealed_again_counts_once() {
    let (fixture, _) = fixture(Limits::default().org_requests_max(1)).await;
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200);
    let job = fixture.vault.rotate_data_keys(&DataKeys::all()).await.unwrap();
    job.run().await.unwrap();
    assert_eq!(definitions(&fixture, &fixture.key).await.status, 200);
}
