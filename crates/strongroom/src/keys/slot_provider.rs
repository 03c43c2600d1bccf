//! The kind of key that a slot needs, and the clear fields that say so.

use minicbor::{Decoder, Encoder};

use crate::envelope::Argon2Params;
use crate::keys::provider::{ProviderKey, Wrapped, is_kind};
use crate::row::{RowError, expect_key};

/// The kind of key that a slot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Provider {
    /// 32 raw bytes.
    RawKey,
    /// A passphrase, stretched by Argon2id.
    Passphrase { salt: [u8; 16], params: Argon2Params },
    /// A key provider, which unwraps what the slot holds.
    External(ExternalKey),
}

/// A slot's key, wrapped by a key provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalKey {
    pub(crate) kind: String,
    pub(crate) wrapped: Wrapped,
}

impl Provider {
    pub(crate) const RAW_KEY: u8 = 0;
    pub(crate) const PASSPHRASE: u8 = 1;
    pub(crate) const EXTERNAL: u8 = 2;

    /// Its name for users.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RawKey => "a raw key",
            Self::Passphrase { .. } => "a passphrase",
            Self::External(_) => "a key provider",
        }
    }

    /// Its number in a row.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Self::RawKey => Self::RAW_KEY,
            Self::Passphrase { .. } => Self::PASSPHRASE,
            Self::External(_) => Self::EXTERNAL,
        }
    }

    /// The number of clear fields that it adds to a slot's ids.
    pub(crate) fn fields_len(&self) -> u64 {
        if *self == Self::RawKey { 1 } else { 5 }
    }

    /// `2: tag`; of a passphrase `3: salt, 4: KiB, 5: passes, 6: lanes`; of a key provider `7: kind, 8: key id,
    /// 9: key version, 10: blob`.
    pub(crate) fn encode(&self, cbor: &mut Encoder<&mut Vec<u8>>) -> Encoded {
        cbor.u8(2)?.u8(self.tag())?;
        match self {
            Self::RawKey => cbor.ok(),
            Self::Passphrase { salt, params } => {
                cbor.u8(3)?.bytes(salt)?.u8(4)?.u32(params.memory_kib())?;
                cbor.u8(5)?.u32(params.iterations())?.u8(6)?.u32(params.lanes())?.ok()
            }
            Self::External(ExternalKey { kind, wrapped }) => {
                cbor.u8(7)?.str(kind)?.u8(8)?.str(&wrapped.key.id)?;
                cbor.u8(9)?.u64(wrapped.key.version)?.u8(10)?.bytes(&wrapped.blob)?.ok()
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(cbor: &mut Decoder<'_>) -> Result<Self, RowError> {
        expect_key(cbor, 2)?;
        match cbor.u8()? {
            Self::RAW_KEY => Ok(Self::RawKey),
            Self::PASSPHRASE => decode_passphrase(cbor),
            Self::EXTERNAL => decode_external(cbor),
            _ => Err(RowError::Malformed),
        }
    }
}

fn decode_passphrase(cbor: &mut Decoder<'_>) -> Result<Provider, RowError> {
    expect_key(cbor, 3)?;
    let salt = cbor.bytes()?.try_into().map_err(|_| RowError::Malformed)?;
    expect_key(cbor, 4)?;
    let memory_kib = cbor.u32()?;
    expect_key(cbor, 5)?;
    let iterations = cbor.u32()?;
    expect_key(cbor, 6)?;
    Ok(Provider::Passphrase { salt, params: Argon2Params::new(memory_kib, iterations, cbor.u32()?) })
}

fn decode_external(cbor: &mut Decoder<'_>) -> Result<Provider, RowError> {
    expect_key(cbor, 7)?;
    let kind = cbor.str()?.to_owned();
    expect_key(cbor, 8)?;
    let id = cbor.str()?.to_owned();
    expect_key(cbor, 9)?;
    let version = cbor.u64()?;
    expect_key(cbor, 10)?;
    let wrapped = Wrapped::new(ProviderKey::new(id, version), cbor.bytes()?.to_vec());
    if is_kind(&kind) && wrapped.is_valid() {
        return Ok(Provider::External(ExternalKey { kind, wrapped }));
    }
    Err(RowError::Malformed)
}

type Encoded = Result<(), minicbor::encode::Error<std::convert::Infallible>>;
