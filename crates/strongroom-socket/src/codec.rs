//! Calls and answers as bytes: CBOR arrays (RFC 8949). What is not exactly one of them is refused.

use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;
use strongroom_store::{
    Capabilities, Committed, Durability, Expect, Key, KeyRange, Op, Page, ReadBatch, ReadSet, RowRevision,
    Scan, StoreError, StoreErrorKind, Versioned, WriteBatch,
};

/// What one who came in asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The first one, with the release of the protocol.
    Hello(u32),
    Read(ReadBatch),
    Commit(WriteBatch),
}

type Encoded = Result<(), EncodeError<Infallible>>;

impl Call {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        array(&mut decoder)?;
        let call = match decoder.u8()? {
            HELLO => Self::Hello(decoder.u32()?),
            READ => Self::Read(read_batch(&mut decoder)?),
            COMMIT => Self::Commit(write_batch(&mut decoder)?),
            _ => return Err(Error::message("no such call")),
        };
        whole(&decoder, bytes)?;
        Ok(call)
    }
}

pub(crate) fn hello(release: u32) -> Vec<u8> {
    encoded(|encoder| encoder.array(2)?.u8(HELLO)?.u32(release).map(drop))
}

pub(crate) fn read(batch: &ReadBatch) -> Vec<u8> {
    encoded(|encoder| {
        encoder.array(3)?.u8(READ)?.array(batch.gets.len() as u64)?;
        for key in &batch.gets {
            encoder.bytes(key.as_bytes())?;
        }
        encoder.array(batch.scans.len() as u64)?;
        for scan in &batch.scans {
            encoder.array(5)?.bytes(&scan.range.start)?;
            match &scan.range.end {
                Some(end) => encoder.bytes(end)?,
                None => encoder.null()?,
            };
            encoder.u64(scan.limit as u64)?.bool(scan.reverse)?.bool(scan.keys_only)?;
        }
        Ok(())
    })
}

pub(crate) fn commit(batch: &WriteBatch) -> Vec<u8> {
    encoded(|encoder| {
        encoder.array(3)?.u8(COMMIT)?.array(batch.expect.len() as u64)?;
        for (key, expect) in &batch.expect {
            encoder.array(2)?.bytes(key.as_bytes())?;
            match expect {
                // Whether there is to be a row; any number is a revision, also one that no row ever has.
                Expect::Absent => encoder.bool(false)?,
                Expect::Exists => encoder.bool(true)?,
                Expect::Revision(RowRevision(number)) => encoder.u64(*number)?,
            };
        }
        encoder.array(batch.ops.len() as u64)?;
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => encoder.array(2)?.bytes(key.as_bytes())?.bytes(value)?,
                Op::Delete(key) => encoder.array(1)?.bytes(key.as_bytes())?,
            };
        }
        Ok(())
    })
}

pub(crate) fn welcome(capabilities: &Capabilities) -> Vec<u8> {
    let durability = match capabilities.durability {
        Durability::Volatile => 0,
        Durability::PowerLoss => 2,
        // What a later release promises is taken for the least that outlives a process.
        _ => 1,
    };
    let Capabilities { batch_ops_max, batch_bytes_max, page_bytes_max, .. } = *capabilities;
    encoded(|encoder| {
        encoder.array(5)?.u8(DONE)?.u8(durability)?.u64(batch_ops_max as u64)?;
        encoder.u64(batch_bytes_max as u64)?.u64(page_bytes_max as u64).map(drop)
    })
}

pub(crate) fn rows(set: &ReadSet) -> Vec<u8> {
    encoded(|encoder| {
        encoder.array(3)?.u8(DONE)?.array(set.gets.len() as u64)?;
        for row in &set.gets {
            match row {
                Some(row) => encoder.array(2)?.bytes(&row.value)?.u64(row.revision.0)?,
                None => encoder.null()?,
            };
        }
        encoder.array(set.scans.len() as u64)?;
        for page in &set.scans {
            encoder.array(2)?.bool(page.more)?.array(page.rows.len() as u64)?;
            for (key, row) in &page.rows {
                encoder.array(3)?.bytes(key.as_bytes())?.bytes(&row.value)?.u64(row.revision.0)?;
            }
        }
        Ok(())
    })
}

pub(crate) fn committed(done: Committed) -> Vec<u8> {
    encoded(|encoder| encoder.array(2)?.u8(DONE)?.u64(done.revision.0).map(drop))
}

