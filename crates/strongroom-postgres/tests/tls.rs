//! Whom a connection by TLS trusts, and when there is one.
//!
//! The servers listen at addresses of 127.0.0.0/8 that follow from the number of this process, so that no two of them
//! want the same port. Linux answers at all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::server::Acceptor;
use strongroom_postgres::{PostgresOptions, PostgresStore};
use strongroom_store::{StoreError, StoreErrorKind};
use tempfile::TempDir;

use self::cluster::Cluster;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A directory with the certificate of a server of this name, and the certificates of the authority and of another.
fn certified(name: &str, change: impl FnOnce(&mut CertificateParams)) -> TempDir {
    let dir = Cluster::place();
    let (right, key) = (authority("right"), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &right).unwrap();
    for (file, text) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("right.pem", right.pem()),
        ("wrong.pem", authority("wrong").pem()),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}

/// A server, and where it is.
struct Server {
    cluster: Cluster,
    address: Ipv4Addr,
}

impl Server {
    /// The `number`th server of this process.
    fn start(number: u8, dir: TempDir) -> Self {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 64 + number * 32 + high % 32, middle, low);
        Self { cluster: Cluster::start_at(dir, address), address }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cluster.socket_dir().join(name)
    }

    /// Connects as if the server had this name.
    fn connect(&self, name: &str, parameters: &str) -> Result<PostgresStore, StoreError> {
        let address = self.address;
        let text = format!("host={name} hostaddr={address} user=strongroom dbname=postgres {parameters}");
        PostgresStore::open(&PostgresOptions::parse(&text)?)
    }

    fn connect_by(&self, name: &str, mode: &str, roots: &Path) -> Result<PostgresStore, StoreError> {
        self.connect(name, &format!("sslmode={mode} sslrootcert={}", roots.display()))
    }

    /// Fails unless the store's connections are by TLS, or none of them is.
    fn assert_by_tls(&self, expected: bool, store: PostgresStore) {
        let connections = "SELECT FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'strongroom' AND ssl";
        let is_right =
            format!("EXISTS ({connections} = {expected}) AND NOT EXISTS ({connections} <> {expected})");
        let wrong = "RAISE 'the connection is not as it should be'";
        self.cluster
            .run("postgres", &format!("DO $$ BEGIN IF NOT ({is_right}) THEN {wrong}; END IF; END $$"));
        drop(store);
    }
}

/// A server by TLS, with the name `NAME`.
fn by_tls() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(0, certified(NAME, |_| {})))
}

fn assert_refused(connected: Result<PostgresStore, StoreError>, why: &str) {
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_server_of_the_right_name_and_authority_is_connected_to_by_tls() {
    let server = by_tls();
    for mode in ["verify-full", "require", "prefer"] {
        server.assert_by_tls(true, server.connect_by(NAME, mode, &server.file("right.pem")).unwrap());
    }
    // Elsewhere than on this machine TLS is asked for by itself.
    let roots = format!("sslrootcert={}", server.file("right.pem").display());
    server.assert_by_tls(true, server.connect(NAME, &roots).unwrap());
    let address = format!(
        "postgres://strongroom@{NAME}/postgres?hostaddr={}&sslmode=verify-full&sslrootcert={}",
        server.address,
        server.file("right.pem").display().to_string().replace('/', "%2F")
    );
    PostgresStore::open(&PostgresOptions::parse(&address).unwrap()).unwrap();
    let address = format!("host={NAME} hostaddr={} user=strongroom dbname=postgres", server.address);
    let options = PostgresOptions::parse(&address).unwrap();
    PostgresStore::open(&options.root_certificates(server.file("right.pem")).unwrap()).unwrap();
}

#[test]
fn another_authority_is_refused_in_every_mode() {
    let server = by_tls();
    for mode in ["verify-full", "require", "prefer"] {
        assert_refused(server.connect_by(NAME, mode, &server.file("wrong.pem")), CERTIFICATE);
        assert_refused(server.connect(NAME, &format!("sslmode={mode}")), CERTIFICATE);
        assert_refused(server.connect(NAME, &format!("sslmode={mode} sslrootcert=system")), CERTIFICATE);
    }
}

#[test]
fn another_host_name_is_refused_in_every_mode() {
    let server = by_tls();
    for mode in ["verify-full", "require", "prefer"] {
        assert_refused(server.connect_by("other.example", mode, &server.file("right.pem")), CERTIFICATE);
    }
}

#[test]
fn a_certificate_whose_time_is_over_is_refused() {
    let dir = certified(NAME, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let server = Server::start(1, dir);
    assert_refused(server.connect_by(NAME, "verify-full", &server.file("right.pem")), CERTIFICATE);
}

#[test]
fn a_server_without_tls_is_refused_unless_the_address_allows_it() {
    let server = Server::start(2, Cluster::place());
    for parameters in ["sslmode=verify-full", "sslmode=require", ""] {
        assert_refused(server.connect(NAME, parameters), "offers no TLS");
    }
    for parameters in ["sslmode=prefer", "sslmode=disable"] {
        server.assert_by_tls(false, server.connect(NAME, parameters).unwrap());
    }
}

#[test]
fn roots_that_cannot_be_read_are_refused_before_a_connection_is_made() {
    let server = by_tls();
    for file in ["absent.pem", "server.key"] {
        let error = server.connect_by(NAME, "verify-full", &server.file(file)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{file}");
    }
}

/// A server since PostgreSQL 17 ends a connection that begins with TLS and does not name the protocol.
#[test]
fn a_connection_that_begins_with_tls_names_the_protocol() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let hello = thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut acceptor = Acceptor::default();
        loop {
            acceptor.read_tls(&mut client).unwrap();
            if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error).unwrap() {
                let hello = accepted.client_hello();
                return hello.alpn().map(|names| names.map(<[u8]>::to_vec).collect::<Vec<_>>());
            }
        }
    });
    let address =
        format!("host=localhost hostaddr=127.0.0.1 port={port} sslmode=require sslnegotiation=direct");
    PostgresStore::open(&PostgresOptions::parse(&address).unwrap()).unwrap_err();
    assert_eq!(hello.join().unwrap(), Some(vec![b"postgresql".to_vec()]));
}

const NAME: &str = "db.example";
const CERTIFICATE: &str = "the server's certificate is not valid";
