//! A read request, and the answer whose shape fits it.

use crate::store::{Key, Page, ReadBatch, ReadSet, Scan, Store, StoreError, StoreErrorKind, Versioned};

/// Rows and ranges to read together. The answer has a row for each key and a page for each scan, in the same order.
pub(crate) trait Request {
    type Answer;

    fn into_batch(self) -> ReadBatch;

    /// Takes the answer from a set of the right shape; `None` for any other shape.
    fn answer(set: ReadSet) -> Option<Self::Answer>;
}

/// An empty request: only what the read itself adds.
impl Request for () {
    type Answer = ();

    fn into_batch(self) -> ReadBatch {
        ReadBatch::default()
    }

    fn answer(_: ReadSet) -> Option<()> {
        Some(())
    }
}

impl<const N: usize> Request for [Key; N] {
    type Answer = [Option<Versioned>; N];

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: self.into(), scans: Vec::new() }
    }

    fn answer(set: ReadSet) -> Option<Self::Answer> {
        set.gets.try_into().ok()
    }
}

impl Request for Vec<Key> {
    type Answer = Vec<Option<Versioned>>;

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: self, scans: Vec::new() }
    }

    fn answer(set: ReadSet) -> Option<Self::Answer> {
        Some(set.gets)
    }
}

impl Request for Scan {
    type Answer = Page;

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: Vec::new(), scans: vec![self] }
    }

    fn answer(mut set: ReadSet) -> Option<Page> {
        set.scans.pop()
    }
}

impl Request for Vec<Scan> {
    type Answer = Vec<Page>;

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: Vec::new(), scans: self }
    }

    fn answer(set: ReadSet) -> Option<Self::Answer> {
        Some(set.scans)
    }
}

impl<const N: usize, const M: usize> Request for ([Key; N], [Scan; M]) {
    type Answer = ([Option<Versioned>; N], [Page; M]);

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: self.0.into(), scans: self.1.into() }
    }

    fn answer(set: ReadSet) -> Option<Self::Answer> {
        Some((set.gets.try_into().ok()?, set.scans.try_into().ok()?))
    }
}

impl Request for (Vec<Key>, Scan) {
    type Answer = (Vec<Option<Versioned>>, Page);

    fn into_batch(self) -> ReadBatch {
        ReadBatch { gets: self.0, scans: vec![self.1] }
    }

    fn answer(mut set: ReadSet) -> Option<Self::Answer> {
        Some((set.gets, set.scans.pop()?))
    }
}

/// Reads from a store, and refuses an answer of another shape: a row that was left out would count as absent.
pub(crate) async fn read_from<R: Request>(store: &dyn Store, request: R) -> Result<R::Answer, StoreError> {
    answer::<R>(read_checked(store, &request.into_batch()).await?)
}

/// The typed answer in a set that was checked.
pub(crate) fn answer<R: Request>(set: ReadSet) -> Result<R::Answer, StoreError> {
    R::answer(set).ok_or_else(misshapen)
}

/// Reads from a store, and checks that it returned as many rows and pages as were asked for.
pub(crate) async fn read_checked(store: &dyn Store, batch: &ReadBatch) -> Result<ReadSet, StoreError> {
    let set = store.read(batch).await?;
    if (set.gets.len(), set.scans.len()) == (batch.gets.len(), batch.scans.len()) {
        Ok(set)
    } else {
        Err(misshapen())
    }
}

fn misshapen() -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        "the store returned another number of rows than it was asked for",
    )
}
