//! AES-256-GCM-SIV, HMAC-SHA256 and HKDF-SHA256, from the library that the build chose.
//!
//! Both libraries give the same bytes, so each opens what the other sealed.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(not(feature = "aws-lc"), feature = "hazmat", test))]
mod rust_crypto;

#[cfg(feature = "aws-lc")]
pub(crate) use aws_lc::{Cipher, Mac, RunningMac, expand};
#[cfg(not(feature = "aws-lc"))]
pub(crate) use rust_crypto::{Cipher, Mac, RunningMac, expand};

pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

pub(crate) type Nonce = [u8; NONCE_LEN];
pub(crate) type Tag = [u8; TAG_LEN];

/// Why hashing and deriving cannot fail: each takes and returns 32 bytes.
const HASH: &str = "32 bytes are one output of SHA-256";

/// Panics if the two libraries differ on these bytes.
#[cfg(all(feature = "aws-lc", any(feature = "hazmat", test)))]
pub(crate) fn assert_alike(key: &[u8; 32], nonce: &Nonce, bound: &[u8], plaintext: &[u8]) {
    let ciphers = (rust_crypto::Cipher::new(key), aws_lc::Cipher::new(key));
    let mut sealed = [(); 2].map(|()| plaintext.to_vec());
    let [one, other] = &mut sealed;
    let tags = (ciphers.0.encrypt(nonce, bound, one), ciphers.1.encrypt(nonce, bound, other));
    assert!(tags.0.is_some() && tags.0 == tags.1 && one == other, "both seal to the same bytes");

    let [sealed, _] = &sealed;
    let opened = |tag: &Tag| {
        let mut plaintexts = [(); 2].map(|()| Vec::with_capacity(sealed.len()));
        let [one, other] = &mut plaintexts;
        let by_one = ciphers.0.decrypt(nonce, bound, sealed, tag, one).is_some();
        let by_other = ciphers.1.decrypt(nonce, bound, sealed, tag, other).is_some();
        [by_one, by_other].into_iter().zip(plaintexts)
    };
    let mut tag = tags.0.unwrap_or_default();
    assert!(opened(&tag).all(|(is_open, opened)| is_open && opened == plaintext), "both open it");
    tag.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    assert!(opened(&tag).all(|(is_open, _)| !is_open), "both refuse another tag");

    let hashes = (rust_crypto::Mac::new(key), aws_lc::Mac::new(key));
    let mut running = (hashes.0.start(), hashes.1.start());
    for part in [bound, plaintext] {
        running.0.update(part);
        running.1.update(part);
    }
    assert!(running.0.finish() == running.1.finish(), "both hash to the same bytes");
    let info: &[&[u8]] = &[bound, plaintext];
    assert!(*rust_crypto::expand(key, info) == *aws_lc::expand(key, info), "both derive the same key");
}

#[cfg(all(test, feature = "aws-lc"))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_libraries_give_the_same_bytes(
            key: [u8; 32],
            nonce: [u8; NONCE_LEN],
            bound in vec(any::<u8>(), 0..300),
            plaintext in vec(any::<u8>(), 0..5_000),
        ) {
            assert_alike(&key, &nonce, &bound, &plaintext);
        }
    }

    #[test]
    fn both_libraries_give_the_same_bytes_at_each_length_of_some_blocks_and_for_the_longest_value() {
        let plaintext = vec![7; super::super::RECORD_LEN_MAX];
        for len in (0..=160).chain([plaintext.len()]) {
            assert_alike(&[1; 32], &[2; NONCE_LEN], &plaintext[..len % 97], &plaintext[..len]);
        }
    }
}
