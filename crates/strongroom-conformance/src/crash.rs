//! An operation that is stopped at each of its writes.

use futures_executor::block_on;
use strongroom::store::{Store, StoreErrorKind};

use crate::{Fault, Faulty};

/// Where an operation was stopped. Commits are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At this commit, which was not applied.
    Before(usize),
    /// At this commit, which was applied although nobody heard of it.
    After(usize),
    /// Nowhere: the operation made all its commits.
    Never,
}

/// Runs an operation once for each of its commits and stops it there, first before the commit is applied and then
/// after; `check` sees what is left, as after a reopen. A last run is not stopped. Answers how many commits there are.
///
/// `prepare` gives the store from which each run starts, so it must be the same every time. From the stop on every
/// call is answered with `Poisoned`, as of a store whose process is gone. All futures are driven by a
/// `block_on` on this thread, so none may call another.
///
/// ```
/// # use std::sync::Arc;
/// # use strongroom::store::{ReadBatch, Store, WriteBatch};
/// use strongroom_conformance::crash_at_every_commit;
/// let commits_len = crash_at_every_commit(
///     async || strongroom_memory::MemoryStore::new(),
///     async |store| drop(store.commit(Arc::new(WriteBatch::default())).await),
///     async |stop, store| assert!(store.read(&ReadBatch::default()).await.is_ok(), "{stop:?}"),
/// );
/// assert_eq!(commits_len, 1);
/// ```
///
/// # Panics
/// When the operation makes more than 10,000 commits, and when `prepare`, `operation` or `check` does.
pub fn crash_at_every_commit<S: Store>(
    prepare: impl AsyncFn() -> S,
    operation: impl AsyncFn(Faulty<S>),
    check: impl AsyncFn(Stop, Faulty<S>),
) -> usize {
    for commit in 0..COMMITS_MAX {
        for stop in [Stop::Before(commit), Stop::After(commit)] {
            let store = stop.wire(block_on(prepare()));
            block_on(operation(store.clone()));
            let stop = if store.commits_len() > commit { stop } else { Stop::Never };
            let _named = NamedOnPanic(stop);
            block_on(check(stop, store.reopen()));
            if stop == Stop::Never {
                return commit;
            }
        }
    }
    unreachable!("an operation makes at most {COMMITS_MAX} commits");
}

impl Stop {
    fn wire<S: Store>(self, store: S) -> Faulty<S> {
        let poisoned = StoreErrorKind::Poisoned;
        match self {
            Self::Before(commit) => Faulty::new(store).on_commits(commit..=commit, Fault::Before(poisoned)),
            Self::After(commit) => Faulty::new(store).on_commits(commit..=commit, Fault::After(poisoned)),
            Self::Never => Faulty::new(store),
        }
    }
}

/// Says which stop it was when a check panics.
struct NamedOnPanic(Stop);

impl Drop for NamedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the operation was stopped: {:?}", self.0);
        }
    }
}

const COMMITS_MAX: usize = 10_000;
