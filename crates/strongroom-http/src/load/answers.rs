//! The bytes of responses that have not been read yet.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use strongroom::OrgId;

/// The bytes of large responses that clients have not read yet.
#[derive(Default)]
pub(super) struct Answers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    all: usize,
    of_org: HashMap<Option<OrgId>, usize>,
}

/// A response that is counted until it is sent or dropped.
struct Counted {
    body: Body,
    answers: Arc<Answers>,
    org: Option<OrgId>,
    bytes: usize,
}

impl Answers {
    /// The same response, counted; `None` if too much is already waiting.
    pub(super) fn hold(
        self: &Arc<Self>,
        org: Option<OrgId>,
        answer: Response,
        bytes_max: usize,
    ) -> Option<Response> {
        let bytes = answer.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        // A streamed response is produced as it is read.
        let Some(bytes) = bytes.filter(|bytes| *bytes >= COUNTED_BYTES_MIN) else { return Some(answer) };
        let mut waiting = self.lock();
        let of_org = waiting.of_org.get(&org).copied().unwrap_or_default() + bytes;
        let all = waiting.all + bytes;
        if all > bytes_max || of_org > bytes_max / 2 {
            return None;
        }
        waiting.all = all;
        waiting.of_org.insert(org, of_org);
        drop(waiting);
        Some(answer.map(|body| Body::new(Counted { body, answers: Arc::clone(self), org, bytes })))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut waiting = self.answers.lock();
        waiting.all = waiting.all.saturating_sub(self.bytes);
        match waiting.of_org.get_mut(&self.org) {
            Some(bytes) if *bytes > self.bytes => *bytes -= self.bytes,
            // Removed with its last response, so that the table holds no more orgs than responses wait.
            Some(_) | None => drop(waiting.of_org.remove(&self.org)),
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("bytes", &self.lock().all).finish_non_exhaustive()
    }
}

/// Smaller responses are too many to count, and are bounded by the number of connections.
const COUNTED_BYTES_MIN: usize = 64 << 10;
