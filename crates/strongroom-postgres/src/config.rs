//! Where the server is and how connections to it are made.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::RootCertStore;
use strongroom_store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};

use crate::address::{Address, Server, Wanted};
use crate::choices::{Access, Prepare, RowLocks};
use crate::connector::Connector;
use crate::failure::{unavailable, unsupported};
use crate::layout::Layout;
use crate::tls;
use crate::tls_versions::Versions;

/// The address of a database, the pool's size and the time limits. `Debug` shows no part of the address, since it may
/// hold a password.
#[derive(Clone)]
pub struct PostgresOptions {
    common: Config,
    /// The mode for a server on a Unix socket.
    socket_ssl_mode: SslMode,
    /// Whether the address has one, which stands.
    has_password: bool,
    servers: Vec<Server>,
    wanted: Wanted,
    /// Whether the address sets more of a connection or a session than `connect_timeout`.
    has_session: bool,
    roots: RootCertStore,
    tls_versions: Versions,
    pub(crate) layout: Layout,
    pub(crate) access: Access,
    pub(crate) row_locks: RowLocks,
    /// `None` if it has to be detected.
    pub(crate) prepare: Option<Prepare>,
    connections_max: usize,
    connection_age_max: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
}

impl PostgresOptions {
    /// Reads `postgres://user@host:port/database?sslmode=…` or `host=… dbname=…`, as libpq writes them.
    ///
    /// If the text has no password, it is taken from [`password`](Self::password). `sslmode` is one of
    ///
    /// - `disable`: never TLS. The default over a Unix socket, where there is none.
    /// - `prefer`: TLS if the server offers it. Anyone who can change the traffic can remove it unnoticed. The default
    ///   for servers on this machine: `localhost`, `127.0.0.1` and `::1`.
    /// - `require`, or `verify-full`: TLS or no connection. The default for every other server, and all in its list.
    ///
    /// With TLS, the server's certificate is verified, with its host name and its dates: libpq's `require` without
    /// verification, `verify-ca` and `allow` do not exist here. `sslrootcert=FILE` names the PEM file of the
    /// authorities to trust, as [`root_certificates`](Self::root_certificates) does. If it is unset, or `system`, the
    /// platform's authorities are trusted.
    ///
    /// Every other parameter of libpq is obeyed or refused by its name. This crate adds
    ///
    /// - `schema`, `prefix`, `owner`: where the tables are, and which role may own them. See [`schema`](Self::schema),
    ///   [`prefix`](Self::prefix) and [`owner`](Self::owner).
    /// - `mode`: `read-only`, or `read-write` as if unset. See [`read_only`](Self::read_only).
    /// - `prepare`: `named` or `unnamed`. See [`prepare`](Self::prepare).
    /// - `row_locks`: `shared` or `exclusive`. See [`RowLocks`].
    ///
    /// ```
    /// use strongroom_postgres::PostgresOptions;
    ///
    /// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?.connections_max(8);
    /// # Ok::<(), strongroom_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a text that is not an address, a parameter that is unknown or has an invalid value, and a file
    /// that holds no certificates.
    pub fn parse(address: &str) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        let servers = address.servers()?;
        let Address { mut common, wanted, ssl_mode, root_certificates, tls_versions, .. } = address;
        let mut timed = Config::new();
        common.get_connect_timeout().map(|timeout| timed.connect_timeout(*timeout));
        let has_ssl_mode = ssl_mode.is_some();
        let has_session = common != timed
            || has_ssl_mode
            || root_certificates.is_some()
            || tls_versions != Versions::default();
        let ssl_mode = tls::mode(ssl_mode.as_deref(), &servers)?;
        if common.get_ssl_negotiation() == SslNegotiation::Direct && ssl_mode != SslMode::Require {
            return Err(unsupported(
                "sslnegotiation=direct always uses TLS: write sslmode=require beside it",
            ));
        }
        common.ssl_mode(ssl_mode);
        // No server speaks TLS there, so one of another host beside it decides nothing.
        let socket_ssl_mode = if has_ssl_mode { ssl_mode } else { SslMode::Disable };
        let mut roots = RootCertStore::empty();
        if let Some(pem) = root_certificates.filter(|pem| pem != "system") {
            tls::add_roots(&mut roots, Path::new(&pem))?;
        }
        if common.get_application_name().is_none() {
            common.application_name("strongroom");
        }
        let connect_timeout = common.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        Ok(Self {
            has_password: common.get_password().is_some(),
            common,
            socket_ssl_mode,
            servers,
            wanted,
            has_session,
            roots,
            tls_versions,
            layout: address.layout,
            access: address.access,
            row_locks: address.row_locks,
            prepare: address.prepare,
            connections_max: 16,
            connection_age_max: Duration::from_secs(600),
            connect_timeout,
            answer_timeout: Duration::from_secs(30),
        })
    }

    /// The password of the user, if the address has none.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        if !self.has_password {
            self.common.password(password);
        }
        self
    }

    /// Keeps the tables in this schema, `strongroom` unless set. It is created if it is missing and the role may create
    /// it.
    ///
    /// If unset, a vault of an earlier version still opens, whose tables are where the search path leads: if there are
    /// none in `strongroom` and the role owns the ones it finds. In every other case name their schema.
    ///
    /// # Errors
    /// `Unsupported` for an empty name, one of more than 63 bytes, and a schema of the server itself.
    pub fn schema(mut self, name: impl Into<String>) -> Result<Self, StoreError> {
        self.layout.set_schema(name.into())?;
        Ok(self)
    }

    /// Names the tables `{prefix}rows` and `{prefix}schema`, so that several vaults share a schema. It is `strongroom_`
    /// unless set.
    ///
    /// # Errors
    /// `Unsupported` for more than 57 bytes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self, StoreError> {
        self.layout.set_prefix(prefix.into())?;
        Ok(self)
    }

    /// Trusts this role with the schema and the tables. A table's owner can make code run with the rights of every role
    /// that writes to it. So a store refuses tables of any owner other than its own role, a superuser, the owner of the
    /// database, and the role named here.
    ///
    /// # Errors
    /// `Unsupported` for an empty name, and one of more than 63 bytes.
    pub fn owner(mut self, role: impl Into<String>) -> Result<Self, StoreError> {
        self.layout.set_owner(role.into())?;
        Ok(self)
    }

    /// Opens the store for reading: its role needs no right except `SELECT`, and the server may be a standby. Nothing
    /// is created, and every commit is `Unsupported`.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Locks rows that are only expected in this way: [`RowLocks::Shared`] unless set.
    #[must_use]
    pub fn row_locks(mut self, row_locks: RowLocks) -> Self {
        self.row_locks = row_locks;
        self
    }

    /// Sends statements in this way: [`Prepare::Named`] unless set.
    ///
    /// If unset, a store that finds a pooler between itself and the server checks whether it keeps prepared statements,
    /// and does not open if it does not.
    #[must_use]
    pub fn prepare(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// Keeps at most this many connections: 16 unless set, at least one. While a batch is held up by other writers and
    /// all connections are in use, there is briefly one more.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections.max(1);
        self
    }

    /// Uses a connection for at most this long: 10 minutes unless set. So after a failover, or behind a name, a store
    /// finds the server that the address now leads to, without being opened again.
    #[must_use]
    pub fn connection_age_max(mut self, age: Duration) -> Self {
        self.connection_age_max = age;
        self
    }

    /// Waits this long for each server of the address, and as long in total for a connection of the pool, before a call
    /// is `Unavailable`: 5 seconds unless set, here or as `connect_timeout` of the address. If a name leads to several
    /// addresses, they share the time.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Waits this long for an answer: 30 seconds unless set. Then a read is `Unavailable`, and a commit
    /// `Indeterminate`. The server aborts a batch whose client is silent for as long, and one that waits for a row a
    /// second longer.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Trusts the certificates in a PEM file, such as that of a private authority, instead of those that the platform
    /// trusts.
    ///
    /// # Errors
    /// `Unsupported` if the file cannot be read or holds no certificate.
    pub fn root_certificates(mut self, pem: impl AsRef<Path>) -> Result<Self, StoreError> {
        tls::add_roots(&mut self.roots, pem.as_ref())?;
        Ok(self)
    }

    /// Whether the address says which server it is, or how a session there begins.
    pub(crate) fn names_a_server(&self) -> bool {
        !self.servers.is_empty() || self.wanted != Wanted::Any || self.has_session || !self.roots.is_empty()
    }

    pub(crate) fn connector(&self) -> Result<Connector, StoreError> {
        if self.servers.is_empty() {
            return Err(unsupported(
                "the address names no server: write host=NAME, or the directory of its socket",
            ));
        }
        let mut common = self.common.clone();
        common.connect_timeout(self.connect_timeout);
        Ok(Connector {
            common,
            socket_ssl_mode: self.socket_ssl_mode,
            servers: self.servers.clone(),
            wanted: self.wanted,
            timeout: self.connect_timeout,
            tls: tls::connector(self.roots.clone(), self.tls_versions)?,
        })
    }

    pub(crate) fn pool(&self, connector: Connector) -> Result<Pool, StoreError> {
        let patience = connector.patience();
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The connector has its own configuration for each server.
        Pool::builder(Manager::from_connect(Config::new(), connector, recycling))
            .max_size(self.connections_max)
            .runtime(Runtime::Tokio1)
            .pre_recycle(limit_of_age(self.connection_age_max))
            .wait_timeout(Some(patience))
            .create_timeout(Some(patience))
            .build()
            .map_err(|error| unavailable("no pool of connections could be made").with_source(error))
    }
}

