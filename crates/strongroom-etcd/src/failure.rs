//! Why a node gave no answer, as a [`StoreError`].

use std::io;

use strongroom_store::{StoreError, StoreErrorKind};
use ureq::{Error, Timeout};

use crate::wire::Refusal;

/// Why a node gave no answer.
pub(crate) enum Failure {
    /// The node certainly never got the call.
    NotSent(StoreError),
    /// Nobody knows what happened to it.
    Lost(StoreError),
    /// The node says that it did nothing.
    Refused(StoreError),
    /// The node did nothing, since it does not know the caller.
    LoggedOut(StoreError),
}

/// A call that could not be sent, or whose answer did not arrive.
pub(crate) fn of_send(error: Error) -> Failure {
    match error {
        Error::HostNotFound | Error::ConnectionFailed => unreachable(error),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => unreachable(error),
        Error::Io(ref cause) if cause.kind() == io::ErrorKind::ConnectionRefused => unreachable(error),
        _ => lost(error),
    }
}

/// The node's refusal, by the codes of gRPC and etcd's own words.
pub(crate) fn refused(refusal: &Refusal) -> Failure {
    let says = |words: &str| refusal.message.contains(words);
    let refuse = |kind, message: &'static str| Failure::Refused(StoreError::new(kind, message));
    match refusal.code {
        _ if says("too many requests") => refuse(StoreErrorKind::Contention, "the cluster is too busy"),
        _ if says("compacted") => {
            refuse(StoreErrorKind::Contention, "the cluster dropped what was being read")
        }
        // For the batch that uses up the space, etcd says so after it has applied it.
        _ if says("space exceeded") => indeterminate(NO_SPACE),
        // The second is gRPC's, for what is half a MiB above the limit.
        _ if says("request is too large") || says("message larger than max") => {
            refuse(StoreErrorKind::TooLarge, TOO_LARGE)
        }
        _ if says("too many operations") => refuse(StoreErrorKind::TooLarge, TOO_MANY),
        _ if says("user name is empty") => refuse(StoreErrorKind::Unavailable, NO_USER),
        _ if says("invalid user ID or password") => refuse(StoreErrorKind::Unavailable, WRONG_PASSWORD),
        _ if says("authentication is not enabled") => refuse(StoreErrorKind::Unsupported, NO_USERS),
        _ if says("revision of auth store is old") => logged_out(),
        UNAUTHENTICATED => logged_out(),
        PERMISSION_DENIED => refuse(StoreErrorKind::Unavailable, NO_RIGHT),
        DATA_LOSS => refuse(StoreErrorKind::Corrupt, "the cluster reports that its data is damaged"),
        INVALID_ARGUMENT | UNIMPLEMENTED => Failure::Refused(unsupported(NO_GATEWAY)),
        // For example, no majority in time: the write may be applied later.
        _ => indeterminate(NO_MAJORITY),
    }
}

pub(crate) fn indeterminate(message: &'static str) -> Failure {
    Failure::Lost(StoreError::new(StoreErrorKind::Indeterminate, message))
}

pub(crate) fn lost(error: Error) -> Failure {
    let message = "the connection to the node was lost before its answer";
    Failure::Lost(StoreError::new(StoreErrorKind::Indeterminate, message).with_source(error))
}

fn unreachable(error: Error) -> Failure {
    let message = "no node of the cluster can be reached";
    Failure::NotSent(StoreError::new(StoreErrorKind::Unavailable, message).with_source(error))
}

pub(crate) fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

fn logged_out() -> Failure {
    let message = "the node no longer knows that this store logged in";
    Failure::LoggedOut(StoreError::new(StoreErrorKind::Unavailable, message))
}

/// Codes of gRPC.
const INVALID_ARGUMENT: u32 = 3;
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const DATA_LOSS: u32 = 15;
const UNAUTHENTICATED: u32 = 16;

pub(crate) const NO_GATEWAY: &str =
    "the node is not etcd 3.4 or later, or its gRPC gateway is off (`--enable-grpc-gateway`)";
const NO_MAJORITY: &str = "the node had no majority of the cluster in time";
pub(crate) const NO_ANSWER: &str = "what is in front of the node answered in its place";
const NO_SPACE: &str =
    "the cluster's space is used up: compact and defragment it, or raise its quota, then disarm the alarm";
const NO_USER: &str = "the cluster requires a user, and this store logs in as none: give it one";
const NO_USERS: &str =
    "the cluster has no users, so that anybody may use it: leave the user out, or enable them";
const WRONG_PASSWORD: &str = "the cluster does not know the user, or the password is another";
const NO_RIGHT: &str = "the user has no right to read and write the keys of the store's prefix";
const TOO_LARGE: &str =
    "the batch is larger than the cluster allows: start its nodes with --max-request-bytes=1572864";
const TOO_MANY: &str =
    "the batch has more parts than the cluster allows: start its nodes with --max-txn-ops=128";

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: u32, message: &str) -> StoreErrorKind {
        match refused(&Refusal { code, message: message.into() }) {
            Failure::Refused(error) | Failure::Lost(error) | Failure::LoggedOut(error) => error.kind(),
            Failure::NotSent(_) => panic!("it was"),
        }
    }

    #[test]
    fn each_refusal_has_the_kind_to_act_on() {
        for (code, message, expected) in [
            (3, "etcdserver: request is too large", StoreErrorKind::TooLarge),
            (8, "grpc: received message larger than max (1000262 vs. 589824)", StoreErrorKind::TooLarge),
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
