//! The layout of a sealed record: fixed offsets, one valid parse.

use super::padding;
use super::primitives::{NONCE_LEN, Nonce, Tag};
use crate::envelope::{DekId, OpenError};

/// A sealed record, parsed without a copy and without a key.
///
/// ```text
/// version | suite | dek_id(16) | nonce(12) | commit(32) | body | tag(16)
/// ```
#[derive(Clone, Copy)]
pub(crate) struct SealedRecord<'a> {
    pub(super) header: &'a [u8; HEADER_LEN],
    pub(super) commit: &'a [u8; COMMIT_LEN],
    pub(super) body: &'a [u8],
    pub(super) tag: &'a Tag,
}

impl<'a> SealedRecord<'a> {
    /// Parses `bytes`: version first, then suite, then length.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`], [`OpenError::UnknownSuite`], and [`OpenError::Malformed`] for an empty
    /// input or a length that sealing never produces.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let version = *bytes.first().ok_or(OpenError::Malformed)?;
        if version != VERSION {
            return Err(OpenError::UnknownVersion(version));
        }
        let suite = *bytes.get(1).ok_or(OpenError::Malformed)?;
        if suite != SUITE {
            return Err(OpenError::UnknownSuite(suite));
        }
        let record = Self::split(bytes).ok_or(OpenError::Malformed)?;
        let sealable = bytes.len() <= RECORD_LEN_MAX && padding::is_canonical(record.body.len());
        sealable.then_some(record).ok_or(OpenError::Malformed)
    }

    /// The id of the key that sealed the record.
    pub(crate) fn dek_id(&self) -> DekId {
        let id = self.header.split_at(2).1.first_chunk().expect("a header holds an id");
        DekId::from_bytes(*id)
    }

    /// The length of the padded value.
    pub(crate) fn padded_len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn nonce(&self) -> &'a Nonce {
        self.header.last_chunk().expect("a header ends with its nonce")
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        let (commit, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { header, commit, body, tag })
    }
}

impl std::fmt::Debug for SealedRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedRecord")
            .field("dek_id", &self.dek_id())
            .field("padded_len", &self.padded_len())
            .finish_non_exhaustive()
    }
}

/// The 30 bytes at the start of a record, which the tag and the commitment both authenticate.
pub(super) fn header(dek_id: &DekId, nonce: &Nonce) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let (head, rest) = header.split_at_mut(2);
    head.copy_from_slice(&[VERSION, SUITE]);
    let (id, tail) = rest.split_at_mut(16);
    id.copy_from_slice(dek_id.as_bytes());
    tail.copy_from_slice(nonce);
    header
}

/// The longest record: 64 KiB of value, plus padding and envelope.
pub(crate) const RECORD_LEN_MAX: usize = 67_662;

pub(super) const HEADER_LEN: usize = 2 + 16 + NONCE_LEN;
pub(super) const COMMIT_LEN: usize = 32;
pub(super) const BODY_OFFSET: usize = HEADER_LEN + COMMIT_LEN;
const VERSION: u8 = 0x01;
/// HKDF-SHA256, a commitment of 32 bytes by HMAC-SHA256, AES-256-GCM-SIV.
const SUITE: u8 = 0x01;
