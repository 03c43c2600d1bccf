//! Behind the feature `aws-lc`: AWS-LC, in C and assembly, which is faster where the processor has AES.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce as OnceOnly, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use super::{HASH, Nonce, Tag};

/// A key of AES-256-GCM-SIV (RFC 8452), expanded once. AWS-LC wipes what it frees.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts in place. `None` for more than the cipher takes.
    pub(crate) fn encrypt(&self, nonce: &Nonce, bound: &[u8], body: &mut [u8]) -> Option<Tag> {
        let nonce = OnceOnly::assume_unique_for_key(*nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(bound), body).ok()?;
        tag.as_ref().try_into().ok()
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
        let nonce = OnceOnly::assume_unique_for_key(*nonce);
        let start = plaintext.len();
        plaintext.resize(start + sealed.len(), 0);
        let body = plaintext.get_mut(start..)?;
        self.0.open_separate_gather(nonce, Aad::from(bound), sealed, tag, body).ok()
    }
}

/// A key of HMAC-SHA256 (RFC 2104), absorbed once. It is on the heap, so that no move leaves a copy behind.
pub(crate) struct Mac(Box<hmac::Key>);

impl Mac {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    pub(crate) fn start(&self) -> RunningMac {
        RunningMac(hmac::Context::with_key(&self.0))
    }
}

/// A hash that is being computed.
pub(crate) struct RunningMac(hmac::Context);

impl RunningMac {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.sign().as_ref().try_into().expect(HASH)
    }
}

/// The expand step of HKDF-SHA256 (RFC 5869, section 2.3), for 32 bytes.
pub(crate) fn expand(prk: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk);
    let expanded = prk.expand(info, hkdf::HKDF_SHA256).and_then(|expanded| expanded.fill(&mut *okm));
    expanded.expect(HASH);
    okm
}
