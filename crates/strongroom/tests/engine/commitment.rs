//! AES-256-GCM-SIV does not commit to its key: this builds a ciphertext that opens under two, and shows that
//! the record made of it still opens under its own key only.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use aes_gcm_siv::AesGcmSiv;
use aes_gcm_siv::aead::{Aead as _, Payload};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use strongroom::hazmat::{Context, Key, OpenError, expand};

const OWN: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const NONCE: [u8; 12] = [3; 12];

#[test]
fn a_ciphertext_that_opens_under_two_keys_is_a_record_of_one() {
    let (own, other) = (Side::new(&OWN), Side::new(&OTHER));
    let sealed = collide(&own, &other);
    assert_ne!(own.raw_open(&sealed).expect("it opens"), other.raw_open(&sealed).expect("and again"));

    let record = [&own.header[..], &own.commit(&sealed), &sealed].concat();
    let opened = Key::derive(&OWN).open(&CONTEXT, &record).expect("its own key opens it");
    assert_eq!(opened.expose(), &own.raw_open(&sealed).unwrap()[..63]);
    let unknown = OpenError::UnknownKey(Key::derive(&OWN).id());
    assert_eq!(Key::derive(&OTHER).open(&CONTEXT, &record).unwrap_err(), unknown);

    // Under the other key's id the cipher would open it: nothing but the commitment is in the way.
    let planted = [&other.header[..], &own.commit(&sealed), &sealed].concat();
    assert_eq!(Key::derive(&OTHER).open(&CONTEXT, &planted).unwrap_err(), OpenError::Rejected);
}

const CONTEXT: Context<'_> = Context {
    kind: 1,
    store_id: [0; 16],
    org: "",
    environment: "",
    linked_account: None,
    workflow: None,
    name: "",
    key_name: "",
    doc_id: "",
    revision: 0,
};

/// One key of the pair: what it derives, and what it binds.
struct Side {
    dek: [u8; 32],
    header: Vec<u8>,
    aad: Vec<u8>,
    auth_key: u128,
    cipher: Aes256,
}

impl Side {
    fn new(dek: &[u8; 32]) -> Self {
        let header = [&[1, 1], &Key::derive(dek).id().as_bytes()[..], &NONCE].concat();
        let context = [&[0; 25][..], &[CONTEXT.kind], &[0; 21]].concat();
        let generator = Aes256::new(&expand(dek, b"strongroom/v1/seal").into());
        // RFC 8452 section 4: six half blocks give the record's two keys.
        let halves: Vec<u8> = (0_u8..6)
            .flat_map(|i| {
                let mut block = [&[i, 0, 0, 0], &NONCE[..]].concat();
                generator.encrypt_block(block.as_mut_slice().try_into().unwrap());
                block.truncate(8);
                block
            })
            .collect();
        let auth_key = u128::from_le_bytes(halves[..16].try_into().unwrap());
        let cipher = Aes256::new_from_slice(&halves[16..]).unwrap();
        Self { dek: *dek, aad: [header.clone(), context].concat(), header, auth_key, cipher }
    }

    /// What POLYVAL must come to for this key to answer with `tag`, where some input gives that tag.
    fn wanted_sum(&self, tag: u128) -> Option<u128> {
        let mut block = tag.to_le_bytes().into();
        self.cipher.decrypt_block(&mut block);
        let masked = u128::from_le_bytes(block.into());
        let nonce = NONCE.iter().rev().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        (masked >> 127 == 0).then_some(masked ^ nonce)
    }

    /// Counter mode under `tag`: the counter is in the first four bytes.
    fn keystream(&self, tag: u128) -> [u128; 4] {
        [0_u32, 1, 2, 3].map(|i| {
            let first = tag | 1 << 127;
            let counter = (first as u32).wrapping_add(i);
            let mut block = (first >> 32 << 32 | u128::from(counter)).to_le_bytes().into();
            self.cipher.encrypt_block(&mut block);
            u128::from_le_bytes(block.into())
        })
    }

    /// POLYVAL over the bound bytes, `text` and the lengths.
    fn polyval(&self, text: [u128; 4]) -> u128 {
        let aad = self.aad.chunks(16).map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_le_bytes(block)
        });
        let lens = (self.aad.len() as u128 * 8) | (64 * 8) << 64;
        aad.chain(text).chain([lens]).fold(0, |sum, block| dot(sum ^ block, self.auth_key))
    }

    fn commit(&self, sealed: &[u8]) -> Vec<u8> {
        let key = expand(&self.dek, b"strongroom/v1/commit");
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
        mac.chain_update(&self.aad).chain_update(&sealed[64..]).finalize().into_bytes().to_vec()
    }

    fn raw_open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let cipher = AesGcmSiv::<Aes256>::new(&expand(&self.dek, b"strongroom/v1/seal").into());
        cipher.decrypt(&NONCE.into(), Payload { msg: sealed, aad: &self.aad }).ok()
    }
}

/// Four blocks and a tag that both keys accept, with padding that both find in order. The first two blocks
/// solve one linear equation a key, the third is free, and the last byte is the mark of the padding under
/// both.
fn collide(own: &Side, other: &Side) -> Vec<u8> {
    let found = (1_u128..).find_map(|tag| {
        let same_end = own.keystream(tag)[3] >> 120 == other.keystream(tag)[3] >> 120;
        if same_end { Some((tag, own.wanted_sum(tag)?, other.wanted_sum(tag)?)) } else { None }
    });
    let (tag, own_sum, other_sum) = found.expect("about one tag in a thousand will do");
    let (own_stream, other_stream) = (own.keystream(tag), other.keystream(tag));
    let fixed = [0, 0, 42, own_stream[3] ^ 0x80 << 120];

    let own_rest = own_sum ^ own.polyval(xor(fixed, own_stream));
    let other_rest = other_sum ^ other.polyval(xor(fixed, other_stream));
    let [a, b] = [power(own.auth_key, 5), power(own.auth_key, 4)];
    let [c, d] = [power(other.auth_key, 5), power(other.auth_key, 4)];
    let inverse = power(dot(a, d) ^ dot(b, c), u128::MAX - 1);
    let first = dot(dot(own_rest, d) ^ dot(other_rest, b), inverse);
    let second = dot(dot(a, other_rest) ^ dot(c, own_rest), inverse);
    [first, second, fixed[2], fixed[3], tag].map(u128::to_le_bytes).concat()
}

fn xor(a: [u128; 4], b: [u128; 4]) -> [u128; 4] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// RFC 8452 section 3: a · b · x^-128 in GF(2^128) by x^128 + x^127 + x^126 + x^121 + 1.
fn dot(a: u128, b: u128) -> u128 {
    const LOW: u128 = 1 << 127 | 1 << 126 | 1 << 121 | 1;
    (0..128).fold(0, |product: u128, i| {
        let sum = if b >> i & 1 == 1 { product ^ a } else { product };
        if sum & 1 == 1 { (sum ^ LOW) >> 1 | 1 << 127 } else { sum >> 1 }
    })
}

/// `base` combined `exponent` times with itself by [`dot`]; the inverse is the power of 2^128 - 2.
fn power(base: u128, exponent: u128) -> u128 {
    let bits = (0..128 - exponent.leading_zeros()).rev().skip(1);
    bits.fold(base, |sum, i| {
        let square = dot(sum, sum);
        if exponent >> i & 1 == 1 { dot(square, base) } else { square }
    })
}
