//! The optional entries of a body: what was said about a version when it was written.

use std::collections::BTreeSet;
use std::convert::Infallible;

use minicbor::encode::Error;
use minicbor::{Decoder, Encoder};

use crate::clock::Timestamp;
use crate::model::{Entries, Metadata};
use crate::row::RowError;

/// The number of entries.
pub(super) fn count(metadata: &Metadata) -> u64 {
    let Some(entries) = metadata.entries() else { return 0 };
    let set = [
        entries.author.is_some(),
        entries.request_id.is_some(),
        entries.note.is_some(),
        !entries.labels.is_empty(),
        entries.expires_at.is_some(),
        entries.deletion,
    ];
    set.into_iter().map(u64::from).sum()
}

/// The most bytes that they take.
pub(super) fn len_max(metadata: &Metadata) -> usize {
    let Some(entries) = metadata.entries() else { return 0 };
    let texts = [&entries.author, &entries.request_id, &entries.note].into_iter().flatten();
    let labels = entries.labels.iter();
    // A key and a head of three bytes for each, and the time, a deletion and the head of the labels.
    texts.chain(labels).map(|text| text.len() + 4).sum::<usize>() + 14
}

/// Writes them after the entries that every body has.
pub(super) fn encode(cbor: &mut Encoder<&mut Vec<u8>>, metadata: &Metadata) -> Result<(), Error<Infallible>> {
    let Some(entries) = metadata.entries() else { return Ok(()) };
    let texts = [(AUTHOR, &entries.author), (REQUEST_ID, &entries.request_id), (NOTE, &entries.note)];
    for (key, text) in texts {
        if let Some(text) = text {
            cbor.u8(key)?.str(text)?;
        }
    }
    if !entries.labels.is_empty() {
        cbor.u8(LABELS)?.array(entries.labels.len() as u64)?;
        for label in &entries.labels {
            cbor.str(label)?;
        }
    }
    if let Some(at) = entries.expires_at {
        cbor.u8(EXPIRES_AT)?.u64(at.as_ms())?;
    }
    if entries.deletion {
        cbor.u8(DELETION)?.bool(true)?;
    }
    Ok(())
}

/// Reads the `left` entries after those that every body has.
pub(super) fn decode(cbor: &mut Decoder<'_>, left: u64) -> Result<Metadata, RowError> {
    let (mut entries, mut last) = (Entries::default(), AUTHOR - 1);
    for _ in 0..left {
        let key = cbor.u8()?;
        if key <= last {
            return Err(RowError::Malformed);
        }
        last = key;
        match key {
            AUTHOR => entries.author = Some(cbor.str()?.to_owned()),
            REQUEST_ID => entries.request_id = Some(cbor.str()?.to_owned()),
            NOTE => entries.note = Some(cbor.str()?.to_owned()),
            LABELS => entries.labels = decode_labels(cbor)?,
            EXPIRES_AT => entries.expires_at = Some(Timestamp::from_ms(cbor.u64()?)),
            DELETION if cbor.bool()? => entries.deletion = true,
            DELETION => return Err(RowError::Malformed),
            // The writer of such an entry relies on readers that know it.
            _ if key < MAY_BE_SKIPPED => return Err(RowError::UnknownVersion(key)),
            _ => cbor.skip()?,
        }
    }
    Ok(Metadata::of(entries))
}

fn decode_labels(cbor: &mut Decoder<'_>) -> Result<BTreeSet<String>, RowError> {
    let len = cbor.array()?.ok_or(RowError::Malformed)?;
    let mut labels = BTreeSet::new();
    for _ in 0..len {
        let label = cbor.str()?.to_owned();
        if labels.last().is_some_and(|last| *last >= label) {
            return Err(RowError::Malformed);
        }
        labels.insert(label);
    }
    Ok(labels)
}

const AUTHOR: u8 = 3;
const REQUEST_ID: u8 = 4;
const NOTE: u8 = 5;
const LABELS: u8 = 6;
const EXPIRES_AT: u8 = 7;
const DELETION: u8 = 8;
/// Entries from here on may be skipped by a reader that does not know them.
const MAY_BE_SKIPPED: u8 = 16;
