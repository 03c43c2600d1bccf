//! Sealed records: their layout, with fixed offsets and one valid parse, and how a key seals and opens them.

use std::{fmt, mem};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::address::USUAL_LEN;
use super::primitives::{Cipher, Mac, NONCE_LEN, Nonce, TAG_LEN, Tag, expand};
use super::{Address, DekId, OpenError, SealError, padding};
use crate::random;

/// A key that seals records: a data key, a root key or a slot key, expanded once and wiped on drop.
///
/// AES-256-GCM-SIV does not commit to its key: one can make a ciphertext that opens under two keys. So every record
/// carries a keyed hash over header, address and tag, which is checked before anything is decrypted.
pub(crate) struct SealingKey {
    id: DekId,
    cipher: Cipher,
    commitment: Mac,
}

impl SealingKey {
    /// Derives the cipher's key, the commitment's key and the id from 32 uniform bytes.
    pub(crate) fn derive(key: &[u8; 32]) -> Self {
        let seal_key = expand(key, &[b"strongroom/v1/seal"]);
        let commit_key = expand(key, &[b"strongroom/v1/commit"]);
        let id = expand(key, &[b"strongroom/v1/dek-id"]);
        Self {
            id: DekId::from_bytes(*id.first_chunk().expect("an id is half of the 32 bytes")),
            cipher: Cipher::new(&seal_key),
            commitment: Mac::new(&commit_key),
        }
    }

    /// The public name of the key.
    pub(crate) fn id(&self) -> &DekId {
        &self.id
    }

    /// Seals `plaintext` to `address` under a random nonce.
    ///
    /// # Errors
    /// [`SealError::TooLong`] if the record would be over the limit, and [`SealError::Random`] if there are no random
    /// bytes for a nonce.
    pub(crate) fn seal(&self, address: &impl Address, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = Nonce::default();
        random::fill(&mut nonce)?;
        self.seal_with_nonce(address, &nonce, plaintext)
    }

    /// Seals `plaintext` to `address` under a nonce of the caller's choice.
    pub(crate) fn seal_with_nonce(
        &self,
        address: &impl Address,
        nonce: &Nonce,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let record_len =
            BODY_OFFSET.saturating_add(padding::padded_len(plaintext.len())).saturating_add(TAG_LEN);
        if record_len > RECORD_LEN_MAX {
            return Err(SealError::TooLong);
        }
        let header = header(&self.id, nonce);
        let mut bound = bind(&header, address);

        // Holds the plaintext until it is encrypted in place, so it is wiped if sealing fails, and never grows.
        let mut record = Zeroizing::new(Vec::with_capacity(record_len));
        record.extend_from_slice(&header);
        record.extend_from_slice(&[0; COMMIT_LEN]);
        padding::pad_into(plaintext, &mut record);

        let (head, body) = record.split_at_mut(BODY_OFFSET);
        let tag = self.cipher.encrypt(nonce, &bound, body).ok_or(SealError::TooLong)?;
        bound.extend_from_slice(&tag);
        head.split_at_mut(HEADER_LEN).1.copy_from_slice(&self.commit(&bound));
        record.extend_from_slice(&tag);
        Ok(mem::take(&mut *record))
    }

    /// Opens a record that was sealed to `address`.
    ///
    /// # Errors
    /// Those of [`SealedRecord::parse`], then those of [`open_record`](Self::open_record).
    pub(crate) fn open(
        &self,
        address: &impl Address,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open_record(address, &SealedRecord::parse(record)?)
    }

