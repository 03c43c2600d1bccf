//! Calls of one process that share round trips.
//!
//! A call is sent at once while few are in progress. While there are more, it waits, and is sent together with the
//! others that wait. A lone caller waits for nobody. Only groups are tasks of the runtime: a call is an entry in the
//! queue, where it stays if its caller drops its future.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use strongroom_store::{StoreError, StoreErrorKind};
use tokio::runtime::Handle;
use tokio::sync::{OwnedRwLockReadGuard, oneshot};

use crate::call::Server;

/// A request that can be sent together with others of its kind.
pub(crate) trait Share: Sized + Send + Sync + 'static {
    type Answer: Send + 'static;
    /// How many groups may be in progress, not counting those that take long.
    const AT_ONCE: usize;

    /// Which of the waiting requests, in their order, are sent together now: at least the first.
    fn choose<'r>(waiting: impl Iterator<Item = &'r Self>) -> Vec<bool>;

    /// The answer to each of the requests, or why none of them has one.
    fn call(
        server: &Server,
        requests: &[&Self],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer, StoreError>>, StoreError>> + Send;

    fn lost() -> StoreError;
}

/// Where calls wait for each other.
pub(crate) struct Line<R: Share> {
    server: Arc<Server>,
    runtime: Handle,
    state: Mutex<State<R>>,
}

struct State<R: Share> {
    waiting: VecDeque<Pending<R>>,
    under_way: usize,
}

/// A request that was accepted.
struct Pending<R: Share> {
    request: R,
    answer: oneshot::Sender<Result<R::Answer, StoreError>>,
    /// Keeps the store open until there is an answer.
    _open: OwnedRwLockReadGuard<bool>,
}

/// Sends each answer of a group to its caller.
async fn answer<R: Share>(server: &Server, group: Vec<Pending<R>>) {
    let answers = {
        let requests: Vec<&R> = group.iter().map(|pending| &pending.request).collect();
        R::call(server, &requests).await
    };
    let error = match answers {
        Ok(answers) => {
            return group.into_iter().zip(answers).for_each(|(pending, answer)| pending.answer(answer));
        }
        Err(error) => error,
    };
    // Nothing of the group was done. The failure of one must not fail the others, and none waits for another.
    if group.len() > 1 && error.kind() != StoreErrorKind::Indeterminate {
        let alone = group.into_iter().map(async |pending| {
            let answer = R::call(server, &[&pending.request]).await;
            pending.answer(answer.and_then(|mut answers| answers.swap_remove(0)));
        });
        join_all(alone).await;
        return;
    }
    let (kind, message) = (error.kind(), error.to_string());
    let mut first = Some(error);
    for pending in group {
        let error = first.take().unwrap_or_else(|| StoreError::new(kind, message.clone()));
        pending.answer(Err(error));
    }
}

impl<R: Share> Pending<R> {
    /// A caller may have dropped its future; its request was carried out anyway.
    fn answer(self, answer: Result<R::Answer, StoreError>) {
        let _ = self.answer.send(answer);
    }
}

impl<R: Share> Line<R> {
    /// Groups run on `runtime`.
    pub(crate) fn new(server: Arc<Server>, runtime: Handle) -> Arc<Self> {
        let state = State { waiting: VecDeque::new(), under_way: 0 };
        Arc::new(Self { server, runtime, state: Mutex::new(state) })
    }

    /// Makes a call, perhaps together with others.
    pub(crate) async fn call(self: &Arc<Self>, request: R) -> Result<R::Answer, StoreError> {
        let open = self.server.keep_open().await?;
        let (answer, answered) = oneshot::channel();
        if self.joins(Pending { request, answer, _open: open }) {
            Turn::of(self).begin();
        }
        answered.await.unwrap_or_else(|_| Err(R::lost()))
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request. Returns whether its caller has to take a turn.
    fn joins(&self, pending: Pending<R>) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(pending);
        let is_free = state.under_way < R::AT_ONCE;
        state.under_way += usize::from(is_free);
        is_free
    }

    fn next(&self) -> Vec<Pending<R>> {
        let mut state = self.lock();
        let chosen = R::choose(state.waiting.iter().map(|pending| &pending.request));
        let (mut group, mut rest) = (Vec::new(), VecDeque::new());
        for (pending, goes) in state.waiting.drain(..).zip(chosen) {
            if goes { group.push(pending) } else { rest.push_back(pending) }
        }
        state.waiting = rest;
        group
    }
}

/// The right to have a group in progress. When dropped, it goes to those that wait.
struct Turn<R: Share> {
    line: Arc<Line<R>>,
    /// Whether it has called for a group.
    is_used: bool,
}

impl<R: Share> Turn<R> {
    fn of(line: &Arc<Line<R>>) -> Self {
        Self { line: Arc::clone(line), is_used: false }
    }

    /// Calls for the next group, on the runtime. A runtime that has ended drops what it is given.
    fn begin(self) {
        let runtime = self.line.runtime.clone();
        runtime.spawn(self.take());
    }

    /// Boxed, since dropping one begins the next.
    fn take(mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            self.is_used = true;
            let line = Arc::clone(&self.line);
            let group = line.next();
            // Another turn took those that were waiting.
            if group.is_empty() {
                return;
            }
            let mut call = std::pin::pin!(answer(&line.server, group));
            if tokio::time::timeout(PATIENCE, &mut call).await.is_ok() {
                return;
            }
            // It waits for a row that another transaction holds, or for a slow server: nobody else has to wait for it.
            drop(self);
            call.await;
        })
    }
}

impl<R: Share> Drop for Turn<R> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        if self.is_used && !state.waiting.is_empty() {
            drop(state);
            return Self::of(&self.line).begin();
        }
        state.under_way -= 1;
        if !self.is_used && state.under_way == 0 {
            // The runtime has ended, so nobody takes a turn for those that wait.
            let lost = std::mem::take(&mut state.waiting);
            drop((state, lost));
        }
    }
}

/// How long a group may take before another one starts beside it.
const PATIENCE: Duration = Duration::from_millis(20);
