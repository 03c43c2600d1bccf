//! Calls to the nodes of a cluster.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_store::{StoreError, StoreErrorKind};
use ureq::Agent;
use zeroize::Zeroizing;

use crate::failure::{Failure, NO_ANSWER, NO_GATEWAY, indeterminate, lost, of_send, refused, unsupported};
use crate::options::{EtcdOptions, User};
use crate::wire::{self, LoggedIn, MALFORMED, malformed};

/// A client of a cluster.
pub(crate) struct Client {
    agent: Agent,
    endpoints: Vec<String>,
    /// The node that answered last. Relaxed: a wrong guess costs a call.
    first: AtomicUsize,
    login: Option<Login>,
}

/// The user that logs in, and the token that the cluster gave.
struct Login {
    user: User,
    token: Mutex<Option<Arc<Zeroizing<String>>>>,
}

impl Client {
    pub(crate) fn new(options: &EtcdOptions) -> Result<Self, StoreError> {
        // None with a user in it: `Debug` shows the nodes, and `http://127.0.0.1:x@10.0.0.1` is not this machine.
        let is_address = |endpoint: &String| {
            (endpoint.starts_with("http://") || endpoint.starts_with("https://")) && !endpoint.contains('@')
        };
        if options.endpoints.is_empty() || !options.endpoints.iter().all(is_address) {
            return Err(unsupported(NO_ADDRESS));
        }
        if options.user.is_some() && !options.endpoints.iter().all(|endpoint| is_private(endpoint)) {
            return Err(unsupported(IN_THE_CLEAR));
        }
        if !(1..=PREFIX_BYTES_MAX).contains(&options.prefix.len()) {
            return Err(unsupported("a prefix has 1 to 64 bytes"));
        }
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
        let config = config.timeout_connect(Some(connect_timeout(options.answer_timeout)));
        let config = config.timeout_global(Some(options.answer_timeout)).max_idle_connections_per_host(32);
        let config = config.max_idle_connections(128);
        #[cfg(feature = "tls")]
        let config = config.tls_config(crate::trust::tls(options)?);
        #[cfg(not(feature = "tls"))]
        if options.endpoints.iter().any(|endpoint| endpoint.starts_with("https://")) {
            return Err(unsupported(NO_TLS));
        }
        Ok(Self {
            agent: config.build().new_agent(),
            endpoints: options.endpoints.clone(),
            first: AtomicUsize::new(0),
            login: options.user.clone().map(|user| Login { user, token: Mutex::default() }),
        })
    }

