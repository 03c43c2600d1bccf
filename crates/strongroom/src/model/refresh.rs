//! How credentials are refreshed, and the outcome.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Sleep, Timestamp};

/// How [`AppCredentials::refresh`](crate::AppCredentials::refresh) works. Make one and use it for every call.
///
/// ```
/// use std::time::Duration;
/// use strongroom::{OnUncertain, Refresh};
/// let refresh = Refresh::new(|_| std::future::ready(())) // with tokio: `Refresh::new(tokio::time::sleep)`
///     .lease(Duration::from_secs(20))
///     .wait(Duration::from_secs(30))
///     .on_uncertain(OnUncertain::TryKept);
/// assert!(format!("{refresh:?}").contains("20s"));
/// ```
#[derive(Clone)]
pub struct Refresh {
    pub(crate) sleep: Arc<dyn Sleep>,
    pub(crate) lease: Duration,
    pub(crate) wait: Duration,
    pub(crate) on_uncertain: OnUncertain,
}

impl Refresh {
    /// A lease of 30 seconds and a wait of 60, with the host's timer: the engine has none of its own.
    pub fn new(sleep: impl Sleep) -> Self {
        Self {
            sleep: Arc::new(sleep),
            lease: Duration::from_secs(30),
            wait: Duration::from_secs(60),
            on_uncertain: OnUncertain::Refuse,
        }
    }

    /// How long the exchange may take, from 1 second to 1 hour: longer than the timeout of the host's request, and
    /// longer than the clocks of two processes differ. When it ends, the outcome is uncertain, and the caller that
    /// began the exchange can no longer write.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long to wait for another caller's refresh.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// What to do if the outcome of an earlier refresh is unknown.
    #[must_use]
    pub fn on_uncertain(mut self, policy: OnUncertain) -> Self {
        self.on_uncertain = policy;
        self
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh")
            .field("lease", &self.lease)
            .field("wait", &self.wait)
            .field("on_uncertain", &self.on_uncertain)
            .finish_non_exhaustive()
    }
}

/// What a refresh does if nobody knows how an earlier one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnUncertain {
    /// Refuses, with [`RefreshError::Uncertain`](crate::RefreshError::Uncertain): for a provider that revokes
    /// everything if a refresh token is used twice. The uncertainty ends when the customer connects again, with
    /// [`replace_all`](crate::AppCredentials::replace_all), or when the host learns that the credentials are good, with
    /// [`settle_refresh`](crate::AppCredentials::settle_refresh).
    #[default]
    Refuse,
    /// Refreshes with the kept credentials: for a provider that accepts an old refresh token for a while.
    TryKept,
}

/// Whether credentials were being refreshed when they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RefreshState {
    /// No refresh is in progress.
    Idle,
    /// A caller is refreshing them.
    Underway {
        /// When its lease ends.
        until: Timestamp,
    },
    /// A refresh began and nobody knows how it ended. A write of single credentials does not end this, since the
    /// engine cannot know which of them the provider may have used up:
    /// [`replace_all`](crate::AppCredentials::replace_all) and
    /// [`settle_refresh`](crate::AppCredentials::settle_refresh) do.
    Uncertain {
        /// When it began.
        since: Timestamp,
    },
    /// The provider rejected them as invalid. No refresh calls it with them again, until a verb sets any credential of
    /// the integration.
    Rejected {
        /// When that refresh began.
        since: Timestamp,
    },
}

/// Why the host's exchange gave no new credentials. It decides whether the provider sees the old ones again.
#[derive(Debug)]
pub enum Unrefreshed<E> {
    /// The provider certainly did not use them up: it was never reached, or refused before it looked at them (429,
    /// 503). The next call may try again; callers that waited for this one do not.
    Unused(E),
    /// The provider rejected them as invalid, as with OAuth's `invalid_grant`. Nobody tries them again. Once the
    /// customer connects again, any verb that sets the new credentials ends this.
    Rejected(E),
    /// The provider may have used them up: its answer was lost. The outcome is uncertain from now on.
    Unknown(E),
}

/// An error passed on with `?` counts as unknown, which is the safe side.
impl<E> From<E> for Unrefreshed<E> {
    fn from(error: E) -> Self {
        Self::Unknown(error)
    }
}

/// Who refreshed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshedBy {
    /// This call.
    ThisCall,
    /// Another call did, or the credentials were set again: those given to this call are out of date.
    Another,
}
