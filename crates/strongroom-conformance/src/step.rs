//! Steps of a random history, and how bytes become one.

use strongroom::store::{
    Expect, KEY_BYTES_MAX, Key, KeyRange, Op, ReadBatch, RowRevision, Scan, VALUE_BYTES_MAX, WriteBatch,
};

use crate::Model;

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Reads, and compares the answer.
    Read(ReadBatch),
    /// Commits, and compares the answer.
    Commit {
        /// What the batch expects.
        expect: Vec<(Key, Claim)>,
        /// What it writes.
        ops: Vec<Op>,
    },
    /// Closes and opens the store; nothing for a volatile one.
    Reopen,
}

/// An expectation whose revision is known only while the history runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// There is no row.
    Absent,
    /// There is a row.
    Exists,
    /// The row stands at the revision it has.
    Current,
    /// The row stands at a revision it had before.
    Former,
}

impl Step {
    /// The step that these bytes stand for. Any bytes stand for one: about 40 keys, so that steps meet; sizes about
    /// the limits; batches that break a rule now and then.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes.iter());
        match bytes.next() % 16 {
            0 => Self::Reopen,
            1..=8 => {
                let expect = bytes.list(4, |bytes| (bytes.key(), bytes.claim()));
                Self::Commit { expect, ops: bytes.list(6, Bytes::op) }
            }
            _ => Self::Read(ReadBatch { gets: bytes.list(4, Bytes::key), scans: bytes.list(3, Bytes::scan) }),
        }
    }
}

impl Claim {
    /// The expectation that the claim is at this point of the history.
    pub(crate) fn expect(self, key: &Key, model: &Model) -> Expect {
        let never = RowRevision(u64::MAX);
        match self {
            Self::Absent => Expect::Absent,
            Self::Exists => Expect::Exists,
            Self::Current => Expect::Revision(model.revision(key).unwrap_or(never)),
            Self::Former => Expect::Revision(model.former_revision(key).unwrap_or(never)),
        }
    }
}

/// The batch of a commit step at this point of the history.
pub(crate) fn batch_of(expect: &[(Key, Claim)], ops: &[Op], model: &Model) -> WriteBatch {
    let expect = expect.iter().map(|(key, claim)| (key.clone(), claim.expect(key, model)));
    WriteBatch { expect: expect.collect(), ops: ops.to_vec() }
}

/// Bytes that are zero once they have run out.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// Fewer than `len_end` items.
    fn list<T>(&mut self, len_end: u8, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        let len = self.next() % len_end;
        (0..len).map(|_| item(self)).collect()
    }

    /// One letter half of the time, so that steps meet on few keys; seldom three, or a size about the limit.
    fn key(&mut self) -> Key {
        let choice = usize::from(self.next());
        let digits = [choice % 5, choice / 5 % 5, choice / 25 % 5];
        let letters = digits.iter().filter_map(|digit| LETTERS.get(*digit)).copied();
        Key::from(match choice {
            255 => vec![b'k'; KEY_BYTES_MAX + 1],
            254 => vec![b'k'; KEY_BYTES_MAX],
            _ => letters.take(1 + choice / 125).collect(),
        })
    }

    fn value(&mut self) -> Vec<u8> {
        match self.next() {
            255 => vec![0; VALUE_BYTES_MAX + 1],
            254 => vec![0; VALUE_BYTES_MAX],
            choice => vec![choice; usize::from(choice % 7)],
        }
    }

    fn claim(&mut self) -> Claim {
        match self.next() % 8 {
            0 | 1 => Claim::Absent,
            2 | 3 => Claim::Exists,
            4 => Claim::Former,
            _ => Claim::Current,
        }
    }

    fn op(&mut self) -> Op {
        match self.next() % 3 {
            0 => Op::Delete(self.key()),
            _ => Op::Put(self.key(), self.value()),
        }
    }

    fn scan(&mut self) -> Scan {
        let shape = self.next();
        let (range, limit) = (self.range(), 1 + usize::from(self.next() % 12));
        Scan { range, limit, reverse: shape & 1 == 1, keys_only: shape & 2 == 2 }
    }

    fn range(&mut self) -> KeyRange {
        match self.next() % 6 {
            0 => KeyRange::all(),
            1 => KeyRange::prefix(self.key().as_bytes()),
            2 => KeyRange { start: self.key().into(), end: None },
            3 => KeyRange::prefix(self.key().as_bytes()).after(self.key().as_bytes()),
            4 => KeyRange::all().before(self.key().as_bytes()),
            _ => KeyRange { start: self.key().into(), end: Some(self.key().into()) },
        }
    }
}

const LETTERS: [u8; 5] = [0x00, b'a', 0x7f, 0x80, 0xff];
