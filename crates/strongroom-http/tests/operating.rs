//! What an operator sees: health, metrics, request ids, the description, and a server that finishes what it accepted.

mod support;

use std::sync::Arc;
use std::time::Duration;

use strongroom::{RawKey, Unlock, Vault};
use strongroom_http::{Limits, MeasuredStore, Metrics, Service, ServiceOptions, serve};
use strongroom_memory::MemoryStore;
use support::gate::gated;
use support::{Answer, Fixture};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

async fn get(fixture: &Fixture, path: &str) -> Answer {
    fixture.call_at_root("GET", path).send().await
}

#[tokio::test]
async fn a_service_is_ready_until_it_drains() {
    let fixture = Fixture::new().await;
    get(&fixture, "/healthz").await.is(200, "ok");
    get(&fixture, "/readyz").await.is(200, "ready");
    fixture.service.drain();
    assert_eq!(get(&fixture, "/readyz").await.status, 503);
    get(&fixture, "/healthz").await.is(200, "ok");
}

#[tokio::test]
async fn a_service_is_not_ready_without_its_store() {
    let fixture = Fixture::new().await;
    fixture.vault.close().await.unwrap();
    let answer = get(&fixture, "/readyz").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
}

#[tokio::test]
async fn a_store_that_does_not_answer_makes_the_service_unready_in_time() {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default()).await;
    tokio::time::pause();
    gate.hold_next_commit();
    let asked = tokio::time::Instant::now();
    assert_eq!(get(&fixture, "/readyz").await.status, 503);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    get(&fixture, "/readyz").await.is(200, "ready");
}