    /// Reads from the first node that can answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, StoreError> {
        let mut last = None;
        for (number, endpoint) in self.in_turn() {
            match self.post(endpoint, path, body) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost(error)) => last = Some(error),
                // Logged in again and refused again: the node did nothing with the call.
                Err(Failure::NotSent(error) | Failure::LoggedOut(error)) => last = Some(error),
            }
            self.pass_over(number);
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "no node of the cluster could answer a read")
            .with_source(last.unwrap_or_else(malformed)))
    }

    /// Writes to the first node that can be reached, and only to that one.
    pub(crate) fn tell<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, StoreError> {
        let mut last = None;
        for (number, endpoint) in self.in_turn() {
            match self.post(endpoint, path, body) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost(error)) => {
                    self.pass_over(number);
                    return Err(error);
                }
                // Logged in again and refused again: the node did nothing with the call.
                Err(Failure::NotSent(error) | Failure::LoggedOut(error)) => last = Some(error),
            }
            self.pass_over(number);
        }
        Err(last.unwrap_or_else(malformed))
    }

    fn in_turn(&self) -> impl Iterator<Item = (usize, &String)> {
        let first = self.first.load(Ordering::Relaxed) % self.endpoints.len().max(1);
        self.endpoints.iter().enumerate().cycle().skip(first).take(self.endpoints.len())
    }

    /// Makes others begin with the node after this one, unless they already do.
    fn pass_over(&self, number: usize) {
        let next = (number + 1) % self.endpoints.len().max(1);
        let _ = self.first.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Sends a call, logged in if there is a user.
    fn post<T: DeserializeOwned>(&self, endpoint: &str, path: &str, body: &Value) -> Result<T, Failure> {
        let text = body.to_string();
        let Some(login) = &self.login else { return self.send(endpoint, path, &text, None) };
        let token = login.held().clone();
        let token = token.map_or_else(|| self.log_in(endpoint, login), Ok)?;
        match self.send(endpoint, path, &text, Some(&token)) {
            // The token expired, or the cluster was restarted: the node did nothing with the call.
            Err(Failure::LoggedOut(_)) => {
                let token = self.log_in(endpoint, login)?;
                self.send(endpoint, path, &text, Some(&token))
            }
            answer => answer,
        }
    }

    /// If this fails, the call itself was not sent.
    fn log_in(&self, endpoint: &str, login: &Login) -> Result<Arc<Zeroizing<String>>, Failure> {
        let User { name, password } = &login.user;
        let text = wire::log_in(name, password).map_err(Failure::Refused)?;
        let answer: Result<LoggedIn, Failure> = self.send(endpoint, LOG_IN, &text, None);
        let LoggedIn { token } = answer.map_err(|failure| match failure {
            Failure::Lost(error) => {
                let message = "the node did not answer a login";
                Failure::NotSent(StoreError::new(StoreErrorKind::Unavailable, message).with_source(error))
            }
            failure => failure,
        })?;
        let token = Arc::new(token);
        *login.held() = Some(Arc::clone(&token));
        Ok(token)
    }

    fn send<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        path: &str,
        text: &str,
        token: Option<&Zeroizing<String>>,
    ) -> Result<T, Failure> {
        let mut call = self.agent.post(format!("{endpoint}{path}")).content_type("application/json");
        if let Some(token) = token {
            call = call.header("authorization", token.as_str());
        }
        let mut response = call.send(text).map_err(of_send)?;
        let text =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(lost)?;
        if response.status().is_success() {
            return serde_json::from_str(&text).map_err(|_| indeterminate(MALFORMED));
        }
        match serde_json::from_str(&text) {
            Ok(refusal) => Err(refused(&refusal)),
            Err(_) if text.contains("CommonName") => {
                Err(Failure::Refused(StoreError::new(StoreErrorKind::Unavailable, COMMON_NAME)))
            }
            // The answer of a proxy in front, which may have passed the call on.
            Err(_) if response.status().is_server_error() => Err(indeterminate(NO_ANSWER)),
            Err(_) => Err(Failure::Refused(unsupported(NO_GATEWAY))),
        }
    }
}

impl Login {
    fn held(&self) -> MutexGuard<'_, Option<Arc<Zeroizing<String>>>> {
        // Every change is one assignment, so that a panic leaves nothing half done.
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shorter than the time for the whole call: if that ended first, nobody would know that nothing was sent.
fn connect_timeout(answer_timeout: Duration) -> Duration {
    CONNECT_TIMEOUT.min(answer_timeout / 3 * 2)
}

/// Whether nobody in between can read what is sent there.
fn is_private(endpoint: &str) -> bool {
    let Some(place) = endpoint.strip_prefix("http://") else { return true };
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Short enough that the largest batch fits the request with all its compares.
const PREFIX_BYTES_MAX: usize = 64;

/// More than the rows of a read take in base64.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

const NO_ADDRESS: &str = "the nodes are given as https://HOST:PORT or http://HOST:PORT, at least one";
#[cfg(not(feature = "tls"))]
const NO_TLS: &str = "this program was built without TLS: build strongroom-etcd with its feature `tls`";
const IN_THE_CLEAR: &str =
    "a password is not sent in the clear: name the nodes by https, or ones on this machine";
const COMMON_NAME: &str = "with user authentication on, the gateway of etcd refuses client certificates with a common \
     name: use one without";
const LOG_IN: &str = "/v3/auth/authenticate";

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_batch_whose_login_was_lost_was_certainly_not_sent() {
        let node = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", node.local_addr().unwrap());
        // Takes the login, and ends the connection in place of an answer.
        let asked = thread::spawn(move || node.accept().unwrap().0.read(&mut [0; 1_024]).unwrap());
        let client = Client::new(&EtcdOptions::new([address]).user("user", "password")).unwrap();
        let refused = client.tell::<Value>("/v3/kv/txn", &Value::Null).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
        assert!(asked.join().unwrap() > 0);
    }

    #[test]
    fn a_node_that_cannot_be_reached_is_given_up_before_the_call_is() {
        for answer_timeout in [10, 200, 2_000, 3_000, 60_000].map(Duration::from_millis) {
            assert!(connect_timeout(answer_timeout) < answer_timeout, "{answer_timeout:?}");
        }
        assert_eq!(connect_timeout(Duration::from_secs(60)), CONNECT_TIMEOUT);
    }
}
