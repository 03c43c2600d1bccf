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
use crate::tls;

/// The address of a database, the pool's size and the time limits. `Debug` shows no part of the address, since it may
/// hold a password.
#[derive(Clone)]
pub struct PostgresOptions {
    server: Config,
    roots: RootCertStore,
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
    /// platform trusts. `row_locks` is `shared` or `exclusive`: see [`RowLocks`].
    ///
    /// ```
    /// use strongroom_postgres::PostgresOptions;
    ///
    /// let options = PostgresOptions::parse("postgres://vault@db.example.com/vault")?.connections_max(8);
    /// # Ok::<(), strongroom_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a text that is no address, another `sslmode` or `row_locks`, and a file that holds no certificates.
    pub fn parse(address: &str) -> Result<Self, StoreError> {
        let Address { mut server, ssl_mode, root_certificates, row_locks } = Address::parse(address)?;
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
            "SELECT set_config('{IDLE}', '{limit}', false) WHERE current_setting('{IDLE}', true) = '0'"
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
