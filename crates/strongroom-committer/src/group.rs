//! Which batches share a sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use strongroom_store::WriteBatch;

use crate::job::{Job, Pending};
use crate::writer::{Answer, Writer};

/// Batches in the order in which they came.
#[derive(Default)]
pub(crate) struct Group {
    batches: Vec<Pending>,
    bytes_len: usize,
}

impl Group {
    /// `first`, what is queued behind it, and who is likely on the way; up to the bounds of a group or a job that is
    /// not a batch, which is returned too.
    pub(crate) fn gather<W: Writer>(
        first: Pending,
        jobs: &Receiver<Job<W>>,
        crowd: &Crowd,
    ) -> (Self, Option<Job<W>>) {
        let mut group = Self::default();
        let mut wait = crowd.wait();
        group.push(first);
        while !group.is_full() {
            match jobs.recv_timeout(wait.left(group.batches.len())) {
                Ok(Job::Commit(next)) => {
                    group.push(next);
                    wait.somebody_came();
                }
                Ok(other) => return (group, Some(other)),
                // Nobody came in time, or nobody can come any more.
                Err(_) => break,
            }
        }
        (group, None)
    }

    pub(crate) fn batches(&self) -> Vec<&WriteBatch> {
        self.batches.iter().map(|pending| &*pending.batch).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Hands out the answers. A caller may have dropped its future; its batch was committed all the same.
    pub(crate) fn answer(self, answers: impl IntoIterator<Item = Answer>) {
        for (pending, answer) in self.batches.into_iter().zip(answers) {
            let _ = pending.answer.send(answer);
        }
    }

    fn push(&mut self, pending: Pending) {
        self.bytes_len += pending.batch.bytes_len();
        self.batches.push(pending);
    }

    fn is_full(&self) -> bool {
        self.batches.len() >= GROUP_LEN_MAX || self.bytes_len >= GROUP_BYTES_MAX
    }
}

/// How many writers there are, as far as the last groups told, and what a sync costs.
///
/// Without it the first of 64 writers who were answered together would be synced alone, then those who came during
/// that sync, and so on: three or four syncs instead of one.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Batches that were asked for and not answered yet. Writers count up.
    pub(crate) unanswered: Arc<AtomicUsize>,
    /// How many were in each of the last groups or queued behind it. A group that was cut short says less than there
    /// are, so the largest counts.
    recent: [usize; GROUPS_REMEMBERED],
    sync: Duration,
}

impl Crowd {
    /// Takes note of a group of `answered` batches that took `took` to commit and is about to be answered: its writers
    /// may come back at once, and others wait already.
    pub(crate) fn take_note(&mut self, answered: usize, took: Duration) {
        self.recent.rotate_right(1);
        if let Some(last) = self.recent.first_mut() {
            // Relaxed: a guess at how many to wait for, by which nothing is read. Each of them was counted before its
            // batch was sent, so the count is never below what is taken from it here.
            *last = self.unanswered.fetch_sub(answered, Ordering::Relaxed);
        }
        self.sync = took.min(SYNC_MAX);
    }

    fn wait(&self) -> Wait {
        let now = Instant::now();
        let len = self.recent.into_iter().max().unwrap_or_default();
        Wait { len, sync: self.sync, since: now, last: now }
    }
}

/// The wait for the rest of a group: for each one half the time of the sync that its coming may save, and for all of
/// them together the time of four syncs, so that a group which grows slowly is committed all the same.
struct Wait {
    len: usize,
    sync: Duration,
    since: Instant,
    last: Instant,
}

impl Wait {
    fn somebody_came(&mut self) {
        // A lone writer is not waited for, so the time when it came is not asked for.
        if self.len > 1 {
            self.last = Instant::now();
        }
    }

    /// How much longer to wait for the next of a group of `group_len`. What is queued already is taken even if no time
    /// is left.
    fn left(&self, group_len: usize) -> Duration {
        if group_len >= self.len {
            return Duration::ZERO;
        }
        let for_one = (self.sync / 2).saturating_sub(self.last.elapsed());
        for_one.min((self.sync * 4).saturating_sub(self.since.elapsed()))
    }
}

