//! Where the cluster is, and where the store is in it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// The nodes of a cluster and the prefix of a store in it.
///
/// ```
/// use std::time::Duration;
/// use strongroom_etcd::EtcdOptions;
/// let options = EtcdOptions::new(["http://127.0.0.1:2379"]).prefix("secrets/").answer_timeout(Duration::from_secs(3));
/// ```
#[derive(Clone)]
pub struct EtcdOptions {
    pub(crate) endpoints: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) answer_timeout: Duration,
    pub(crate) authorities: Option<Vec<u8>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) user: Option<User>,
}

/// A certificate with its chain, and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Arc<Zeroizing<Vec<u8>>>,
}

/// The user that logs in.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Arc<Zeroizing<String>>,
}

impl EtcdOptions {
    /// The nodes, each as `https://HOST:PORT` or `http://HOST:PORT`, in the order in which to try them. The prefix is
    /// `strongroom/`, the timeout three seconds. `https` needs the feature `tls`.
    #[must_use]
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        let endpoints =
            endpoints.into_iter().map(|endpoint| endpoint.into().trim_end_matches('/').to_owned());
        Self {
            endpoints: endpoints.collect(),
            prefix: "strongroom/".to_owned(),
            answer_timeout: Duration::from_secs(3),
            authorities: None,
            certificate: None,
            user: None,
        }
    }

    /// The prefix of every key of the store, 1 to 64 bytes. The prefix of one store must not begin with that of
    /// another.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a node may take to answer. A cluster without a leader answers nobody until it has elected one, usually
    /// for one or two seconds.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Trusts only nodes whose certificate leads to one of these, in PEM. Without it, the Mozilla root certificates are
    /// trusted.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows this certificate, with its chain, to nodes that ask for one (`--client-cert-auth`). Both are in PEM. It
    /// does not log in, and must have no common name if the cluster has users: otherwise etcd's gateway refuses it.
    #[must_use]
    pub fn certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let key = Arc::new(Zeroizing::new(key.into()));
        self.certificate = Some(Certificate { chain: chain.into(), key });
        self
    }

    /// Logs in as a user of the cluster, whose role must read and write the keys of the prefix and no others. The
    /// password is sent only over `https`, or to this machine.
    ///
    /// ```
    /// use strongroom_etcd::EtcdOptions;
    /// # let (authorities, password) = ("", String::new());
    /// let options = EtcdOptions::new(["https://etcd-1.internal:2379", "https://etcd-2.internal:2379"])
    ///     .authorities(authorities)
    ///     .user("strongroom", password);
    /// ```
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(User { name: name.into(), password: Arc::new(Zeroizing::new(password.into())) });
        self
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, prefix, answer_timeout, .. } = self;
        f.debug_struct("EtcdOptions")
            .field("endpoints", endpoints)
            .field("prefix", prefix)
            .field("answer_timeout", answer_timeout)
            .finish_non_exhaustive()
    }
}
