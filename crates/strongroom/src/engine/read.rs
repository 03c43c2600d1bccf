//! Reading rows and ranges, and the answer whose shape fits the request.

use crate::engine::Engine;
use crate::error::Error;
use crate::store::{
    Key, KeyRange, Page, READ_OPS_MAX, ReadBatch, ReadSet, Scan, Store, StoreError, StoreErrorKind, Versioned,
};

impl Engine {
    /// Reads rows and ranges: in one snapshot if they fit the contract's limit, otherwise in several reads.
    pub(crate) async fn read<R: Request>(&self, request: R) -> Result<R::Answer, Error> {
        Ok(answer::<R>(self.read_batch(&request.into_batch()).await?)?)
    }

    /// Reads an untyped request: returns as many rows and pages as were asked for.
    pub(crate) async fn read_batch(&self, batch: &ReadBatch) -> Result<ReadSet, Error> {
        self.refuse_locked_read(batch)?;
        if batch.gets.is_empty() && batch.scans.is_empty() {
            return Ok(ReadSet::default());
        }
        if batch.fits_one_read() {
            return Ok(read_checked(&*self.store, batch).await?);
        }
        let mut set = ReadSet::default();
        if !batch.scans.is_empty() {
            set.scans = read_from(&*self.store, batch.scans.clone()).await?;
        }
        for gets in batch.gets.chunks(READ_OPS_MAX) {
            set.gets.append(&mut read_from(&*self.store, gets.to_vec()).await?);
        }
        Ok(set)
    }

    /// Reads one row.
    pub(crate) async fn get(&self, key: Key) -> Result<Option<Versioned>, Error> {
        let [row] = self.read([key]).await?;
        Ok(row)
    }

    /// Reads one page of a range.
    pub(crate) async fn scan(&self, range: KeyRange, limit: usize) -> Result<Page, Error> {
        self.read(Scan::new(range, limit)).await
    }
}

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

/// Reads from a store, and checks that it returned as many rows and pages as were asked for. A page without rows would
/// read as the end of its range, whatever it says, and the rows that remain would be passed over. One that ends outside
/// of its range would be asked for again and again.
async fn read_checked(store: &dyn Store, batch: &ReadBatch) -> Result<ReadSet, StoreError> {
    let set = store.read(batch).await?;
    if (set.gets.len(), set.scans.len()) != (batch.gets.len(), batch.scans.len()) {
        return Err(misshapen());
    }
    if set.scans.iter().any(|page| page.more && page.rows.is_empty()) {
        let message = "the store returned a page without rows and says that more rows remain";
        return Err(StoreError::new(StoreErrorKind::Corrupt, message));
    }
    let strays = |(scan, page): (&Scan, &Page)| {
        let ends = [page.rows.first(), page.rows.last()];
        ends.into_iter().flatten().any(|(key, _)| !scan.range.contains(key.as_bytes()))
    };
    if batch.scans.iter().zip(&set.scans).any(strays) {
        let message = "the store returned a row from outside of the range that it was asked for";
        return Err(StoreError::new(StoreErrorKind::Corrupt, message));
    }
    Ok(set)
}

fn misshapen() -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        "the store returned another number of rows than it was asked for",
    )
}