/// So that a group whose batches are small is answered soon as well.
const GROUP_LEN_MAX: usize = 1_024;

/// So that the first of a group does not wait long for the others.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// So that a crowd that has gone is soon forgotten.
const GROUPS_REMEMBERED: usize = 8;

/// A disk that once stalled says nothing about the next sync.
const SYNC_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use futures_channel::oneshot::channel;
    use strongroom_store::StoreError;

    use super::*;
    use crate::Readers;

    const LONG: Duration = Duration::from_secs(3_600);

    /// Stands for the type alone: these tests commit nothing.
    struct NoWriter;

    impl Writer for NoWriter {
        type View = ();

        fn commit(&mut self, _: &[&WriteBatch], _: &Readers<()>) -> Result<Vec<Answer>, StoreError> {
            Ok(Vec::new())
        }

        fn close(self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn commit() -> Job<NoWriter> {
        Job::Commit(pending())
    }

    fn pending() -> Pending {
        Pending { batch: Arc::default(), answer: channel().0 }
    }

    /// What the last groups tell of a crowd of `len`, on a disk whose sync takes an hour.
    fn patient(len: usize) -> Crowd {
        Crowd { sync: LONG, ..crowd(len, 1) }
    }

    #[test]
    fn what_is_queued_is_taken_although_nobody_is_waited_for() {
        let (jobs, queue) = mpsc::channel();
        (0..3).for_each(|_| jobs.send(commit()).unwrap());
        let (group, other) = Group::gather(pending(), &queue, &Crowd::default());
        assert!(group.len() == 4 && other.is_none());
    }

    #[test]
    fn who_is_on_the_way_is_waited_for_and_nobody_after_the_last() {
        let (jobs, queue) = mpsc::channel();
        let sender = jobs.clone();
        let group = thread::scope(|threads| {
            threads.spawn(move || (0..2).for_each(|_| sender.send(commit()).unwrap()));
            Group::gather(pending(), &queue, &patient(3)).0
        });
        assert_eq!(group.len(), 3);
        drop(jobs);
    }

    #[test]
    fn nobody_is_waited_for_when_nobody_can_come_any_more() {
        let (jobs, queue) = mpsc::channel();
        jobs.send(commit()).unwrap();
        drop(jobs);
        assert_eq!(Group::gather(pending(), &queue, &patient(3)).0.len(), 2);
    }

    fn crowd(unanswered: usize, answered: usize) -> Crowd {
        let mut crowd = Crowd::default();
        crowd.unanswered.store(unanswered, Ordering::Relaxed);
        crowd.take_note(answered, LONG);
        crowd
    }

    #[test]
    fn a_lone_writer_is_not_waited_for() {
        assert!(Crowd::default().wait().left(1).is_zero());
        assert!(crowd(1, 1).wait().left(1).is_zero());
    }

    #[test]
    fn those_who_were_answered_and_those_who_came_meanwhile_are_waited_for() {
        let wait = Wait { sync: LONG, ..crowd(64, 1).wait() };
        assert!(!wait.left(63).is_zero() && wait.left(64).is_zero());
    }

    #[test]
    fn a_group_that_was_cut_short_does_not_hide_the_crowd() {
        let mut crowd = crowd(64, 40);
        crowd.take_note(24, LONG);
        assert_eq!(crowd.wait().len, 64);
    }

    #[test]
    fn a_crowd_that_has_gone_is_forgotten() {
        let mut crowd = crowd(64, 64);
        for _ in 0..GROUPS_REMEMBERED {
            crowd.unanswered.fetch_add(1, Ordering::Relaxed);
            crowd.take_note(1, LONG);
        }
        assert!(crowd.wait().left(1).is_zero());
    }

    #[test]
    fn patience_ends_without_a_newcomer_and_is_bounded() {
        let wait = Wait { sync: Duration::ZERO, ..crowd(64, 1).wait() };
        assert!(wait.left(1).is_zero());
        assert_eq!(crowd(64, 1).wait().sync, SYNC_MAX);
    }
}
