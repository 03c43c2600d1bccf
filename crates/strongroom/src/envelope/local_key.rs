//! A key for what never leaves the process.

use aes::Aes256Enc;
use aes_gcm_siv::AesGcmSiv;
use aes_gcm_siv::aead::{AeadInOut as _, KeyInit as _};
use zeroize::Zeroizing;

use super::record::{NONCE_LEN, TAG_LEN};
use crate::random::{self, RandomError};

/// A random key for the parts of one message that stays in memory. It is written nowhere, seals one message, and is
/// wiped on drop. So what it sealed needs neither a commitment nor padding, and its nonces are the numbers of the
/// parts.
pub(crate) struct LocalKey(AesGcmSiv<Aes256Enc>);

/// The tag of one part.
pub(crate) type PartTag = [u8; TAG_LEN];

impl LocalKey {
    pub(crate) fn generate() -> Result<Self, RandomError> {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(&mut *key)?;
        Ok(Self(AesGcmSiv::new((&*key).into())))
    }

    /// Seals part `number` of the message in place, bound to `context`. `None` for a part that no cipher takes.
    pub(crate) fn seal(&self, number: u32, context: &[u8], part: &mut [u8]) -> Option<PartTag> {
        let tag = self.0.encrypt_inout_detached(&nonce(number).into(), context, part.into());
        tag.ok().map(Into::into)
    }

    /// Opens part `number` in place. `false`, with the part unchanged or zeroed, if it is not what was sealed.
    #[must_use]
    pub(crate) fn open(&self, number: u32, context: &[u8], part: &mut [u8], tag: &PartTag) -> bool {
        self.0.decrypt_inout_detached(&nonce(number).into(), context, part.into(), tag.into()).is_ok()
    }
}

fn nonce(number: u32) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_opens_under_its_own_key_number_and_context_only() {
        let [key, other] = [(); 2].map(|()| LocalKey::generate().unwrap());
        let mut sealed = *b"part";
        let tag = key.seal(1, b"here", &mut sealed).unwrap();
        let opens = |key: &LocalKey, number, context: &[u8], sealed: [u8; 4]| {
            let mut part = sealed;
            key.open(number, context, &mut part, &tag) && part == *b"part"
        };
        assert!(opens(&key, 1, b"here", sealed));
        assert!(!opens(&other, 1, b"here", sealed) && !opens(&key, 2, b"here", sealed));
        assert!(!opens(&key, 1, b"there", sealed) && !opens(&key, 1, b"here", *b"else"));
    }
}
