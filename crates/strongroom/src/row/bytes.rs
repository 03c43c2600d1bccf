//! The bytes of every row: `magic | version | kind | CBOR map with integer keys`.
//!
//! Decoding is strict: there is one valid form and no trailing bytes, and the version is checked before anything else.

use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use crate::id::DocumentId;
use crate::model::Revision;

/// Why bytes are not a row of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowError {
    Malformed,
    UnknownVersion(u8),
}

impl From<minicbor::decode::Error> for RowError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

/// The kind of a row. Sealed kinds have the numbers that the envelope's addresses use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RowKind {
    ScopedValue = 1,
    Credential = 2,
    Slot = 4,
    Definition = 5,
    Keyring = 6,
    Sealed = 7,
    // 8 is that of a ciphertext that is shown to a client.
    Former = 9,
    Deleted = 0x0a,
    FormerDefinition = 0x0b,
    DeletedDefinition = 0x0c,
    Header = 0x10,
    Index = 0x11,
    Epoch = 0x12,
    Note = 0x13,
}

/// Whether no two writes of this kind of row have the same bytes: a sealed row has a nonce, and a note a number of its
/// own. An index row or an epoch may have the bytes that it had before.
pub(crate) fn is_unlike_others(row: &[u8]) -> bool {
    row.get(2).is_some_and(|kind| ![RowKind::Index as u8, RowKind::Epoch as u8].contains(kind))
}

/// The clear part of a sealed row, and the record, borrowed from the row.
#[derive(Clone, Copy)]
pub(crate) struct SealedRow<'a> {
    pub(crate) doc_id: Option<DocumentId>,
    pub(crate) revision: Revision,
    pub(crate) record: &'a [u8],
}

impl<'a> SealedRow<'a> {
    pub(crate) fn encode(&self, kind: RowKind) -> Vec<u8> {
        let mut row = start(kind, self.record.len() + 40);
        let mut cbor = Encoder::new(&mut row);
        let written = (|| {
            cbor.map(2 + u64::from(self.doc_id.is_some()))?;
            if let Some(id) = &self.doc_id {
                cbor.u8(0)?.bytes(id.as_bytes())?;
            }
            cbor.u8(1)?.u64(self.revision.as_u64())?.u8(2)?.bytes(self.record)?.ok()
        })();
        infallible(written);
        row
    }

    pub(crate) fn decode(kind: RowKind, row: &'a [u8]) -> Result<Self, RowError> {
        // The heads of map, key and id are one byte each, with one valid form.
        let (doc_id, rest) = match row_body(kind, row)? {
            [0xa3, 0x00, 0x4c, rest @ ..] => {
                let (id, rest) = rest.split_first_chunk::<12>().ok_or(RowError::Malformed)?;
                (Some(DocumentId::from_bytes(id).ok_or(RowError::Malformed)?), rest)
            }
            [0xa2, rest @ ..] => (None, rest),
            _ => return Err(RowError::Malformed),
        };
        let mut cbor = Decoder::new(rest);
        expect_key(&mut cbor, 1)?;
        let revision = Revision::from_u64(cbor.u64()?);
        expect_key(&mut cbor, 2)?;
        let record = cbor.bytes()?;
        finish(&cbor)?;
        let sealed = Self { doc_id, revision, record };
        if row.len() == sealed.encoded_len() { Ok(sealed) } else { Err(RowError::Malformed) }
    }

    /// The length of the one valid form: every other encoding of a CBOR number is longer.
    fn encoded_len(&self) -> usize {
        let doc_id = if self.doc_id.is_some() { 2 + 12 } else { 0 };
        let revision = 1 + head_len(self.revision.as_u64());
        HEADER_LEN + 1 + doc_id + revision + 1 + head_len(self.record.len() as u64) + self.record.len()
    }
}

/// An index row: `{0: bytes}`. It is only a hint, checked against the sealed row that it leads to.
pub(crate) fn encode_index(target: &[u8]) -> Vec<u8> {
    encode_bytes(RowKind::Index, target)
}

pub(crate) fn decode_index(row: &[u8]) -> Result<&[u8], RowError> {
    decode_bytes(RowKind::Index, row)
}

/// The store's header: `{0: store id}`.
pub(crate) fn encode_header(store_id: &[u8; 16]) -> Vec<u8> {
    encode_bytes(RowKind::Header, store_id)
}

pub(crate) fn decode_header(row: &[u8]) -> Result<[u8; 16], RowError> {
    decode_bytes(RowKind::Header, row)?.try_into().map_err(|_| RowError::Malformed)
}

/// The epoch row: only its revision in the store matters.
pub(crate) fn encode_epoch() -> Vec<u8> {
    encode_bytes(RowKind::Epoch, &[])
}

/// A note of a copy or backup: `{0: bytes}`, in the clear.
pub(crate) fn encode_note(bytes: &[u8]) -> Vec<u8> {
    encode_bytes(RowKind::Note, bytes)
}

