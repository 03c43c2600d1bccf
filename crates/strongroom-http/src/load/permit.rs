//! The permit of one request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Extensions;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::concurrency::CallerPermit;
use super::{ClientAddress, Load, Party};
use crate::error::Failure;

/// What a request holds of the service until its response: a permit while the service works on it, and its place among
/// the requests of its caller. While the service waits for the client there is no permit, since a client can take its
/// time.
pub(crate) struct RequestPermit {
    load: Arc<Load>,
    client: ClientAddress,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    permit: Option<OwnedSemaphorePermit>,
    callers: Vec<CallerPermit>,
}

impl RequestPermit {
    /// The permit of a new request, which holds nothing yet.
    pub(crate) fn new(load: &Arc<Load>, client: ClientAddress) -> Self {
        Self { load: Arc::clone(load), client, held: Mutex::default() }
    }

    /// The permit of the request that has these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Result<Arc<Self>, Failure> {
        // The router gives one to every request: without it nothing would be limited.
        extensions.get().cloned().ok_or_else(Failure::internal)
    }

    /// Takes the permit, or fails if too many requests are at work.
    pub(crate) fn resume(&self) -> Result<(), Failure> {
        // Never waits: while the service is overloaded a queue would only grow, and clients give up anyway.
        let permit = Arc::clone(&self.load.permits).try_acquire_owned();
        self.held().permit = Some(permit.map_err(|_| Failure::overloaded())?);
        Ok(())
    }

    /// Gives the permit back while the service waits for the client.
    pub(crate) fn pause(&self) {
        self.held().permit = None;
    }

    /// Gives everything back: the request is refused, and its client waits for the response.
    pub(crate) async fn hold_back(&self) {
        *self.held() = Held::default();
        self.load.pause().await;
    }

    /// The response to a read, counted for the org of its caller until the client has read it; a refusal if too much is
    /// waiting to be read.
    pub(crate) fn count_answer(&self, answer: Response) -> Response {
        let org = self.held().callers.iter().find_map(|place| match place.party() {
            Party::Org(org) => Some(*org),
            Party::Key(_)
            | Party::Session(..)
            | Party::Account(..)
            | Party::Unknown(_)
            | Party::Connected(_) => None,
        });
        let max = self.load.limits.answer_bytes_max;
        self.load.answers.hold(org, answer, max).unwrap_or_else(|| Failure::overloaded().into_response())
    }

    /// Counts the request for `party`, or fails if the party has too many concurrent requests or calls too often.
    pub(crate) fn count_for(&self, party: &Party) -> Result<(), Failure> {
        if let Some(place) = self.load.place(party)? {
            // Kept even if the rate refuses the request, which then ends at once.
            self.held().callers.push(place);
        }
        match self.load.rate(party) {
            Some(rate) => rate.admit(party).map_err(Failure::too_many_requests),
            None => Ok(()),
        }
    }

    /// Fails if too many credentials of the client's address were bad; then another one is not checked. Only for a
    /// credential that is not known to be good: behind a proxy, where many clients may share an address, one of them
    /// must not lock out those that were let in before.
    pub(crate) fn begin_check(&self) -> Result<Option<CallerPermit>, Failure> {
        self.load.failures.check(self.client).map_err(Failure::too_many_requests)?;
        self.load.place(&Party::Unknown(self.client))
    }

    /// Counts a failed authentication of the client's address; returns `failure`, for the response.
    pub(crate) fn failed(&self, failure: Failure) -> Failure {
        self.load.failures.count(self.client);
        failure
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one assignment, so that a panic leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestPermit")
    }
}
