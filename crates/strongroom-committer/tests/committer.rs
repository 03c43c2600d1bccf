//! What a committer promises, shown on a writer that keeps its rows in memory and does as it is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom_committer::{Answer, Committer, Readers, Writer};
use strongroom_store::{Committed, Expect, Key, Op, RowRevision, StoreError, StoreErrorKind, WriteBatch};

type Rows = Arc<Mutex<BTreeSet<Key>>>;

/// Says when a group starts, then waits for what it is told to do with it.
struct Told {
    starts: Sender<usize>,
    orders: Receiver<Order>,
    rows: Rows,
}

enum Order {
    Apply,
    Fail,
    Panic,
}

impl Told {
    fn obey(&self, group_len: usize) -> Result<(), StoreError> {
        let _ = self.starts.send(group_len);
        // Nobody to ask: continue.
        match self.orders.recv().unwrap_or(Order::Apply) {
            Order::Apply => Ok(()),
            Order::Fail => Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full")),
            Order::Panic => panic!("secret-key"),
        }
    }
}

impl Writer for Told {
    type View = Rows;

    fn commit(&mut self, group: &[&WriteBatch], _: &Readers<Rows>) -> Result<Vec<Answer>, StoreError> {
        self.obey(group.len())?;
        let mut rows = self.rows.lock().unwrap();
        let answers = group.iter().map(|batch| {
            let fails = |(key, expect): &(Key, Expect)| *expect == Expect::Absent && rows.contains(key);
            if let Some(index) = batch.expect.iter().position(fails) {
                return Err(StoreError::conflict(index));
            }
            rows.extend(batch.ops.iter().map(Op::key).cloned());
            Ok(Committed { revision: RowRevision(1) })
        });
        Ok(answers.collect())
    }

    fn close(self) -> Result<(), StoreError> {
        self.obey(0)
    }
}

/// A committer, its rows, the lengths of its groups as they start, and where its orders come from.
struct Rig {
    // Goes first, so that the committer waits for no order when it goes.
    orders: Sender<Order>,
    committer: Committer<Told>,
    rows: Rows,
    starts: Receiver<usize>,
}

impl Rig {
    fn new() -> Self {
        let (starts, started) = channel();
        let (orders, ordered) = channel();
        let rows = Rows::default();
        let told = Told { starts, orders: ordered, rows: Arc::clone(&rows) };
        let committer = Committer::start("told", told, Arc::clone(&rows)).unwrap();
        Self { committer, rows, starts: started, orders }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    fn commit(&self, key: &[u8]) -> StoreErrorKind {
        block_on(self.committer.commit(put(key))).unwrap_err().kind()
    }

    fn read(&self) -> Result<usize, StoreErrorKind> {
        self.committer.readers().read(|rows| Ok(rows.lock().unwrap().len())).map_err(|error| error.kind())
    }
}

fn put(key: &[u8]) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::default();
    batch.put(Key::from(key), b"v".to_vec());
    Arc::new(batch)
}

fn put_absent(key: &[u8]) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::clone(&put(key));
    batch.expect(Key::from(key), Expect::Absent);
    Arc::new(batch)
}

/// Polls each future once, which sends its batch.
macro_rules! send {
    ($($future:expr),*) => {
        $(assert!($future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());)*
    };
}

#[test]
fn batches_that_arrive_during_a_sync_share_the_next() {
    let rig = Rig::new();
    let mut first = Box::pin(rig.committer.commit(put(b"first")));
    send!(first);
    assert_eq!(rig.starts.recv(), Ok(1));
    let mut rest: Vec<_> = (0..63_u8).map(|n| Box::pin(rig.committer.commit(put(&[n])))).collect();
    for commit in &mut rest {
        send!(commit);
    }
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(63));
    rig.order(Order::Apply);
    assert!(block_on(first).is_ok() && block_on(join_all(rest)).iter().all(Result::is_ok));
}

#[test]
fn a_conflict_is_answered_with_the_group_of_what_it_lost_against() {
    let rig = Rig::new();
    let mut first = Box::pin(rig.committer.commit(put(b"first")));
    send!(first);
    rig.starts.recv().unwrap();
    let mut winner = Box::pin(rig.committer.commit(put_absent(b"k")));
    let mut loser = Box::pin(rig.committer.commit(put_absent(b"k")));
    send!(winner, loser);
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(2));
    send!(winner, loser);
    rig.order(Order::Apply);
    assert!(block_on(winner).is_ok());
    assert_eq!(block_on(loser).unwrap_err().kind(), StoreErrorKind::Conflict { index: 0 });
}

#[test]
fn a_dropped_commit_is_applied_and_holds_nothing_up() {
    let rig = Rig::new();
    let mut dropped = Box::pin(rig.committer.commit(put(b"dropped")));
    send!(dropped);
    rig.starts.recv().unwrap();
    drop(dropped);
    rig.order(Order::Apply);
    rig.order(Order::Apply);
    block_on(rig.committer.commit(put(b"another"))).unwrap();
    assert_eq!(rig.rows.lock().unwrap().len(), 2);
}

