//! What a server does about requests that take too long, and about too many of them. Time stands still until all wait.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use strongroom::{RawKey, Unlock, Vault};
use strongroom_http::{Limits, ServiceOptions, serve};
use support::gate::{Gate, gated};
use support::{BASE, Fixture};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

async fn fixture(limits: Limits) -> (Fixture, Arc<Gate>) {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    (Fixture::over(vault, ServiceOptions::default().limits(limits)).await, gate)
}

/// A server of `fixture` that runs until `stop`, and its address.
async fn start(fixture: &Fixture, stop: &Arc<Notify>) -> (JoinHandle<()>, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::clone(stop);
    let stopped = async move { stop.notified().await };
    (tokio::spawn(serve(listener, fixture.service.clone(), stopped)), address)
}

/// A connection on which a request was sent.
async fn sent(address: std::net::SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server closes the connection; nothing where it resets it.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn is_pending(future: impl Future) -> bool {
    timeout(Duration::from_secs(3_600), future).await.is_err()
}

fn get(fixture: &Fixture, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {}\r\n\r\n", fixture.key)
}

const LONG: Duration = Duration::from_secs(1_000_000);
const OVERLOADED: &str = "Service unavailable, try again later";

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_a_503() {
    let (fixture, gate) = fixture(Limits::default().request_timeout(Duration::from_secs(7))).await;
    gate.close();
    let start = Instant::now();
    let answer = fixture.call("GET", "/env/definitions").send().await;
    answer.is_error(503, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVER_ERROR", OVERLOADED);
    assert_eq!((start.elapsed().as_secs(), answer.header("retry-after")), (7, "1"));
}

#[tokio::test(start_paused = true)]
async fn one_request_more_than_may_be_at_work_is_a_503_and_the_next_is_served() {
    let (fixture, gate) = fixture(Limits::default().requests_max(1).request_timeout(LONG)).await;
    gate.close();
    let at_work = fixture.call("GET", "/env/definitions").send();
    let one_more = async {
        gate.reached.notified().await;
        let answer = fixture.call("GET", "/env/definitions").send().await;
        gate.open();
        answer
    };
    let (at_work, one_more) = tokio::join!(at_work, one_more);
    one_more.is_error(503, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVER_ERROR", OVERLOADED);
    assert_eq!(at_work.status, 200);
    assert_eq!(fixture.call("GET", "/env/definitions").send().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_has_too_much_to_do_is_alive_and_counted_and_not_ready() {
    let (fixture, gate) = fixture(Limits::default().requests_max(1).request_timeout(LONG)).await;
    gate.close();
    let at_work = fixture.call("GET", "/env/definitions").send();
    let asked = async {
        gate.reached.notified().await;
        let mut statuses = Vec::new();
        for path in ["/healthz", "/metrics", "/readyz"] {
            statuses.push(fixture.call_at_root("GET", path).send().await.status.as_u16());
        }
        gate.open();
        statuses
    };
    let (_, statuses) = tokio::join!(at_work, asked);
    assert_eq!(statuses, [200, 200, 503]);
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_meanwhile_take_the_result_of_one_write_in_vain() {
    let (fixture, gate) = fixture(Limits::default()).await;
    gate.fail_commits_after(0);
    gate.hold_next_commit();
    let before = gate.commits();
    let ask = || fixture.call_at_root("GET", "/readyz").send();
    let release = async {
        gate.commit_reached.notified().await;
        gate.release_commit();
    };
    let (first, second, third, ()) = tokio::join!(ask(), ask(), ask(), release);
    assert!([first, second, third].iter().all(|answer| answer.status == 503));
    assert_eq!(gate.commits() - before, 1);
    assert_eq!(ask().await.status, 503);
    assert_eq!(gate.commits() - before, 2, "whoever asks later is told of then");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_goes_away_is_counted_as_cut_off() {
    let (fixture, gate) = fixture(Limits::default().request_timeout(LONG)).await;
    let (_server, address) = start(&fixture, &Arc::new(Notify::new())).await;
    gate.close();
    let client = sent(address, &get(&fixture, &format!("{BASE}/env/definitions"))).await;
    gate.reached.notified().await;
    drop(client);
    let cut_off = r#"method="GET",route="/api/v2/public/env/definitions",status="499"} 1"#;
    for _ in 0..1_000 {
        if fixture.call_at_root("GET", "/metrics").send().await.body.contains(cut_off) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not counted");
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_arrive_end_the_connection() {
    let (fixture, _) = fixture(Limits::default().header_timeout(Duration::from_secs(7))).await;
    let (_server, address) = start(&fixture, &Arc::new(Notify::new())).await;
    let stream = sent(address, "GET /healthz HTTP/1.1\r\nhost:").await;
    let start = Instant::now();
    let answer = rest(stream).await;
    assert!(!answer.contains("200"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn a_body_that_declares_itself_too_large_is_never_asked_for() {
    let fixture = Fixture::new().await;
    let stop = Arc::new(Notify::new());
    let (server, address) = start(&fixture, &stop).await;
    let head = format!(
        "POST /api/v2/public/env/values HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\
             expect: 100-continue\r\n\r\n",
        fixture.key
    );
    let answer = rest(sent(address, &head).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large"), "{answer}");
    stop.notify_one();
    server.await.unwrap();
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_body_that_is_too_large_reads_the_refusal() {
    let fixture = Fixture::new().await;
    let (_server, address) = start(&fixture, &Arc::new(Notify::new())).await;
    let body = "x".repeat(5 << 20);
    let head = |length: &str| {
        format!(
            "POST /api/v2/public/env/values HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\
             content-type: application/json\r\n{length}\r\n\r\n",
            fixture.key
        )
    };
    let declared = format!("{}{body}", head(&format!("content-length: {}", body.len())));
    let chunked = format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", head("transfer-encoding: chunked"), body.len());
    for request in [declared, chunked] {
        let mut stream = sent(address, &request).await;
        // On the same connection, which goes on.
        stream.write_all(get(&fixture, "/healthz").as_bytes()).await.unwrap();
        let answers = rest(stream).await;
        assert!(answers.starts_with("HTTP/1.1 413 Payload Too Large"), "{answers}");
        assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_more_than_the_limit_waits_for_one_to_end() {
    let (fixture, gate) = fixture(Limits::default().connections_max(1).request_timeout(LONG)).await;
    let (_server, address) = start(&fixture, &Arc::new(Notify::new())).await;
    gate.close();
    let first = sent(address, &get(&fixture, &format!("{BASE}/env/definitions"))).await;
    gate.reached.notified().await;
    let mut second = sent(address, &get(&fixture, "/healthz")).await;
    assert!(is_pending(second.read_u8()).await);
    gate.open();
    assert!(rest(first).await.starts_with("HTTP/1.1 200 OK"));
    assert!(rest(second).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test(start_paused = true)]
async fn one_address_gets_half_of_the_connections_unless_told_otherwise() {
    let limits = Limits::default().connections_max(4).header_timeout(LONG);
    for (limits, served) in
        [(limits, false), (limits.address_connections_max(3), true), (limits.proxies(1), true)]
    {
        let (fixture, _) = fixture(limits).await;
        let (_server, address) = start(&fixture, &Arc::new(Notify::new())).await;
        let _silent = [sent(address, "").await, sent(address, "").await];
        let answer = rest(sent(address, &get(&fixture, "/healthz")).await).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), served, "{limits:?}: {answer}");
        assert_eq!(answer.is_empty(), !served, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_cuts_off_what_outlasts_the_drain_time() {
    let limits = Limits::default().request_timeout(LONG).drain_timeout(Duration::from_secs(7));
    let (fixture, gate) = fixture(limits).await;
    let stop = Arc::new(Notify::new());
    let (server, address) = start(&fixture, &stop).await;
    gate.close();
    let stuck = sent(address, &get(&fixture, &format!("{BASE}/env/definitions"))).await;
    gate.reached.notified().await;
    let start = Instant::now();
    stop.notify_one();
    server.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_eq!(timeout(Duration::from_secs(60), rest(stuck)).await.unwrap(), "", "it outlives no server");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_do_not_hold_a_stopping_server() {
    let (fixture, _) = fixture(Limits::default()).await;
    let stop = Arc::new(Notify::new());
    let (server, address) = start(&fixture, &stop).await;
    let mut idle = sent(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let start = Instant::now();
    stop.notify_one();
    server.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_a_stopping_server() {
    let (fixture, _) = fixture(Limits::default().header_timeout(LONG).drain_timeout(LONG)).await;
    let stop = Arc::new(Notify::new());
    let (server, address) = start(&fixture, &stop).await;
    let _silent = sent(address, "").await;
    // The server takes connections in order: it has the silent one once it answers another.
    rest(sent(address, &get(&fixture, "/healthz")).await).await;
    stop.notify_one();
    timeout(Duration::from_secs(60), server).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_waits_in_the_queue_of_a_server_that_stops_is_answered() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(sent(address, &get(&fixture, "/healthz")).await);
    }
    let (_, answers) = tokio::join!(serve(listener, fixture.service.clone(), async {}), async {
        let mut answers = Vec::new();
        for stream in waiting {
            answers.push(rest(stream).await);
        }
        answers
    });
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 OK")), "{answers:?}");
}
