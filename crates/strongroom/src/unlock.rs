//! What opens a vault: a passphrase, or 32 raw bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_channel::oneshot;
use zeroize::Zeroizing;

use crate::envelope::{Argon2Params, Provider, argon2id, random};
use crate::error::Error;
use crate::secret::Secret;

/// What a key slot is created with, and opened with later.
pub struct Unlock(Inner);

enum Inner {
    Passphrase(Arc<Secret>),
    RawKey(RawKey),
}

impl Unlock {
    /// The exact bytes of a passphrase, stretched by Argon2id (RFC 9106).
    pub fn passphrase(passphrase: impl Into<Secret>) -> Self {
        Self(Inner::Passphrase(Arc::new(passphrase.into())))
    }

    /// 32 bytes that the host keeps.
    #[must_use]
    pub fn raw_key(key: RawKey) -> Self {
        Self(Inner::RawKey(key))
    }

    /// What a new slot for this asks for.
    pub(crate) fn new_provider(&self, params: Argon2Params) -> Result<Provider, Error> {
        match &self.0 {
            Inner::RawKey(_) => Ok(Provider::RawKey),
            Inner::Passphrase(_) => {
                params.check_floor()?;
                let mut salt = [0; 16];
                random::fill(&mut salt)?;
                Ok(Provider::Passphrase { salt, params })
            }
        }
    }

    /// The base key of a slot; `None` when the slot asks for something else.
    pub(crate) async fn base(&self, provider: &Provider) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
        match (&self.0, provider) {
            (Inner::RawKey(key), Provider::RawKey) => Ok(Some(key.0.clone())),
            (Inner::Passphrase(passphrase), Provider::Passphrase { salt, params }) => {
                stretch(Arc::clone(passphrase), *salt, *params).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Says which kind it is, and nothing more.
impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Passphrase(_) => "Unlock::Passphrase([REDACTED])",
            Inner::RawKey(_) => "Unlock::RawKey([REDACTED])",
        })
    }
}

/// 32 uniform bytes, wiped on drop.
///
/// ```
/// let key: strongroom::RawKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(format!("{key:?}"), "[REDACTED]");
/// # Ok::<(), strongroom::Error>(())
/// ```
pub struct RawKey(Zeroizing<[u8; 32]>);

impl RawKey {
    /// 32 bytes of the operating system's generator.
    ///
    /// # Errors
    /// [`Error::Random`] when it has none to give.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Bytes of the host's own; they must be uniformly random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes as 64 hexadecimal digits, to be kept where no one else can read them.
    #[must_use]
    pub fn dangerously_export(&self) -> Secret {
        Secret::from(hex::encode(*self.0))
    }
}

/// Reads 64 hexadecimal digits, or standard base64 with padding of exactly 32 bytes.
impl FromStr for RawKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        if text.len() == 64 {
            hex::decode_to_slice(text, &mut *bytes).map_err(|_| Error::InvalidKey)?;
            return Ok(Self(bytes));
        }
        let mut decoded = Zeroizing::new([0; 33]);
        let len = STANDARD.decode_slice(text, &mut *decoded).map_err(|_| Error::InvalidKey)?;
        match decoded.first_chunk::<32>() {
            Some(exact) if len == 32 => {
                bytes.copy_from_slice(exact);
                Ok(Self(bytes))
            }
            _ => Err(Error::InvalidKey),
        }
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Runs Argon2id on a thread of its own, since the engine has no runtime and must not block the caller's.
async fn stretch(
    passphrase: Arc<Secret>,
    salt: [u8; 16],
    params: Argon2Params,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let (sender, receiver) = oneshot::channel();
    let derive = move || {
        // A caller that went away no longer wants the answer.
        let _ = sender.send(argon2id(passphrase.expose().as_bytes(), &salt, &params));
    };
    let thread = std::thread::Builder::new().name("strongroom-kdf".to_owned());
    thread.spawn(derive).map_err(|_| Error::KeyDerivationThread)?;
    Ok(receiver.await.map_err(|_| Error::KeyDerivationThread)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_key_is_read_strictly() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let key: RawKey = hex.parse().unwrap();
        let base64 = STANDARD.encode(*key.0);
        assert_eq!(*base64.parse::<RawKey>().unwrap().0, *key.0);
        let short = &hex[1..];
        let newline = format!("{hex}\n");
        for bad in
            ["", short, newline.as_str(), "AAAA", base64.trim_end_matches('='), &STANDARD.encode([0; 33])]
        {
            assert!(bad.parse::<RawKey>().is_err(), "{bad:?}");
        }
    }
}
