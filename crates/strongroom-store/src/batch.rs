//! What travels between the engine and a store: keys, reads and writes.

use std::borrow::Borrow;
use std::fmt;

use smallvec::SmallVec;

use super::{Capabilities, KEY_BYTES_MAX, Page, READ_OPS_MAX, StoreError, StoreErrorKind, VALUE_BYTES_MAX};

/// The address of a row, 1 to [`KEY_BYTES_MAX`] bytes. `Debug` shows only its length.
///
/// ```
/// use strongroom_store::Key;
/// let mut key = Key::from(b"tenant\0".as_slice());
/// key.extend(b"row");
/// assert_eq!(key.as_bytes(), b"tenant\0row");
/// ```
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmallVec<[u8; INLINE_LEN]>);

/// Most keys are no longer than this and need no allocation.
const INLINE_LEN: usize = 72;

impl Key {
    /// Appends `bytes`.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Cuts the key to `len` bytes, so that the next key with the same prefix can reuse it.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The bytes of the key.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Clone for Key {
    #[inline]
    fn clone(&self) -> Self {
        // In one copy: a clone of the list copies byte by byte.
        Self::from(self.as_bytes())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl From<&[u8]> for Key {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        // The spare room is zeroed. Otherwise whatever was on the stack there, at worst the remains of a cryptographic
        // key, would be copied to the heap with this key and stay.
        let mut room = [0; INLINE_LEN];
        let Some(place) = room.get_mut(..bytes.len()) else { return Self(SmallVec::from_slice(bytes)) };
        place.copy_from_slice(bytes);
        Self(SmallVec::from_buf_and_len(room, bytes.len()))
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.0.into_vec()
    }
}

/// Lets an ordered map of keys be searched with plain bytes.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

/// A half-open range of keys, `start..end`; without an end it runs to the last key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Vec<u8>,
    /// The first key after the range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// Every key that starts with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let end = prefix.iter().rposition(|&byte| byte != u8::MAX).map(|last| {
            let mut end: Vec<u8> = prefix.iter().take(last + 1).copied().collect();
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            end
        });
        Self { start: prefix.to_vec(), end }
    }

    /// The part of the range that follows `key`.
    #[must_use]
    pub fn after(self, key: &[u8]) -> Self {
        let mut next = key.to_vec();
        next.push(0);
        Self { start: self.start.max(next), end: self.end }
    }

    /// The part of the range before `key`, for a backward scan.
    #[must_use]
    pub fn before(self, key: &[u8]) -> Self {
        let end = match self.end {
            Some(end) if end.as_slice() < key => end,
            _ => key.to_vec(),
        };
        Self { start: self.start, end: Some(end) }
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.end.as_ref().map(Vec::len);
        f.debug_struct("KeyRange").field("start_len", &self.start.len()).field("end_len", &end).finish()
    }
}

/// A bounded walk over a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Where to walk.
    pub range: KeyRange,
    /// The most rows to return.
    pub limit: usize,
    /// From the last key to the first.
    pub reverse: bool,
    /// Returns empty values.
    pub keys_only: bool,
}

impl Scan {
    /// A forward walk over `range` that returns at most `limit` rows with their values.
    #[must_use]
    pub fn new(range: KeyRange, limit: usize) -> Self {
        Self { range, limit, reverse: false, keys_only: false }
    }

    /// The same without values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// The same from the last key to the first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }
}

/// Gets and scans that are answered at one point in commit order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadBatch {
    /// Rows to fetch by key.
    pub gets: Vec<Key>,
    /// Ranges to walk.
    pub scans: Vec<Scan>,
}

impl ReadBatch {
    /// Whether one read may hold this many gets and scans.
    #[must_use]
    pub fn fits_one_read(&self) -> bool {
        self.gets.len() + self.scans.len() <= READ_OPS_MAX
    }

    /// Refuses a read that exceeds a limit of the contract. Every backend calls it first.
    ///
    /// # Errors
    /// `TooLarge` for more than [`READ_OPS_MAX`] gets and scans, or for a key over [`KEY_BYTES_MAX`]; `Unsupported` for
    /// an empty key, and for a scan of no rows, which would never end.
    pub fn check(&self) -> Result<(), StoreError> {
        if !self.fits_one_read() {
            return Err(too_large("a read holds too many gets and scans"));
        }
        if self.gets.iter().any(|key| key.0.len() > KEY_BYTES_MAX) {
            return Err(too_large("a key is too long"));
        }
        if self.gets.iter().any(|key| key.0.is_empty()) {
            return Err(unsupported("a key is empty"));
        }
        if self.scans.iter().any(|scan| scan.limit == 0) {
            return Err(unsupported("a scan asks for no rows"));
        }
        Ok(())
    }
}

/// The answer to a [`ReadBatch`], in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// One entry per get; `None` if there is no row.
    pub gets: Vec<Option<Versioned>>,
    /// One page per scan.
    pub scans: Vec<Page>,
}

/// The bytes of a row and the revision at which they were put. `Debug` shows only their length.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes of the row.
    pub value: Vec<u8>,
    /// The revision of the put that wrote them.
    pub revision: RowRevision,
}

impl fmt::Debug for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versioned({} bytes at {:?})", self.value.len(), self.revision)
    }
}

/// An opaque mark of one put: any number but 0. Two puts of one key never share it; its order means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowRevision(pub u64);

