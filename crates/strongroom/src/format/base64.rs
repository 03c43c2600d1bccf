//! Base64 as in RFC 4648, section 4. Checked in place, where a decoder would leave a second copy of a secret behind.

/// Whole groups of the standard alphabet, padded, with unused bits zero; at least one group.
pub(super) fn is_base64(value: &str) -> bool {
    let digits = value.strip_suffix("==").or_else(|| value.strip_suffix('=')).unwrap_or(value);
    let unused_bits = match value.len() - digits.len() {
        0 => 0,
        1 => 0b0000_0011,
        _ => 0b0000_1111,
    };
    let last = digits.bytes().next_back().and_then(sextet);
    value.len().is_multiple_of(4)
        && digits.bytes().fold(true, |all, byte| all & is_digit(byte))
        && last.is_some_and(|last| last & unused_bits == 0)
}

/// How many bytes a text represents, if it is base64.
pub(super) fn decoded_len(value: &str) -> usize {
    let padding = value.bytes().rev().take_while(|byte| *byte == b'=').count();
    (value.len() / 4 * 3).saturating_sub(padding)
}

/// Whether `byte` is in the alphabet, without a branch, so that the compiler can check many at once.
pub(super) fn is_digit(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let number = byte.wrapping_sub(b'0') < 10;
    letter | number | (byte == b'+') | (byte == b'/')
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_are_valid() {
        let texts = ["Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (text, len) in texts.into_iter().zip(1..) {
            assert!(is_base64(text));
            assert_eq!(decoded_len(text), len);
        }
        assert!(is_base64("+/+/"));
    }

    #[test]
    fn the_digits_are_those_that_stand_for_six_bits() {
        assert!((0..=u8::MAX).all(|byte| is_digit(byte) == sextet(byte).is_some()));
    }

    #[test]
    fn padding_alphabet_and_unused_bits_are_strict() {
        for text in ["", "=", "====", "Zg", "Zg=", "Zm8", "Z===", "Zg==Zg==", "Zm9v\n", "-_-_", "Zm9v Zm9v"] {
            assert!(!is_base64(text));
        }
    }

    #[test]
    fn the_last_digit_before_padding_is_one_whose_unused_bits_are_zero() {
        let valid = |padding: &str| {
            let is_valid = |last: &char| is_base64(&format!("{}{last}{padding}", &"AAA"[padding.len()..]));
            ('\0'..='\x7f').filter(|last| *last != '=').filter(is_valid).collect::<String>()
        };
        assert_eq!(valid("=="), "AQgw");
        assert_eq!(valid("="), "048AEIMQUYcgkosw");
    }
}
