//! How a caller was admitted, to be checked again once the body of the request has arrived.

use std::sync::Arc;

use strongroom::{Clock, Error, Timestamp};

use super::admitted::Admitted;
use super::session::Sessions;
use super::token::Claims;

/// How a caller was admitted. Otherwise a caller that delays its body could act after its key or session was revoked.
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
                // A changed record may belong to a key that was replaced, and is still accepted for a while.
                Ok(admitted.is_current(clock).await? || admitted.again(clock).await?.is_some())
            }
            Self::Session(sessions, claims) => {
                let now = Timestamp::from_ms(clock.now_ms());
                Ok(sessions.admit(claims, now).await?.is_some())
            }
        }
    }
}