#[test]
fn a_failed_group_poisons_everything_after_it_and_is_not_tried_again() {
    let rig = Rig::new();
    rig.order(Order::Fail);
    let error = block_on(rig.committer.commit(put(b"k"))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Poisoned);
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the disk is full");
    assert_eq!(rig.commit(b"k"), StoreErrorKind::Poisoned);
    assert_eq!(rig.read(), Err(StoreErrorKind::Poisoned));
    for _ in 0..2 {
        assert_eq!(block_on(rig.committer.close()).unwrap_err().kind(), StoreErrorKind::Poisoned);
    }
    assert_eq!(rig.commit(b"k"), StoreErrorKind::Poisoned);
    assert_eq!(rig.starts.iter().count(), 1);
}

#[test]
fn a_panic_poisons_and_its_message_is_not_shown() {
    let rig = Rig::new();
    rig.order(Order::Panic);
    let error = block_on(rig.committer.commit(put(b"k"))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Poisoned);
    assert!(!format!("{error:?}").contains("secret"));
    assert_eq!(rig.read(), Err(StoreErrorKind::Poisoned));
}

#[test]
fn close_waits_for_what_was_accepted_and_lets_nothing_in_after() {
    let rig = Rig::new();
    let mut accepted = Box::pin(rig.committer.commit(put(b"k")));
    send!(accepted);
    rig.order(Order::Apply);
    rig.order(Order::Apply);
    block_on(rig.committer.close()).unwrap();
    assert!(block_on(accepted).is_ok());
    assert_eq!(rig.commit(b"late"), StoreErrorKind::Closed);
    assert_eq!(rig.read(), Err(StoreErrorKind::Closed));
    assert!(block_on(rig.committer.close()).is_ok());
}

#[test]
fn a_close_that_fails_reports_it_each_time() {
    for order in [Order::Fail, Order::Panic] {
        let rig = Rig::new();
        rig.order(order);
        for _ in 0..2 {
            assert_eq!(block_on(rig.committer.close()).unwrap_err().kind(), StoreErrorKind::Poisoned);
        }
    }
}

#[test]
fn other_work_is_done_between_groups_and_poisons_when_it_fails() {
    let rig = Rig::new();
    assert_eq!(block_on(rig.committer.work(|_, _| Ok(7))).unwrap(), 7);
    rig.order(Order::Apply);
    block_on(rig.committer.commit(put(b"k"))).unwrap();
    let failed = block_on(rig.committer.work(|_, _| -> Result<(), _> { panic!("secret-key") }));
    assert_eq!(failed.unwrap_err().kind(), StoreErrorKind::Poisoned);
    assert_eq!(block_on(rig.committer.work(|_, _| Ok(7))).unwrap_err().kind(), StoreErrorKind::Poisoned);
    assert_eq!(rig.read(), Err(StoreErrorKind::Poisoned));
}

#[test]
fn nobody_reads_what_failed_while_readers_were_kept_out() {
    for panics in [false, true] {
        let rig = Rig::new();
        let left = rig.committer.work(move |_, readers| {
            let failed: Result<(), _> = readers.exclude(|_| {
                assert!(!panics, "secret-key");
                Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full"))
            });
            // Before the thread hears of it.
            let read = readers.read(|_| Ok(())).map_err(|error| error.kind());
            Ok((failed.map_err(|error| error.kind()), read))
        });
        let poisoned = Err(StoreErrorKind::Poisoned);
        assert_eq!(block_on(left).unwrap(), (poisoned, poisoned));
    }
}

#[test]
fn a_group_that_failed_while_readers_were_kept_out_tells_its_cause() {
    let rig = Rig::new();
    let fail = |_: &mut Rows| Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is full"));
    let failed = block_on(rig.committer.work(move |_, readers| readers.exclude::<()>(fail))).unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Poisoned);
    assert_eq!(std::error::Error::source(&failed).unwrap().to_string(), "the disk is full");
}

#[test]
fn a_group_ends_with_the_batch_that_brings_it_to_4_mib() {
    let rig = Rig::new();
    let mut first = Box::pin(rig.committer.commit(put(b"first")));
    send!(first);
    assert_eq!(rig.starts.recv(), Ok(1));
    let mut half = WriteBatch::default();
    half.put(Key::from(b"k".as_slice()), vec![0; 2 << 20]);
    let half = Arc::new(half);
    let mut rest: Vec<_> = (0..3).map(|_| Box::pin(rig.committer.commit(Arc::clone(&half)))).collect();
    for commit in &mut rest {
        send!(commit);
    }
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(2));
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(1));
    rig.order(Order::Apply);
    assert!(block_on(first).is_ok() && block_on(join_all(rest)).iter().all(Result::is_ok));
}

#[test]
fn a_group_ends_with_its_1024th_batch() {
    let rig = Rig::new();
    let mut first = Box::pin(rig.committer.commit(put(b"first")));
    send!(first);
    assert_eq!(rig.starts.recv(), Ok(1));
    let commits = (0..1_025_u32).map(|n| Box::pin(rig.committer.commit(put(&n.to_be_bytes()))));
    let mut rest: Vec<_> = commits.collect();
    for commit in &mut rest {
        send!(commit);
    }
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(1_024));
    rig.order(Order::Apply);
    assert_eq!(rig.starts.recv(), Ok(1));
    rig.order(Order::Apply);
    assert!(block_on(first).is_ok() && block_on(join_all(rest)).iter().all(Result::is_ok));
}
