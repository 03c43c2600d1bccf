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
    let ran = list(&[]);
    assert!(ran.code == 6 && ran.stderr.contains("--ca-file"), "{}", ran.stderr);
    for unusable in ["server.key", "absent"] {
        assert_eq!(list(&["--ca-file", unusable]).code, 2, "{unusable}");
    }
    assert_eq!(shell.run(&["--ca-file", "ca.pem", "health", url]).code, 0);
    let asked = std::process::Command::new("curl").args(["-sk", &format!("{url}/metrics")]).output().unwrap();
    let metrics = String::from_utf8(asked.stdout).unwrap();
    assert!(metrics.contains("\nstrongroom_tls_certificate_not_after_seconds "), "{metrics}");
    let ran = shell.run(&["health", url]);
    assert!(ran.code == 6 && ran.stderr.contains("--ca-file"), "{}", ran.stderr);
    server.stop();
}

#[test]
fn a_certificate_file_that_is_gone_is_named_in_the_log() {
    let shell = Shell::new();
    certified(&shell);
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let certified = ["--tls-certificate", "server.pem", "--tls-key", "server.key"];
    let server = Server::start_with_log(&shell, &certified, log.into());
    std::fs::remove_file(shell.path("server.key")).unwrap();
    server.signal("-HUP");
    let said = || std::fs::read_to_string(shell.path("log")).unwrap();
    while !said().contains("could not be read again") {
        std::thread::yield_now();
    }
    assert!(said().contains("server.key"), "{}", said());
    server.stop();
}

#[test]
fn a_certificate_that_has_expired_is_said_to_be_so_with_its_file() {
    let shell = Shell::new();
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    shell.write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let (issuer, own) = (Issuer::new(authority, key), KeyPair::generate().unwrap());
    let mut certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    certificate.not_after = rcgen::date_time_ymd(2001, 1, 1);
    shell.write("server.pem", certificate.signed_by(&own, &issuer).unwrap().pem());
    shell.write("server.key", own.serialize_pem());
    let (log, certified) =
        (shell.path("log"), ["--tls-certificate", "server.pem", "--tls-key", "server.key"]);
    let server = Server::start_with_log(&shell, &certified, std::fs::File::create(&log).unwrap().into());
    let url = server.text("url");
    let ran = shell.run(&[
        "--url",
        url,
        "--api-key-file",
        server.text("api_key_file"),
        "--ca-file",
        "ca.pem",
        "list",
    ]);
    assert!(ran.code == 6 && ran.stderr.contains("has expired"), "{}", ran.stderr);
    server.stop();
    let said = std::fs::read_to_string(&log).unwrap();
    let line = said.lines().find(|line| line.contains("has expired")).unwrap();
    assert!(line.contains("server.pem") && line.contains("2001-01-01"), "{line}");
}
