//! By what a caller was admitted, to be looked at again once the body of the request has come.

use std::sync::Arc;

use strongroom::{Clock, Error, Timestamp};

use super::api_key::Admitted;
use super::session::Sessions;
use super::token::Claims;

/// What admitted a caller: whoever holds a body back would otherwise act after the key or the session was revoked.
#[derive(Clone)]
pub(crate) enum Standing {
    Key(Arc<Admitted>),
    Session(Arc<Sessions>, Claims),
}

impl Standing {
    /// Whether the caller would still be admitted.
    pub(crate) async fn holds(&self, clock: &dyn Clock) -> Result<bool, Error> {
        match self {
            Self::Key(admitted) => {
                // A record that changed may be one of a key that was replaced, and is taken for a while yet.
                Ok(admitted.is_current(clock).await? || admitted.again(clock).await?.is_some())
            }
            Self::Session(sessions, claims) => {
                let now = Timestamp::from_ms(clock.now_ms());
                Ok(sessions.admit(claims, now).await?.is_some())
            }
        }
    }
}