pub(crate) fn failed(error: &StoreError) -> Vec<u8> {
    let (kind, index) = match error.kind() {
        StoreErrorKind::Conflict { index } => (0, index),
        StoreErrorKind::Contention => (1, 0),
        StoreErrorKind::Unavailable => (2, 0),
        StoreErrorKind::Indeterminate => (3, 0),
        StoreErrorKind::TooLarge => (4, 0),
        StoreErrorKind::Corrupt => (5, 0),
        StoreErrorKind::Poisoned => (6, 0),
        StoreErrorKind::Closed => (7, 0),
        StoreErrorKind::InUse => (9, 0),
        // Of a kind that a later release adds it is only known that it failed.
        _ => (8, 0),
    };
    let (message, cause) = (error.to_string(), causes(error));
    encoded(|encoder| {
        encoder.array(5)?.u8(FAILED)?.u8(kind)?.u64(index as u64)?.str(&message)?;
        match &cause {
            Some(cause) => encoder.str(cause)?,
            None => encoder.null()?,
        };
        Ok(())
    })
}

/// The sentences of all causes, with those that the sentence before repeats left out.
fn causes(error: &StoreError) -> Option<String> {
    let mut cause = std::error::Error::source(error)?;
    let mut text = cause.to_string();
    while let Some(next) = cause.source() {
        let sentence = next.to_string();
        if !text.contains(&sentence) {
            text = format!("{text}: {sentence}");
        }
        cause = next;
    }
    Some(text)
}

/// The answer to a hello.
pub(crate) fn capabilities(bytes: &[u8]) -> Answer<Capabilities> {
    answer(bytes, |decoder| {
        let durability = match decoder.u8()? {
            0 => Durability::Volatile,
            2 => Durability::PowerLoss,
            _ => Durability::ProcessCrash,
        };
        let (ops, bytes, page) = (size(decoder)?, size(decoder)?, size(decoder)?);
        let capabilities = Capabilities::embedded(durability).with_sharing();
        Ok(capabilities.with_batch_max(ops, bytes).with_page_bytes_max(page))
    })
}

/// The answer to a read.
pub(crate) fn read_set(bytes: &[u8]) -> Answer<ReadSet> {
    answer(bytes, |decoder| {
        let gets = items(decoder, |decoder| {
            if decoder.datatype()? == Type::Null {
                return decoder.null().map(|()| None);
            }
            array(decoder)?;
            Ok(Some(row(decoder)?))
        })?;
        let scans = items(decoder, |decoder| {
            array(decoder)?;
            let more = decoder.bool()?;
            let rows = items(decoder, |decoder| {
                array(decoder)?;
                Ok((key(decoder)?, row(decoder)?))
            })?;
            Ok(Page { rows, more })
        })?;
        Ok(ReadSet { gets, scans })
    })
}

/// The answer to a commit.
pub(crate) fn revision(bytes: &[u8]) -> Answer<Committed> {
    answer(bytes, |decoder| Ok(Committed { revision: RowRevision(decoder.u64()?) }))
}

/// What came back; the outer error is for what is no answer.
type Answer<T> = Result<Result<T, StoreError>, Error>;

