//! AES-256-GCM-SIV (RFC 8452) over the public parts of the crates `aes` and `polyval`.
//!
//! It is what the crate `aes-gcm-siv` does, and the tests compare the two on random inputs. Most of what a short message
//! costs there are the keys of that message: six calls of the cipher, each of which finds out what the processor can do
//! and then waits for its rounds. Here they are one call, and so is the key stream.

use aes::Aes256Enc;
use aes::cipher::{Block, BlockCipherEncrypt as _, KeyInit as _};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash as _;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing, optimization_barrier};

use super::record::{NONCE_LEN, TAG_LEN};

/// The tag of a message.
pub(crate) type Tag = [u8; TAG_LEN];
/// A nonce, which no two messages of a key may share.
pub(crate) type Nonce = [u8; NONCE_LEN];
type AesBlock = Block<Aes256Enc>;

/// A key that seals messages of far less than the 64 GiB that the cipher allows, expanded and wiped on drop.
pub(crate) struct Siv(Aes256Enc);

impl Siv {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// Encrypts in place, and authenticates `context` too.
    #[must_use]
    pub(crate) fn encrypt(&self, nonce: &Nonce, context: &[u8], buffer: &mut [u8]) -> Tag {
        let MessageKeys { hash, cipher } = MessageKeys::derive(&self.0, nonce);
        let tag = tag_of(hash, &cipher, nonce, [context, buffer]);
        apply_key_stream(&cipher, &tag, buffer);
        tag
    }

    /// Decrypts in place. `false`, with the buffer zeroed, if message or context is not what was encrypted.
    #[must_use]
    pub(crate) fn decrypt(&self, nonce: &Nonce, context: &[u8], buffer: &mut [u8], tag: &Tag) -> bool {
        let MessageKeys { hash, cipher } = MessageKeys::derive(&self.0, nonce);
        apply_key_stream(&cipher, tag, buffer);
        let is_whole: bool = tag_of(hash, &cipher, nonce, [context, buffer]).ct_eq(tag).into();
        if !is_whole {
            buffer.zeroize();
        }
        is_whole
    }
}

/// The keys of one message.
struct MessageKeys {
    hash: Polyval,
    cipher: Aes256Enc,
}

impl MessageKeys {
    /// RFC 8452, section 4: the first half of each of six blocks.
    fn derive(root: &Aes256Enc, nonce: &Nonce) -> Self {
        // Eight, as many as the cipher does at once; the last two are not used.
        let mut blocks = [AesBlock::default(); PARALLEL];
        for (counter, block) in (0_u32..).zip(&mut blocks) {
            let (number, rest) = block.split_at_mut(4);
            number.copy_from_slice(&counter.to_le_bytes());
            rest.copy_from_slice(nonce);
        }
        root.encrypt_blocks(&mut blocks);
        let mut keys = Zeroizing::new([0; 48]);
        for (half, block) in keys.as_chunks_mut::<8>().0.iter_mut().zip(&blocks) {
            half.copy_from_slice(block.split_at(8).0);
        }
        wipe(&mut blocks);
        let (hash_key, cipher_key) = keys.split_at(16);
        let hash_key: &[u8; 16] = hash_key.try_into().expect("16 of 48 bytes");
        let cipher_key: &[u8; 32] = cipher_key.try_into().expect("32 of 48 bytes");
        Self { hash: Polyval::new(hash_key.into()), cipher: Aes256Enc::new(cipher_key.into()) }
    }
}

fn tag_of(mut hash: Polyval, cipher: &Aes256Enc, nonce: &Nonce, [context, plaintext]: [&[u8]; 2]) -> Tag {
    hash.update_padded(context);
    hash.update_padded(plaintext);
    let bits = (context.len() as u128 * 8) | (plaintext.len() as u128 * 8) << 64;
    hash.update(&[bits.to_le_bytes().into()]);
    let mut tag = hash.finalize();
    tag.iter_mut().zip(nonce).for_each(|(byte, of_nonce)| *byte ^= of_nonce);
    let last = u128::from_le_bytes(tag.into()) & !(1 << 127);
    let mut tag = AesBlock::from(last.to_le_bytes());
    cipher.encrypt_block(&mut tag);
    tag.into()
}

fn apply_key_stream(cipher: &Aes256Enc, tag: &Tag, buffer: &mut [u8]) {
    let first = u128::from_le_bytes(*tag) | 1 << 127;
    let (mut counter, fixed) = (first as u32, first & !u128::from(u32::MAX));
    let mut stream = [AesBlock::default(); PARALLEL];
    for chunk in buffer.chunks_mut(PARALLEL * 16) {
        for block in &mut stream {
            *block = (fixed | u128::from(counter)).to_le_bytes().into();
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(&mut stream);
        // In words: byte by byte this would be a third of what a long message costs.
        let (blocks, tail) = chunk.as_chunks_mut();
        let mut keys = stream.iter();
        for (block, key) in blocks.iter_mut().zip(&mut keys) {
            *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes((*key).into())).to_ne_bytes();
        }
        if let Some(key) = keys.next() {
            tail.iter_mut().zip(key).for_each(|(byte, of_key)| *byte ^= of_key);
        }
    }
    wipe(&mut stream);
}

/// Zeroes blocks in a few stores; one by one, their bytes would take longer than encrypting them.
fn wipe(blocks: &mut [AesBlock; PARALLEL]) {
    *blocks = Default::default();
    optimization_barrier(blocks);
}

/// As many blocks as the cipher encrypts at once.
const PARALLEL: usize = 8;

#[cfg(test)]
mod tests {
    use aes_gcm_siv::Aes256GcmSiv;
    use aes_gcm_siv::aead::AeadInOut as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_message_is_what_the_crate_of_the_cipher_makes_of_it(
            key: [u8; 32],
            nonce: [u8; 12],
            context in proptest::collection::vec(any::<u8>(), 0..300),
            message in proptest::collection::vec(any::<u8>(), 0..700),
            flipped: proptest::sample::Index,
        ) {
            let (ours, theirs) = (Siv::new(&key), Aes256GcmSiv::new(&key.into()));
            let (mut sealed, mut expected) = (message.clone(), message.clone());
            let tag = ours.encrypt(&nonce, &context, &mut sealed);
            let buffer = expected.as_mut_slice().into();
            let expected_tag = theirs.encrypt_inout_detached(&nonce.into(), &context, buffer).unwrap();
            prop_assert_eq!((&sealed, &tag[..]), (&expected, &expected_tag[..]));

            let mut opened = sealed.clone();
            prop_assert!(ours.decrypt(&nonce, &context, &mut opened, &tag));
            prop_assert_eq!(&opened, &message);

            // Any one bit of message, tag and context.
            let bits = 8 * (sealed.len() + 16 + context.len());
            let (byte, bit) = (flipped.index(bits) / 8, 1 << (flipped.index(bits) % 8));
            let (mut sealed, mut tag, mut context) = (sealed, tag, context);
            let parts = sealed.iter_mut().chain(&mut tag).chain(&mut context);
            parts.skip(byte).take(1).for_each(|byte| *byte ^= bit);
            prop_assert!(!ours.decrypt(&nonce, &context, &mut sealed, &tag));
            prop_assert!(sealed.iter().all(|byte| *byte == 0));
        }
    }
}