#[tokio::test]
async fn metrics_count_by_pattern_and_never_name_anything() {
    let metrics = Metrics::new();
    let store = MeasuredStore::new(MemoryStore::new(), metrics.vault());
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default().metrics(metrics)).await;
    let id = fixture.define_string("CANARY_NAME").await;
    fixture.call("GET", &format!("/env/value/{id}?linked_account_id=canary_account")).send().await;
    fixture.call("CANARY", "/canary_path").send().await;
    let text = get(&fixture, "/metrics").await.body;
    for line in [
        concat!(
            r#"strongroom_http_requests_total{method="GET","#,
            r#"route="/api/v2/public/env/value/{definition_id}",status="404"} 1"#
        ),
        r#"strongroom_http_requests_total{method="other",route="unmatched",status="404"} 1"#,
        r#"strongroom_http_request_seconds_count{method="GET",route="/api/v2/public/env/value/{definition_id}"} 1"#,
        r#"strongroom_store_calls_total{call="commit",outcome="ok"}"#,
        r#"strongroom_store_call_seconds_count{call="read"}"#,
        r#"strongroom_cache_hits_total{cache="definitions"}"#,
        r#"strongroom_cache_misses_total{cache="keyrings"}"#,
        "strongroom_keyring_unwraps_total 1",
        "strongroom_http_requests_in_flight 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.to_lowercase().contains("canary"), "{text}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_is_not_stored() {
    let fixture = Fixture::new().await;
    let own = fixture.call("GET", "/env/definitions").header("x-request-id", "abc-1").send().await;
    assert_eq!(own.header("x-request-id"), "abc-1");
    assert_eq!(own.header("cache-control"), "no-store");
    let bad = fixture.call("GET", "/none").header("x-request-id", "a b").send().await;
    assert_eq!(bad.header("x-request-id").len(), 16);
}

#[tokio::test]
async fn no_answer_is_to_be_sniffed_and_nothing_runs_in_one() {
    let fixture = Fixture::new().await;
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/start.js", "/none"] {
        let answer = get(&fixture, path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(policy.contains("script-src"), path == "/docs", "{path}");
    }
    for (method, path) in [("GET", "/env/definitions"), ("POST", "/env/values"), ("PUT", "/env/values")] {
        let answer = fixture.call(method, path).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {path}");
    }
    let large = fixture.call("GET", "/env/definitions").header("x-large", &"x".repeat(17 << 10));
    assert_eq!(large.send().await.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn only_pages_of_named_origins_may_call() {
    let named = "https://console.example";
    let fixture = Fixture::with(|options| options.origins([named]).unwrap()).await;
    for (origin, is_allowed) in [(named, true), ("https://other.example", false)] {
        let asked = fixture.call_anonymously("OPTIONS", "/env/definitions").header("origin", origin);
        let asked = asked.header("access-control-request-method", "GET").send().await;
        let allowed =
            asked.headers.get("access-control-allow-origin").is_some_and(|allowed| allowed == origin);
        assert_eq!(allowed, is_allowed, "{origin}");
    }
    let asked = fixture.call("GET", "/env/definitions").header("origin", named).send().await;
    assert!(asked.header("access-control-expose-headers").contains("x-strongroom-reason"));
    let closed = Fixture::new().await;
    let asked = closed.call("GET", "/env/definitions").header("origin", named).send().await;
    assert!(!asked.headers.contains_key("access-control-allow-origin"));
    for bad in ["*", "console.example", "https://", "https://a/b", "https://*.example"] {
        assert!(strongroom_http::ServiceOptions::default().origins([bad]).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_names_every_call() {
    let fixture = Fixture::new().await;
    let answer = get(&fixture, "/openapi.json").await;
    let description: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    for (base, described) in [("/api/v2/public", (13, 21)), ("/api/admin/v1", (43, 57))] {
        let paths = paths.iter().filter(|(path, _)| path.starts_with(base));
        let calls: Vec<usize> = paths.map(|(_, calls)| calls.as_object().unwrap().len()).collect();
        assert_eq!((calls.len(), calls.iter().sum()), described, "{base}");
    }
    for call in paths.values().flat_map(|calls| calls.as_object().unwrap().values()) {
        for status in ["200", "400", "401", "404", "413", "415", "429", "500", "503"] {
            assert!(call["responses"][status].is_object(), "{status} in {call}");
        }
        assert!(call["security"].is_array(), "{call}");
    }
}

#[tokio::test]
async fn the_page_needs_no_network() {
    let fixture = Fixture::new().await;
    let page = get(&fixture, "/docs").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let script = get(&fixture, "/docs/start.js").await;
    for text in [&page.body, &script.body] {
        assert!(!text.contains("http://") && !text.contains("https://"));
    }
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_accepted() {
    let fixture = Fixture::new().await;
    fixture.register("a").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let service: Service = fixture.service.clone();
    let server = tokio::spawn(serve(listener, service, async move { stopped.notified().await }));

    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = r#"{"value":"k1"}"#;
    let head = format!(
        "PUT /api/v2/public/linked-account/default-app/auth-credentials/k HTTP/1.1\r\n\
             host: x\r\nx-api-key: {}\r\nlinked_account_id: a\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        fixture.key,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: it is at work on the request.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.notify_one();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_read_that_a_service_has_too_much_to_do() {
    let named = "https://console.example";
    let none = Limits::default().requests_max(0);
    let fixture = Fixture::with(|options| options.origins([named]).unwrap().limits(none)).await;
    let refused = fixture.call("GET", "/env/definitions").header("origin", named).send().await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("access-control-allow-origin"), named);
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_send_whatever_a_call_takes() {
    let named = "https://console.example";
    let fixture = Fixture::with(|options| options.origins([named]).unwrap()).await;
    let asked = fixture.call_anonymously("OPTIONS", "/env/definitions").header("origin", named);
    let asked = asked.header("access-control-request-method", "PATCH").send().await;
    let lists = |header: &str, wanted: &str| asked.header(header).split(',').any(|one| one.trim() == wanted);
    for name in ["x-api-key", "authorization", "linked_account_id", "content-type", "x-request-id"] {
        assert!(lists("access-control-allow-headers", name), "{name}");
    }
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(lists("access-control-allow-methods", method), "{method}");
    }
}
