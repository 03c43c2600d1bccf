//! Every order in which some tasks can come to the store: up to a bound on how often one is interrupted, or all.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use strongroom::store::{Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, WriteBatch};
use strongroom_memory::MemoryStore;

/// A store that is pending once before each call does its work, and after each commit. So a poll of a task is one step:
/// the call at which it stands, and all that follows up to the next one.
#[derive(Debug, Clone)]
pub(crate) struct Stepped {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) shared: bool,
}

#[async_trait]
impl Store for Stepped {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        pend().await;
        STEP.set(Step::Read);
        self.inner.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        pend().await;
        let committed = self.inner.commit(batch).await;
        // A batch that is refused has only looked.
        STEP.set(if committed.is_ok() { Step::Write } else { Step::Read });
        pend().await;
        committed
    }

    fn capabilities(&self) -> Capabilities {
        let inner = (*self.inner).capabilities();
        if self.shared { inner.with_sharing() } else { inner }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

async fn pend() {
    let mut polled = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

thread_local! {
    /// What the step that was made last did to the store.
    static STEP: Cell<Step> = const { Cell::new(Step::Local) };
}

/// What a step does to the store.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Local,
    Read,
    Write,
}

impl Step {
    /// Whether two steps of different tasks, which share nothing but the store, lead to the same in either order.
    fn commutes_with(self, other: Self) -> bool {
        !matches!((self, other), (Self::Write, Self::Read | Self::Write) | (Self::Read, Self::Write))
    }
}

/// Polls a future to its end. The store is pending, and asks to be polled again by nobody.
pub(crate) fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Looks at what one order of calls left.
type Check = Box<dyn FnOnce(&[usize])>;

/// What runs: the tasks, and what takes the place of the first when it is killed.
pub(crate) struct Play {
    pub(crate) tasks: Vec<Task>,
    /// Called once at most, in the orders in which there is a crash.
    pub(crate) after_crash: Option<Box<dyn FnOnce() -> Task>>,
    /// What must hold in the end.
    pub(crate) check: Check,
}

/// Plays every order with at most `interruptions_max` switches away from a task that could continue; a crash counts as
/// one. Answers how many orders there were.
pub(crate) fn explore(interruptions_max: usize, make: impl Fn() -> Play) -> usize {
    explore_those(Those::Interrupted(interruptions_max), make)
}

/// Plays every order of tasks that share nothing but the store. Orders that differ only in neighbouring steps which
/// commute are one, and played once.
pub(crate) fn explore_all(make: impl Fn() -> Play) -> usize {
    explore_those(Those::All, make)
}

/// Which orders are played.
#[derive(Clone, Copy, PartialEq)]
enum Those {
    Interrupted(usize),
    All,
}

fn explore_those(those: Those, make: impl Fn() -> Play) -> usize {
    let (mut orders, mut played) = (vec![Vec::new()], 0);
    while let Some(prefix) = orders.pop() {
        played += usize::from(play(make(), &prefix, those, &mut orders));
    }
    played
}

/// Whether it was played to its end: not if it is the same as an order that is played anyway.
fn play(mut play: Play, prefix: &[usize], those: Those, orders: &mut Vec<Vec<usize>>) -> bool {
    let interruptions_max = match those {
        Those::Interrupted(max) => max,
        Those::All => usize::MAX,
    };
    let mut last = None;
    let crash = play.tasks.len();
    let mut tasks: Vec<Option<Task>> = play.tasks.into_iter().map(Some).collect();
    let (mut order, mut current, mut interruptions) = (Vec::new(), 0, 0);
    while tasks.iter().any(Option::is_some) {
        let goes_on = tasks[current].is_some();
        let mut choices: Vec<usize> = (0..crash).filter(|task| tasks[*task].is_some()).collect();
        if play.after_crash.is_some() && tasks[0].is_some() {
            choices.push(crash);
        }
        let default = if goes_on { current } else { choices[0] };
        let cost = |choice: usize| usize::from(choice == crash || (goes_on && choice != current));
        let choice = prefix.get(order.len()).copied().unwrap_or(default);
        if order.len() >= prefix.len() {
            for other in choices.iter().filter(|other| **other != default) {
                if interruptions + cost(*other) <= interruptions_max {
                    orders.push([&order[..], &[*other]].concat());
                }
            }
        }
        interruptions += cost(choice);
        order.push(choice);
        if choice == crash {
            tasks[0] = None;
            tasks[0] = Some(play.after_crash.take().unwrap()());
            current = 0;
            continue;
        }
        current = choice;
        STEP.set(Step::Local);
        let polled = tasks[choice].as_mut().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            tasks[choice] = None;
        }
        let step = STEP.get();
        let is_twin = |(task, before): (usize, Step)| {
            choice < task && those == Those::All && before.commutes_with(step)
        };
        if last.replace((choice, step)).is_some_and(is_twin) {
            return false;
        }
        assert!(order.len() < STEPS_MAX, "the tasks come to no end: {order:?}");
    }
    (play.check)(&order);
    true
}

const STEPS_MAX: usize = 2_000;
