//! The server over TLS, with a certificate that is replaced.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{Certificate, CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use strongroom_http::{ApiKeys, Grant, NewApiKey, Right, ServiceOptions, Tls, serve_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use support::Fixture;

/// A certificate for `localhost`, in the place of the one before.
fn write_certificate(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn get(address: std::net::SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    exchange(address, trusted, request).await
}

async fn exchange(
    address: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    request: &str,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let first = write_certificate(directory.path());
    let tls = Tls::from_files(&files.0, &files.1).unwrap();
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let (service, shown) = (fixture.service.clone(), tls.clone());
    let server = tokio::spawn(serve_tls(listener, service, shown, async move { stopped.notified().await }));

    assert!(get(address, &first).await.unwrap().starts_with("HTTP/1.1 200"));
    let second = write_certificate(directory.path());
    assert!(get(address, &second).await.is_err(), "it is not read before it is asked to");
    tls.reload().unwrap();
    assert!(get(address, &second).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(get(address, &first).await.is_err());

    fs::write(&files.1, "nothing").unwrap();
    assert!(tls.reload().is_err());
    assert!(get(address, &second).await.unwrap().starts_with("HTTP/1.1 200"));
    // A client that speaks no TLS gets nothing, and holds nobody up.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    stop.notify_one();
    server.await.unwrap();
}

#[test]
fn a_certificate_that_is_not_valid_replaces_none_that_is() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let write = |from: i32, until: i32| {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let pair = KeyPair::generate().unwrap();
        fs::write(&certificate, parameters.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
    };
    write(2000, 2020);
    let tls = Tls::from_files(&certificate, &key).unwrap();
    write(2000, 2099);
    tls.reload().unwrap();
    let valid = tls.not_after();
    for (from, until) in [(2000, 2021), (2090, 2099)] {
        write(from, until);
        let refused = tls.reload().unwrap_err().to_string();
        assert!(refused.contains("cert.pem"), "{refused}");
        assert_eq!(tls.not_after(), valid);
    }
}

#[tokio::test]
async fn a_session_of_the_console_over_tls_is_a_cookie_that_only_this_host_can_set() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = write_certificate(directory.path());
    let tls = Tls::from_files(directory.path().join("cert.pem"), directory.path().join("key.pem")).unwrap();
    let fixture = Fixture::with(ServiceOptions::with_console).await;
    let new = NewApiKey::named("operator").with(Grant::of([Right::Read]));
    let key = ApiKeys::of(&fixture.org).unwrap().create(new).await.unwrap().key;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server = tokio::spawn(serve_tls(listener, fixture.service.clone(), tls, std::future::pending()));

    let page = "host: localhost\r\nconnection: close\r\nx-strongroom-console: 1";
    let login = format!("POST /console/session HTTP/1.1\r\n{page}\r\nx-api-key: {}\r\n\r\n", key.expose());
    let login = exchange(address, &certificate, &login).await.unwrap();
    let (_, cookie) = login.split_once("set-cookie: __Host-strongroom_console=").expect("it is so called");
    let (token, rest) = cookie.split_once(';').unwrap();
    assert!(rest.lines().next().unwrap().ends_with("; Secure"), "without an origin too");
    for (name, status) in [("__Host-strongroom_console", "200"), ("strongroom_console", "401")] {
        let asked = format!("GET /api/admin/v1/status HTTP/1.1\r\n{page}\r\ncookie: {name}={token}\r\n\r\n");
        let answer = exchange(address, &certificate, &asked).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn the_metrics_say_when_the_certificate_expires_or_the_first_of_its_chain() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let write = |years: [i32; 2]| {
        let key_pair = KeyPair::generate().unwrap();
        let made = years.map(|year| {
            let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
            parameters.not_after = date_time_ymd(year, 1, 1);
            parameters.self_signed(&key_pair).unwrap()
        });
        fs::write(&certificate, made.each_ref().map(Certificate::pem).concat()).unwrap();
        fs::write(&key, key_pair.serialize_pem()).unwrap();
        made[0].der().clone()
    };
    let trusted = write([2099, 2098]);
    let tls = Tls::from_files(&certificate, &key).unwrap();
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server =
        tokio::spawn(serve_tls(listener, fixture.service.clone(), tls.clone(), std::future::pending()));
    assert!(get(address, &trusted).await.unwrap().starts_with("HTTP/1.1 200"));
    // 2098-01-01 and, once it was read again, 2090-01-01.
    let shown = async || fixture.call_at_root("GET", "/metrics").send().await.body;
    assert!(shown().await.contains("strongroom_tls_certificate_not_after_seconds 4039372800\n"));
    write([2090, 2099]);
    tls.reload().unwrap();
    assert!(shown().await.contains("strongroom_tls_certificate_not_after_seconds 3786912000\n"));
}
