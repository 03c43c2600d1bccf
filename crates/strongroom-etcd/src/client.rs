//! Calls to the nodes of a cluster.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_store::{StoreError, StoreErrorKind};
use ureq::{Agent, Error, Timeout};

use crate::options::EtcdOptions;
use crate::wire::{MALFORMED, Refusal, malformed};

/// A client of a cluster.
pub(crate) struct Client {
    agent: Agent,
    endpoints: Vec<String>,
    /// Which node answered last. Relaxed: a wrong guess costs a call.
    first: AtomicUsize,
}

/// Why a node gave no answer.
enum Failure {
    /// It surely never got the call.
    NotSent(Error),
    /// Nobody knows what became of it.
    Lost(StoreError),
    /// The node says that it did nothing.
    Refused(StoreError),
}

impl Client {
    pub(crate) fn new(options: &EtcdOptions) -> Result<Self, StoreError> {
        let is_plain = |endpoint: &String| endpoint.starts_with("http://");
        if options.endpoints.is_empty() || !options.endpoints.iter().all(is_plain) {
            return Err(unsupported(NO_ADDRESS));
        }
        if !(1..=PREFIX_BYTES_MAX).contains(&options.prefix.len()) {
            return Err(unsupported("a prefix has 1 to 64 bytes"));
        }
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
        let config = config.timeout_connect(Some(CONNECT_TIMEOUT.min(options.answer_timeout)));
        let config = config.timeout_global(Some(options.answer_timeout)).max_idle_connections_per_host(32);
        Ok(Self {
            agent: config.max_idle_connections(128).build().new_agent(),
            endpoints: options.endpoints.clone(),
            first: AtomicUsize::new(0),
        })
    }

    /// Reads: of the first node that can answer.
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, StoreError> {
        let mut last = None;
        for (number, endpoint) in self.in_turn() {
            match self.post(endpoint, path, body) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost(error)) => last = Some(error),
                Err(Failure::NotSent(error)) => last = Some(unreachable(error)),
            }
            self.pass_over(number);
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "no node of the cluster could answer a read")
            .with_source(last.unwrap_or_else(malformed)))
    }

    /// Writes: to the first node that can be reached, and to one only.
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
                Err(Failure::NotSent(error)) => last = Some(unreachable(error)),
            }
            self.pass_over(number);
        }
        Err(last.unwrap_or_else(malformed))
    }

    fn in_turn(&self) -> impl Iterator<Item = (usize, &String)> {
        let first = self.first.load(Ordering::Relaxed) % self.endpoints.len().max(1);
        self.endpoints.iter().enumerate().cycle().skip(first).take(self.endpoints.len())
    }

    /// Has others begin with the node after this one, unless they do already.
    fn pass_over(&self, number: usize) {
        let next = (number + 1) % self.endpoints.len().max(1);
        let _ = self.first.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn post<T: DeserializeOwned>(&self, endpoint: &str, path: &str, body: &Value) -> Result<T, Failure> {
        let sent = self.agent.post(format!("{endpoint}{path}")).content_type("application/json");
        let mut response = sent.send(body.to_string()).map_err(|error| match error {
            Error::HostNotFound | Error::ConnectionFailed => Failure::NotSent(error),
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => Failure::NotSent(error),
            Error::Io(ref cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::NotSent(error)
            }
            _ => lost(error),
        })?;
        let text =
            response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(lost)?;
        if response.status().is_success() {
            return serde_json::from_str(&text).map_err(|_| indeterminate(MALFORMED));
        }
        match serde_json::from_str(&text) {
            Ok(refusal) => Err(refused(&refusal)),
            // Of a proxy in front, which may have passed the call on.
            Err(_) if response.status().is_server_error() => Err(indeterminate(NO_ANSWER)),
            Err(_) => Err(Failure::Refused(unsupported(NO_GATEWAY))),
        }
    }
}