    /// Opens a record that was already parsed to look up its key.
    ///
    /// # Errors
    /// [`OpenError::UnknownKey`] if another key sealed it, otherwise [`OpenError::Rejected`], whatever the cause.
    pub(crate) fn open_record(
        &self,
        address: &impl Address,
        record: &SealedRecord<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if record.dek_id() != self.id {
            return Err(OpenError::UnknownKey(record.dek_id()));
        }
        let mut bound = bind(record.header, address);
        let bound_len = bound.len();
        bound.extend_from_slice(record.tag);
        if !same(&self.commit(&bound), record.commit) {
            return Err(OpenError::Rejected);
        }
        // The cipher authenticates header and address; only the commitment covers the tag as well.
        bound.truncate(bound_len);

        let mut plaintext = Zeroizing::new(Vec::with_capacity(record.body.len()));
        let opened = self.cipher.decrypt(record.nonce(), &bound, record.body, record.tag, &mut plaintext);
        opened.ok_or(OpenError::Rejected)?;
        let value_len = padding::unpad(&plaintext).ok_or(OpenError::Rejected)?;
        plaintext.truncate(value_len);
        Ok(plaintext)
    }

    fn commit(&self, bound: &[u8]) -> [u8; COMMIT_LEN] {
        let mut hash = self.commitment.start();
        hash.update(bound);
        hash.finish()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A sealed record, parsed without a copy and without a key.
///
/// ```text
/// version | suite | dek_id(16) | nonce(12) | commit(32) | body | tag(16)
/// ```
#[derive(Clone, Copy)]
pub(crate) struct SealedRecord<'a> {
    header: &'a [u8; HEADER_LEN],
    commit: &'a [u8; COMMIT_LEN],
    body: &'a [u8],
    tag: &'a Tag,
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

    fn nonce(&self) -> &'a Nonce {
        self.header.last_chunk().expect("a header ends with its nonce")
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk()?;
        let (commit, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { header, commit, body, tag })
    }
}

impl fmt::Debug for SealedRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRecord")
            .field("dek_id", &self.dek_id())
            .field("padded_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The 30 bytes at the start of a record, which the tag and the commitment both authenticate.
fn header(dek_id: &DekId, nonce: &Nonce) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let (head, rest) = header.split_at_mut(2);
    head.copy_from_slice(&[VERSION, SUITE]);
    let (id, tail) = rest.split_at_mut(16);
    id.copy_from_slice(dek_id.as_bytes());
    tail.copy_from_slice(nonce);
    header
}

/// Compares in constant time, in words: comparing bytes would cost a seventh of the hash.
fn same(left: &[u8; COMMIT_LEN], right: &[u8; COMMIT_LEN]) -> bool {
    let words = left.as_chunks().0.iter().zip(right.as_chunks().0);
    let difference = words.fold(0, |sum, (l, r)| sum | (u64::from_ne_bytes(*l) ^ u64::from_ne_bytes(*r)));
    difference.ct_eq(&0).into()
}

/// The bytes that the tag and the commitment cover, with room for the tag, which the commitment covers too.
fn bind(header: &[u8; HEADER_LEN], address: &impl Address) -> Vec<u8> {
    let mut bound = Vec::with_capacity(HEADER_LEN + USUAL_LEN + TAG_LEN);
    bound.extend_from_slice(header);
    address.encode_into(&mut bound);
    bound
}

/// The longest record: 64 KiB of value, plus padding and envelope.
pub(crate) const RECORD_LEN_MAX: usize = 67_662;

const HEADER_LEN: usize = 2 + 16 + NONCE_LEN;
const COMMIT_LEN: usize = 32;
const BODY_OFFSET: usize = HEADER_LEN + COMMIT_LEN;
const VERSION: u8 = 0x01;
/// HKDF-SHA256, a commitment of 32 bytes by HMAC-SHA256, AES-256-GCM-SIV.
const SUITE: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    /// Differences in several words must not cancel each other out.
    #[test]
    fn hashes_that_differ_anywhere_are_not_the_same() {
        let hash = [7; COMMIT_LEN];
        assert!(same(&hash, &hash));
        for (one, other) in (0..COMMIT_LEN).flat_map(|one| (0..COMMIT_LEN).map(move |other| (one, other))) {
            let mut altered = hash;
            altered[one] ^= 1;
            if other != one {
                altered[other] ^= 1;
            }
            assert!(!same(&hash, &altered), "bytes {one} and {other}");
        }
    }
}
