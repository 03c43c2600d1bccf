//! The default: the crates of RustCrypto, in pure Rust.

use aes::Aes256Enc;
use aes_gcm_siv::AesGcmSiv;
use aes_gcm_siv::aead::{AeadInOut as _, KeyInit as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{HASH, Nonce, Tag};

/// A key of AES-256-GCM-SIV (RFC 8452), expanded once and wiped on drop. It never decrypts a block, so it has no
/// decryption schedule.
pub(crate) struct Cipher(AesGcmSiv<Aes256Enc>);

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(AesGcmSiv::new(key.into()))
    }

    /// Encrypts in place. `None` for more than the cipher takes.
    pub(crate) fn encrypt(&self, nonce: &Nonce, bound: &[u8], body: &mut [u8]) -> Option<Tag> {
        self.0.encrypt_inout_detached(nonce.into(), bound, body.into()).ok().map(Into::into)
    }

    /// Decrypts `sealed` to the end of `plaintext`, which has room for it: a buffer that grows would leave plaintext
    /// behind. `None` if it is not what was encrypted.
    pub(crate) fn decrypt(
        &self,
        nonce: &Nonce,
        bound: &[u8],
        sealed: &[u8],
        tag: &Tag,
        plaintext: &mut Vec<u8>,
    ) -> Option<()> {
        let start = plaintext.len();
        plaintext.extend_from_slice(sealed);
        let body = plaintext.get_mut(start..)?;
        self.0.decrypt_inout_detached(nonce.into(), bound, body.into(), tag.into()).ok()
    }
}

/// A key of HMAC-SHA256 (RFC 2104), absorbed once and wiped on drop.
pub(crate) struct Mac(Hmac<Sha256>);

impl Mac {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn start(&self) -> RunningMac {
        RunningMac(self.0.clone())
    }
}

/// A hash that is being computed.
pub(crate) struct RunningMac(Hmac<Sha256>);

impl RunningMac {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

/// The expand step of HKDF-SHA256 (RFC 5869, section 2.3), for 32 bytes.
pub(crate) fn expand(prk: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::from_prk(prk).expect(HASH);
    hkdf.expand_multi_info(info, &mut *okm).expect(HASH);
    okm
}
