//! Base62, the encoding of API keys. Both directions wipe their buffers.

use zeroize::Zeroizing;

/// The digits of `bytes` as one number, the most significant first. Each leading zero byte is one digit `0`.
pub(super) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // 1.35 digits per byte: enough room that the buffer never moves and leaves a copy behind. The least significant
    // digit comes first.
    let mut digits = Zeroizing::new(Vec::<u8>::with_capacity(bytes.len() * 3 / 2 + 1));
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in digits.iter_mut() {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 62) as u8;
            carry /= 62;
        }
        while carry > 0 {
            digits.push((carry % 62) as u8);
            carry /= 62;
        }
    }
    let number = digits.iter().rev().filter_map(|digit| DIGITS.get(usize::from(*digit)));
    let mut text = Zeroizing::new(String::with_capacity(zeros + digits.len()));
    text.extend(std::iter::repeat_n(&b'0', zeros).chain(number).map(|digit| char::from(*digit)));
    text
}

/// The bytes of a text that [`encode`] writes; `None` for any other, and for more than [`LIMBS`] words.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // The least significant word comes first; words from `len` on are zero. The size is fixed, so that no text makes it
    // grow.
    let (mut limbs, mut len) = (Zeroizing::new([0_u64; LIMBS]), 0);
    for digits in text.as_bytes().chunks(DIGITS_A_STEP) {
        let (mut scale, mut carry) = (1_u128, 0_u128);
        for digit in digits {
            scale *= 62;
            carry = carry * 62 + u128::from(digit_value(*digit)?);
        }
        for limb in limbs.iter_mut().take(len) {
            carry += u128::from(*limb) * scale;
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry > 0 {
            // Below 2⁶⁴, since the scale is.
            *limbs.get_mut(len)? = carry as u64;
            len += 1;
        }
    }
    let zeros = text.bytes().take_while(|digit| *digit == b'0').count();
    let number = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).skip_while(|byte| *byte == 0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(zeros + 8 * LIMBS));
    bytes.resize(zeros, 0);
    bytes.extend(number);
    Some(bytes)
}

fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62¹⁰ is less than 2⁶⁰.
const DIGITS_A_STEP: usize = 10;
/// The most words of 64 bits that a number may have.
const LIMBS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_digits_that_python_computes() {
        for (bytes, text) in [
            ("", ""),
            ("00", "0"),
            ("3d", "z"),
            ("3e", "10"),
            ("0000ff", "0047"),
            ("ffffffffffffffffffffffff", "1f2SI9UJPXvb7vdJ1"),
        ] {
            let bytes = hex::decode(bytes).unwrap();
            assert_eq!(*encode(&bytes), text);
            assert_eq!(*decode(text).unwrap(), bytes);
        }
    }

    #[test]
    fn every_length_up_to_the_limit_reads_back() {
        for len in 0..=8 * LIMBS {
            for first in [0, 1, 255] {
                let mut bytes: Vec<u8> = vec![first; len];
                bytes.iter_mut().skip(2).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
                assert_eq!(*decode(&encode(&bytes)).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn other_digits_and_greater_numbers_are_refused() {
        let too_great = encode(&[255; 8 * LIMBS + 1]);
        for bad in ["-", "é", "0 ", "z\0", &too_great] {
            assert!(decode(bad).is_none());
        }
    }
}