/// What must hold for a key before a batch is applied. Complete: a backend must know every kind of expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no row. Allowed only on a key that the same batch puts.
    Absent,
    /// There is a row.
    Exists,
    /// There is a row, put at this revision.
    Revision(RowRevision),
}

impl Expect {
    /// Whether a key at revision `found` meets the expectation.
    #[must_use]
    pub fn holds(self, found: Option<RowRevision>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Exists => found.is_some(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// One write. Complete: a backend must know every kind of write. `Debug` shows only lengths.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes the row, whether or not there was one.
    Put(Key, Vec<u8>),
    /// Removes the row, whether or not there was one.
    Delete(Key),
}

impl Op {
    /// The key that the operation writes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Self::Put(_, value) => value.len(),
            Self::Delete(_) => 0,
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Delete(key) => write!(f, "Delete({key:?})"),
        }
    }
}

/// Expectations and the writes that depend on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// What must hold, in the order in which a conflict is reported.
    pub expect: Vec<(Key, Expect)>,
    /// The writes, made if the expectations hold.
    pub ops: Vec<Op>,
}

impl WriteBatch {
    /// Adds an expectation.
    pub fn expect(&mut self, key: Key, expect: Expect) {
        self.expect.push((key, expect));
    }

    /// Adds a put.
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.ops.push(Op::Put(key, value));
    }

    /// Adds a delete.
    pub fn delete(&mut self, key: Key) {
        self.ops.push(Op::Delete(key));
    }

    /// The bytes of all keys and values of the operations.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.ops.iter().map(|op| op.key().0.len() + op.value_len()).sum()
    }

    /// Refuses a batch that exceeds a limit or breaks rule 3 of the contract. Every backend calls it first.
    ///
    /// # Errors
    /// `TooLarge` for a key, a value or a batch over its limit; `Unsupported` for a key that is twice in `expect` or
    /// twice in `ops`, and for [`Expect::Absent`] on a key that the batch does not put.
    pub fn check(&self, capabilities: &Capabilities) -> Result<(), StoreError> {
        self.check_sizes(capabilities)?;
        let puts = self.ops.iter().filter(|op| matches!(op, Op::Put(..)));
        let puts = sorted(puts.map(Op::key));
        if has_twins(&sorted(self.ops.iter().map(Op::key))) {
            return Err(unsupported("a key stands twice among the operations"));
        }
        if has_twins(&sorted(self.expect.iter().map(|(key, _)| key))) {
            return Err(unsupported("a key stands twice among the expectations"));
        }
        let mut absent = self.expect.iter().filter(|(_, expect)| *expect == Expect::Absent);
        if absent.any(|(key, _)| puts.binary_search(&key).is_err()) {
            return Err(unsupported("absence is expected of a key that the batch does not put"));
        }
        Ok(())
    }

    fn check_sizes(&self, capabilities: &Capabilities) -> Result<(), StoreError> {
        if self.ops.len() > capabilities.batch_ops_max || self.expect.len() > capabilities.batch_ops_max {
            return Err(too_large("a batch holds too many operations or expectations"));
        }
        if self.bytes_len() > capabilities.batch_bytes_max {
            return Err(too_large("a batch holds too many bytes"));
        }
        let mut keys = self.ops.iter().map(Op::key).chain(self.expect.iter().map(|(key, _)| key));
        if keys.clone().any(|key| key.0.len() > KEY_BYTES_MAX) {
            return Err(too_large("a key is too long"));
        }
        if keys.any(|key| key.0.is_empty()) {
            return Err(unsupported("a key is empty"));
        }
        if self.ops.iter().any(|op| op.value_len() > VALUE_BYTES_MAX) {
            return Err(too_large("a value is too large"));
        }
        Ok(())
    }
}

/// The answer to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The revision of every row that the batch put.
    pub revision: RowRevision,
}

/// Keys in order. Those of an ordinary batch need no allocation.
fn sorted<'k>(keys: impl Iterator<Item = &'k Key>) -> SmallVec<[&'k Key; 16]> {
    let mut keys: SmallVec<_> = keys.collect();
    keys.sort_unstable();
    keys
}

fn has_twins(sorted: &[&Key]) -> bool {
    !sorted.is_sorted_by(|one, next| one < next)
}

fn too_large(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::TooLarge, message)
}

fn unsupported(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_range_ends_after_the_last_key_with_the_prefix() {
        let range = KeyRange::prefix(b"a\xff");
        assert!(range.contains(b"a\xff") && range.contains(b"a\xff\xff\xff"));
        assert!(!range.contains(b"b") && !range.contains(b"a\xfe"));
        assert_eq!(KeyRange::prefix(b"\xff\xff").end, None);
    }

    #[test]
    fn after_and_before_leave_the_key_out() {
        let range = KeyRange::prefix(b"k").after(b"k1").before(b"k3");
        assert!(!range.contains(b"k1") && range.contains(b"k1\0") && range.contains(b"k2"));
        assert!(!range.contains(b"k3"));
        assert!(KeyRange::prefix(b"k").after(b"z").is_empty());
    }

    #[test]
    fn debug_shows_no_bytes() {
        let key = Key::from(b"secret-key".as_slice());
        let mut batch = WriteBatch::default();
        batch.put(key.clone(), b"secret-value".to_vec());
        batch.expect(key, Expect::Absent);
        let shown = format!("{batch:?} {:?}", KeyRange::prefix(b"secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
