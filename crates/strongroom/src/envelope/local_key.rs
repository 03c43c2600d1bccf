//! A key for what never leaves the process.

use zeroize::Zeroizing;

use super::primitives::{Cipher, Nonce, Tag};
use crate::random::{self, RandomError};

/// A random key for the parts of one message that stays in memory. It is never written anywhere, seals one message, and
/// is wiped on drop. So what it seals needs neither a commitment nor padding, and the numbers of the parts are its
/// nonces.
pub(crate) struct LocalKey(Cipher);

/// The tag of one part.
pub(crate) type PartTag = Tag;

impl LocalKey {
    pub(crate) fn generate() -> Result<Self, RandomError> {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(&mut *key)?;
        Ok(Self(Cipher::new(&key)))
    }

    /// Seals part `number` of the message in place, bound to `context`. `None` for a part that no cipher takes.
    pub(crate) fn seal(&self, number: u32, context: &[u8], part: &mut [u8]) -> Option<PartTag> {
        self.0.encrypt(&nonce(number), context, part)
    }

    /// Opens part `number` to the end of `plaintext`, which has room for it. `None` if it is not what was sealed.
    pub(crate) fn open(
        &self,
        number: u32,
        context: &[u8],
        part: &[u8],
        tag: &PartTag,
        plaintext: &mut Vec<u8>,
    ) -> Option<()> {
        self.0.decrypt(&nonce(number), context, part, tag, plaintext)
    }
}

fn nonce(number: u32) -> Nonce {
    let mut nonce = Nonce::default();
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
            let mut part = Vec::with_capacity(sealed.len());
            key.open(number, context, &sealed, &tag, &mut part).is_some() && part == b"part"
        };
        assert!(opens(&key, 1, b"here", sealed));
        assert!(!opens(&other, 1, b"here", sealed) && !opens(&key, 2, b"here", sealed));
        assert!(!opens(&key, 1, b"there", sealed) && !opens(&key, 1, b"here", *b"else"));
    }
}