/// What the node says, by the codes of gRPC and etcd's own words.
fn refused(refusal: &Refusal) -> Failure {
    let says = |words: &str| refusal.message.contains(words);
    let refuse = |kind, message: &'static str| Failure::Refused(StoreError::new(kind, message));
    match refusal.code {
        _ if says("too many requests") => refuse(StoreErrorKind::Contention, "the cluster is too busy"),
        _ if says("compacted") => {
            refuse(StoreErrorKind::Contention, "the cluster dropped what was being read")
        }
        // Of the batch that uses up the space etcd says so after it has applied it.
        _ if says("space exceeded") => indeterminate(NO_SPACE),
        _ if says("request is too large") => refuse(StoreErrorKind::TooLarge, TOO_LARGE),
        _ if says("too many operations") => refuse(StoreErrorKind::TooLarge, TOO_MANY),
        UNAUTHENTICATED | PERMISSION_DENIED => refuse(StoreErrorKind::Unavailable, NO_USER),
        _ if says("user name is empty") => refuse(StoreErrorKind::Unavailable, NO_USER),
        DATA_LOSS => refuse(StoreErrorKind::Corrupt, "the cluster reports that its data is damaged"),
        INVALID_ARGUMENT | UNIMPLEMENTED => Failure::Refused(unsupported(NO_GATEWAY)),
        // Such as no majority in time: the write may be applied later.
        _ => indeterminate(NO_MAJORITY),
    }
}

fn indeterminate(message: &'static str) -> Failure {
    Failure::Lost(StoreError::new(StoreErrorKind::Indeterminate, message))
}

fn lost(error: Error) -> Failure {
    let message = "the connection to the node was lost before its answer";
    Failure::Lost(StoreError::new(StoreErrorKind::Indeterminate, message).with_source(error))
}

fn unreachable(error: Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "no node of the cluster can be reached").with_source(error)
}

fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// So that a batch of the greatest size fits the request with all its compares.
const PREFIX_BYTES_MAX: usize = 64;

/// More than the rows of a read, in base64.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Codes of gRPC.
const INVALID_ARGUMENT: u32 = 3;
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const DATA_LOSS: u32 = 15;
const UNAUTHENTICATED: u32 = 16;

const NO_GATEWAY: &str =
    "the node is not etcd 3.4 or later, or its gRPC gateway is off (`--enable-grpc-gateway`)";
const NO_ADDRESS: &str =
    "the nodes are given as http://HOST:PORT, at least one; TLS is for a proxy on this machine";
const NO_MAJORITY: &str = "the node had no majority of the cluster in time";
const NO_ANSWER: &str = "what is in front of the node answered in its place";
const NO_SPACE: &str =
    "the cluster's space is used up: compact and defragment it, or raise its quota, then disarm the alarm";
const NO_USER: &str = "the cluster requires a user, and this store logs in as none";
const TOO_LARGE: &str =
    "the batch is larger than the cluster allows: start its nodes with --max-request-bytes=1572864";
const TOO_MANY: &str =
    "the batch has more parts than the cluster allows: start its nodes with --max-txn-ops=128";

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: u32, message: &str) -> StoreErrorKind {
        match refused(&Refusal { code, message: message.into() }) {
            Failure::Refused(error) | Failure::Lost(error) => error.kind(),
            Failure::NotSent(_) => unreachable!("it was"),
        }
    }

    #[test]
    fn each_refusal_has_the_kind_to_act_on() {
        for (code, message, expected) in [
            (3, "etcdserver: request is too large", StoreErrorKind::TooLarge),
            (3, "etcdserver: too many operations in txn request", StoreErrorKind::TooLarge),
            (8, "etcdserver: mvcc: database space exceeded", StoreErrorKind::Indeterminate),
            (8, "etcdserver: too many requests", StoreErrorKind::Contention),
            (11, "etcdserver: mvcc: required revision has been compacted", StoreErrorKind::Contention),
            (3, "etcdserver: user name is empty", StoreErrorKind::Unavailable),
            (14, "etcdserver: request timed out", StoreErrorKind::Indeterminate),
            (14, "etcdserver: leader changed", StoreErrorKind::Indeterminate),
            (12, "unknown service", StoreErrorKind::Unsupported),
        ] {
            assert_eq!(kind(code, message), expected, "{message}");
        }
    }
}