fn answer<T>(bytes: &[u8], done: impl FnOnce(&mut Decoder<'_>) -> Result<T, Error>) -> Answer<T> {
    let mut decoder = Decoder::new(bytes);
    array(&mut decoder)?;
    let answer = match decoder.u8()? {
        DONE => Ok(done(&mut decoder)?),
        FAILED => Err(store_error(&mut decoder)?),
        _ => return Err(Error::message("no such answer")),
    };
    whole(&decoder, bytes)?;
    Ok(answer)
}

fn store_error(decoder: &mut Decoder<'_>) -> Result<StoreError, Error> {
    let (kind, index) = (decoder.u8()?, size(decoder)?);
    let kind = match kind {
        0 => StoreErrorKind::Conflict { index },
        1 => StoreErrorKind::Contention,
        2 => StoreErrorKind::Unavailable,
        3 => StoreErrorKind::Indeterminate,
        4 => StoreErrorKind::TooLarge,
        5 => StoreErrorKind::Corrupt,
        6 => StoreErrorKind::Poisoned,
        7 => StoreErrorKind::Closed,
        9 => StoreErrorKind::InUse,
        _ => StoreErrorKind::Unsupported,
    };
    let error = StoreError::new(kind, decoder.str()?.to_owned());
    Ok(match decoder.datatype()? {
        Type::Null => {
            decoder.null()?;
            error
        }
        _ => error.with_source(decoder.str()?.to_owned()),
    })
}

fn read_batch(decoder: &mut Decoder<'_>) -> Result<ReadBatch, Error> {
    let gets = items(decoder, key)?;
    let scans = items(decoder, |decoder| {
        array(decoder)?;
        let start = decoder.bytes()?.to_vec();
        let end = match decoder.datatype()? {
            Type::Null => decoder.null().map(|()| None)?,
            _ => Some(decoder.bytes()?.to_vec()),
        };
        let (limit, reverse, keys_only) = (size(decoder)?, decoder.bool()?, decoder.bool()?);
        Ok(Scan { range: KeyRange { start, end }, limit, reverse, keys_only })
    })?;
    Ok(ReadBatch { gets, scans })
}

fn write_batch(decoder: &mut Decoder<'_>) -> Result<WriteBatch, Error> {
    let expect = items(decoder, |decoder| {
        array(decoder)?;
        let key = key(decoder)?;
        let expect = match decoder.datatype()? {
            Type::Bool if decoder.bool()? => Expect::Exists,
            Type::Bool => Expect::Absent,
            _ => Expect::Revision(RowRevision(decoder.u64()?)),
        };
        Ok((key, expect))
    })?;
    let ops = items(decoder, |decoder| match array(decoder)? {
        1 => Ok(Op::Delete(key(decoder)?)),
        _ => Ok(Op::Put(key(decoder)?, decoder.bytes()?.to_vec())),
    })?;
    Ok(WriteBatch { expect, ops })
}

fn row(decoder: &mut Decoder<'_>) -> Result<Versioned, Error> {
    let value = decoder.bytes()?.to_vec();
    Ok(Versioned { value, revision: RowRevision(decoder.u64()?) })
}

fn key(decoder: &mut Decoder<'_>) -> Result<Key, Error> {
    decoder.bytes().map(Key::from)
}

fn items<T>(
    decoder: &mut Decoder<'_>,
    mut item: impl FnMut(&mut Decoder<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let len = array(decoder)?;
    // An item takes more room here than in a frame, and no store takes as many.
    if len > ITEMS_MAX {
        return Err(Error::message("too many items"));
    }
    // Grows as items come, so that a length alone takes no memory.
    (0..len).map(|_| item(decoder)).collect()
}

/// The length of an array that states it.
fn array(decoder: &mut Decoder<'_>) -> Result<u64, Error> {
    decoder.array()?.ok_or_else(|| Error::message("an array without a length"))
}

fn size(decoder: &mut Decoder<'_>) -> Result<usize, Error> {
    usize::try_from(decoder.u64()?).map_err(|_| Error::message("a number is too large"))
}

fn whole(decoder: &Decoder<'_>, bytes: &[u8]) -> Result<(), Error> {
    if decoder.position() == bytes.len() { Ok(()) } else { Err(Error::message("more than one item")) }
}

fn encoded(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Encoded) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    // A `Vec` takes everything.
    let _ = write(&mut encoder);
    encoder.into_writer()
}

const HELLO: u8 = 0;
const READ: u8 = 1;
const COMMIT: u8 = 2;
const DONE: u8 = 0;
const FAILED: u8 = 1;

const ITEMS_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(text: &str) -> Key {
        Key::from(text.as_bytes())
    }

    #[test]
    fn calls_read_back() {
        let scans =
            vec![Scan::new(KeyRange::all(), 7).keys_only(), Scan::new(KeyRange::prefix(b"a"), 1).reverse()];
        let batch = ReadBatch { gets: vec![key_of("a"), key_of("b")], scans };
        assert_eq!(Call::decode(&read(&batch)).unwrap(), Call::Read(batch));
        let mut batch = WriteBatch::default();
        batch.expect(key_of("a"), Expect::Absent);
        batch.expect(key_of("b"), Expect::Exists);
        batch.expect(key_of("c"), Expect::Revision(RowRevision(u64::MAX)));
        batch.expect(key_of("d"), Expect::Revision(RowRevision(0)));
        batch.put(key_of("a"), b"v".to_vec());
        batch.delete(key_of("b"));
        assert_eq!(Call::decode(&commit(&batch)).unwrap(), Call::Commit(batch));
        assert_eq!(Call::decode(&hello(1)).unwrap(), Call::Hello(1));
    }

    #[test]
    fn answers_read_back() {
        let row = Versioned { value: b"v".to_vec(), revision: RowRevision(3) };
        let page = Page { rows: vec![(key_of("k"), row.clone())], more: true };
        let set = ReadSet { gets: vec![Some(row), None], scans: vec![page, Page::default()] };
        assert_eq!(read_set(&rows(&set)).unwrap().unwrap(), set);
        let done = Committed { revision: RowRevision(9) };
        assert_eq!(revision(&committed(done)).unwrap().unwrap(), done);
        let error = revision(&failed(&StoreError::conflict(4).with_source("why"))).unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Conflict { index: 4 });
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "why");
    }

    #[test]
    fn what_is_cut_or_longer_is_refused() {
        let batch = ReadBatch { gets: vec![key_of("a")], scans: Vec::new() };
        let bytes = read(&batch);
        for len in 0..bytes.len() {
            assert!(Call::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Call::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        // An array that states more items than there are bytes takes no memory for them.
        assert!(Call::decode(&[0x83, 1, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