pub(crate) fn decode_note(row: &[u8]) -> Result<&[u8], RowError> {
    decode_bytes(RowKind::Note, row)
}

fn encode_bytes(kind: RowKind, bytes: &[u8]) -> Vec<u8> {
    let mut row = start(kind, bytes.len() + 8);
    infallible(Encoder::new(&mut row).map(1).and_then(|cbor| cbor.u8(0)?.bytes(bytes)?.ok()));
    row
}

fn decode_bytes(kind: RowKind, row: &[u8]) -> Result<&[u8], RowError> {
    let mut cbor = Decoder::new(row_body(kind, row)?);
    if cbor.map()? != Some(1) {
        return Err(RowError::Malformed);
    }
    expect_key(&mut cbor, 0)?;
    let bytes = cbor.bytes()?;
    finish(&cbor)?;
    let len = HEADER_LEN + 2 + head_len(bytes.len() as u64) + bytes.len();
    if row.len() == len { Ok(bytes) } else { Err(RowError::Malformed) }
}

/// The length of the shortest CBOR head of a number, or of a byte string of that length (RFC 8949 section 3).
fn head_len(number: u64) -> usize {
    match number {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// Starts a row of `kind`, with room for a body of `body_len` bytes.
pub(crate) fn start(kind: RowKind, body_len: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER_LEN + body_len);
    row.extend_from_slice(&[MAGIC, VERSION, kind as u8]);
    row
}

/// The body of a row of `kind`, after checking magic and version.
pub(crate) fn row_body(kind: RowKind, row: &[u8]) -> Result<&[u8], RowError> {
    match row {
        [MAGIC, VERSION, found, body @ ..] if *found == kind as u8 => Ok(body),
        // No release writes version 0.
        [MAGIC, version, ..] if *version > VERSION => Err(RowError::UnknownVersion(*version)),
        _ => Err(RowError::Malformed),
    }
}

/// Reads the next key of a map, which must be `key`.
pub(crate) fn expect_key(cbor: &mut Decoder<'_>, key: u8) -> Result<(), RowError> {
    if cbor.u8()? == key { Ok(()) } else { Err(RowError::Malformed) }
}

/// Refuses trailing bytes.
pub(crate) fn finish(cbor: &Decoder<'_>) -> Result<(), RowError> {
    if cbor.position() == cbor.input().len() { Ok(()) } else { Err(RowError::Malformed) }
}

/// The plaintext of a body that holds no secret.
pub(crate) fn encode_body(body: &impl minicbor::Encode<()>) -> Vec<u8> {
    let mut plaintext = Vec::new();
    infallible(minicbor::encode(body, &mut plaintext));
    plaintext
}

/// The plaintext of a body that holds a secret, which takes at most `len_max` bytes: a buffer that grows would leave a
/// copy of the secret behind.
pub(crate) fn encode_secret<T>(
    len_max: usize,
    encode: impl FnOnce(
        &mut Encoder<&mut Vec<u8>>,
    ) -> Result<T, minicbor::encode::Error<std::convert::Infallible>>,
) -> Zeroizing<Vec<u8>> {
    let mut plaintext = Zeroizing::new(Vec::with_capacity(len_max));
    infallible(encode(&mut Encoder::new(&mut *plaintext)));
    debug_assert!(plaintext.len() <= len_max, "the buffer of a secret grew");
    plaintext
}

/// Encoding into memory cannot fail: the error type of the writer has no value.
pub(crate) fn infallible<T>(written: Result<T, minicbor::encode::Error<std::convert::Infallible>>) {
    if let Err(error) = written {
        drop(error);
        debug_assert!(false, "encoding into memory cannot fail");
    }
}

const HEADER_LEN: usize = 3;
const MAGIC: u8 = 0xD7;
const VERSION: u8 = 0x01;
/// The version of content that opens but is none that this release knows.
pub(crate) const LATER_VERSION: u8 = VERSION + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_row_reads_back_and_nothing_else_does() {
        for doc_id in [None, DocumentId::from_bytes(&[7; 12])] {
            let row = SealedRow { doc_id, revision: Revision::from_u64(u64::MAX), record: b"record" };
            let bytes = row.encode(RowKind::ScopedValue);
            let read = SealedRow::decode(RowKind::ScopedValue, &bytes).unwrap();
            assert_eq!((read.doc_id, read.revision, read.record), (row.doc_id, row.revision, row.record));
            assert!(SealedRow::decode(RowKind::Credential, &bytes).is_err());
            assert!(SealedRow::decode(RowKind::ScopedValue, &[&bytes[..], &[0]].concat()).is_err());
            for len in 0..bytes.len() {
                assert!(SealedRow::decode(RowKind::ScopedValue, &bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn a_later_version_is_named_before_anything_is_read() {
        let later = [MAGIC, 9, 1, 0xff, 0xff];
        assert_eq!(SealedRow::decode(RowKind::ScopedValue, &later).err(), Some(RowError::UnknownVersion(9)));
        assert_eq!(decode_index(b"foreign").err(), Some(RowError::Malformed));
    }
}
