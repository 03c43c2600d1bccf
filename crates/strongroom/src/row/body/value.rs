//! The body of a value, a credential or a host's record.

use std::ops::Range;

use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::row::{RowError, expect_key, finish, infallible};
use crate::secret::Secret;

/// `{0: value, 1: created ms, 2: updated ms}`.
pub(crate) struct ValueBody {
    pub(crate) value: Secret,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl ValueBody {
    pub(crate) fn encode(value: &Secret, created_at: Timestamp, updated_at: Timestamp) -> Zeroizing<Vec<u8>> {
        let text = value.expose();
        // Reserve all of it: a buffer that grows would leave plaintext behind.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(text.len() + 32));
        let mut cbor = Encoder::new(&mut *plaintext);
        let written = (|| {
            cbor.map(3)?.u8(0)?.str(text)?;
            cbor.u8(1)?.u64(created_at.as_ms())?.u8(2)?.u64(updated_at.as_ms())?.ok()
        })();
        infallible(written);
        plaintext
    }

    pub(crate) fn decode(plaintext: Zeroizing<Vec<u8>>) -> Result<Self, RowError> {
        let (value, created_at, updated_at) = Self::parse(&plaintext)?;
        let value = Secret::from_part(plaintext, value).ok_or(RowError::Malformed)?;
        Ok(Self { value, created_at, updated_at })
    }

    /// Only the times: the value is wiped unread.
    pub(crate) fn decode_times(plaintext: &[u8]) -> Result<(Timestamp, Timestamp), RowError> {
        Self::parse(plaintext).map(|(_, created_at, updated_at)| (created_at, updated_at))
    }

    fn parse(plaintext: &[u8]) -> Result<(Range<usize>, Timestamp, Timestamp), RowError> {
        let mut cbor = Decoder::new(plaintext);
        if cbor.map()? != Some(3) {
            return Err(RowError::Malformed);
        }
        expect_key(&mut cbor, 0)?;
        let len = cbor.str()?.len();
        let value = cbor.position() - len..cbor.position();
        expect_key(&mut cbor, 1)?;
        let created_at = Timestamp::from_ms(cbor.u64()?);
        expect_key(&mut cbor, 2)?;
        let updated_at = Timestamp::from_ms(cbor.u64()?);
        finish(&cbor)?;
        Ok((value, created_at, updated_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_the_exact_text() {
        for text in ["", "v", " \u{e9}\n", &"x".repeat(65_536)] {
            let plaintext =
                ValueBody::encode(&text.into(), Timestamp::from_ms(1), Timestamp::from_ms(u64::MAX));
            assert!(plaintext.capacity() <= text.len() + 32);
            let body = ValueBody::decode(plaintext).unwrap();
            assert_eq!(body.value.expose(), text);
            assert_eq!((body.created_at.as_ms(), body.updated_at.as_ms()), (1, u64::MAX));
        }
    }
}
