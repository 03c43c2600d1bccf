//! Padding that hides the length of a value: multiples of 32 bytes up to 256, Padmé above.
//!
//! Padmé is from "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (PETS 2019): it adds at
//! most 12 %, and a length reveals O(log log n) bits.

/// The padded length of a value of `value_len` bytes. It depends on nothing else.
pub(crate) fn padded_len(value_len: usize) -> usize {
    round_up(value_len.saturating_add(1))
}

/// Whether some value pads to exactly `len` bytes. Rounding up is idempotent, so the lengths that it produces are its
/// fixed points.
pub(super) fn is_canonical(len: usize) -> bool {
    len > 0 && round_up(len) == len
}

/// Appends `value | 0x80 | 0x00*` to `out`.
pub(super) fn pad_into(value: &[u8], out: &mut Vec<u8>) {
    let padded_end = out.len() + padded_len(value.len());
    out.extend_from_slice(value);
    out.push(MARK);
    out.resize(padded_end, 0);
}

/// The length of the value inside `padded`; `None` unless it is padded exactly as [`pad_into`] does.
pub(super) fn unpad(padded: &[u8]) -> Option<usize> {
    let value_len = padded.iter().rposition(|byte| *byte != 0)?;
    let marked = padded.get(value_len) == Some(&MARK);
    (marked && padded_len(value_len) == padded.len()).then_some(value_len)
}

/// The next length that padding produces for `len` bytes, including the mark. Near `usize::MAX` there is none, so the
/// length rounds to itself, which is far over the record's limit.
fn round_up(len: usize) -> usize {
    // Every step is a power of two, so that rounding needs no division.
    let step = step(len);
    len.checked_add(step - 1).map_or(len, |sum| sum & !(step - 1))
}

fn step(len: usize) -> usize {
    if len <= FLAT_LEN_MAX {
        return FLOOR;
    }
    let exponent = len.ilog2();
    FLOOR.max(1 << (exponent - exponent.ilog2() - 1))
}

const MARK: u8 = 0x80;
const FLOOR: usize = 32;
const FLAT_LEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_those_of_the_format() {
        let lens = [0, 31, 32, 255, 256, 288, 511, 512, 1023, 1024, 4095, 65_535, 65_536, 67_583];
        let padded = [32, 32, 64, 256, 288, 320, 512, 544, 1024, 1088, 4096, 65_536, 67_584, 67_584];
        assert_eq!(lens.map(padded_len), padded);
    }

    #[test]
    fn the_canonical_lengths_are_those_that_padding_produces() {
        let produced: std::collections::BTreeSet<usize> = (0..70_000).map(padded_len).collect();
        for len in 0..=67_584 {
            assert_eq!(is_canonical(len), produced.contains(&len), "{len}");
        }
    }

    #[test]
    fn an_absurd_length_does_not_overflow() {
        assert!(padded_len(usize::MAX) >= usize::MAX - 1);
        assert!(!is_canonical(0));
    }

    proptest! {
        #[test]
        fn what_is_padded_is_unpadded(value in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut padded = b"head".to_vec();
            pad_into(&value, &mut padded);
            prop_assert_eq!(padded.len(), 4 + padded_len(value.len()));
            prop_assert_eq!(unpad(&padded[4..]), Some(value.len()));
        }

        #[test]
        fn only_the_canonical_form_is_unpadded(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            zeros in 0_usize..500,
        ) {
            bytes.push(MARK);
            bytes.resize(bytes.len() + zeros, 0);
            if let Some(value_len) = unpad(&bytes) {
                let mut padded = Vec::new();
                pad_into(&bytes[..value_len], &mut padded);
                prop_assert_eq!(padded, bytes);
            } else {
                let marked = bytes.len() - zeros - 1;
                prop_assert_ne!(padded_len(marked), bytes.len());
            }
        }
    }
}