fn limit_of_age(age_max: Duration) -> Hook {
    Hook::sync_fn(move |_, metrics| {
        if metrics.age() < age_max { Ok(()) } else { Err(HookError::message("the connection is old")) }
    })
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("access", &self.access)
            .field("row_locks", &self.row_locks)
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
    fn the_name_and_the_timeout_of_the_address_stand() {
        let options = PostgresOptions::parse("host=/run application_name=app connect_timeout=9").unwrap();
        assert_eq!(options.common.get_application_name(), Some("app"));
        assert_eq!(options.connect_timeout, Duration::from_secs(9));
        let options = PostgresOptions::parse("host=/run").unwrap();
        assert_eq!(options.common.get_application_name(), Some("strongroom"));
    }

    #[test]
    fn the_password_of_the_address_stands_and_the_one_given_beside_it_is_for_an_address_without() {
        let given = |address: &str| {
            let options = PostgresOptions::parse(address).unwrap().password("first").password("given");
            String::from_utf8(options.common.get_password().unwrap().to_vec()).unwrap()
        };
        assert_eq!(given("host=/run password=own"), "own");
        assert_eq!(given("postgres://u:own@localhost/d"), "own");
        assert_eq!(given("postgres://u@localhost/d"), "given");
    }

    #[test]
    fn direct_tls_is_refused_where_the_address_allows_a_connection_without() {
        let refused = |text: &str| PostgresOptions::parse(text).err().map(|error| error.to_string());
        for text in ["host=localhost", "host=db.example.com sslmode=prefer", "host=h sslmode=disable"] {
            let error = refused(&format!("{text} sslnegotiation=direct")).unwrap();
            assert!(error.contains("sslmode=require"), "{text}: {error}");
        }
        for text in ["host=db.example.com", "host=localhost sslmode=require"] {
            assert_eq!(refused(&format!("{text} sslnegotiation=direct")), None, "{text}");
        }
    }

    #[test]
    fn what_a_pool_of_the_host_decides_is_told_from_what_the_store_does() {
        let names = |text: &str| PostgresOptions::parse(text).unwrap().names_a_server();
        for text in [
            "host=h",
            "dbname=d",
            "user=u",
            "password=p",
            "options=-csearch_path=x",
            "application_name=a",
            "target_session_attrs=standby",
            "sslmode=require",
            "sslrootcert=system",
            "ssl_min_protocol_version=TLSv1.3",
            "channel_binding=require",
            "tcp_user_timeout=1",
        ] {
            assert!(names(text), "{text}");
        }
        for text in ["", "schema=s prefix=p_ owner=o", "mode=read-only prepare=unnamed connect_timeout=3"] {
            assert!(!names(text), "{text}");
        }
    }

    #[test]
    fn a_pool_has_room_for_one_connection_at_least() {
        let options = PostgresOptions::parse("host=/run").unwrap();
        let max = |connections| options.clone().connections_max(connections).connections_max;
        assert_eq!([0, 1, 7].map(max), [1, 1, 7]);
    }

    #[test]
    fn row_locks_are_named_in_either_form_of_address() {
        for text in ["postgres://h/d?row_locks=exclusive", "host=h row_locks=exclusive"] {
            assert_eq!(PostgresOptions::parse(text).unwrap().row_locks, RowLocks::Exclusive);
        }
        assert_eq!(PostgresOptions::parse("host=h").unwrap().row_locks, RowLocks::Shared);
        assert!(PostgresOptions::parse("host=h row_locks=none").is_err());
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_address() {
        let options = PostgresOptions::parse("postgres://user:hunter2@secret.example.com/d").unwrap();
        assert!(!format!("{options:?}").contains("hunter2") && !format!("{options:?}").contains("secret"));
        let error = PostgresOptions::parse("postgres://user:hunter2@host:port/d").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
