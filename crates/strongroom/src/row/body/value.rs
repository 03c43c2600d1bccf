//! The body of a value, a credential or a host's record.

use std::ops::Range;

use minicbor::Decoder;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::model::Metadata;
use crate::row::body::metadata;
use crate::row::{RowError, encode_secret, expect_key, finish};
use crate::secret::Secret;

/// `{0: value, 1: created ms, 2: updated ms}`, and the entries of [`metadata`].
pub(crate) struct ValueBody {
    pub(crate) value: Secret,
    pub(crate) times: Times,
    pub(crate) metadata: Metadata,
}

/// When a document was created, and when it was last set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The body of a record that is absent: `{}`. Such a row exists only while a batch expects the record to be absent,
/// since a store cannot be asked to expect that.
pub(crate) const VACANT: &[u8] = &[0xa0];

impl ValueBody {
    pub(crate) fn encode(value: &Secret, times: Times, metadata: &Metadata) -> Zeroizing<Vec<u8>> {
        let text = value.expose();
        encode_secret(text.len() + 32 + metadata::len_max(metadata), |cbor| {
            cbor.map(REQUIRED + metadata::count(metadata))?.u8(0)?.str(text)?;
            cbor.u8(1)?.u64(times.created_at.as_ms())?.u8(2)?.u64(times.updated_at.as_ms())?;
            metadata::encode(cbor, metadata)
        })
    }

    pub(crate) fn decode(plaintext: Zeroizing<Vec<u8>>) -> Result<Self, RowError> {
        let (value, times, metadata) = Self::parse(&plaintext)?;
        let value = Secret::from_part(plaintext, value).ok_or(RowError::Malformed)?;
        Ok(Self { value, times, metadata })
    }

    /// Everything but the value, which is wiped unread.
    pub(crate) fn decode_around(plaintext: &[u8]) -> Result<(Times, Metadata), RowError> {
        Self::parse(plaintext).map(|(_, times, metadata)| (times, metadata))
    }

    fn parse(plaintext: &[u8]) -> Result<(Range<usize>, Times, Metadata), RowError> {
        let mut cbor = Decoder::new(plaintext);
        let optional = cbor.map()?.and_then(|len| len.checked_sub(REQUIRED)).ok_or(RowError::Malformed)?;
        expect_key(&mut cbor, 0)?;
        let len = cbor.str()?.len();
        let value = cbor.position() - len..cbor.position();
        expect_key(&mut cbor, 1)?;
        let created_at = Timestamp::from_ms(cbor.u64()?);
        expect_key(&mut cbor, 2)?;
        let updated_at = Timestamp::from_ms(cbor.u64()?);
        let metadata = metadata::decode(&mut cbor, optional)?;
        finish(&cbor)?;
        Ok((value, Times { created_at, updated_at }, metadata))
    }
}

/// The entries that every value has.
const REQUIRED: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Entries;

    #[test]
    fn a_body_keeps_the_exact_text() {
        for text in ["", "v", " \u{e9}\n", &"x".repeat(65_536)] {
            let plaintext = ValueBody::encode(&text.into(), times(1, u64::MAX), &Metadata::NONE);
            assert!(plaintext.capacity() <= text.len() + 32);
            let body = ValueBody::decode(plaintext).unwrap();
            assert_eq!(body.value.expose(), text);
            assert_eq!((body.times, body.metadata), (times(1, u64::MAX), Metadata::NONE));
        }
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let without = ValueBody::encode(&"v".into(), times(1, 2), &Metadata::NONE);
        assert_eq!(hex::encode(&*without), "a30061760101".to_owned() + "0202");
        let with = ValueBody::encode(&"v".into(), times(1, 2), &everything());
        assert_eq!(
            hex::encode(&*with),
            "a800617601010202036a757365723a616c69636504627231056377687906826161626262071903e8"
        );
        assert_eq!(ValueBody::decode(with).unwrap().metadata, everything());
    }

    #[test]
    fn the_longest_value_leaves_room_for_all_that_is_said_about_a_version() {
        let long = |len| Some("x".repeat(len));
        let metadata = Metadata::of(Entries {
            author: long(300),
            request_id: long(128),
            note: long(512),
            labels: (0..16_u8).map(|n| char::from(b'a' + n).to_string().repeat(32)).collect(),
            expires_at: Some(Timestamp::from_ms(u64::MAX)),
            deletion: false,
        });
        let plaintext = ValueBody::encode(&"x".repeat(65_536).into(), times(u64::MAX, u64::MAX), &metadata);
        // A record has room for 67,583 bytes. 500 are left for later entries.
        assert!(plaintext.len() <= 67_583 - 500, "{}", plaintext.len());
    }

    /// The value is so long that its own bytes fill the room that is reserved for them.
    #[test]
    fn whatever_is_said_about_a_version_fits_the_buffer_and_reads_back() {
        let value = "x".repeat(65_536).into();
        for (set, len) in (0..64_u8).flat_map(|set| [0, 1, 24, 256].map(|len| (set, len))) {
            let has = |bit: u8| set >> bit & 1 == 1;
            let text = |bit| has(bit).then(|| "y".repeat(len));
            let metadata = Metadata::of(Entries {
                author: text(0),
                request_id: text(1),
                note: text(2),
                labels: text(3).into_iter().collect(),
                expires_at: has(4).then_some(Timestamp::from_ms(u64::MAX)),
                deletion: has(5),
            });
            let plaintext = ValueBody::encode(&value, times(u64::MAX, u64::MAX), &metadata);
            assert_eq!(ValueBody::decode_around(&plaintext).unwrap().1, metadata);
        }
    }

    #[test]
    fn an_unknown_entry_below_16_is_a_later_version_and_one_above_is_skipped() {
        let with = |entry: &str| {
            ValueBody::decode(Zeroizing::new(hex::decode(format!("a400617601010202{entry}")).unwrap()))
        };
        for key in [0x09, 0x0f] {
            assert!(
                matches!(with(&format!("{key:02x}01")), Err(RowError::UnknownVersion(found)) if found == key)
            );
        }
        for skipped in ["1001", "1818 82 01 a1 01 02"] {
            assert!(with(&skipped.replace(' ', "")).unwrap().metadata.is_empty());
        }
    }

    #[test]
    fn entries_out_of_order_or_twice_are_refused() {
        for bad in [
            "a5006176010102020562 6161 0361 61",
            "a500617601010202036161036161",
            "a40061760101020206826162 6161",
            "a40061760101020208 f4",
        ] {
            let bytes = hex::decode(bad.replace(' ', "")).unwrap();
            assert!(matches!(ValueBody::decode(Zeroizing::new(bytes)), Err(RowError::Malformed)), "{bad}");
        }
    }

    fn times(created: u64, updated: u64) -> Times {
        Times { created_at: Timestamp::from_ms(created), updated_at: Timestamp::from_ms(updated) }
    }

    fn everything() -> Metadata {
        Metadata::of(Entries {
            author: Some("user:alice".to_owned()),
            request_id: Some("r1".to_owned()),
            note: Some("why".to_owned()),
            labels: ["bb", "a"].map(str::to_owned).into(),
            expires_at: Some(Timestamp::from_ms(1_000)),
            deletion: false,
        })
    }
}
