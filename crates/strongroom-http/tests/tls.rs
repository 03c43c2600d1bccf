//! The server over TLS, with a certificate that is replaced.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use strongroom_http::{Tls, serve_tls};
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
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
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
