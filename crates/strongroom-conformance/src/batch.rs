//! Requests and batches in one line.

use strongroom::store::{Expect, Key, KeyRange, Op, ReadBatch, RowRevision, Scan, WriteBatch};

pub(crate) fn key(bytes: impl AsRef<[u8]>) -> Key {
    Key::from(bytes.as_ref())
}

pub(crate) fn batch(
    expect: impl IntoIterator<Item = (Key, Expect)>,
    ops: impl IntoIterator<Item = Op>,
) -> WriteBatch {
    WriteBatch { expect: expect.into_iter().collect(), ops: ops.into_iter().collect() }
}

pub(crate) fn put(at: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
    Op::Put(key(at), value.as_ref().to_vec())
}

pub(crate) fn delete(at: impl AsRef<[u8]>) -> Op {
    Op::Delete(key(at))
}

pub(crate) fn absent(at: impl AsRef<[u8]>) -> (Key, Expect) {
    (key(at), Expect::Absent)
}

pub(crate) fn exists(at: impl AsRef<[u8]>) -> (Key, Expect) {
    (key(at), Expect::Exists)
}

pub(crate) fn at_revision(at: impl AsRef<[u8]>, revision: RowRevision) -> (Key, Expect) {
    (key(at), Expect::Revision(revision))
}

pub(crate) fn gets<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> ReadBatch {
    ReadBatch { gets: keys.into_iter().map(key).collect(), scans: Vec::new() }
}

/// A walk over every key that no page limit of the request cuts.
pub(crate) fn scan_all() -> Scan {
    Scan::new(KeyRange::all(), usize::MAX)
}

pub(crate) fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> KeyRange {
    KeyRange { start: start.as_ref().to_vec(), end: Some(end.as_ref().to_vec()) }
}
