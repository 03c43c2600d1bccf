//! A node that takes only TLS, with a certificate of the client's, and only users.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use strongroom::store::{StoreError, StoreErrorKind};
use strongroom::{Environment, RawKey, ScopePath, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_etcd::{EtcdOptions, EtcdStore};
use tempfile::TempDir;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// A cluster of one node, and what its clients need.
struct Secured {
    directory: TempDir,
    node: Child,
    authority: String,
    certificate: String,
    /// That of the node, which has a common name.
    node_certificate: String,
    key: String,
}

/// An authority, a certificate of it for this machine, the same for a client without a common name, and their key.
fn certified() -> [String; 4] {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().unwrap();
    let named = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let mut nameless = named.clone();
    nameless.distinguished_name = DistinguishedName::new();
    let signed = |certificate: CertificateParams| certificate.signed_by(&own, &issuer).unwrap().pem();
    [pem, signed(named), signed(nameless), own.serialize_pem()]
}

impl Secured {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [authority, node_certificate, certificate, key] = certified();
        fs::write(directory.path().join("ca.pem"), &authority).unwrap();
        fs::write(directory.path().join("node.pem"), &node_certificate).unwrap();
        fs::write(directory.path().join("node.key"), &key).unwrap();
        let node = node(directory.path());
        let secured = Self { directory, node, authority, certificate, node_certificate, key };
        secured.wait();
        secured
    }

    /// Ends the node and starts it again: it forgets who had logged in.
    fn restart(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
        self.node = node(self.directory.path());
        self.wait();
    }

    fn wait(&self) {
        let ready = (0..300).any(|_| {
            thread::sleep(Duration::from_millis(100));
            self.agent().get(format!("{NODE}/health")).call().is_ok()
        });
        assert!(
            ready,
            "the node takes calls: {}",
            fs::read_to_string(self.directory.path().join("log")).unwrap()
        );
    }

    fn agent(&self) -> Agent {
        let authority = Certificate::from_pem(self.authority.as_bytes()).unwrap();
        let own = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let shown = ClientCert::new_with_certs(&[own], PrivateKey::from_pem(self.key.as_bytes()).unwrap());
        let tls =
            TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority])).client_cert(Some(shown));
        Agent::config_builder().tls_config(tls.build()).build().new_agent()
    }

    /// An operator's call.
    fn set_up(&self, path: &str, body: &Value) {
        let sent = self.agent().post(format!("{NODE}/v3/auth/{path}")).send(body.to_string());
        sent.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The user `app` may use the prefix `app/`, and no other key.
    fn enable_users(&self) {
        for (name, password) in [("root", "r"), ("app", "right")] {
            self.set_up("user/add", &json!({ "name": name, "password": password }));
            self.set_up("role/add", &json!({ "name": name }));
            self.set_up("user/grant", &json!({ "user": name, "role": name }));
        }
        // `app/` to `app0`, in base64.
        let range = json!({ "permType": "READWRITE", "key": "YXBwLw==", "range_end": "YXBwMA==" });
        self.set_up("role/grant", &json!({ "name": "app", "perm": range }));
        self.set_up("enable", &json!({}));
    }

    fn options(&self) -> EtcdOptions {
        let options = EtcdOptions::new([NODE]).prefix("app/").authorities(self.authority.as_str());
        options.certificate(self.certificate.as_str(), self.key.as_str())
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn node(directory: &Path) -> Child {
    let file = |name: &str| directory.join(name).display().to_string();
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = Command::new("etcd");
    command.args([
        "--data-dir",
        &file("data"),
        "--listen-client-urls",
        NODE,
        "--advertise-client-urls",
        NODE,
    ]);
    command.args(["--listen-peer-urls", "http://127.0.0.1:4780", "--initial-advertise-peer-urls"]);
    command.args(["http://127.0.0.1:4780", "--initial-cluster", "default=http://127.0.0.1:4780"]);
    command.args(["--cert-file", &file("node.pem"), "--key-file", &file("node.key")]);
    command.args(["--client-cert-auth", "--trusted-ca-file", &file("ca.pem")]);
    command.stdout(Stdio::null()).stderr(log).spawn().expect("etcd is there: scripts/etcd runs these tests")
}

fn refusal(options: &EtcdOptions) -> StoreErrorKind {
    EtcdStore::open(options).map(drop).map_err(|error| error.kind()).unwrap_err()
}

fn used(store: Result<EtcdStore, StoreError>) -> EtcdStore {
    store.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
}

/// One rule, since every part needs the same node.
#[test]
fn a_store_needs_what_the_node_asks_for_and_goes_on_after_its_login_ended() {
    let mut node = Secured::start();
    let with_user = |node: &Secured, password: &str| node.options().user("app", password);
    assert_eq!(refusal(&with_user(&node, "right")), StoreErrorKind::Unsupported, "nobody needs a user yet");
    drop(used(EtcdStore::open(&node.options())));
    node.enable_users();

    for refused in [
        // No user, a wrong password, an unknown user, a prefix that is not the user's.
        node.options(),
        with_user(&node, "wrong"),
        node.options().user("nobody", "right"),
        with_user(&node, "right").prefix("other/"),
        // A certificate with a common name, none, and an authority that did not sign the node's.
        with_user(&node, "right").certificate(node.node_certificate.as_str(), node.key.as_str()),
        EtcdOptions::new([NODE]).prefix("app/").authorities(node.authority.as_str()).user("app", "right"),
        with_user(&node, "right").authorities(certified().into_iter().next().unwrap()),
    ] {
        assert_eq!(refusal(&refused), StoreErrorKind::Unavailable, "{refused:?}");
    }
    let in_the_clear = EtcdOptions::new(["http://10.0.0.1:2379"]).user("app", "right");
    assert_eq!(refusal(&in_the_clear), StoreErrorKind::Unsupported);

    let store = used(EtcdStore::open(&with_user(&node, "right")));
    block_on(async {
        let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = Vault::create(store, unlock).await.unwrap();
        let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
        org.define(VariableDefinition::new("TOKEN", VarFormat::String).encrypted()).await.unwrap();
        org.set_value("TOKEN", strongroom::Scope::Org, "first").await.unwrap();
        node.restart();
        org.set_value("TOKEN", strongroom::Scope::Org, "second").await.unwrap();
        let found = org.resolve("TOKEN", &ScopePath::org()).await.unwrap();
        assert_eq!(found.unwrap().value.expose(), "second");
    });
}

const NODE: &str = "https://127.0.0.1:4779";
