//! The failure for a response that refuses a call: from the reason, a word in the body of a control call and in a
//! header of every refusal, or from the status.

use serde::Deserialize;
use strongroom_http::control::{Reason, Task, next_of_damage};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use crate::failure::{Exit, Failure};

/// The body of an error response.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    message: String,
    /// Set in responses to control calls.
    reason: Option<Reason>,
}

impl Refusal {
    /// The failure for a response other than the expected one.
    pub(super) fn of(response: &Response<Body>, body: &[u8]) -> Failure {
        let said = response.headers().get(REASON_HEADER).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| serde_json::from_value(said.into()).ok());
        Self::failure(response.status(), said, serde_json::from_slice(body).ok())
    }

    fn failure(status: StatusCode, said: Option<Reason>, body: Option<Self>) -> Failure {
        let Some(Self { message, reason }) = body else {
            let message =
                format!("the server returned {} without a body that this client knows", status.as_u16());
            // From something other than our server: no such call, rather than one that found nothing, and a redirect,
            // which is not followed.
            let is_other = status == StatusCode::NOT_FOUND || status.is_redirection();
            return of(if is_other { Reason::NoSuchCall } else { by_status(status) }, message);
        };
        let reason = reason.or(said).filter(|reason| *reason != Reason::Unknown);
        let reason = reason.unwrap_or_else(|| by_status(status));
        let failure = of(reason, format!("the server returned {}: {message}", status.as_u16()));
        match next_of_damage(&message) {
            Some(step) => failure.if_damaged(step),
            None => failure,
        }
    }

    /// The failure for a task that did not finish.
    pub(super) fn of_task(task: Task) -> Failure {
        let message = format!("the server could not finish it: {}", task.message.unwrap_or_default());
        let failure = of(task.reason.unwrap_or(Reason::Internal), message);
        failure.next("its log says more; the same command starts it again").if_damaged(
            "restore or delete what `strongroom verify` shows; then `strongroom job retry ID`, as `job list` has it",
        )
    }
}

fn of(reason: Reason, message: String) -> Failure {
    Failure { reason: Some(reason), ..Failure::new(exit(reason), message).next(step(reason)) }
}

/// The exit code that the same command has where the store is.
fn exit(reason: Reason) -> Exit {
    use Reason as R;
    match reason {
        R::DefinitionNotFound
        | R::AccountNotFound
        | R::ConnectionNotFound
        | R::CredentialNotFound
        | R::ValueNotFound
        | R::VersionNotFound
        | R::KeyNotFound
        | R::SessionNotFound
        | R::SlotNotFound
        | R::JobNotFound
        | R::NotFound => Exit::NotFound,
        R::AlreadyExists | R::InvalidValue | R::ScopeNotAllowed | R::Conflict | R::Invalid | R::TooLarge => {
            Exit::Invalid
        }
        R::BadKey | R::LacksRight | R::RightElsewhere | R::Outranked | R::Locked | R::Key | R::Damaged => {
            Exit::Key
        }
        R::NoSuchCall
        | R::TooManyRequests
        | R::RotationUnderway
        | R::Busy
        | R::Moved
        | R::RootRotated
        | R::DiskFull
        | R::Indeterminate
        | R::Refused
        | R::Internal
        | R::Unknown => Exit::Store,
        // A reason of a later server.
        _ => Exit::Store,
    }
}

fn step(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::NoSuchCall => "check --url: it is only scheme, host and port",
        R::BadKey => "check the API key: --api-key-file or STRONGROOM_API_KEY",
        R::LacksRight | R::RightElsewhere | R::Outranked => {
            "`strongroom api-key create NAME --right RIGHT`, where the store is, makes a key that may"
        }
        R::DefinitionNotFound => "`strongroom list` lists the variables, `strongroom define` adds one",
        R::AccountNotFound => "`strongroom account list` lists the accounts",
        R::ConnectionNotFound => "`strongroom account apps ID` lists the apps and connections of an account",
        R::CredentialNotFound => "`strongroom credential list --account ID` lists its credentials",
        R::ValueNotFound => "`strongroom explain NAME` shows where the variable has a value",
        R::VersionNotFound => {
            "`strongroom history NAME` or `strongroom credential history KEY --account ID` lists the versions; nothing \
             was changed"
        }
        R::KeyNotFound => "`strongroom api-key list` lists the keys",
        R::SessionNotFound => "`strongroom account sessions ID` lists the sessions of an account",
        R::SlotNotFound => "`strongroom slot list` lists the slots",
        R::JobNotFound => "`strongroom job list` lists the jobs; a finished one is gone",
        R::NotFound => "check the name; nothing was changed",
        R::AlreadyExists => "nothing was written; use what is there, or another name",
        R::InvalidValue => "nothing was written; `strongroom show NAME` shows what a value must be",
        R::ScopeNotAllowed => "nothing was written; `strongroom show NAME` shows the scopes that it allows",
        R::Conflict | R::Invalid => "nothing was written; change what the message names",
        R::TooLarge => "nothing was written; send less at once",
        R::RotationUnderway => "`strongroom job run` finishes it",
        R::TooManyRequests | R::Busy | R::RootRotated => "try again later",
        R::Moved => "use the server of the store that it was moved to",
        R::Locked => "somebody has to unlock it first",
        R::DiskFull => "free some space on the disk of the server's store",
        R::Indeterminate => "check whether it was written, then run the command again if it was not",
        R::Damaged => "`strongroom verify` names all damaged rows, and what to do about each",
        _ => "the log of the server says why",
    }
}

/// The most common reason for refusals with this status.
fn by_status(status: StatusCode) -> Reason {
    match status {
        StatusCode::UNAUTHORIZED => Reason::BadKey,
        // Documented calls refuse a key for nothing else.
        StatusCode::FORBIDDEN => Reason::LacksRight,
        StatusCode::NOT_FOUND => Reason::NotFound,
        StatusCode::TOO_MANY_REQUESTS => Reason::TooManyRequests,
        StatusCode::PAYLOAD_TOO_LARGE => Reason::TooLarge,
        StatusCode::SERVICE_UNAVAILABLE => Reason::Busy,
        StatusCode::INSUFFICIENT_STORAGE => Reason::DiskFull,
        status if status.is_client_error() => Reason::Invalid,
        _ => Reason::Internal,
    }
}

const REASON_HEADER: &str = "x-strongroom-reason";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_a_matter_of_the_address() {
        let failure = Refusal::failure(StatusCode::PERMANENT_REDIRECT, None, None);
        assert!(failure.is(Reason::NoSuchCall), "{}", failure.message);
    }
}
