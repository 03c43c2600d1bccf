//! Where the server is and how connections to it are made.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use strongroom::store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::{unavailable, unsupported};

/// The address of a database, the pool's size and the time limits. `Debug` shows no part of the address, since it may
/// hold a password.
#[derive(Clone)]
pub struct PostgresOptions {
    server: Config,
    roots: RootCertStore,
    connections_max: usize,
    connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
}

impl PostgresOptions {
    /// Reads `postgres://user@host:port/database?sslmode=…` or `host=… dbname=…`, as libpq writes them.
    ///
    /// `sslmode` is `disable`, `prefer` or `require`; unset it is `require` for every server that is not on this
    /// machine. A certificate is always verified, with its host name, against what the platform trusts and
    /// [`root_certificates`](Self::root_certificates). A password that is not in the text is taken from
    /// [`password`](Self::password).
    ///
    /// ```
    /// use strongroom_postgres::PostgresOptions;
    ///
    /// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?.connections_max(8);
    /// # Ok::<(), strongroom::store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a text that is no address.
    pub fn parse(address: &str) -> Result<Self, StoreError> {
        let mut server: Config =
            address.parse().map_err(|_| unsupported("the address of the database cannot be read"))?;
        if !address.contains("sslmode") && !is_on_this_machine(&server) {
            server.ssl_mode(SslMode::Require);
        }
        if server.get_application_name().is_none() {
            server.application_name("strongroom");
        }
        let connect_timeout = server.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        Ok(Self {
            server,
            roots: RootCertStore::empty(),
            connections_max: 16,
            connect_timeout,
            answer_timeout: Duration::from_secs(30),
        })
    }

    /// The password of the user, where the address has none.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.server.password(password);
        self
    }

    /// Keeps at most this many connections: 16 unless set, at least one.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// Waits this long for a connection, new or of the pool, before a call is `Unavailable`: 5 seconds unless set, here
    /// or as `connect_timeout` of the address.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Waits this long for an answer: 30 seconds unless set. Then a read is `Unavailable`, and a commit
    /// `Indeterminate`.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Trusts the certificates in a PEM file too, such as that of a private authority.
    ///
    /// # Errors
    /// `Unsupported` when the file cannot be read or holds no certificate.
    pub fn root_certificates(mut self, pem: impl AsRef<Path>) -> Result<Self, StoreError> {
        let unreadable = |_| unsupported("the file of root certificates cannot be read");
        for certificate in CertificateDer::pem_file_iter(pem).map_err(unreadable)? {
            let added = self.roots.add(certificate.map_err(unreadable)?);
            added.map_err(|_| unsupported("a root certificate is none"))?;
        }
        if self.roots.is_empty() {
            return Err(unsupported("the file of root certificates holds none"));
        }
        Ok(self)
    }

    pub(crate) fn pool(&self) -> Result<Pool, StoreError> {
        let mut server = self.server.clone();
        server.connect_timeout(self.connect_timeout);
        let manager = Manager::from_config(
            server,
            MakeRustlsConnect::new(self.tls()?),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        Pool::builder(manager)
            .max_size(self.connections_max)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(self.connect_timeout))
            .create_timeout(Some(self.connect_timeout))
            .build()
            .map_err(|error| unavailable("no pool of connections could be made").with_source(error))
    }

    fn tls(&self) -> Result<ClientConfig, StoreError> {
        let mut roots = self.roots.clone();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| unsupported("TLS cannot be set up").with_source(error))?;
        Ok(versions.with_root_certificates(roots).with_no_client_auth())
    }
}

fn is_on_this_machine(server: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    };
    server.get_hosts().iter().all(is_local)
        && server.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections_max", &self.connections_max)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_needs_tls_unless_the_address_says_otherwise() {
        let mode = |address: &str| PostgresOptions::parse(address).unwrap().server.get_ssl_mode();
        assert_eq!(mode("postgres://u@db.example.com/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost/d"), SslMode::Prefer);
        assert_eq!(mode("host=/run/postgresql dbname=d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost,db.example.com/d"), SslMode::Require);
    }

    #[test]
    fn the_name_and_the_timeout_of_the_address_stand() {
        let options = PostgresOptions::parse("host=/run application_name=app connect_timeout=9").unwrap();
        assert_eq!(options.server.get_application_name(), Some("app"));
        assert_eq!(options.connect_timeout, Duration::from_secs(9));
        let options = PostgresOptions::parse("host=/run").unwrap();
        assert_eq!(options.server.get_application_name(), Some("strongroom"));
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_address() {
        let options = PostgresOptions::parse("postgres://user:hunter2@secret.example.com/d").unwrap();
        assert!(!format!("{options:?}").contains("hunter2") && !format!("{options:?}").contains("secret"));
        let error = PostgresOptions::parse("postgres://user:hunter2@host:port/d").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
