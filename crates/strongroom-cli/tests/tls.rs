//! Commands over TLS to a server whose certificate is of an authority of its own.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shell::Shell;
use shell::server::Server;

/// An authority and a certificate of it for this machine, in files of the shell.
fn certified(shell: &Shell) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    shell.write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    shell.write("server.pem", certificate.signed_by(&own, &issuer).unwrap().pem());
    shell.write("server.key", own.serialize_pem());
}

#[test]
fn a_server_is_trusted_by_the_authority_that_is_named_and_by_no_other() {
    let (shell, other) = (Shell::new(), Shell::new());
    certified(&shell);
    certified(&other);
    let server = Server::start(&shell, &["--tls-certificate", "server.pem", "--tls-key", "server.key"]);
    let (url, key) = (server.text("url"), server.text("api_key_file"));
    assert!(url.starts_with("https://"));
    let foreign = other.path("ca.pem").display().to_string();
    let list = |authority: &[&str]| {
        shell.run(&[&["--url", url, "--api-key-file", key], authority, &["list"]].concat())
    };
    assert_eq!(list(&["--ca-file", "ca.pem"]).code, 0);
    assert_eq!(list(&["--ca-file", &foreign]).code, 6);
    assert_eq!(list(&[]).code, 6);
    for unusable in ["server.key", "absent"] {
        assert_eq!(list(&["--ca-file", unusable]).code, 2, "{unusable}");
    }
    assert_eq!(shell.run(&["--ca-file", "ca.pem", "health", url]).code, 0);
    assert_eq!(shell.run(&["health", url]).code, 6);
    server.stop();
}
