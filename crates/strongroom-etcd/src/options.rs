//! Where the cluster is, and where in it the store.

use std::time::Duration;

/// The nodes of a cluster and the prefix of a store in it.
///
/// ```
/// use std::time::Duration;
/// use strongroom_etcd::EtcdOptions;
/// let options = EtcdOptions::new(["http://127.0.0.1:2379"]).prefix("secrets/").answer_timeout(Duration::from_secs(3));
/// ```
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    pub(crate) endpoints: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) answer_timeout: Duration,
}

impl EtcdOptions {
    /// The nodes, each as `http://HOST:PORT`, those to be asked first in front. The prefix is `strongroom/`, the
    /// timeout three seconds.
    #[must_use]
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        let endpoints =
            endpoints.into_iter().map(|endpoint| endpoint.into().trim_end_matches('/').to_owned());
        Self {
            endpoints: endpoints.collect(),
            prefix: "strongroom/".to_owned(),
            answer_timeout: Duration::from_secs(3),
        }
    }

    /// What every key of the store begins with, 1 to 64 bytes. No prefix of a store may begin with that of another.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a node may take to answer. A cluster without a leader answers nobody until it has elected one, for one
    /// or two seconds as a rule.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }
}
