//! Where the server is and how connections to it are made.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Hook, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::RootCertStore;
use strongroom_store::StoreError;
use tokio_postgres::Config;

use crate::address::Address;
use crate::failure::{unavailable, unsupported};
use crate::layout::Layout;
use crate::sql::EQ;
use crate::tls;

/// The address of a database, the pool's size and the time limits. `Debug` shows no part of the address, since it may
/// hold a password.
#[derive(Clone)]
pub struct PostgresOptions {
    server: Config,
    roots: RootCertStore,
    pub(crate) layout: Layout,
    pub(crate) access: Access,
    pub(crate) row_locks: RowLocks,
    connections_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
}

/// How a batch holds the rows that it expects to be as they were, and does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RowLocks {
    /// By `FOR SHARE`: any number of batches at once.
    #[default]
    Shared,
    /// By `FOR UPDATE`: one batch of a vault after the other, since every one expects the vault's header row. For a
    /// server that has no `FOR SHARE`.
    Exclusive,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

impl PostgresOptions {
    /// Reads `postgres://user@host:port/database?sslmode=…` or `host=… dbname=…`, as libpq writes them.
    ///
    /// A password that is not in the text is taken from [`password`](Self::password). `sslmode` is one of
    ///
    /// - `disable`: never TLS.
    /// - `prefer`: TLS where the server offers it. Whoever can change what is sent can take it away unseen. The default
    ///   for a server on this machine: a Unix socket, `localhost`, `127.0.0.1` or `::1`.
    /// - `require`, or `verify-full`: TLS or no connection. The default for every other server.
    ///
    /// Where there is TLS, the server's certificate is verified, with its host name and its dates: libpq's `require`
    /// without verification, `verify-ca` and `allow` do not exist here. `sslrootcert=FILE` names the PEM file of the
    /// authorities to trust, as [`root_certificates`](Self::root_certificates) does; unset, or `system`, it is what the
    /// platform trusts.
    ///
    /// Of this crate are
    ///
    /// - `schema`, `prefix`, `owner`: where the tables are, and which role may own them. See [`schema`](Self::schema),
    ///   [`prefix`](Self::prefix) and [`owner`](Self::owner).
    /// - `mode`: `read-only`, or `read-write` as if unset. See [`read_only`](Self::read_only).
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
    /// `Unsupported` for a text that is no address, a value that a parameter does not take, and a file that holds no
    /// certificates.
    pub fn parse(address: &str) -> Result<Self, StoreError> {
        let mut address = Address::parse(address)?;
        let layout = address.layout()?;
        let Address { mut server, ssl_mode, root_certificates, row_locks, mode, .. } = address;
        server.ssl_mode(tls::mode(ssl_mode.as_deref(), &server)?);
        let mut roots = RootCertStore::empty();
        if let Some(pem) = root_certificates.filter(|pem| pem != "system") {
            tls::add_roots(&mut roots, Path::new(&pem))?;
        }
        if server.get_application_name().is_none() {
            server.application_name("strongroom");
        }
        let connect_timeout = server.get_connect_timeout().copied().unwrap_or(Duration::from_secs(5));
        Ok(Self {
            server,
            roots,
            layout,
            access: mode.as_deref().map_or(Ok(Access::ReadWrite), access_named)?,
            row_locks: row_locks.as_deref().map_or(Ok(RowLocks::default()), row_locks_named)?,
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

    /// Keeps the tables in this schema, `strongroom` unless set. It is made where it is missing and the role may make
    /// it.
    ///
    /// Unset, a vault of an earlier version still opens, whose tables are where the search path leads: where there are
    /// none in `strongroom` and the role owns the ones it finds. In every other case name their schema.
    ///
    /// # Errors
    /// `Unsupported` for an empty name, one of more than 63 bytes, and a schema of the server's own.
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

    /// Trusts this role with the schema and the tables. A table's owner can have code run with the rights of every role
    /// that writes to it. So a store refuses those of another owner than its own role, a superuser, the owner of the
    /// database, and the role that is named here.
    ///
    /// # Errors
    /// `Unsupported` for an empty name, and one of more than 63 bytes.
    pub fn owner(mut self, role: impl Into<String>) -> Result<Self, StoreError> {
        self.layout.set_owner(role.into())?;
        Ok(self)
    }

    /// Opens the store for reading: its role needs no right but `SELECT`, and the server may be a standby. Nothing is
    /// made, and every commit is `Unsupported`.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Holds rows that are only expected in this way: [`RowLocks::Shared`] unless set.
    #[must_use]
    pub fn row_locks(mut self, row_locks: RowLocks) -> Self {
        self.row_locks = row_locks;
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
    /// `Indeterminate`. The server gives up a batch whose client is silent for as long.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Trusts the certificates in a PEM file, such as that of a private authority, and no longer what the platform
    /// trusts.
    ///
    /// # Errors
    /// `Unsupported` when the file cannot be read or holds no certificate.
    pub fn root_certificates(mut self, pem: impl AsRef<Path>) -> Result<Self, StoreError> {
        tls::add_roots(&mut self.roots, pem.as_ref())?;
        Ok(self)
    }

    pub(crate) fn pool(&self) -> Result<Pool, StoreError> {
        let mut server = self.server.clone();
        server.connect_timeout(self.connect_timeout);
        let manager = Manager::from_config(
            server,
            tls::connector(self.roots.clone())?,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        Pool::builder(manager)
            .max_size(self.connections_max)
            .runtime(Runtime::Tokio1)
            .post_create(self.limit_of_idleness())
            .wait_timeout(Some(self.connect_timeout))
            .create_timeout(Some(self.connect_timeout))
            .build()
            .map_err(|error| unavailable("no pool of connections could be made").with_source(error))
    }

    /// Has the server end a session whose client went away in the middle of a batch, as a machine does that loses its
    /// power: until then it holds the batch's locks. A limit that the server has already stays.
    fn limit_of_idleness(&self) -> Hook {
        let limit = self.answer_timeout.as_millis().clamp(1, LIMIT_MS_MAX);
        let set = format!(
            "SELECT pg_catalog.set_config('{IDLE}', '{limit}', false) \
             WHERE pg_catalog.current_setting('{IDLE}', true) {EQ} '0'"
        );
        let patience = self.connect_timeout;
        Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let set = set.clone();
            Box::pin(async move {
                // A server that does not know the setting goes without, and a lost connection shows at its next use.
                let _ = tokio::time::timeout(patience, client.batch_execute(&set)).await;
                Ok(())
            })
        })
    }
}

fn access_named(name: &str) -> Result<Access, StoreError> {
    match name {
        "read-only" => Ok(Access::ReadOnly),
        "read-write" => Ok(Access::ReadWrite),
        _ => Err(unsupported("mode is read-only or read-write")),
    }
}

fn row_locks_named(name: &str) -> Result<RowLocks, StoreError> {
    match name {
        "shared" => Ok(RowLocks::Shared),
        "exclusive" => Ok(RowLocks::Exclusive),
        _ => Err(unsupported("row_locks is shared or exclusive")),
    }
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

const IDLE: &str = "idle_in_transaction_session_timeout";
/// More than a server takes would be refused.
const LIMIT_MS_MAX: u128 = i32::MAX as u128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_timeout_of_the_address_stand() {
        let options = PostgresOptions::parse("host=/run application_name=app connect_timeout=9").unwrap();
        assert_eq!(options.server.get_application_name(), Some("app"));
        assert_eq!(options.connect_timeout, Duration::from_secs(9));
        let options = PostgresOptions::parse("host=/run").unwrap();
        assert_eq!(options.server.get_application_name(), Some("strongroom"));
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
