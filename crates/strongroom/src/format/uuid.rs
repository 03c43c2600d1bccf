//! UUIDs in the text form of RFC 9562, section 4, of any version and variant.

pub(super) fn is_uuid(value: &str) -> bool {
    let hyphen = |at| matches!(at, 8 | 13 | 18 | 23);
    value.len() == 36
        && value.bytes().enumerate().all(|(at, b)| if hyphen(at) { b == b'-' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_hyphenated_hex_of_either_case() {
        assert!(is_uuid("f81d4fae-7dec-11d0-A765-00a0c91e6bf6"));
        assert!(is_uuid("00000000-0000-0000-0000-000000000000"));
        for text in ["", "f81d4fae7dec11d0a76500a0c91e6bf6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}"] {
            assert!(!is_uuid(text));
        }
        assert!(!is_uuid("f81d4fae-7dec-11d0-a765-00a0c91e6bfg"));
        assert!(!is_uuid("f81d4fa-e7dec-11d0-a765-00a0c91e6bf6"));
    }
}
